"""Trireme's own settings on their way: what is proposed, tried on a canary, kept or taken back.

What becomes of one is decided in `trireme.rollout.adoption`; here its inputs are read off the
agent's view, the status is written, and the Events are made. A trial begins only while nothing else
changes: the spec is in force, all pods are ready and of the wanted number, and where Trireme decides
on that, every objective is kept.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

import yaml

from trireme.admission.parse import readable_status
from trireme.api import kinds, names
from trireme.api.adoption import Adoption, AdoptionPhase, Origin
from trireme.api.conditions import EventReason, Reason
from trireme.api.optimization import ModelOptimizationStatus, OptimizationPhase
from trireme.api.rollout import RolloutPhase
from trireme.api.tuning import TuningStatus
from trireme.api.types import AgentDeployment, AgentSpec, CurveSource
from trireme.autoscaler.types import Capacity
from trireme.autoscaler.wording import recommendation
from trireme.control import learning
from trireme.control.optimized import told_gain
from trireme.control.queue import Key
from trireme.control.status import format_time
from trireme.control.store import Accepted, AgentView, Object, Refused
from trireme.control.trial import Course
from trireme.edge.cluster import Cluster
from trireme.edge.recorder import Event
from trireme.resources.canary import candidate_digest
from trireme.rollout import adoption
from trireme.rollout.adoption import Adoptions, Proposal
from trireme.tuner.settings import configuration_of, patch, told, turned

_ACTION = "Adopt"
_REASONS = {
    AdoptionPhase.TRIED: EventReason.SETTING_TRIED,
    AdoptionPhase.KEPT: EventReason.SETTING_KEPT,
    AdoptionPhase.REFUSED: EventReason.SETTING_REFUSED,
}
_NOT_TOLD_YET = frozenset({Reason.INSPECTING})


class Adopting:
    """Carries settings through; what it knows of an agent is in the agent's view."""

    def __init__(self, cluster: Cluster, clock: Callable[[], datetime]) -> None:
        self._cluster = cluster
        self._clock = clock

    def look(self, view: AgentView, body: Object, agent: AgentDeployment) -> AgentDeployment:
        """The agent as it is to be: as the user wrote it, with what is in force of the settings.
        One more is tried from now on where there is one, and nothing speaks against it. Raises
        InvalidSpec where the two do not go together.
        """
        state, spec, now = view.adoption, agent.spec, format_time(self._clock())
        generation = body["metadata"]["generation"]
        if state.told is None:
            state.told = state.present = tuple(readable_status(body.get("status")).adopted)
        present = adoption.standing(spec, state.present, generation)
        present = adoption.learnt(present, _sustained(view), generation, now)
        if adoption.tried(present) is not None and not _goes_on(view):
            present = adoption.without_tried(present)
        if _may_begin(view, generation):
            proposal = adoption.next_to_try(spec, present, _proposals(view, spec))
            if proposal is not None:
                present = adoption.begun(spec, present, proposal, generation, now)
        state.present = present
        return agent.model_copy(update={"spec": adoption.overlaid(spec, present)})

    def doubt(self, view: AgentView, refused: Refused) -> bool:
        """Whether the spec is to be looked at without a setting, with which it is refused: the one
        that is tried, or all that are kept.
        """
        state = view.adoption
        if adoption.tried(state.present) is not None:
            if refused.reason in _NOT_TOLD_YET:
                return False
            now = format_time(self._clock())
            state.present = adoption.refused(state.present, now, refused.message)
            return True
        kept = adoption.without_kept(state.present)
        if refused.reason is not Reason.INVALID_SPEC or kept == state.present:
            return False
        state.present = kept
        return True

    def settle(self, view: AgentView, new: Accepted, course: Course | Refused) -> bool:
        """Note what became of the setting that is tried in a spec; whether it was taken back, so
        that the course is another one.
        """
        state, now = view.adoption, format_time(self._clock())
        if adoption.tried(state.present) is None or isinstance(course, Refused):
            return False
        taken = course.rolled_back
        if taken is not None and taken.digest == candidate_digest(new.agent, new.repository):
            state.present = adoption.refused(state.present, now, taken.message)
            return True
        if course.canary is None or course.canary.phase is not RolloutPhase.PROGRESSING:
            state.present = adoption.kept(state.present, now)
        return False

    async def write(self, key: Key, view: AgentView) -> list[Event]:
        """Write the status where it changed; the Events that it is worth. Raises ClusterError."""
        state = view.adoption
        before, after = state.told or (), state.present
        if after == before:
            return []
        part = [each.model_dump(mode="json", by_alias=True, exclude_none=True) for each in after]
        await self._cluster.apply_status(
            kinds.AGENT_DEPLOYMENT,
            key.namespace,
            key.name,
            {"adopted": part} if part else {},
            names.ADOPTION_STATUS_MANAGER,
        )
        state.told = after
        return list(_events(before, after))


def tries(view: AgentView) -> str:
    """What is tried of Trireme's own, in words; empty where nothing is."""
    tried = adoption.tried(view.adoption.present)
    return f"{tried.summary} (model {tried.model})" if tried is not None else ""


def sets_anything(view: AgentView) -> bool:
    """Whether something is laid over the spec."""
    return any(each.phase.is_in_force for each in view.adoption.present)


def was_refused(view: AgentView, advice: TuningStatus) -> bool:
    """Whether what is recommended was tried, and taken back."""
    if view.asked is None:
        return False
    proposal = _tuned(view, view.asked.spec, advice, None)
    return proposal is not None and adoption.was_refused(view.adoption.present, proposal)


def _may_begin(view: AgentView, generation: int) -> bool:
    """Whether the spec is in force, and all is calm."""
    running, servers = view.applied, view.servers.together
    if running is None or servers is None or view.judged != generation:
        return False
    if view.refused is not None or view.apply_failure is not None or view.preflight.waiting:
        return False
    if not view.is_recalled or view.canary is not None or view.canary_pods:
        return False
    if running.agent.spec.scaling.mode.is_decided_by_trireme and not view.is_calm:
        return False
    return servers.rolled_out and servers.ready == servers.replicas > 0


def _goes_on(view: AgentView) -> bool:
    """Whether a trial has a canary, or may begin one: not where no pod is there to be compared
    with, since the spec is then rolled out without one.
    """
    servers = view.servers.together
    return view.canary is not None or (servers is not None and servers.ready > 0)


def _sustained(view: AgentView) -> dict[str, float]:
    """What a pod sustains of the models that have an objective, by what was learnt of it as it is
    now, and not before.
    """
    if view.accepted is None or view.canary is not None:
        return {}
    known = learning.known(view, view.accepted.pod_sets[0])
    return {
        name: found.per_second if isinstance(found, Capacity) else 0.0
        for name, found in known.capacities.items()
        if name in known.curves and known.curves[name].source is not CurveSource.EARLIER
    }


# -------------------------------------------------------------------------------------- proposals


def _proposals(view: AgentView, spec: AgentSpec) -> list[Proposal]:
    """What may be tried, models that were optimised first: they gain the most. `spec` is as the
    user wrote it.
    """
    sustained = _sustained(view)
    state = view.optimization.told
    optimized = state.models if state is not None else []
    found = [_optimized(each, sustained.get(each.model)) for each in optimized]
    if view.tuning is not None:
        found.append(_tuned(view, spec, view.tuning, sustained.get(view.tuning.model)))
    return [each for each in found if each is not None]


def _optimized(told_of: ModelOptimizationStatus, sustained: float | None) -> Proposal | None:
    gain = told_of.gain
    if told_of.phase is not OptimizationPhase.OPTIMIZED or not told_of.entry or gain is None:
        return None
    entry: dict[str, Any] = yaml.safe_load(told_of.entry)
    return Proposal(
        told_of.model,
        Origin.OPTIMIZATION,
        f"the file made by {' + '.join(gain.techniques)} in place of the spec's",
        {field: value for field, value in entry.items() if field != "name"},
        told_gain(gain),
        sustained,
    )


def _tuned(
    view: AgentView, spec: AgentSpec, advice: TuningStatus, sustained: float | None
) -> Proposal | None:
    """What is recommended, as a part of the entry that the user wrote; None where the pods are not
    set as it says any more.
    """
    written = adoption.model_of(spec, advice.model)
    running = view.accepted.agent.spec if view.accepted is not None else spec
    served = adoption.model_of(running, advice.model)
    if written is None or served is None:
        return None
    now = configuration_of(served, running.server)
    if told(now, advice.knob) != advice.from_:
        return None
    wanted = turned(now, advice.knob, advice.to)
    entry = patch(written, configuration_of(written, spec.server), wanted)
    return Proposal(
        advice.model,
        Origin.TUNING,
        f"{advice.knob} {advice.to} in place of {advice.from_}",
        {field: value for field, value in entry.items() if field != "name"},
        recommendation(advice),
        sustained,
    )


# ----------------------------------------------------------------------------------------- Events


def _events(before: Iterable[Adoption], after: Adoptions) -> Iterator[Event]:
    known = {(each.model, each.origin, each.phase, each.entry) for each in before}
    for each in after:
        if (each.model, each.origin, each.phase, each.entry) not in known:
            note = f"{each.summary} (model {each.model}) {_WORDS[each.phase]}: {each.message}"
            yield Event(_REASONS[each.phase], note, _ACTION, each.phase is AdoptionPhase.REFUSED)
    stays = {(each.model, each.origin, each.entry) for each in after}
    for each in before:
        if each.phase is AdoptionPhase.KEPT and (each.model, each.origin, each.entry) not in stays:
            if any((each.model, each.origin) == (one.model, one.origin) for one in after):
                continue  # another took its place
            note = f"{each.summary} (model {each.model}) is dropped: the spec holds again"
            yield Event(EventReason.SETTING_DROPPED, note, _ACTION)


_WORDS = {
    AdoptionPhase.TRIED: "is tried on a canary",
    AdoptionPhase.KEPT: "is kept, and the spec stays as it is: see status.adopted",
    AdoptionPhase.REFUSED: "is taken back, and not tried again",
}
