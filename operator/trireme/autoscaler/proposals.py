"""What each objective asks for, as a number of replicas. Pure."""

import math
from dataclasses import replace
from datetime import timedelta

from trireme.autoscaler import factor, targets
from trireme.autoscaler.types.capacity import Capacity, OutOfReach
from trireme.autoscaler.types.memory import FactorMemory, Memory
from trireme.autoscaler.types.observation import Forecast, Observation
from trireme.autoscaler.types.policy import ObjectivePolicy, Policy
from trireme.autoscaler.types.signals import ModelSignals, Signals
from trireme.autoscaler.values import frozen

MARGIN = 0.1  # of a demand without a forecast, at least: what comes while a pod starts, and chance
TOLERANCE = 0.1  # of HorizontalPodAutoscaler v2, where the spec names none and nothing is forecast


@frozen
class DemandOnPods:
    """What is asked of the pods a second, and what one of them sustains, with its factor.

    `backlog` is what is in flight beyond what the pods would hold at that rate, and `forecast` what
    is expected while a pod starts.
    """

    capacity: Capacity
    forecast: Forecast | None
    backlog: float
    per_second: float
    sustained_per_second: float
    factor: FactorMemory


@frozen
class Proposal:
    """What one objective asks for; `demand` where it follows from a capacity, and `out_of_reach`
    where no size keeps the objective. `least` is what a break alone asks for.
    """

    objective: ObjectivePolicy
    seen: ModelSignals
    correction: targets.Correction
    breach: targets.Breach
    replicas: int
    demand: DemandOnPods | None
    out_of_reach: OutOfReach | None
    least: int = 0


def desired_replicas(in_flight: float, per_pod: float, current: int, tolerance: float) -> int:
    """The size at which each pod holds its target; `current` within the tolerance.

    As HorizontalPodAutoscaler v2 with type AverageValue: 7 in flight, 2 per pod, 3 pods: the
    ratio 7/6 = 1.17 is out of a tolerance of 0.1, so ceil(7/2) = 4. The bounds are compared as
    there: 11 on 10 pods is a ratio of 1.1 and within, though 1.1 - 1 is a little over 0.1.
    """
    if current > 0 and 1 - tolerance <= in_flight / (per_pod * current) <= 1 + tolerance:
        return current
    return math.ceil(in_flight / per_pod)


def proposals_of(
    observation: Observation, policy: Policy, memory: Memory, signals: Signals
) -> list[Proposal]:
    """What each objective asks for, with its target corrected by what is seen now.

    By what a pod sustains where that is known, else by the requests in flight. An objective that no
    size keeps is not chased: its target stays at its start.

    A broken objective asks for no fewer pods than there are, and, in the round that ends a full
    window of it, for one more at least: the target, lowered then, may need several to bind. Never
    for more than one pod per request in flight: then nothing waits, and more pods cannot help.
    """
    seen_of = {model.model: model for model in signals.models}
    proposals = []
    for asked in policy.objectives:
        seen = seen_of[asked.model]
        objective = asked.fitted_to(seen.slowest_step)
        known = None if asked.fixed_target else observation.capacities.get(asked.model)
        if isinstance(known, OutOfReach):
            objective = replace(objective, fixed_target=True)
        correction = targets.correct(
            targets.initial(objective, memory),
            objective,
            seen,
            pods=observation.replicas,
            settled=observation.ready >= observation.replicas,
            learns=not observation.beside_canary,
            window=signals.window,
            now=observation.now,
        )
        broken = targets.breach(objective, seen)
        demand = None
        if isinstance(known, Capacity):
            demand = _demand(
                objective, known, seen, observation, memory, signals.window, broken=bool(broken)
            )
            replicas = _by_capacity(demand, seen, observation.replicas, policy.tolerance)
        else:
            replicas = desired_replicas(
                seen.in_flight,
                correction.target.in_flight_per_pod,
                observation.replicas,
                TOLERANCE if policy.tolerance is None else policy.tolerance,
            )
        least = 0
        if broken and not objective.fixed_target:
            least = observation.replicas + (1 if correction.is_window_broken else 0)
            least = min(least, math.ceil(seen.in_flight / targets.LOWEST))
            replicas = max(replicas, least)
        proposals.append(
            Proposal(
                objective,
                seen,
                correction,
                broken,
                max(replicas, 1),
                demand,
                known if isinstance(known, OutOfReach) else None,
                least,
            )
        )
    return proposals


def _demand(
    objective: ObjectivePolicy,
    capacity: Capacity,
    seen: ModelSignals,
    observation: Observation,
    memory: Memory,
    window: timedelta,
    *,
    broken: bool,
) -> DemandOnPods:
    """The rate that is asked of the pods: what arrives, and the backlog within one window.

    At the rate that they sustain, no more is in flight than that rate x the objective's latency
    (Little's law); the rest is a backlog. The two are counted once each: `signals` adds to the rate
    what a queue grew by in the window, as what arrived, and the backlog is what waits since then
    and before, which needs pods of its own to end within a window. Only of a Triton without a gauge
    (before 23.09) and a gateway the rate is that of the answers, and the backlog stands for what
    arrives and is not seen: 70 a second on a pod that answers 50: a window of 30 s later 600 are in
    flight, and 50 + (600 - 7) / 30 = 70.
    """
    before = factor.initial(objective.model, memory)
    rate, latency = seen.request_rate_per_second, seen.latency
    eased = capacity.eased_of_each(observation.ready)
    if observation.beside_canary:
        learnt = factor.beside_canary(before)
    else:
        to_sustain = before.factor * capacity.per_second * observation.replicas
        slow = latency.seconds / eased if latency and eased else None
        settled = observation.ready >= observation.replicas
        load = factor.Load(rate, to_sustain, slow, broken, settled)
        learnt = factor.correct(before, load, observation.now)
    sustained = learnt.factor * capacity.per_second
    held = observation.ready * sustained * objective.latency_target_seconds
    backlog = max(0.0, seen.in_flight - held)
    return DemandOnPods(
        capacity,
        observation.forecasts.get(objective.model),
        backlog,
        rate + backlog / window.total_seconds(),
        sustained,
        learnt,
    )


def _by_capacity(
    demand: DemandOnPods, seen: ModelSignals, current: int, tolerance: float | None
) -> int:
    """The size at which each pod has what it sustains, when a pod that is asked for now is ready.

    With a forecast that is the size for the highest rate until then, with its margin, and never
    less than for the present one. Without, a margin stands for what may come, and covers the
    tolerance: what is tolerated is sustained. It asks for no more than a pod for each request in
    flight then, when nothing waits.
    """
    if demand.forecast is not None:
        expected = demand.forecast.margin * demand.forecast.per_second
        per_second = max(demand.per_second, expected)
        return desired_replicas(per_second, demand.sustained_per_second, current, tolerance or 0.0)
    tolerance = TOLERANCE if tolerance is None else tolerance
    margin = 1 + max(MARGIN, tolerance)
    wanted = desired_replicas(
        demand.per_second * margin, demand.sustained_per_second, current, tolerance
    )
    return min(wanted, max(current, math.ceil(seen.in_flight / targets.LOWEST)))
