"""What is learnt of a pod from Triton's statistics, when it may be used, and what follows."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from pods import PROFILES, simulated
from trireme.api.scaling_status import CurveSource
from trireme.autoscaler.capacity import (
    LearntCurve,
    ModelStatistics,
    calls_per_request,
    capacity,
    due_seconds,
    is_bent,
    kept,
    learn,
    pipeline_capacity,
)
from trireme.autoscaler.choice import Fleet
from trireme.autoscaler.queueing import PodShape, percentile_seconds
from trireme.autoscaler.service_curve import BatchTotal, CounterWindow, ServiceCurve
from trireme.autoscaler.types.capacity import BusiestStep, Capacity, EarlierCurve, OutOfReach
from trireme.autoscaler.types.serving import ServedPipeline, ServedStep, Serving
from unit.autoscaling import objective

DEMO = ServiceCurve(0.040, 0.010, 4)
EARLIER = LearntCurve(ServiceCurve(0.040, 0.010, 4), 0.0, 500)


def executed(
    counts: dict[int, int],
    curve: ServiceCurve = DEMO,
    *,
    slower: float = 1.0,
    requests: int | None = None,
) -> ModelStatistics:
    """So many executions by batch size, of requests that are one inference each unless said."""
    batches = {
        batch: BatchTotal(count, round(count * curve.seconds(batch) * slower * 1e9))
        for batch, count in counts.items()
    }
    inferences = sum(batch * count for batch, count in counts.items())
    return ModelStatistics(inferences if requests is None else requests, batches)


def stairs(*seconds: float) -> ModelStatistics:
    """A hundred executions of each batch size from 1 on, which take so long."""
    batches = {n: BatchTotal(100, round(s * 1e11)) for n, s in enumerate(seconds, start=1)}
    return ModelStatistics(sum(100 * batch for batch in batches), batches)


@pytest.mark.parametrize(
    ("intervals", "max_batch", "before", "learnt"),
    [
        pytest.param([], 4, None, None, id="nothing is known before anything was seen"),
        pytest.param([], 4, EARLIER, EARLIER, id="idle, what was known stays"),
        pytest.param([executed({1: 80, 4: 20})], 4, None, LearntCurve(DEMO, 0.0, 100), id="learnt"),
        pytest.param([executed({1: 80, 4: 19})], 4, None, None, id="of too few executions"),
        pytest.param([executed({4: 1000})], 4, None, None, id="of one batch size no slope"),
        pytest.param([executed({4: 1000})], 4, EARLIER, EARLIER, id="overloaded, it stays"),
        pytest.param(
            [executed({7: 500, 8: 500}, replace(DEMO, max_batch=8))],
            8,
            None,
            None,
            id="batch sizes too near to each other",
        ),
        pytest.param(
            [executed({1: 500, 3: 500}, replace(DEMO, max_batch=32))],
            32,
            None,
            LearntCurve(replace(DEMO, max_batch=6), 0.0, 1000),
            id="a line is believed up to twice the largest batch seen",
        ),
        pytest.param(
            [executed({1: 500}, ServiceCurve(0.050, 0.0, 1))],
            1,
            None,
            LearntCurve(ServiceCurve(0.050, 0.0, 1), 0.0, 500),
            id="without batching there is no slope to learn",
        ),
        pytest.param([stairs(0.01, 0.01, 0.02, 0.02)], 4, EARLIER, None, id="times on no line"),
        pytest.param(
            [executed({1: 80, 4: 20}, requests=80)],
            4,
            EARLIER,
            None,
            id="requests of two rows are no rate of the curve's",
        ),
        pytest.param(
            [executed({1: 80, 4: 20}, requests=320)],
            4,
            EARLIER,
            None,
            id="nor are those that a cache answers",
        ),
        pytest.param(
            [executed({1: 800, 4: 200}, slower=1.02)],
            4,
            EARLIER,
            replace(EARLIER, executions=1000),
            id="a curve that is hardly another one is the same",
        ),
        pytest.param(
            [executed({1: 800, 4: 200}, slower=1.5)],
            4,
            EARLIER,
            LearntCurve(ServiceCurve(0.060, 0.015, 4), 0.0, 1000),
            id="one that is another one takes its place",
        ),
    ],
)
def test_what_is_learnt(
    intervals: Sequence[ModelStatistics],
    max_batch: int,
    before: LearntCurve | None,
    learnt: LearntCurve | None,
) -> None:
    found = learn(intervals, max_batch, before)
    if learnt is None or found is None:
        assert found is learnt
        return
    assert (found.curve.max_batch, found.executions) == (learnt.curve.max_batch, learnt.executions)
    assert found.curve.seconds(1) == pytest.approx(learnt.curve.seconds(1), rel=1e-6)
    assert found.curve.per_request_seconds == pytest.approx(
        learnt.curve.per_request_seconds, abs=1e-6
    )
    assert found.noise == learnt.noise


def summed(
    mean_batch: float, curve: ServiceCurve = DEMO, *, executions: int = 200
) -> ModelStatistics:
    """Executions of two batch sizes next to the mean, as sums that count a batch's time for each of
    its requests.
    """
    low = int(mean_batch)
    more = round((mean_batch - low) * executions)
    counts = {low: executions - more, low + 1: more}
    inferences = sum(batch * count for batch, count in counts.items())
    seconds = sum(batch * count * curve.seconds(batch) for batch, count in counts.items())
    return ModelStatistics(
        inferences, {}, CounterWindow(inferences, executions, round(seconds * 1e9))
    )


BENT = stairs(0.01, 0.01, 0.02, 0.02)  # by 17 %
NEAR = stairs(0.01, 0.01, 0.016, 0.016)  # by 11 %, where 10 % are none
SLOW = ServiceCurve(0.100, 0.025, 4)


@pytest.mark.parametrize(
    ("intervals", "bent"),
    [
        pytest.param([BENT], True, id="times far off any line"),
        pytest.param([NEAR], False, id="times near to one"),
        pytest.param([NEAR] * 3, True, id="of more executions"),
        pytest.param([executed({1: 200, 4: 200})], False, id="times on one"),
        pytest.param([executed({1: 9, 2: 9}), executed({4: 9}, SLOW)], False, id="of few"),
        pytest.param([executed({4: 400})], False, id="of one batch size"),
        pytest.param([replace(BENT, requests=400)], False, id="of requests of several rows"),
        pytest.param([summed(1.0), summed(2.0)], False, id="sums on one"),
        pytest.param([summed(1.0), summed(2.0), summed(3.0, SLOW)], True, id="sums on none"),
        pytest.param([summed(2.0), summed(2.0, SLOW)], False, id="sums of one load"),
        pytest.param([], False, id="nothing"),
    ],
)
def test_that_times_are_on_no_line_is_known_once_enough_was_seen(
    intervals: Sequence[ModelStatistics], bent: bool
) -> None:
    assert is_bent(intervals, 4, 1000) is bent


@pytest.mark.parametrize(
    ("means", "before", "learnt"),
    [
        pytest.param([1.0, 2.0], None, True, id="of two loads"),
        pytest.param([1.0, 1.4], None, False, id="of two that are near to each other"),
        pytest.param([2.0], None, False, id="of one"),
        pytest.param([2.0], EARLIER, True, id="what was known stays"),
    ],
)
def test_what_is_learnt_where_batch_sizes_are_not_told_apart(
    means: Sequence[float], before: LearntCurve | None, learnt: bool
) -> None:
    found = learn([summed(mean) for mean in means], 4, before)
    if not learnt or before is not None:
        assert found is before
        return
    assert found is not None
    assert (found.source, found.noise, found.error) == (CurveSource.COUNTERS, 0.0, 0.2)
    assert found.curve.max_batch == 4
    # x = E[b] + 1 - 1/E[b] is 2.5 at a mean of 2, where all batches are 2 here: too small a slope.
    assert found.curve.seconds(1) == pytest.approx(DEMO.seconds(1), rel=0.01)
    assert found.curve.per_request_seconds == pytest.approx(0.010 / 1.5, rel=0.01)


@pytest.mark.parametrize("true", PROFILES, ids=str)
def test_a_simulated_pod_sustains_no_more_by_its_counters_than_by_its_batches(
    true: ServiceCurve,
) -> None:
    intervals = []
    for load in (0.1, 0.5, 0.8):
        served = simulated(PodShape(true), load, requests=50_000)
        seconds = float(served.batches @ served.batch_seconds)
        sums = CounterWindow(50_000, len(served.batches), round(seconds * 1e9))
        intervals.append(ModelStatistics(50_000, {}, sums))
    found = learn(intervals, true.max_batch, None)
    assert found is not None
    within = replace(objective(), latency_target_seconds=2 * true.full_batch_seconds)
    guessed = capacity(found, Serving(1, true.max_batch), within)
    exact = capacity(LearntCurve(true, 0.0, 1000), Serving(1, true.max_batch), within)
    assert isinstance(guessed, Capacity)
    assert isinstance(exact, Capacity)
    assert 0.70 < guessed.per_second / exact.per_second < 1.01


@pytest.mark.parametrize(
    ("source", "then"),
    [
        pytest.param(CurveSource.BATCHES, 0.0011, id="a curve of the same files keeps its gap"),
        pytest.param(CurveSource.EARLIER, 0.0, id="one of other files leaves none"),
    ],
)
def test_what_becomes_of_the_gap_with_another_curve(source: CurveSource, then: float) -> None:
    before = LearntCurve(ServiceCurve(0.9, 0.9, 4, 0.0011), 0.0, 500, source)
    after = learn([executed({1: 100, 2: 100, 4: 100})], 4, before)
    assert after is not None
    assert after.source is CurveSource.BATCHES
    assert after.curve.gap_seconds == then


def test_of_sums_the_last_of_each_load_is_kept() -> None:
    kept_first = kept(kept((), summed(1.0), 3), summed(2.0), 3)
    assert kept_first == (summed(1.0), summed(2.0))
    assert kept(kept_first, summed(1.05), 3) == (summed(2.0), summed(1.05))
    assert kept(kept(kept_first, summed(3.0), 3), summed(4.0), 3)[0] == summed(2.0)
    first, second = executed({1: 10}), executed({1: 20})
    assert kept((first, first), second, 3) == (first, first, second), "of batch sizes the last ones"


@pytest.mark.parametrize("grown", [0, 1], ids=["nothing was executed", "something was"])
def test_sums_are_differences_too(grown: int) -> None:
    before, after = summed(2.0, executions=200), summed(2.0, executions=200 + grown)
    interval = after.since(before)
    assert interval == ModelStatistics(
        2 * grown, {}, CounterWindow(2 * grown, grown, grown * 120_000_000)
    )
    assert interval.executed is bool(grown)
    if grown:
        assert before.since(after) is None, "a server that began anew"
    assert after.since(ModelStatistics(0, {})) == after, "before the first execution there are none"


def test_what_a_look_says_is_what_came_since_the_one_before() -> None:
    first, second = executed({1: 10}), executed({1: 15, 2: 4})
    assert second.since(first) == ModelStatistics(13, executed({1: 5, 2: 4}).batches)
    assert first.since(second) is None, "a server that began anew"
    assert replace(second, requests=1).since(first) is None


@pytest.mark.parametrize(
    ("curve", "target", "found"),
    [
        pytest.param(
            DEMO,
            0.2,
            Capacity(pytest.approx(37.5, rel=0.01), DEMO, pytest.approx(0.172, rel=0.01)),
            id="sustained",
        ),
        pytest.param(
            DEMO, 0.04, OutOfReach(pytest.approx(0.05, rel=0.01), DEMO), id="an idle pod is slower"
        ),
        pytest.param(DEMO, 0.048, None, id="slower by less than a curve may be off"),
    ],
)
def test_what_a_pod_sustains(
    curve: ServiceCurve, target: float, found: Capacity | OutOfReach | None
) -> None:
    learnt = LearntCurve(curve, 0.0, 1000)
    of = replace(objective(), latency_target_seconds=target)
    assert capacity(learnt, Serving(1, 4), of) == found


def test_a_queue_that_rejects_sustains_less() -> None:
    of, learnt = replace(objective(), latency_target_seconds=0.2), LearntCurve(DEMO, 0.0, 1000)
    patient, hasty = (capacity(learnt, Serving(1, 4, wait), of) for wait in (math.inf, 0.05))
    assert isinstance(patient, Capacity)
    assert isinstance(hasty, Capacity)
    assert 0.1 * patient.per_second < hasty.per_second < 0.7 * patient.per_second


def test_an_earlier_curve_promises_a_part_and_never_that_nothing_helps() -> None:
    of = replace(objective(), latency_target_seconds=0.2)
    now, before = LearntCurve(DEMO, 0.0, 1000), LearntCurve(DEMO, 0.0, 1000, CurveSource.EARLIER)
    sure, unsure = (capacity(learnt, Serving(1, 4), of) for learnt in (now, before))
    assert isinstance(sure, Capacity)
    assert isinstance(unsure, Capacity)
    assert (unsure.per_second, unsure.learnt) == (0.8 * sure.per_second, EarlierCurve(DEMO))
    assert capacity(before, Serving(1, 4), replace(of, latency_target_seconds=0.02)) is None
    ones = capacity(before, Serving(1, 1), of)
    assert isinstance(ones, Capacity)
    assert ones.per_second < 20 * 0.8, "batches of one now, of 50 ms"


@pytest.mark.parametrize(
    ("learnt_of", "instances", "counted"),
    [
        pytest.param(1, 2, 1, id="more than it was learnt of"),
        pytest.param(2, 1, 1, id="fewer"),
        pytest.param(None, 2, 2, id="it is not known of how many"),
    ],
)
def test_an_earlier_curve_is_counted_on_for_no_more_instances_than_it_was_learnt_of(
    learnt_of: int | None, instances: int, counted: int
) -> None:
    of = replace(objective(), latency_target_seconds=0.2)
    now = LearntCurve(DEMO, 0.0, 1000, instances=learnt_of)
    before = replace(now, source=CurveSource.EARLIER)
    sure, unsure = (
        capacity(now, Serving(counted, 4), of),
        capacity(before, Serving(instances, 4), of),
    )
    assert isinstance(sure, Capacity)
    assert isinstance(unsure, Capacity)
    assert unsure.per_second == 0.8 * sure.per_second


def test_a_curve_is_of_the_instances_that_it_was_learnt_of() -> None:
    intervals, earlier = [executed({1: 80, 4: 20})], replace(EARLIER, instances=1)
    assert learn([], 4, earlier, 2) == earlier
    known = learn(intervals, 4, None, 2)
    assert known is not None
    assert known.instances == 2
    assert learn(intervals, 4, EARLIER, 2) == replace(EARLIER, executions=100, instances=2)


def test_two_instances_sustain_more_than_twice_what_one_does() -> None:
    of, learnt = replace(objective(), latency_target_seconds=0.2), LearntCurve(DEMO, 0.01, 1000)
    one, two = (capacity(learnt, Serving(count, 4), of) for count in (1, 2))
    assert isinstance(one, Capacity)
    assert isinstance(two, Capacity)
    assert two.per_second > 2 * one.per_second


def test_a_gateway_s_choice_hastens_what_is_due_and_leaves_what_a_pod_sustains() -> None:
    learnt, serving = LearntCurve(DEMO, 0.0, 1000), Serving(1, 4)
    of = replace(objective(), latency_target_seconds=0.15)
    alone, chosen = (capacity(learnt, serving, replace(of, gateways=n)) for n in (0, 2))
    assert isinstance(alone, Capacity)
    assert isinstance(chosen, Capacity)
    assert (chosen.per_second, chosen.eased_seconds) == (alone.per_second, alone.eased_seconds)
    assert alone.eased_of == ()
    seconds = [chosen.eased_of_each(pods) for pods in (1, 2, 4, 8, 16, 100)]
    assert seconds == sorted(seconds, key=lambda each: -(each or 0))
    assert seconds[0] == alone.eased_seconds
    assert seconds[0] > 1.05 * (seconds[2] or math.inf)


@pytest.mark.parametrize(
    ("pods", "due"),
    [
        pytest.param(0, 0.10, id="none, as one"),
        pytest.param(1, 0.10, id="one"),
        pytest.param(2, 0.09, id="as many as it is known of"),
        pytest.param(3, 0.08, id="rather sooner than later"),
        pytest.param(9, 0.08, id="more than it is known of"),
    ],
)
def test_the_latency_that_is_due_of_so_many_pods(pods: int, due: float) -> None:
    known = Capacity(57.0, DEMO, 0.10, ((2, 0.09), (4, 0.08)))
    assert known.eased_of_each(pods) == due
    assert replace(known, eased_of=()).eased_of_each(pods) == 0.10


def test_what_is_due_at_a_load_is_of_all_pods_together() -> None:
    learnt = LearntCurve(DEMO, 0.0, 1000)
    of = replace(objective(), serving=Serving(1, 4), gateways=1)
    four = due_seconds(learnt, of, 4, 120.0)
    assert four == percentile_seconds(PodShape(DEMO), 30.0, 95, Fleet(4, 1))
    assert due_seconds(learnt, of, 0, 120.0) is None, "nobody is there"
    assert due_seconds(learnt, of, 4, 0.0) is None, "nothing is asked"
    hasty = replace(of, serving=Serving(1, 4, timeout_seconds=0.05))
    assert due_seconds(learnt, hasty, 4, 120.0) is None, "what is rejected is in no such figure"
    assert due_seconds(learnt, replace(of, serving=TWICE), 4, 120.0) is None


# ------------------------------------------------------------------------------------- pipelines


TWICE = ServedPipeline(
    (
        ServedStep("encoder", Serving(1, 4)),
        ServedStep("policy", Serving(1, 4), (0,)),
        ServedStep("policy", Serving(1, 4), (1,)),
    )
)
SHARED = {"encoder": 1.0, "policy": 3.0}


@pytest.mark.parametrize(
    ("intervals", "before", "calls"),
    [
        pytest.param([], None, (1, 2), id="before anything was seen each step calls once"),
        pytest.param([(1000, 1000, 2010)], None, (1, 2), id="as it does"),
        pytest.param([(1000, 900, 1800)], None, (1, 2), id="spared steps are no relief"),
        pytest.param([(1000, 1000, 3000)], None, (1, 3), id="others ask for one of them, too"),
        pytest.param([(99, 99, 9999)], None, (1, 2), id="of too few requests nothing follows"),
        pytest.param([(99, 99, 9999)], SHARED, (1, 3), id="what was known stays"),
        pytest.param([(1000, 1000, 3000), (0, 0, 9999)], None, (1, 3), id="alone they say nothing"),
        pytest.param([(1000, 1000, 3200)], SHARED, (1, 3), id="hardly another number is none"),
        pytest.param([(1000, 1000, 2000)], SHARED, (1, 2), id="the others went"),
    ],
)
def test_how_often_steps_are_called_for_each_request(
    intervals: Sequence[tuple[int, int, int]],
    before: dict[str, float] | None,
    calls: tuple[float, float],
) -> None:
    seen = [dict(zip(("agent", "encoder", "policy"), each, strict=True)) for each in intervals]
    found = calls_per_request(seen, "agent", TWICE, before)
    assert found == dict(zip(("encoder", "policy"), calls, strict=True))


def test_a_pipeline_sustains_what_its_busiest_step_does_and_is_told_by_it() -> None:
    light = ServiceCurve(0.004, 0.001, 4)
    curves = {"encoder": LearntCurve(light, 0.0, 1000), "policy": LearntCurve(DEMO, 0.0, 1000)}
    calls = {"encoder": 1.0, "policy": 2.0}

    def within(seconds: float) -> Capacity | OutOfReach | None:
        of = replace(objective("agent"), latency_target_seconds=seconds)
        return pipeline_capacity(curves, calls, TWICE, of)

    found, idle = within(1.0), 0.005 + 2 * 0.050
    assert isinstance(found, Capacity)
    assert 20 < found.per_second < 25, "two calls each of a model that answers 50"
    assert found.learnt == BusiestStep("policy", DEMO)
    assert within(0.98 * idle) is None, "nearer than a curve may be off"
    assert within(0.85 * idle) == OutOfReach(
        pytest.approx(idle, rel=0.01), BusiestStep("policy", DEMO)
    )
