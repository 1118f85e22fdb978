"""How the tests run `trireme`: what it writes, and that nothing of it stays."""

import multiprocessing
import os
import signal
from importlib.metadata import version
from pathlib import Path

import pytest

from integration.trireme_process import TriremeProcess, ran

ENVIRONMENT = {"PATH": os.environ["PATH"]}


def test_what_a_command_answers_is_told_from_what_is_wrong(tmp_path: Path) -> None:
    done = ran("version", environment=ENVIRONMENT, folder=tmp_path)
    assert done == (0, f"{version('trireme')}\n", "")
    wrong = ran("nonsense", environment=ENVIRONMENT, folder=tmp_path)
    assert (wrong.status, wrong.output) == (2, "")
    assert "nonsense" in wrong.errors


def test_a_command_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    before, never = set(multiprocessing.active_children()), tmp_path / "never"
    os.mkfifo(never)  # nobody writes, so that who reads waits for ever
    with pytest.raises(AssertionError, match="it has not ended within 0 s"):
        ran("validate", "-f", str(never), environment=ENVIRONMENT, folder=tmp_path, seconds=0)
    assert set(multiprocessing.active_children()) == before


def test_no_signal_goes_to_one_that_has_ended(tmp_path: Path) -> None:
    process = TriremeProcess("version", environment=ENVIRONMENT, output=tmp_path / "output")
    assert process.wait(60) == 0
    process.send_signal(signal.SIGTERM)
    process.end()
