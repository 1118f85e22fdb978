"""The bounds that hold at a moment, where some of them have their times. Pure: time is an argument.

A schedule opens a window whenever its cron expression says, by the clock of its time zone, and
closes it a duration later. On days whose clock changes, a window that opens at a fixed time opens
once: after the gap where its time is skipped, and the first time where it comes twice, as Debian's
cron does. The duration is time that passes, whatever the clock shows.

What open windows say holds, else scaling.min and scaling.max. Of several windows the largest min
and the largest max hold: a schedule is there to have capacity. A max below the min gives way to it.

A larger min holds a lead time before it is in force, so that the pods are ready by then, whether a
window opens or one with a smaller min closes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from trireme.api.scaling import Schedule
from trireme.autoscaler.types.observation import LeadTime
from trireme.autoscaler.types.policy import Bound, Policy

_FIELDS = 5  # minute, hour, day of month, month, day of week; cronsim would take seconds, too
_LONGEST_FOLD = timedelta(hours=3)  # more than any clock is put back by


def cron_fault(expression: str) -> str | None:
    """What is wrong with a cron expression; None where nothing is."""
    fields = len(expression.split())
    if fields != _FIELDS:
        return f"a cron expression has {_FIELDS} fields, and this one {fields}"
    try:
        times = CronSim(expression, datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        return f"its {str(error).removeprefix('Bad ')} is not valid"
    # It gives up after 50 years, each of whose days it looks at: every round would do so anew.
    return None if next(times, None) else "it never comes: no date is both of its days"


@lru_cache(maxsize=1)
def time_zones() -> frozenset[str]:
    """The names of the time zones that are known, whatever else the machine has."""
    return frozenset(files("tzdata").joinpath("zones").read_text().split())


def bounded(
    policy: Policy, schedules: Sequence[Schedule], now: datetime, lead_time: LeadTime | None
) -> Policy:
    """The policy with the bounds that hold at `now`, and the words for where they come from."""
    if not schedules:
        return policy
    ahead = now + timedelta(seconds=lead_time.p95_seconds if lead_time else 0)
    present = [window for window in _opened(schedules, now) if window.closes > now]
    later = _opened(schedules, ahead)
    least, of_least = max(
        _least(policy, present, now),
        _least(policy, [window for window in later if window.closes > ahead], now),
        *(_least(policy, [w], now) for w in later if w.opens > now and w.schedule.min is not None),
        key=lambda found: found[0],
    )
    most, of_most = _most(policy, present, now)
    if most < least:
        most, of_most = least, of_least
    if of_least == policy.min_bound and (
        closing := [w for w in present if w.schedule.min is not None]
    ):
        last = max(closing, key=lambda window: window.closes)
        of_least = replace(of_least, when=f" from {last.clock(last.closes, now)}")
    return replace(
        policy, min_replicas=least, max_replicas=most, min_bound=of_least, max_bound=of_most
    )


@dataclass(frozen=True, slots=True)
class _Window:
    """The window of a schedule that opened last; `place` is the schedule's path."""

    schedule: Schedule
    place: str
    opens: datetime
    closes: datetime

    def bound(self, field: str, now: datetime) -> Bound:
        """How its min or max is told."""
        if self.opens > now:
            when = f" from {self.clock(self.opens, now)}"
        else:
            when = f" until {self.clock(self.closes, now)}"
        return Bound(f"{self.place}.{field}", when)

    def clock(self, at: datetime, now: datetime) -> str:
        """`18:00 Europe/Berlin`, with the date where that is not today's."""
        zone = ZoneInfo(self.schedule.time_zone)
        local = at.astimezone(zone)
        is_today = local.date() == now.astimezone(zone).date()
        return f"{local:{'%H:%M' if is_today else '%Y-%m-%d %H:%M'}} {zone.key}"


def _opened(schedules: Iterable[Schedule], by: datetime) -> list[_Window]:
    """Of each schedule the window that opened last; it may be closed since."""
    minute = by.astimezone(UTC).replace(second=0, microsecond=0)
    windows = []
    for index, schedule in enumerate(schedules):
        opens = _last_opening(schedule.schedule, schedule.time_zone, minute)
        if opens is not None:
            place = f"scaling.schedules[{index}]"
            windows.append(_Window(schedule, place, opens, opens + schedule.duration))
    return windows


@lru_cache(maxsize=4096)  # asked every few seconds, by many agents that keep the same hours
def _last_opening(expression: str, time_zone: str, by: datetime) -> datetime | None:
    """When a cron expression last came, at `by` at the latest.

    At a time that comes twice, what lies ahead on the clock may have come already.
    """
    local = by.astimezone(ZoneInfo(time_zone))
    clock_ahead = _LONGEST_FOLD if local.fold else timedelta(0)
    start = (by + clock_ahead + timedelta(seconds=1)).astimezone(local.tzinfo)
    times = (time.astimezone(UTC) for time in CronSim(expression, start, reverse=True))
    return next((time for time in times if time <= by), None)


def _least(policy: Policy, windows: Iterable[_Window], now: datetime) -> tuple[int, Bound]:
    """The largest min of some windows, else scaling.min."""
    told = [(w.schedule.min, w) for w in windows if w.schedule.min is not None]
    if not told:
        return policy.min_replicas, policy.min_bound
    replicas, window = max(told, key=lambda each: each[0])
    return replicas, window.bound("min", now)


def _most(policy: Policy, windows: Iterable[_Window], now: datetime) -> tuple[int, Bound]:
    """The largest max of some windows, else scaling.max."""
    told = [(w.schedule.max, w) for w in windows if w.schedule.max is not None]
    if not told:
        return policy.max_replicas, policy.max_bound
    replicas, window = max(told, key=lambda each: each[0])
    return replicas, window.bound("max", now)
