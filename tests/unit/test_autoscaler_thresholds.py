"""At which load another number of pods would be wanted."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme.api.conditions import Reason
from trireme.api.scaling import ScalingMode
from trireme.autoscaler.records import Inputs, conclude
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.autoscaler.thresholds import Thresholds, thresholds
from trireme.autoscaler.types.capacity import Capacity
from trireme.autoscaler.types.signals import NoSignals, Signals
from unit.autoscaling import SETTLED, objective, observed, policy, seen

SUSTAINS_57 = Capacity(57.0, ServiceCurve(0.040, 0.010, 8))
NEITHER = Thresholds(None, None)


def by_capacity(pods: int, rate: float) -> Inputs:
    signals = seen(0.05 * rate, 0.05, rate=rate)
    return Inputs(observed(pods, signals, capacity=SUSTAINS_57), policy(), SETTLED)


def proposed_at(inputs: Inputs, times: float) -> int | None:
    """What would be proposed at so many times the load."""
    signals = inputs.observation.signals
    assert isinstance(signals, Signals)
    models = tuple(
        replace(
            model,
            request_rate_per_second=model.request_rate_per_second * times,
            in_flight=model.in_flight * times,
        )
        for model in signals.models
    )
    signals = replace(signals, models=models)
    observation = replace(inputs.observation, signals=signals)
    return conclude(replace(inputs, observation=observation))[0].proposed


def test_by_capacity_they_are_rates_with_the_margin() -> None:
    found = thresholds(by_capacity(3, 120.0))
    assert found.more is not None
    assert found.fewer is not None
    # Three sustain 171, the margin of a tenth within the tolerance of as much: kept up to it.
    assert found.more.request_rate_per_second == pytest.approx(171, rel=0.003)
    assert found.more.wanted == 4
    # Two sustain 114 with a margin of a tenth.
    assert found.fewer.request_rate_per_second == pytest.approx(114 / 1.1, rel=0.003)
    assert found.fewer.wanted == 2


def test_by_requests_in_flight_they_are_such_requests() -> None:
    found = thresholds(Inputs(observed(2, seen(12.0, rate=100.0)), policy(), SETTLED))
    assert found.more is not None
    assert found.fewer is not None
    assert found.more.in_flight == pytest.approx(1.1 * 2 * 8, rel=0.003)
    assert found.fewer.in_flight == pytest.approx(8, rel=0.003)


@given(pods=st.integers(1, 40), share=st.floats(0.05, 1.5))
def test_at_a_threshold_other_pods_are_wanted_and_just_before_it_not(
    pods: int, share: float
) -> None:
    inputs = by_capacity(pods, share * pods * 57)
    found, present = thresholds(inputs), share * pods * 57
    if found.more is not None:
        times = found.more.request_rate_per_second / present
        assert proposed_at(inputs, times) == found.more.wanted > pods
        assert (proposed_at(inputs, times / 1.003) or 0) <= pods
    if found.fewer is not None:
        times = found.fewer.request_rate_per_second / present
        assert proposed_at(inputs, times) == found.fewer.wanted < pods
        assert (proposed_at(inputs, times * 1.003) or 0) >= pods


def test_there_is_none_where_the_present_load_wants_it_already() -> None:
    assert thresholds(by_capacity(2, 200.0)).more is None
    assert thresholds(by_capacity(5, 60.0)).fewer is None


def test_one_pod_is_the_fewest() -> None:
    assert thresholds(by_capacity(1, 20.0)).fewer is None


def test_without_any_load_a_small_one_is_taken() -> None:
    idle = Inputs(observed(1, seen(0.0, None, rate=0.0), capacity=SUSTAINS_57), policy(), SETTLED)
    found = thresholds(idle)
    assert found.more is not None
    assert found.more.request_rate_per_second == pytest.approx(57, rel=0.003)


def test_of_several_objectives_the_one_that_would_win_is_named() -> None:
    inputs = Inputs(
        observed(3, (seen(6.0, rate=120.0), seen(20.0, model="n", rate=30.0))),
        policy(objective("m"), objective("n")),
        SETTLED,
    )
    found = thresholds(inputs)
    assert found.more is not None
    assert found.more.model == "n"
    assert found.more.in_flight == pytest.approx(1.1 * 3 * 8, rel=0.003)


@pytest.mark.parametrize(
    "inputs",
    [
        pytest.param(
            Inputs(observed(2, NoSignals(Reason.STALE, "too old")), policy(), SETTLED),
            id="no signals",
        ),
        pytest.param(
            Inputs(observed(2, ()), replace(policy(), objectives=()), SETTLED), id="no objective"
        ),
        pytest.param(replace(by_capacity(2, 60.0), foreign_writer="kubectl"), id="somebody else"),
        pytest.param(
            replace(by_capacity(2, 60.0), policy=policy(mode=ScalingMode.FIXED, replicas=2)),
            id="a fixed size",
        ),
        pytest.param(replace(by_capacity(2, 60.0), policy=policy(bounds=(3, 4))), id="below min"),
    ],
)
def test_there_is_none_where_the_load_decides_nothing(inputs: Inputs) -> None:
    assert thresholds(inputs) == NEITHER
