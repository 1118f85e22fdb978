"""The cheapest mix of node classes, against every mix there is."""

from collections.abc import Iterable, Sequence
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme.autoscaler.mix import Limits, Offer, carried, cheapest, cost, nearest

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
        pytest.param([offer(L4, 30, most=2)], [61], ANY, None, id="it cannot be carried"),
        pytest.param([offer(L4, 30, least=3)], [1], Limits(0, 2), None, id="the bounds exclude it"),
    ],
)
def test_the_cheapest_mix(
    offers: list[Offer], needs: list[float], limits: Limits, pods: tuple[int, ...] | None
) -> None:
    assert cheapest(offers, needs, limits) == pods


def test_where_no_mix_carries_all_it_is_the_one_that_carries_most() -> None:
    offers = [offer(A100, 100), offer(L4, 30)]

    found = nearest(offers, [1000], Limits(0, 4))

    assert found is not None
    assert found.pods == (4, 0)
    assert found.share == pytest.approx(0.4, abs=1e-5)


def test_near_equal_classes_are_searched_to_the_end() -> None:
    prices = (1.01, 2.03, 2.99, 4.07)
    offers = [offer(price, 10 * (i + 1), current=20) for i, price in enumerate(prices)]

    found = cheapest([*offers], [1_003.0], Limits(0, 600))

    assert found is not None
    assert carried(offers, found, 0) >= 1_003


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
    assert cheapest(offers, needs, limits) == _by_trying_all(offers, needs, limits)


def _by_trying_all(
    offers: Sequence[Offer], needs: Sequence[float], limits: Limits
) -> tuple[int, ...] | None:
    def fits(pods: Sequence[int]) -> bool:
        gpus = sum(o.gpus * n for o, n in zip(offers, pods, strict=True))
        return (
            limits.least <= sum(pods) <= limits.most
            and (limits.gpus is None or gpus <= limits.gpus)
            and all(carried(offers, pods, j) >= need * (1 - 1e-9) for j, need in enumerate(needs))
        )

    def changes(pods: Iterable[int]) -> int:
        return sum(abs(n - o.current) for o, n in zip(offers, pods, strict=True))

    ranges = (range(o.least, o.most + 1) for o in offers)
    every = [pods for pods in product(*ranges) if fits(pods)]
    return min(every, key=lambda p: (cost(offers, p), changes(p), p), default=None)


def test_where_there_are_too_many_mixes_the_best_of_those_looked_at_is_taken() -> None:
    offers = [
        offer(5.34, 144, 116),
        offer(5.01, 138, 117),
        offer(2.61, 69, 80),
        offer(2.55, 66, 64),
        offer(0.7, 23, 18),
    ]
    needs, limits = [1766, 569], Limits(1, 200)
    exact, hasty = (cheapest(offers, needs, limits, looks) for looks in (10_000, 60))
    assert exact is not None
    assert hasty is not None
    assert cost(offers, exact) < cost(offers, hasty)
    assert all(carried(offers, hasty, j) >= need for j, need in enumerate(needs))


def test_no_mix_is_found_without_a_look() -> None:
    assert cheapest([offer(A100, 100)], [10], ANY, 0) is None
