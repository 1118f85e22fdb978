"""What will be asked is learnt from the agent's own past, whatever that is."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme.autoscaler.back_test import BackTest
from trireme.autoscaler.demand import USUAL_LEAD_SECONDS, Demand, Terms, terms_of
from trireme.autoscaler.history import STEP_SECONDS
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.autoscaler.types.capacity import Capacity, OutOfReach
from trireme.autoscaler.types.memory import FactorMemory, Memory
from trireme.autoscaler.types.observation import Forecast, LeadTime
from unit.autoscaling import WINDOW, objective, policy

MIDNIGHT = datetime(2026, 5, 4, tzinfo=UTC)
HOUR = 3600
TERMS = Terms(
    sustained_per_second=10.0,
    lead_seconds=60,
    window_seconds=30,
    least=1,
    most=40,
    allowed_late=0.05,
)


def lived(
    rate: Callable[[int], float],
    seconds: int,
    terms: Terms = TERMS,
    late: Callable[[int], float | None] = lambda second: None,
    replicas: Callable[[Demand], int] | None = None,
) -> Demand:
    """A past of so many seconds, a round each 15; the fleet is as the expert's unless said."""
    demand = Demand.unknown(MIDNIGHT)
    for second in range(0, seconds, STEP_SECONDS):
        now = MIDNIGHT + timedelta(seconds=second)
        ready = replicas(demand) if replicas else serving(demand)
        demand = demand.after(now, rate(second), late(second), ready, terms)
    return demand


def serving(demand: Demand) -> int:
    """The replicas that the expert in charge has: of its last lead time the fewest."""
    return int(demand.test.held[-5:, *demand.test.chosen].min()) if demand.test else 0


def told(demand: Demand, terms: Terms = TERMS) -> Forecast:
    forecast = demand.forecast(terms)
    assert forecast is not None
    return forecast


def bought(demand: Demand, terms: Terms = TERMS) -> float:
    """The replicas' worth of requests that the forecast asks for."""
    forecast = told(demand, terms)
    return forecast.margin * forecast.per_second / terms.sustained_per_second


def jumping(step: int, before: float, at: int, after: float) -> float:
    """One value, and from a step on another."""
    return before if step < at else after


def every_five_minutes(second: int) -> float:
    """A minute at ten times the rate, at the beginning of every five."""
    return 200.0 if second % 300 < 60 else 20.0


def test_a_spike_that_comes_every_five_minutes_is_awaited() -> None:
    for before in (0, 15, 30, 45):  # a lead time ahead, and until it is there
        demand = lived(every_five_minutes, 2 * HOUR - before)
        assert bought(demand) >= 19, told(demand)
        assert "ago" in told(demand).words
    between = lived(every_five_minutes, 2 * HOUR + 150)
    assert bought(between) < 10, told(between)


def test_what_never_changes_is_bought_without_a_margin() -> None:
    steady = lived(lambda second: 75.0, 12 * HOUR)
    assert told(steady).per_second == 75.0
    assert math.ceil(bought(steady)) == 8


def test_before_much_is_seen_a_margin_is_held() -> None:
    young = told(lived(lambda second: 75.0, 5 * 60))
    assert young.margin == pytest.approx(1.2)


def test_traffic_without_a_pattern_is_bought_with_a_larger_margin_than_calm_traffic() -> None:
    noise = np.random.default_rng(7).lognormal(0, 0.4, 4 * HOUR // STEP_SECONDS)
    wild = lived(lambda second: 100 * float(noise[second // STEP_SECONDS]), 4 * HOUR)
    calm = lived(lambda second: 100.0 + second % 2, 4 * HOUR)
    assert bought(wild) > 1.3 * bought(calm)


def test_what_would_have_met_a_single_jump_is_not_held_after_it() -> None:
    """With a lead time of two minutes only twice the replicas would have."""
    slow = replace(TERMS, lead_seconds=120)
    jump = partial(jumping, before=50.0, at=1200, after=100.0)
    assert bought(lived(jump, 1200 + 20 * 60, slow), slow) <= 15
    assert bought(lived(jump, 2 * HOUR, slow), slow) < 12


def test_more_late_requests_than_foreseen_make_it_more_careful() -> None:
    def wave(second: int) -> float:
        return 100 + 40 * math.sin(second / 500)

    trusted = lived(wave, 8 * HOUR, late=lambda second: 0.0)
    warned = lived(wave, 8 * HOUR, late=lambda second: 0.2)
    assert warned.test is not None
    assert warned.test.correction(0.05) > 1.5
    assert bought(warned) > bought(trusted)


def beside_as_now(
    needed: Callable[[int], float], foreseen: Callable[[int], float], steps: int, lead_steps: int
) -> Iterator[BackTest]:
    """Two forecasters at each step: who expects what is now, and another."""
    test = BackTest.begin(2, needed(0))
    for step in range(steps):
        test = test.after(
            needed(step),
            np.array([needed(step), foreseen(step)]),
            lead_steps=lead_steps,
            hold_steps=lead_steps,
            least=1,
            most=40,
            allowed_late=0.05,
            late_share=None,
            ready=0,
            is_next=step > 0,
        )
        yield test


def test_who_foresees_nothing_is_no_better_for_what_it_did_not_see() -> None:
    """It expects what is now, and so is as late as who always does."""
    jump = partial(jumping, before=5.0, at=20, after=15.0)  # faster than a pod
    *_, test = beside_as_now(jump, lambda step: math.nan, 40, lead_steps=4)
    assert test.late[0].min() > 0
    assert np.array_equal(test.late[0], test.late[1])
    assert np.array_equal(test.cost[0], test.cost[1])


def test_who_foresees_for_the_first_time_is_not_followed_for_a_record_that_is_not_its_own() -> None:
    """With a large margin both would have met the jump; after it one asks for what was before."""
    jump = partial(jumping, before=4.5, at=80, after=12.0)
    late_starter = partial(jumping, before=math.nan, at=90, after=4.5)
    tests = list(beside_as_now(jump, late_starter, 170, lead_steps=8))
    assert tests[-1].margin > 1.5
    assert {test.forecaster for test in tests} == {0}


def test_late_requests_of_another_fleet_say_nothing_of_the_foresight() -> None:
    """A fleet that another decides on, or that something holds."""
    shadow = lived(every_five_minutes, HOUR, late=lambda second: 0.9, replicas=lambda demand: 60)
    assert shadow.test is not None
    assert shadow.test.correction(0.05) == 1.0


def test_a_capacity_that_is_away_for_a_moment_takes_no_experience_away() -> None:
    before = lived(every_five_minutes, 2 * HOUR)
    now = MIDNIGHT + timedelta(seconds=2 * HOUR)
    away = before.after(now, 200.0, None, 0, None)
    back = away.after(now + timedelta(seconds=15), 200.0, None, 0, TERMS)
    assert away.test is before.test
    assert back.test is not None
    assert before.test is not None
    assert back.test.steps == pytest.approx(before.test.steps + 1, rel=0.01)


def test_a_slower_scrape_looks_further_ahead() -> None:
    assert replace(TERMS, window_seconds=120).horizon_steps == TERMS.horizon_steps + 3


def test_an_unknown_late_share_says_nothing_of_the_foresight() -> None:
    unknown = lived(every_five_minutes, HOUR).test
    assert unknown is not None
    assert unknown.foreseen_late == unknown.seen_late == 0.0


def test_what_prometheus_recalls_is_as_if_it_had_been_seen() -> None:
    begin = int(MIDNIGHT.timestamp())
    hours = {begin + at: every_five_minutes(at) for at in range(0, 2 * HOUR, STEP_SECONDS)}
    week = {second: rate for second, rate in hours.items() if second < begin + HOUR}
    now = MIDNIGHT + timedelta(seconds=2 * HOUR)
    recalled, seen = Demand.recalled(week, hours, TERMS, now), lived(every_five_minutes, 2 * HOUR)
    assert told(recalled) == told(seen)
    assert np.array_equal(recalled.history.steps, seen.history.steps, equal_nan=True)
    assert np.array_equal(recalled.history.bins, seen.history.bins, equal_nan=True)


def test_nothing_recalled_is_nothing_known() -> None:
    recalled = Demand.recalled({}, {}, TERMS, MIDNIGHT)
    assert math.isnan(recalled.history.last)
    assert recalled.forecast(TERMS) is None


def test_one_step_is_tested_once_however_many_rounds_it_has() -> None:
    now = MIDNIGHT + timedelta(seconds=HOUR)
    once = lived(every_five_minutes, HOUR).after(now, 200.0, None, 0, TERMS)
    again = once.after(now + timedelta(seconds=5), 150.0, None, 0, TERMS)
    assert again.test is once.test
    assert again.history.last == 150.0


def test_without_a_capacity_only_the_past_is_kept() -> None:
    demand = Demand.unknown(MIDNIGHT).after(MIDNIGHT, 20.0, 0.0, 1, None)
    assert demand.history.last == 20.0
    assert demand.forecast(TERMS) is None


def test_a_gap_is_no_time_without_requests() -> None:
    """What repeats is looked for before a gap; what nobody saw does not count as calm."""
    before = lived(every_five_minutes, 2 * HOUR)
    later = MIDNIGHT + timedelta(seconds=2 * HOUR + 1500 - 15)
    after = before.after(later, 20.0, None, 0, TERMS)
    assert after.test is not None
    assert before.test is not None
    assert after.test.steps == pytest.approx(before.test.steps + 1, rel=0.01)
    assert told(after).per_second > 0


@pytest.mark.parametrize(
    ("lead", "hold"),
    [
        pytest.param(None, 60.0, id="an unmeasured lead time is the usual one"),
        pytest.param(LeadTime(20.0, 15.0, 9), 60.0, id="turns of less than a minute are noise"),
        pytest.param(LeadTime(180.0, 90.0, 9), 180.0, id="a start's price is its lead time"),
    ],
)
def test_a_replica_is_held_for_a_lead_time(lead: LeadTime | None, hold: float) -> None:
    memory = Memory(MIDNIGHT, factors=(FactorMemory("m", 0.5),))
    known = Capacity(40.0, ServiceCurve(0.01, 0.001, 8))
    terms = terms_of(objective(), known, lead, WINDOW, policy(objective()), memory)
    assert terms is not None
    assert terms.hold_seconds == hold
    assert terms.lead_seconds == (lead.p95_seconds if lead else USUAL_LEAD_SECONDS)
    assert terms.sustained_per_second == 20.0  # 40, corrected by a half
    assert terms.allowed_late == pytest.approx(0.05)


@pytest.mark.parametrize("known", [None, OutOfReach(3.0, ServiceCurve(0.01, 0.001, 8))])
def test_without_a_capacity_there_are_no_terms(known: OutOfReach | None) -> None:
    asked = policy(objective())
    assert terms_of(objective(), known, None, WINDOW, asked, Memory(MIDNIGHT)) is None


@given(
    st.lists(st.floats(0, 500), min_size=1, max_size=60),
    st.sampled_from([5.0, 60.0, 300.0, 3000.0]),
    st.floats(0.5, 300),
)
def test_any_past_gives_a_forecast_that_is_a_rate(
    rates: list[float], lead: float, sustained: float
) -> None:
    terms = replace(TERMS, lead_seconds=lead, sustained_per_second=sustained)
    forecast = told(
        lived(lambda second: rates[second // 15], 15 * len(rates), terms, lambda second: 0.1), terms
    )
    assert 0 <= forecast.per_second < math.inf
    assert 0 <= forecast.late_share <= 4.0
    assert forecast.margin > 0
