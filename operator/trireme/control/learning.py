"""Learning what a pod can do while it serves, beside the scaling rounds.

Of each set of pods of an agent that is scaled by its objectives, one ready pod is asked for
Triton's statistics once a minute, and every 15 s while a curve is still to be learnt from what is
executed: pods of another sort have another curve. A server that does not answer takes nothing away
that is known; that some looks in a row failed is told, and from then on it is asked less often,
since a closed port is waited for, and others are to have their turn. What follows from a new curve
is searched in a thread, one search at a time: the rounds go on meanwhile by what was known, and so
do the looks. Of a pipeline its steps' models are learnt. The time between batches and a better knob
are sought last, one at a time too, and what a pod sustains never waits for either: the knobs of a
pipeline of five steps take three seconds of a processor.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from trireme.api import names
from trireme.api.agent import AgentSpec
from trireme.api.backoff import doubled
from trireme.api.scaling_status import CurveSource, ScalingStatus, UnansweredStatus
from trireme.api.server import Server
from trireme.autoscaler import gap
from trireme.autoscaler.capacity import (
    LearntCurve,
    Statistics,
    calls_per_request,
    capacity,
    kept,
    learn,
    pipeline_capacity,
)
from trireme.autoscaler.contention import LearntContention, Seen, busy_share, contention
from trireme.autoscaler.lead_time import LOAD_METRIC, loads
from trireme.autoscaler.memory import curves_from_status, pipelines_from_status
from trireme.autoscaler.policy import policy_of
from trireme.autoscaler.types.capacity import Capacity, OutOfReach
from trireme.autoscaler.types.policy import ObjectivePolicy
from trireme.autoscaler.types.serving import ServedPipeline, Serving
from trireme.control import advising
from trireme.control.agent_state import Accepted, Asked, Learning, Searched, Unanswered
from trireme.control.in_place import serving_pods, settled_pods, unknown
from trireme.control.observed import PodView
from trireme.control.queue import Key
from trireme.control.rounds import keep_beginning
from trireme.control.status import format_time
from trireme.control.store import AgentView, Store
from trireme.edge import triton
from trireme.edge.metrics import Metrics
from trireme.edge.pod_metrics import PodMetrics
from trireme.errors import ServerError, ServerRefused
from trireme.modelrepo.instances import instances_per_pod
from trireme.modelrepo.render import model_digest, uncounted_digest
from trireme.modelrepo.repository import Repository
from trireme.resources.monitoring import SERVER_METRICS_PATH
from trireme.resources.pod_sets import PodSet

logger = logging.getLogger(__name__)

SURE = timedelta(seconds=60)
_UNSURE = timedelta(seconds=15)
_TICK_SECONDS = 5.0
FIRST = timedelta(minutes=1)  # of a pod's: caches fill, kernels are compiled, and it is slower
_EARLIER_FOR = timedelta(minutes=30)  # of no learning: it serves little, or by no curve
_EARLIER = CurveSource.EARLIER
_LOADS = frozenset({LOAD_METRIC})
_GAP_AGAIN = timedelta(minutes=5)  # when half of the intervals are others
_KEPT_INTERVALS = 10  # ten minutes of a curve that is sure
_ASKED_AT_ONCE = 16
_MOST_SELDOM = timedelta(minutes=10)
_COMPARED = 1000  # batches: their mean strays by a thirtieth of what one does
_TOLD_LOOKS = 3  # that failed: two minutes, when a server that starts or ends does not
_LONGEST_WHY = 200  # characters of a server's own words


def known(view: AgentView, pods: PodSet) -> Learning:
    """What is known of a set of pods, of the present repository, what changes in place included,
    and server. Of another one it is what was learnt of the models that are the same in both, and
    the curves of the others as earlier ones.
    """
    assert view.accepted is not None  # noqa: S101  # who scales has looked
    repository, before = view.accepted.repository, view.learning.get(pods.name)
    server = pods.agent.spec.server
    if before is not None and (before.repository_digest, before.live_digest, before.server) == (
        repository.digest,
        repository.live_digest,
        server,
    ):
        before.server = server  # each pass makes an equal one; the same one is compared at once
        return before
    learning = unlearnt(repository, server)
    digests, uncounted = learning.model_digests, learning.uncounted_digests
    if before is None:
        return learning
    learning.unanswered = before.unanswered
    if before.server == server:
        learning.server_id = before.server_id  # another node has other times
    same = {model for model in digests if before.model_digests.get(model) == digests[model]}
    _take_contentions(learning, before.contentions)
    for model in before.curves.keys() & digests.keys():
        learning.curves[model] = _taken(learning, pods, model, before.curves[model], model in same)
    for model in digests:
        if before.uncounted_digests.get(model) == uncounted[model]:
            seen = before.references.get(model)
            if model not in same:
                seen = seen_of(before, model, before.curves.get(model)) or seen
            if seen is not None:
                learning.references[model] = seen
    for name in before.capacities.keys() & before.searched.keys() & same:
        searched = before.searched[name]
        if searched.curves.keys() <= same:
            learning.searched[name] = searched
            learning.capacities[name] = before.capacities[name]
            if searched.calls:
                learning.calls[name] = searched.calls
    return learning


def unlearnt(repository: Repository, server: Server) -> Learning:
    """What is known of pods of which nothing is."""
    return Learning(
        repository.digest,
        repository.live_digest,
        server,
        {each.name: model_digest(each) for each in repository.models},
        uncounted_digests={each.name: uncounted_digest(each, server) for each in repository.models},
    )


def _take_contentions(learning: Learning, before: Mapping[str, LearntContention]) -> None:
    """What instances cost each other stays known of what but for their number is the same."""
    for model, known in before.items():
        if known.digest == learning.uncounted_digests.get(model):
            learning.contentions[model] = known


def _taken(
    learning: Learning, pods: PodSet, model: str, curve: LearntCurve, is_same: bool
) -> LearntCurve:
    """A curve that was learnt before. Of a model that is not the same it is an earlier one; of
    other instances alone that is of as many as there are now, where it is known what they cost each
    other.
    """
    taken = replace(curve, contention=learning.contentions.get(model))
    if is_same:
        return taken
    earlier, spec = replace(taken, source=_EARLIER), pods.agent.spec
    served = spec.model_named(model)
    return earlier.of_instances(instances_per_pod(served, spec.server)) if served else earlier


def seen_of(learning: Learning, model: str, curve: LearntCurve | None) -> Seen | None:
    """What was seen of a model with the instances that it has; None where that is nothing sure, or
    too little to compare it with that of another number.
    """
    if curve is None or curve.instances is None or curve.source is not CurveSource.BATCHES:
        return None
    if curve.executions < _COMPARED and not is_full(learning, model):
        return None
    timed = [(each.batches, each.elapsed_seconds) for each in learning.intervals.get(model, ())]
    busy = busy_share(timed, curve.instances)
    return Seen(curve.curve, curve.instances, curve.executions, busy)


def _with_contention(learning: Learning, model: str, curve: LearntCurve) -> LearntCurve:
    """A curve with what its instances cost each other, once enough is seen of them beside another
    number of them. That is learnt once: it is of the model, and a look differs from the next.
    """
    reference, seen = learning.references.get(model), seen_of(learning, model, curve)
    if reference is not None and seen is not None:
        found = contention(reference, seen, learning.uncounted_digests[model])
        if found is not None:
            del learning.references[model]
            learning.contentions[model] = found
    return replace(curve, contention=learning.contentions.get(model))


def capacities(view: AgentView, pods: PodSet) -> dict[str, Capacity | OutOfReach]:
    """What a pod of a set is known to sustain now. A copy: what a decision stood on is replayed as
    it was, whatever is learnt after it.
    """
    return dict(known(view, pods).capacities)


def restored(view: AgentView, pods: PodSet, status: ScalingStatus | None) -> Learning:
    """What an earlier process had learnt of a set of pods."""
    learning = known(view, pods)
    if status is not None and (failing := status.unanswered) is not None:
        since = datetime.fromisoformat(failing.since)
        learning.unanswered = Unanswered(since, failing.looks, failing.message)
    learning.loads = {load.model: load.seconds for load in status.loads} if status else {}
    told_of = curves_from_status(status, learning.model_digests)
    _take_contentions(
        learning, {m: curve.contention for m, (curve, _) in told_of.items() if curve.contention}
    )
    for model, (curve, sustained) in told_of.items():
        is_same = curve.source is not _EARLIER
        learning.curves[model] = _taken(learning, pods, model, curve, is_same)
        if sustained is not None:
            learning.capacities[model] = sustained
    told = pipelines_from_status(status, learning.repository_digest, learning.curves)
    for pipeline, (calls, sustained) in told.items():
        learning.calls[pipeline] = calls
        if sustained is not None:
            learning.capacities[pipeline] = sustained
    return learning


def is_full(learning: Learning, model: str) -> bool:
    """Whether as many intervals of a model are known as are kept: it is learnt from no more."""
    return len(learning.intervals.get(model, ())) >= _KEPT_INTERVALS


def unanswered_status(view: AgentView) -> UnansweredStatus | None:
    """That servers of an agent have not answered for some looks, of the set of pods of which that
    is so for longest.
    """
    sets = view.accepted.pod_sets if view.accepted else ()
    known = (view.learning[pods.name].unanswered for pods in sets if pods.name in view.learning)
    told = [each for each in known if each is not None and each.looks >= _TOLD_LOOKS]
    first = min(told, key=lambda each: each.since, default=None)
    if first is None:
        return None
    return UnansweredStatus(since=format_time(first.since), looks=first.looks, message=first.why)


class _Unasked(ServerError):
    """No server could be asked yet what it runs; nor was one waited for now."""


@dataclass(frozen=True, slots=True)
class _Looked:
    """A set of pods that was looked at, when, or whose spec is another; and what is asked of it.
    `written` is the spec without what Trireme sets of its own, None where it is not known.
    """

    learning: Learning
    accepted: Accepted
    spec: AgentSpec
    written: AgentSpec | None
    asked: list[ObjectivePolicy]
    at: datetime | None


class Learner:
    """Looks at servers and leaves what it learnt in the agents' views."""

    def __init__(self, *, store: Store, metrics: Metrics, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._asking = asyncio.Semaphore(_ASKED_AT_ONCE)
        self._asking_loads = asyncio.Semaphore(_ASKED_AT_ONCE)
        self._searching = asyncio.Lock()
        self._in_no_hurry = asyncio.Lock()
        self._busy: set[Key] = set()

    async def learn(self) -> None:
        """Look at the agents that are due, for ever; what takes longer holds up no other round."""
        await keep_beginning(self.round, _TICK_SECONDS)

    async def round(self) -> None:
        """Look at the agents that are due, and are not being looked at already."""
        due = [key for key in self._store.agents() if key not in self._busy]
        await asyncio.gather(*(self._tried(key) for key in due))

    async def _tried(self, key: Key) -> None:
        """One agent; never raises, so that what fails for one is tried again in the next round."""
        try:
            for looked in await self._agent(key, self._store.view(key)):
                # Who waits for an answer that does not come holds up no search, nor the reverse.
                await asyncio.gather(self._follow(looked), self._read_loads(looked.learning))
        except Exception:
            logger.exception("%s: learning failed", key)

    async def _agent(self, key: Key, view: AgentView) -> Sequence[_Looked]:
        """Look at an agent's sets of pods; those of which something may follow."""
        found = []
        self._busy.add(key)
        try:
            for pods in view.accepted.pod_sets if view.accepted else ():
                if pods.name not in view.learning:
                    continue  # the autoscaler has yet to read what was learnt
                if (looked := await self._set(key, view, pods)) is not None:
                    found.append(looked)
        finally:
            self._busy.discard(key)
        return found

    async def _set(self, key: Key, view: AgentView, pods: PodSet) -> _Looked | None:
        learning, now = known(view, pods), self._clock()
        is_due = learning.due is None or now >= learning.due
        accepted = view.accepted
        if accepted is None or (not is_due and learning.learnt_for is accepted):
            return None
        view.learning[pods.name] = learning
        _expire(learning, now)
        policy = policy_of(pods.agent.spec)
        asked = [o for o in policy.objectives if o.serving and policy.mode.is_decided_by_trireme]
        if is_due:
            learning.due = now + SURE
            try:
                await self._look(view, pods, learning, asked, now)
            except ServerError as error:
                logger.debug("%s: %s", key, error)
                self._metrics.failed_looks.inc()
                learning.unanswered = _failed(learning.unanswered, error, now)
                if not isinstance(error, _Unasked):
                    learning.due = now + _until_next(learning.unanswered)
        _forget(learning, asked)
        written = view.asked.spec if view.asked is not None else None
        at = now if is_due else None
        return _Looked(learning, accepted, pods.agent.spec, written, asked, at)

    async def _follow(self, looked: _Looked) -> None:
        """Search for what follows from a look, or from another spec. Looks go on meanwhile, and
        what they tell is searched for with the first one after it.
        """
        learning = looked.learning
        if not learning.is_followed:
            learning.is_followed, learning.learnt_for = True, looked.accepted
            try:
                for objective in looked.asked:
                    await self._search(learning, objective)
            finally:
                learning.is_followed = False
        if not learning.is_refined:
            learning.is_refined = True
            try:
                await self._refine(looked)
            finally:
                learning.is_refined = False

    async def _refine(self, looked: _Looked) -> None:
        """Seek what is in no hurry, which may wait for that of all other agents."""
        learning, spec = looked.learning, looked.spec
        for objective in looked.asked:
            at = looked.at
            if at is not None and await self._find_gap(learning, spec, objective, at):
                await self._search(learning, objective)
        for objective in looked.asked:
            await self._advise(looked, objective)

    async def _look(
        self,
        view: AgentView,
        of_set: PodSet,
        learning: Learning,
        asked: list[ObjectivePolicy],
        now: datetime,
    ) -> None:
        """Ask one server, and learn from what it executed since the last time. Raises ServerError,
        also where no server could be asked yet what it runs.
        """
        assert view.accepted is not None  # noqa: S101  # _agent has looked
        ready = settled_pods(view, view.accepted.repository)
        pods = [pod for pod in ready if of_set.selects(pod.labels)]
        if asked and not pods and _are_unasked(view, of_set):
            failing = view.in_place.failing
            if failing is not None and not isinstance(failing.error, ServerRefused):
                raise _Unasked(str(failing.error))
            return  # they are being asked
        if not pods or not asked:
            learning.unanswered = None  # nobody was to answer
            return
        pod = next((pod for pod in pods if pod.server_id == learning.server_id), pods[0])
        async with self._asking:
            statistics = await triton.statistics(pod.at(names.HTTP_PORT))
        learning.unanswered = None
        if pod.server_id != learning.server_id or learning.looked is None:
            learning.newcomer = pod.address
        executing = note(learning, pod, statistics, self._clock())
        for model, serving in {m: s for o in asked for m, s in o.served_models.items()}.items():
            intervals = learning.intervals.get(model, ())
            before = learning.curves.get(model)
            curve = learn(intervals, serving.max_batch, before, serving.instances)
            if curve is not None:
                learning.curves[model] = _with_contention(learning, model, curve)
            else:
                learning.curves.pop(model, None)
                learning.gaps_due.pop(model, None)
            if (curve is None or curve.source is _EARLIER) and model in executing:
                learning.due = now + _UNSURE
        for objective in asked:
            if isinstance(steps := objective.serving, ServedPipeline):
                known_calls = learning.calls.get(objective.model)
                learning.calls[objective.model] = calls_per_request(
                    learning.requests, objective.model, steps, known_calls
                )

    async def _read_loads(self, learning: Learning) -> None:
        """Ask a server, when it is new, how long it took to load its models."""
        address, learning.newcomer = learning.newcomer, None
        if address is None:
            return
        try:
            async with self._asking_loads, PodMetrics() as metrics:
                told = await metrics.read(address, names.METRICS_PORT, SERVER_METRICS_PATH, _LOADS)
        except ServerError as error:
            logger.debug("%s", error)
            learning.loads = {}
            return
        learning.loads = loads(told)

    async def _find_gap(
        self,
        learning: Learning,
        spec: AgentSpec,
        objective: ObjectivePolicy,
        now: datetime,
    ) -> bool:
        """Learn the time between a model's batches; whether it is another than before. Not of the
        steps of pipelines, whose requests come many at once.
        """
        model, serving = objective.model, objective.serving
        learnt, due = learning.curves.get(model), learning.gaps_due.get(model)
        is_step = any(step.model == model for line in spec.pipelines for step in line.steps)
        if not isinstance(serving, Serving) or learnt is None or is_step:
            return False
        if due is not None and now < due:
            return False
        learning.gaps_due[model] = now + _GAP_AGAIN
        intervals = learning.intervals.get(model, ())
        try:
            async with self._in_no_hurry:
                found = await asyncio.to_thread(gap.estimate, intervals, learnt, serving)
        except Exception:  # what is known without it goes on
            logger.exception("the time between batches of %s cannot be learnt", model)
            return False
        if found is None:
            return False
        if (now_learnt := learning.curves.get(model)) is None:
            return False  # a look has found that there is none
        learning.curves[model] = gap.taken(now_learnt, found)
        return learning.curves[model] != now_learnt

    async def _search(self, learning: Learning, objective: ObjectivePolicy) -> None:
        """Find what a pod sustains, where that may be something else than before."""
        name, serving = objective.model, objective.serving
        if _to_search(learning, objective) is None or serving is None:
            return
        async with self._searching:
            asked = _to_search(learning, objective)  # by what was learnt while it waited for others
            if asked is None:
                return
            curves = {model: learning.curves[model] for model in objective.served_models}
            if isinstance(serving, ServedPipeline):
                found = await asyncio.to_thread(
                    pipeline_capacity, curves, asked.calls, serving, objective
                )
            else:
                found = await asyncio.to_thread(capacity, curves[name], serving, objective)
        learning.searched[name] = asked
        if found is None:
            learning.capacities.pop(name, None)
        else:
            learning.capacities[name] = found

    async def _advise(self, looked: _Looked, objective: ObjectivePolicy) -> None:
        """Look for a knob to turn, where another one may follow than before."""
        if not _to_advise(looked, objective):
            return
        async with self._in_no_hurry:
            asked = _to_advise(looked, objective)  # by what was learnt while it waited
            if asked is not None:
                found = await asyncio.to_thread(asked.sought)
                looked.learning.advice[objective.model] = found
                looked.learning.advised[objective.model] = asked


def _to_search(learning: Learning, objective: ObjectivePolicy) -> Searched | None:
    """What a capacity is to be searched for; None where there are no curves for it, and it is
    dropped, or where it was searched for the same.
    """
    name = objective.model
    curves = {m: c for m in objective.served_models if (c := learning.curves.get(m))}
    if objective.serving is None or len(curves) < len(objective.served_models):
        learning.capacities.pop(name, None)
        learning.searched.pop(name, None)
        return None
    stood_on = {m: (c.curve, c.noise, c.source) for m, c in curves.items()}
    asked = Searched(stood_on, learning.calls.get(name, {}), objective)
    return None if learning.searched.get(name) == asked else asked


def _to_advise(looked: _Looked, objective: ObjectivePolicy) -> Asked | None:
    """What advice is to be sought for; None where nothing is sure enough, and what was advised is
    dropped, or where it was sought for the same.
    """
    learning = looked.learning
    asked = advising.asked(learning, looked.spec, objective, looked.written)
    if asked is None:
        learning.advice.pop(objective.model, None)
        learning.advised.pop(objective.model, None)
        return None
    return None if asked.is_like(learning.advised.get(objective.model)) else asked


def _are_unasked(view: AgentView, of_set: PodSet) -> bool:
    """Whether it is not known yet what some ready pods of a set run."""
    assert view.accepted is not None  # noqa: S101  # who looks has one
    new = unknown(view.in_place, serving_pods(view, view.accepted.repository))
    return any(of_set.selects(pod.labels) for pod in new)


def _failed(before: Unanswered | None, error: ServerError, now: datetime) -> Unanswered:
    """One more look that failed. A server that refuses says why; one that cannot be reached may be
    behind a policy.
    """
    why = str(error)
    if len(why) > _LONGEST_WHY:
        why = f"{why[:_LONGEST_WHY]}..."
    if not isinstance(error, ServerRefused):
        why += (
            f"; the operator must reach port {names.HTTP_PORT} of the pods: let its namespace in "
            "where a NetworkPolicy closes that"
        )
    return Unanswered(before.since if before else now, before.looks + 1 if before else 1, why)


def _until_next(failed: Unanswered) -> timedelta:
    """A minute until it is told, then 2, 4, 8 and 10."""
    return doubled(SURE, _MOST_SELDOM, failed.looks - _TOLD_LOOKS + 1)


def _expire(learning: Learning, now: datetime) -> None:
    """Earlier curves are used for a while from when they became that, or from a restart."""
    earlier = [model for model, curve in learning.curves.items() if curve.source is _EARLIER]
    if not earlier:
        learning.earlier_until = None
        return
    learning.earlier_until = learning.earlier_until or now + _EARLIER_FOR
    if now >= learning.earlier_until:
        for model in earlier:
            del learning.curves[model]


def note(learning: Learning, pod: PodView, statistics: Statistics, now: datetime) -> set[str]:
    """Keep what a server says; the models that were executed since it was last asked, and those
    that it was not asked of before. What a pod executes in its first minute is left out.
    """
    same = pod.server_id == learning.server_id
    looked, learning.looked = learning.looked, now
    assert pod.ready_since is not None  # noqa: S101  # only ready pods are asked
    usual = looked is not None and looked - pod.ready_since >= FIRST
    elapsed = (now - looked).total_seconds() if looked is not None and now > looked else None
    executing = set()
    requests = dict[str, int]()
    for model, after in statistics.items():
        before = learning.statistics.get(model) if same else None
        interval = after.since(before) if before else None
        if interval is not None:
            requests[model] = interval.requests
        if interval is not None and interval.executed and usual:
            earlier = learning.intervals.get(model, ())
            timed = replace(interval, elapsed_seconds=elapsed)
            learning.intervals[model] = kept(earlier, timed, _KEPT_INTERVALS)
        if before is None or interval is None or interval.executed:
            executing.add(model)
    learning.server_id, learning.statistics = pod.server_id, statistics
    if requests:
        learning.requests = deque((*learning.requests, requests), maxlen=_KEPT_INTERVALS)
    return executing


def _forget(learning: Learning, asked: list[ObjectivePolicy]) -> None:
    """What nobody asks for is not kept: an objective that goes, a target that the user sets."""
    objectives = {objective.model for objective in asked}
    models = {model for objective in asked for model in objective.served_models}
    for by_objective in (
        learning.capacities,
        learning.searched,
        learning.calls,
        learning.advice,
        learning.advised,
    ):
        for name in by_objective.keys() - objectives:
            by_objective.pop(name)
    for by_model in (
        learning.curves,
        learning.intervals,
        learning.gaps_due,
        learning.references,
        learning.contentions,
    ):
        for name in by_model.keys() - models:
            by_model.pop(name)
