"""`python -m load`: one JSON line a second, a summary line at the end.

Exits with 0 where every request was answered rightly, else 1; 2 for wrong arguments.
"""

import argparse
import asyncio
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeVar

import numpy as np

from load.arrivals import RateProfile, parse_profile, parse_trace, poisson_arrivals
from load.clients import Target, open_clients
from load.generator import Limits, generate
from load.results import Protocol, Recorder, SecondReport, Summary
from load.tensors import Expectation, parse_input, random_tensor

_DISTINCT_REQUESTS = 32
_DEFAULT_LIMITS = Limits()

T = TypeVar("T")


def _explained(parse: Callable[[str], T]) -> Callable[[str], T]:
    """Let argparse print the parser's own words."""

    def parse_argument(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parse_argument


def _read_trace(path: str) -> RateProfile:
    try:
        return parse_trace(Path(path).read_text().splitlines())
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="load", description="Open-loop load on a Triton server over HTTP and gRPC."
    )
    add = parser.add_argument
    add("--host", required=True, help="the Service or host to call")
    add("--http-port", type=int, default=8000)
    add("--grpc-port", type=int, default=8001)
    add("--model", required=True)
    add(
        "--input",
        action="append",
        required=True,
        type=_explained(parse_input),
        metavar="NAME:TYPE:SHAPE",
        help="such as x:FP32:1x16, with the batch dimension; may be repeated",
    )
    add("--output", default="y", help="the output that --expect looks at")
    add(
        "--expect",
        type=Expectation,
        choices=list(Expectation),
        default=Expectation.ANY,
        help="what a right answer is, compared with the first input",
    )
    rates = parser.add_mutually_exclusive_group(required=True)
    rates.add_argument(
        "--profile",
        type=_explained(parse_profile),
        help="rates a second and how long each holds, such as 60s@40,120s@160",
    )
    rates.add_argument(
        "--trace",
        dest="profile",
        type=_explained(_read_trace),
        help="CSV with the columns seconds,requests: requests in the bin that begins there",
    )
    add("--grpc-share", type=float, default=0.5, help="share of requests by gRPC, from 0 to 1")
    add("--grpc-channels", type=int, default=4, help="gRPC connections, taken in turn")
    add("--seed", type=int, default=1, help="of the arrival times and the inputs")
    add("--request-timeout-seconds", type=float, default=_DEFAULT_LIMITS.request_seconds)
    add(
        "--max-in-flight",
        type=int,
        default=_DEFAULT_LIMITS.in_flight,
        help="unanswered requests at a time; what exceeds it is not sent, and reported",
    )
    add("--max-requests", type=int, default=_DEFAULT_LIMITS.requests)
    add("--max-seconds", type=float, default=3600.0, help="the profile is cut to this")
    return parser


def _with_protocol(
    arrivals: Iterator[float], grpc_share: float, seed: int
) -> Iterator[tuple[float, Protocol]]:
    draw = random.Random(seed + 1)  # apart from the draws of the arrival times
    for at in arrivals:
        yield at, Protocol.GRPC if draw.random() < grpc_share else Protocol.HTTP


async def _run(options: argparse.Namespace) -> Summary:
    limits = Limits(options.max_in_flight, options.request_timeout_seconds, options.max_requests)
    profile: RateProfile = options.profile.cut(options.max_seconds)
    draw = np.random.default_rng(options.seed)
    requests = [
        {spec.name: random_tensor(spec, draw) for spec in options.input}
        for _ in range(_DISTINCT_REQUESTS)
    ]
    target = Target(
        http=f"{options.host}:{options.http_port}",
        grpc=f"{options.host}:{options.grpc_port}",
        model=options.model,
        data_types={spec.name: spec.data_type for spec in options.input},
        output=options.output,
        expectation=options.expect,
    )
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    recorder = Recorder()
    async with AsyncExitStack() as stack:
        sends = await open_clients(stack, target, requests, limits, options.grpc_channels)
        arrivals = poisson_arrivals(profile, options.seed)
        cpu_before = time.process_time()
        seconds = await generate(
            profile,
            _with_protocol(arrivals, options.grpc_share, options.seed),
            sends,
            limits,
            recorder,
            _print_second,
            stop,
        )
        return recorder.summary(seconds, time.process_time() - cpu_before)


def _print_second(report: SecondReport) -> None:
    print(report.to_json(), flush=True)
    if report.not_sent:
        print(
            f"load: {report.not_sent} requests NOT SENT in second {report.second}: "
            f"{report.in_flight} are unanswered (--max-in-flight)",
            file=sys.stderr,
            flush=True,
        )


def main() -> int:
    """Run with the arguments of the command line; the exit code."""
    options = _arguments().parse_args()
    summary = asyncio.run(_run(options))
    print(summary.to_json(), flush=True)
    return 1 if summary.lost else 0


if __name__ == "__main__":
    sys.exit(main())
