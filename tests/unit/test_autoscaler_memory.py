"""What survives a restart of the operator."""

from trireme.api.types import ScalingStatus, TargetStatus
from trireme.autoscaler.memory import memory_from_status, targets_status
from trireme.autoscaler.types import Memory, Recommendation, TargetMemory
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
