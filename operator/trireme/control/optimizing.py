"""Models are optimised by a Job each, of which what it came to is told in the status.

Level-triggered: a pass looks at what the status says, at the Jobs and at their pods, starts what is
not under way, and comes back. What is over for what was asked (the model's source, the samples, the
settings) is never done again; what failed is, later each time, and no more once it failed too often
in a row, until something else is asked or it was switched off. Nothing of an agent that serves is
changed.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from trireme.admission.parse import readable_status
from trireme.api import kinds, names
from trireme.api.agent import AgentDeployment
from trireme.api.backoff import doubled
from trireme.api.conditions import EventReason
from trireme.api.optimization import (
    Destination,
    ModelOptimizationStatus,
    Optimization,
    OptimizationPhase,
    OptimizationStatus,
    OptimizedModel,
    shortened,
)
from trireme.api.optimize import OptimizationPlan
from trireme.api.scalars import format_duration
from trireme.control.apply import is_final, not_ours
from trireme.control.jobs import jobs_with_pods, pods_of
from trireme.control.observed import owned_by, parse_time, trouble
from trireme.control.optimized import Ended, Optimized, ended, told_gain
from trireme.control.store import AgentView, Object, Store
from trireme.edge.cluster import Cluster
from trireme.edge.recorder import Event
from trireme.errors import ClusterError
from trireme.modelrepo.sources import source_files
from trireme.resources.optimization import optimization_objects
from trireme.resources.optimization_plans import (
    config_maps,
    content_digest,
    optimization_plan,
    served_entry,
    wanted,
)
from trireme.resources.options import ResourceOptions

_ACTION = "Optimize"
_FIRST_RETRY = timedelta(minutes=5)
_LONGEST_RETRY = timedelta(minutes=80)  # after the last failure that is tried again
_MOST_FAILURES = 6  # in a row; so many times a Job by default has its pod made anew (backoffLimit)


class Optimizing:
    """Has models optimised, `most_jobs` at a time of all agents; what it knows of one is in the
    agent's view and status.
    """

    def __init__(
        self,
        cluster: Cluster,
        store: Store,
        options: ResourceOptions,
        clock: Callable[[], datetime],
        most_jobs: int,
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._options = options
        self._clock = clock
        self._most_jobs = most_jobs

    async def advance(self, view: AgentView, body: Object, agent: AgentDeployment) -> list[Event]:
        """Start Jobs, take results, write the status where it changed; the Events that it is worth.
        Raises ClusterError.
        """
        state, asked = view.optimization, wanted(agent)
        before = state.told or _told(body)
        if asked is None and not before.models and not state.under_way:
            return []
        known = {each.model: each for each in before.models}
        plans = await self._plans(agent, asked) if asked is not None else {}
        await self._delete_unwanted(view, agent, plans, known)
        found = [] if asked is not None else _kept(agent, before)
        for model in asked.models if asked is not None else ():
            plan = plans[model.model]
            if plan is None:
                found.append(_without_a_source(agent, model, known.get(model.model)))
            else:
                found.append(await self._model(view, agent, model, plan, known.get(model.model)))
        after = OptimizationStatus(models=found)
        if after == before:
            state.told = after
            return []
        text = after.model_dump(mode="json", by_alias=True, exclude_none=True)
        await self._cluster.apply_status(
            kinds.AGENT_DEPLOYMENT,
            body["metadata"],
            {"optimization": text} if after.models else {},
            names.OPTIMIZATION_STATUS_MANAGER,
        )
        state.told = after
        return [event for each in after.models for event in _events(known.get(each.model), each)]

    async def _plans(
        self, agent: AgentDeployment, asked: Optimization
    ) -> dict[str, OptimizationPlan | None]:
        """What is asked of each model's Job; None where a ConfigMap of its sources is not there."""
        plans: dict[str, OptimizationPlan | None] = {}
        for model in asked.models:
            maps = config_maps(agent, model)
            found = {
                what: await self._cluster.get(kinds.CONFIG_MAP, agent.metadata.namespace, name)
                for what, name in maps.items()
            }
            contents = {
                what: content_digest(source_files(each))
                for what, each in found.items()
                if each is not None
            }
            is_whole = len(contents) == len(maps)
            plans[model.model] = optimization_plan(agent, model, contents) if is_whole else None
        return plans

    # ----------------------------------------------------------------------------- one Job

    async def _model(
        self,
        view: AgentView,
        agent: AgentDeployment,
        asked: OptimizedModel,
        plan: OptimizationPlan,
        known: ModelOptimizationStatus | None,
    ) -> ModelOptimizationStatus:
        """How far a model is, after this pass."""
        if known is None or known.digest != plan.digest:
            known = ModelOptimizationStatus(
                model=asked.model, digest=plan.digest, phase=OptimizationPhase.WAITING
            )
        known = known.model_copy(update={"made_from": plan.made_from})
        namespace, uid = agent.metadata.namespace, agent.metadata.uid
        name = names.optimization_job(agent.metadata.name, plan.digest)
        if known.phase.over or not self._is_due(known):
            if name in view.optimization.under_way:  # until the status says what it came to
                if known.phase.over:
                    await self._cluster.delete(kinds.JOB, namespace, name)
                view.optimization.under_way.discard(name)
            return known
        job = await self._cluster.get(kinds.JOB, namespace, name)
        if job is None:
            view.optimization.under_way.discard(name)
            return await self._started(view, agent, asked, plan, known)
        if not owned_by(job, uid):
            return _waiting(known, not_ours(kinds.JOB.name, name).message)
        if "deletionTimestamp" in job["metadata"]:
            return known
        if known.phase is OptimizationPhase.FAILED:  # its time to be tried again has come
            await self._cluster.delete(kinds.JOB, namespace, name)
            return known
        view.optimization.under_way.add(name)
        found = ended(job, await self._pods(view, job, plan))
        if found is None:
            return _running(known, view, job)
        assert agent.spec.optimization is not None  # noqa: S101  # it was asked for
        return self._over(known, found, agent.spec.optimization.put_at)

    def _is_due(self, known: ModelOptimizationStatus) -> bool:
        if known.phase is not OptimizationPhase.FAILED or known.finish_time is None:
            return True
        if known.failures >= _MOST_FAILURES:
            return False
        return self._clock() >= parse_time(known.finish_time) + _delay(known.failures)

    async def _started(
        self,
        view: AgentView,
        agent: AgentDeployment,
        asked: OptimizedModel,
        plan: OptimizationPlan,
        known: ModelOptimizationStatus,
    ) -> ModelOptimizationStatus:
        """A Job, if as many as may be are not under way already."""
        count = sum(_under_way(self._store.view(key)) for key in self._store.agents())
        if count >= self._most_jobs:
            return _waiting(known, f"{count} models are being optimised: it waits for its turn")
        name = names.optimization_job(agent.metadata.name, plan.digest)
        view.optimization.under_way.add(name)  # before anything is awaited: others count it
        try:
            for manifest in optimization_objects(agent, asked, plan, self._options):
                await self._cluster.ensure(manifest)
        except ClusterError as error:
            view.optimization.under_way.discard(name)
            if not is_final(error):
                raise
            return _waiting(known, shortened(f"its Job is refused: {error.message}"))
        return known.model_copy(
            update={"phase": OptimizationPhase.RUNNING, "message": f"Job {name} was made"}
        )

    async def _pods(self, view: AgentView, job: Object, plan: OptimizationPlan) -> list[Object]:
        """The Job's pods; asked for where the watch has not told of one yet."""
        if pods := pods_of(job, view.pods.values()):
            return pods
        label = f"{names.OPTIMIZATION}={names.job_label(plan.digest)}"
        namespace = job["metadata"]["namespace"]
        return pods_of(job, await self._cluster.list(kinds.POD, namespace, label))

    def _over(
        self, known: ModelOptimizationStatus, found: Ended, destination: Destination
    ) -> ModelOptimizationStatus:
        finish_time = self._clock().strftime("%Y-%m-%dT%H:%M:%SZ")
        end = {"finish_time": finish_time, "tried": list(found.tried)}
        if found.failure is not None:
            failures = known.failures + 1
            failed = {
                "phase": OptimizationPhase.FAILED,
                "message": f"{shortened(found.failure)}. {_what_follows(failures)}",
                "failures": failures,
            }
            return known.model_copy(update={**end, **failed})
        if found.optimized is None:
            nothing = {
                "phase": OptimizationPhase.NOTHING_GAINED,
                "message": shortened(found.summary),
                "failures": 0,
            }
            return known.model_copy(update={**end, **nothing})
        return known.model_copy(
            update={**end, **_optimized(known.model, found.optimized, destination)}
        )

    async def _delete_unwanted(
        self,
        view: AgentView,
        agent: AgentDeployment,
        plans: Mapping[str, OptimizationPlan | None],
        known: Mapping[str, ModelOptimizationStatus],
    ) -> None:
        """Jobs of a spec of before: those that this process knows, and those that pods tell of.
        While nothing is asked, those that failed, too: the next one is begun anew.
        What was asked of a model whose ConfigMap is missing is not known now, so its Job stays.
        """
        digests = {
            plan.digest if plan is not None else known[model].digest
            for model, plan in plans.items()
            if plan is not None or model in known
        }
        needed = {names.optimization_job(agent.metadata.name, digest) for digest in digests}
        failed = {
            names.optimization_job(agent.metadata.name, each.digest)
            for each in known.values()
            if not plans and each.phase is OptimizationPhase.FAILED
        }
        begin = names.optimization_job(agent.metadata.name, "")
        of_pods = jobs_with_pods(view.pods.values(), names.OPTIMIZATION, begin)
        for name in (view.optimization.under_way | of_pods | failed) - needed:
            await self._cluster.delete(kinds.JOB, agent.metadata.namespace, name)
            view.optimization.under_way.discard(name)


def _told(body: Object) -> OptimizationStatus:
    """What the status says, whichever process wrote it."""
    return readable_status(body.get("status")).optimization or OptimizationStatus()


def _under_way(view: AgentView) -> int:
    """How many Jobs an agent has; before this process has looked at it, by its status."""
    state = view.optimization
    if state.told is not None or state.under_way or view.body is None:
        return len(state.under_way)
    return sum(each.phase is OptimizationPhase.RUNNING for each in _told(view.body).models)


# --------------------------------------------------------------------------------------- in words


def _running(
    known: ModelOptimizationStatus, view: AgentView, job: Object
) -> ModelOptimizationStatus:
    """Under way, and what keeps it from going on, if something does."""
    name = job["metadata"]["name"]
    waits = next(filter(None, map(trouble, pods_of(job, view.pods.values()))), None)
    message = f"Job {name} runs" if waits is None else f"Job {name} waits: {waits.message}"
    return known.model_copy(
        update={"phase": OptimizationPhase.RUNNING, "message": shortened(message)}
    )


def _waiting(known: ModelOptimizationStatus, message: str) -> ModelOptimizationStatus:
    return known.model_copy(update={"phase": OptimizationPhase.WAITING, "message": message})


def _without_a_source(
    agent: AgentDeployment, asked: OptimizedModel, known: ModelOptimizationStatus | None
) -> ModelOptimizationStatus:
    """What is known stays: a ConfigMap may be away for a moment only, while others write it."""
    if known is None:
        known = ModelOptimizationStatus(
            model=asked.model, digest="", phase=OptimizationPhase.WAITING
        )
    if not known.phase.going_on:
        return known
    named = " and ".join(sorted(config_maps(agent, asked).values()))
    words = f"waits for the ConfigMap {named}, which does not exist: create it"
    return known.model_copy(update={"message": words})


def _kept(agent: AgentDeployment, before: OptimizationStatus) -> list[ModelOptimizationStatus]:
    """What is over of the models that are named still, while nothing is to be done for them. What
    failed is tried at once when it is switched on again: a person has looked.
    """
    settings = agent.spec.optimization
    named = {each.model for each in settings.models} if settings is not None else set()
    return [each for each in before.models if each.model in named and each.phase.over]


def _optimized(model: str, found: Optimized, destination: Destination) -> Mapping[str, object]:
    return {
        "phase": OptimizationPhase.OPTIMIZED,
        "message": shortened(told_gain(found.gain)),
        "failures": 0,
        "gain": found.gain,
        "uri": found.uri,
        "sha256": found.sha256,
        "entry": served_entry(destination, model, found.uri, found.files),
    }


def _events(before: ModelOptimizationStatus | None, after: ModelOptimizationStatus) -> list[Event]:
    """What became different of a model, if it is worth an Event."""
    same = before is not None and before.digest == after.digest
    if (
        before is not None
        and same
        and (before.phase, before.failures)
        == (
            after.phase,
            after.failures,
        )
    ):
        return []
    match after.phase:
        case OptimizationPhase.RUNNING:
            note = f"{after.model}: a Job searches for a cheaper form of it that answers as before"
            return [Event(EventReason.OPTIMIZATION_STARTED, note, _ACTION)]
        case OptimizationPhase.OPTIMIZED:
            note = (
                f"{after.model}: {after.message}. To serve it, have in spec.models:\n{after.entry}"
            )
            return [Event(EventReason.OPTIMIZATION_FINISHED, note, _ACTION)]
        case OptimizationPhase.NOTHING_GAINED:
            note = f"{after.model}: {after.message}"
            return [Event(EventReason.NOTHING_GAINED, note, _ACTION)]
        case OptimizationPhase.FAILED:
            note = f"{after.model}: {after.message}"
            return [Event(EventReason.OPTIMIZATION_FAILED, note, _ACTION, warning=True)]
        case OptimizationPhase.WAITING:
            return []


def _what_follows(failures: int) -> str:
    """When what failed is tried again, or what has it tried again."""
    if failures < _MOST_FAILURES:
        later = format_duration(_delay(failures))
        return f"Failure {failures} of {_MOST_FAILURES}: it is tried again after {later}"
    return (
        f"It failed {failures} times in a row and is not tried again until its source, its samples "
        "or the settings are others, or spec.optimization.mode was Disabled meanwhile"
    )


def _delay(failures: int) -> timedelta:
    """5, 10, 20 ... minutes."""
    return doubled(_FIRST_RETRY, _LONGEST_RETRY, failures)
