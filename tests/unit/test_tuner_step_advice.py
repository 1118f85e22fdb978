"""What the operator recommends of a pipeline's steps."""

from dataclasses import replace

import pytest

from trireme.api.tuning import Confidence, Knob
from trireme.autoscaler.capacity import LearntCurve, pipeline_capacity
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.autoscaler.types.capacity import Capacity
from trireme.autoscaler.types.serving import ServedPipeline, ServedStep, Serving
from trireme.tuner.advice import Served
from trireme.tuner.step_advice import ServedLine, advise_step
from trireme.tuner.types import Configuration, Range, Space
from unit.autoscaling import objective

SPACE = Space(Range(1, 1024), Range(1, 16))
BOTH = ServedPipeline(
    (ServedStep("encoder", Serving(1, 4)), ServedStep("scorer", Serving(1, 4), (0,)))
)
CALLS = {"encoder": 1.0, "scorer": 1.0}
# Batches of 4 in 8 ms are 500/s, of 8 in 10 ms 800/s.
ENCODER = LearntCurve(ServiceCurve(0.006, 0.0005, 4), 0.0, 1000)


def line_of(scorer: ServiceCurve) -> ServedLine:
    """A pipeline whose encoder binds it."""
    curves = {"encoder": ENCODER, "scorer": LearntCurve(scorer, 0.0, 1000)}
    asked = replace(objective("agent"), latency_target_seconds=0.2)
    found = pipeline_capacity(curves, CALLS, BOTH, asked)
    assert isinstance(found, Capacity)
    busiest = Served("encoder", Configuration(4, 1), ENCODER)
    return ServedLine(busiest, BOTH, curves, CALLS, asked, found.per_second)


def test_larger_batches_of_the_step_that_binds_a_pipeline_are_recommended() -> None:
    advice = advise_step(line_of(ServiceCurve(0.001, 0.0005, 4)), SPACE)
    assert advice is not None
    assert advice.is_worth_telling
    assert (advice.model, advice.knob, advice.now, advice.to) == (
        "encoder",
        Knob.MAX_BATCH_SIZE,
        "4",
        "8",
    )
    assert advice.confidence is Confidence.MEDIUM
    assert advice.gain == pytest.approx(0.6, abs=0.06)
    assert 0 < advice.least_gain < advice.gain < advice.most_gain


def test_what_the_next_step_takes_away_is_no_gain() -> None:
    """Batches of 4 in 7.5 ms: the scorer does 533/s."""
    advice = advise_step(line_of(ServiceCurve(0.0055, 0.0005, 4)), SPACE)
    assert advice is None or not advice.is_worth_telling


def test_nothing_is_searched_where_the_user_allows_no_larger_batches() -> None:
    bounded = replace(SPACE, max_batch=Range(1, 4))
    assert advise_step(line_of(ServiceCurve(0.001, 0.0005, 4)), bounded) is None
