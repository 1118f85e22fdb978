"""Every duration of a spec with the bounds it must keep, as one table. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from trireme.admission.places import models
from trireme.api.agent import AgentSpec
from trireme.api.batching import Batching
from trireme.api.models import Model
from trireme.api.rollout import Canary
from trireme.api.scalars import format_duration
from trireme.errors import Fault

_ZERO = timedelta(0)
_MICROSECOND = timedelta(microseconds=1)
_MILLISECOND = timedelta(milliseconds=1)
_SECOND = timedelta(seconds=1)
_MINUTE = timedelta(minutes=1)
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class _Bounded:
    """One duration and the least and the most it may be."""

    path: str
    value: timedelta
    least: timedelta
    most: timedelta


def _bounded(spec: AgentSpec) -> Iterator[_Bounded]:
    server, behavior = spec.server, spec.scaling.behavior
    yield _Bounded("spec.server.startupTimeout", server.startup_timeout, 10 * _SECOND, _DAY)
    yield _Bounded("spec.download.timeout", spec.download.timeout, 10 * _SECOND, _DAY)
    yield from _of_canary(spec.rollout.canary)
    yield _Bounded("spec.server.drainTime", server.drain_time, _ZERO, 10 * _MINUTE)
    yield _Bounded("spec.server.exitTimeout", server.exit_timeout, _SECOND, _HOUR)
    yield _Bounded("spec.gateway.requestTimeout", spec.gateway.request_timeout, _ZERO, _DAY)
    for path, model in models(spec):
        yield from _of_model(path, model)
    for index, objective in enumerate(spec.objectives):
        path = f"spec.objectives[{index}].latency.target"
        yield _Bounded(path, objective.latency.target, _MILLISECOND, 10 * _MINUTE)
    for name, rules in (("up", behavior.up), ("down", behavior.down)):
        path = f"spec.scaling.behavior.{name}"
        if rules.stabilization_window is not None:
            yield _Bounded(f"{path}.stabilizationWindow", rules.stabilization_window, _ZERO, _HOUR)
        for at, policy in enumerate(rules.policies):
            yield _Bounded(f"{path}.policies[{at}].period", policy.period, _SECOND, 30 * _MINUTE)
    if (demand := spec.scaling.demand) is not None:
        path = "spec.scaling.demand.cooldownPeriod"
        yield _Bounded(path, demand.cooldown_period, _ZERO, _DAY)
    if (longest := spec.tuning.limits.max_queue_delay) is not None:
        yield _Bounded("spec.tuning.limits.maxQueueDelay", longest, _ZERO, _HOUR)
    if (optimization := spec.optimization) is not None:
        path = "spec.optimization.timeBudget"
        yield _Bounded(path, optimization.time_budget, 10 * _SECOND, _DAY)
        for index, asked in enumerate(optimization.models):
            if (latency := asked.target.latency) is not None:
                path = f"spec.optimization.models[{index}].target.latency"
                yield _Bounded(path, latency, _MICROSECOND, 10 * _MINUTE)
    for index, schedule in enumerate(spec.scaling.schedules):
        path = f"spec.scaling.schedules[{index}].duration"
        yield _Bounded(path, schedule.duration, _MINUTE, 31 * _DAY)


def _of_canary(canary: Canary) -> Iterator[_Bounded]:
    path = "spec.rollout.canary"
    for index, step in enumerate(canary.steps):
        yield _Bounded(f"{path}.steps[{index}].pause", step.pause, _ZERO, _WEEK)
    yield _Bounded(f"{path}.deadline", canary.deadline, 10 * _SECOND, _WEEK)


def _of_model(path: str, model: Model) -> Iterator[_Bounded]:
    batching = model.batching or Batching()
    if (dynamic := batching.dynamic) is not None:
        inner = f"{path}.batching.dynamic"
        yield _Bounded(f"{inner}.maxQueueDelay", dynamic.max_queue_delay, _ZERO, _MINUTE)
        if dynamic.queue is not None:
            yield _Bounded(f"{inner}.queue.timeout", dynamic.queue.timeout, _ZERO, _HOUR)
        for at, queue in enumerate(dynamic.priority_queues):
            place = f"{inner}.priorityQueues[{at}].timeout"
            yield _Bounded(place, queue.timeout, _ZERO, _HOUR)
    if (sequence := batching.sequence) is not None:
        inner = f"{path}.batching.sequence"
        yield _Bounded(f"{inner}.maxIdle", sequence.max_idle, _ZERO, _DAY)
        for name, strategy in (("direct", sequence.direct), ("oldest", sequence.oldest)):
            if strategy is not None:
                place = f"{inner}.{name}.maxQueueDelay"
                yield _Bounded(place, strategy.max_queue_delay, _ZERO, _MINUTE)
    for at, edge in enumerate(model.latency_buckets):
        yield _Bounded(f"{path}.latencyBuckets[{at}]", edge, _MICROSECOND, _HOUR)


def duration_is_out_of_bounds(spec: AgentSpec) -> Iterator[Fault]:
    """Mostly a wrong unit: 100m is a hundred minutes."""
    for each in _bounded(spec):
        if not each.least <= each.value <= each.most:
            least, most = format_duration(each.least), format_duration(each.most)
            value = format_duration(each.value)
            yield Fault(
                each.path,
                value,
                f"{value} is not from {least} to {most}",
                f"Write a duration from {least} to {most}; ms are milliseconds, m are minutes",
            )
