"""The scaling decision: an observation, a policy and a memory in, a decision and a memory out.

Pure. The number of replicas walks through small named steps, each of which may bind it and then
says so; the message is made once, at the end, from what was seen and what bound it last:

    proposed -> stabilised -> settled -> emptied -> rate limited -> bounded -> granted -> unpaused

A size outside scaling.min and scaling.max is corrected at once, whatever the signals say, as
HorizontalPodAutoscaler v2 does.

Of an agent with node classes it is `class_decision` that goes on from what the objectives ask for.
"""

import math
from dataclasses import replace
from datetime import datetime, timedelta

from trireme.api.conditions import Reason
from trireme.api.scalars import format_duration
from trireme.api.scaling import Paused, ScalingMode
from trireme.autoscaler import class_decision, classes, factor, outside, stabiliser, targets
from trireme.autoscaler import memory as memories
from trireme.autoscaler.course import (
    Course,
    bounded,
    emptied,
    granted,
    into_bounds,
    keep,
    rate_limited,
    settled,
    stabilised,
    unpaused,
)
from trireme.autoscaler.demand import hold
from trireme.autoscaler.proposals import MARGIN, Proposal, proposals_of
from trireme.autoscaler.seen_words import seen_words
from trireme.autoscaler.types.capacity import Capacity
from trireme.autoscaler.types.decision import ClassSize, Decision
from trireme.autoscaler.types.memory import Memory, Recommendation
from trireme.autoscaler.types.observation import Grant, Observation, Outside
from trireme.autoscaler.types.policy import Policy
from trireme.autoscaler.types.signals import NoSignals, Signals
from trireme.autoscaler.wording import Words, number, pod_count


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


def is_free_of(grant: Grant, decision: Decision, policy: Policy) -> bool:
    """Whether a decision that was taken without a grant is the same with it: the size that it came
    to is within it, and is told. Where it is not carried out, or there are node classes, the grant
    binds what is not told here.
    """
    is_told = policy.mode is ScalingMode.AUTOMATIC and policy.paused is Paused.NONE
    return is_told and not decision.classes and decision.replicas <= grant.replicas


def _automatic(observation: Observation, policy: Policy, memory: Memory) -> tuple[Decision, Memory]:
    now, current = observation.now, observation.replicas
    changes = stabiliser.recent_changes(memory.changes, policy.behavior, now)
    if len(changes) < len(memory.changes):
        memory = replace(memory, changes=changes)
    if not policy.min_replicas <= current <= policy.max_replicas and not observation.classes:
        return into_bounds(observation, policy), memories.interrupted(memory, now)
    match observation.signals:
        case NoSignals(_, message):
            words = f"{pod_count(current)} held: {message}"
            memory = memories.interrupted(memory, now)
            if observation.classes:
                return class_decision.within_bounds(observation, policy, memory, words)
            return keep(observation, Reason.NO_SIGNALS, Words(words)), memory
        case Signals() as signals:
            asked = observation.outside
            if observation.by_outside and isinstance(asked, Outside):
                return _by_outside(observation, policy, memory, signals, asked)
            return _by_signals(observation, policy, memory, signals)


def _by_signals(
    observation: Observation, policy: Policy, memory: Memory, signals: Signals
) -> tuple[Decision, Memory]:
    now, current = observation.now, observation.replicas
    proposals = proposals_of(observation, policy, memory, signals)
    if not proposals:
        words = Words(f"{pod_count(current)} kept: there is no objective to scale by")
        return keep(observation, Reason.WITHIN_TARGET, words), memory
    # Of equal proposals the one whose objective is broken is named, then the first of the spec.
    winner = max(proposals, key=lambda p: (p.replicas, bool(p.breach)))
    windows = stabiliser.windows(policy.behavior, hold(policy.objectives, observation.forecasts))
    memory = Memory(
        memory.started,
        stabiliser.remember(memory.recommendations, winner.replicas, windows, now),
        memory.changes,
        tuple([p.correction.target for p in proposals if not p.objective.fixed_target]),
        tuple([p.demand.factor for p in proposals if p.demand]),
        _idle_since(observation, policy, memory, signals),
        memory.classes,
    )
    if observation.classes:
        return class_decision.by_signals(
            observation, policy, memory, signals, proposals, winner, windows
        )
    course = _proposed(winner, current, signals.window)
    course = stabilised(course, windows, memory, now)
    by_capacity = winner.demand is not None
    course = settled(course, observation, memory, signals.window, by_capacity=by_capacity)
    course = emptied(course, observation, policy, memory, signals)
    course = rate_limited(course, policy, memory, now)
    course = granted(bounded(course, policy), observation)
    seen = Words(lambda: seen_words(winner, observation, policy))
    decision = unpaused(course, policy.paused, seen, observation, winner.objective.model)
    if course.wanted > current or decision.replicas != current:
        # A fleet that is smaller than its target asks for says nothing against the target.
        memory = replace(memory, targets=memories.unwatched(memory.targets))
    return decision, memory


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
        return class_decision.by_outside(observation, policy, memory, signals, asked, wanted, seen)
    course = Course(current, wanted, wanted)
    if wanted > current and observation.unschedulable:
        words = f"no node takes {pod_count(observation.unschedulable)}"
        course = course.to(current, Reason.HELD, words)
    if since is not None:
        course = emptied(course, observation, policy, memory, signals)
    course = rate_limited(course, policy, memory, now)
    if since is None and course.replicas == 0:
        course = replace(course, replicas=1, bound=course.bound if wanted > 1 else None)
    course = granted(bounded(course, policy), observation)
    decision = unpaused(course, policy.paused, seen, observation)
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


def _proposed(winner: Proposal, current: int, window: timedelta) -> Course:
    """Where the course begins; a break that asks for no more pods says why."""
    course = Course(current, winner.replicas, winner.replicas)
    if not winner.breach or winner.replicas > current or winner.out_of_reach:
        return course
    if winner.objective.fixed_target:
        words = f"scaling.target.inFlight is {number(winner.objective.start_in_flight_per_pod)}"
    elif math.ceil(winner.seen.in_flight / targets.LOWEST) <= current:
        words = "no more pods than requests in flight can help"
    else:
        words = f"one more follows if it lasts {format_duration(window)}"
    return replace(course, bound=(Reason.WITHIN_TARGET, words))


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
        pods = class_decision.next_pods(observation, policy, memory, replicas)
        sizes, replicas = classes.sizes(observation.classes, pods), sum(pods)
    change = f"{current} → {replicas}" if replicas != current else pod_count(current)
    message = Words(f"{change}, {words}")
    return Decision(observation.now, current, replicas, replicas, reason, message, None, sizes)


def _shadow(decision: Decision) -> Decision:
    return replace(
        decision,
        replicas=decision.current,
        reason=Reason.SHADOW,
        classes=classes.unchanged(decision.classes),
        message=Words(lambda: f"not carried out in mode Shadow: {decision.message}"),
    )
