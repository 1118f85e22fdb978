"""What is measured again before a best is named, and how good and how well known it then is."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme.autoscaler.service_curve import BatchTotal
from trireme.tuner.ranking import Repeated, best_of, repeated, to_repeat
from trireme.tuner.types import Configuration, Measured
from tuned import LEAST_SHARE

RUNS = 1000
ALIKE = (126.0, 121.0, 118.0, 112.0, 100.0, 66.0)  # requests/s, as of a model in torch
CLEAR = (126.0, 100.0, 95.0, 90.0, 66.0, 50.0)


def one(number: int, per_second: float) -> Measured:
    return Measured(Configuration(number + 1, 1), per_second)


@dataclass(frozen=True)
class Server:
    """Sustains of each configuration a rate that varies from one measurement to the next."""

    rates: Sequence[float]
    noise: float  # the standard deviation, in shares of the rate

    def measure(self, configuration: Configuration, draw: random.Random) -> Measured:
        rate = self.rates[configuration.max_batch - 1]
        return Measured(configuration, rate * max(draw.gauss(1, self.noise), 0.1))

    def chosen(self, again: int, draw: random.Random) -> Repeated:
        """After one measurement of each, and up to so many again."""
        found = [self.measure(Configuration(i + 1, 1), draw) for i in range(len(self.rates))]
        for _ in range(again):
            each = to_repeat(repeated(found))
            if each is None:
                break
            found.append(self.measure(each.configuration, draw))
        return best_of(repeated(found))

    def figures(self, again: int) -> tuple[float, float]:
        """The share of runs that choose well, and by how much what is told is too high."""
        chosen = [self.chosen(again, random.Random(seed)) for seed in range(RUNS)]
        truths = [self.rates[each.configuration.max_batch - 1] for each in chosen]
        well = fmean(truth >= LEAST_SHARE * max(self.rates) for truth in truths)
        told = fmean(each.per_second / t for each, t in zip(chosen, truths, strict=True))
        return well, told - 1


def test_what_was_measured_of_one_configuration_is_put_together() -> None:
    batches = [{1: BatchTotal(10, 100)}, {1: BatchTotal(5, 80), 4: BatchTotal(2, 50)}]
    first, other = Configuration(4, 1), Configuration(2, 1)
    once, again = Measured(first, 90.0, batches[0]), Measured(first, 110.0, batches[1])
    found = repeated([once, Measured(other, 50.0), again])
    assert [each.configuration for each in found] == [first, other]
    assert (found[0].per_second, found[0].rates, found[0].times) == (100.0, (90.0, 110.0), 2)
    assert found[0].batches == {1: BatchTotal(15, 180), 4: BatchTotal(2, 50)}


@pytest.mark.parametrize(
    ("rates", "wanted"),
    [
        pytest.param([[100.0]], 0, id="what was measured once, though nothing rivals it"),
        pytest.param([[80.0], [100.0]], 1, id="the best, if it was measured once"),
        pytest.param([[98.0], [100.0, 100.0]], 0, id="its rival, within what a rate is found to"),
        pytest.param([[85.0], [100.0, 100.0]], None, id="no rival that is far below"),
        pytest.param([[85.0], [80.0, 120.0]], 0, id="one as far below, where measurements differ"),
        pytest.param(
            [[99.0, 97.0], [90.0, 110.0]], 1, id="the best once more, of two measured as often"
        ),
        pytest.param([[98.0] * 3, [100.0] * 3], None, id="neither of two that are alike enough"),
        pytest.param([[118.0], [135.0, 100.0]], 0, id="the next, where the best was luck"),
        pytest.param([[0.0], [0.0]], None, id="nothing, where nothing keeps the objective"),
    ],
)
def test_the_best_and_its_strongest_rival_are_measured_again(
    rates: list[list[float]], wanted: int | None
) -> None:
    found = [one(number, rate) for number, each in enumerate(rates) for rate in each]
    again = to_repeat(repeated(found))
    assert again == (None if wanted is None else repeated(found)[wanted])


@pytest.mark.parametrize(
    ("rates", "best"),
    [
        pytest.param([[100.0], [90.0]], 0, id="the highest of single measurements"),
        pytest.param([[130.0], [90.0, 110.0]], 1, id="none that was measured once beside others"),
        pytest.param([[95.0, 95.0], [90.0, 110.0]], 1, id="the highest mean"),
        pytest.param([[0.0, 0.0], [50.0]], 1, id="no rate that is never kept"),
    ],
)
def test_what_is_named_the_best_was_measured_again(rates: list[list[float]], best: int) -> None:
    found = repeated([one(number, rate) for number, each in enumerate(rates) for rate in each])
    assert best_of(found) is found[best]


@pytest.mark.parametrize(
    ("rates", "noise", "again", "well_before", "well"),
    [
        pytest.param(ALIKE, 0.02, 2, 0.99, 1.00, id="alike, measured well"),
        pytest.param(ALIKE, 0.05, 2, 0.87, 0.92, id="alike, and noise"),
        pytest.param(ALIKE, 0.08, 2, 0.77, 0.82, id="alike, and more noise"),
        pytest.param(ALIKE, 0.08, 4, 0.77, 0.85, id="the same with more measurements"),
        pytest.param(CLEAR, 0.12, 2, 0.89, 0.95, id="a clear best, and much noise"),
    ],
)
def test_a_best_that_was_measured_again_is_better_and_told_more_truly(
    rates: Sequence[float], noise: float, again: int, well_before: float, well: float
) -> None:
    """Shares of runs that choose one of 95 % of the best or more, by the first measurements alone
    and by those that were made again.
    """
    server = Server(rates, noise)
    (before, too_high_before), (after, too_high) = server.figures(0), server.figures(again)
    assert (before, after) == (pytest.approx(well_before, abs=0.02), pytest.approx(well, abs=0.02))
    assert too_high < 0.7 * too_high_before


@given(
    rates=st.lists(st.floats(1, 1e4), min_size=1, max_size=8),
    noise=st.floats(0, 0.3),
    seed=st.integers(0, 2**32),
)
def test_it_ends_with_a_best_that_was_measured_again(
    rates: list[float], noise: float, seed: int
) -> None:
    chosen = Server(rates, noise).chosen(40, random.Random(seed))
    assert chosen.times >= 2
    if not noise:
        assert chosen.per_second == pytest.approx(max(rates))
