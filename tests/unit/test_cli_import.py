"""`trireme import`, as scripts use it."""

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from trireme.cli import app
from trireme.edge.stores.uri import parse


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
    ("at", "uri"),
    [
        ("s3://models/team/", "s3://models/team/double/1/"),
        ("s3://models", "s3://models/double/1/"),
        ("gs://models/team", "gs://models/team/double/1/"),
        ("az://models/team/", "az://models/team/double/1/"),
        ("https://models.example/team", "https://models.example/team/double/1/model.py"),
        ("hf://team/agent", "hf://team/agent/double/1/"),
        ("hf://team/agent@v2/triton/", "hf://team/agent@v2/triton/double/1/"),
        ("oci://registry.example/team/", "oci://registry.example/team/double:1"),
        ("oci://localhost:5000/team", "oci://localhost:5000/team/double:1"),
        ("pvc://models", "pvc://models/double/1/"),
        ("pvc://models/team/", "pvc://models/team/double/1/"),
    ],
)
def test_a_source_is_the_uri_of_the_version_at_the_place_that_is_named(
    repository: Path, at: str, uri: str
) -> None:
    manifest = run("import", repository, "--at", at)
    assert (manifest.exit_code, manifest.stderr) == (0, "")
    (agent,) = yaml.safe_load_all(manifest.stdout)
    assert agent["spec"]["models"][0]["source"] == {"uri": uri}
    checked = run("validate", "-f", "-", stdin=manifest.stdout)
    assert checked.exit_code == 0, checked.stderr
    location = parse(uri)
    assert location.name in (uri, f"{uri}/")
    assert location.folder == uri.endswith("/")


def test_several_versions_have_a_source_each(repository: Path) -> None:
    (repository / "double" / "12").mkdir()
    (repository / "double" / "12" / "model.py").write_text(MODEL)
    manifest = run("import", repository, "--at", "oci://registry.example/team").stdout
    (agent,) = yaml.safe_load_all(manifest)
    assert agent["spec"]["models"][0]["versions"] == [
        {"version": each, "source": {"uri": f"oci://registry.example/team/double:{each}"}}
        for each in (1, 12)
    ]


def test_one_model_is_at_the_place_itself(repository: Path) -> None:
    for at, uri in (
        ("oci://r.example/double", "oci://r.example/double:1"),
        ("s3://a", "s3://a/1/"),
    ):
        manifest = run("import", repository / "double", "--at", at).stdout
        (agent,) = yaml.safe_load_all(manifest)
        assert agent["spec"]["models"][0]["source"] == {"uri": uri}


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ("https://models.example/team", "double: https:// names one file, and there are 2 in it"),
        ("https://models.example/team?sig=1", "double: a query is of one file"),
        ("oci://registry.example/team:3", "double: a tag or a digest is of one artefact"),
        ("oci://registry.example/Team", "double: Team can be no part of a repository's name"),
    ],
)
def test_a_place_that_cannot_hold_the_version_is_told(
    repository: Path, at: str, words: str
) -> None:
    (repository / "double" / "1" / "weights.bin").touch()
    result = run("import", repository, "--at", at)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(words)


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
