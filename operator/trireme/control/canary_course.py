"""What becomes of a spec in strategy Canary. Pure.

The spec is taken over whole, or its pods are tried first while the stable ones stay as they are, or
they were tried and taken back. `trial` carries it out.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from trireme.admission.check import check
from trireme.api import names
from trireme.api.conditions import EventReason, Reason
from trireme.api.rollout import RolloutPhase, RolloutStatus, RolloutStrategy
from trireme.control.agent_state import Accepted, CanaryState, Refused, RolledBack
from trireme.control.observed import parse_time
from trireme.edge.recorder import Event
from trireme.resources.canary import candidate_digest, run_alike, serve_alike
from trireme.resources.change import Effect, Running, change, keeping_pods
from trireme.resources.options import ResourceOptions
from trireme.resources.record import accepted_record
from trireme.rollout.size import canary_pods

_CANARY_ACTION = "Canary"


@dataclass(frozen=True, slots=True)
class Known:
    """What a course is set by, beside the spec.

    `stable` is what the stable pods are to run, None where nothing is known to; `serves` says that
    some of them are ready, and `is_spread` that all of them run it. A canary that begins has its
    pods of `node_class`, None where no stable pod is ready that it could be compared with; `wanted`
    is how many stable pods there are to be, as so many of it. `hindrance` is why a promoted canary
    is not to stay until then, empty where it may. `told` is what the status says of a canary that
    this process has not looked at yet, `left` how many ready pods it has, and `left_class` of which
    class, None where nothing is left of it. `tried_since` is when Trireme began what it tries of
    its own, None where it tries nothing.
    """

    stable: Accepted | None
    canary: CanaryState | None
    rolled_back: RolledBack | None
    told: RolloutStatus | None
    left: int
    wanted: int
    serves: bool
    is_spread: bool
    hindrance: str
    generation: int
    now: datetime
    tried_since: datetime | None = None
    node_class: str | None = ""
    left_class: str | None = None


@dataclass(frozen=True, slots=True)
class Course:
    """What the stable pods are to run, and what is tried beside them.

    `rolled_back` is not tried again. `withheld` is why the rest of the spec is not in force either,
    empty where it is. `untried` is why what Trireme tries of its own cannot be, empty where it can.
    """

    accepted: Accepted
    canary: CanaryState | None = None
    rolled_back: RolledBack | None = None
    withheld: str = ""
    untried: str = ""
    events: tuple[Event, ...] = ()


def course(new: Accepted, known: Known, options: ResourceOptions) -> Course | Refused:
    """What becomes of an accepted spec; refused where it is not to replace pods that nothing is
    known of. Pure.
    """
    canary, stable = known.canary, known.stable
    digest = candidate_digest(new.agent, new.repository)
    if canary is None or canary.digest != digest:
        canary = _recalled(new, digest, known)
    if new.agent.spec.rollout.strategy is not RolloutStrategy.CANARY:
        why = f"generation {known.generation} is rolled out without one"
        return Course(new, events=_ended(known.canary, why))
    if new.undoes:
        return Course(new, events=_ended(known.canary, f"{new.undoes} is taken back"))
    if canary and canary.phase is RolloutPhase.PROMOTED:
        goes_on = not known.is_spread and (canary is known.canary or known.left > 0)
        if goes_on and known.hindrance:
            return Course(new, events=_ended(canary, known.hindrance))
        return Course(new, canary if goes_on else None)
    rolled_back = known.rolled_back
    if canary and canary.phase is RolloutPhase.ROLLED_BACK:
        rolled_back = RolledBack(digest, canary.generation, canary.message, canary.is_undecided)
    is_rolled_back = rolled_back is not None and rolled_back.digest == digest
    if stable is None:
        if new.tries:
            return Course(new, untried="what the pods run is not known")
        return _refused(new, is_rolled_back) if canary or is_rolled_back else Course(new)
    if _asks_for_the_same(new, stable):
        why = f"generation {known.generation} asks for pods as they are"
        return Course(new, events=_ended(known.canary, why))
    if is_rolled_back:
        return _beside(stable, new, options, canary, rolled_back)
    if canary:
        return _beside(stable, new, options, canary)
    if why := _not_tried(stable, known):
        if new.tries:
            return Course(new, untried=why)
        note = f"generation {known.generation} is rolled out without a canary: {why}"
        skipped = Event(EventReason.CANARY_SKIPPED, note, _CANARY_ACTION, warning=True)
        return Course(new, events=(*_ended(known.canary, why), skipped))
    begun = CanaryState(
        *(new, known.generation, digest, known.now),
        node_class=known.node_class or "",
        replicas=_first_pods(new),
    )
    events = (_started(stable, new, known, options),)
    return replace(_beside(stable, new, options, begun), events=events)


def _asks_for_the_same(new: Accepted, stable: Accepted) -> bool:
    """Whether there is nothing to try. What changes in place is tried where Trireme sets it: an
    edit of it is the user's own word.
    """
    alike = serve_alike if new.tries else run_alike
    return alike(Running(stable.agent, stable.repository), Running(new.agent, new.repository))


def _not_tried(stable: Accepted, known: Known) -> str:
    """Why a change of the pods cannot be tried; empty where it can."""
    if not known.serves:
        return "no stable pod is ready, to be compared with or to be lost"
    if known.node_class is None:
        return "no stable pod is ready of a node class that it has, to be compared with"
    # A process that is started anew would not know what the stable pods run.
    if not accepted_record(stable.agent, stable.repository):
        return "the spec of the stable pods is too large for the ConfigMap of its record"
    return ""


def _recalled(new: Accepted, digest: str, known: Known) -> CanaryState | None:
    """The canary of a spec as the status has it; None where that tells of none. One whose pods went
    meanwhile begins without a share again.
    """
    told = known.told
    if told is None or told.candidate != digest:
        return None
    began = parse_time(told.start_time)
    if known.tried_since is not None and began < known.tried_since:
        return None  # it is of the same, tried before
    carries = known.left >= canary_pods(known.wanted, told.weight)
    return CanaryState(
        new,
        told.generation,
        digest,
        began,
        node_class=(known.node_class or "") if known.left_class is None else known.left_class,
        phase=told.phase,
        weight=told.weight if carries else 0.0,
        replicas=_first_pods(new),
        message=told.message,
        is_undecided=told.undecided,
    )


def _first_pods(new: Accepted) -> int:
    """The pods that a canary is made with: one of GPUs that are shared waits for these."""
    return 0 if shares_gpus(new, new) else 1


def _refused(new: Accepted, is_rolled_back: bool) -> Refused:
    """The record of the stable pods is gone, or this version of the operator cannot use it. What
    was tried on a canary for its risk is not rolled out for that.
    """
    record = names.accepted_record(new.agent.metadata.name)
    return Refused(
        Reason.STABLE_UNKNOWN,
        f"it was tried on a canary and {'taken back' if is_rolled_back else 'not promoted yet'}, "
        f"and what the pods run is not known: ConfigMap {record} is gone, or of no use to this "
        "version of the operator, whose log says why. No server pod is changed. Edit the spec to "
        "what the pods are to run, or set spec.rollout.strategy to RollingUpdate to roll it out",
    )


def _beside(
    stable: Accepted,
    new: Accepted,
    options: ResourceOptions,
    canary: CanaryState | None,
    rolled_back: RolledBack | None = None,
) -> Course:
    """The stable pods stay, and all that touches no pod is in force at once, unless that would be
    faulty without the pods that it was written for. So is what changes in place, unless that is
    what Trireme tries.
    """
    before = Running(stable.agent, stable.repository)
    waits = (Effect.ROLLOUT, Effect.IN_PLACE) if new.tries else (Effect.ROLLOUT,)
    spec = keeping_pods(before, Running(new.agent, new.repository), options, waits)
    agent = new.agent.model_copy(update={"spec": spec})
    is_of_new = spec.models == new.agent.spec.models and spec.pipelines == new.agent.spec.pipelines
    of_models = new if is_of_new else stable
    kept = Accepted(agent, of_models.repository, new.warnings, of_models.inspections)
    faults = [str(fault) for fault in check(spec)]
    if not run_alike(Running(agent, kept.repository), before):
        faults.append("together its parts replace pods, though none does so by itself")
    if not faults:
        return Course(kept, canary, rolled_back)
    return Course(
        replace(stable, warnings=new.warnings), canary, rolled_back, withheld="\n".join(faults)
    )


def _started(stable: Accepted, new: Accepted, known: Known, options: ResourceOptions) -> Event:
    differs = change(
        Running(stable.agent, stable.repository), Running(new.agent, new.repository), options
    )
    before = known.canary
    instead = f" in place of {_what(before)}" if is_on(before) and before else ""
    note = f"{new.tries or f'generation {known.generation}'} is tried on a canary{instead}"
    return Event(
        EventReason.CANARY_STARTED,
        f"{note}; changed: {differs.named(differs.effect)}",
        _CANARY_ACTION,
    )


def _ended(canary: CanaryState | None, why: str) -> tuple[Event, ...]:
    if canary is None or not has_pods(canary):
        return ()
    note = f"the canary of {_what(canary)} is ended: {why}"
    return (Event(EventReason.CANARY_ENDED, note, _CANARY_ACTION),)


def _what(canary: CanaryState) -> str:
    """What a canary is of: a spec, or what Trireme tries of its own."""
    return canary.candidate.tries or f"generation {canary.generation}"


def shares_gpus(accepted: Accepted, candidate: Accepted) -> bool:
    """Whether a candidate's pods have GPUs, of a budget that the agent shares with others."""
    shared = accepted.agent.spec.scaling.budget is not None
    return shared and any(p.agent.spec.server.gpus.count for p in candidate.pod_sets)


def is_on(canary: CanaryState | None) -> bool:
    """Whether a canary is tried now."""
    return canary is not None and canary.phase is RolloutPhase.PROGRESSING


def has_pods(canary: CanaryState | None) -> bool:
    """Whether a canary is to have pods."""
    return canary is not None and canary.phase is not RolloutPhase.ROLLED_BACK
