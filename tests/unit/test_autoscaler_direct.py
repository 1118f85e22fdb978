"""What is kept of what pods tell, and for how long."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from trireme.api.conditions import Reason
from trireme.autoscaler import points
from trireme.autoscaler.direct import MOST_SERIES, PodHistory, Sample, agent_samples, forget
from trireme.autoscaler.expressions import SERVER
from trireme.autoscaler.queries import Labels, window
from trireme.autoscaler.signals import Subject, assemble
from trireme.autoscaler.types.signals import NoSignals, Signals
from unit.autoscaling import NOW, objective, seconds

METRICS = (
    "nv_inference_request_success",
    "nv_inference_request_failure",
    "nv_inference_request_duration_us",
    "nv_inference_queue_duration_us",
    "nv_inference_pending_request_count",
)


def telling(models: int, version: str = "1") -> Iterator[Sample]:
    """A pod with so many models, one of them `m`."""
    for model in ("m", *(f"other-{number}" for number in range(models - 1))):
        for metric in METRICS:
            yield Sample(metric, (("model", model), ("version", version)), 0.0)


def judged(pod: PodHistory, at: float) -> Signals | NoSignals:
    now, over = NOW + seconds(at), window(None)
    pods = {"pod-0": pod}
    forget(pods, now - over)
    told = agent_samples(pods, Labels(), now=now, window=over, objectives=(objective(),))
    subject = Subject("shop", "agent", (objective(),), {}, {"pod-0": NOW - timedelta(1)}, None)
    return assemble(told, subject, now=now, window=over)


def kept(pod: PodHistory) -> int:
    return sum(map(len, pod.series.values()))


def test_a_series_that_a_pod_tells_twice_is_one_and_has_its_first_value() -> None:
    once, twice = PodHistory(SERVER), PodHistory(SERVER)
    for at in (0, 5):
        told = list(telling(1))
        once.add(NOW + seconds(at), told)
        twice.add(NOW + seconds(at), [*told, *(replace(each, value=7.0) for each in told)])
        assert isinstance(judged(twice, at), Signals if at else NoSignals)
    assert twice.series == once.series


@pytest.mark.parametrize("growth", [points.rate, points.delta])
def test_nothing_grows_within_a_moment(growth: Callable[..., float | None]) -> None:
    assert growth([(5.0, 1.0), (5.0, 2.0)], 0.0, 10.0) is None


def test_as_many_series_as_are_kept_are_signals() -> None:
    pod = PodHistory(SERVER)
    for at in (0, 5):
        pod.add(NOW + seconds(at), telling(MOST_SERIES // len(METRICS)))
    assert kept(pod) == MOST_SERIES
    assert isinstance(judged(pod, 5), Signals)


@pytest.mark.parametrize(
    ("models", "versions"),
    [
        pytest.param(MOST_SERIES // len(METRICS) + 1, 1, id="at once"),
        pytest.param(MOST_SERIES // len(METRICS) // 2, 9, id="by labels that are new each time"),
    ],
)
def test_of_a_pod_that_tells_too_many_series_nothing_is_kept_and_it_is_said(
    models: int, versions: int
) -> None:
    pod = PodHistory(SERVER)
    for number in range(12):
        pod.add(NOW + seconds(5 * number), telling(models, str(number % versions)))
        assert kept(pod) <= MOST_SERIES
        if number >= 2:
            found = judged(pod, 5 * number)
            assert isinstance(found, NoSignals)
            assert found.reason is Reason.TOO_MANY_SERIES
            assert found.message.startswith("server pod pod-0 tells ")
            assert f"at most {MOST_SERIES} are read: have Prometheus" in found.message


def test_a_pod_that_tells_fewer_again_is_read_again() -> None:
    pod = PodHistory(SERVER)
    pod.add(NOW, telling(MOST_SERIES))
    for at in range(5, 40, 5):
        pod.add(NOW + seconds(at), telling(1))
    assert isinstance(judged(pod, 30), NoSignals)
    assert isinstance(judged(pod, 35), Signals)
