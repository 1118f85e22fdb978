"""Sends each arrival at its time, whatever became of the others.

The event loop's clock is the only one used, so tests run it in virtual time. Nothing here knows
of networks: a `Send` does one request and raises where it failed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from load.arrivals import RateProfile
from load.results import Protocol, Recorder, SecondReport

Send = Callable[[], Awaitable[None]]

_LONGEST_ERROR_TEXT = 500  # characters; a server's traceback can be pages


@dataclass(frozen=True, slots=True)
class Limits:
    """What the generator allows itself.

    At most `in_flight` unanswered requests (more are dropped and counted), each waiting at most
    `request_seconds`, and `requests` in all.
    """

    in_flight: int = 2000
    request_seconds: float = 60.0
    requests: int = 1_000_000


async def generate(
    profile: RateProfile,
    arrivals: Iterable[tuple[float, Protocol]],
    sends: Mapping[Protocol, Send],
    limits: Limits,
    recorder: Recorder,
    on_second: Callable[[SecondReport], None],
    stop: asyncio.Event,
) -> float:
    """Send until the arrivals end, `stop` is set or a limit is met; then wait for the answers.

    `arrivals` are times since the start, ascending. `on_second` gets each second's report, the
    second in which the last answer came included. Returns the seconds taken.
    """
    loop = asyncio.get_running_loop()
    start = loop.time()
    tasks: set[asyncio.Task[None]] = set()

    async def one(protocol: Protocol, intended: float) -> None:
        sent = loop.time() - start
        recorder.sent(intended, sent)
        try:
            async with asyncio.timeout(limits.request_seconds):
                await sends[protocol]()
        except Exception as error:
            recorder.errored(protocol, describe(error, limits), loop.time() - start)
        else:
            recorder.answered(protocol, intended, sent, loop.time() - start)

    seconds_reported = 0

    def report() -> None:
        nonlocal seconds_reported
        on_second(recorder.report(seconds_reported, profile.rate_at(seconds_reported)))
        seconds_reported += 1

    async def report_each_second() -> None:
        while True:
            await asyncio.sleep(start + seconds_reported + 1 - loop.time())
            report()

    reporter = loop.create_task(report_each_second())
    try:
        for count, (intended, protocol) in enumerate(arrivals):
            if count >= limits.requests or await _stopped(stop, start + intended - loop.time()):
                break
            if len(tasks) >= limits.in_flight:
                recorder.dropped()
                continue
            task = loop.create_task(one(protocol, intended))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        if tasks:
            await asyncio.wait(tasks)
    finally:
        reporter.cancel()
    report()
    return loop.time() - start


async def _stopped(stop: asyncio.Event, seconds: float) -> bool:
    """Wait, and say whether `stop` was set meanwhile. An arrival already due costs no wait."""
    if seconds <= 0:
        return stop.is_set()
    try:
        async with asyncio.timeout(seconds):
            return await stop.wait()
    except TimeoutError:
        return False


def describe(error: Exception, limits: Limits) -> str:
    """An error as one line that equal errors share."""
    if isinstance(error, TimeoutError):
        return f"no answer within {limits.request_seconds:g} s"
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:_LONGEST_ERROR_TEXT]
