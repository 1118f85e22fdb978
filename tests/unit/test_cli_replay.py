"""`trireme replay` over files: what it prints, and how it ends."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from trireme import __version__
from trireme.autoscaler.records import Inputs, Record, conclude, written
from trireme.cli import app
from unit.autoscaling import SETTLED, observed, policy, seen

INPUTS = Inputs(observed(2, seen(40.0, 0.182)), policy(), SETTLED)
LINE = written(Record(__version__, "team", "echo", INPUTS, conclude(INPUTS)[0])).line
OLDER = written(Record("0.0.1", "team", "echo", INPUTS, conclude(INPUTS)[0])).line
OTHERWISE = json.dumps(
    {**json.loads(LINE), "decision": {**json.loads(LINE)["decision"], "replicas": 4}}
)
BROKEN = json.dumps({**json.loads(LINE), "inputs": {}})
NOISE = '{"message": "leading as one", "severity": "info"}'
OWN, OLD = (json.loads(line)["inputDigest"] for line in (LINE, OLDER))
AGREED = f"2026-01-01T12:00:00Z  team/echo  2 → 5  ScaledUp  {OWN}  agreed"


def replay(file: Path, *lines: str) -> Result:
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return CliRunner().invoke(app, ["replay", str(file)])


@pytest.mark.parametrize(
    ("lines", "status", "out", "err"),
    [
        pytest.param([LINE], 0, [AGREED], ["1 agreed, 0 differed"], id="a record"),
        pytest.param(
            [NOISE, LINE, "", "Traceback (most recent call last):"],
            0,
            [AGREED],
            ["1 agreed, 0 differed, 2 lines are no records"],
            id="a whole log",
        ),
        pytest.param(
            [LINE, OTHERWISE],
            1,
            [
                AGREED,
                f"2026-01-01T12:00:00Z  team/echo  2 → 4  ScaledUp  {OWN}  "
                "DIFFERS, replicas: recorded 4, recomputed 5",
            ],
            ["1 agreed, 1 differed"],
            id="a decision that comes out otherwise",
        ),
        pytest.param(
            [OLDER],
            0,
            [f"{AGREED.replace(OWN, OLD)} (decided by version 0.0.1)"],
            [f"1 agreed, 0 differed, 1 of another version, computed by {__version__}"],
            id="a record of another version",
        ),
        pytest.param(
            [LINE, BROKEN],
            2,
            [AGREED],
            [
                f"line 2: inputs: Inputs has no 'memory' (written by version {__version__})",
                "1 agreed, 0 differed, 1 could not be read",
            ],
            id="a record that cannot be read",
        ),
        pytest.param(
            [NOISE], 2, [], ["0 agreed, 0 differed, 1 lines are no records"], id="no record"
        ),
    ],
)
def test_records_are_computed_anew(
    lines: list[str], status: int, out: list[str], err: list[str], tmp_path: Path
) -> None:
    result = replay(tmp_path / "log", *lines)
    assert result.stdout.splitlines() == out
    assert result.stderr.splitlines() == err
    assert result.exit_code == status


def test_standard_input_is_read() -> None:
    result = CliRunner().invoke(app, ["replay", "-"], input=f"{LINE}\n")
    assert (result.exit_code, result.stdout) == (0, f"{AGREED}\n")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["replay", str(tmp_path)])
    assert (result.exit_code, result.stderr) == (2, f"{tmp_path}: Is a directory\n")


def test_a_directory_by_the_name_of_an_agent_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no cluster is to be had; of one, its agent would be replayed."""
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    result = CliRunner().invoke(app, ["replay", "docs"])
    assert result.exit_code == 2
    assert result.stderr.startswith("docs is no file, and no cluster to talk to: ")
