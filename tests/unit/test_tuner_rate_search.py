"""Which rates are offered to find the highest that is kept."""

import pytest

from trireme.tuner.rate_search import FAR, NEAR, Plan, Probe
from trireme.tuner.types import Objective

P95 = Objective(95, 0.1)


def searched(plan: Plan, sustained: float) -> list[Probe]:
    """Probe a server that keeps the objective up to a rate."""
    probes: list[Probe] = []
    while (rate := plan.next_rate(probes)) is not None:
        probes.append(Probe(rate, 1000, late=40 if rate <= sustained else 60))
    return probes


@pytest.mark.parametrize("guess", [10.0, 90.0, 110.0, 1000.0])
def test_the_highest_rate_is_found_from_below_and_from_above(guess: float) -> None:
    plan = Plan(P95, 0.001, guess, precision=0.05, most_probes=20)
    probes = searched(plan, 100)
    assert 100 / 1.05 <= plan.kept(probes) <= 100


@pytest.mark.parametrize(("step", "probes"), [(FAR, 6), (NEAR, 5)])
def test_it_says_how_many_probes_a_guess_that_is_kept_costs(step: float, probes: int) -> None:
    plan = Plan(P95, 0.001, 93.0, step=step)
    assert len(searched(plan, 100)) == plan.least_probes == probes


def test_a_guess_that_a_model_made_badly_is_left_in_steps_that_grow() -> None:
    plan = Plan(P95, 0.001, 500.0, step=NEAR)
    probes = searched(plan, 100)
    assert [500 / one.per_second for one in probes[:5]] == pytest.approx(
        [1, 1.25, 1.95, 3.9, 7.8], rel=0.01
    )
    assert 100 / 1.05 <= plan.kept(probes) <= 100
    assert len(probes) <= plan.most_probes


def test_the_probes_are_bounded() -> None:
    plan = Plan(P95, 0.001, 1.0, most_probes=4)
    probes = searched(plan, 1e6)
    assert [one.per_second for one in probes] == [1, 2, 4, 8]
    assert plan.kept(probes) == 8


def test_where_no_rate_is_kept_it_ends_and_says_none() -> None:
    plan = Plan(P95, 0.001, 100.0, most_probes=100)
    probes = searched(plan, 0)
    assert plan.kept(probes) == 0
    assert probes[-1].per_second == 100 / 2**8


def test_a_rate_above_one_that_broke_the_objective_does_not_count_whatever_luck_it_had() -> None:
    plan = Plan(P95, 0.001, 100.0)
    probes = [Probe(100, 1000, 0), Probe(120, 1000, 90), Probe(130, 1000, 10)]
    assert plan.kept(probes) == 100


@pytest.mark.parametrize(
    ("probe", "keeps"),
    [
        pytest.param(Probe(9, 1000, 50), True, id="one in twenty is late"),
        pytest.param(Probe(9, 1000, 51), False, id="more are"),
        pytest.param(Probe(9, 10_000, 495, failed=5), True, id="a failure is late, too"),
        pytest.param(Probe(9, 10_000, 0, failed=11), False, id="more fail than may"),
        pytest.param(Probe(9, 0, 0), False, id="nothing was answered"),
    ],
)
def test_an_objective_is_kept_by_those_in_time_and_without_failures(
    probe: Probe, keeps: bool
) -> None:
    assert probe.keeps(P95, max_failure_ratio=0.001) is keeps
