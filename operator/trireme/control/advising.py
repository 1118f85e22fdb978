"""The recommendation of a knob: from what was learnt of an agent's pods to what is told of it.

What is worth recommending is decided in `trireme.tuner`; here its inputs are read off the agent's
view, and the Events are made.
"""

from collections.abc import Sequence
from datetime import datetime

from trireme.api.conditions import EventReason, Reason
from trireme.api.tuning import TuningMode, TuningStatus
from trireme.api.types import AgentSpec, CurveSource, ScalingMode
from trireme.autoscaler.records import Record
from trireme.autoscaler.targets import breach
from trireme.autoscaler.types import ObjectivePolicy, Serving, Signals
from trireme.autoscaler.wording import recommendation
from trireme.control.agent_state import AdviceAsked, Learning
from trireme.control.status import format_time
from trireme.edge.recorder import Event
from trireme.tuner.advice import Served
from trireme.tuner.settings import configuration_of, rows_alone, space_of
from trireme.tuner.standing import Stood, Unknown, is_bought_first, is_news, standing, with_added
from trireme.tuner.types import Objective

_TUNE = "Tune"
# The decisions of a fleet that neither scales nor would.
_CALM = frozenset({Reason.WITHIN_TARGET, Reason.SHADOW})


def asked(learning: Learning, spec: AgentSpec, objective: ObjectivePolicy) -> AdviceAsked | None:
    """What advice is to be sought for; None where nothing is sure enough to advise by: there is no
    curve of the present configuration, or the objective is of a pipeline, whose steps share a pod.
    """
    learnt = learning.curves.get(objective.model)
    model = spec.model_named(objective.model)
    if spec.tuning.mode is TuningMode.DISABLED or model is None or learnt is None:
        return None
    if learnt.source is CurveSource.EARLIER or not isinstance(objective.serving, Serving):
        return None
    return AdviceAsked(
        Served(model.name, configuration_of(model, spec.server), learnt, rows_alone(model)),
        Objective(objective.percentile, objective.latency_target_seconds),
        space_of(spec, model),
    )


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
    after = standing(
        _stood(before, learning, spec),
        learning.advice.get(_decided_by(made)),
        is_calm=is_calm,
        since=format_time(now),
    )
    is_ours = mode is ScalingMode.AUTOMATIC
    return with_added(after, decision.replicas - decision.current) if is_ours else after


def _stood(before: TuningStatus | None, learning: Learning, spec: AgentSpec) -> Stood | None:
    """What stood, with what is known of its model now; None where that is gone, too."""
    model = spec.model_named(before.model) if before is not None else None
    if before is None or model is None:
        return None
    advice = learning.advice.get(model.name, Unknown())
    return Stood(before, configuration_of(model, spec.server), advice)


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
    """What is told of what stands after what was told before: once that it stands, and once that
    replicas were bought while it does.
    """
    if after is None:
        return []
    told = []
    if is_news(before, after):
        told.append(_event(recommendation(after)))
    if is_bought_first(before, after):
        count = after.replicas_added
        added = "1 replica was added" if count == 1 else f"{count} replicas were added"
        told.append(_event(f"{added}, though a knob may do for less: {recommendation(after)}"))
    return told


def _event(note: str) -> Event:
    return Event(EventReason.TUNING_RECOMMENDED, f"{note[0].upper()}{note[1:]}", _TUNE)
