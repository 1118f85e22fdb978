"""`trireme` in a process of its own that begins at once: forked from one that has imported it.

Nearly all of a start is imports (of `trireme run` some two seconds), and the tests start it more
than a hundred times. The process is one like any other: with its environment and signals, its exit
status and its end by a kill. The console script itself is run by `test_comparer` and tests/e2e.
"""

import multiprocessing
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

_SECONDS = 60  # the machine may be busy
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["trireme.cli", "trireme.control.program", "trireme.fetcher.program"]
)


class TriremeProcess:
    """A command that runs, or has run."""

    def __init__(
        self,
        *arguments: str,
        environment: Mapping[str, str],
        output: Path | None = None,
        errors: Path | None = None,
    ) -> None:
        """Start it; what it says goes to the file `output`, what is wrong to `errors` or there,
        too; else both go to where the tests' own go.
        """
        if output is not None:
            output.touch()  # whoever reads it need not wait for the process
        self._process = _CONTEXT.Process(
            target=_run, args=(arguments, dict(environment), output, errors), daemon=True
        )
        self._process.start()

    def send_signal(self, number: int) -> None:
        """To one that still runs: the number of one that has ended may be another's by now."""
        assert self._process.pid is not None
        if self._process.is_alive():
            os.kill(self._process.pid, number)

    def wait(self, seconds: float) -> int:
        """Its exit status, that of a kill negative."""
        self._process.join(seconds)
        assert self._process.exitcode is not None, f"it has not ended within {seconds} s"
        return self._process.exitcode

    def end(self) -> None:
        """Kill it, if it still runs."""
        self._process.kill()
        self._process.join()
        self._process.close()


class Ran(NamedTuple):
    """What became of a command: its exit status, and what it wrote to either stream."""

    status: int
    output: str
    errors: str


def ran(
    *arguments: str, environment: Mapping[str, str], folder: Path, seconds: float = _SECONDS
) -> Ran:
    """A command that was run to its end; what it wrote is left in the folder."""
    output, errors = folder / "output", folder / "errors"
    process = TriremeProcess(*arguments, environment=environment, output=output, errors=errors)
    try:
        status = process.wait(seconds)
    finally:
        process.end()
    return Ran(status, output.read_text(), errors.read_text())


def _run(
    arguments: tuple[str, ...],
    environment: dict[str, str],
    output: Path | None,
    errors: Path | None,
) -> None:
    """All that the new process does."""
    os.environ.clear()
    os.environ.update(environment)
    if output is not None:
        with output.open("wb") as file:
            for stream in (sys.stdout, sys.stderr):
                os.dup2(file.fileno(), stream.fileno())
    if errors is not None:
        with errors.open("wb") as file:
            os.dup2(file.fileno(), sys.stderr.fileno())
    from kubernetes.aio.config import kube_config

    from trireme.cli import main

    # Read from the environment once, at its import, which was the other process'.
    kube_config.KUBE_CONFIG_DEFAULT_LOCATION = environment.get("KUBECONFIG", "")
    sys.argv = ["trireme", *arguments]
    main()
