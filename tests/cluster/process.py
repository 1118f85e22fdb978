"""Run other programs: no shell, no orphans, and the end of their output when they fail."""

import contextlib
import functools
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from cluster.errors import ClusterError
from cluster.progress import last_lines


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: IO[bytes] | None = None,
    log: Path | None = None,
    output: Path | None = None,
    timeout_seconds: float | None = None,
) -> str:
    """Run a program to its end and return what it said; its failure is a ClusterError.

    With a log, all it says goes there instead, to be read while the program runs; with an
    output, what it writes goes there, and what it says besides is for its failure.
    """
    with contextlib.ExitStack() as files:
        standard_output: int | IO[bytes] = subprocess.PIPE
        if (file := log or output) is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            standard_output = files.enter_context(file.open("wb"))
        try:
            done = subprocess.run(
                [*_dies_with_us(), *argv],
                env={**os.environ, **(env or {})},
                cwd=cwd,
                stdin=stdin or subprocess.DEVNULL,
                stdout=standard_output,
                stderr=subprocess.STDOUT if log else subprocess.PIPE,
                timeout=timeout_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            said = f"{shlex.join(argv)} did not end within {timeout_seconds:.0f} s"
            raise ClusterError(said) from error
    if done.returncode != 0:
        said = _last_words(done, log)
        raise ClusterError(f"{_shortened(argv)} ended with {done.returncode}:\n{said}")
    return (done.stdout or b"").decode(errors="replace")


def pipe(source: Sequence[str], sink: Sequence[str], *, env: Mapping[str, str]) -> None:
    """Run two programs, the first's output going into the second."""
    with tempfile.TemporaryFile() as said:
        first = subprocess.Popen(
            [*_dies_with_us(), *source],
            env={**os.environ, **env},
            stdout=subprocess.PIPE,
            stderr=said,
        )
        try:
            run(sink, env=env, stdin=first.stdout)
        finally:
            if first.stdout is not None:
                first.stdout.close()
            code = first.wait()
        if code != 0:
            said.seek(0)
            raise ClusterError(f"{_shortened(source)} ended with {code}:\n{said.read().decode()}")


def succeeds(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    timeout_seconds: float | None = None,
) -> bool:
    """Run a program for its yes or no."""
    try:
        run(argv, env=env, timeout_seconds=timeout_seconds)
    except (ClusterError, FileNotFoundError):
        return False
    return True


def _last_words(done: subprocess.CompletedProcess[bytes], log: Path | None) -> str:
    if log is not None:
        return last_lines(log)
    said = ((done.stdout or b"") + done.stderr).decode(errors="replace").rstrip()
    return "\n".join(said.splitlines()[-20:])


@functools.cache
def _dies_with_us() -> tuple[str, ...]:
    """Have the kernel end what we run when we are killed, where it can."""
    return ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()


def _shortened(argv: Sequence[str]) -> str:
    line = shlex.join(argv)
    return line if len(line) <= 200 else f"{line[:200]}…"
