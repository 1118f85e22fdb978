"""The recommendation of a knob: from what was learnt of an agent's pods to what is told of it.

What is worth recommending is decided in `trireme.tuner`; here its inputs are read off the agent's
view, and the Events are made.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from trireme.api.agent import AgentSpec
from trireme.api.conditions import EventReason, Reason
from trireme.api.scaling import ScalingMode
from trireme.api.scaling_status import CurveSource
from trireme.api.tuning import Confidence, Knob, TuningMode, TuningStatus
from trireme.autoscaler.records import Record
from trireme.autoscaler.targets import breach
from trireme.autoscaler.types.capacity import BusiestStep, Capacity
from trireme.autoscaler.types.observation import KnownKnob
from trireme.autoscaler.types.policy import ObjectivePolicy
from trireme.autoscaler.types.serving import ServedPipeline
from trireme.autoscaler.types.signals import Signals
from trireme.autoscaler.wording import recommendation
from trireme.control.agent_state import AdviceAsked, Asked, Learning, StepAdviceAsked
from trireme.control.status import format_time
from trireme.control.store import AgentView
from trireme.edge.recorder import Event
from trireme.modelrepo.instances import instances_per_pod
from trireme.tuner.advice import Advice, Served
from trireme.tuner.settings import configuration_of, rows_alone, space_of, turned
from trireme.tuner.standing import (
    Stood,
    Unknown,
    as_status,
    is_news,
    standing,
    still_owed,
    with_change,
    within,
)
from trireme.tuner.step_advice import ServedLine
from trireme.tuner.types import Objective

_TUNE = "Tune"
# The decisions of a fleet that neither scales nor would.
_CALM = frozenset({Reason.WITHIN_TARGET, Reason.SHADOW})


def asked(
    learning: Learning,
    spec: AgentSpec,
    objective: ObjectivePolicy,
    written: AgentSpec | None,
) -> Asked | None:
    """What advice is to be sought for; None where nothing is sure enough to advise by: a curve of
    the present configuration is missing. `written` is the spec without what Trireme sets of its
    own, None where it is not known.
    """
    if spec.tuning.mode is TuningMode.DISABLED:
        return None
    if isinstance(steps := objective.serving, ServedPipeline):
        return _of_line(learning, spec, objective, steps)
    learnt = learning.curves.get(objective.model)
    model = spec.model_named(objective.model)
    if model is None or learnt is None or objective.serving is None:
        return None
    if learnt.source is CurveSource.EARLIER:
        return None
    now, space = configuration_of(model, spec.server), space_of(spec, model)
    said = written.model_named(model.name) if written is not None else None
    if said is None or instances_per_pod(said, spec.server) != now.instances:
        # It is Trireme's own number. A guess upon a guess is none: of that nothing was learnt.
        space = replace(space, tries_instances=False)
    return AdviceAsked(
        Served(model.name, now, learnt, rows_alone(model)),
        Objective(objective.percentile, objective.latency_target_seconds),
        space,
    )


def _of_line(
    learning: Learning, spec: AgentSpec, objective: ObjectivePolicy, steps: ServedPipeline
) -> StepAdviceAsked | None:
    """The same of a pipeline, once it is known which step binds what a pod sustains."""
    calls = learning.calls.get(objective.model)
    curves = {m: curve for m in objective.served_models if (curve := learning.curves.get(m))}
    if calls is None or len(curves) < len(objective.served_models):
        return None
    if any(each.source is CurveSource.EARLIER for each in curves.values()):
        return None
    found = learning.capacities.get(objective.model)
    if not isinstance(found, Capacity) or not isinstance(found.learnt, BusiestStep):
        return None
    model = spec.model_named(found.learnt.model)
    if model is None:
        return None
    now, learnt = configuration_of(model, spec.server), curves[model.name]
    busiest = Served(model.name, now, learnt, rows_alone(model))
    line = ServedLine(busiest, steps, curves, calls, objective, found.per_second)
    return StepAdviceAsked(line, space_of(spec, model))


def known_knobs(
    view: AgentView, learning: Learning, was_refused: Callable[[TuningStatus], bool]
) -> tuple[KnownKnob, ...]:
    """The knobs that a decision may hold against a replica, by objective: those that are worth
    telling and gain something, and were not tried in vain.
    """
    found = [
        KnownKnob(
            objective,
            each.model,
            each.knob,
            each.now,
            each.to,
            each.gain,
            is_guess=each.confidence is Confidence.LOW,
        )
        for objective, each in learning.advice.items()
        if each is not None
        and each.gain > 0
        and each.is_worth_telling
        and not (view.adoption.present and was_refused(as_status(each, "")))
    ]
    if not found:
        return ()
    assert view.accepted is not None  # noqa: S101  # who scales has looked
    return () if view.accepted.agent.spec.server.node_classes else tuple(found)


def standing_after(
    before: TuningStatus | None,
    learning: Learning,
    spec: AgentSpec,
    made: Record,
    now: datetime,
    *,
    is_calm: bool,
) -> TuningStatus | None:
    """The recommendation that stands after a decision: at most one, and a new one is of the
    objective that decided. `is_calm` is what the function of that name says of the decision.

    Where there are node classes none is: what one pod gains, another may not. Nor where Trireme
    does not decide: nothing is learnt there.
    """
    decision, mode = made.decision, made.inputs.policy.mode
    if spec.tuning.mode is TuningMode.DISABLED or spec.server.node_classes:
        return None
    if not mode.is_decided_by_trireme:
        return None
    stood, decisive = _stood(before, learning, spec, made), learning.advice.get(_decided_by(made))
    if stood is None and decisive is None:
        return None
    named = decision.alternative is not None and _is_about(decisive, decision.alternative.knob)
    after = standing(stood, decisive, is_calm=is_calm, since=format_time(now), is_named=named)
    if after is not None and mode is ScalingMode.AUTOMATIC:
        spared = decision.replicas - decision.alternative.replicas if decision.alternative else 0
        of, change = _reckoned_by(learning, made, after), decision.replicas - decision.current
        after = with_change(after, change, spared if named else 0, of)
    return within(after, decision.replicas) if after is not None else None


def _reckoned_by(learning: Learning, made: Record, told: TuningStatus) -> str:
    """Digest of what it is known by how many replicas would do with what is recommended: the model,
    the objectives and, of instances, whether it is a guess what they cost each other.
    """
    objectives = [
        (each.model, each.percentile, each.latency_target_seconds, each.max_failure_ratio)
        for each in made.inputs.policy.objectives
    ]
    is_guess = told.knob is Knob.INSTANCES and told.model not in learning.contentions
    parts = repr((learning.model_digests.get(told.model), objectives, is_guess))
    return hashlib.sha256(parts.encode()).hexdigest()[:16]


def _is_about(advice: Advice | None, knob: KnownKnob) -> bool:
    """Whether advice is still on what a decision has named: more may be learnt meanwhile."""
    return advice is not None and (advice.model, advice.knob, advice.to) == (
        knob.model,
        knob.knob,
        knob.to,
    )


def _stood(
    before: TuningStatus | None, learning: Learning, spec: AgentSpec, made: Record
) -> Stood | None:
    """What stood, with what is known of its model now; None where that is gone, or what is
    recommended is beyond the user's limits by now.
    """
    model = spec.model_named(before.model) if before is not None else None
    if before is None or model is None:
        return None
    now = configuration_of(model, spec.server)
    if not space_of(spec, model).allows(turned(now, before.knob, before.to)):
        return None
    status = still_owed(before, _reckoned_by(learning, made, before))
    return Stood(status, now, _on(learning, model.name))


def _on(learning: Learning, model: str) -> Advice | Unknown | None:
    """The present advice on a model: its own, or that on a pipeline that it is a step of."""
    if model in learning.advice:
        return learning.advice[model]
    for name, asked in learning.advised.items():
        if isinstance(asked, StepAdviceAsked) and model in asked.line.curves:
            advice = learning.advice[name]
            return advice if advice is not None and advice.model == model else None
    return Unknown()


def _decided_by(made: Record) -> str:
    objectives = made.inputs.policy.objectives
    return made.decision.model or (objectives[0].model if len(objectives) == 1 else "")


def is_calm(made: Record) -> bool:
    """Whether the fleet is of its size, all of it serves, and every objective is kept."""
    observation, decision = made.inputs.observation, made.decision
    signals = observation.signals
    if not isinstance(signals, Signals) or decision.reason not in _CALM:
        return False
    settled = decision.replicas == decision.current == observation.ready and not observation.stuck
    by_model = {seen.model: seen for seen in signals.models}
    return settled and not any(
        breach(objective, by_model[objective.model])
        for objective in made.inputs.policy.objectives
        if objective.model in by_model
    )


def events(before: TuningStatus | None, after: TuningStatus | None) -> Sequence[Event]:
    """What is told of what stands after what was told before."""
    if after is None or not is_news(before, after):
        return []
    note = recommendation(after)
    return [Event(EventReason.TUNING_RECOMMENDED, f"{note[0].upper()}{note[1:]}", _TUNE)]
