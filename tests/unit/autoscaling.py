"""Builders of the autoscaler's values: a test says only what matters to it."""

from datetime import UTC, datetime, timedelta

from trireme.api.scaling import (
    Behavior,
    Paused,
    PolicyType,
    RatePolicy,
    ScalingMode,
    ScalingRules,
    SelectPolicy,
)
from trireme.autoscaler.types.capacity import Capacity, OutOfReach
from trireme.autoscaler.types.memory import Memory
from trireme.autoscaler.types.observation import Observation
from trireme.autoscaler.types.policy import ObjectivePolicy, Policy
from trireme.autoscaler.types.signals import (
    Coverage,
    Latency,
    LatencyKind,
    ModelSignals,
    NoSignals,
    Signals,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
WINDOW = timedelta(seconds=30)
SETTLED = Memory(started=NOW - timedelta(hours=1))
"""The memory of an operator that has watched for long, and seen nothing to remember."""


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def p95(seconds: float) -> Latency:
    return Latency(seconds, LatencyKind.PERCENTILE, 95)


def objective(model: str = "m", start: float = 8.0, *, fixed: bool = False) -> ObjectivePolicy:
    """p95 at most 100 ms, failures at most 0.1 %."""
    return ObjectivePolicy(model, 95, 0.1, 0.001, start, fixed_target=fixed)


def seen(
    in_flight: float,
    latency: Latency | float | None = 0.05,
    *,
    model: str = "m",
    rate: float = 240.0,
    failure_ratio: float = 0.0,
) -> ModelSignals:
    return ModelSignals(
        model=model,
        request_rate_per_second=rate,
        in_flight=in_flight,
        latency=p95(latency) if isinstance(latency, float) else latency,
        failure_ratio=failure_ratio,
        mean_latency_seconds=None,
        queue_share=None,
        pending=None,
    )


def observed(
    replicas: int,
    signals: ModelSignals | NoSignals | tuple[ModelSignals, ...],
    *,
    ready: int | None = None,
    stuck: int = 0,
    unschedulable: int = 0,
    now: datetime = NOW,
    capacity: Capacity | OutOfReach | None = None,
    beside_canary: bool = False,
) -> Observation:
    """`replicas` pods, all ready unless said; `stuck` counts those beyond the unschedulable. The
    `capacity` is known of the model `m`.
    """
    if isinstance(signals, ModelSignals):
        signals = (signals,)
    ready = replicas if ready is None else ready
    covered = (Coverage("server", ready, ready, 2.0),)
    return Observation(
        now=now,
        replicas=replicas,
        ready=ready,
        stuck=stuck + unschedulable,
        unschedulable=unschedulable,
        signals=Signals(now, WINDOW, signals, coverage=covered)
        if isinstance(signals, tuple)
        else signals,
        capacities={} if capacity is None else {"m": capacity},
        beside_canary=beside_canary,
    )


def rules(
    *policies: tuple[int, PolicyType, float],
    window: float = 0,
    select: SelectPolicy = SelectPolicy.MAX,
) -> ScalingRules:
    """Rate policies as (value, type, period in seconds); without any, none that binds."""
    return ScalingRules(
        stabilization_window=seconds(window),
        select_policy=select,
        policies=[
            RatePolicy(type=kind, value=value, period=seconds(period))
            for value, kind, period in policies or ((10_000, PolicyType.PODS, 1.0),)
        ],
    )


EAGER = Behavior(up=rules(), down=rules())
"""No window and no rate that binds: the proposal is what happens."""


def policy(
    *objectives: ObjectivePolicy,
    bounds: tuple[int, int] = (1, 100),
    behavior: Behavior = EAGER,
    paused: Paused = Paused.NONE,
    mode: ScalingMode = ScalingMode.AUTOMATIC,
    replicas: int | None = None,
    tolerance: float | None = 0.1,
) -> Policy:
    return Policy(
        mode=mode,
        replicas=replicas,
        min_replicas=bounds[0],
        max_replicas=bounds[1],
        tolerance=tolerance,
        behavior=behavior,
        paused=paused,
        objectives=objectives or (objective(),),
    )
