"""The live view, the plain lines and the summary, by the text that people read."""

import io
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from demo import manifests
from demo.manifests import one, read
from demo.state import EventLine, State, with_agent, with_load
from demo.summary import report, result_of
from demo.view import clock, live, milliseconds, plain, sparkline
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from load.results import ErrorCount, Percentiles, Protocol, SecondReport, Summary
from trireme.api import names
from trireme.api.agent import AgentDeployment

SCALING = {
    "desiredReplicas": 3,
    "observed": {
        "time": "2026-11-24T10:01:00Z",
        "model": "policy",
        "requestRatePerSecond": 60.0,
        "inFlight": 90.0,
        "latencyMilliseconds": 2210.0,
        "latencyKind": "p95",
        "pending": 86.0,
    },
    "decisions": [
        {
            "time": "2026-11-24T10:00:50Z",
            "reason": "ScaledUp",
            "fromReplicas": 1,
            "toReplicas": 3,
            "message": "p95 960 ms over 200 ms at 60 req/s on 1 pod: 1 → 3",
        },
        {
            "time": "2026-11-24T09:00:00Z",
            "reason": "ScaledDown",
            "fromReplicas": 2,
            "toReplicas": 1,
            "message": "an hour ago",
        },
    ],
}
READY = {
    "type": "Ready",
    "status": "False",
    "reason": "Scaling",
    "message": "1 of 3 pods are ready",
    "lastTransitionTime": "2026-11-24T10:00:50Z",
}


def agent() -> AgentDeployment:
    body = one(read(manifests.AGENT), names.KIND)
    status = {
        "observedGeneration": 0,
        "conditions": [READY],
        "readyReplicas": 1,
        "scaling": SCALING,
    }
    return AgentDeployment.model_validate({**body, "status": status})


def seconds(*p95_ms: float) -> list[SecondReport]:
    return [
        SecondReport(number, 60, 60, 48, 0, 0, 12 * number, Percentiles(48, 80, p95, p95, p95), {})
        for number, p95 in enumerate(p95_ms)
    ]


def state() -> State:
    start = with_agent(
        State("demo", 390, load_started=datetime(2026, 11, 24, 10, tzinfo=UTC)), agent()
    )
    event = EventLine(datetime(2026, 11, 24, 10, 0, 50, tzinfo=UTC), "ScaledUp", "1 → 3", False, 2)
    return replace(with_load(start, seconds(120, 150, 1900, 2400)), events=(event,))


def text_of(renderable: RenderableType) -> str:
    console = Console(record=True, width=130, file=io.StringIO())
    console.print(renderable)
    return console.export_text()


@pytest.mark.parametrize(
    "words",
    [
        "agent demo in namespace demo · 0:04 of 6:30 · Scaling: 1 of 3 pods are ready",
        "60/s sent, 48/s served",
        "p95 at client  2.4 s of 200 ms",
        "p95 at server  2.2 s of 200 ms",
        "at 10:01:00 UTC",
        "3 wanted, 1 ready, 5 at most",
        "86 in Triton, 36 unanswered",
        "10:00:50  ScaledUp    p95 960 ms over 200 ms at 60 req/s on 1 pod: 1 → 3",
        "10:00:50  ScaledUp  1 → 3 (×2)",
    ],
)
def test_the_live_view_shows(words: str) -> None:
    assert words in text_of(live(state()))


def test_the_live_view_stands_before_anything_is_known() -> None:
    text = text_of(live(State("demo", 390)))
    assert "the AgentDeployment does not exist" in text
    assert "no load yet" in text
    assert "– wanted, – ready, – at most" in text


def test_broken_seconds_are_red_and_kept_ones_green() -> None:
    console = Console(record=True, width=130, file=io.StringIO())
    console.print(live(state()))
    line = next(
        line for line in console.export_text(styles=True).splitlines() if "p95 at client" in line
    )
    assert "\x1b[32m▃" in line  # 120 ms, on a scale of twice the objective
    assert "\x1b[1;31m█" in line


def test_the_plain_line_says_the_same_in_one_line() -> None:
    assert plain(state()) == (
        " 0:04  sent 60/s  served 48/s  p95 2.4 s of 200 ms  pods 1 of 3  pending 86  "
        "unanswered 36  lost 0"
    )


@given(
    st.lists(st.none() | st.floats(0, 1e6), max_size=200),
    st.integers(1, 60),
    st.none() | st.floats(0, 1e6),
)
def test_a_sparkline_fits_its_width_whatever_it_shows(
    values: list[float | None], width: int, top: float | None
) -> None:
    bars = sparkline(values, width, top)
    assert len(bars) == min(len(values), width)
    assert set(bars) <= set(" ▁▂▃▄▅▆▇█")


@given(st.integers(0, 999), st.integers(1, 60))
def test_a_peak_shows_however_narrow_the_sparkline(position: int, width: int) -> None:
    values = [1.0] * 1000
    values[position] = 8.0
    assert "█" in sparkline(values, width)


def test_a_sparkline_leaves_what_is_unknown_blank() -> None:
    assert sparkline([0, None, 7], 10) == "▁ █"


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        pytest.param(clock(125.9), "2:05", id="minutes and seconds"),
        pytest.param(milliseconds(None), "–", id="an unknown latency"),
        pytest.param(milliseconds(99.6), "100 ms", id="milliseconds"),
        pytest.param(milliseconds(12_340), "12.3 s", id="seconds"),
    ],
)
def test_numbers_are_short(shown: str, text: str) -> None:
    assert shown == text


LATENCY = Percentiles(100, 90, 180, 400, 500)


def summary(asked: int, ok: int, failed: int, *errors: ErrorCount) -> Summary:
    not_sent = asked - ok - failed
    return Summary(
        390, ok + failed, ok, failed, not_sent, LATENCY, LATENCY, LATENCY, {}, errors, 1.0
    )


def test_the_summary_of_a_run_without_loss() -> None:
    result = result_of(replace(state(), summary=summary(240, 240, 0)))
    assert result is not None
    text = text_of(report(result))
    assert result.exit_code == 0
    assert "asked  240 requests" in text
    assert "served  240 requests" in text
    assert "lost  0" in text
    assert "p50 90 ms, p95 180 ms, p99 400 ms" in text
    assert "50% of the time (p95 within 200 ms in 2 of 4 seconds)" in text
    assert "+0:50  1 → 3  ScaledUp  p95 960 ms over 200 ms" in text
    assert "an hour ago" not in text  # it belongs to an earlier run


def test_a_lost_request_is_told_with_its_error_and_fails_the_demo() -> None:
    error = ErrorCount("[503] no healthy upstream", Protocol.HTTP, 2, 65.4)
    result = result_of(replace(state(), summary=summary(240, 237, 2, error)))
    assert result is not None
    text = text_of(report(result))
    assert result.exit_code == 1
    assert "lost  3" in text
    assert "2 × http, first at 1:05: [503] no healthy upstream" in text
    assert "1 × not sent" in text


def test_a_run_that_served_nothing_has_failed() -> None:
    result = result_of(replace(state(), summary=summary(0, 0, 0)))
    assert result is not None
    assert result.exit_code == 1


def test_there_is_no_result_without_the_load_s_own_summary() -> None:
    assert result_of(state()) is None
