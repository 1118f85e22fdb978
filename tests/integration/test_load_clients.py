"""The generator over real sockets: tritonclient against a look-alike of Triton on the loopback."""

import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from load.fake_server import fake_server
from load.results import Protocol, Summary, parse_line
from ports import free_port


async def run_load(http_port: int, grpc_port: int, *arguments: str) -> tuple[int, Summary]:
    """`python -m load` as a user runs it: its exit code and its last line."""
    process = await create_subprocess_exec(
        sys.executable, "-m", "load", "--host", "127.0.0.1",
        "--http-port", str(http_port), "--grpc-port", str(grpc_port),
        "--model", "policy", "--input", "x:FP32:1x16", *arguments,
        cwd=Path(__file__).parents[1], stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    output, errors = await process.communicate()
    lines = output.decode().splitlines()
    assert lines, errors.decode()
    summary = parse_line(lines[-1])
    assert isinstance(summary, Summary)
    assert process.returncode is not None
    return process.returncode, summary


async def test_right_answers_over_both_protocols_end_with_exit_code_0() -> None:
    async with fake_server() as (http, grpc):
        code, summary = await run_load(http, grpc, "--profile", "2s@60", "--expect", "double")
    assert code == 0
    assert summary.lost == 0
    assert summary.asked > 60
    assert set(summary.by_protocol) == {Protocol.HTTP, Protocol.GRPC}


async def test_wrong_answers_are_lost_requests_and_end_with_exit_code_1() -> None:
    async with fake_server() as (http, grpc):
        code, summary = await run_load(http, grpc, "--profile", "1s@40", "--expect", "echo")
    assert code == 1
    assert summary.ok == 0
    assert {error.protocol for error in summary.errors} == {Protocol.HTTP, Protocol.GRPC}
    assert all("is not the echo of the input" in error.text for error in summary.errors)


@pytest.mark.parametrize("grpc_share", ["0", "1"])
async def test_an_absent_server_is_told_in_the_client_s_words(grpc_share: str) -> None:
    code, summary = await run_load(
        free_port(), free_port(), "--profile", "1s@20", "--grpc-share", grpc_share
    )
    assert code == 1
    assert summary.failed == summary.asked > 0
    assert sum(error.count for error in summary.errors) == summary.failed
