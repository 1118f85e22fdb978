"""Stabilisation windows and rate policies, as HorizontalPodAutoscaler v2 with `behavior` has them.

Pure. Source of the rules: Kubernetes, pkg/controller/podautoscaler/horizontal.go (autoscaling/v2).
Times are compared strictly, as there: what happened exactly one window ago is out of it.
"""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from trireme.api.scaling import Behavior, PolicyType, RatePolicy, ScalingRules, SelectPolicy
from trireme.autoscaler.types.memory import Recommendation, ScaleChange
from trireme.autoscaler.values import frozen

SHRINKING = timedelta(seconds=300)
"""The window of HorizontalPodAutoscaler v2 for shrinking, where `behavior` names none."""
_NONE = timedelta(0)


@frozen
class Windows:
    """How long proposals are remembered before the fleet grows, and before it shrinks."""

    up: timedelta
    down: timedelta


def windows(behavior: Behavior, hold: timedelta = SHRINKING) -> Windows:
    """The windows of `behavior`; left out, growing has none and shrinking waits for `hold`."""
    up, down = behavior.up.stabilization_window, behavior.down.stabilization_window
    return Windows(_NONE if up is None else up, hold if down is None else down)


def remember(
    recommendations: Sequence[Recommendation], proposal: int, windows: Windows, now: datetime
) -> tuple[Recommendation, ...]:
    """The recommendations that may still count, with the present one last: of each size the newest,
    which is in every window that an older one is in. A hold may grow to `SHRINKING` from one round
    to the next.
    """
    oldest = now - max(windows.up, windows.down, SHRINKING)
    kept = [r for r in recommendations if r.replicas != proposal and r.at > oldest]
    return (*kept, Recommendation(now, proposal))


def stabilise(
    current: int, recommendations: Sequence[Recommendation], windows: Windows, now: datetime
) -> int:
    """The most cautious recommendation of the windows.

    Growing takes the smallest of the up-window, shrinking the largest of the down-window; the
    last recommendation is the present one and always counts.
    """
    *past, present = recommendations
    upper = lower = present.replicas
    up_since, down_since = now - windows.up, now - windows.down
    for each in past:
        if each.at > up_since and each.replicas < upper:
            upper = each.replicas
        if each.at > down_since and each.replicas > lower:
            lower = each.replicas
    if current < upper:
        return upper
    return min(current, lower)


@frozen
class RateLimit:
    """The farthest a fleet may go now, and the policy that says so (None: Disabled)."""

    replicas: int
    policy: RatePolicy | None


def up_limit(
    current: int, changes: Sequence[ScaleChange], rules: ScalingRules, now: datetime
) -> RateLimit:
    """The most replicas that the rate policies allow now, never fewer than `current`.

    Percent is ceil of the exact IEEE product, as in Kubernetes: 3 pods + 50 % is ceil(4.5) = 5.
    """
    return _limit(current, changes, rules, now, growing=True)


def down_limit(
    current: int, changes: Sequence[ScaleChange], rules: ScalingRules, now: datetime
) -> RateLimit:
    """The fewest replicas that the rate policies allow now, never more than `current`.

    Percent is truncated: 5 pods - 50 % is trunc(2.5) = 2.
    """
    return _limit(current, changes, rules, now, growing=False)


def _limit(
    current: int,
    changes: Sequence[ScaleChange],
    rules: ScalingRules,
    now: datetime,
    *,
    growing: bool,
) -> RateLimit:
    """How far the rate policies allow to go: Max selects the one that allows the most change."""
    if rules.select_policy is SelectPolicy.DISABLED:
        return RateLimit(current, None)
    limits = []
    for policy in rules.policies:
        before = _at_period_start(current, changes, policy.period, now)
        limits.append(RateLimit(_reach(policy, before, growing), policy))
    farthest, nearest = (max, min) if growing else (min, max)
    pick = farthest if rules.select_policy is SelectPolicy.MAX else nearest
    limit = pick(limits, key=lambda limit: limit.replicas)
    return RateLimit(farthest(limit.replicas, current), limit.policy)


def _reach(policy: RatePolicy, before: int, growing: bool) -> int:
    """How far one policy allows to go from the size of a period ago."""
    change = policy.value if growing else -policy.value
    if policy.type is PolicyType.PODS:
        return before + change
    allowed = before * (1 + change / 100)
    return math.ceil(allowed) if growing else math.trunc(allowed)


def recent_changes(
    changes: Sequence[ScaleChange], behavior: Behavior, now: datetime
) -> tuple[ScaleChange, ...]:
    """The changes that some rate policy may still count."""
    if not changes:
        return ()
    policies = (*behavior.up.policies, *behavior.down.policies)
    longest = max(policy.period for policy in policies)
    return tuple(change for change in changes if change.at > now - longest)


def _at_period_start(
    current: int, changes: Sequence[ScaleChange], period: timedelta, now: datetime
) -> int:
    """The size one period ago: what was added since is taken off, what was removed put back."""
    return current - sum(change.change for change in changes if change.at > now - period)
