"""`trireme import URI`: a model repository in object storage becomes an agent."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from integration.s3_server import BUCKET, KEYS, S3Server, s3_server
from model_files import onnx_encoder
from trireme.cli import app

REPOSITORY = f"s3://{BUCKET}/team/My_Models"
CONFIG = (
    b'backend: "onnxruntime" max_batch_size: 8\n'
    b'input [{ name: "x" data_type: TYPE_FP32 dims: [ -1 ] }]\n'
    b'output [{ name: "y" data_type: TYPE_FP32 dims: [ 2 ] label_filename: "labels.txt" }]\n'
)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        server.put("team/My_Models/encoder/config.pbtxt", CONFIG)
        server.put("team/My_Models/encoder/labels.txt", b"cat\ndog\n")
        server.put("team/My_Models/encoder/3/model.onnx", onnx_encoder())
        server.put("team/My_Models/encoder/3/", b"")  # what consoles make
        server.put("broken/encoder/config.pbtxt", b"max_batchsize: 1")
        yield server


def run(*arguments: str, stdin: str | None = None, **environment: str) -> Result:
    return CliRunner().invoke(app, arguments, input=stdin, env=environment)


def test_sources_are_uris_below_the_one_that_was_imported(s3: S3Server) -> None:
    result = run("import", REPOSITORY, "--endpoint", s3.url, "--region", "eu-north-1", **KEYS)
    assert (result.exit_code, result.stderr) == (0, "")
    config_map, agent = yaml.safe_load_all(result.stdout)
    assert config_map["data"] == {"labels.txt": "cat\ndog\n"}
    assert agent["metadata"]["name"] == "my-models"
    (model,) = agent["spec"]["models"]
    assert (model["version"], model["source"]) == (
        3,
        {"uri": f"{REPOSITORY}/encoder/3/", "endpoint": s3.url, "region": "eu-north-1"},
    )
    checked = run("validate", "-f", "-", stdin=result.stdout)
    assert (checked.exit_code, checked.stderr) == (0, "")


def test_one_model_is_imported_by_its_own_uri(s3: S3Server) -> None:
    result = run("import", f"{REPOSITORY}/encoder/", "--endpoint", s3.url, **KEYS)
    *_, agent = yaml.safe_load_all(result.stdout)
    assert agent["spec"]["models"][0]["source"]["uri"] == f"{REPOSITORY}/encoder/3/"


@pytest.mark.parametrize(
    ("at", "uri"),
    [
        ("pvc://models/team/", "pvc://models/team/encoder/3/"),
        ("gs://models", "gs://models/encoder/3/"),
        ("az://models/team", "az://models/team/encoder/3/"),
        ("hf://team/agent@v2", "hf://team/agent@v2/encoder/3/"),
        ("https://models.example/", "https://models.example/encoder/3/model.onnx"),
        ("oci://registry.example/team", "oci://registry.example/team/encoder:3"),
    ],
)
def test_another_place_may_be_named_for_the_pods(s3: S3Server, at: str, uri: str) -> None:
    result = run("import", REPOSITORY, "--endpoint", s3.url, "--at", at, **KEYS)
    *_, agent = yaml.safe_load_all(result.stdout)
    assert agent["spec"]["models"][0]["source"] == {"uri": uri}


def test_credentials_come_from_a_folder(s3: S3Server, tmp_path: Path) -> None:
    for key, value in KEYS.items():
        (tmp_path / key).write_text(value)
    options = ("--endpoint", s3.url, "--credentials", str(tmp_path))
    assert run("import", REPOSITORY, *options).exit_code == 0


def test_a_mistake_in_a_configuration_is_told_with_its_place(s3: S3Server) -> None:
    result = run("import", f"s3://{BUCKET}/broken", "--endpoint", s3.url, **KEYS)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("encoder/config.pbtxt: line 1:1 :")


@pytest.mark.parametrize(
    ("uri", "exit_code", "words"),
    [
        pytest.param(f"s3://{BUCKET}/nowhere", 1, "Correct the URI", id="nothing there"),
        pytest.param("s3://no-such-bucket/a", 1, "no such bucket", id="no bucket"),
        pytest.param("https://example.com/models/", 2, "lists no folders", id="a web server"),
        pytest.param("ftp://example.com/models/", 2, "lists no folders", id="no URI of ours"),
    ],
)
def test_what_cannot_be_listed_is_told(s3: S3Server, uri: str, exit_code: int, words: str) -> None:
    result = run("import", uri, "--endpoint", s3.url, **KEYS)
    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert words in " ".join(result.stderr.split())
