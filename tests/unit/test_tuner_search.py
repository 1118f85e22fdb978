"""The tuner's search against an exhaustive grid, both measured on simulated pods."""

from dataclasses import replace

import pytest

from trireme.autoscaler.service_curve import BatchTotal
from trireme.tuner.search import Try, next_step
from trireme.tuner.types import Configuration, Measured, MemoryBound, Objective, Range, Space
from tuned import LEAST_SHARE, SPACE, START, TENTH, Kinked, Machine, drawn, outcome, searched

pytestmark = pytest.mark.long

# Numbers of machines that tests/bench/tuner_search.py draws, each the same in every run: the quick
# ones of its first 48, and those that the search has missed before.
DRAWN = (0, 6, 9, 42)


def ms(count: float) -> float:
    return count / 1000


@pytest.mark.parametrize(
    ("machine", "limit"),
    [
        pytest.param(Machine(Kinked(ms(4), ms(0.5), 1)), 0.1, id="instances share nothing"),
        pytest.param(Machine(Kinked(ms(4), ms(0.5), 1), sigma=1), 0.1, id="they share all"),
        pytest.param(Machine(Kinked(ms(6), ms(2), 1), sigma=1.4), 0.1, id="they hinder each other"),
        pytest.param(Machine(Kinked(ms(6), ms(2), 1), places=3), 0.15, id="there is room for 3"),
        pytest.param(Machine(Kinked(ms(10), ms(0.1), 1), sigma=0.3), 0.03, id="a tight objective"),
        pytest.param(Machine(Kinked(ms(1), ms(5), 1), sigma=0.2), 0.1, id="batches gain little"),
        pytest.param(
            Machine(Kinked(ms(5), ms(0.3), 1, kink=16, steeper=8), sigma=0.5),
            0.1,
            id="batches beyond 16 are slow",
        ),
        pytest.param(
            Machine(Kinked(ms(5), ms(0.3), 1, kink=10, steeper=40)), 0.5, id="they are very slow"
        ),
        pytest.param(
            Machine(Kinked(ms(4), ms(0.5), 1), sigma=0.5, noise=0.2), 0.1, id="times vary"
        ),
        pytest.param(
            Machine(Kinked(ms(0.02), ms(1), 1, gap_seconds=ms(2)), sigma=1.0),
            0.03,
            id="batches gain only what goes by between them",
        ),
    ],
)
def test_the_best_of_the_grid_is_found_with_a_tenth_of_its_measurements(
    machine: Machine, limit: float
) -> None:
    found = outcome(machine, Objective(95, limit))
    assert found.share >= LEAST_SHARE
    assert len(found.tried) <= TENTH
    best = found.done.best
    rates = [one.per_second for one in found.tried if one.configuration == best.configuration]
    assert best.rates == tuple(rates)
    assert len(rates) >= 2


@pytest.mark.parametrize("start", [Configuration(16, 4), Configuration(64, 8)], ids=str)
def test_it_is_found_from_wherever_it_begins(start: Configuration) -> None:
    found = outcome(Machine(Kinked(ms(6), ms(2), 1), places=3), Objective(95, 0.15), start)
    assert found.share >= LEAST_SHARE
    assert len(found.tried) <= TENTH


@pytest.mark.parametrize("number", DRAWN)
def test_it_is_found_on_machines_that_are_drawn(number: int) -> None:
    found = outcome(*drawn(number))
    assert found.share >= LEAST_SHARE
    assert len(found.tried) <= TENTH


def test_batches_grow_by_four_times_the_largest_seen() -> None:
    tried, _ = searched(Machine(Kinked(ms(10), ms(0.1), 1)), Objective(95, 1.0))
    largest = 1
    for one in tried[1:]:
        assert one.configuration.max_batch <= 4 * largest
        largest = max(largest, *one.batches)
    assert largest == 64


def test_the_first_is_what_is_set_now_without_its_queue_delay() -> None:
    step = next_step(
        SPACE,
        Objective(95, 0.1),
        [],
        start=Configuration(8, 2, 0.005),
        most_measurements=5,
    )
    assert step == Try(Configuration(8, 2))


def test_it_stays_within_the_users_bounds_and_the_memory() -> None:
    memory = MemoryBound(limit_bytes=10, instance_bytes=3)
    space = Space(Range(2, 16), Range(1, 8), memory=memory)
    machine = Machine(Kinked(ms(4), ms(0.5), 1))
    tried, done = searched(machine, Objective(95, 0.1), space, start=Configuration(2, 1))
    assert all(space.allows(one.configuration) for one in tried)
    assert done.best.configuration == Configuration(16, 3)


def test_it_ends_when_the_measurements_are_spent() -> None:
    tried, done = searched(Machine(Kinked(ms(10), ms(0.1), 1)), Objective(95, 1.0), most=2)
    assert len(tried) == 2
    assert done.best.rates == (max(one.per_second for one in tried),)
    assert done.reason == "no other could be measured twice within what is allowed"


def test_where_nothing_keeps_the_objective_it_says_so() -> None:
    slow = Machine(Kinked(ms(200), ms(1), 1))
    tried, done = searched(slow, Objective(95, 0.1))
    assert done.best.per_second == 0
    assert done.reason.startswith("not even the smallest batches")
    assert len(tried) == 1


@pytest.mark.parametrize(
    ("refused", "left"),
    [
        pytest.param(Configuration(4, 8), Space(Range(1, 64), Range(1, 4)), id="instances"),
        pytest.param(Configuration(64, 1), Space(Range(1, 32), Range(1, 8)), id="batches"),
        pytest.param(Configuration(64, 8), Space(Range(1, 32), Range(1, 4)), id="either"),
        pytest.param(Configuration(2, 1), SPACE, id="neither, which was served in others"),
    ],
)
def test_what_a_server_refuses_and_all_that_is_larger_is_not_tried(
    refused: Configuration, left: Space
) -> None:
    served = [Configuration(4, 2), Configuration(8, 1)]
    assert SPACE.without(refused, served) == left


def test_a_batch_of_a_measurement_that_was_seen_too_seldom_does_not_mislead() -> None:
    # One batch of 8 met another program on the machine, and took ten times as long.
    seen = {1: BatchTotal(900, 9 * 10**9), 2: BatchTotal(90, 10**9), 8: BatchTotal(1, 2 * 10**9)}
    step = next_step(
        SPACE,
        Objective(95, 0.2),
        [Measured(replace(START, max_batch=2), 95.0, seen)],
        start=START,
        most_measurements=5,
    )
    assert isinstance(step, Try)
    assert step.configuration.max_batch == 8
