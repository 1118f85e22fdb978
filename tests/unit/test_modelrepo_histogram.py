"""The edges of the gateway's latency histogram."""

from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from trireme.modelrepo.histogram import latency_edges_milliseconds

TARGETS = st.lists(
    st.integers(1, 3_600_000).map(lambda ms: timedelta(milliseconds=ms)), min_size=1, max_size=16
)


def test_one_target_of_100_ms_has_the_25_edges_of_the_worked_example() -> None:
    edges = latency_edges_milliseconds([timedelta(milliseconds=100)])

    assert edges[:5] == [10, 12, 15, 18, 22]
    assert 100 in edges
    assert edges[-3:] == [680, 820, 1000]
    assert len(edges) == 25


def test_a_target_between_two_steps_is_an_edge_too() -> None:
    assert 125 in latency_edges_milliseconds([timedelta(milliseconds=125)])


def test_a_target_below_one_millisecond_is_an_edge() -> None:
    assert latency_edges_milliseconds([timedelta(microseconds=500)])[0] == 0.5


def test_without_objectives_the_ladder_is_from_1_ms_to_10_s() -> None:
    edges = latency_edges_milliseconds([])

    assert (edges[0], edges[-1]) == (1, 10_000)


@given(TARGETS)
def test_every_target_is_an_edge_and_edges_ascend(targets: list[timedelta]) -> None:
    edges = latency_edges_milliseconds(targets)

    assert {target / timedelta(milliseconds=1) for target in targets} <= set(edges)
    assert all(low < high for low, high in pairwise(edges))
    assert edges[0] > 0


@given(TARGETS)
def test_no_step_of_the_ladder_is_wider_than_a_quarter(targets: list[timedelta]) -> None:
    edges = latency_edges_milliseconds(targets)

    assert all(high / low <= 1.251 for low, high in pairwise(edges))  # 12 to 15 is the widest
