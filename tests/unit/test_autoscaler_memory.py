"""What survives a restart of the operator."""

from dataclasses import replace

from trireme.api.scaling_status import CurveSource, NodeClassStatus, ScalingStatus, TargetStatus
from trireme.autoscaler.capacity import LearntCurve
from trireme.autoscaler.contention import LearntContention
from trireme.autoscaler.lead_time import (
    Measured,
    Part,
    Stages,
    Starts,
    lead_time,
    parts,
    with_parts,
)
from trireme.autoscaler.memory import (
    curves_from_status,
    curves_status,
    lead_time_status,
    memory_from_status,
    pipelines_from_status,
    pipelines_status,
    starts_from_status,
    targets_status,
)
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.autoscaler.types.capacity import BusiestStep, Capacity, OutOfReach
from trireme.autoscaler.types.memory import FactorMemory, Memory, Recommendation, TargetMemory
from trireme.autoscaler.types.observation import LeadTime
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
CONTENTION = LearntContention("fixed", 0.42, 1, 2, 1200)
LEARNT = LearntCurve(CURVE, 0.04, 812, CurveSource.COUNTERS, 2, CONTENTION)


def learnt_status(*, sustained: bool = True) -> ScalingStatus:
    memory = Memory(started=NOW, factors=(FactorMemory("m", 0.8, None, NOW),))
    capacities = {"m": Capacity(36.5, CURVE)} if sustained else {}
    curves = curves_status({"m": "digest"}, {"m": LEARNT}, capacities, memory)
    return ScalingStatus(desired_replicas=1, curves=curves)


def test_a_restart_remembers_what_a_pod_sustains_and_by_which_curve() -> None:
    status = learnt_status()
    assert curves_from_status(status, {"m": "digest"}) == {"m": (LEARNT, Capacity(36.5, CURVE))}
    assert memory_from_status(status, NOW, current=1).factors == (FactorMemory("m", 0.8),)


def test_a_restart_remembers_the_gap_between_batches_and_none_is_not_told() -> None:
    learnt = replace(LEARNT, curve=replace(CURVE, gap_seconds=0.0011))
    told = curves_status({"m": "digest"}, {"m": learnt}, {}, Memory(NOW))
    assert told[0].gap_milliseconds == 1.1
    status = ScalingStatus(desired_replicas=1, curves=told)
    assert curves_from_status(status, {"m": "digest"}) == {"m": (learnt, None)}
    assert learnt_status().curves[0].gap_milliseconds is None


def test_a_restart_remembers_the_factor_of_an_agent_with_node_classes() -> None:
    told = NodeClassStatus(
        name="spot", desired_replicas=2, ready_replicas=2, curves=learnt_status().curves
    )
    status = ScalingStatus(desired_replicas=2, node_classes=[told])
    assert memory_from_status(status, NOW, current=2).factors == (FactorMemory("m", 0.8),)


def test_a_curve_whose_capacity_was_not_found_yet_is_remembered_by_itself() -> None:
    status = learnt_status(sustained=False)
    assert curves_from_status(status, {"m": "digest"}) == {"m": (LEARNT, None)}


def test_a_curve_of_another_model_by_that_name_is_an_earlier_one() -> None:
    earlier = replace(LEARNT, source=CurveSource.EARLIER)
    assert curves_from_status(learnt_status(), {"m": "another"}) == {"m": (earlier, None)}
    told = curves_status({"m": "another"}, {"m": earlier}, {}, Memory(NOW))
    again = ScalingStatus(desired_replicas=1, curves=told)
    assert curves_from_status(again, {"m": "another"}) == {"m": (earlier, None)}, "and stays one"


def test_a_curve_of_a_model_that_is_gone_is_forgotten() -> None:
    assert curves_from_status(learnt_status(), {"other": "digest"}) == {}
    assert curves_from_status(None, {"m": "digest"}) == {}


def test_a_restart_remembers_what_a_pod_sustains_of_a_pipeline() -> None:
    calls = {"agent": {"m": 2.0, "encoder": 1.0}}
    capacity = Capacity(12.3, BusiestStep("m", CURVE))
    memory = Memory(NOW, factors=(FactorMemory("agent", 0.8),))
    told = pipelines_status("digest", calls, {"agent": capacity}, memory)
    status = ScalingStatus(desired_replicas=1, pipelines=told)
    restored = pipelines_from_status(status, "digest", {"m": LEARNT})
    assert restored == {"agent": (calls["agent"], capacity)}
    assert memory_from_status(status, NOW, 1).factors == (FactorMemory("agent", 0.8),)
    earlier = {"m": replace(LEARNT, source=CurveSource.EARLIER)}
    assert pipelines_from_status(status, "digest", earlier) == {"agent": (calls["agent"], None)}
    assert pipelines_from_status(status, "another digest", {"m": LEARNT}) == {}
    assert pipelines_from_status(None, "digest", {}) == {}


def test_the_status_says_of_a_pipeline_out_of_reach_by_which_step() -> None:
    calls, memory = {"agent": {"m": 2.0}}, Memory(NOW)
    hopeless = {"agent": OutOfReach(0.3, BusiestStep("m", CURVE))}
    (told,) = pipelines_status("digest", calls, hopeless, memory)
    assert (told.sustained_per_second, told.busiest_step) == (None, "m")
    assert pipelines_status("digest", calls, {}, memory) == [], "not searched yet"


def test_people_read_the_curve_in_milliseconds() -> None:
    (told,) = learnt_status().model_dump(mode="json", by_alias=True)["curves"]
    assert told == {
        "model": "m",
        "modelDigest": "digest",
        "fixedMilliseconds": 40.0,
        "perRequestMilliseconds": 10.0,
        "gapMilliseconds": None,
        "maxBatch": 4,
        "noise": 0.04,
        "executions": 812,
        "instances": 2,
        "contention": {
            "sigma": 0.42,
            "fewest": 1,
            "most": 2,
            "executions": 1200,
            "digest": "fixed",
        },
        "source": "Counters",
        "sustainedPerSecond": 36.5,
        "factor": 0.8,
    }


STARTS = Starts("6d5f", 2, (Stages(1, 9, 30, 20), Stages(0, 3, 31, 21.23456)))


def test_a_restart_remembers_how_long_pods_take_to_start() -> None:
    status = ScalingStatus(desired_replicas=1, lead_time=lead_time_status(STARTS))
    restored = starts_from_status(status)
    before = Measured(60, 57.62, Stages(0.5, 6, 30.5, 20.62))
    assert restored == Starts("6d5f", 2, (), before)
    assert lead_time(restored) == LeadTime(p95_seconds=60, median_seconds=57.62, samples=2)
    assert lead_time_status(restored) == status.lead_time


def test_a_restart_remembers_the_parts_of_a_start() -> None:
    seconds = {Part.NODE: 40.0, Part.IMAGE: 0.0, Part.WARM_UP: 1.5, Part.FIRST_REQUEST: 2.0}
    told = lead_time_status(with_parts(STARTS, seconds))
    assert told is not None
    assert (told.p95_seconds, told.stages.first_request_seconds) == (62, 2)
    restored = starts_from_status(ScalingStatus(desired_replicas=1, lead_time=told))
    assert restored is not None
    assert parts(restored) == seconds
    assert lead_time(restored) == LeadTime(p95_seconds=62, median_seconds=59.62, samples=2)
    assert lead_time_status(restored) == told


def test_an_agent_whose_pods_were_never_seen_to_start_has_no_lead_time() -> None:
    assert lead_time_status(None) is None
    assert starts_from_status(ScalingStatus(desired_replicas=1)) is None
    assert starts_from_status(None) is None


def test_people_read_the_lead_time_in_seconds_and_where_it_goes() -> None:
    told = lead_time_status(STARTS)
    assert told is not None
    assert told.model_dump(mode="json", by_alias=True) == {
        "template": "6d5f",
        "p95Seconds": 60.0,
        "medianSeconds": 57.62,
        "samples": 2,
        "stages": {
            "scheduleSeconds": 0.5,
            "nodeSeconds": None,
            "pullSeconds": 6.0,
            "imageSeconds": None,
            "fetchSeconds": 30.5,
            "loadSeconds": 20.62,
            "warmupSeconds": None,
            "firstRequestSeconds": None,
        },
    }
