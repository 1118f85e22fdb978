"""Bounds by the clock: the operator's own schedules, in virtual time."""

from datetime import UTC, datetime, timedelta

import pytest

from trireme.api.scaling import Schedule
from trireme.autoscaler.schedules import bounded
from trireme.autoscaler.types.observation import LeadTime
from trireme.simulator.hours import Hours
from trireme.simulator.policy import Bounds
from unit.autoscaling import objective, policy

MONDAY = datetime(2026, 3, 2, 6, 50, 20, tzinfo=UTC)
ASKED = policy(objective(), bounds=(1, 8))


def schedule(cron: str, duration: timedelta, **bounds: int) -> Schedule:
    return Schedule(schedule=cron, time_zone="Europe/Berlin", duration=duration, **bounds)


@pytest.mark.parametrize(
    "schedules",
    [
        pytest.param((), id="none"),
        pytest.param((schedule("0 8 * * *", timedelta(minutes=10), min=3),), id="a min"),
        pytest.param(
            (schedule("1 8 * * *", timedelta(seconds=90), max=4),), id="not whole minutes"
        ),
        pytest.param(
            (
                schedule("0 8 * * *", timedelta(minutes=7), min=3, max=20),
                schedule("5 8 * * *", timedelta(minutes=7), min=5),
                schedule("0 8 * * 2", timedelta(hours=1), min=9),
            ),
            id="several, one on Tuesdays",
        ),
    ],
)
def test_the_bounds_of_each_second_are_those_that_the_operator_has_then(
    schedules: tuple[Schedule, ...],
) -> None:
    hours = Hours(MONDAY, schedules)
    rows = hours.by_second(ASKED, 1800)
    expected = [bounded(ASKED, schedules, hours.moment(at), None) for at in range(1800)]
    assert rows.tolist() == [
        [each.min_replicas for each in expected],
        [each.max_replicas for each in expected],
    ]


def test_the_widest_bounds_hold_all_others() -> None:
    schedules = (
        schedule("0 8 * * *", timedelta(hours=1), min=0, max=4),
        schedule("0 9 * * *", timedelta(hours=1), min=12),
    )
    assert Hours(MONDAY, schedules).widest(Bounds(1, 8)) == Bounds(0, 12)
    assert Hours().widest(Bounds(1, 8)) == Bounds(1, 8)


def test_pods_are_ordered_a_lead_time_before_a_window_by_who_knows_it() -> None:
    hours = Hours(MONDAY, (schedule("0 8 * * *", timedelta(hours=1), min=3),))
    lead = LeadTime(60.0, 60.0, 9)
    before = hours.moment(9 * 60)  # 06:59:20, which is 07:59:20 in Berlin
    assert hours.policy_at(ASKED, before, lead).min_replicas == 3
    assert hours.bounds_at(ASKED, 9 * 60) == Bounds(1, 8)
    assert hours.bounds_at(ASKED, 10 * 60) == Bounds(3, 8)
