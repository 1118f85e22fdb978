"""The steps that a number of replicas walks through on its way to a decision. Pure.

Each step takes a course and gives the course on; it may bind the number, and then says why.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from trireme.api.conditions import Reason
from trireme.api.scalars import format_duration
from trireme.api.scaling import Paused, PolicyType
from trireme.autoscaler import classes, outside, stabiliser
from trireme.autoscaler.types.decision import Decision
from trireme.autoscaler.types.memory import Memory
from trireme.autoscaler.types.observation import Observation, Outside
from trireme.autoscaler.types.policy import Policy
from trireme.autoscaler.types.signals import NoSignals, Signals
from trireme.autoscaler.values import frozen
from trireme.autoscaler.wording import Words, pod_count

_HOLDING = frozenset({Reason.HELD, Reason.LIMITED})


@frozen
class Course:
    """The number of replicas on its way through the steps.

    `bound` is the reason and the words of the last step that changed it.
    """

    current: int
    wanted: int
    replicas: int
    bound: tuple[Reason, str] | None = None

    def to(self, replicas: int, reason: Reason, words: str) -> "Course":
        """Go on with `replicas`; the words are kept only if that is a change."""
        if replicas == self.replicas:
            return self
        return Course(self.current, self.wanted, replicas, (reason, words))


def stabilised(
    course: Course, windows: stabiliser.Windows, memory: Memory, now: datetime
) -> Course:
    """No change before it was wanted for the whole of its window."""
    stable = stabiliser.stabilise(course.current, memory.recommendations, windows, now)
    if stable == course.replicas:
        return course
    if course.wanted > course.current:
        rule, waited = "growing", windows.up
    else:
        rule, waited = "shrinking", windows.down
    return course.to(
        stable, Reason.HELD, f"{rule} waits until it was wanted for {format_duration(waited)}"
    )


def settled(
    course: Course,
    observation: Observation,
    memory: Memory,
    window: timedelta,
    *,
    by_capacity: bool,
) -> Course:
    """No change on an unsettled view: pods on their way, or less than one window seen.

    A size that follows from what pods sustain, `by_capacity`, counts those on their way for what
    they will be, and need not wait for them.
    """
    current = course.current
    if course.replicas > current and observation.unschedulable:
        words = f"no node takes {pod_count(observation.unschedulable)}"
        return course.to(current, Reason.HELD, words)
    # Stuck pods are not waited for: one that fails for ever would hold the others for ever.
    starting = observation.replicas - observation.ready - observation.stuck
    if course.replicas != current and starting > 0 and not by_capacity:
        words = f"{starting} of {pod_count(observation.replicas)} not ready yet"
        return course.to(current, Reason.HELD, words)
    seen_for = observation.now - memory.started
    if course.replicas < current and seen_for < window:
        words = (
            f"shrinking needs signals of {format_duration(window)}, and there are "
            f"{round(seen_for.total_seconds())}s"
        )
        return course.to(current, Reason.HELD, words)
    return course


def emptied(
    course: Course, observation: Observation, policy: Policy, memory: Memory, signals: Signals
) -> Course:
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


def rate_limited(course: Course, policy: Policy, memory: Memory, now: datetime) -> Course:
    """No more at a time than the rules of `scaling.behavior` let pass."""
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


def bounded(course: Course, policy: Policy) -> Course:
    """Within the least and the most that hold now."""
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


def granted(course: Course, observation: Observation) -> Course:
    """No more than the agent's part of what it shares with others."""
    grant = observation.grant
    if grant is None or course.replicas <= grant.replicas:
        return course
    return course.to(grant.replicas, Reason.LIMITED, f"limited by {grant.words}")


def unpaused(
    course: Course,
    paused: Paused,
    seen: str | Words,
    observation: Observation,
    model: str | None = None,
) -> Decision:
    """The decision, not carried out where the direction is paused."""
    current, replicas = course.current, course.replicas
    withheld = paused is not Paused.NONE and (
        paused is Paused.ALL
        or (paused is Paused.SCALE_OUT and replicas > current)
        or (paused is Paused.SCALE_IN and replicas < current)
    )
    if withheld:
        asked = f", {replicas} wanted" if replicas != current else ""
        message = Words(lambda: f"{seen}: {current} kept{asked} (scaling.paused is {paused})")
        return keep(observation, Reason.PAUSED, message, course.wanted, model)
    bound, words = course.bound or (Reason.WITHIN_TARGET, "")
    unmet = course.wanted != replicas
    if replicas != current:
        reason = Reason.SCALED_UP if replicas > current else Reason.SCALED_DOWN
        why = f" ({words}{f'; {course.wanted} wanted' if unmet else ''})" if words else ""
        message = Words(lambda: f"{seen}: {current} → {replicas}{why}")
        return Decision(observation.now, current, replicas, course.wanted, reason, message, model)
    held = "held" if bound in _HOLDING else "kept"
    asked = f", {course.wanted} wanted" if unmet else ""
    why = f" ({words})" if words else ""
    message = Words(lambda: f"{seen}: {current} {held}{asked}{why}")
    return keep(observation, bound, message, course.wanted, model)


def into_bounds(observation: Observation, policy: Policy) -> Decision:
    """The decision on a size outside the bounds: to the nearest one within."""
    current = observation.replicas
    if current < policy.min_replicas:
        relation, replicas, bound = "fewer", policy.min_replicas, policy.min_bound
    else:
        relation, replicas, bound = "more", policy.max_replicas, policy.max_bound
    seen = f"{pod_count(current)}, {relation} than {bound.field} {replicas}{bound.when}"
    return unpaused(Course(current, replicas, replicas), policy.paused, seen, observation)


def keep(
    observation: Observation,
    reason: Reason,
    message: Words,
    proposed: int | None = None,
    model: str | None = None,
) -> Decision:
    """The decision that leaves the size, of each class too, as it is."""
    current = observation.replicas
    pods = observation.classes
    sizes = classes.sizes(pods, [each.replicas for each in pods]) if pods else ()
    return Decision(observation.now, current, current, proposed, reason, message, model, sizes)
