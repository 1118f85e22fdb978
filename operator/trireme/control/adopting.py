"""Trireme's own settings on their way: what is proposed, tried on a canary, kept or taken back.

What becomes of one is decided in `trireme.rollout.adoption`; here its inputs are read off the
agent's view, the status is written, and the Events are made. A trial begins only while nothing else
changes: the spec is in force, all pods are ready and of the wanted number, and where Trireme
decides on that, every objective is kept.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import yaml

from trireme.admission.parse import parse_agent, readable_status
from trireme.api import kinds, names
from trireme.api.adoption import Adoption, AdoptionPhase, Origin
from trireme.api.agent import AgentDeployment, AgentSpec
from trireme.api.conditions import ConditionType, EventReason, Reason
from trireme.api.fetch import FetchReason
from trireme.api.optimization import (
    ModelOptimizationStatus,
    OptimizationPhase,
    OptimizationStatus,
)
from trireme.api.rollout import RolloutPhase
from trireme.api.scalars import quantity_value
from trireme.api.scaling_status import CurveSource
from trireme.api.status import AgentStatus
from trireme.api.tuning import TuningStatus
from trireme.autoscaler.capacity import is_bent
from trireme.autoscaler.types.capacity import Capacity
from trireme.autoscaler.wording import recommendation, setting
from trireme.control import in_place, learning
from trireme.control.agent_state import Learning, Refused
from trireme.control.canary_course import Course
from trireme.control.memory_use import most_used_bytes
from trireme.control.observed import deployment_view, parse_time
from trireme.control.optimized import told_gain
from trireme.control.status import format_time
from trireme.control.store import AgentView, Object
from trireme.control.trial import candidate_pods
from trireme.edge.cluster import Cluster
from trireme.edge.recorder import Event
from trireme.errors import ServerForbade
from trireme.rollout import adoption
from trireme.rollout.adoption import Adoptions, Learnt, Proposal
from trireme.tuner.pod_memory import PodMemory
from trireme.tuner.settings import configuration_of, patch, told, turned

_ACTION = "Adopt"
_CALM_FOR = timedelta(seconds=30)  # some rounds of decisions: what was calm before may not be now
# Their mean strays by a thirtieth of what one does: enough to take back by. So by chance the means
# of ten batch sizes miss a line by 3 % where times vary by 30 %, and by 10 % they would be on none.
_LEAST_BATCHES = 1000
_SIZE = ("replicas",)
_OF_NO_POD = (*_SIZE, "scaling", "rollout", "tuning", "optimization")
"""Fields of a spec that say nothing of what a pod runs, nor of what it is to keep."""
_REASONS = {
    AdoptionPhase.TRIED: EventReason.SETTING_TRIED,
    AdoptionPhase.KEPT: EventReason.SETTING_KEPT,
    AdoptionPhase.REFUSED: EventReason.SETTING_REFUSED,
    AdoptionPhase.UNDECIDED: EventReason.SETTING_UNDECIDED,
    AdoptionPhase.POSTPONED: EventReason.SETTING_POSTPONED,
}
_WORDS = {
    AdoptionPhase.TRIED: "is tried on a canary",
    AdoptionPhase.KEPT: "is kept, and the spec stays as it is: see status.adopted",
    AdoptionPhase.REFUSED: "is taken back, and not tried again",
    AdoptionPhase.UNDECIDED: "is taken back, and tried again after a day",
    AdoptionPhase.POSTPONED: "is not begun, and looked at again after a day or an edit",
}


class Adopting:
    """Carries settings through; what it knows of an agent is in the agent's view."""

    def __init__(self, cluster: Cluster, clock: Callable[[], datetime]) -> None:
        self._cluster = cluster
        self._clock = clock

    async def measure(self, view: AgentView, body: Object, agent: AgentDeployment) -> None:
        """Leave what the pods take of their memory, where more instances may be tried now."""
        state = view.adoption
        state.used_bytes = None
        if not adoption.is_asked(agent.spec):
            return  # most agents: what is proposed is not even computed for them
        proposal = self._next(view, body, agent.spec, state.present)
        if proposal is not None and _more_instances(view, proposal) is not None:
            state.used_bytes = await most_used_bytes(self._cluster, body["metadata"])

    def look(
        self, view: AgentView, body: Object, agent: AgentDeployment, *, may_begin: bool
    ) -> None:
        """Leave what is set of this spec, as the user wrote it, from now on: what is still about
        it, and one more that is tried where it may be, there is one, and nothing speaks against it.
        """
        state, spec, now = view.adoption, agent.spec, format_time(self._clock())
        generation, present = body["metadata"]["generation"], state.present
        if not present and not adoption.is_asked(spec):
            return
        if (asked := view.asked) is not None and _is_alike(asked.spec, spec, _OF_NO_POD):
            present = adoption.still_compared(present, asked.metadata.generation, generation)
            if _is_alike(asked.spec, spec, _SIZE):
                present = adoption.carried_on(present, asked.metadata.generation, generation)
        optimized = view.optimization.told or readable_status(body.get("status")).optimization
        present = adoption.standing(spec, present, generation, _made_from(optimized))
        if view.asked is not None and view.asked.spec == spec:
            present = adoption.completed(spec, present, _made(view.optimization.told))
        before, present = present, _judged(view, present, generation, now)
        # What is proposed is of pods as they were, with what was taken back just now.
        is_settled = present == before
        if adoption.tried(present) is not None and not _goes_on(view):
            present = adoption.without_tried(present)
        if may_begin and is_settled:
            proposal = self._next(view, body, spec, present)
            if proposal is not None and not proposal.entry:
                present = adoption.undone(present, proposal, now)
            elif proposal is not None:
                present = adoption.begun(spec, present, proposal, generation, now)
                if lack := _lacks_memory(view, proposal):
                    present = adoption.postponed(present, now, lack)
        state.present = present

    def _next(
        self, view: AgentView, body: Object, spec: AgentSpec, present: Adoptions
    ) -> Proposal | None:
        """What may be tried now; None where nothing may."""
        generation, now = body["metadata"]["generation"], format_time(self._clock())
        if adoption.is_awaited(present, generation, now) or not self._is_at_rest(view, generation):
            return None
        return adoption.next_to_try(spec, present, _proposals(view, spec), now)

    def _is_at_rest(self, view: AgentView, generation: int) -> bool:
        """Whether the spec is in force, and nothing else changes."""
        running, servers = view.accepted, view.servers.together
        if running is None or servers is None or not _is_ready(view, generation):
            return False
        if view.preflight.waiting or view.canary is not None or view.canary_pods:
            return False
        if running.agent.spec.scaling.mode.is_decided_by_trireme and not self._is_calm(view):
            return False
        return servers.rolled_out and servers.ready == servers.replicas > 0

    def _is_calm(self, view: AgentView) -> bool:
        return view.calm_at is not None and self._clock() - view.calm_at <= _CALM_FOR

    def fallbacks(self, view: AgentView, refused: Refused) -> Iterator[tuple[Adoptions, Adoptions]]:
        """What to look at a spec with instead that is refused with what is set, and what becomes of
        that should it be accepted so. What is tried may wait for its files meanwhile.
        """
        present, now = view.adoption.present, format_time(self._clock())
        words = f"with it the spec is refused: {refused.message}"
        after = present
        if adoption.tried(present) is not None:
            if not _waits(refused):
                after = adoption.refused(present, now, words)
            elif view.canary is None and adoption.is_overdue(present, now):
                after = adoption.undecided(present, now, words)
            yield adoption.without_tried(present), after
        is_any_kept = any(each.phase is AdoptionPhase.KEPT for each in present)
        if is_any_kept and refused.reason is Reason.INVALID_SPEC:
            yield (), adoption.without_kept(after, now, words)

    def settle(self, view: AgentView, course: Course) -> bool:
        """Note what became of the setting that is tried; whether it is no more, so that the course
        is another one.
        """
        state, now = view.adoption, format_time(self._clock())
        if adoption.tried(state.present) is None:
            return False
        if course.untried:
            state.present = adoption.without_tried(state.present)
            return True
        if (taken := course.rolled_back) is not None:
            is_open = taken.is_undecided or _had_no_place(view)
            ended = adoption.undecided if is_open else adoption.refused
            state.present = ended(state.present, now, taken.message)
            return True
        if course.canary is None or course.canary.phase is RolloutPhase.PROMOTED:
            state.present = adoption.kept(state.present, now)
        return False

    async def write(self, view: AgentView, body: Object) -> list[Event]:
        """Write the status where it changed; the Events that it is worth. Raises ClusterError."""
        state = view.adoption
        before, after = state.told or (), state.present
        if after == before:
            return []
        part = [each.model_dump(mode="json", by_alias=True, exclude_none=True) for each in after]
        await self._cluster.apply_status(
            kinds.AGENT_DEPLOYMENT,
            body["metadata"],
            {"adopted": part} if part else {},
            names.ADOPTION_STATUS_MANAGER,
        )
        state.told = after
        return list(_events(before, after))


def recall(view: AgentView, body: Object) -> None:
    """Know what an earlier process has set."""
    state = view.adoption
    if state.told is None:
        state.told = state.present = tuple(readable_status(body.get("status")).adopted)


def last_asked(view: AgentView) -> AgentDeployment | None:
    """The last spec that could be used, as the user wrote it, once one is applied. A process that
    has only seen one that is refused knows what the pods run: the same where nothing is set, nor
    tried.
    """
    if view.applied is None:
        return None
    is_more = any(each.phase.is_in_force for each in view.adoption.present)
    return view.asked or (None if is_more or view.canary is not None else view.applied.agent)


def with_settings(agent: AgentDeployment, adoptions: Adoptions) -> AgentDeployment:
    """An agent with what is in force of the settings. Raises InvalidSpec where they do not go
    together.
    """
    if not any(each.phase.is_in_force for each in adoptions):
        return agent
    body = agent.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"status"})
    spec = {**body["spec"], "models": adoption.overlaid(body["spec"]["models"], adoptions)}
    return agent.model_copy(update={"spec": parse_agent({**body, "spec": spec}).spec})


def as_kept(agent: AgentDeployment, status: AgentStatus) -> AgentDeployment:
    """An agent, as a user wrote it, with what is kept that its status tells of and that is about
    it. Raises InvalidSpec where they do not go together.
    """
    kept = adoption.without_tried(tuple(status.adopted))
    made_from = _made_from(status.optimization)
    return with_settings(
        agent, adoption.standing(agent.spec, kept, agent.metadata.generation, made_from)
    )


def _made_from(told: OptimizationStatus | None) -> dict[str, str | None]:
    """What each model that is optimised would be made from, as it was looked at last."""
    return {each.model: each.made_from for each in told.models} if told is not None else {}


def was_refused(view: AgentView, advice: TuningStatus) -> bool:
    """Whether what is recommended was tried, and taken back."""
    present = view.adoption.present
    if view.asked is None or not any(each.phase is AdoptionPhase.REFUSED for each in present):
        return False
    proposal = _tuned(view, view.asked.spec, advice, None)
    return proposal is not None and adoption.was_refused(present, proposal)


def _is_alike(one: AgentSpec, other: AgentSpec, but_for: Iterable[str]) -> bool:
    """Whether specs say the same but for some of their fields."""
    none = dict.fromkeys(but_for)
    return one.model_copy(update=none) == other.model_copy(update=none)


def _is_ready(view: AgentView, generation: int) -> bool:
    """Whether the last pass found this generation accepted, rolled out and available."""
    status = readable_status(view.written)
    is_current = view.judged == status.observed_generation == generation
    return is_current and any(
        each.type == ConditionType.READY and each.status == "True" for each in status.conditions
    )


def _judged(view: AgentView, present: Adoptions, generation: int, now: str) -> Adoptions:
    """What is left once it is known what was kept does to the pods; a rollout that fails is held
    against it only where it is of what is in force now, and a pod that was down before is not.
    """
    judged = adoption.learnt(present, _sustained(view), generation, now)
    judged = adoption.bent(judged, partial(_is_bent, view), generation, now)
    servers = view.servers.together
    is_applied = view.applied is not None and view.applied is view.accepted
    if servers is None or not is_applied:
        return judged
    kept = (parse_time(each.since) for each in present if each.phase is AdoptionPhase.KEPT)
    if failure := servers.failure or in_place.crash(view, max(kept, default=None)):
        words = f"the pods do not come up with it: {failure}"
    else:
        error = in_place.not_taken_on(view.in_place)
        if error is None or isinstance(error, ServerForbade):
            return judged  # it would not take any other on either
        words = f"a server does not take it on: {error}"
    return adoption.not_rolled_out(judged, generation, now, words)


def _goes_on(view: AgentView) -> bool:
    """Whether a trial has a canary, or may begin one: not where no pod is there to be compared
    with, since the spec is then rolled out without one.
    """
    servers = view.servers.together
    return view.canary is not None or (servers is not None and servers.ready > 0)


def _waits(refused: Refused) -> bool:
    """Whether a spec is refused only until what its files say is known."""
    if isinstance(refused.reason, FetchReason):
        return refused.reason.transient
    return refused.reason is Reason.INSPECTING


def _had_no_place(view: AgentView) -> bool:
    """Whether a canary's pods were not made, or no node took one: which says nothing of it."""
    assert view.body is not None  # noqa: S101  # a pass has looked
    live = view.deployment(names.canary(view.body["metadata"]["name"]))
    if live is not None and deployment_view(live).refused:
        return True
    troubles = [pod.trouble for pod in candidate_pods(view)]
    return any(each is not None and each.reason is Reason.UNSCHEDULABLE for each in troubles)


def _sustained(view: AgentView) -> dict[str, Learnt]:
    """What a pod sustains as it is now, of the models that have an objective, once it is known; of
    those that have none what it sustains of a pipeline that calls them.
    """
    if (known := _known(view)) is None:
        return {}
    of_models = {
        name: Learnt(found.per_second, known.curves[name].curve.max_batch < _max_batch(view, name))
        if isinstance(found, Capacity)
        else Learnt(0.0)
        for name, found in known.capacities.items()
        if _is_measured(known, name)
    }
    return {**_of_lines(view, known), **of_models}


def _of_lines(view: AgentView, known: Learning) -> dict[str, Learnt]:
    """By the models of their steps, what a pod sustains of pipelines whose steps are all measured,
    as far as it was searched by the curves of now.
    """
    sustained = dict[str, Learnt]()
    for name, found in known.capacities.items():
        searched = known.searched.get(name)
        if searched is None or name in searched.curves:
            continue  # a model's own, or what an earlier process has found
        if all(
            _is_measured(known, model) and known.curves[model].curve == curve
            for model, (curve, _, _) in searched.curves.items()
        ):
            per_second = found.per_second if isinstance(found, Capacity) else 0.0
            for model in searched.curves:
                is_least = known.curves[model].curve.max_batch < _max_batch(view, model)
                sustained[model] = Learnt(per_second, is_least)
    return sustained


def _is_bent(view: AgentView, model: str) -> bool:
    """Whether the times of a model's batches, as it is now, are known to be on no line."""
    seen = known.intervals.get(model) if (known := _known(view)) is not None else None
    return seen is not None and is_bent(seen, _max_batch(view, model), _LEAST_BATCHES)


def _max_batch(view: AgentView, model: str) -> int:
    """The largest batch that the pods make of a model that is learnt."""
    assert view.accepted is not None  # noqa: S101  # something is learnt of the pods
    spec = view.accepted.agent.spec
    served = spec.model_named(model)
    assert served is not None  # noqa: S101  # what is learnt is of models that are served
    return configuration_of(served, spec.server).max_batch


def _known(view: AgentView) -> Learning | None:
    """What is learnt of the pods; None where nothing is, or a canary answers for them."""
    if view.accepted is None or view.canary is not None or not view.learning:
        return None
    return learning.known(view, view.accepted.pod_sets[0])


def _is_measured(known: Learning, model: str) -> bool:
    """Whether enough was learnt of a model as it is now to compare it with itself otherwise set:
    1,000 batches, or, of one that makes fewer, all that is ever learnt from. Until what follows
    from a new curve is found, what is known is of the one before.
    """
    curve, found = known.curves.get(model), known.capacities.get(model)
    if curve is None or curve.source is CurveSource.EARLIER:
        return False
    if found is not None and found.learnt != curve.curve:
        return False
    return curve.executions >= _LEAST_BATCHES or learning.is_full(known, model)


def _is_on_its_way(known: Learning | None, model: str) -> bool:
    """Whether a model is still measured as it is now: what is set before cannot be judged. Sums
    that do not tell batches apart may never come to enough.
    """
    curve = known.curves.get(model) if known is not None else None
    if known is None or curve is None or curve.source is CurveSource.COUNTERS:
        return False
    return not _is_measured(known, model)


# -------------------------------------------------------------------------------------- proposals


def _proposals(view: AgentView, spec: AgentSpec) -> list[Proposal]:
    """What may be tried, models that were optimised first: they gain the most; before them only a
    knob by which replicas go that were bought without it. Only one: what comes next may wait for a
    day until it is compared. `spec` is as the user wrote it.
    """
    known = _known(view)
    sustained = {model: learnt.per_second for model, learnt in _sustained(view).items()}
    state = view.optimization.told
    optimized = state.models if state is not None else []
    found = [_optimized(each, sustained.get(each.model)) for each in optimized]
    if (advice := view.tuning) is not None:
        tuned = _tuned(view, spec, advice, sustained.get(advice.model))
        had_turn = any(each.origin is Origin.TUNING for each in view.adoption.present)
        is_first = advice.replicas_spared > 0 and not had_turn
        found.insert(0 if is_first else len(found), tuned)
    proposals = [each for each in found if each is not None]
    return [each for each in proposals if not _is_on_its_way(known, each.model)]


def _made(told: OptimizationStatus | None) -> list[Proposal]:
    """The models that were optimised by the spec which this process looked at last."""
    found = [_optimized(each, None) for each in told.models] if told is not None else []
    return [each for each in found if each is not None]


def _optimized(told_of: ModelOptimizationStatus, sustained: float | None) -> Proposal | None:
    gain = told_of.gain
    if told_of.phase is not OptimizationPhase.OPTIMIZED or not told_of.entry or gain is None:
        return None
    is_cheaper = gain.throughput_ratio >= 1  # else it was made for a wish, and may cost more
    return Proposal(
        told_of.model,
        Origin.OPTIMIZATION,
        f"the file made by {' + '.join(gain.techniques)} in place of the spec's",
        _fields(yaml.safe_load(told_of.entry)),
        told_gain(gain),
        (sustained or None) if is_cheaper else None,
        told_of.made_from,
    )


def _tuned(
    view: AgentView, spec: AgentSpec, advice: TuningStatus, sustained: float | None
) -> Proposal | None:
    """What is recommended, as a part of the entry that the user wrote; None where the pods are not
    set as it says any more.
    """
    written = spec.model_named(advice.model)
    running = view.accepted.agent.spec if view.accepted is not None else spec
    served = running.model_named(advice.model)
    if written is None or served is None:
        return None
    now = configuration_of(served, running.server)
    if told(now, advice.knob) != advice.from_:
        return None
    wanted = turned(now, advice.knob, advice.to)
    return Proposal(
        advice.model,
        Origin.TUNING,
        setting(advice.knob, advice.from_, advice.to),
        _fields(patch(written, configuration_of(written, spec.server), wanted)),
        recommendation(advice),
        sustained or None,
    )


def _more_instances(view: AgentView, proposal: Proposal) -> tuple[int, int] | None:
    """How many instances a proposal has pods run, and how many they do, where that is fewer."""
    assert view.accepted is not None  # noqa: S101  # something is proposed of what the pods run
    spec = view.accepted.agent.spec
    served = spec.model_named(proposal.model)
    if served is None or "instances" not in proposal.entry:
        return None
    wanted = sum(group["count"] for group in proposal.entry["instances"])
    now = configuration_of(served, spec.server).instances
    return (wanted, now) if wanted > now else None


def _lacks_memory(view: AgentView, proposal: Proposal) -> str:
    """Why more instances have no room in the pods; empty where they have, or it is not known."""
    counts, used = _more_instances(view, proposal), view.adoption.used_bytes
    if counts is None or used is None:
        return ""
    assert view.accepted is not None  # noqa: S101  # something is proposed of what the pods run
    spec = view.accepted.agent.spec
    limit = int(quantity_value(spec.server.resources.memory))
    each, of_gpus = spec.tuning.limits.instance_memory, spec.server.gpus.count > 0
    said = None if each is None or of_gpus else int(quantity_value(each))
    return PodMemory(limit, used, said, can_be_said=not of_gpus).lack(*counts)


def _fields(entry: dict[str, Any]) -> dict[str, Any]:
    """What an entry of spec.models says beside the name."""
    return {field: value for field, value in entry.items() if field != "name"}


# ----------------------------------------------------------------------------------------- Events


def _events(before: Iterable[Adoption], after: Adoptions) -> Iterator[Event]:
    known = {(each.model, each.origin, each.phase, each.entry) for each in before}
    for each in after:
        if (each.model, each.origin, each.phase, each.entry) not in known:
            note = f"{adoption.named(each)} {_WORDS[each.phase]}: {each.message}"
            yield Event(_REASONS[each.phase], note, _ACTION, each.phase is AdoptionPhase.REFUSED)
    for each in before:
        if each.phase is AdoptionPhase.KEPT and not _is_told_otherwise(each, after):
            note = f"{adoption.named(each)} is dropped: the spec holds again"
            yield Event(EventReason.SETTING_DROPPED, note, _ACTION)


def _is_told_otherwise(kept: Adoption, after: Adoptions) -> bool:
    """Whether it is told what became of a setting: it was taken back, or gave way to another."""
    of_model = [each for each in after if (each.model, each.origin) == (kept.model, kept.origin)]
    return any(each.entry == kept.entry or each.phase is AdoptionPhase.KEPT for each in of_model)
