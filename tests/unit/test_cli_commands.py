"""The command line as a whole."""

import subprocess
import sys

import yaml
from typer.testing import CliRunner

from trireme.api.crd import crd
from trireme.cli import app


def test_crd_prints_the_definition_and_nothing_else() -> None:
    result = CliRunner().invoke(app, ["crd"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert yaml.safe_load(result.stdout) == crd()


def test_the_definition_holds_nothing_that_helm_would_take_for_a_template() -> None:
    assert "{{" not in CliRunner().invoke(app, ["crd"]).stdout


def test_version_prints_one_line() -> None:
    result = CliRunner().invoke(app, ["version"])
    assert result.exit_code == 0
    assert result.stdout.count("\n") == 1


def test_no_command_waits_for_what_only_another_needs_to_be_imported() -> None:
    code = (
        "import sys, trireme.cli; "
        "sys.exit(bool({'kopf', 'kubernetes', 'matplotlib'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_operator_does_not_load_what_only_the_fetcher_needs() -> None:
    code = (
        "import sys, trireme.cli, trireme.control.program, trireme.edge.stores.open; "
        "sys.exit(bool({'obstore', 'huggingface_hub', 'oras'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
