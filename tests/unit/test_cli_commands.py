"""The command line as a whole."""

import json
import re
import subprocess
import sys

import typer
import yaml
from typer.core import TyperGroup
from typer.testing import CliRunner

from trireme.api.crd import crd
from trireme.cli import app


def test_crd_prints_the_definition_and_nothing_else() -> None:
    result = CliRunner().invoke(app, ["crd"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert yaml.load(result.stdout, yaml.CSafeLoader) == crd()


def test_the_definition_holds_nothing_that_helm_would_take_for_a_template() -> None:
    assert "{{" not in CliRunner().invoke(app, ["crd"]).stdout


def test_help_lists_what_people_type_and_names_the_rest() -> None:
    text = CliRunner(env={"COLUMNS": "80"}).invoke(app, ["--help"]).stdout
    commands, _, rest = text.partition("Commands:")[2].partition("Pods run ")
    listed = re.findall(r"^  ([a-z]\S*)", commands, re.MULTILINE)
    named = re.findall(r"[a-z][-a-z]+", rest.replace(" and ", " "))
    assert listed[0] == "explain"
    assert "..." not in commands
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    assert sorted(listed + named) == sorted(group.commands)


def test_version_prints_one_line() -> None:
    result = CliRunner().invoke(app, ["version"])
    assert result.exit_code == 0
    assert result.stdout.count("\n") == 1


IMPORTS = """
import json, sys
import trireme.cli
told = [[*sys.modules]]
import trireme.control.program, trireme.edge.stores.open
print(json.dumps([*told, [*sys.modules]]))
"""


def test_no_program_loads_what_only_another_needs() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTS], check=True, capture_output=True)
    commands, operator = map(set, json.loads(done.stdout))
    assert not {"kopf", "kubernetes", "matplotlib"} & commands, "a command would wait for it"
    assert not {"obstore", "huggingface_hub", "oras"} & operator, "the fetcher's alone"
