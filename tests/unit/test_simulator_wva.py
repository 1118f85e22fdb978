"""WVA's queue against a plain solution of it, and its loop with the autoscaler that follows it."""

import numpy as np
import pytest

from trireme.simulator.baselines.wva import Queue, WorkloadVariantAutoscaler
from trireme.simulator.policy import Bounds
from unit.simulator import observed, sizes, steady

QUEUE = Queue(0.006, 0.002, 16)
WVA = WorkloadVariantAutoscaler("wva", Bounds(1, 40), QUEUE, 0.05)


@pytest.mark.parametrize("arrivals", [1.0, 100.0, 300.0, 400.0, 419.0, 600.0])
def test_the_queue_is_the_birth_death_chain_s(arrivals: float) -> None:
    """Against the balance equations of the whole chain, as a linear system."""
    places = 16 + 10 * 16
    up = [arrivals] * places
    down = [min(n, 16) / (0.006 + 0.002 * min(n, 16)) for n in range(1, places + 1)]
    generator = np.diag(up, 1) + np.diag(down, -1)
    generator -= np.diag(generator.sum(axis=1))
    system = np.vstack([generator.T, np.ones(places + 1)])
    shares = np.linalg.lstsq(system, np.append(np.zeros(places + 1), 1), rcond=None)[0]
    throughput, response = QUEUE.at(arrivals)
    expected = arrivals * (1 - shares[-1])
    assert throughput == pytest.approx(expected, rel=1e-6)
    assert response == pytest.approx(shares @ np.arange(places + 1) / expected, rel=1e-6)


def test_the_rate_is_the_largest_within_the_target() -> None:
    rate = QUEUE.largest_throughput(0.05)
    assert QUEUE.at(rate)[1] == pytest.approx(0.05, rel=1e-3)
    assert rate < QUEUE.largest_throughput(0.06)


def test_a_target_that_a_full_queue_keeps_ends_at_the_edge() -> None:
    edge = (1 - 1e-3) * 16 / 0.038
    assert QUEUE.largest_throughput(10) == QUEUE.at(edge)[0]


def test_a_target_below_one_service_ends_at_the_other() -> None:
    edge = 1e-3 * 1 / 0.008
    assert QUEUE.largest_throughput(0.001) == QUEUE.at(edge)[0]


def test_the_gauge_is_followed_after_four_minutes() -> None:
    wanted = int(-(-3000 // WVA.per_replica_per_second))
    # At begin the size of 2 is a recommendation; it is out of the window at 240 s, and then growth
    # is to twice the size, or by four, in 15 s.
    changes = steady(WVA, 3000.0, replicas=2, start=0, until=400)
    assert list(changes) == [240.0, 255.0]
    assert changes[240.0] == 6
    assert changes[255.0] == wanted


def test_between_its_loops_the_gauge_stands() -> None:
    per_pod = WVA.per_replica_per_second
    memory = WVA.begin(0, 5)
    rates = {100.0: 4.5, 115.0: 20.0, 145.0: 20.0, 160.0: 19.5}
    gauges = []
    for now, pods in rates.items():
        _, memory = WVA.decide(observed(pods * per_pod, replicas=5, now=now), memory)
        gauges.append(memory.wanted)
    assert gauges == [5, 5, 5, 20]


def test_without_metrics_nothing_changes() -> None:
    assert sizes(WVA, [observed(None, replicas=5)], begin=5) == [5]
