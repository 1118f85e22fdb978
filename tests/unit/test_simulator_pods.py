"""Simulated pods: by hand on a few requests, and against the balancers' known effects on many."""

import numpy as np
import pytest

from pods import LIGHT, MEDIUM
from trireme.autoscaler.batch_events import PodModel, Served, poisson_arrivals, serve
from trireme.autoscaler.queueing import PodShape, Sustained, sustained_rate
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.simulator.pods import Balancer, serve_fleet, serve_mixed

CURVE = ServiceCurve(2.0, 1.0, 3)  # whole seconds: 3, 4, 5


def served(pod: PodModel, *arrivals: float) -> Served:
    return serve(np.array(arrivals), pod, np.random.default_rng(1))


@pytest.mark.parametrize(
    ("pod", "arrivals", "batches", "latencies"),
    [
        pytest.param(PodModel(CURVE), (0, 5), (1, 1), (3, 3), id="an idle pod begins at once"),
        pytest.param(PodModel(CURVE), (0, 1, 2), (1, 2), (3, 6, 5), id="what waits goes together"),
        pytest.param(
            PodModel(CURVE), (0, 1, 1, 1, 1), (1, 3, 1), (3, 7, 7, 7, 10), id="up to the largest"
        ),
        pytest.param(
            PodModel(CURVE, instances=2), (0, 1, 2), (1, 1, 1), (3, 3, 4), id="by two instances"
        ),
        pytest.param(
            PodModel(ServiceCurve(2.0, 1.0, 3, gap_seconds=1.0)),
            (0, 1, 3.5, 8, 20),
            (1, 2, 1, 1),
            (3, 7, 4.5, 4, 3),
            id="an instance begins its next batch a gap after the last one",
        ),
        pytest.param(
            PodModel(CURVE, queue_delay_seconds=1.5),
            (0, 1, 9),
            (2, 1),
            (5.5, 4.5, 4.5),
            id="the oldest waits for others as long as it may",
        ),
        pytest.param(
            PodModel(CURVE, queue_delay_seconds=9.0),
            (0, 1, 2),
            (3,),
            (7, 6, 5),
            id="a full batch waits no longer",
        ),
        pytest.param(
            PodModel(CURVE, queue_delay_seconds=1.0),
            (0, 2, 3),
            (1, 2),
            (4, 6, 5),
            id="who waited for an instance long enough waits no more",
        ),
    ],
)
@pytest.mark.parametrize("fleet", [False, True], ids=["alone", "as a fleet of one"])
def test_batches_are_formed_as_triton_does(
    pod: PodModel,
    arrivals: tuple[float, ...],
    batches: tuple[int, ...],
    latencies: tuple[float, ...],
    fleet: bool,
) -> None:
    times, generator = np.array(arrivals, float), np.random.default_rng(1)
    found = (
        serve_fleet(times, 1, pod, Balancer.LEAST_OUTSTANDING, generator)
        if fleet
        else serve(times, pod, generator)
    )
    assert tuple(found.batches) == batches
    assert found.latency_seconds == pytest.approx(latencies)
    seconds = [CURVE.seconds(batch) for batch in batches]
    assert found.batch_seconds == pytest.approx(seconds)
    assert found.latency_seconds - found.wait_seconds == pytest.approx(np.repeat(seconds, batches))


def test_noise_has_mean_1_and_the_variation_that_was_asked_for() -> None:
    arrivals = np.arange(20_000) * 100.0
    found = serve(arrivals, PodModel(CURVE, noise=0.3), np.random.default_rng(1))
    assert found.batch_seconds.mean() == pytest.approx(3.0, rel=0.01)
    assert found.batch_seconds.std() == pytest.approx(0.9, rel=0.03)


@pytest.mark.parametrize("balancer", Balancer)
@pytest.mark.parametrize("requests", [0, 2])
def test_pods_that_get_no_request_serve_none(balancer: Balancer, requests: int) -> None:
    arrivals, generator = np.arange(requests) * 10.0, np.random.default_rng(1)
    found = serve_fleet(arrivals, 5, PodModel(CURVE), balancer, generator)
    assert found.latency_seconds == pytest.approx([3.0] * requests)
    assert found.batches.tolist() == [1] * requests


@pytest.mark.parametrize("balancer", Balancer)
def test_the_same_seed_serves_the_same(balancer: Balancer) -> None:
    def once() -> Served:
        generator = np.random.default_rng(7)
        arrivals = poisson_arrivals(2000.0, 5000, generator)
        return serve_fleet(arrivals, 3, PodModel(LIGHT, noise=0.2), balancer, generator)

    assert (once().latency_seconds == once().latency_seconds).all()


def test_a_fleet_of_one_is_a_pod_whatever_the_balancer() -> None:
    arrivals = poisson_arrivals(1200.0, 20_000, np.random.default_rng(3))
    alone = serve(arrivals, PodModel(LIGHT, 2, 0.002), np.random.default_rng(1))
    for balancer in Balancer:
        one = serve_fleet(
            arrivals, 1, PodModel(LIGHT, 2, 0.002), balancer, np.random.default_rng(1)
        )
        assert one.latency_seconds == pytest.approx(alone.latency_seconds)


@pytest.mark.parametrize(
    ("balancer", "shorter"),
    # Source: simulations; four pods, the p95 of a random split being that of a pod alone.
    [
        (Balancer.ROUND_ROBIN, (0.09, 0.24)),
        (Balancer.LEAST_OUTSTANDING, (0.05, 0.20)),
        (Balancer.POWER_OF_TWO, (0.03, 0.20)),
    ],
)
@pytest.mark.parametrize("load", [0.1, 0.7])
def test_balancers_shorten_the_tail_of_a_random_split(
    balancer: Balancer, shorter: tuple[float, float], load: float
) -> None:
    pod, rate = PodModel(LIGHT), load * 4 * LIGHT.capacity_per_second()

    def p95(by: Balancer) -> float:
        generator = np.random.default_rng(1)
        arrivals = poisson_arrivals(rate, 80_000, generator)
        return serve_fleet(arrivals, 4, pod, by, generator).percentile_seconds(95)

    least, most = shorter
    assert least < 1 - p95(balancer) / p95(Balancer.RANDOM) < most


def test_a_queue_delay_saves_the_gpu_and_costs_the_tail_at_low_load() -> None:
    # Source: simulations of (4, 0.5, 32) at 10 % load: 9.2 to 10.5 ms, 0.61 to 0.44 busy.
    found = {}
    for delay in (0.0, 0.005):
        generator = np.random.default_rng(1)
        arrivals = poisson_arrivals(0.1 * LIGHT.capacity_per_second(), 60_000, generator)
        one = serve(arrivals, PodModel(LIGHT, queue_delay_seconds=delay), generator)
        busy = one.batch_seconds.sum() / arrivals[-1]
        found[delay] = (round(1e3 * one.percentile_seconds(95), 1), round(float(busy), 2))
    assert found == {0.0: (9.2, 0.61), 0.005: (10.5, 0.44)}


@pytest.mark.parametrize(("fast", "slow"), [(2, 4), (1, 6), (4, 1)], ids=lambda pods: f"{pods}")
def test_a_fleet_of_two_classes_sustains_the_sum_of_what_each_does(fast: int, slow: int) -> None:
    """By a balancer that sees nearly all pods; of two choices the fast ones have too little."""
    thrice = ServiceCurve(0.018, 0.006, 16)
    found = [sustained_rate(PodShape(curve, 1), 95, 0.2) for curve in (MEDIUM, thrice)]
    rates = [each.per_second for each in found if isinstance(each, Sustained)]
    total = fast * rates[0] + slow * rates[1]
    fleet = [PodModel(MEDIUM)] * fast + [PodModel(thrice)] * slow
    generator = np.random.default_rng(1)
    arrivals = poisson_arrivals(total, 30_000, generator)

    seen = serve_mixed(arrivals, fleet, Balancer.LEAST_OUTSTANDING, generator)

    assert seen.percentile_seconds(95) <= 0.2


def test_of_two_choices_a_few_fast_pods_do_not_get_their_part() -> None:
    thrice = ServiceCurve(0.018, 0.006, 16)
    generator = np.random.default_rng(1)
    fleet = [PodModel(MEDIUM)] * 2 + [PodModel(thrice)] * 4
    arrivals = poisson_arrivals(1307.0, 30_000, generator)  # what the six sustain, see above

    two = serve_mixed(arrivals, fleet, Balancer.POWER_OF_TWO, generator)

    assert two.percentile_seconds(95) > 0.4
