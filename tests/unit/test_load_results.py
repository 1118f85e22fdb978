"""What became of the requests."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from load.results import (
    ErrorCount,
    Percentiles,
    Protocol,
    Recorder,
    parse_line,
    percentiles,
)

HTTP, GRPC = Protocol.HTTP, Protocol.GRPC


def test_percentiles_are_by_nearest_rank_in_milliseconds() -> None:
    twenty = [n / 1000 for n in range(1, 21)]
    assert percentiles(reversed(twenty)) == Percentiles(20, p50=10.0, p95=19.0, p99=20.0, max=20.0)


def test_there_are_no_percentiles_of_nothing() -> None:
    assert percentiles([]) is None


@given(st.lists(st.floats(0, 100), min_size=1))
def test_percentiles_ascend_and_at_most_a_twentieth_lies_above_the_95th(
    values: list[float],
) -> None:
    found = percentiles(values)
    assert found is not None
    assert found.p50 <= found.p95 <= found.p99 <= found.max
    above = sum(round(value * 1e3, 3) > found.p95 for value in values)
    assert above <= 0.05 * len(values)


def test_latency_counts_from_the_intended_time_and_also_from_the_sending() -> None:
    recorder = Recorder()
    recorder.sent(intended=1.0, now=1.25)
    recorder.answered(HTTP, intended=1.0, sent=1.25, now=1.5)
    summary = recorder.summary(2.0, client_cpu_seconds=0.1)
    assert summary.latency_ms == Percentiles(1, 500, 500, 500, 500)
    assert summary.latency_from_send_ms == Percentiles(1, 250, 250, 250, 250)
    assert summary.lateness_ms == Percentiles(1, 250, 250, 250, 250)


def test_a_second_reports_what_ended_in_it_by_protocol() -> None:
    recorder = Recorder()
    for intended in (0.1, 0.2, 0.3, 0.4):
        recorder.sent(intended, intended)
    recorder.answered(HTTP, 0.1, 0.1, 0.15)
    recorder.answered(GRPC, 0.2, 0.2, 0.9)
    recorder.errored(GRPC, "gone", 0.95)
    first = recorder.report(0, target_rate=4)
    assert (first.sent, first.ok, first.failed, first.in_flight) == (4, 2, 1, 1)
    assert first.latency_ms == Percentiles(2, 50, 700, 700, 700)
    assert first.by_protocol == {
        HTTP: Percentiles(1, 50, 50, 50, 50),
        GRPC: Percentiles(1, 700, 700, 700, 700),
    }
    recorder.answered(HTTP, 0.4, 0.4, 1.4)
    second = recorder.report(1, target_rate=0)
    assert (second.sent, second.ok, second.failed, second.in_flight) == (0, 1, 0, 0)
    assert second.latency_ms == Percentiles(1, 1000, 1000, 1000, 1000)


def test_the_summary_lists_each_distinct_error_with_its_count_and_first_time() -> None:
    recorder = Recorder()
    for at, protocol, text in [(1, HTTP, "refused"), (2, GRPC, "refused"), (3, HTTP, "refused")]:
        recorder.sent(at, at)
        recorder.errored(protocol, text, at + 0.5)
    assert recorder.summary(4, 0).errors == (
        ErrorCount("refused", HTTP, count=2, first_seconds=1.5),
        ErrorCount("refused", GRPC, count=1, first_seconds=2.5),
    )


@st.composite
def recorders(draw: st.DrawFn) -> Recorder:
    """A recorder after a run in which every request ended."""
    recorder = Recorder()
    for at in draw(st.lists(st.floats(0, 10), max_size=30).map(sorted)):
        protocol = draw(st.sampled_from(Protocol))
        match draw(st.sampled_from(["answered", "errored", "dropped"])):
            case "answered":
                recorder.sent(at, at)
                recorder.answered(protocol, at, at, at + draw(st.floats(0, 5)))
            case "errored":
                recorder.sent(at, at)
                recorder.errored(protocol, draw(st.sampled_from(["a", "b"])), at)
            case _:
                recorder.dropped()
    return recorder


@given(recorders())
def test_every_request_is_accounted_for(recorder: Recorder) -> None:
    summary = recorder.summary(15, 1)
    assert summary.asked == summary.ok + summary.failed + summary.not_sent
    assert summary.asked == recorder.asked
    assert summary.lost == summary.failed + summary.not_sent
    assert sum(error.count for error in summary.errors) == summary.failed
    assert sum(part.count for part in summary.by_protocol.values()) == summary.ok


@given(recorders())
def test_reports_and_summaries_survive_their_json(recorder: Recorder) -> None:
    summary = recorder.summary(15, 1)
    assert parse_line(summary.to_json()) == summary
    report = recorder.report(3, 40)
    assert parse_line(report.to_json()) == report


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("load: 3 requests NOT SENT", id="a warning"),
        pytest.param("[1]", id="JSON that is no object"),
        pytest.param(json.dumps({"other": 1}), id="another object"),
        pytest.param("", id="an empty line"),
    ],
)
def test_other_lines_of_the_log_are_passed_over(line: str) -> None:
    assert parse_line(line) is None
