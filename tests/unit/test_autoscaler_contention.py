"""What instances cost each other, from the curves of two numbers of them."""

import random
from dataclasses import replace

import pytest

from trireme.api.scaling_status import CurveSource
from trireme.autoscaler.capacity import LearntCurve
from trireme.autoscaler.contention import (
    LearntContention,
    Seen,
    busy_share,
    contention,
    others_busy,
)
from trireme.autoscaler.service_curve import BatchTotal, Fitted, ServiceCurve, fit

CURVE = ServiceCurve(0.006, 0.001, 8)
LEARNT = LearntContention("digest", 0.4, 1, 2, 1000)


def pod(instances: int, sigma: float, per_second: float, batches: int = 4000) -> Seen:
    """A pod that executes so many batches of what comes by chance, each as far as others are busy
    meanwhile so much slower: what its statistics say.
    """
    draw = random.Random(7)
    now, queue, arrival, executed = 0.0, 0, draw.expovariate(per_second), 0
    running = list[tuple[int, float, float]]()  # requests, seconds left alone, begun
    totals: dict[int, BatchTotal] = {}
    while executed < batches:
        slower = 1 + sigma * (len(running) - 1)
        ends = min((left * slower for _, left, _ in running), default=float("inf"))
        step = min(ends, arrival - now)
        now += step
        running = [(size, left - step / slower, begun) for size, left, begun in running]
        if now >= arrival:
            queue, arrival = queue + 1, now + draw.expovariate(per_second)
        for size, _, begun in [each for each in running if each[1] <= 1e-12]:
            before = totals.get(size, BatchTotal(0, 0))
            nanoseconds = before.nanoseconds + round((now - begun) * 1e9)
            totals[size] = BatchTotal(before.executions + 1, nanoseconds)
            executed += 1
        running = [each for each in running if each[1] > 1e-12]
        while queue and len(running) < instances:
            size = min(queue, CURVE.max_batch)
            queue -= size
            running.append((size, CURVE.seconds(size), now))
    found = fit([totals], CURVE.max_batch)
    assert isinstance(found, Fitted)
    return Seen(found.curve, instances, executed, busy_share([(totals, now)], instances))


@pytest.mark.parametrize("load", [0.2, 0.5, 0.9], ids=["little", "much", "nearly all"])
@pytest.mark.parametrize(
    ("fewer", "more", "sigma"),
    [
        pytest.param(1, 2, 0.0, id="they share nothing"),
        pytest.param(1, 2, 0.4, id="they share some"),
        pytest.param(1, 3, 1.0, id="they share all"),
        pytest.param(2, 4, 0.3, id="of several and more"),
    ],
)
def test_what_they_cost_each_other_is_found_at_any_load(
    fewer: int, more: int, sigma: float, load: float
) -> None:
    def seen(instances: int) -> Seen:
        together = instances / (1 + sigma * (instances - 1))
        return pod(instances, sigma, load * together * CURVE.capacity_per_second())

    found = contention(seen(fewer), seen(more), "digest")
    assert found is not None
    assert found.sigma == pytest.approx(sigma, rel=0.2, abs=0.03)
    assert (found.fewest, found.most, found.executions) == (fewer, more, 4000)
    assert contention(seen(more), seen(fewer), "digest") == found


SINGLE = Seen(CURVE, 1, 1000, 0.6)
TWICE = replace(CURVE, fixed_seconds=0.012, per_request_seconds=0.002)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(SINGLE, Seen(TWICE, 2, 1000, 0.1), id="they hardly met"),
        pytest.param(SINGLE, Seen(TWICE, 2, 1000, None), id="it is not known whether they did"),
        pytest.param(Seen(CURVE, 2, 9, None), Seen(TWICE, 3, 9, 0.8), id="nor of the fewer"),
        pytest.param(SINGLE, Seen(TWICE, 1, 1000, 0.6), id="there is one number of them"),
    ],
)
def test_nothing_is_learnt(one: Seen, other: Seen) -> None:
    assert contention(one, other, "digest") is None


def test_of_one_instance_it_need_not_be_known_how_busy_it_was() -> None:
    found = contention(Seen(CURVE, 1, 500, None), Seen(TWICE, 2, 1000, 0.99), "digest")
    assert found is not None
    assert found.executions == 500
    assert found.sigma == pytest.approx(1.0, rel=0.05)


def test_what_is_beyond_reason_is_not_believed() -> None:
    slow = ServiceCurve(0.6, 0.1, 8)
    found = contention(SINGLE, Seen(slow, 2, 1000, 0.99), "digest")
    quick = contention(SINGLE, Seen(ServiceCurve(0.003, 0.001, 8), 2, 1000, 0.9), "digest")
    assert found is not None
    assert quick is not None
    assert (found.sigma, quick.sigma) == (3.0, 0.0)


@pytest.mark.parametrize(
    ("instances", "share", "others"),
    [
        (1, 0.9, 0.0),
        (2, 0.35, 0.52),
        (2, 0.0, 0.0),
        (2, 1.0, 0.99),
        (4, 1.0, 2.97),
        (4096, 0.5, 2048.0),
        (4096, 1.0, 4054.63),
    ],
)
def test_how_many_others_are_busy(instances: int, share: float, others: float) -> None:
    assert others_busy(instances, share) == pytest.approx(others, abs=0.03)


def test_how_busy_they_were_is_of_the_intervals_whose_length_is_known() -> None:
    executed = {4: BatchTotal(100, 1_000_000_000)}
    assert busy_share([(executed, 1.0), (executed, None)], 2) == 0.5
    assert busy_share([(executed, None)], 2) is None


# ------------------------------------------------------------------------- what is predicted by it

OF_TWO = LearntCurve(CURVE, 0.0, 1000, CurveSource.BATCHES, 2, LEARNT)


@pytest.mark.parametrize(
    ("instances", "times"),
    [
        pytest.param(1, 1.0, id="fewer, which may have hardly met"),
        pytest.param(2, 1.0, id="as many"),
        pytest.param(4, 2.2 / 1.4, id="twice as many"),
    ],
)
def test_a_curve_tells_of_other_numbers_of_instances(instances: int, times: float) -> None:
    found = OF_TWO.of_instances(instances)
    assert found.instances == instances
    assert found.curve.seconds(8) == pytest.approx(times * CURVE.seconds(8))


@pytest.mark.parametrize(
    ("learnt", "instances"),
    [
        pytest.param(OF_TWO, 5, id="beyond twice the most that was seen"),
        pytest.param(replace(OF_TWO, contention=None), 1, id="what they cost is not known"),
        pytest.param(replace(OF_TWO, instances=None), 1, id="nor what it was learnt of"),
    ],
)
def test_a_curve_tells_of_no_others(learnt: LearntCurve, instances: int) -> None:
    assert learnt.of_instances(instances) is learnt


def test_it_is_told_with_what_it_stands_on() -> None:
    assert str(LEARNT) == (
        "a batch takes 1.4 times as long with 2 instances as with 1, learnt from 1000 batches"
    )
