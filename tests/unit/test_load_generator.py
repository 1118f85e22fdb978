"""The generator in virtual time: hours of load pass in milliseconds, exactly on time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from load.arrivals import RateProfile, Step, parse_profile, poisson_arrivals
from load.generator import Limits, describe, generate
from load.results import Protocol, Recorder, SecondReport, Summary
from virtual_time import VirtualTimeLoop


@dataclass(frozen=True)
class Run:
    """What a run in virtual time gave."""

    summary: Summary
    seconds: tuple[SecondReport, ...]
    sent_at: tuple[float, ...]


def run(
    profile: RateProfile,
    answer: Callable[[float], Awaitable[None]],
    limits: Limits | None = None,
    stop_after_seconds: float | None = None,
    seed: int = 1,
) -> Run:
    """Drive `answer` (given the time of sending) along the profile."""

    async def main() -> Run:
        loop = asyncio.get_running_loop()
        start = loop.time()
        recorder, reports, sent_at = Recorder(), list[SecondReport](), list[float]()
        stop = asyncio.Event()
        if stop_after_seconds is not None:
            loop.call_later(stop_after_seconds, stop.set)

        async def send() -> None:
            sent_at.append(loop.time() - start)
            await answer(loop.time() - start)

        seconds = await generate(
            profile,
            ((at, Protocol.HTTP) for at in poisson_arrivals(profile, seed)),
            {Protocol.HTTP: send},
            limits or Limits(),
            recorder,
            reports.append,
            stop,
        )
        return Run(recorder.summary(seconds, 0), tuple(reports), tuple(sent_at))

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main())


def after(seconds: float) -> Callable[[float], Awaitable[None]]:
    """Answers that take a time."""

    async def answer(_: float) -> None:
        await asyncio.sleep(seconds)

    return answer


@settings(max_examples=25)
@given(st.floats(0.001, 40), st.integers(0, 2**32))
def test_every_arrival_is_sent_at_its_time_however_slow_the_answers_are(
    answer_seconds: float, seed: int
) -> None:
    profile = RateProfile((Step(10, 5), Step(5, 0), Step(10, 30)))
    result = run(profile, after(answer_seconds), Limits(request_seconds=60), seed=seed)
    assert result.sent_at == pytest.approx(list(poisson_arrivals(profile, seed)))
    assert result.summary.lost == 0


def test_latency_includes_the_wait_of_a_server_that_stood_still() -> None:
    async def answer(sent: float) -> None:
        await asyncio.sleep(max(0.01, 20 - sent if sent >= 10 else 0))  # still from 10 s to 20 s

    result = run(parse_profile("30s@50"), answer)
    latency = result.summary.latency_ms
    assert latency is not None
    # A third of all arrivals waits up to 10 s, so the 95th percentile is that of the upper 5 of
    # 33 percent: about 8.5 s. A client that waited for answers would have seen 10 ms.
    assert 8000 < latency.p95 < 9000


@given(st.integers(0, 2**32))
@settings(max_examples=25)
def test_the_seconds_add_up_to_the_summary(seed: int) -> None:
    result = run(parse_profile("3s@20,2s@100"), after(1.7), Limits(in_flight=60), seed=seed)
    seconds, summary = result.seconds, result.summary
    assert [report.second for report in seconds] == list(range(len(seconds)))
    assert sum(report.ok for report in seconds) == summary.ok
    assert sum(report.not_sent for report in seconds) == summary.not_sent
    assert sum(report.sent for report in seconds) == summary.asked - summary.not_sent
    assert seconds[-1].in_flight == 0


def test_too_many_unanswered_requests_are_not_sent_and_counted_as_lost() -> None:
    result = run(parse_profile("10s@50"), after(30), Limits(in_flight=10, request_seconds=60))
    summary = result.summary
    assert summary.ok == 10
    assert summary.not_sent == summary.asked - 10 > 300
    assert summary.lost == summary.not_sent


def test_a_request_without_an_answer_in_time_has_failed() -> None:
    result = run(parse_profile("5s@2"), after(1e9), Limits(request_seconds=3))
    (error,) = result.summary.errors
    assert error.text == "no answer within 3 s"
    assert error.count == result.summary.asked == result.summary.failed


def test_an_error_fails_its_own_request_only() -> None:
    async def answer(sent: float) -> None:
        if 4 < sent < 5:
            raise ConnectionResetError("reset by peer")

    result = run(parse_profile("10s@20"), answer)
    lost = sum(4 < sent < 5 for sent in result.sent_at)
    assert lost > 0
    assert result.summary.failed == lost
    assert result.summary.ok == len(result.sent_at) - lost
    assert result.summary.errors[0].text == "ConnectionResetError: reset by peer"
    assert result.summary.errors[0].first_seconds == pytest.approx(4, abs=1)


def test_a_stop_ends_the_sending_and_waits_for_the_answers() -> None:
    result = run(parse_profile("1h@10"), after(2), stop_after_seconds=30)
    assert max(result.sent_at) <= 30
    assert result.summary.lost == 0
    assert result.summary.seconds == pytest.approx(max(result.sent_at) + 2, abs=1e-3)


def test_a_stop_is_obeyed_in_the_middle_of_a_long_silence() -> None:
    result = run(parse_profile("10s@10,1h@0,10s@10"), after(0), stop_after_seconds=20)
    assert result.summary.seconds == pytest.approx(20)


def test_no_more_requests_leave_than_the_limit_allows() -> None:
    assert run(parse_profile("1h@10"), after(0), Limits(requests=7)).summary.asked == 7


def test_an_error_is_one_line_of_bounded_length() -> None:
    text = describe(RuntimeError("a\n  b" + "x" * 10_000), Limits())
    assert text.startswith("RuntimeError: a bx")
    assert len(text) == 500
