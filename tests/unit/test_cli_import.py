"""`trireme import`, as scripts use it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from trireme.cli import app


def run(*arguments: str | Path, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments], input=stdin)


MODEL = "class TritonPythonModel:\n    def execute(self, requests): ...\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    model = tmp_path / "My_Models" / "double"
    (model / "1").mkdir(parents=True)
    (model / "1" / "model.py").write_text(MODEL)
    (model / "config.pbtxt").write_text(
        'backend: "python" max_batch_size: 8\n'
        'input [{ name: "x" data_type: TYPE_FP32 dims: [ -1 ] }]\n'
        'output [{ name: "y" data_type: TYPE_FP32 dims: [ -1 ] }]\n'
        "instance_group [{ kind: KIND_CPU }]\n"
    )
    return model.parent


def test_the_manifest_and_nothing_else_is_on_standard_output(repository: Path) -> None:
    result = run("import", repository)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "\n  name: my-models\n" in result.stdout
    assert "# Imported from" in result.stdout


def test_what_was_imported_is_valid_and_is_rendered_back(repository: Path, tmp_path: Path) -> None:
    manifest = run("import", repository).stdout

    checked = run("validate", "-f", "-", stdin=manifest)
    assert (checked.exit_code, checked.stderr) == (0, "")

    back = tmp_path / "back"
    assert run("render", "-f", "-", "--repository", back, stdin=manifest).exit_code == 0
    assert (back / "double" / "1" / "model.py").read_text() == MODEL


def test_a_link_that_leads_back_up_ends(repository: Path) -> None:
    (repository / "double" / "1" / "up").symlink_to(repository)
    assert run("import", repository).exit_code == 0


def test_a_fault_is_on_standard_error_and_there_is_no_manifest(repository: Path) -> None:
    (repository / "double" / "config.pbtxt").write_text("max_batchsize: 1")
    result = run("import", repository)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("double/config.pbtxt: line 1:1 :")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["/nowhere"], id="no such folder"),
        pytest.param([".", "--name", "Wrong_Name"], id="no agent's name"),
        pytest.param([".", "--at", "models/here"], id="no URI"),
    ],
)
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    assert run("import", *arguments).exit_code == 2
