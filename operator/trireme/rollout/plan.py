"""A canary's plan, from the resource. Pure."""

from datetime import timedelta

from trireme.api.rollout import Canary
from trireme.rollout.types import Limits, Plan, Step

LEAST_COMPARED = 100
"""Mirrored requests of a step: where as many are answered alike, fewer than 3 in 100 are answered
otherwise (95 %, by the rule of three). A step that is to see fewer requests needs as few."""

_SMALLEST, _LARGEST = 1e-6, 1 - 1e-6  # a bet on other answers needs a chance that is neither


def plan_of(canary: Canary, longest_start: timedelta) -> Plan:
    """The plan that a spec asks for, of pods that take so long at most until they are ready."""
    limits, mirrored = canary.limits, LEAST_COMPARED if canary.mirror is not None else 0
    return Plan(
        steps=tuple(
            Step(each.weight, each.pause, each.min_requests, min(each.min_requests, mirrored))
            for each in canary.steps
        ),
        false_alarm_rate=canary.false_alarm_rate,
        deadline=canary.deadline,
        longest_start=longest_start,
        limits=Limits(
            failed=limits.failures,
            refused=limits.refused,
            late=limits.late,
            slow=limits.slower,
            different=min(max(limits.different, _SMALLEST), _LARGEST),
        ),
    )
