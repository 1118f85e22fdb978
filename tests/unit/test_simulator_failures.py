"""Pods that die and metrics that cannot be read, drawn by the seed."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from trireme.autoscaler.queueing import PodShape
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.simulator.comparison import Optimum, score
from trireme.simulator.contenders import CONTENDERS
from trireme.simulator.failures import Failures
from trireme.simulator.fluid import Fleet, LeadTime, Outcome
from trireme.simulator.pods import Balancer
from trireme.simulator.policy import Bounds
from trireme.simulator.scenario import Objective, Scenario, with_peak
from trireme.simulator.simulation import simulate
from trireme.simulator.traces import Traffic
from unit.simulator import Told

POD = PodShape(ServiceCurve(0.006, 0.002, 16))
OBJECTIVE = Objective(95, 0.1)
ANY = Optimum(1.0, 1.0, np.array([10]))
FALLING = np.linspace(1.0, 0.2, 3600)


def scenario(shape: np.ndarray[tuple[int], np.dtype[np.float64]], failures: Failures) -> Scenario:
    traffic = with_peak(Traffic("made", shape), POD, OBJECTIVE, 10)
    lead, bounds = LeadTime(30), Bounds(1, 20)
    return Scenario(traffic, POD, OBJECTIVE, lead, bounds, seed=1, failures=failures)


def outcome(policy: str, on: Scenario) -> Outcome:
    return score(on, ANY, policy, 1.0, lambda what, share: None).outcome


def kept(deaths: tuple[tuple[int, int], ...], replicas: int = 4) -> Outcome:
    """A constant fleet at half its load, and these deaths."""
    on = scenario(np.full(200, replicas / 20), Failures())
    return simulate(
        Told({}),
        Fleet(
            Traffic("made", np.full(200, replicas / 2 * on.sustained_per_second)),
            on.table,
            on.lead_time,
            replicas,
            seed=1,
            balancer=Balancer.POWER_OF_TWO,
            warm_up_seconds=0,
            deaths=deaths,
        ),
        warm_up_seconds=0,
    )


def test_a_pod_that_dies_is_replaced_after_its_lead_time_and_paid_on() -> None:
    found = kept(((50, 2),))
    changes = [at for at, (a, b) in enumerate(pairwise(found.ready), start=1) if a != b]
    assert changes == [50, 80]
    assert found.ready[[49, 50, 80]].tolist() == [4, 3, 4]
    assert set(found.wanted.tolist()) == {4}
    assert found.pod_seconds == 4 * 200


def test_what_a_pod_held_is_lost_with_it_and_late() -> None:
    found, whole = kept(((50, 2),)), kept(())
    assert found.lost == pytest.approx(whole.in_flight_by_second[49] / 4)
    assert whole.lost == 0
    gone = found.answered_by_second.sum() + found.in_flight_by_second[-1] + found.lost
    assert found.requests + found.carried_in == pytest.approx(gone, rel=1e-9)
    assert found.late >= whole.late + found.lost


def test_where_no_pod_is_ready_what_comes_is_lost() -> None:
    found = kept(((50, 0),), replicas=1)
    assert found.ready[[49, 50, 79, 80]].tolist() == [1, 0, 0, 1]
    assert found.late_by_second[50:80].sum() == pytest.approx(found.requests * 30 / 200)


def test_a_death_in_a_place_without_a_pod_is_none() -> None:
    assert kept(((50, 4),)).lost == 0


def test_pods_die_as_often_as_is_said() -> None:
    drawn = Failures(deaths_per_pod_hour=0.5).draw(100 * 3600, 40, seed=1)
    assert len(drawn.deaths) == pytest.approx(0.5 * 40 * 100, rel=0.1)
    assert [at for at, _ in drawn.deaths] == sorted(at for at, _ in drawn.deaths)
    assert {place for _, place in drawn.deaths} == set(range(40))


def test_outages_are_within_the_time_and_as_many_as_is_said() -> None:
    drawn = Failures(outages=3, outage_seconds=600).draw(3600, 40, seed=1)
    assert len(drawn.outages) == 3
    assert all(begin >= 0 and end == begin + 600 <= 3600 for begin, end in drawn.outages)
    begin, end = drawn.outages[0]
    assert [drawn.is_blind(at) for at in (begin - 1, begin, end - 1)] == [False, True, True]


@pytest.mark.parametrize("seed", range(5))
def test_trireme_never_shrinks_while_metrics_are_out(seed: int) -> None:
    """On traffic that falls all the time: in the same seconds it would have shrunk with them."""
    failures = Failures(deaths_per_pod_hour=0.5, outages=3, outage_seconds=600)
    on = replace(scenario(FALLING, failures), seed=seed)
    found = outcome("trireme", on).wanted
    for begin, end in on.drawn_failures.outages:
        during = found[begin:end]
        assert (np.diff(during) >= 0).all()
    seeing = outcome("trireme", replace(on, failures=Failures())).wanted
    spans = [seeing[begin:end] for begin, end in on.drawn_failures.outages]
    assert any((np.diff(span) < 0).any() for span in spans)


@pytest.mark.parametrize("policy", CONTENDERS)
def test_every_policy_lives_through_failures(policy: str) -> None:
    failures = Failures(deaths_per_pod_hour=1.0, outages=2, outage_seconds=300)
    found = outcome(policy, scenario(FALLING, failures))
    assert found.lost > 0
    assert found.wanted.min() >= 1


def test_the_same_seed_fails_alike_and_another_does_not() -> None:
    failures = Failures(deaths_per_pod_hour=1.0, outages=2, outage_seconds=300)
    on = scenario(FALLING, failures)
    one, again = outcome("trireme", on), outcome("trireme", on)
    assert one.late_by_second.tobytes() == again.late_by_second.tobytes()
    assert one.lost != outcome("trireme", replace(on, seed=2)).lost
