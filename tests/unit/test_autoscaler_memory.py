"""What survives a restart of the operator."""

from trireme.api.types import ScalingStatus, TargetStatus
from trireme.autoscaler.capacity import LearntCurve
from trireme.autoscaler.memory import (
    curves_from_status,
    curves_status,
    memory_from_status,
    targets_status,
)
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.autoscaler.types import Capacity, FactorMemory, Memory, Recommendation, TargetMemory
from unit.autoscaling import NOW


def test_a_restart_remembers_the_targets_and_the_present_size() -> None:
    status = ScalingStatus(
        desired_replicas=9, targets=[TargetStatus(model="m", in_flight_per_pod=6.4)]
    )
    assert memory_from_status(status, NOW, current=5) == Memory(
        started=NOW,
        recommendations=(Recommendation(NOW, 5),),
        targets=(TargetMemory("m", 6.4, None, None),),
    )


def test_an_agent_without_a_status_begins_with_its_size() -> None:
    assert memory_from_status(None, NOW, current=1) == Memory(
        started=NOW, recommendations=(Recommendation(NOW, 1),)
    )


def test_the_status_holds_the_targets_to_three_decimals() -> None:
    memory = Memory(started=NOW, targets=(TargetMemory("m", 8 * 0.8**3, NOW, NOW),))
    assert targets_status(memory) == [TargetStatus(model="m", in_flight_per_pod=4.096)]
    status = ScalingStatus(desired_replicas=1, targets=targets_status(memory))
    assert memory_from_status(status, NOW, current=1).targets[0].in_flight_per_pod == 4.096


CURVE = ServiceCurve(0.040, 0.010, 4)
LEARNT = LearntCurve(CURVE, 0.04, 812)


def learnt_status(*, sustained: bool = True) -> ScalingStatus:
    memory = Memory(started=NOW, factors=(FactorMemory("m", 0.8, None, NOW),))
    capacities = {"m": Capacity(36.5, CURVE)} if sustained else {}
    curves = curves_status("digest", {"m": LEARNT}, capacities, memory)
    return ScalingStatus(desired_replicas=1, curves=curves)


def test_a_restart_remembers_what_a_pod_sustains_and_by_which_curve() -> None:
    status = learnt_status()
    assert curves_from_status(status, "digest") == {"m": (LEARNT, Capacity(36.5, CURVE))}
    assert memory_from_status(status, NOW, current=1).factors == (FactorMemory("m", 0.8),)


def test_a_curve_whose_capacity_was_not_found_yet_is_remembered_by_itself() -> None:
    status = learnt_status(sustained=False)
    assert curves_from_status(status, "digest") == {"m": (LEARNT, None)}


def test_a_curve_of_another_repository_is_forgotten() -> None:
    assert curves_from_status(learnt_status(), "another digest") == {}
    assert curves_from_status(None, "digest") == {}


def test_people_read_the_curve_in_milliseconds() -> None:
    (told,) = learnt_status().model_dump(mode="json", by_alias=True)["curves"]
    assert told == {
        "model": "m",
        "repositoryDigest": "digest",
        "fixedMilliseconds": 40.0,
        "perRequestMilliseconds": 10.0,
        "maxBatch": 4,
        "noise": 0.04,
        "executions": 812,
        "sustainedPerSecond": 36.5,
        "factor": 0.8,
    }
