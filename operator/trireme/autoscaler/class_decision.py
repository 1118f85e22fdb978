"""The decision of an agent with node classes: how many pods of each there are to be. Pure.

The objectives ask for rates, which are stabilised as numbers of replicas are; `class_plan` says
which pods are to carry them, and the course of their number goes on from there.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from trireme.api.conditions import Reason
from trireme.api.scalars import format_duration
from trireme.autoscaler import class_plan, classes, factor, stabiliser, targets
from trireme.autoscaler import memory as memories
from trireme.autoscaler.course import Course, emptied, keep, rate_limited, unpaused
from trireme.autoscaler.mix import Limits
from trireme.autoscaler.proposals import MARGIN, TOLERANCE, Proposal
from trireme.autoscaler.seen_words import seen_words
from trireme.autoscaler.types.decision import Decision
from trireme.autoscaler.types.memory import ClassMemory, Memory
from trireme.autoscaler.types.observation import Grant, Observation, Outside
from trireme.autoscaler.types.policy import Policy
from trireme.autoscaler.types.signals import Signals
from trireme.autoscaler.wording import Words, pod_count


def by_signals(
    observation: Observation,
    policy: Policy,
    memory: Memory,
    signals: Signals,
    proposals: Sequence[Proposal],
    winner: Proposal,
    windows: stabiliser.Windows,
) -> tuple[Decision, Memory]:
    """The sizes by node class that carry what every objective asks for."""
    now, current = observation.now, observation.replicas
    asked = [_asked(proposal, observation, policy.tolerance) for proposal in proposals]
    found, memory = _planned(observation, policy, memory, asked, windows)
    course = Course(current, found.wanted, sum(found.pods), found.bound)
    waits_for = observation.replicas - observation.ready - observation.stuck
    if course.replicas > current and waits_for > 0 and any(one.in_pods for one in asked):
        words = f"{waits_for} of {pod_count(observation.replicas)} not ready yet"
        course = course.to(current, Reason.HELD, words)
    seen_for = now - memory.started
    if course.replicas < current and seen_for < signals.window:
        words = (
            f"shrinking needs signals of {format_duration(signals.window)}, and there are "
            f"{round(seen_for.total_seconds())}s"
        )
        course = course.to(current, Reason.HELD, words)
    course = emptied(course, observation, policy, memory, signals)
    course = _within_rates(course, found, policy, memory, observation)
    course = _bounded_in_classes(course, found, policy, observation)
    seen = Words(lambda: seen_words(winner, observation, policy))
    decision = _in_classes(course, found.pods, policy, seen, observation)
    decision = replace(decision, model=winner.objective.model)
    if decision.replicas != current:
        memory = replace(memory, targets=memories.unwatched(memory.targets))
    return decision, memory


def by_outside(
    observation: Observation,
    policy: Policy,
    memory: Memory,
    signals: Signals,
    asked: Outside,
    wanted: int,
    seen: str,
) -> tuple[Decision, Memory]:
    """The sizes by node class while only the demand outside tells: pods are added, or the last go.

    A pod of any class counts alike: which one sustains how much is weighed once requests are seen.
    """
    current = observation.replicas
    no_windows = stabiliser.Windows(timedelta(0), timedelta(0))
    found, memory = _planned(
        observation, policy, memory, [classes.Asked("", float(wanted), in_pods=True)], no_windows
    )
    grows = memory.idle_since is None and sum(found.pods) > current
    course = Course(current, wanted, sum(found.pods) if grows else current, found.bound)
    if memory.idle_since is not None:
        course = emptied(course, observation, policy, memory, signals)
    elif current > 0 or course.replicas > 1:
        course = rate_limited(course, policy, memory, observation.now)
        course = replace(course, replicas=max(course.replicas, 1))
    course = _bounded_in_classes(course, found, policy, observation)
    return _in_classes(course, found.pods, policy, seen, observation), memory


def within_bounds(
    observation: Observation, policy: Policy, memory: Memory, words: str
) -> tuple[Decision, Memory]:
    """The sizes by node class without signals: as they are, if the bounds allow it."""
    current = observation.replicas
    held = min(max(current, policy.min_replicas), policy.max_replicas)
    if held == current:
        return keep(observation, Reason.NO_SIGNALS, Words(words)), memory
    pods = next_pods(observation, policy, memory, held, observation.grant)
    course = Course(current, held, sum(pods))
    return _in_classes(course, pods, policy, words, observation), memory


def next_pods(
    observation: Observation,
    policy: Policy,
    memory: Memory,
    pods: int,
    grant: Grant | None = None,
) -> tuple[int, ...]:
    """The next step to so many pods, whatever their classes."""
    asked = [classes.Asked("", float(pods), in_pods=True)]
    carriers = classes.carriers(observation.classes, policy.classes, asked, lambda _: 1.0)
    limits = Limits(pods, pods, grant.replicas if grant else None)
    return class_plan.plan(carriers, [float(pods)], limits, memory.classes, observation.now).pods


@dataclass(frozen=True, slots=True)
class _Planned:
    """The pods by class, how many are wanted in all, and what binds them."""

    pods: tuple[int, ...]
    wanted: int
    bound: tuple[Reason, str] | None


def _planned(
    observation: Observation,
    policy: Policy,
    memory: Memory,
    asked: Sequence[classes.Asked],
    windows: stabiliser.Windows,
) -> tuple[_Planned, Memory]:
    """The next step of the classes for what is asked, within all bounds, and what to remember."""
    now, grant = observation.now, observation.grant
    carriers = classes.carriers(
        observation.classes,
        policy.classes,
        asked,
        lambda model: factor.initial(model, memory).factor,
    )
    needed, required = classes.required(asked, carriers, memory.classes.needed, windows, now)
    remembered = replace(
        memory.classes,
        needed=needed,
        shortages=class_plan.shortages(carriers, memory.classes, now),
        learning=class_plan.learning(carriers, memory.classes, now),
    )
    least = max(policy.min_replicas, 1)
    limits = Limits(least, policy.max_replicas, grant.replicas if grant else None)
    seen = [min(one.seen, amount) for one, amount in zip(asked, required, strict=True)]
    plan = class_plan.plan(carriers, required, limits, remembered, now, seen)
    remembered = replace(remembered, forgone=plan.forgone, at=now)
    amounts = tuple(one.amount for one in asked)
    wanted = plan.target
    if amounts != required:
        wanted = class_plan.plan(carriers, amounts, limits, remembered, now).target
    bound = _class_bound(observation, policy, plan, amounts, required, remembered)
    return _Planned(plan.pods, sum(wanted), bound), replace(memory, classes=remembered)


def _class_bound(
    observation: Observation,
    policy: Policy,
    plan: class_plan.Plan,
    amounts: Sequence[float],
    required: Sequence[float],
    remembered: ClassMemory,
) -> tuple[Reason, str] | None:
    """What binds a plan, in words: what is missing first, then what is waited for."""
    names = [each.name for each in observation.classes]
    if short := classes.shortage_words(remembered.shortages):
        return Reason.LIMITED, short
    target = dict(zip(names, plan.target, strict=True))
    if plan.share < 1 or sum(plan.target) < policy.min_replicas:
        return Reason.LIMITED, _limit_words(observation, policy, target)
    if plan.waits:
        mix = classes.by_name(target)
        return Reason.WITHIN_TARGET, f"another mix than {mix} does not pay its starts yet"
    if any(asked < least for asked, least in zip(amounts, required, strict=True)):
        return Reason.HELD, "shrinking waits until it was wanted for long enough"
    if any(asked > most for asked, most in zip(amounts, required, strict=True)):
        return Reason.HELD, "growing waits until it was wanted for long enough"
    return None


def _limit_words(observation: Observation, policy: Policy, target: Mapping[str, int]) -> str:
    """Which bound a target is at: that of all classes together, their own, or the budget's."""
    if sum(target.get(rule.name, 0) for rule in policy.classes) >= policy.max_replicas:
        bound = policy.max_bound
        return f"limited by {bound.field} {policy.max_replicas}{bound.when}"
    at_max = {
        rule.name: rule.max_replicas
        for rule in policy.classes
        if target.get(rule.name, 0) >= rule.max_replicas
    }
    if observation.grant is not None and len(at_max) < len(policy.classes):
        return f"limited by {observation.grant.words}"
    return f"limited by the classes' max: {classes.by_name(at_max)}"


def _within_rates(
    course: Course, found: _Planned, policy: Policy, memory: Memory, observation: Observation
) -> Course:
    """The rates hold for classes that are wanted: pods of others go once their work is done."""
    wanted = {rule.name for rule in policy.classes}
    leaving = sum(
        max(0, each.replicas - pods)
        for each, pods in zip(observation.classes, found.pods, strict=True)
        if each.name not in wanted
    )
    current, staying = course.current, course.current - leaving
    if course.replicas > staying:
        return rate_limited(course, policy, memory, observation.now)
    course = replace(course, current=staying)
    return replace(rate_limited(course, policy, memory, observation.now), current=current)


def _bounded_in_classes(
    course: Course, found: _Planned, policy: Policy, observation: Observation
) -> Course:
    """Into the bounds and within the grant at once, as far as the plan leads there: it may fall
    short of a min, and pods that others do not stand in for yet are beyond a max.
    """
    planned = sum(found.pods)
    if course.replicas > max(policy.max_replicas, planned):
        bound = policy.max_bound
        words = f"limited by {bound.field} {policy.max_replicas}{bound.when}"
        course = course.to(max(policy.max_replicas, planned), Reason.LIMITED, words)
    if course.replicas < min(policy.min_replicas, planned):
        bound = policy.min_bound
        words = f"{bound.field} is {policy.min_replicas}{bound.when}"
        course = course.to(min(policy.min_replicas, planned), Reason.WITHIN_TARGET, words)
    if observation.grant is None:
        return course
    gpus = {rule.name: rule.gpus for rule in policy.classes}

    def taken(pods: Sequence[int]) -> int:
        of_all = zip(observation.classes, pods, strict=True)
        return sum(gpus.get(each.name, 0) * n for each, n in of_all)

    most, replicas = max(observation.grant.replicas, taken(found.pods)), course.replicas
    while replicas > planned and taken(_clipped(observation, policy, found.pods, replicas)) > most:
        replicas -= 1
    return course.to(replicas, Reason.LIMITED, f"limited by {observation.grant.words}")


def _clipped(
    observation: Observation, policy: Policy, pods: Sequence[int], total: int
) -> tuple[int, ...]:
    """The part of a step that leads to so many pods in all."""
    prices = {rule.name: rule.price for rule in policy.classes}
    now = [each.replicas for each in observation.classes]
    of_each = [prices.get(each.name, math.inf) for each in observation.classes]
    return classes.clipped(now, pods, total, of_each)


def _in_classes(
    course: Course,
    pods: Sequence[int],
    policy: Policy,
    seen: str | Words,
    observation: Observation,
) -> Decision:
    """The decision with its sizes by class."""
    names = [each.name for each in observation.classes]
    if course.replicas == 0:
        pods = [0] * len(names)
    pods = _clipped(observation, policy, pods, course.replicas)
    mix = classes.by_name(dict(zip(names, pods, strict=True)))
    if course.replicas != course.current:
        reason, words = course.bound or (Reason.WITHIN_TARGET, "")
        words = f"{mix}{f'; {words}' if words else ''}"
        course = replace(course, bound=(reason, words))
    decision = unpaused(course, policy.paused, seen, observation)
    found = classes.sizes(observation.classes, pods)
    is_kept = decision.replicas == decision.current
    return replace(decision, classes=classes.unchanged(found) if is_kept else found)


def _asked(proposal: Proposal, observation: Observation, tolerance: float | None) -> classes.Asked:
    """What an objective asks for as a rate, as `proposals` has it as a number of replicas."""
    model, demand, replicas = proposal.objective.model, proposal.demand, observation.replicas
    if demand is None:
        return classes.Asked(model, float(proposal.replicas), in_pods=True)
    sustained = demand.sustained_per_second
    present = replicas * sustained
    if demand.forecast is not None:
        tolerance = tolerance or 0.0
        amount = max(demand.per_second, demand.forecast.margin * demand.forecast.per_second)
    else:
        tolerance = TOLERANCE if tolerance is None else tolerance
        amount = demand.per_second * (1 + max(MARGIN, tolerance))
        in_flight = math.ceil(proposal.seen.in_flight / targets.LOWEST)
        amount = min(amount, max(present, in_flight * sustained))
    is_tolerated = present and 1 - tolerance <= amount / present <= 1 + tolerance
    asked = max(present if is_tolerated else amount, proposal.least * sustained)
    return classes.Asked(model, asked, in_pods=False, beyond_seen=max(0.0, asked - amount))
