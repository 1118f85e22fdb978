"""`trireme optimize`, from files to a repository and a report."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner, Result

from trireme.api.models import Model
from trireme.cli import app
from trireme.modelrepo.plan import model_config
from trireme.modelrepo.proto import ModelConfig, text_format
from trireme.optimizer.samples import Samples
from trireme.optimizer.wishes import ModelSource


def optimise(into: Path, model: str, samples: Path, *options: str) -> Result:
    command = ["optimize", model, "--samples", str(samples), "--into", str(into), *options]
    return CliRunner().invoke(app, command)


@pytest.fixture(scope="module")
def samples(folder: Path, unseen: Samples) -> Path:
    np.savez(folder / "samples.npz", image=unseen.inputs["image"], label=unseen.labels)
    return folder / "samples.npz"


RECIPE = "onnx + dead-branches + int8-static"
OPTIONS = ("--labels", "label", "--max-accuracy-drop", "2%", "--max-batch", "4")


@pytest.fixture(scope="module")
def made(source: ModelSource, samples: Path, folder: Path) -> Path:
    into = folder / "made"
    given = (*OPTIONS, "--recipe", RECIPE, "--backend", "python", "--name", "digits")
    result = optimise(into, source.path, samples, "--weights", str(source.weights), *given)
    assert result.exit_code == 0, result.output
    assert f"{RECIPE}: " in result.output
    return into


def test_the_repository_is_what_the_specs_part_renders_to(made: Path) -> None:
    (entry,) = yaml.safe_load((made / "model.yaml").read_text(encoding="utf-8"))
    config = model_config(Model.model_validate(entry))
    folder = made / "model_repository" / "digits"
    written = (folder / "config.pbtxt").read_text(encoding="utf-8")
    assert text_format.Parse(written, ModelConfig()) == config
    assert sorted(file.name for file in (folder / "1").iterdir()) == ["model.onnx", "model.py"]
    others = sorted(file.stem for file in (made / "configurations").iterdir())
    assert others == ["onnxruntime", "python"]  # TensorRT takes no unsigned activations


def test_the_report_tells_what_was_chosen_and_why(made: Path) -> None:
    report = json.loads((made / "report.json").read_text(encoding="utf-8"))
    assert report["winner"] == RECIPE
    assert report["samples"] == {"training": 359, "selection": 239, "heldOut": 599}
    (finalist,) = report["finalists"]
    assert finalist["throughputRatio"] > 1
    assert finalist["mostDrop"] <= 0.02
    assert finalist["refused"] is None
    assert set(report["model"]["sha256"]) == {"model", "weights", "samples"}
    assert finalist["trainingEndedByClock"] is False
    assert finalist["confidence"] == 0.9875  # as one of four that a report chose among
    assert {"torch-pruning", "onnx", "onnxscript"} <= report["measuredOn"].keys()
    page = (made / "report.html").read_text(encoding="utf-8")
    assert f"Chosen: <b>{RECIPE}</b>" in page
    assert page.count("<svg") == 2


def test_the_same_seed_makes_the_same_bytes(
    made: Path, source: ModelSource, samples: Path, folder: Path
) -> None:
    given = (*OPTIONS, "--recipe", RECIPE, "-o", "json")
    result = optimise(
        folder / "again", source.path, samples, "--weights", str(source.weights), *given
    )
    assert result.exit_code == 0, result.output
    again = json.loads(result.stdout)
    before = json.loads((made / "report.json").read_text(encoding="utf-8"))
    assert again["finalists"][0]["sha256"] == before["finalists"][0]["sha256"]


def test_nothing_that_passes_ends_with_1_and_a_report(
    source: ModelSource, samples: Path, folder: Path
) -> None:
    into = folder / "none"
    given = ("--labels", "label", "--max-accuracy-drop", "0%", "--max-batch", "1")
    given = (*given, "--recipe", "onnx", "--weights", str(source.weights))
    result = optimise(into, source.path, samples, *given)
    assert result.exit_code == 1
    assert "nothing is cheaper and shown to answer as well" in result.output
    assert sorted(file.name for file in into.iterdir()) == ["report.html", "report.json"]


def test_a_result_leaves_nothing_of_an_older_one(
    source: ModelSource, samples: Path, folder: Path
) -> None:
    into = folder / "older"
    for part in ("model_repository/other/1", "configurations"):
        (into / part).mkdir(parents=True)
        (into / part / "old").write_text("old", encoding="utf-8")
    (into / "model.yaml").write_text("old", encoding="utf-8")
    (into / "notes.txt").write_text("not the optimiser's", encoding="utf-8")
    given = (*OPTIONS, "--max-accuracy-drop", "0%", "--recipe", "onnx")
    optimise(into, source.path, samples, *given, "--weights", str(source.weights))
    assert sorted(each.name for each in into.iterdir()) == [
        "notes.txt",
        "report.html",
        "report.json",
    ]


def test_where_it_cannot_be_kept_nothing_is_searched(
    source: ModelSource, samples: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    given = (*OPTIONS, "--recipe", RECIPE, "--weights", str(source.weights))
    result = optimise(tmp_path / "file" / "into", source.path, samples, *given)
    assert result.exit_code == 1
    assert "cannot be written to: Not a directory" in result.output


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        pytest.param(["--metric", "quality"], 1, "is no metric", id="no such metric"),
        pytest.param(["--techniques", "magic"], 1, "is no technique", id="no such technique"),
        pytest.param(["--recipe", "fuse + onnx"], 1, "in an order that is none", id="no order"),
        pytest.param(
            ["--recipe", "onnx", "--backend", "pytorch"],
            1,
            "Export it by torchscript",
            id="no file",
        ),
        pytest.param(
            ["--recipe", "torchscript"], 1, "the backend onnxruntime loads", id="another's file"
        ),
        pytest.param(["--recipe", "prune-50"], 1, "Export it by onnx", id="no export"),
        pytest.param(["--labels", "labels"], 1, "Name one of image, label", id="no such labels"),
        pytest.param(["--max-accuracy-drop", "0.5"], 2, "is not a percentage", id="no unit"),
        pytest.param(["--budget", "5"], 2, "is not a duration", id="no unit of time"),
        pytest.param(["--confidence", "40%"], 2, "is not from 50%", id="less than a coin"),
        pytest.param(["--name", "a b"], 2, "is no name of a model", id="no name"),
        pytest.param(["--size", "much"], 2, "is not a quantity", id="no size"),
        pytest.param(["--size", "500m"], 2, "500m is nothing", id="half a byte"),
        pytest.param(["--latency", "0s"], 2, "0s is nothing", id="no time"),
    ],
)
def test_what_is_asked_wrongly_is_told(
    options: list[str], code: int, told: str, source: ModelSource, samples: Path, tmp_path: Path
) -> None:
    given = ["--weights", str(source.weights)]
    given += [] if "--labels" in options else ["--labels", "label"]
    result = optimise(tmp_path / "none", source.path, samples, *given, *options)
    assert result.exit_code == code
    assert told in " ".join(result.output.replace("│", " ").split())
    assert not (tmp_path / "none").exists()


def test_an_onnx_model_is_not_for_the_pytorch_backend(
    graph_file: Path, samples: Path, tmp_path: Path
) -> None:
    result = optimise(
        tmp_path / "none", str(graph_file), samples, "--labels", "label", "--backend", "pytorch"
    )
    assert result.exit_code == 1
    assert "serves nothing that can be made of" in result.output
