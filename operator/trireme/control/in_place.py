"""What changes in place is brought to every ready pod: asked for, loaded, verified, one at a time.

Level-triggered, as a reconciliation is, but a queue of its own: a model may take minutes to take on
a configuration, and meanwhile the agent is reconciled as ever. The ConfigMap that pods start with
was changed before, so whatever happens here, a pod that starts is as it should be.

While a rollout is on, servers are only asked: one disturbance is enough, and the pods that go need
nothing any more. Nor is a server changed while another one of them is down, which may be for what
was changed: one bad load is not to go on through the whole fleet.

A worker has one server load one model, which may take as long as a start, and then takes its turn
again behind the others: agents whose servers are slow hold up no other.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from trireme.api import names
from trireme.api.status import AgentStatus
from trireme.control.agent_state import Accepted, Failing, InPlace
from trireme.control.observed import PodView
from trireme.control.queue import Key, Work, WorkQueue
from trireme.control.status import InPlaceProgress
from trireme.control.store import AgentView, Store
from trireme.edge import triton
from trireme.errors import ServerError, ServerRefused
from trireme.modelrepo.instances import runs
from trireme.modelrepo.plan import ENSEMBLE
from trireme.modelrepo.proto import ModelConfig
from trireme.modelrepo.repository import Repository
from trireme.modelrepo.versions import versions_loaded_by, versions_of
from trireme.resources.change import Effect
from trireme.resources.control import OperatorKey
from trireme.resources.server import longest_start

logger = logging.getLogger(__name__)

_UNFORESEEN = "the operator's log says why"

AT_ONCE = 32  # models of all agents that are loaded; the operator does nothing but wait for them


def wanted_configs(repository: Repository) -> tuple[ModelConfig, ...]:
    """Every model's configuration; pipelines have nothing that changes in place."""
    return tuple(model.config for model in repository.models if model.config.platform != ENSEMBLE)


def wanted_versions(repository: Repository) -> dict[str, frozenset[int]]:
    """Which versions are to be served of each model that has several: of others it is the one."""
    return {
        model.name: frozenset(versions_loaded_by(model.config, versions))
        for model in repository.models
        if len(versions := versions_of(model)) > 1
    }


def serving_pods(view: AgentView, repository: Repository) -> list[PodView]:
    """The ready pods of a repository, those of other templates left out, and those that nobody can
    reach yet.
    """
    return [
        pod
        for pod in view.stable_pods
        if pod.ready_since is not None
        and pod.address is not None
        and pod.repository_digest == repository.digest
    ]


def settled_pods(view: AgentView, repository: Repository) -> list[PodView]:
    """The serving pods whose server is known to run all of it, what changes in place too."""
    wanted = wanted_configs(repository)
    return [
        pod
        for pod in serving_pods(view, repository)
        if (served := view.in_place.servers.get(pod.server_id)) is not None
        and _runs_all(served, wanted)
    ]


def down(view: AgentView, repository: Repository) -> list[PodView]:
    """The pods of a repository that ran, and are not ready now: those that only start are not."""
    return [
        pod
        for pod in view.stable_pods
        if pod.ready_since is None
        and not pod.terminating
        and pod.repository_digest == repository.digest
        and (pod.started or pod.restarts > 0)
    ]


def crash(view: AgentView, since: datetime | None = None) -> str | None:
    """Which stable pod's server ends again and again with what is applied, in words; None where
    none does. One that was ready at no time `since` then is left out. A Deployment whose rollout
    was complete does not say so.
    """
    pods = down(view, view.applied.repository) if view.applied is not None else []
    return next(
        (
            f"pod {pod.name}: {pod.trouble.message}"
            for pod in pods
            if pod.loops and pod.trouble is not None and _went_down(pod, since)
        ),
        None,
    )


def _went_down(pod: PodView, since: datetime | None) -> bool:
    return since is None or (pod.unready_since is not None and pod.unready_since >= since)


def unknown(state: InPlace, pods: Sequence[PodView]) -> list[PodView]:
    """The pods whose server was not asked yet."""
    return [pod for pod in pods if pod.server_id not in state.servers]


def differing(state: InPlace, pods: Sequence[PodView]) -> list[PodView]:
    """The pods whose server is known to run something else."""
    return [
        pod
        for pod in pods
        if (served := state.servers.get(pod.server_id)) is not None
        and not _runs_all(served, state.wanted)
    ]


def lasting_failure(state: InPlace) -> ServerError | None:
    """Why servers will not take on what is wanted of them; None where they may yet."""
    failing = state.failing
    return failing.error if failing is not None and failing.lasts else None


def failed(
    before: Failing | None,
    error: ServerError,
    now: datetime,
    deadline: timedelta,
    *,
    was_told: bool,
) -> Failing:
    """After one more attempt that failed, with those `before` in a row: it lasts once a server has
    refused twice, since it may have had no room for a moment, and once it did for as long as a pod
    may take to start. Once a server is told to change, all have answered what was asked before.
    """
    if before is None or (was_told and not before.was_told):
        return Failing(error, now, was_told=was_told)
    is_refused = all(isinstance(each, ServerRefused) for each in (before.error, error))
    lasts = before.lasts or is_refused or now - before.since >= deadline
    return Failing(error, before.since, lasts, was_told)


def not_taken_on(state: InPlace) -> ServerError | None:
    """Why a server will not change that was told to; None where it may yet, or where servers only
    do not answer what they run.
    """
    failing = state.failing
    return lasting_failure(state) if failing is not None and failing.was_told else None


def _runs_all(served: Mapping[str, ModelConfig], wanted: Iterable[ModelConfig]) -> bool:
    return all(served.get(config.name) == config for config in wanted)


def may_change(view: AgentView) -> bool:
    """Whether no rollout is on."""
    servers = view.servers.together
    return servers is not None and servers.only_latest


def progress(view: AgentView, before: AgentStatus) -> InPlaceProgress | None:
    """How far the change in place is, where the status was as `before`. A server that was not asked
    yet counts as changed, unless that status says that a change is on: a pod that starts has what
    it should have.
    """
    if view.applied is None or view.apply_failure is not None:
        return None
    state, repository = view.in_place, view.applied.repository
    pods = serving_pods(view, repository)
    left = len(differing(state, pods))
    settled = before.live_digest in ("", repository.live_digest)
    if before.repository_digest == repository.digest and not settled:
        left += len(unknown(state, pods))
    what = view.change.named(Effect.IN_PLACE) if view.change else ""
    return InPlaceProgress(
        pods=len(pods),
        changed=len(pods) - left,
        what=what or "configuration",
        failure=str(state.failing.error) if state.failing is not None else None,
        refused=isinstance(lasting_failure(state), ServerRefused),
    )


class _NotTakenOn(Exception):  # no failure of ours
    """A server that was told to change did not, for this error."""

    def __init__(self, error: ServerError) -> None:
        super().__init__(str(error))
        self.error = error


class InPlaceUpdates:
    """Works keys off its queue; each pod that was changed is told to the reconciler's."""

    def __init__(
        self,
        *,
        store: Store,
        queue: WorkQueue,
        reconciliations: WorkQueue,
        operator_key: OperatorKey,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._queue = queue
        self._reconciliations = reconciliations
        self._operator_key = operator_key
        self._clock = clock

    async def handle(self, key: Key, work: Work) -> None:
        """Bring the pods of an agent one step nearer to what is wanted; never raises: what failed
        is tried again later.
        """
        view = self._store.view(key)
        applied = view.applied
        if applied is None or view.body is None:
            return
        try:
            is_more = await self._step(key, view, applied)
        except ServerError as error:
            logger.warning("%s: %s", key, error)
            await self._failed(key, work, view, applied, error)
        except _NotTakenOn as failure:
            logger.warning("%s: %s", key, failure)
            await self._failed(key, work, view, applied, failure.error, was_told=True)
        except Exception:
            logger.exception("%s: the change in place failed", key)
            await self._failed(key, work, view, applied, ServerError(_UNFORESEEN))
        else:
            view.in_place.failing = None
            self._queue.forgive(key)
            if is_more:
                await self._queue.add(key, work)
        await self._reconciliations.add(key, Work.OBSERVE)

    async def _failed(
        self,
        key: Key,
        work: Work,
        view: AgentView,
        applied: Accepted,
        error: ServerError,
        *,
        was_told: bool = False,
    ) -> None:
        """Try again later; the reconciler, which is told of each step, asks for none until then."""
        if _is_wanted(view, applied):
            deadline = longest_start(applied.agent.spec)
            state, now = view.in_place, self._clock()
            state.failing = failed(state.failing, error, now, deadline, was_told=was_told)
            await self._queue.add_failed(key, work)

    async def _step(self, key: Key, view: AgentView, applied: Accepted) -> bool:
        """Ask the servers that are new, and change one model in one; whether there is more to do.
        Raises ServerError, and _NotTakenOn where that one does not.
        """
        state = view.in_place
        known = {pod.server_id for pod in view.stable_pods}
        for gone in state.servers.keys() - known:
            del state.servers[gone]
        asked = unknown(state, serving_pods(view, applied.repository))
        control_key = self._operator_key.of_agent(applied.agent.metadata.uid)
        failures = await asyncio.gather(*(_failure_of(_ask(p, state, control_key)) for p in asked))
        for failure in failures:
            if failure is not None:
                raise failure
        if (pod := self._next(key, view, applied)) is None:
            return False
        await self._change(pod, state, applied)
        return self._next(key, view, applied) is not None

    def _next(self, key: Key, view: AgentView, applied: Accepted) -> PodView | None:
        """The next pod to be changed; None once something else is wanted, which the reconciler then
        asks for. Raises ServerError while one that was to serve on is down.
        """
        if self._store.view(key) is not view or not _is_wanted(view, applied):
            return None
        if not may_change(view):
            return None
        left = differing(view.in_place, serving_pods(view, applied.repository))
        if left and (others := down(view, applied.repository)):
            raise ServerError(f"pod {others[0].name}: it ran and is not ready; the others wait")
        return next(iter(left), None)

    async def _change(self, pod: PodView, state: InPlace, applied: Accepted) -> None:
        """Load the first model that differs in a pod, and verify that it is served. Raises
        _NotTakenOn.
        """
        control_key = self._operator_key.of_agent(applied.agent.metadata.uid)
        timeout_seconds = applied.agent.spec.server.startup_timeout.total_seconds()
        server, served = pod.at(names.HTTP_PORT), state.servers[pod.server_id]
        config = next(each for each in state.wanted if served.get(each.name) != each)
        try:
            await triton.load_model(server, control_key, config, timeout_seconds)
            served.pop(config.name, None)
            await _verify(server, config, control_key, state.versions.get(config.name))
        except ServerError as error:
            if not isinstance(error, ServerRefused):
                served.pop(config.name, None)  # whatever it does now
            raise _NotTakenOn(type(error)(_words(pod, config, error))) from error
        served[config.name] = config


def _is_wanted(view: AgentView, applied: Accepted) -> bool:
    """Whether nothing else was applied meanwhile; the same may have been, again."""
    return view.applied is not None and view.applied.repository == applied.repository


async def _failure_of(asking: Awaitable[None]) -> ServerError | None:
    """What a server did not answer, as a value: a task that ends by an exception at the moment the
    operator is stopped would be taken for a failure of the operator, by kopf, which looks at every
    task there is.
    """
    try:
        await asking
    except ServerError as error:
        return error
    return None


async def _ask(pod: PodView, state: InPlace, control_key: str) -> None:
    """Find out what a server runs.

    Its answer's version policy is not looked at: Triton goes on answering with the one that a
    version was loaded by. Where there are several versions, those that are served tell.
    """
    served: dict[str, ModelConfig] = {}
    for config in state.wanted:
        try:
            found = await triton.served_config(pod.at(names.HTTP_PORT), config.name)
            if runs(config, found) and await _serves_versions(pod, config, state, control_key):
                served[config.name] = config
        except ServerError as error:
            raise ServerError(_words(pod, config, error)) from error
    state.servers[pod.server_id] = served


async def _serves_versions(
    pod: PodView, config: ModelConfig, state: InPlace, control_key: str
) -> bool:
    """Whether the wanted versions of a model are served and no other; of one there is no doubt."""
    wanted, server = state.versions.get(config.name), pod.at(names.HTTP_PORT)
    return wanted is None or wanted == await _served(server, control_key, config.name)


async def _served(address: str, control_key: str, model: str) -> frozenset[int]:
    """The versions of a model that a server serves."""
    index = await triton.repository_index(address, control_key)
    return frozenset(
        state.version
        for state in index
        if state.name == model and state.ready and state.version is not None
    )


async def _verify(
    address: str, config: ModelConfig, control_key: str, versions: frozenset[int] | None
) -> None:
    served = await triton.served_config(address, config.name)
    if not runs(config, served):
        counts = [group.count for group in served.instance_group]
        raise ServerRefused(f"{address}: it was loaded, but by instance groups of {counts}")
    if versions is not None:
        found = await _served(address, control_key, config.name)
        if found != versions:
            words = f"it was loaded, but serves versions {sorted(found)}, not {sorted(versions)}"
            raise ServerRefused(f"{address}: {words}")
    if not await triton.serves(address, config.name):
        raise ServerError(f"{address}: it was loaded, but is not ready")


def _words(pod: PodView, config: ModelConfig, error: ServerError) -> str:
    return f"pod {pod.name}: models[{config.name}]: {error}"
