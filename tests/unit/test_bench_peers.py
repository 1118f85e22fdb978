"""What the comparison with other autoscalers reads of a run."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bench.machine import Usage
from bench.peers.runs import Run

RISE = 20.0  # of the step: 20 s at 20 requests a second, then 80 s at 80, then 30 s at 20
FAST = {"latency_ms": {"p95": 200.0}}
SLOW = {"latency_ms": {"p95": 200.1}}
NONE = {"latency_ms": None}

A_RUN = Run(
    shape="step",
    policy="Trireme",
    sizes=((-9.0, 1),),
    ready=(),
    seconds=(),
    late_share=0.0,
    lead_seconds=5.0,
    usage=Usage(0.5, 0.0),
)


def of(*sizes: tuple[float, int]) -> Run:
    return replace(A_RUN, sizes=sizes)


@pytest.mark.parametrize(
    ("sizes", "seconds"),
    [
        pytest.param([(-9, 1), (27.5, 3)], 7.5, id="the first larger size counts"),
        pytest.param([(-9, 2), (25, 1), (31, 2), (40, 3)], 20, id="beyond what it had at the rise"),
        pytest.param([(-9, 1), (12, 3), (130, 1)], None, id="who has enough needs no decision"),
        pytest.param([(-9, 3), (40, 2), (43, 3)], 3, id="it is waited for from when it is needed"),
        pytest.param([(-9, 1)], None, id="no change is none"),
    ],
)
def test_the_decision_is_the_next_larger_size_once_the_load_has_outgrown_the_fleet(
    sizes: Sequence[tuple[float, int]], seconds: float | None
) -> None:
    assert of(*sizes).decision_seconds == seconds


@pytest.mark.parametrize(
    ("sizes", "pod_seconds"),
    [
        pytest.param([(-9, 1)], 130, id="one pod from before the start to the end"),
        pytest.param([(-9, 1), (30, 3)], 30 + 3 * 100, id="from when it was asked for"),
        pytest.param([(-9, 5), (-2, 1), (129, 2)], 129 + 2, id="not what was before the start"),
        pytest.param([(-9, 1), (130, 5), (190, 1)], 130, id="nor what comes after the end"),
    ],
)
def test_pod_seconds_are_of_the_profile_alone(
    sizes: Sequence[tuple[float, int]], pod_seconds: float
) -> None:
    assert of(*sizes).pod_seconds == pod_seconds


@pytest.mark.parametrize(
    ("sizes", "turns"),
    [
        pytest.param([1, 3, 5], 0, id="growing twice is no turn"),
        pytest.param([1, 3, 1], 1, id="up and down is one"),
        pytest.param([1, 3, 2, 3, 1], 3, id="each change of direction counts"),
    ],
)
def test_turns_are_changes_of_direction(sizes: Sequence[int], turns: int) -> None:
    assert of(*((float(at), n) for at, n in enumerate(sizes))).turns == turns


def test_the_objective_is_judged_after_the_rise_and_one_lead_time() -> None:
    """A second without an answer did not keep it; what is answered after the profile's end does not
    count.
    """
    seconds = [SLOW] * 25 + [FAST] * 63 + [SLOW] * 21 + [NONE] * 21 + [SLOW] * 10
    run = replace(A_RUN, seconds=tuple({"second": n, **s} for n, s in enumerate(seconds)))
    assert run.rise_seconds == RISE
    assert run.kept_share == 63 / 105


def test_a_load_has_risen_once_it_is_more_than_one_pod_sustains() -> None:
    """The ramp is at 20 and 30 requests a second for 10 s each, and then at 40."""
    assert replace(A_RUN, shape="ramp").rise_seconds == 20
