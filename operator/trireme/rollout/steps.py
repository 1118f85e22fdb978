"""The steps of a canary: wait, go on, promote it or take it back. Pure.

A canary is watched in each step for a time and for a number of its own requests, counted from when
its pods carry the share that they are meant to have. Harm takes it back at once. It goes on only
while nothing speaks for its being worse than the limits allow; what stays between that and "shown
to be worse" until the deadline is taken back undecided, since nobody watches a canary for ever.
Nothing known is nothing seen: without figures no step ends but by its deadline.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from trireme.api.rollout import RolloutPhase
from trireme.rollout.analysis import Finding, findings, observe
from trireme.rollout.types import Command, Memory, Plan, Round, Verdict


def begin(at: datetime) -> Memory:
    """The memory of a rollout that begins."""
    return Memory(0, at)


def advance(plan: Plan, memory: Memory, seen: Round) -> tuple[Verdict, Memory]:
    """One round: what becomes of the canary, and what to remember."""
    if seen.command is Command.ABORT:
        return _end(seen, RolloutPhase.ROLLED_BACK, "told to: abort"), memory
    if seen.command is Command.PROMOTE:
        return _end(seen, RolloutPhase.PROMOTED, "told to: promote"), memory
    memory = _with(plan, memory, seen)
    found = list(findings(memory.evidence, plan.limits, plan.false_alarm_rate))
    harm = [finding for finding in found if finding.is_harm]
    if harm:
        return _end(
            seen, RolloutPhase.ROLLED_BACK, f"worse than the stable pods: {_told(harm)}"
        ), memory
    waits = _waits_for(plan, memory, seen, found)
    if waits and seen.at - memory.since >= plan.deadline:
        message = f"undecided after {_seconds(plan.deadline)}: {waits}"
        return _end(seen, RolloutPhase.ROLLED_BACK, message), memory
    if waits:
        return _progress(plan, memory, seen, f"waits: {waits}"), memory
    if memory.step + 1 == len(plan.steps):
        message = f"not worse than the stable pods: {_told(found)}"
        return _end(seen, RolloutPhase.PROMOTED, message), memory
    memory = Memory(memory.step + 1, seen.at, evidence=memory.evidence)
    return _progress(plan, memory, seen, _told(found)), memory


def _with(plan: Plan, memory: Memory, seen: Round) -> Memory:
    """The memory with what was seen. While the canary cannot carry its share, what is late is no
    fault of its pods, and nothing is counted.
    """
    if not seen.carries:
        return replace(memory, carried_since=None)
    memory = replace(memory, carried_since=memory.carried_since or seen.at)
    if seen.canary is None or seen.stable is None:
        return memory
    evidence = observe(memory.evidence, seen.canary, seen.stable, seen.compared, plan.limits)
    return replace(memory, seen=memory.seen + seen.canary.requests, evidence=evidence)


def _waits_for(plan: Plan, memory: Memory, seen: Round, found: Sequence[Finding]) -> str:
    """What keeps the step from ending; "" where nothing does."""
    step = plan.steps[memory.step]
    if memory.carried_since is None:
        return f"the canary's pods cannot carry {step.weight:.0%} of the requests yet"
    if seen.canary is None or seen.stable is None:
        return "no figures of both tracks"
    if memory.seen < step.least_requests:
        return f"{memory.seen} of {step.least_requests} requests in this step"
    passed = seen.at - memory.carried_since
    if passed < step.pause:
        return f"{_seconds(passed)} of {_seconds(step.pause)} in this step"
    doubtful = [finding for finding in found if finding.is_doubtful]
    if doubtful:
        return f"more than is allowed, though that may be chance: {_told(doubtful)}"
    return ""


def _progress(plan: Plan, memory: Memory, seen: Round, message: str) -> Verdict:
    step = plan.steps[memory.step]
    told = f"step {memory.step + 1} of {len(plan.steps)}, {step.weight:.0%}: {message}"
    return Verdict(seen.at, RolloutPhase.PROGRESSING, step.weight, told)


def _end(seen: Round, phase: RolloutPhase, message: str) -> Verdict:
    return Verdict(seen.at, phase, 1.0 if phase is RolloutPhase.PROMOTED else 0.0, message)


def _told(found: Sequence[Finding]) -> str:
    return "; ".join(map(str, found))


def _seconds(duration: timedelta) -> str:
    return f"{duration.total_seconds():.0f}s"
