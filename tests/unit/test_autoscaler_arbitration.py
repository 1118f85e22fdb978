"""Before a replica is bought: the knob that gives the same for nothing is named."""

from dataclasses import replace

import pytest

from trireme.api.tuning import Knob
from trireme.autoscaler.arbitration import arbitrated
from trireme.autoscaler.decision import decide
from trireme.autoscaler.records import Inputs, conclude
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.autoscaler.types.capacity import Capacity
from trireme.autoscaler.types.decision import Decision
from trireme.autoscaler.types.observation import KnownKnob, Observation
from unit.autoscaling import SETTLED, objective, observed, policy, seen

CAPACITY = Capacity(50.0, ServiceCurve(0.040, 0.010, 4))
KNOB = KnownKnob("m", "m", Knob.MAX_BATCH_SIZE, "4", "8", 0.3)
# 120 requests/s and a tenth more are 132/s: 3 pods of 50/s, or of 65/s.
GROWING = observed(2, seen(8.0, 0.09, rate=120.0), capacity=CAPACITY)


def with_knobs(*knobs: KnownKnob, of: Observation = GROWING) -> Decision:
    decision, _ = conclude(Inputs(replace(of, knobs=knobs), policy(), SETTLED))
    return decision


def gaining(gain: float, to: str = "8", objective: str = "m") -> KnownKnob:
    return replace(KNOB, gain=gain, to=to, objective=objective)


def test_a_purchase_names_the_knob_that_would_spare_it_and_is_made() -> None:
    knob = gaining(0.4)
    decision = with_knobs(knob)
    assert (decision.current, decision.replicas) == (2, 3)
    assert decision.alternative is not None
    assert (decision.alternative.knob, decision.alternative.replicas) == (knob, 2)
    assert str(decision.message).endswith(
        "2 → 3; 2 would do with maxBatchSize 8 in place of 4 of m, by which a pod is expected to "
        "sustain 40 % more"
    )


def test_of_a_guess_it_is_said_how_sure_it_is() -> None:
    decision = with_knobs(replace(gaining(0.4), is_guess=True))
    assert str(decision.message).endswith("sustain 40 % more (confidence Low)")


def test_what_is_decided_is_the_same_but_for_the_words() -> None:
    decision, memory = conclude(Inputs(replace(GROWING, knobs=(gaining(0.4),)), policy(), SETTLED))
    plain, remembered = conclude(Inputs(GROWING, policy(), SETTLED))
    assert replace(decision, message=plain.message, alternative=None) == plain
    assert memory == remembered


def test_of_several_knobs_the_one_that_spares_the_most_is_named() -> None:
    busier = observed(2, seen(16.0, 0.09, rate=240.0), capacity=CAPACITY)
    decision = with_knobs(gaining(0.3), gaining(1.0, to="16"), of=busier)
    assert decision.alternative is not None
    assert (decision.replicas, decision.alternative.knob.to) == (6, "16")
    assert decision.alternative.replicas == 3


STEADY = observed(2, seen(4.0, 0.05, rate=80.0), capacity=CAPACITY)


@pytest.mark.parametrize(
    ("knob", "of"),
    [
        pytest.param(gaining(0.1), GROWING, id="it gains too little"),
        pytest.param(gaining(9.0, objective="other"), GROWING, id="it is of another objective"),
        pytest.param(gaining(9.0), STEADY, id="nothing is bought"),
        pytest.param(
            gaining(9.0), replace(GROWING, capacities={}), id="what a pod sustains is not known"
        ),
        pytest.param(
            gaining(9.0), replace(STEADY, replicas=0, ready=0), id="the least number is bought"
        ),
    ],
)
def test_no_knob_is_named(knob: KnownKnob, of: Observation) -> None:
    assert with_knobs(knob, of=of).alternative is None


def test_a_size_that_a_limit_binds_is_not_spared_by_what_still_wants_more() -> None:
    busier = observed(2, seen(16.0, 0.09, rate=240.0), capacity=CAPACITY)
    bound = policy(objective(), bounds=(1, 4))
    decision, _ = decide(busier, bound, SETTLED)
    found = arbitrated(decision, replace(busier, knobs=(KNOB,)), bound, SETTLED)
    assert (decision.replicas, found.alternative) == (4, None)
