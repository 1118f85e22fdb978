"""Which bounds hold when: windows by the clock of a place, on days whose clock changes too."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from trireme.api.conditions import Reason
from trireme.api.scaling import Behavior, Schedule
from trireme.autoscaler.decision import decide
from trireme.autoscaler.memory import memory_from_status, record
from trireme.autoscaler.schedules import bounded, cron_fault
from trireme.autoscaler.types.observation import LeadTime
from trireme.autoscaler.types.policy import Bound, Policy
from unit.autoscaling import SETTLED, observed, policy, seen

BERLIN = "Europe/Berlin"
LEAD = LeadTime(p95_seconds=120, median_seconds=60, samples=9)
MINUTE = timedelta(minutes=1)


def schedule(
    cron: str, hours: float, least: int | None = None, most: int | None = None, zone: str = BERLIN
) -> Schedule:
    return Schedule(
        schedule=cron, time_zone=zone, duration=timedelta(hours=hours), min=least, max=most
    )


OFFICE = schedule("0 8 * * 1-5", 10, 4, 20)
NIGHT = schedule("0 22 * * *", 8, least=1)


def at(text: str, zone: str = BERLIN) -> datetime:
    """An instant by the clock of a place; the first of two by the same name."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def bounds(
    now: datetime,
    *schedules: Schedule,
    lead: LeadTime | None = None,
    base: tuple[int, int] = (2, 10),
) -> Policy:
    return bounded(policy(bounds=base), schedules, now, lead)


def numbers(now: datetime, *schedules: Schedule, lead: LeadTime | None = None) -> tuple[int, int]:
    found = bounds(now, *schedules, lead=lead)
    return found.min_replicas, found.max_replicas


@pytest.mark.parametrize(
    ("now", "held"),
    [
        pytest.param("2026-11-30T07:59:59", (2, 10), id="a second before it opens"),
        pytest.param("2026-11-30T08:00", (4, 20), id="as it opens"),
        pytest.param("2026-11-30T17:59:59", (4, 20), id="a second before it closes"),
        pytest.param("2026-11-30T18:00", (2, 10), id="as it closes"),
        pytest.param("2026-11-29T12:00", (2, 10), id="on a Sunday"),
        pytest.param("2026-07-01T08:00", (4, 20), id="in summer by the same clock"),
    ],
)
def test_a_window_opens_and_closes_by_the_clock_of_its_place(
    now: str, held: tuple[int, int]
) -> None:
    assert numbers(at(now), OFFICE) == held


def test_without_a_zone_the_clock_is_utc() -> None:
    plain = Schedule(schedule="0 8 * * *", duration=timedelta(hours=1), min=4)
    assert numbers(datetime(2026, 7, 1, 8, tzinfo=UTC), plain) == (4, 10)


@pytest.mark.parametrize(
    ("schedules", "held"),
    [
        pytest.param([schedule("0 * * * *", 1, least=5)], (5, 10), id="a min alone"),
        pytest.param([schedule("0 * * * *", 1, most=5)], (2, 5), id="a max alone"),
        pytest.param([schedule("0 * * * *", 1, least=1)], (1, 10), id="a min below scaling.min"),
        pytest.param(
            [schedule("0 * * * *", 1, 3, 6), schedule("0 * * * *", 1, 5, 8)],
            (5, 8),
            id="of two the largest min and the largest max",
        ),
        pytest.param(
            [schedule("0 * * * *", 1, least=7), schedule("0 * * * *", 1, most=5)],
            (7, 7),
            id="a max below the min gives way",
        ),
        pytest.param([schedule("0 * * * *", 3, least=5)], (5, 10), id="windows that overlap"),
        pytest.param([schedule("0 0 1 1 *", 1, least=5)], (2, 10), id="none is open"),
    ],
)
def test_which_bounds_hold_together(schedules: list[Schedule], held: tuple[int, int]) -> None:
    assert numbers(at("2026-11-30T12:30"), *schedules) == held


@pytest.mark.parametrize(
    ("now", "schedules", "held"),
    [
        pytest.param("2026-11-30T07:57:59", [OFFICE], (2, 10), id="earlier than a lead time"),
        pytest.param(
            "2026-11-30T07:58", [OFFICE], (4, 10), id="the pods are started, the max is not raised"
        ),
        pytest.param("2026-11-30T17:59", [OFFICE], (4, 20), id="to its end"),
        pytest.param("2026-11-30T18:00", [OFFICE], (2, 10), id="and no longer"),
        pytest.param("2026-11-30T21:59", [NIGHT], (2, 10), id="a smaller min comes when it opens"),
        pytest.param("2026-11-30T05:57", [NIGHT], (1, 10), id="and holds"),
        pytest.param("2026-11-30T05:58", [NIGHT], (2, 10), id="until a larger one is prepared"),
        pytest.param(
            "2026-11-30T09:58",
            [OFFICE, schedule("0 10 * * *", 0.02, least=9)],
            (9, 20),
            id="a window that is shorter than the lead time",
        ),
        pytest.param(
            "2026-11-30T11:58",
            [schedule("0 12 * * *", 1, least=15, most=30)],
            (15, 15),
            id="a coming min beyond the present max",
        ),
    ],
)
def test_a_larger_min_holds_a_lead_time_before_it_is_in_force(
    now: str, schedules: list[Schedule], held: tuple[int, int]
) -> None:
    assert numbers(at(now), *schedules, lead=LEAD) == held


@pytest.mark.parametrize(
    ("now", "schedules", "least", "most"),
    [
        pytest.param(
            "2026-11-30T12:00",
            [OFFICE],
            Bound("scaling.schedules[0].min", " until 18:00 Europe/Berlin"),
            Bound("scaling.schedules[0].max", " until 18:00 Europe/Berlin"),
            id="a window that is open",
        ),
        pytest.param(
            "2026-11-30T07:59",
            [NIGHT, OFFICE],
            Bound("scaling.schedules[1].min", " from 08:00 Europe/Berlin"),
            Bound("scaling.max"),
            id="one that opens soon",
        ),
        pytest.param(
            "2026-11-30T23:00",
            [NIGHT],
            Bound("scaling.schedules[0].min", " until 2026-12-01 06:00 Europe/Berlin"),
            Bound("scaling.max"),
            id="one that closes on another day",
        ),
        pytest.param(
            "2026-12-01T05:59",
            [NIGHT],
            Bound("scaling.min", " from 06:00 Europe/Berlin"),
            Bound("scaling.max"),
            id="one that closes soon",
        ),
        pytest.param(
            "2026-11-29T12:00", [OFFICE], Bound("scaling.min"), Bound("scaling.max"), id="none"
        ),
    ],
)
def test_it_is_told_which_schedule_a_bound_is_of_and_for_how_long(
    now: str, schedules: list[Schedule], least: Bound, most: Bound
) -> None:
    found = bounds(at(now), *schedules, lead=LEAD)
    assert (found.min_bound, found.max_bound) == (least, most)


@pytest.mark.parametrize(
    ("replicas", "in_flight", "reason", "words"),
    [
        pytest.param(
            2,
            8.0,
            Reason.SCALED_UP,
            "2 pods, fewer than scaling.schedules[0].min 4 until 18:00 Europe/Berlin: 2 → 4",
            id="fewer than are wanted by now",
        ),
        pytest.param(
            25,
            8.0,
            Reason.SCALED_DOWN,
            "25 pods, more than scaling.schedules[0].max 20 until 18:00 Europe/Berlin: 25 → 20",
            id="more than are allowed by now",
        ),
        pytest.param(
            20,
            400.0,
            Reason.LIMITED,
            "(limited by scaling.schedules[0].max 20 until 18:00 Europe/Berlin)",
            id="growth ends at the max",
        ),
        pytest.param(
            4,
            8.0,
            Reason.WITHIN_TARGET,
            "(scaling.schedules[0].min is 4 until 18:00 Europe/Berlin)",
            id="rest is at the min",
        ),
    ],
)
def test_a_decision_names_the_schedule_that_bound_it(
    replicas: int, in_flight: float, reason: Reason, words: str
) -> None:
    now = at("2026-11-30T12:00")
    decision, _ = decide(observed(replicas, seen(in_flight), now=now), bounds(now, OFFICE), SETTLED)
    assert decision.reason is reason
    assert words in str(decision.message)


# In Berlin the clock goes from 02:00 to 03:00 on 2026-03-29, and from 03:00 to 02:00 on 2026-10-25.


def open_from(day: str, one: Schedule) -> list[str]:
    """The stretches of a day at Berlin, by its clock, at which a schedule's min of 5 holds."""
    first = at(day)
    last = at(str(datetime.fromisoformat(day) + timedelta(days=1)))
    stretches, now, was = [], first, False
    while now <= last:
        held = numbers(now, one)[0] == 5 and now < last
        if held != was:
            stretches.append(f"{now.astimezone(ZoneInfo(BERLIN)):%H:%M%z}")
        now, was = now + MINUTE, held
    return stretches


@pytest.mark.parametrize(
    ("day", "cron", "hours", "stretches"),
    [
        pytest.param(
            "2026-03-29", "0 8 * * *", 10, ["08:00+0200", "18:00+0200"], id="after the gap"
        ),
        pytest.param("2026-03-29", "30 2 * * *", 1, ["03:00+0200", "04:00+0200"], id="in the gap"),
        pytest.param(
            "2026-03-29", "30 1 * * *", 2, ["01:30+0100", "04:30+0200"], id="across the gap"
        ),
        pytest.param(
            "2026-10-25", "30 2 * * *", 1, ["02:30+0200", "02:30+0100"], id="in what comes twice"
        ),
        pytest.param(
            "2026-10-25", "30 2 * * *", 0.25, ["02:30+0200", "02:45+0200"], id="the first time only"
        ),
        pytest.param(
            "2026-10-25", "0 1 * * *", 3, ["01:00+0200", "03:00+0100"], id="across what comes twice"
        ),
        pytest.param(
            "2026-10-25",
            "30 * * * 0",
            0.5,
            ["00:30+0200", "01:00+0200", "01:30+0200", "02:00+0200", "02:30+0200", "02:00+0100"]
            + [
                f"{hour % 24:02}:{minute}+0100"
                for begun in range(2, 24)
                for hour, minute in ((begun, "30"), (begun + 1, "00"))
            ],
            id="each hour that passes",
        ),
    ],
)
def test_days_whose_clock_changes(day: str, cron: str, hours: float, stretches: list[str]) -> None:
    assert open_from(day, schedule(cron, hours, least=5)) == stretches


_CHANGES = [
    (BERLIN, datetime(2026, 3, 29, 1, tzinfo=UTC)),
    (BERLIN, datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
    ("America/Santiago", datetime(2026, 4, 5, 3, tzinfo=UTC)),
    ("America/Santiago", datetime(2026, 9, 6, 4, tzinfo=UTC)),
]


@given(st.sampled_from(_CHANGES), st.integers(-90, 90), st.integers(-90, 90), st.integers(1, 90))
def test_looking_back_finds_the_windows_that_looking_ahead_finds(
    change: tuple[str, datetime], opening: int, looking: int, length: int
) -> None:
    zone, moment = change
    now, begins = moment + looking * MINUTE, (moment + opening * MINUTE).astimezone(ZoneInfo(zone))
    cron = f"{begins.minute} {begins.hour} * * *"
    ahead = CronSim(cron, (now - timedelta(days=3)).astimezone(ZoneInfo(zone)))
    opened = [*takewhile(lambda time: time <= now, (t.astimezone(UTC) for t in ahead))]
    one = schedule(cron, length / 60, least=5, zone=zone)
    assert (numbers(now, one)[0] == 5) is (now < opened[-1] + length * MINUTE)


_FIELD = st.sampled_from(["*", "1", "*/2", "1-5", "MON#2", "5L", "L", "LW", "FEB", "0,30"])


@given(st.lists(_FIELD | st.text("0123456789*/,-#LWMON?²", max_size=4), min_size=4, max_size=6))
def test_whatever_is_written_for_a_cron_expression_has_a_fault_or_is_used(
    fields: list[str],
) -> None:
    expression = " ".join(fields)
    if cron_fault(expression) is None:
        one = schedule(expression, 1, least=5)
        assert numbers(at("2026-11-30T12:00"), one)[0] in (2, 5)


@pytest.mark.parametrize(
    ("expression", "wrong"),
    [
        pytest.param("61 8 * * *", "its minute is not valid", id="no such minute"),
        pytest.param("0 8 * * MONDAY", "its day-of-week is not valid", id="no such day"),
        pytest.param("0 0 31 2 *", "its day-of-month is not valid", id="a day that never comes"),
        pytest.param("0 0 */40 * MON#5", "it never comes", id="two days that never meet"),
        pytest.param("@daily", "has 5 fields, and this one 1", id="a name"),
        pytest.param("0 0 8 * * *", "has 5 fields, and this one 6", id="seconds"),
        pytest.param("", "has 5 fields, and this one 0", id="nothing"),
        pytest.param("0 8 * * ?", "its day-of-week is not valid", id="as Quartz writes it"),
    ],
)
def test_what_is_no_cron_expression(expression: str, wrong: str) -> None:
    fault = cron_fault(expression)
    assert fault is not None
    assert wrong in fault


@pytest.mark.parametrize(
    ("from_day", "hours_of_the_days"),
    [
        pytest.param("2026-03-28", [24, 23, 24], id="the clock is put forward"),
        pytest.param("2026-10-24", [24, 25, 24], id="the clock is put back"),
    ],
)
def test_pods_are_ready_as_a_window_opens_on_every_day_and_go_after_it(
    from_day: str, hours_of_the_days: list[int]
) -> None:
    """Three days in virtual time with next to no load: pods take 90 s, and 120 s are planned."""
    daily, starting_up, each_round = schedule("0 8 * * *", 10, 4, 20), 90, MINUTE
    now, memory, size = at(from_day), memory_from_status(None, at(from_day), 2), 2
    begun = [now - timedelta(hours=1)] * 2  # when each pod was asked for
    ready_at, asked_at = {}, []
    end = now + timedelta(hours=sum(hours_of_the_days))
    while now < end:
        ready = sum(now - since >= timedelta(seconds=starting_up) for since in begun)
        ready_at[now] = ready
        rule = replace(bounds(now, daily, lead=LEAD), behavior=Behavior())
        seen_now = observed(size, seen(0.4, rate=10.0), ready=ready, now=now)
        decision, memory = decide(seen_now, rule, memory)
        memory = record(memory, decision, carried_out=True)
        if decision.replicas > size:
            asked_at.append(now)
            assert "scaling.schedules[0].min 4 from 08:00 Europe/Berlin" in str(decision.message)
        size = decision.replicas
        begun = [*begun, *[now] * size][:size] if size > len(begun) else begun[:size]
        now += each_round

    days = [at(from_day) + timedelta(hours=sum(hours_of_the_days[:day])) for day in range(3)]
    opens = [at(f"{day.astimezone(ZoneInfo(BERLIN)):%Y-%m-%d}T08:00") for day in days]
    assert asked_at == [moment - timedelta(seconds=120) for moment in opens]
    for moment in opens:
        assert ready_at[moment] == 4
        assert ready_at[moment + timedelta(hours=10)] == 4
        assert ready_at[moment + timedelta(hours=10, minutes=7)] == 2
