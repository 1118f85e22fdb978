"""One pass over one agent: spec → repository → objects → applied, then observed and reported.

Level-triggered: a pass looks at what is, whatever the event was. It may end at any line and be
begun again by another process; what it needs to know is in the cluster.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from trireme.admission.examine import examine
from trireme.admission.parse import parse_agent, readable_status
from trireme.admission.sources import SourceNotFound
from trireme.api import kinds, names
from trireme.api.conditions import ConditionType, EventReason, Reason
from trireme.api.fetch import FetchProgress, FetchReason
from trireme.api.node_cache import NodeCacheKey
from trireme.api.types import AgentDeployment, AgentSpec, AgentStatus
from trireme.control import adopting, events, in_place, status
from trireme.control.apply import Applier, child_id, is_final
from trireme.control.jobs import pods_of_jobs
from trireme.control.observed import (
    DeploymentView,
    PodView,
    deployment_view,
    kept,
    owned_by,
    pods_known,
)
from trireme.control.optimizing import Optimizing
from trireme.control.preflight import Preflight, described
from trireme.control.queue import Key, Work, WorkQueue
from trireme.control.recorded import live_sources, remembered
from trireme.control.store import Accepted, AgentView, ChildId, Refused, Store
from trireme.control.trial import (
    Course,
    Trial,
    candidate_pods,
    has_pods,
    is_over,
    words_of_rollback,
    words_of_trial,
)
from trireme.edge import triton
from trireme.edge.cluster import Cluster, Object
from trireme.edge.fetcher import fetch_progress
from trireme.edge.metrics import Metrics
from trireme.edge.recorder import Event, Recorder, Regarding
from trireme.errors import ClusterError, InvalidSpec, ServerError
from trireme.modelrepo.render import render
from trireme.modelrepo.repository import Repository
from trireme.resources.change import Running, change
from trireme.resources.control import OperatorKey, control_secret
from trireme.resources.desired import desired_objects
from trireme.resources.initial_size import initial_sizes
from trireme.resources.node_cache import (
    missing_node_cache,
    node_cache_secret,
    wants_node_cache,
)
from trireme.resources.options import ResourceOptions
from trireme.resources.pod_sets import pod_sets
from trireme.rollout.adoption import Adoptions

logger = logging.getLogger(__name__)

_FETCHERS_ASKED = 4
_ASK_AGAIN_SECONDS = 5.0  # while pods start, Triton is asked this often what it is doing
_NAMESPACE_ENDS = "because it is being terminated"


@dataclass(frozen=True, slots=True)
class Keys:
    """What agents' keys are derived from, and their tokens, where nodes have a cache."""

    control: OperatorKey
    node_cache: NodeCacheKey | None = None


class Reconciler:
    """Works keys off the queue."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        store: Store,
        queue: WorkQueue,
        in_place: WorkQueue,
        recorder: Recorder,
        metrics: Metrics,
        options: ResourceOptions,
        keys: Keys,
        clock: Callable[[], datetime],
        optimizer_jobs: int,
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._queue = queue
        self._in_place = in_place
        self._recorder = recorder
        self._metrics = metrics
        self._options = options
        self._keys = keys
        self._clock = clock
        self._preflight = Preflight(cluster, options, clock)
        self._applier = Applier(cluster, store)
        self._trial = Trial(cluster, self._applier, options, clock)
        self._adopting = adopting.Adopting(cluster, clock)
        self._optimizing = Optimizing(cluster, store, options, clock, optimizer_jobs)

    async def handle(self, key: Key, work: Work) -> None:
        """One pass; never raises: what failed is tried again later."""
        with self._metrics.reconcile_seconds.time():
            try:
                await self._pass(key, work)
            except ClusterError as error:
                logger.warning("%s: %s", key, error)
                result = "retry"
                await self._queue.add_failed(key, work)
            except Exception:
                logger.exception("%s: the pass failed", key)
                result = "error"
                await self._queue.add_failed(key, work)
            else:
                result = "done"
                self._queue.forgive(key)
        self._metrics.reconciliations.labels(result).inc()

    async def _pass(self, key: Key, work: Work) -> None:
        view = self._store.view(key)
        if view.body is None or "deletionTimestamp" in view.body["metadata"]:
            self._store.forget(key)  # the owner references delete the children
            return
        if view.written is None or Work.APPLY in work:
            await self._catch_up(key, view)
        if view.body is None:
            return
        # An edit is in the view before its work is on the queue.
        is_judged = view.judged == view.body["metadata"]["generation"]
        is_new = not is_judged or view.accepted is None or view.preflight.waiting
        if Work.APPLY in work or is_new or is_over(view):
            await self._apply_generation(key, view, view.body)
        await self._report(key, view)
        if view.apply_failure is not None and Work.APPLY in work:
            raise view.apply_failure
        await self._prune(key, view, view.body["metadata"]["uid"])
        is_due = Work.APPLY in work or view.optimization.under_way
        if is_due and view.applied is not None and view.asked is not None:
            told = await self._optimizing.advance(view, view.body, view.asked)
            await self._emit(key, told)

    async def _catch_up(self, key: Key, view: AgentView) -> None:
        """Ask for what the watches have not told yet, or never will: kopf does not tell what went
        while a watch was interrupted.
        """
        live = await self._cluster.get(kinds.AGENT_DEPLOYMENT, key.namespace, key.name)
        body = view.body
        assert body is not None  # noqa: S101  # _pass has looked
        if live is None or live["metadata"]["uid"] != body["metadata"]["uid"]:
            if self._store.view(key) is view:
                self._store.agent_event(body, deleted=True)
            view.body = None
            return
        if not view.servers.bodies:
            selector = f"{names.AGENT}={key.name}"
            for server in await self._cluster.list(kinds.DEPLOYMENT, key.namespace, selector):
                if owned_by(server, body["metadata"]["uid"]):
                    kind = kinds.DEPLOYMENT  # which the items of a list do not say
                    told = {"apiVersion": kind.api_version, "kind": kind.name, **server}
                    self._store.learn(key, told)
        await self._align_pods(key, view)

    async def _align_pods(self, key: Key, view: AgentView) -> None:
        """Ask for the pods where more or fewer are known than the Deployments count."""
        known = {name: pod["metadata"]["uid"] for name, pod in view.pods.items()}
        if len(known) - len(pods_of_jobs(view.pods.values())) == view.existing_pods:
            return
        listed = await self._cluster.list(kinds.POD, key.namespace, f"{names.OWNER}={key.name}")
        alive = {pod["metadata"]["uid"] for pod in listed}
        for name, uid in known.items():
            if uid not in alive and name in view.pods and view.pods[name]["metadata"]["uid"] == uid:
                del view.pods[name]
        for pod in listed:
            view.pods.setdefault(pod["metadata"]["name"], kept(pod))

    async def _apply_generation(self, key: Key, view: AgentView, body: Object) -> None:
        """Accept or refuse the spec as it is now; what was last accepted is applied, so that drift
        is repaired while an edit is refused, by whatever process.
        """
        course = await self._course(view, body)
        await self._emit(key, await self._adopting.write(key, view))
        if isinstance(course, Refused):
            view.refused = view.refused or course
            await self._trial.withdraw(key, view, body["metadata"]["uid"])
        elif course is not None:
            await self._compare(key, view, body, course.accepted)
            view.accepted = course.accepted
            await self._emit(key, course.events)
        view.judged = body["metadata"]["generation"]
        if view.accepted is None:
            return
        failure = None  # what failed before is known until this is over
        try:
            await self._apply(key, view, view.accepted)
        except ClusterError as error:
            if _NAMESPACE_ENDS not in error.message:  # else the agent goes with it
                failure = error
        view.apply_failure = failure

    # ---------------------------------------------------------------------------- accepting

    async def _course(self, view: AgentView, body: Object) -> Course | Refused | None:
        """What becomes of the spec as it is now; of a setting that was taken back, without it."""
        may_begin = True
        while True:
            new, candidate = await self._accept(view, body, may_begin=may_begin), None
            if isinstance(new, Refused):
                view.refused = new
                view.accepted = view.accepted or await remembered(self._cluster, body)
            else:
                view.refused, candidate = None, new
            course = await self._trial.course(view, body, candidate)
            if not isinstance(course, Course) or (candidate is not None and not candidate.tries):
                return course
            if not self._adopting.settle(view, course):
                return course
            may_begin = False  # else what cannot be tried would be begun again

    async def _accept(
        self, view: AgentView, body: Object, *, may_begin: bool
    ) -> Accepted | Refused:
        """The spec as the user wrote it, with Trireme's own settings as far as it is not refused
        for them; one more of these `may_begin`. An edit that is refused changes nothing of them.
        """
        adopting.recall(view, body)
        before = view.adoption.present
        try:
            agent = parse_agent(body)
        except InvalidSpec as error:
            return Refused(Reason.INVALID_SPEC, str(error))
        self._adopting.look(view, body, agent, may_begin=may_begin)
        found = await self._examined(view, body, agent, view.adoption.present, inspects=True)
        if isinstance(found, Refused):
            found = await self._accept_without(view, body, agent, found)
        if isinstance(found, Refused):
            view.adoption.present = before
        else:
            view.asked = agent
        return found

    async def _accept_without(
        self, view: AgentView, body: Object, agent: AgentDeployment, refused: Refused
    ) -> Accepted | Refused:
        """A spec that is refused, without the setting that it is refused for, if it is for one."""
        for less, after in self._adopting.fallbacks(view, refused):
            found = await self._examined(view, body, agent, less, inspects=False)
            if isinstance(found, Accepted):
                view.adoption.present = after
                return found
        return refused

    async def _examined(
        self,
        view: AgentView,
        body: Object,
        agent: AgentDeployment,
        adoptions: Adoptions,
        *,
        inspects: bool,
    ) -> Accepted | Refused:
        """What a spec is with these settings; where it is only asked whether it would do, nothing
        is inspected anew.
        """
        try:
            agent = adopting.with_settings(agent, adoptions)
            sources = await live_sources(self._cluster, agent)
            examined = examine(agent.spec, sources)
            if examined.faults:
                raise InvalidSpec(examined.faults)
            inspected = self._preflight.inspected if inspects else self._preflight.known
            fetched = await inspected(view, body, agent)
            if isinstance(fetched, Refused):
                return fetched
            examined = examine(agent.spec, sources, fetched)
            if examined.faults:
                if inspects:
                    self._preflight.doubt(view, agent)
                raise InvalidSpec(examined.faults)
            if inspects:
                self._preflight.trust(view)
        except InvalidSpec as error:
            awaited = all(isinstance(fault, SourceNotFound) for fault in error.faults)
            reason = Reason.SOURCE_NOT_FOUND if awaited else Reason.INVALID_SPEC
            return Refused(reason, str(error))
        present = {name: files for name, files in sources.items() if files is not None}
        completed = agent.model_copy(update={"spec": examined.spec})
        repository = render(examined.spec, present)
        warnings = (*examined.warnings, *missing_node_cache(completed, self._options))
        tries = adopting.tries(adoptions)
        return Accepted(completed, repository, warnings, examined.inspections, tries)

    async def _compare(self, key: Key, view: AgentView, body: Object, accepted: Accepted) -> None:
        """Know what differs from what the pods run, so that it can be told what becomes of them."""
        before = view.accepted
        if before is None and _is_moved(readable_status(body.get("status")), accepted.repository):
            before = await remembered(self._cluster, body)
        if before is None or _running(before) == _running(accepted):
            return
        view.replaced = view.replaced or before
        view.change = change(_running(view.replaced), _running(accepted), self._options)

    # ----------------------------------------------------------------------------- applying

    async def _apply(self, key: Key, view: AgentView, accepted: Accepted) -> None:
        """Apply every child; make a server Deployment with a size, later leave its size alone. A
        canary's come last, so that nothing of it holds up the others, and go first.
        """
        agent = accepted.agent
        share = await self._trial.share(key, view, agent)
        await self._trial.withdraw(key, view, agent.metadata.uid)
        live = await self._applier.live(key, [pods.name for pods in pod_sets(agent)])
        running = {**view.servers.bodies, **live}
        sizes = initial_sizes(agent, view.desired_replicas, running, view.desired_by_class)
        objects = desired_objects(
            agent,
            accepted.repository,
            self._options,
            initial_replicas=sizes,
            through_gateway=not _leads_past_gateway(key, view) or _gateway_is_ready(key, view),
            share=share,
            rolled_back=view.rolled_back.digest if view.rolled_back else "",
        )
        await self._applier.refuse_foreign(key, view, agent.metadata.uid, objects)
        await self._ensure_secrets(view, agent)
        if not await self._applier.apply(key, objects, live, sizes):
            await self._queue.add(key, Work.APPLY)
            return
        record = (kinds.CONFIG_MAP.name, names.inspected_record(key.name))
        wanted = frozenset({record, *map(child_id, objects)})
        await self._apply_canary(key, view, wanted)
        if view.canary is not None and has_pods(view.canary) and not view.canary.is_reachable:
            delay = share.follows_in(self._clock()).total_seconds()
            await self._queue.add_after(delay, key, Work.APPLY)
        if view.applied is None or view.applied.repository != accepted.repository:
            view.in_place.wanted = in_place.wanted_configs(accepted.repository)
            view.in_place.versions = in_place.wanted_versions(accepted.repository)
            view.in_place.failure = None  # of something else
            self._in_place.forgive(key)
        view.applied = accepted
        if sizes:
            await self._queue.add(key, Work.APPLY)  # once more, to leave the size to its owner
            for pods in pod_sets(agent):
                is_new = pods.node_class and pods.node_class not in (view.desired_by_class or {})
                if pods.name in sizes and not is_new:
                    await self._tell_repair(key, view, pods.name, sizes[pods.name])

    async def _ensure_secrets(self, view: AgentView, agent: AgentDeployment) -> None:
        """Create the Secrets that the pods mount or name.

        They are not watched, for the operator may read no Secret: that one is gone shows in pods.
        """
        secrets = [control_secret(agent, self._keys.control)]
        if self._keys.node_cache is not None and wants_node_cache(agent):
            secrets.append(node_cache_secret(agent, self._keys.node_cache))
        for secret in secrets:
            name = secret["metadata"]["name"]
            if name not in view.secrets or _some_container_fails(view):
                await self._cluster.ensure(secret)
                view.secrets.add(name)

    async def _apply_canary(self, key: Key, view: AgentView, wanted: frozenset[ChildId]) -> None:
        """Apply what a canary has besides."""
        canary = view.canary
        if canary is not None and has_pods(canary):
            await self._ensure_secrets(view, canary.candidate.agent)
        applied = await self._trial.apply(key, view, wanted)
        view.wanted = wanted | applied.children
        if applied.again:
            await self._queue.add(key, Work.APPLY)
        for name, size in applied.sizes.items():
            if canary is not None and canary.is_made:
                await self._tell_repair(key, view, name, size)
        if canary is not None:
            canary.is_made = True

    async def _tell_repair(self, key: Key, view: AgentView, name: str, size: int) -> None:
        body = view.body
        assert body is not None  # noqa: S101  # _pass has looked
        if readable_status(view.written or body.get("status")).repository_digest:
            note = f"Deployment {name} was gone: made again with {size} replicas"
            event = Event(EventReason.DRIFT_REPAIRED, note, "Reconcile", warning=True)
            await self._emit(key, [event])

    async def _prune(self, key: Key, view: AgentView, uid: str) -> None:
        """Delete children no longer wanted; configurations only once nothing mounts them.

        A rollout ends in a pass that only observes, so every pass looks.
        """
        if view.wanted is None or view.apply_failure is not None:
            return
        settled = all(
            (body := view.children.get(child)) is not None and deployment_view(body).rolled_out
            for child in view.wanted
            if child[0] == kinds.DEPLOYMENT.name
        )
        emptying = {
            name
            for name, body in view.servers.bodies.items()
            if (kinds.DEPLOYMENT.name, name) not in view.wanted and _has_pods(body)
        }
        is_mounted = (
            not settled or bool(emptying) or bool(view.canary_pods and not has_pods(view.canary))
        )
        for child, body in list(view.children.items()):
            if child in view.wanted or not owned_by(body, uid):
                continue
            kind, name = child
            if name in emptying and kind == kinds.DEPLOYMENT.name:
                continue  # the autoscaler says when others carry the load
            if kind != kinds.CONFIG_MAP.name or not is_mounted:
                await self._applier.delete(key, view, child)

    # ---------------------------------------------------------------------------- reporting

    async def _report(self, key: Key, view: AgentView) -> None:
        """Observe, write the status once where it changed, then post the Events it is worth."""
        body, generation = view.body, view.judged  # which need not be the body's any more
        assert body is not None and generation is not None  # noqa: S101, PT018  # _pass has looked
        now = self._clock()
        running = view.accepted
        spec = running.agent.spec if running else None
        pods = view.stable_pods
        if view.written is None and not pods_known(view.servers.together, pods):
            await self._queue.add_after(_ASK_AGAIN_SECONDS, key, Work.OBSERVE)
            return  # just started: what an earlier process wrote is better than half a view
        before = readable_status(view.written or body.get("status"))
        observed = await self._observe(key, view, body["metadata"]["uid"], pods, before)
        await self._look_at_canary(view, body["metadata"]["uid"], key)
        warned = "\n".join(map(str, running.warnings)) if running and not view.refused else ""
        verdict = _verdict(view.refused, warned)
        found = status.findings(generation, before, verdict, observed)
        conditions = status.dated(found, before.conditions, generation, now)
        digest, live_digest = before.repository_digest, before.live_digest
        if running is not None and view.apply_failure is None:
            digest = running.repository.digest
            if status.is_done(before, observed):
                live_digest = running.repository.live_digest
        models = status.model_statuses(_model_names(spec), pods, observed.models, observed.fetches)
        after = status.written(
            AgentStatus(
                observed_generation=generation,
                conditions=conditions,
                replicas=sum(not pod.terminating for pod in view.server_pods),
                ready_replicas=sum(pod.ready_since is not None for pod in view.server_pods),
                selector=status.selector(key.name),
                repository_digest=digest,
                live_digest=live_digest,
                models=described(models, running, before.models if view.refused else ()),
            )
        )
        if after != (view.written or status.written(before)):
            await self._cluster.apply_status(
                kinds.AGENT_DEPLOYMENT, key.namespace, key.name, after, names.STATUS_MANAGER
            )
            view.written = after
            story = events.Story(digest, live_digest, view.change, len(pods), warned)
            await self._emit(key, events.transitions(before, conditions, story))
        view.written = after
        if found[ConditionType.READY].status:
            view.replaced = view.change = None
        await self._continue_in_place(key, view)
        await self._trial.forget(key, view, body)
        if view.preflight.waiting:
            await self._queue.add_after(_ASK_AGAIN_SECONDS, key, Work.APPLY)
        if found[ConditionType.RECONCILING].status or not found[ConditionType.MODELS_READY].status:
            await self._queue.add_after(_ASK_AGAIN_SECONDS, key, Work.OBSERVE)
        if (
            spec
            and spec.gateway.enabled
            and _leads_past_gateway(key, view)
            and _gateway_is_ready(key, view)
        ):
            await self._queue.add(key, Work.APPLY)

    async def _observe(
        self,
        key: Key,
        view: AgentView,
        uid: str,
        pods: tuple[PodView, ...],
        before: AgentStatus,
    ) -> status.Observed:
        failure, running = view.apply_failure, view.accepted
        gateway = view.deployment(names.gateway(key.name))
        return status.Observed(
            server=_servers(view),
            gateway=deployment_view(gateway) if gateway else None,
            gateway_wanted=running.agent.spec.gateway.enabled
            if running
            else bool(view.gateway_pods),
            pods=pods,
            gateway_pods=view.gateway_pods,
            models=await self._ask_starting(
                pods, self._keys.control.of_agent(uid), running.repository if running else None
            ),
            apply_failure=failure.message if failure else None,
            apply_final=failure is not None and is_final(failure),
            in_place=in_place.progress(view, before),
            may_be_empty=running is not None and status.may_be_empty(running.agent.spec),
            fetches=await _ask_fetchers(pods),
            trial=words_of_trial(view),
            rolled_back=words_of_rollback(view),
        )

    async def _look_at_canary(self, view: AgentView, uid: str, key: Key) -> None:
        """Leave in it what its pods cannot start by, for the analysis to take it back."""
        canary, pods = view.canary, candidate_pods(view)
        deployment = view.deployment(names.canary(key.name))
        if canary is None or deployment is None or canary.fault:
            return
        told = status.Observed(
            server=deployment_view(deployment),
            gateway=None,
            gateway_wanted=False,
            pods=pods,
            gateway_pods=(),
            models=await self._ask_starting(
                pods, self._keys.control.of_agent(uid), canary.candidate.repository
            ),
        )
        canary.fault = status.fault(told)

    async def _continue_in_place(self, key: Key, view: AgentView) -> None:
        """Have servers asked and changed; what failed is tried again by itself, later each time."""
        if view.applied is None or view.in_place.failure is not None:
            return
        repository = view.applied.repository
        pods = in_place.serving_pods(view, repository)
        to_change = in_place.differing(view.in_place, pods) and in_place.may_change(view)
        if to_change or in_place.unknown(view.in_place, pods):
            await self._in_place.add(key, Work.APPLY)

    async def _ask_starting(
        self, pods: tuple[PodView, ...], control_key: str, repository: Repository | None
    ) -> dict[str, tuple[triton.ModelState, ...]]:
        """What Triton says in the pods that run but are not ready, also by leaving a model out."""
        starting = [p for p in pods if p.running and p.address and p.ready_since is None]
        answers = await asyncio.gather(*(self._ask(pod, control_key) for pod in starting))
        return {
            pod.name: status.with_unlisted(listed, _held(pod, repository))
            for pod, listed in zip(starting, answers, strict=True)
            if listed is not None
        }

    async def _ask(self, pod: PodView, control_key: str) -> tuple[triton.ModelState, ...] | None:
        if pod.terminating:
            return None
        try:
            return await triton.repository_index(f"{pod.address}:{names.HTTP_PORT}", control_key)
        except ServerError:
            return None  # it opens its port only after the first loads: nothing is known yet

    async def _emit(self, key: Key, found: Iterable[Event]) -> None:
        body = self._store.view(key).body
        if body is not None:
            regarding = Regarding(key.namespace, key.name, body["metadata"]["uid"])
            for event in found:
                await self._recorder.emit(regarding, event, self._clock())


def _held(pod: PodView, repository: Repository | None) -> tuple[str, ...]:
    """The models of a pod's repository; none of one that is not known here, of before an edit."""
    if repository is None or pod.repository_digest != repository.digest:
        return ()
    return tuple(model.name for model in repository.models)


async def _ask_fetchers(pods: Iterable[PodView]) -> tuple[FetchProgress, ...]:
    """How far the fetchers are that answer, of a few pods: they all bring the same."""
    addresses = [p.address for p in pods if p.fetching and p.address and not p.terminating]
    answers = await asyncio.gather(*map(_ask_fetcher, addresses[:_FETCHERS_ASKED]))
    return tuple(answer for answer in answers if answer is not None)


async def _ask_fetcher(address: str) -> FetchProgress | None:
    try:
        return await fetch_progress(address)
    except ServerError:
        return None  # it only just began, or has just ended


def _running(accepted: Accepted) -> Running:
    return Running(accepted.agent, accepted.repository)


def _is_moved(told: AgentStatus, repository: Repository) -> bool:
    """Whether a status tells of another repository than this."""
    return bool(told.repository_digest) and (
        (told.repository_digest, told.live_digest) != (repository.digest, repository.live_digest)
    )


def _verdict(refused: Refused | None, warned: str) -> status.Verdict:
    if refused is not None:
        if refused.reason is Reason.INSPECTING:
            return status.Verdict(None, refused.reason, refused.message, heals=True)
        if isinstance(refused.reason, FetchReason):
            heals = refused.reason.transient
        else:
            heals = refused.reason is Reason.SOURCE_NOT_FOUND
        return status.Verdict(False, refused.reason, refused.message, heals)
    if warned:
        return status.Verdict(
            True, Reason.VALID, f"the spec has no faults, but warnings:\n{warned}"
        )
    return status.Verdict(True, Reason.VALID, "the spec has no faults")


def _leads_past_gateway(key: Key, view: AgentView) -> bool:
    """Whether the Service that clients use leads to the servers themselves."""
    service = view.children.get((kinds.SERVICE.name, names.service(key.name)))
    return service is not None and names.AGENT in service["spec"].get("selector", {})


def _gateway_is_ready(key: Key, view: AgentView) -> bool:
    gateway = view.deployment(names.gateway(key.name))
    return gateway is not None and deployment_view(gateway).ready > 0


def _some_container_fails(view: AgentView) -> bool:
    pods = view.server_pods
    return any(p.trouble is not None and p.trouble.reason is Reason.CONTAINER_FAILED for p in pods)


def _has_pods(deployment: Object) -> bool:
    seen = deployment_view(deployment)
    return seen.replicas > 0 or seen.existing > 0


def _servers(view: AgentView) -> DeploymentView | None:
    """All Deployments of server pods as one; None where one that is wanted does not exist yet. One
    that is not wanted any more is as a template of before.
    """
    servers, running = view.servers, view.accepted
    seen = servers.together
    if running is None or seen is None:
        return seen
    wanted = {pods.name for pods in running.pod_sets}
    if not wanted <= servers.views.keys():
        return None
    return (
        seen
        if servers.views.keys() <= wanted
        else replace(seen, only_latest=False, rolled_out=False)
    )


def _model_names(spec: AgentSpec | None) -> list[str]:
    return [*(m.name for m in spec.models), *(p.name for p in spec.pipelines)] if spec else []
