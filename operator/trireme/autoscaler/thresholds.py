"""At which load the decision would want another number of pods.

Pure. The decision itself is asked, with the load that was seen made larger or smaller and all else
as it was; so what is found holds for whatever rule decides. Requests in flight are taken to grow
with the rate (Little's law, at the latency of now), and so is what is expected; and every
objective's load by the same factor.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from trireme.autoscaler.records import Inputs, conclude
from trireme.autoscaler.types.policy import ObjectivePolicy
from trireme.autoscaler.types.signals import ModelSignals, Signals

MOST_TIMES = 1024.0  # the present load: what asks for more only beyond it is not worth telling
_NEAR = 1.002  # a threshold is found to two parts in a thousand
_IDLE_RATE = 1.0  # requests a second that stand for the load of a model that has none
_IDLE_SHARE = 0.5  # of its latency target that a request of it is taken to last


@dataclass(frozen=True, slots=True)
class Threshold:
    """A load of one model: at it, or beyond, so many pods are wanted."""

    model: str
    request_rate_per_second: float
    in_flight: float
    wanted: int


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The least load that wants more pods than there are, and the largest that wants fewer; None
    where none does, or where there is no load to tell by.
    """

    more: Threshold | None
    fewer: Threshold | None


def thresholds(inputs: Inputs) -> Thresholds:
    """What the load would have to be for more pods, and for fewer."""
    seen = inputs.observation.signals
    if not isinstance(seen, Signals) or not seen.models or inputs.foreign_writer is not None:
        return Thresholds(None, None)
    base = tuple(map(_with_a_load, seen.models, inputs.policy.objectives))

    def at(times: float) -> Threshold | None:
        """The proposal at so many times the load; None where nothing is proposed."""
        models = tuple(_scaled(model, times) for model in base)
        forecasts = {
            model: replace(forecast, per_second=times * forecast.per_second)
            for model, forecast in inputs.observation.forecasts.items()
        }
        observation = replace(
            inputs.observation, signals=replace(seen, models=models), forecasts=forecasts
        )
        decision, _ = conclude(replace(inputs, observation=observation))
        if decision.proposed is None or decision.model is None:
            return None
        winner = next(model for model in models if model.model == decision.model)
        return Threshold(
            winner.model, winner.request_rate_per_second, winner.in_flight, decision.proposed
        )

    current = inputs.observation.replicas
    is_more = _where(at, lambda proposed: proposed > current)
    is_fewer = _where(at, lambda proposed: proposed < current)
    return Thresholds(
        more=_edge(at, is_more, lambda times: times * 2, MOST_TIMES),
        fewer=_edge(at, is_fewer, lambda times: times / 2, 1 / MOST_TIMES),
    )


def _where(
    at: Callable[[float], Threshold | None], holds: Callable[[int], bool]
) -> Callable[[float], bool]:
    def check(times: float) -> bool:
        found = at(times)
        return found is not None and holds(found.wanted)

    return check


def _edge(
    at: Callable[[float], Threshold | None],
    holds: Callable[[float], bool],
    step: Callable[[float], float],
    last: float,
) -> Threshold | None:
    """The load nearest to the present one at which it holds; None where it holds now, or never."""
    out, into = 1.0, step(1.0)
    if holds(out):
        return None
    while not holds(into):
        if into == last:
            return None
        out, into = into, step(into)
    while not 1 / _NEAR <= out / into <= _NEAR:
        middle = (out * into) ** 0.5
        out, into = (out, middle) if holds(middle) else (middle, into)
    return at(into)


def _with_a_load(model: ModelSignals, objective: ObjectivePolicy) -> ModelSignals:
    """The model as it was seen, or with a small load where it has none."""
    if model.request_rate_per_second > 0 and model.in_flight > 0:
        return model
    in_flight = _IDLE_RATE * _IDLE_SHARE * objective.latency_target_seconds
    return replace(model, request_rate_per_second=_IDLE_RATE, in_flight=in_flight)


def _scaled(model: ModelSignals, times: float) -> ModelSignals:
    return replace(
        model,
        request_rate_per_second=model.request_rate_per_second * times,
        in_flight=model.in_flight * times,
    )
