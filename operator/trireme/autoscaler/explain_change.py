"""What `trireme explain` says would change the number of pods, and what holds it up. Pure."""

from collections.abc import Iterator
from datetime import timedelta

from trireme.api.conditions import Reason
from trireme.api.scalars import format_duration
from trireme.api.scaling import Paused
from trireme.autoscaler import stabiliser
from trireme.autoscaler.demand import hold
from trireme.autoscaler.explain_known import Told, is_decided
from trireme.autoscaler.thresholds import Threshold, Thresholds
from trireme.autoscaler.types.capacity import Capacity
from trireme.autoscaler.wording import number, pod_count


def more(told: Told, found: Thresholds) -> Iterator[str]:
    """From which load on there would be more pods, and what holds them up."""
    if told.wanted > told.replicas:
        yield f"{pod_count(told.wanted)} are asked for now."
        yield from _granted(told)
        return
    if told.proposed is not None and told.proposed > told.replicas:
        yield f"{pod_count(told.proposed)} are wanted now."
    elif found.more is not None:
        yield f"From {_at(found.more, told)} on, {pod_count(found.more.wanted)} would be wanted."
    yield from _holds(told, Paused.SCALE_OUT)


def fewer(told: Told, found: Thresholds) -> Iterator[str]:
    """Below which load there would be fewer pods, and what holds that up."""
    if told.replicas == 0:
        return
    if told.wanted < told.replicas:
        yield "1 pod stays." if told.wanted == 1 else f"{told.wanted} pods stay."
        return
    if told.broken and is_decided(told):
        yield "Not while the objective is broken."
        return
    if told.proposed is not None and told.proposed < told.replicas:
        yield f"{pod_count(told.proposed)} would do now."
    elif found.fewer is not None:
        yield f"Below {_at(found.fewer, told)}, {pod_count(found.fewer.wanted)} would do."
    yield from _holds(told, Paused.SCALE_IN)


def _granted(told: Told) -> Iterator[str]:
    """The part of a budget, where it binds."""
    if told.grant is not None and told.binding:
        most = told.grant.replicas
        amount = _gpus(most) if told.by_class else pod_count(most)
        yield f"No more than {amount} for now by {told.grant.words}."


def _holds(told: Told, direction: Paused) -> Iterator[str]:
    """What holds a change in this direction up."""
    policy = told.policy
    if policy is None or not is_decided(told):
        return
    grows = direction is Paused.SCALE_OUT
    windows = stabiliser.windows(policy.behavior, hold(policy.objectives, told.forecasts))
    window = windows.up if grows else windows.down
    moves, which, field = ("comes", "more", "up") if grows else ("goes", "fewer", "down")
    if told.reason is Reason.NO_SIGNALS:
        yield "Not without signals."
    elif policy.paused in (Paused.ALL, direction):
        yield f"Not while scaling.paused is {policy.paused}."
    elif grows and told.replicas >= policy.max_replicas:
        bound = policy.max_bound
        yield f"Not while {bound.field} is {policy.max_replicas}{bound.when}."
    elif grows and told.binding:
        yield from _granted(told)
    elif not grows and told.replicas <= policy.min_replicas:
        bound = policy.min_bound
        yield f"Not while {bound.field} is {policy.min_replicas}{bound.when}."
    elif grows and not told.replicas and policy.demand is not None:
        least = number(policy.demand.activation_per_second)
        yield f"The first pod starts once scaling.demand is over {least} requests/s."
    elif not grows and told.replicas == 1 and policy.demand is not None:
        waited = format_duration(policy.demand.cooldown)
        yield f"It goes once nothing was asked for {waited}, by scaling.demand either."
    elif window > timedelta(0):
        waited = format_duration(window)
        is_told = (
            policy.behavior.up if grows else policy.behavior.down
        ).stabilization_window is not None
        by = f" (scaling.behavior.{field})" if is_told else ""
        yield f"A pod {moves} once {which} were wanted for {waited}{by}."


def _at(threshold: Threshold, told: Told) -> str:
    """A load, in the unit that decides."""
    rate = f"{number(threshold.request_rate_per_second)} requests/s"
    if isinstance(told.capacities.get(threshold.model), Capacity):
        at = rate
    else:
        at = f"{number(threshold.in_flight)} requests in flight (some {rate} at this latency)"
    several = told.policy is not None and len(told.policy.objectives) > 1
    return f"{at} for {threshold.model}" if several else at


def _gpus(count: int) -> str:
    return "1 GPU" if count == 1 else f"{count} GPUs"
