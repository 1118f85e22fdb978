"""The cheapest mix of node classes, against every mix there is."""

import random
import time
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme.autoscaler.mix import Limits, Mix, Offer, carried, cost, nearest, possible

A100, L4, CPU = 3.0, 0.8, 0.2  # prices


def offer(
    price: float, *carries: float, current: int = 0, least: int = 0, most: int = 100, gpus: int = 0
) -> Offer:
    return Offer(price, carries, current, least, most, gpus)


ANY = Limits(0, 100)


@pytest.mark.parametrize(
    ("offers", "needs", "limits", "pods"),
    [
        pytest.param([offer(A100, 100), offer(L4, 30)], [100], ANY, (1, 0), id="a large one"),
        pytest.param([offer(A100, 100), offer(L4, 30)], [60], ANY, (0, 2), id="small ones"),
        pytest.param([offer(A100, 100), offer(L4, 30)], [130], ANY, (1, 1), id="one of each"),
        pytest.param([offer(A100, 100), offer(L4, 30)], [60], Limits(0, 1), (1, 0), id="few pods"),
        pytest.param(
            [offer(A100, 100), offer(L4, 30)], [10], Limits(3, 9), (0, 3), id="at least so many"
        ),
        pytest.param(
            [offer(A100, 100, most=1), offer(L4, 30)], [250], ANY, (1, 5), id="no more of one"
        ),
        pytest.param(
            [offer(A100, 100, least=1), offer(L4, 30)], [20], ANY, (1, 0), id="one in any case"
        ),
        pytest.param(
            [offer(A100, 100, 10), offer(L4, 30, 30)],
            [100, 60],
            ANY,
            (0, 4),
            id="two needs at once",
        ),
        pytest.param(
            [offer(A100, 100, gpus=8), offer(L4, 30, gpus=1)],
            [100],
            Limits(0, 100, gpus=7),
            (0, 4),
            id="no more GPUs than granted",
        ),
        pytest.param(
            [offer(1.0, 10, current=0), offer(1.0, 10, current=2)],
            [20],
            ANY,
            (0, 2),
            id="of equal ones those that run",
        ),
        pytest.param(
            [offer(0.1, 1), offer(0.3, 3, current=1)], [3], ANY, (0, 1), id="exact prices"
        ),
        pytest.param([offer(A100, 0), offer(L4, 30)], [60], ANY, (0, 2), id="one carries nothing"),
        pytest.param([offer(L4, 30)], [], Limits(2, 9), (2,), id="nothing is needed"),
    ],
)
def test_the_cheapest_mix(
    offers: list[Offer], needs: list[float], limits: Limits, pods: tuple[int, ...]
) -> None:
    assert nearest(offers, needs, limits) == Mix(pods)


@pytest.mark.parametrize(
    ("offers", "limits", "pods"),
    [
        pytest.param([offer(L4, 30, most=2)], ANY, (2,), id="the most that a class may have"),
        pytest.param([offer(L4, 30, most=2)], Limits(5, 9), (2,), id="fewer than there must be"),
        pytest.param([offer(L4, 30, least=3)], Limits(0, 2), (2,), id="a min beyond the max"),
        pytest.param(
            [offer(A100, 100, least=2), offer(L4, 30, least=2)],
            Limits(0, 3),
            (1, 2),
            id="of several mins that of the dearest gives way",
        ),
        pytest.param(
            [offer(A100, 100, least=2, most=2, gpus=4), offer(L4, 30, most=9, gpus=1)],
            Limits(1, 20, gpus=6),
            (1, 2),
            id="mins give way to GPUs",
        ),
        pytest.param(
            [offer(L4, 30, gpus=1)], Limits(5, 9, gpus=0), (0,), id="no GPU, whatever the min"
        ),
    ],
)
def test_bounds_that_exclude_each_other_leave_what_can_be_had(
    offers: list[Offer], limits: Limits, pods: tuple[int, ...]
) -> None:
    assert nearest(offers, [1000], limits).pods == pods


def test_where_no_mix_carries_all_it_is_the_one_that_carries_most() -> None:
    offers = [offer(A100, 100), offer(L4, 30)]

    found = nearest(offers, [1000], Limits(0, 4))

    assert found.pods == (4, 0)
    assert found.share == pytest.approx(0.4, abs=1e-5)


def test_near_equal_classes_are_searched_to_the_end() -> None:
    prices = (1.01, 2.03, 2.99, 4.07)
    offers = [offer(price, 10 * (i + 1), current=20) for i, price in enumerate(prices)]

    found = nearest(offers, [1_003.0], Limits(0, 600))

    assert carried(offers, found.pods, 0) >= 1_003
    assert float(cost(offers, found.pods)) == pytest.approx(100.69)


CLASSES = st.lists(
    st.builds(
        lambda price, each, current, least, more, gpus: Offer(
            price, each, current, least, least + more, gpus
        ),
        st.sampled_from([0.1, 0.2, 0.3, 1.0, 2.5, 3.0]),
        st.tuples(st.integers(0, 9).map(float), st.just(0.0) | st.floats(0.01, 9)),
        st.integers(0, 4),
        st.integers(0, 2),
        st.integers(0, 4),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=3,
)
NEEDS = st.tuples(st.integers(0, 30).map(float), st.just(0.0) | st.floats(0.01, 30))
LIMITS = st.builds(
    lambda least, more, gpus: Limits(least, least + more, gpus),
    st.integers(0, 4),
    st.integers(0, 9),
    st.none() | st.integers(0, 8),
)


@given(CLASSES, NEEDS, LIMITS)
def test_no_other_mix_is_better(
    offers: list[Offer], needs: tuple[float, float], limits: Limits
) -> None:
    found = nearest(offers, needs, limits)
    share, price, changes = _by_trying_all(offers, needs, limits)

    assert found.share == pytest.approx(share, abs=1e-4)
    if share == 1:
        assert (cost(offers, found.pods), _changes(offers, found.pods)) == (price, changes)
    else:
        assert cost(offers, found.pods) <= price


def _changes(offers: Sequence[Offer], pods: Sequence[int]) -> int:
    return sum(abs(n - o.current) for o, n in zip(offers, pods, strict=True))


def _by_trying_all(
    offers: Sequence[Offer], needs: Sequence[float], limits: Limits
) -> tuple[float, Fraction, int]:
    first = possible(offers, limits)

    def fits(pods: Sequence[int]) -> bool:
        gpus = sum(o.gpus * n for o, n in zip(offers, pods, strict=True))
        return sum(first) <= sum(pods) <= limits.most and (
            limits.gpus is None or gpus <= limits.gpus
        )

    def key(pods: Sequence[int]) -> tuple[float, Fraction, int]:
        shares = [carried(offers, pods, j) / need for j, need in enumerate(needs) if need]
        share = min(shares, default=1.0)
        return -1.0 if share >= 1 - 1e-9 else -share, cost(offers, pods), _changes(offers, pods)

    ranges = (range(min(o.least, n), o.most + 1) for o, n in zip(offers, first, strict=True))
    share, price, changes = min(key(pods) for pods in product(*ranges) if fits(pods))
    return -share, price, changes


PRICES = [offer(0.28, 30, gpus=1), offer(0.71, 30, gpus=1), offer(3.67, 100, gpus=1)]
H100 = offer(9.8, 260, gpus=1)
DISTINCT = [offer(0.28, 30, gpus=1), offer(3.67, 210, gpus=2), offer(9.8, 500, gpus=4)]
SECONDS = 1.0  # of processor time: 5 ms are usual, and what tries all mixes takes seconds


@pytest.mark.parametrize(
    ("offers", "need", "limits"),
    [
        pytest.param(PRICES, 1e5, Limits(1, 10_000, gpus=128), id="in overload"),
        pytest.param([*PRICES, H100], 1e5, Limits(1, 10_000, gpus=64), id="four in overload"),
        pytest.param([*PRICES, H100], 9_000, Limits(1, 10_000, gpus=64), id="near a budget's end"),
        pytest.param([*PRICES, H100], 7_000, Limits(1, 40), id="few and large pods"),
        pytest.param(DISTINCT, 23_000, Limits(1, 10_000, gpus=200), id="many GPUs"),
        pytest.param(DISTINCT, 230_000, Limits(1, 150, gpus=200), id="two bounds at once"),
        pytest.param(
            [offer(i / 10, 10.0 * i) for i in range(1, 7)], 1_003, Limits(1, 30), id="equal ratios"
        ),
        pytest.param(
            [offer(i / 10, 10.0 * i, current=25) for i in range(1, 5)],
            2_503,
            Limits(1, 100),
            id="equal ratios of many pods",
        ),
        pytest.param(
            [offer(0.1, 10.0, current=5) for _ in range(6)], 503, Limits(1, 100), id="all alike"
        ),
    ],
)
def test_a_search_ends_soon(offers: list[Offer], need: float, limits: Limits) -> None:
    offers = [replace(each, most=10_000) for each in offers]
    began = time.process_time()

    found = nearest(offers, [need], limits)

    assert time.process_time() - began < SECONDS
    most = max(carried(offers, alone(offers, k, limits), 0) for k in range(len(offers)))
    assert found.share >= min(1.0, most / need), "no worse than pods of one class alone"


def alone(offers: Sequence[Offer], k: int, limits: Limits) -> tuple[int, ...]:
    """As many pods of one class as there may be."""
    gpus = offers[k].gpus
    most = limits.most if limits.gpus is None or not gpus else limits.gpus // gpus
    return tuple(min(most, limits.most) if i == k else 0 for i in range(len(offers)))


@pytest.mark.parametrize("seed", range(20))
def test_a_need_that_large_fleets_of_several_sorts_can_carry_is_carried(seed: int) -> None:
    chance = random.Random(seed)
    offers = [
        offer(
            round(chance.uniform(0.1, 10), 2),
            chance.uniform(5, 300),
            current=chance.randint(0, 20),
            most=chance.randint(20, 100),
            gpus=chance.choice([1, 2, 4, 8]),
        )
        for _ in range(chance.randint(2, 6))
    ]
    pods = [chance.randint(1, 20) for _ in offers]
    gpus = sum(each.gpus * n for each, n in zip(offers, pods, strict=True))

    found = nearest(offers, [0.99 * carried(offers, pods, 0)], Limits(1, sum(pods), gpus))

    assert found.share == 1
    assert cost(offers, found.pods) <= cost(offers, pods)
