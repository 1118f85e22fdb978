"""What a gateway's choice between pods does to latencies: discrete events, what always holds."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tools.choice import Cell, evened, kept_percent, seen, spare

from bench.choice import Case, errors
from pods import LIGHT, MEDIUM, NARROW, WIDE
from trireme.autoscaler.choice import ALONE, Fleet, felt_load
from trireme.autoscaler.choice_table import (
    FIXED_SHARES,
    LOADS,
    MAX_BATCHES,
    PODS,
    SPARE_PERMILLE,
)
from trireme.autoscaler.queueing import PodShape, percentile_seconds
from trireme.autoscaler.service_curve import ServiceCurve

SLEEPING = ServiceCurve(0.0211, 0.00512, 8, 0.0008)


# ------------------------------------------------------------------------------ discrete events


# More cases with more requests, of which the error is told: tests/bench/choice.py.
@pytest.mark.parametrize(
    ("curve", "pods", "load"),
    [
        (SLEEPING, 2, 0.5),
        (SLEEPING, 2, 0.75),
        (SLEEPING, 4, 0.3),
        (LIGHT, 4, 0.6),
        (MEDIUM, 3, 0.6),
    ],
    ids=str,
)
def test_the_tail_behind_a_gateway_is_near_that_of_discrete_events(
    curve: ServiceCurve, pods: int, load: float
) -> None:
    found = errors(Case(PodShape(curve), Fleet(pods, 1), load))
    assert abs(found.p95) < 0.04
    assert found.alone > 0.04, "and further by a pod alone"


def test_the_table_is_what_its_tool_writes() -> None:
    cell = Cell(pods=4, fixed_share=0.25, max_batch=4, load=0.5)
    factor = spare(cell, seen(cell))
    of_pods = SPARE_PERMILLE[PODS.index(cell.pods)][FIXED_SHARES.index(cell.fixed_share)]
    written = of_pods[MAX_BATCHES.index(cell.max_batch)][LOADS.index(cell.load)]
    assert written == pytest.approx(1000 * factor, abs=2), "but for what is evened out"


# ---------------------------------------------------------------------------------------- always


curves = st.builds(
    ServiceCurve,
    st.floats(0.0, 0.05),
    st.floats(0.0005, 0.02),
    st.integers(1, 100),
    st.sampled_from([0.0, 0.001]),
)
loads = st.floats(0.001, 0.998)
numbers = st.integers(1, 40)
many = settings(max_examples=300, deadline=None)
few = settings(max_examples=15, deadline=None)


@many
@given(curves, numbers, numbers, loads)
def test_a_pod_feels_no_more_than_alone_and_no_less_than_with_one_queue_for_all(
    curve: ServiceCurve, pods: int, gateways: int, load: float
) -> None:
    felt = felt_load(curve, Fleet(pods, gateways), load)
    assert 0 < felt <= load
    assert 1 - felt <= pods * (1 - load) * (1 + 1e-9), "so much would all pods have to spare"


@many
@given(curves, numbers, numbers, numbers, loads)
def test_with_more_pods_nobody_is_later_and_with_more_gateways_nobody_quicker(
    curve: ServiceCurve, pods: int, others: int, gateways: int, load: float
) -> None:
    fewer, more = sorted((pods, others))
    rounding = 1 + 1e-12
    of_more = felt_load(curve, Fleet(more, gateways), load)
    assert of_more <= felt_load(curve, Fleet(fewer, gateways), load) * rounding
    by_one = felt_load(curve, Fleet(pods, gateways), load)
    assert by_one <= felt_load(curve, Fleet(pods, gateways + 1), load) * rounding


@many
@given(curves, numbers, numbers, loads, loads)
def test_a_busier_fleet_feels_busier(
    curve: ServiceCurve, pods: int, gateways: int, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    fleet = Fleet(pods, gateways)
    assert felt_load(curve, fleet, low) <= felt_load(curve, fleet, high) * (1 + 1e-9)


@few
@given(curves, loads, st.sampled_from([Fleet(1, 3), Fleet(8, 0), ALONE]), st.integers(1, 3))
def test_without_a_choice_nothing_changes(
    curve: ServiceCurve, load: float, fleet: Fleet, instances: int
) -> None:
    shape = PodShape(curve, instances)
    rate = load * shape.capacity_per_second
    assert percentile_seconds(shape, rate, 95, fleet) == percentile_seconds(shape, rate, 95)


@few
@given(curves, st.floats(0.01, 0.98), st.sampled_from([50, 90, 95, 99]))
def test_a_percentile_of_a_fleet_lies_between_a_pod_alone_and_an_idle_one(
    curve: ServiceCurve, load: float, percentile: int
) -> None:
    shape, rate = PodShape(curve), load * curve.capacity_per_second()
    found = percentile_seconds(shape, rate, percentile, Fleet(4, 1))
    assert curve.seconds(1) * 0.999 <= found
    assert found <= percentile_seconds(shape, rate, percentile) * (1 + 1e-5)


# ----------------------------------------------------------------------------------------- edges


@pytest.mark.parametrize("load", [0.999, 1.0, 3.0])
def test_a_choice_is_no_capacity(load: float) -> None:
    rate = load * WIDE.capacity_per_second()
    assert percentile_seconds(PodShape(WIDE), rate, 95, Fleet(16, 1)) == math.inf


def test_a_rate_that_is_none_is_refused_of_a_fleet_too() -> None:
    with pytest.raises(ValueError, match="a rate is above 0"):
        percentile_seconds(PodShape(NARROW), 0.0, 95, Fleet(4, 1))


def test_what_strays_is_evened_out_to_the_side_of_less() -> None:
    found = {
        (4, 0.5): 1.2,
        (4, 0.75): 2.6,  # would feel like a load of 0.35, and the smaller one like 0.4
        (2, 0.5): 1.3,
        (2, 0.75): 1.5,
        (1, 0.5): 1.0,
        (1, 0.75): 1.0,
    }
    assert evened(found) == {
        (4, 0.5): 1200,
        (4, 0.75): 2400,
        (2, 0.5): 1200,
        (2, 0.75): 1500,
        (1, 0.5): 1000,
        (1, 0.75): 1000,
    }


def test_what_several_gateways_keep_is_the_part_of_the_gain_in_all_cells() -> None:
    found = {
        Cell(4, 0.6, 4, 0.5): 1.2,
        Cell(4, 0.6, 4, 0.5, gateways=2): 1.1,
        Cell(2, 0.6, 4, 0.5): 1.1,
        Cell(2, 0.6, 4, 0.5, gateways=2): 1.05,
        Cell(2, 0.6, 4, 0.7): 9.0,
    }
    assert kept_percent(found, 2) == 50
