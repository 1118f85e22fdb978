"""The recommendation of a knob: from what was learnt of an agent's pods to what is told of it.

What is worth recommending is decided in `trireme.tuner`; here its inputs are read off the agent's
view, and the Events are made.
"""

from collections.abc import Sequence
from datetime import datetime

from trireme.api.conditions import EventReason, Reason
from trireme.api.models import Model
from trireme.api.tuning import TuningMode, TuningStatus
from trireme.api.types import AgentSpec, CurveSource
from trireme.autoscaler.records import Record
from trireme.autoscaler.targets import breach
from trireme.autoscaler.types import Decision, ObjectivePolicy, Serving, Signals
from trireme.autoscaler.wording import recommendation
from trireme.control.status import format_time
from trireme.control.store import AdviceAsked, Learning
from trireme.edge.recorder import Event
from trireme.tuner.advice import Advice, Served
from trireme.tuner.settings import configuration_of, space_of
from trireme.tuner.standing import Unknown, is_bought_first, is_news, standing, with_added
from trireme.tuner.types import Objective

_TUNE = "Tune"
# The decisions of a fleet that neither scales nor would.
_CALM = frozenset({Reason.WITHIN_TARGET, Reason.SHADOW})


def asked(learning: Learning, spec: AgentSpec, objective: ObjectivePolicy) -> AdviceAsked | None:
    """What advice is to be sought for; None where nothing is sure enough to advise by: there is no
    curve of the present configuration, or the objective is of a pipeline, whose steps share a pod.
    """
    learnt = learning.curves.get(objective.model)
    model = _model(spec, objective.model)
    if spec.tuning.mode is TuningMode.DISABLED or model is None or learnt is None:
        return None
    if learnt.source is CurveSource.EARLIER or not isinstance(objective.serving, Serving):
        return None
    return AdviceAsked(
        Served(model.name, configuration_of(model, spec.server), learnt),
        Objective(objective.percentile, objective.latency_target_seconds),
        space_of(spec, model),
    )


def standing_after(
    before: TuningStatus | None, learning: Learning, spec: AgentSpec, made: Record, now: datetime
) -> TuningStatus | None:
    """The recommendation that stands after a decision: of the objective that decided, at most one.

    Where there are node classes none is: what one pod gains, another may not.
    """
    decision = made.decision
    if spec.tuning.mode is TuningMode.DISABLED or spec.server.node_classes:
        return None
    model = _model(spec, before.model) if before is not None else None
    advice = _advice(learning, made)
    after = standing(
        before,
        advice,
        configuration_of(model, spec.server) if model else None,
        is_calm=_is_calm(made),
        since=format_time(now),
    )
    return with_added(after, decision.replicas - decision.current)


def _advice(learning: Learning, made: Record) -> Advice | Unknown | None:
    objectives = made.inputs.policy.objectives
    decided_by = made.decision.model or (objectives[0].model if len(objectives) == 1 else "")
    return learning.advice.get(decided_by, Unknown())


def _is_calm(made: Record) -> bool:
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


def events(
    before: TuningStatus | None, after: TuningStatus | None, decision: Decision
) -> Sequence[Event]:
    """What is told: once that it stands, and once that replicas are bought while it does."""
    if after is None:
        return []
    if is_news(before, after):
        return [_event(recommendation(after))]
    if is_bought_first(before, after):
        added = f"replicas {decision.current} → {decision.replicas}, though a knob may do for less"
        return [_event(f"{added}: {recommendation(after)}")]
    return []


def _event(note: str) -> Event:
    return Event(EventReason.TUNING_RECOMMENDED, f"{note[0].upper()}{note[1:]}", _TUNE)


def _model(spec: AgentSpec, name: str) -> Model | None:
    return next((model for model in spec.models if model.name == name), None)
