"""The scaling decision: an observation, a policy and a memory in, a decision and a memory out.

Pure. The number of replicas walks through small named steps, each of which may bind it and then
says so; the message is made once, at the end, from what was seen and what bound it last:

    proposed -> stabilised -> settled -> emptied -> rate limited -> bounded -> granted -> unpaused

A size outside scaling.min and scaling.max is corrected at once, whatever the signals say, as
HorizontalPodAutoscaler v2 does.

Of an agent with node classes the objectives ask for rates, which are stabilised as numbers of
replicas are, and `class_plan` says which pods are to carry them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from trireme.api.conditions import Reason
from trireme.api.scalars import format_duration
from trireme.api.types import Paused, PolicyType, ScalingMode
from trireme.autoscaler import class_plan, classes, factor, outside, stabiliser, targets
from trireme.autoscaler import memory as memories
from trireme.autoscaler.demand import hold
from trireme.autoscaler.mix import Limits
from trireme.autoscaler.types import (
    Capacity,
    ClassMemory,
    ClassSize,
    Decision,
    FactorMemory,
    Forecast,
    Grant,
    Memory,
    ModelSignals,
    NoSignals,
    ObjectivePolicy,
    Observation,
    OutOfReach,
    Outside,
    Policy,
    Recommendation,
    Signals,
    Source,
)
from trireme.autoscaler.wording import number

WORTH_TELLING = 10  # requests of a backlog: fewer come and go by chance
MARGIN = 0.1  # of a demand without a forecast, at least: what comes while a pod starts, and chance
TOLERANCE = 0.1  # of HorizontalPodAutoscaler v2, where the spec names none and nothing is forecast


def decide(observation: Observation, policy: Policy, memory: Memory) -> tuple[Decision, Memory]:
    """How many replicas there should be now, why, and what to remember.

    Pre: `observation.signals`, where there are any, hold each objective of `policy`, unless only
    the demand outside tells of requests. Where `policy.min_replicas` is 0 there is a
    `policy.demand`.
    """
    match policy.mode:
        case ScalingMode.AUTOMATIC:
            return _automatic(observation, policy, memory)
        case ScalingMode.SHADOW:
            told = _as_told(observation, policy, memory, Reason.SHADOW, "as spec.replicas says")
            decision, memory = _automatic(observation, policy, memory)
            return told if told.replicas != told.current else _shadow(decision), memory
        case ScalingMode.FIXED:
            words = "as spec.replicas says in mode Fixed"
            return _as_told(observation, policy, memory, Reason.FIXED, words), memory
        case ScalingMode.EXTERNAL:
            words = "as an autoscaler wrote to spec.replicas in mode External"
            return _as_told(observation, policy, memory, Reason.EXTERNAL, words), memory


def desired_replicas(in_flight: float, per_pod: float, current: int, tolerance: float) -> int:
    """The size at which each pod holds its target; `current` within the tolerance.

    As HorizontalPodAutoscaler v2 with type AverageValue: 7 in flight, 2 per pod, 3 pods: the
    ratio 7/6 = 1.17 is out of a tolerance of 0.1, so ceil(7/2) = 4. The bounds are compared as
    there: 11 on 10 pods is a ratio of 1.1 and within, though 1.1 - 1 is a little over 0.1.
    """
    if current > 0 and 1 - tolerance <= in_flight / (per_pod * current) <= 1 + tolerance:
        return current
    return math.ceil(in_flight / per_pod)


# ----------------------------------------------------------------------------------- the course


@dataclass(frozen=True, slots=True)
class _Course:
    """The number of replicas on its way through the steps.

    `bound` is the reason and the words of the last step that changed it.
    """

    current: int
    wanted: int
    replicas: int
    bound: tuple[Reason, str] | None = None

    def to(self, replicas: int, reason: Reason, words: str) -> "_Course":
        """Go on with `replicas`; the words are kept only if that is a change."""
        if replicas == self.replicas:
            return self
        return replace(self, replicas=replicas, bound=(reason, words))


@dataclass(frozen=True, slots=True)
class _Demand:
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


@dataclass(frozen=True, slots=True)
class _Proposal:
    """What one objective asks for; `demand` where it follows from a capacity, and `out_of_reach`
    where no size keeps the objective. `least` is what a break alone asks for.
    """

    objective: ObjectivePolicy
    seen: ModelSignals
    correction: targets.Correction
    breach: targets.Breach
    replicas: int
    demand: _Demand | None
    out_of_reach: OutOfReach | None
    least: int = 0


def _automatic(observation: Observation, policy: Policy, memory: Memory) -> tuple[Decision, Memory]:
    now, current = observation.now, observation.replicas
    changes = stabiliser.recent_changes(memory.changes, policy.behavior, now)
    if len(changes) < len(memory.changes):
        memory = replace(memory, changes=changes)
    if not policy.min_replicas <= current <= policy.max_replicas and not observation.classes:
        return _into_bounds(observation, policy), memories.interrupted(memory, now)
    match observation.signals:
        case NoSignals(_, message):
            words = f"{_pods(current)} held: {message}"
            memory = memories.interrupted(memory, now)
            if observation.classes:
                return _within_bounds(observation, policy, memory, words)
            return _keep(observation, Reason.NO_SIGNALS, words), memory
        case Signals() as signals:
            asked = observation.outside
            if observation.by_outside and isinstance(asked, Outside):
                return _by_outside(observation, policy, memory, signals, asked)
            return _by_signals(observation, policy, memory, signals)


def _by_signals(
    observation: Observation, policy: Policy, memory: Memory, signals: Signals
) -> tuple[Decision, Memory]:
    now, current = observation.now, observation.replicas
    proposals = _proposals(observation, policy, memory, signals)
    if not proposals:
        words = f"{_pods(current)} kept: there is no objective to scale by"
        return _keep(observation, Reason.WITHIN_TARGET, words), memory
    # Of equal proposals the one whose objective is broken is named, then the first of the spec.
    winner = max(proposals, key=lambda p: (p.replicas, bool(p.breach)))
    windows = stabiliser.windows(policy.behavior, hold(policy.objectives, observation.forecasts))
    memory = replace(
        memory,
        recommendations=stabiliser.remember(memory.recommendations, winner.replicas, windows, now),
        targets=tuple(p.correction.target for p in proposals if not p.objective.fixed_target),
        factors=tuple(p.demand.factor for p in proposals if p.demand),
        idle_since=_idle_since(observation, policy, memory, signals),
    )
    if observation.classes:
        return _by_classes(observation, policy, memory, signals, proposals, winner, windows)
    course = _proposed(winner, current, signals.window)
    course = _stabilised(course, windows, memory, now)
    course = _settled(course, winner, observation, memory, signals.window)
    course = _emptied(course, observation, policy, memory, signals)
    course = _rate_limited(course, policy, memory, now)
    course = _granted(_bounded(course, policy), observation)
    seen, model = _seen(winner, observation, policy), winner.objective.model
    decision = _unpaused(course, policy.paused, seen, observation, model)
    if course.wanted > current or decision.replicas != current:
        # A fleet that is smaller than its target asks for says nothing against the target.
        memory = replace(memory, targets=memories.unwatched(memory.targets))
    return decision, memory


# ----------------------------------------------------------------------------- from and to none


def _by_outside(
    observation: Observation, policy: Policy, memory: Memory, signals: Signals, asked: Outside
) -> tuple[Decision, Memory]:
    """The size by what is asked outside, while no pod is ready to tell of requests.

    The first pod starts whatever `behavior` says; no window is waited for. Pods that start are not
    stopped because less is asked, until nothing was for long enough.
    """
    now, current = observation.now, observation.replicas
    since = _idle_since(observation, policy, memory, signals)
    memory = replace(memories.interrupted(memory, now), idle_since=since)
    seen = f"{outside.words(asked)} and no pod ready"
    wanted = current
    if since is None:
        sustained = _least_sustained(observation, policy, memory)
        wanted = max(current, 1)
        if sustained is not None:
            wanted = max(wanted, math.ceil(asked.per_second * (1 + MARGIN) / sustained))
            seen = f"{seen}, {number(sustained)} req/s that one sustains"
    if observation.classes:
        return _classes_by_outside(observation, policy, memory, signals, asked, wanted, seen)
    course = _Course(current, wanted, wanted)
    if wanted > current and observation.unschedulable:
        words = f"no node takes {_pods(observation.unschedulable)}"
        course = course.to(current, Reason.HELD, words)
    if since is not None:
        course = _emptied(course, observation, policy, memory, signals)
    course = _rate_limited(course, policy, memory, now)
    if since is None and course.replicas == 0:
        course = replace(course, replicas=1, bound=course.bound if wanted > 1 else None)
    course = _granted(_bounded(course, policy), observation)
    decision = _unpaused(course, policy.paused, seen, observation)
    if decision.replicas > current:
        memory = replace(memory, recommendations=(Recommendation(now, decision.replicas),))
    return decision, memory


def _least_sustained(observation: Observation, policy: Policy, memory: Memory) -> float | None:
    """The requests a second that a pod sustains, whichever of its objectives they are for."""
    known = [
        factor.initial(objective.model, memory).factor * capacity.per_second
        for objective in policy.objectives
        if not objective.fixed_target
        and isinstance(capacity := observation.capacities.get(objective.model), Capacity)
    ]
    return min(known, default=None)


def _idle_since(
    observation: Observation, policy: Policy, memory: Memory, signals: Signals
) -> datetime | None:
    if policy.demand is None:
        return None
    return outside.idle_since(observation, policy.demand, memory, signals)


def _emptied(
    course: _Course, observation: Observation, policy: Policy, memory: Memory, signals: Signals
) -> _Course:
    """The last pods go once nothing was asked for long enough, neither of them nor outside."""
    is_last = course.replicas == 1 or not observation.ready
    if policy.demand is None or policy.min_replicas > 0 or not (is_last and course.replicas):
        return course
    if not outside.is_idle(signals):
        return course
    match observation.outside:
        case NoSignals(_, message):
            return replace(course, bound=(Reason.HELD, f"the last pod stays: {message}"))
        case Outside() as asked if memory.idle_since is None:
            words = f"the last pod stays for {outside.words(asked)}"
            return replace(course, bound=(Reason.WITHIN_TARGET, words))
        case _:
            pass
    since = memory.idle_since or observation.now
    needed = outside.cooldown(observation, policy.demand, signals)
    idle = observation.now - since
    if idle < needed:
        words = (
            f"the last goes after {format_duration(needed)} without demand, "
            f"{format_duration(timedelta(seconds=round(idle.total_seconds())))} so far"
        )
        return replace(course, bound=(Reason.WITHIN_TARGET, words))
    words = f"nothing was asked for {format_duration(needed)}"
    return replace(course, wanted=0).to(0, Reason.WITHIN_TARGET, words)


# ---------------------------------------------------------------------------------- node classes


def _by_classes(
    observation: Observation,
    policy: Policy,
    memory: Memory,
    signals: Signals,
    proposals: Sequence[_Proposal],
    winner: _Proposal,
    windows: stabiliser.Windows,
) -> tuple[Decision, Memory]:
    """The sizes by node class that carry what every objective asks for."""
    now, current = observation.now, observation.replicas
    asked = [_asked(proposal, observation, policy.tolerance) for proposal in proposals]
    found, memory = _planned(observation, policy, memory, asked, windows)
    course = _Course(current, found.wanted, sum(found.pods), found.bound)
    waits_for = observation.replicas - observation.ready - observation.stuck
    if course.replicas > current and waits_for > 0 and any(one.in_pods for one in asked):
        words = f"{waits_for} of {_pods(observation.replicas)} not ready yet"
        course = course.to(current, Reason.HELD, words)
    seen_for = now - memory.started
    if course.replicas < current and seen_for < signals.window:
        words = (
            f"shrinking needs signals of {format_duration(signals.window)}, and there are "
            f"{round(seen_for.total_seconds())}s"
        )
        course = course.to(current, Reason.HELD, words)
    course = _emptied(course, observation, policy, memory, signals)
    course = _within_rates(course, found, policy, memory, observation)
    course = _bounded_in_classes(course, found, policy, observation)
    decision = _in_classes(
        course, found.pods, policy, _seen(winner, observation, policy), observation
    )
    decision = replace(decision, model=winner.objective.model)
    if decision.replicas != current:
        memory = replace(memory, targets=memories.unwatched(memory.targets))
    return decision, memory


def _classes_by_outside(
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
    course = _Course(current, wanted, sum(found.pods) if grows else current, found.bound)
    if memory.idle_since is not None:
        course = _emptied(course, observation, policy, memory, signals)
    elif current > 0 or course.replicas > 1:
        course = _rate_limited(course, policy, memory, observation.now)
        course = replace(course, replicas=max(course.replicas, 1))
    course = _bounded_in_classes(course, found, policy, observation)
    return _in_classes(course, found.pods, policy, seen, observation), memory


def _within_bounds(
    observation: Observation, policy: Policy, memory: Memory, words: str
) -> tuple[Decision, Memory]:
    """The sizes by node class without signals: as they are, if the bounds allow it."""
    current = observation.replicas
    held = min(max(current, policy.min_replicas), policy.max_replicas)
    if held == current:
        return _keep(observation, Reason.NO_SIGNALS, words), memory
    pods = _told_in_classes(observation, policy, memory, held, observation.grant)
    course = _Course(current, held, sum(pods))
    return _in_classes(course, pods, policy, words, observation), memory


def _told_in_classes(
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
    plan = class_plan.plan(carriers, required, limits, remembered, now)
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
    course: _Course, found: _Planned, policy: Policy, memory: Memory, observation: Observation
) -> _Course:
    """The rates hold for classes that are wanted: pods of others go once their work is done."""
    wanted = {rule.name for rule in policy.classes}
    leaving = sum(
        max(0, each.replicas - pods)
        for each, pods in zip(observation.classes, found.pods, strict=True)
        if each.name not in wanted
    )
    current, staying = course.current, course.current - leaving
    if course.replicas > staying:
        return _rate_limited(course, policy, memory, observation.now)
    course = replace(course, current=staying)
    return replace(_rate_limited(course, policy, memory, observation.now), current=current)


def _bounded_in_classes(
    course: _Course, found: _Planned, policy: Policy, observation: Observation
) -> _Course:
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
    course: _Course, pods: Sequence[int], policy: Policy, seen: str, observation: Observation
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
    decision = _unpaused(course, policy.paused, seen, observation)
    found = classes.sizes(observation.classes, pods)
    is_kept = decision.replicas == decision.current
    return replace(decision, classes=classes.unchanged(found) if is_kept else found)


def _asked(proposal: _Proposal, observation: Observation, tolerance: float | None) -> classes.Asked:
    """What an objective asks for as a rate, as `_by_capacity` does as a number of replicas."""
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
    if present and 1 - tolerance <= amount / present <= 1 + tolerance:
        amount = present
    return classes.Asked(model, max(amount, proposal.least * sustained), in_pods=False)


# ------------------------------------------------------------------------------------- the steps


def _proposals(
    observation: Observation, policy: Policy, memory: Memory, signals: Signals
) -> list[_Proposal]:
    """What each objective asks for, with its target corrected by what is seen now.

    By what a pod sustains where that is known, else by the requests in flight. An objective that no
    size keeps is not chased: its target stays at its start.

    A broken objective asks for no fewer pods than there are, and, in the round in which its target
    is lowered, for one more at least: the target alone may need several windows to bind. Never for
    more than one pod per request in flight: then nothing waits, and more pods cannot help.
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
            window=signals.window,
            now=observation.now,
        )
        broken = targets.breach(objective, seen)
        demand = None
        if isinstance(known, Capacity):
            demand = _demand(objective, known, seen, observation, memory, signals.window)
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
            least = observation.replicas + (1 if correction.lowered else 0)
            least = min(least, math.ceil(seen.in_flight / targets.LOWEST))
            replicas = max(replicas, least)
        proposals.append(
            _Proposal(
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
) -> _Demand:
    """The rate that is asked of the pods: what arrives, and the backlog within one window.

    At the rate that they sustain, no more is in flight than that rate x the objective's latency
    (Little's law); the rest is a backlog. The two are counted once each: `signals` adds to the rate
    what a queue grew by in the window, as what arrived, and the backlog is what waits since then
    and before, which needs pods of its own to end within a window. Only of a Triton without a gauge
    (before 23.09) and a gateway the rate is that of the answers, and the backlog stands for what
    arrives and is not seen: 70 a second on a pod that answers 50: a window of 30 s later 600 are in
    flight, and 50 + (600 - 7) / 30 = 70.
    """
    learnt = factor.initial(objective.model, memory)
    forecast = observation.forecasts.get(objective.model)
    rate = seen.request_rate_per_second

    def asked(learnt: FactorMemory) -> _Demand:
        sustained = learnt.factor * capacity.per_second
        held = observation.ready * sustained * objective.latency_target_seconds
        backlog = max(0.0, seen.in_flight - held)
        per_second = rate + backlog / window.total_seconds()
        return _Demand(capacity, forecast, backlog, per_second, sustained, learnt)

    before = asked(learnt)
    latency, eased = seen.latency, capacity.eased_seconds
    load = factor.Load(
        rate_per_second=rate,
        sustained_per_second=before.sustained_per_second * observation.replicas,
        slow=latency.seconds / eased if latency and eased else None,
        broken=bool(targets.breach(objective, seen)),
        settled=observation.ready >= observation.replicas,
    )
    return asked(factor.correct(learnt, load, observation.now))


def _by_capacity(demand: _Demand, seen: ModelSignals, current: int, tolerance: float | None) -> int:
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


def _proposed(winner: _Proposal, current: int, window: timedelta) -> _Course:
    """Where the course begins; a break that asks for no more pods says why."""
    course = _Course(current, winner.replicas, winner.replicas)
    if not winner.breach or winner.replicas > current or winner.out_of_reach:
        return course
    if winner.objective.fixed_target:
        words = f"scaling.target.inFlight is {number(winner.objective.start_in_flight_per_pod)}"
    elif math.ceil(winner.seen.in_flight / targets.LOWEST) <= current:
        words = "no more pods than requests in flight can help"
    else:
        words = f"one more follows if it lasts {format_duration(window)}"
    return replace(course, bound=(Reason.WITHIN_TARGET, words))


def _stabilised(
    course: _Course, windows: stabiliser.Windows, memory: Memory, now: datetime
) -> _Course:
    stable = stabiliser.stabilise(course.current, memory.recommendations, windows, now)
    if course.wanted > course.current:
        rule, waited = "growing", windows.up
    else:
        rule, waited = "shrinking", windows.down
    return course.to(
        stable, Reason.HELD, f"{rule} waits until it was wanted for {format_duration(waited)}"
    )


def _settled(
    course: _Course,
    winner: _Proposal,
    observation: Observation,
    memory: Memory,
    window: timedelta,
) -> _Course:
    """No change on an unsettled view: pods on their way, or less than one window seen.

    A size that follows from what pods sustain counts those on their way for what they will be, and
    need not wait for them.
    """
    current = course.current
    if course.replicas > current and observation.unschedulable:
        words = f"no node takes {_pods(observation.unschedulable)}"
        return course.to(current, Reason.HELD, words)
    # Stuck pods are not waited for: one that fails for ever would hold the others for ever.
    starting = observation.replicas - observation.ready - observation.stuck
    if course.replicas != current and starting > 0 and winner.demand is None:
        words = f"{starting} of {_pods(observation.replicas)} not ready yet"
        return course.to(current, Reason.HELD, words)
    seen_for = observation.now - memory.started
    if course.replicas < current and seen_for < window:
        words = (
            f"shrinking needs signals of {format_duration(window)}, and there are "
            f"{round(seen_for.total_seconds())}s"
        )
        return course.to(current, Reason.HELD, words)
    return course


def _rate_limited(course: _Course, policy: Policy, memory: Memory, now: datetime) -> _Course:
    if course.replicas > course.current:
        rules, sign, field = policy.behavior.up, "+", "up"
        limit = stabiliser.up_limit(course.current, memory.changes, rules, now)
        allowed = min(course.replicas, limit.replicas)
    elif course.replicas < course.current:
        rules, sign, field = policy.behavior.down, "-", "down"
        limit = stabiliser.down_limit(course.current, memory.changes, rules, now)
        allowed = max(course.replicas, limit.replicas)
    else:
        return course
    if limit.policy is None:
        words = f"limited by scaling.behavior.{field}.selectPolicy Disabled"
    else:
        unit = "%" if limit.policy.type is PolicyType.PERCENT else ""
        period = limit.policy.period.total_seconds()
        words = f"limited by {sign}{limit.policy.value}{unit} per {period:g} s"
    return course.to(allowed, Reason.LIMITED, words)


def _bounded(course: _Course, policy: Policy) -> _Course:
    if course.replicas > policy.max_replicas:
        bound = policy.max_bound
        words = f"limited by {bound.field} {policy.max_replicas}{bound.when}"
        return course.to(policy.max_replicas, Reason.LIMITED, words)
    if course.replicas < policy.min_replicas:
        # A fleet that rests at its minimum is where it should be, not limited.
        bound = policy.min_bound
        words = f"{bound.field} is {policy.min_replicas}{bound.when}"
        return course.to(policy.min_replicas, Reason.WITHIN_TARGET, words)
    return course


def _granted(course: _Course, observation: Observation) -> _Course:
    """No more than the agent's part of what it shares with others."""
    grant = observation.grant
    if grant is None or course.replicas <= grant.replicas:
        return course
    return course.to(grant.replicas, Reason.LIMITED, f"limited by {grant.words}")


def is_free_of(grant: Grant, decision: Decision, policy: Policy) -> bool:
    """Whether a decision that was taken without a grant is the same with it: the size that it came
    to is within it, and is told. Where it is not carried out, or there are node classes, the grant
    binds what is not told here.
    """
    is_told = policy.mode is ScalingMode.AUTOMATIC and policy.paused is Paused.NONE
    return is_told and not decision.classes and decision.replicas <= grant.replicas


def _unpaused(
    course: _Course,
    paused: Paused,
    seen: str,
    observation: Observation,
    model: str | None = None,
) -> Decision:
    """The decision, not carried out where the direction is paused."""
    current, replicas = course.current, course.replicas
    withheld = (
        paused is Paused.ALL
        or (paused is Paused.SCALE_OUT and replicas > current)
        or (paused is Paused.SCALE_IN and replicas < current)
    )
    if withheld:
        asked = f", {replicas} wanted" if replicas != current else ""
        words = f"{seen}: {current} kept{asked} (scaling.paused is {paused})"
        return _keep(observation, Reason.PAUSED, words, course.wanted, model)
    bound, words = course.bound or (Reason.WITHIN_TARGET, "")
    unmet = course.wanted != replicas
    if replicas != current:
        reason = Reason.SCALED_UP if replicas > current else Reason.SCALED_DOWN
        why = f" ({words}{f'; {course.wanted} wanted' if unmet else ''})" if words else ""
        message = f"{seen}: {current} → {replicas}{why}"
        return Decision(observation.now, current, replicas, course.wanted, reason, message, model)
    held = "held" if bound in (Reason.HELD, Reason.LIMITED) else "kept"
    asked = f", {course.wanted} wanted" if unmet else ""
    why = f" ({words})" if words else ""
    words = f"{seen}: {current} {held}{asked}{why}"
    return _keep(observation, bound, words, course.wanted, model)


def _into_bounds(observation: Observation, policy: Policy) -> Decision:
    current = observation.replicas
    if current < policy.min_replicas:
        relation, replicas, bound = "fewer", policy.min_replicas, policy.min_bound
    else:
        relation, replicas, bound = "more", policy.max_replicas, policy.max_bound
    seen = f"{_pods(current)}, {relation} than {bound.field} {replicas}{bound.when}"
    return _unpaused(_Course(current, replicas, replicas), policy.paused, seen, observation)


# ------------------------------------------------------------------------------------- decisions


def _keep(
    observation: Observation,
    reason: Reason,
    message: str,
    proposed: int | None = None,
    model: str | None = None,
) -> Decision:
    current = observation.replicas
    sizes = classes.sizes(observation.classes, [each.replicas for each in observation.classes])
    return Decision(observation.now, current, current, proposed, reason, message, model, sizes)


def _as_told(
    observation: Observation, policy: Policy, memory: Memory, reason: Reason, words: str
) -> Decision:
    """The size that somebody else decided on; pods of node classes that are not wanted any more
    stay until others serve.
    """
    current = observation.replicas
    replicas = current if policy.replicas is None else policy.replicas
    sizes: tuple[ClassSize, ...] = ()
    if observation.classes:
        pods = _told_in_classes(observation, policy, memory, replicas)
        sizes, replicas = classes.sizes(observation.classes, pods), sum(pods)
    change = f"{current} → {replicas}" if replicas != current else _pods(current)
    return Decision(
        observation.now, current, replicas, replicas, reason, f"{change}, {words}", None, sizes
    )


def _shadow(decision: Decision) -> Decision:
    return replace(
        decision,
        replicas=decision.current,
        reason=Reason.SHADOW,
        classes=classes.unchanged(decision.classes),
        message=f"not carried out in mode Shadow: {decision.message}",
    )


# ------------------------------------------------------------------------------------- wording


def _seen(proposal: _Proposal, observation: Observation, policy: Policy) -> str:
    """What was seen: the break where there is one, else the load against its target."""
    seen, objective = proposal.seen, proposal.objective
    named = f"{seen.model}: " if len(policy.objectives) > 1 else ""
    sustained = _sustained(proposal.demand, observation.replicas)
    target = f"{number(objective.latency_target_seconds * 1e3)} ms"
    where = f"on {_pods(observation.replicas)}{_told_by(observation)}"
    at = f"at {number(seen.request_rate_per_second)} req/s {where}"
    broken = []
    if proposal.breach.latency:
        broken.append(f"{seen.latency} over {target}{_unreachable(proposal.out_of_reach)}")
    if proposal.breach.failures:
        allowed = f"{number(objective.max_failure_ratio * 100)}%"
        broken.append(f"failures {number(seen.failure_ratio * 100)}% over {allowed}")
    if broken:
        return f"{named}{sustained}{' and '.join(broken)} {at}"
    if not seen.request_rate_per_second and not seen.in_flight:
        return f"{named}no requests {where}"
    per_pod = number(seen.in_flight / max(observation.replicas, 1))
    aimed = number(proposal.correction.target.in_flight_per_pod)
    load = sustained or f"{per_pod} in flight per pod of {aimed} aimed at, "
    latency = f"{seen.latency} within {target}" if seen.latency else "no request answered"
    return f"{named}{load}{latency} {at}"


def _told_by(observation: Observation) -> str:
    """Who the figures are from, where it is not Prometheus."""
    signals = observation.signals
    direct = isinstance(signals, Signals) and signals.source is Source.PODS
    return " (read from the pods)" if direct else ""


def _sustained(demand: _Demand | None, pods: int) -> str:
    """What is asked of each pod against what one sustains, and how that is known."""
    if demand is None:
        return ""
    backlog = ""
    if demand.backlog >= WORTH_TELLING:
        backlog = f", a backlog of {number(demand.backlog)} included,"
    corrected, forecast = demand.factor.factor, demand.forecast
    ahead = "" if forecast is None else f"{_expected(forecast)}, "
    by = f", corrected by {number(corrected)}" if corrected != 1 else ""
    return (
        f"{number(demand.per_second / pods)} req/s per pod{backlog} of "
        f"{number(demand.sustained_per_second)} that one sustains "
        f"(learnt: {demand.capacity.learnt}{by}), {ahead}"
    )


def _expected(forecast: Forecast) -> str:
    """`182 req/s expected within 45s (as 5m ago, x 1.1)`."""
    within = format_duration(timedelta(seconds=round(forecast.horizon_seconds)))
    margin = f", x {number(forecast.margin)}" if forecast.margin != 1 else ""
    return (
        f"{number(forecast.per_second)} req/s expected within {within} ({forecast.words}{margin})"
    )


def _unreachable(known: OutOfReach | None) -> str:
    if known is None:
        return ""
    idle = number(known.least_seconds * 1e3)
    return f", which no size keeps (an idle pod takes {idle} ms, learnt: {known.learnt}),"


def _pods(count: int) -> str:
    return f"{count} pod" if count == 1 else f"{count} pods"
