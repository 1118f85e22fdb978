"""The steps of a canary: wait, go on, promote it or take it back. Pure.

A canary is watched in each step for a time and for a number of its own requests, counted while its
pods carry the share that they are meant to have. Harm takes it back at once. It goes on only
while nothing speaks for its being worse than the limits allow; what stays between that and "shown
to be worse" until the deadline is taken back undecided, since nobody watches a canary for ever.
Nothing known is nothing seen: without figures no step ends but by its deadline.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from trireme.api.rollout import RolloutPhase
from trireme.rollout.analysis import Finding, findings, observe
from trireme.rollout.types import (
    Answers,
    Command,
    Measure,
    Memory,
    Plan,
    Round,
    Step,
    Verdict,
    Why,
)

LONGEST_LOOK = timedelta(seconds=30)
"""Of the time between two looks, what counts at most as watched: a round takes 5 s, and what is
longer than some of them is an operator that was away. A deadline is not for that."""

_TOLD = {Command.PROMOTE: RolloutPhase.PROMOTED, Command.ABORT: RolloutPhase.ROLLED_BACK}


def begin(at: datetime) -> Memory:
    """The memory of a rollout that begins."""
    return Memory(0, at)


def advance(plan: Plan, memory: Memory, seen: Round) -> tuple[Verdict, Memory]:
    """One round: what becomes of the canary, and what to remember."""
    step = plan.steps[min(memory.step, len(plan.steps) - 1)]  # an edit may have taken some away
    if seen.command is not None:
        phase = _TOLD[seen.command]
        return _end(seen, phase, step, Why.TOLD, f"told to: {seen.command}"), memory
    if seen.fault:
        return _end(seen, RolloutPhase.ROLLED_BACK, step, Why.FAULT, seen.fault), memory
    memory = _with(plan, memory, seen)
    found = list(findings(memory.evidence, plan.limits, plan.false_alarm_rate))
    harm = [finding for finding in found if finding.is_harm]
    if harm:
        message = f"worse than the stable pods: {_told(step, harm)}"
        return _end(seen, RolloutPhase.ROLLED_BACK, step, Why.HARM, message), memory
    # Of a step in which the stable pods get nothing nothing more is learnt.
    later = plan.steps[memory.step + 1 :]
    is_decisive = step.weight < 1 and all(each.weight >= 1 for each in later)
    waits = _waits_for(step, memory, seen, found, is_decisive=is_decisive)
    if waits is not None and _is_over(plan, memory):
        message = f"undecided after {_seconds(memory.watched)}: {waits[1]}"
        return _end(seen, RolloutPhase.ROLLED_BACK, step, Why.UNDECIDED, message), memory
    if waits is not None:
        why, words = waits
        told = f"waits for {words}" if why is Why.GPUS else f"waits: {words}"
        return _progress(plan, memory, seen, why, told), memory
    if not later:
        message = f"not worse than the stable pods: {_told(step, found)}"
        return _end(seen, RolloutPhase.PROMOTED, step, Why.NO_HARM, message), memory
    memory = Memory(
        memory.step + 1,
        seen.at,
        evidence=memory.evidence,
        usual_milliseconds=memory.usual_milliseconds,
    )
    return _progress(plan, memory, seen, Why.STEP_BEGAN, _told(step, found)), memory


def _with(plan: Plan, memory: Memory, seen: Round) -> Memory:
    """The memory with what was seen. While the canary cannot carry its share, what is late is no
    fault of its pods; what fails or is refused is. Mirrored requests are compared whatever else is
    known.
    """
    passed = max(timedelta(0), min(seen.at - memory.looked, LONGEST_LOOK))
    canary, stable = seen.canary, seen.stable
    if canary is None or stable is None:
        canary = stable = Answers()
    if not seen.carries:
        canary, stable = canary.without_latencies, stable.without_latencies
    return replace(
        memory,
        looked=seen.at,
        watched=memory.watched + passed,
        carried=memory.carried + (passed if seen.carries and seen.warm else timedelta(0)),
        seen=memory.seen + (canary.taken if seen.carries and seen.whole else 0),
        compared=memory.compared + seen.compared.requests,
        evidence=observe(memory.evidence, canary, stable, seen.compared, plan.limits),
    )


def _is_over(plan: Plan, memory: Memory) -> bool:
    """Whether a step may last no longer. Its deadline runs while pods that are warm carry its
    share: that an image is pulled and a model loaded says nothing of the canary. What never comes
    is not waited for.
    """
    lasting = memory.watched >= plan.deadline + plan.longest_start
    return memory.carried >= plan.deadline or lasting


def _waits_for(
    step: Step, memory: Memory, seen: Round, found: Sequence[Finding], *, is_decisive: bool
) -> tuple[Why, str] | None:
    """What keeps the step from ending; None where nothing does. One that is decisive is the last in
    which anything is compared.
    """
    if seen.carries and not seen.warm:
        return Why.PODS, "the canary's newest pods are in their first minute"
    if not seen.carries and seen.lacks:
        return Why.GPUS, seen.lacks
    if not seen.carries:
        words = f"the canary's pods cannot carry {step.weight:.0%} of the requests yet"
        return Why.PODS, words
    if seen.canary is None or seen.stable is None or not seen.whole:
        return Why.FIGURES, "no figures of both tracks"
    if memory.seen < step.least_requests:
        return Why.REQUESTS, f"{memory.seen} of {step.least_requests} requests in this step"
    if memory.compared < step.least_compared:
        words = f"{memory.compared} of {step.least_compared} mirrored requests compared in it"
        return Why.COMPARED, words
    if memory.carried < step.pause:
        return Why.PAUSE, f"{_seconds(memory.carried)} of {_seconds(step.pause)} in this step"
    doubtful = [finding for finding in found if finding.is_doubtful]
    if doubtful:
        return (
            Why.DOUBT,
            f"more than is allowed, though that may be chance: {_told(step, doubtful)}",
        )
    unsure = [finding for finding in found if is_decisive and not finding.is_within]
    if unsure:
        return Why.DOUBT, f"not yet seen to be within what is allowed: {_told(step, unsure)}"
    return None


def _progress(plan: Plan, memory: Memory, seen: Round, why: Why, message: str) -> Verdict:
    number = min(memory.step, len(plan.steps) - 1)
    weight = plan.steps[number].weight
    told = f"step {number + 1} of {len(plan.steps)}, {weight:.0%}: {message}{_noted(seen)}"
    return Verdict(seen.at, RolloutPhase.PROGRESSING, weight, why, told)


def _end(seen: Round, phase: RolloutPhase, step: Step, why: Why, message: str) -> Verdict:
    weight = step.weight if phase is RolloutPhase.PROMOTED else 0.0
    return Verdict(seen.at, phase, weight, why, f"{message}{_noted(seen)}")


def _noted(seen: Round) -> str:
    return f" ({seen.note})" if seen.note else ""


def _told(step: Step, found: Sequence[Finding]) -> str:
    """What was seen; that nothing was compared is told, too, where it is to be."""
    return "; ".join(
        str(finding)
        for finding in found
        if finding.canary.requests or (step.least_compared and finding.measure is Measure.DIFFERENT)
    )


def _seconds(duration: timedelta) -> str:
    return f"{duration.total_seconds():.0f}s"
