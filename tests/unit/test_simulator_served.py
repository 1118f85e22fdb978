"""Pods that serve a pipeline: walked through its steps, as the operator's own search does."""

import numpy as np
import pytest

from trireme.autoscaler.batch_events import PodModel
from trireme.autoscaler.pipeline import StepShape
from trireme.autoscaler.queueing import PodShape, Sustained
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.autoscaler.types.capacity import BusiestStep
from trireme.simulator.comparison import compare
from trireme.simulator.fluid import LeadTime
from trireme.simulator.load_table import load_table
from trireme.simulator.policy import Bounds
from trireme.simulator.scenario import Objective, Scenario, with_peak
from trireme.simulator.served import PipelinePod, learnt, mean_seconds, sustained_rate
from trireme.simulator.shapes import Shape, made

SLOW, QUICK = ServiceCurve(0.020, 0.010, 8), ServiceCurve(0.006, 0.002, 16)
ALONE = PipelinePod((StepShape(PodModel(SLOW)),), ("slow",))
BOTH = PipelinePod(
    (StepShape(PodModel(SLOW)), StepShape(PodModel(QUICK), after=(0,))), ("slow", "quick")
)


def test_a_pipeline_of_one_step_is_nearly_as_the_queueing_chain_has_the_model() -> None:
    """Up to where the objective is lost; beyond it the walk is too short for such long queues."""
    walked, solved = load_table(ALONE, 0.25), load_table(PodShape(SLOW), 0.25)
    used = solved.loads <= 0.9
    assert walked.in_flight[used] == pytest.approx(solved.in_flight[used], rel=0.02, abs=0.001)
    assert walked.late[used] == pytest.approx(solved.late[used], abs=0.02)
    assert (np.diff(walked.in_flight) > 0).all()
    assert np.isnan(walked.wait_seconds[1:]).all()


def test_the_step_that_binds_says_what_a_pod_does() -> None:
    found = sustained_rate(BOTH, 95, 0.35)
    assert isinstance(found, Sustained)
    assert 0.8 * ALONE.capacity_per_second < found.per_second < BOTH.capacity_per_second
    assert BOTH.capacity_per_second == SLOW.capacity_per_second(1)
    known = learnt(BOTH, found.per_second, 95)
    assert known.learnt == BusiestStep("slow", SLOW)
    assert mean_seconds(BOTH, found.per_second) < (known.eased_seconds or 0) < 0.35


def test_policies_are_compared_on_it() -> None:
    objective = Objective(95, 0.35)
    traffic = with_peak(made(Shape.RAMP, 1200), BOTH, objective, 4)
    on = Scenario(traffic, BOTH, objective, LeadTime(30), Bounds(1, 8), 1)
    told = compare(on, ["trireme", "kpa"], lambda what, share: None)
    for each in told:
        assert each.outcome.late_share < 0.05
        assert 1 <= (each.ratio or 0) < 2
