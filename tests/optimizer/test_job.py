"""`trireme optimize-job`: from the folders that a pod mounts to a result of a few kilobytes."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from trireme.api.optimization import TargetName, Technique
from trireme.api.optimize import (
    FITTING,
    RESULT_FILE,
    OptimizedBackend,
    OptimizePlan,
    OptimizeResult,
)
from trireme.cli import app
from trireme.optimizer.recipes import recipes
from trireme.optimizer.samples import Samples
from trireme.optimizer.serving import GENERATED
from trireme.optimizer.wishes import Backend

PLAN = OptimizePlan(
    model="digits",
    labels="label",
    metric="accuracy",
    max_drop=0.02,
    budget=timedelta(seconds=20),
    techniques=[Technique.DEAD_BRANCHES, Technique.INT8_STATIC],
    backend=OptimizedBackend.ONNXRUNTIME,
    max_batch=4,
)


class Pod:
    """The folders of a pod."""

    def __init__(self, folder: Path, graph_file: Path, samples: Samples) -> None:
        self.model, self.samples = folder / "model", folder / "samples"
        self.into, self.result = folder / "result", folder / "message"
        for each in (self.model, self.samples, self.into):
            each.mkdir()
        shutil.copy(graph_file, self.model / "model.onnx")
        arrays: Mapping[str, Any] = {"image": samples.inputs["image"], "label": samples.labels}
        np.savez(self.samples / "digits.npz", **arrays)
        self._plan = folder / "plan.json"

    def optimise(self, plan: OptimizePlan) -> OptimizeResult:
        self._plan.write_text(plan.model_dump_json(by_alias=True), encoding="utf-8")
        command = ["optimize-job", f"--plan={self._plan}", f"--model={self.model}"]
        command += [f"--samples={self.samples}", f"--into={self.into}", f"--result={self.result}"]
        done = CliRunner().invoke(app, command)
        told = self.result.read_bytes()
        assert len(told) <= 4096
        assert (self.into / RESULT_FILE).read_bytes() == told  # for the delivery
        found = OptimizeResult.model_validate_json(told)
        assert done.exit_code == (0 if found.failure is None else 1), done.output
        return found


@pytest.fixture
def pod(tmp_path: Path, graph_file: Path, unseen: Samples) -> Pod:
    return Pod(tmp_path, graph_file, unseen)


def wide_layers(file: Path) -> None:
    """Wide layers: a processor waits for their weights, of which 8 bits make a quarter."""
    random = np.random.default_rng(1)
    layers = [
        random.standard_normal(shape).astype(np.float32) for shape in ((512, 4096), (4096, 8))
    ]
    weights = [numpy_helper.from_array(each / 64, f"w{n}") for n, each in enumerate(layers)]
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("MatMul", ["active", "w1"], ["y"]),
    ]
    tensors = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size])
        for name, size in (("x", 512), ("y", 8))
    ]
    graph = helper.make_graph(nodes, "wide", tensors[:1], tensors[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    file.write_bytes(model.SerializeToString())


def test_what_is_chosen_is_told_with_its_digest_and_lies_where_it_is_delivered_from(
    pod: Pod,
) -> None:
    wide_layers(pod.model / "model.onnx")
    (pod.samples / "digits.npz").unlink()
    random = np.random.default_rng(2)
    np.save(pod.samples / "x.npy", random.standard_normal((400, 512)).astype(np.float32))
    techniques = [Technique.DEAD_BRANCHES, Technique.INT8_DYNAMIC]
    changed = {"labels": None, "metric": "cosine", "techniques": techniques}
    found = pod.optimise(PLAN.model_copy(update=changed))
    assert found.failure is None
    assert found.gain is not None, found.summary
    assert found.gain.techniques == ["dead-branches", "int8-dynamic"]
    assert found.gain.throughput_ratio > 1
    assert found.gain.size_ratio < 0.5
    assert found.gain.most_drop <= PLAN.max_drop
    (chosen,) = [each for each in found.tried if each.techniques == found.gain.techniques]
    assert (chosen.refused, chosen.throughput_ratio) == (None, found.gain.throughput_ratio)
    assert (chosen.size_ratio, chosen.most_drop) == (found.gain.size_ratio, found.gain.most_drop)
    file = pod.into / "model_repository" / "digits" / "1" / "model.onnx"
    assert found.file == "model.onnx"
    assert found.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_recorded_requests_are_samples_and_a_target_that_is_missed_is_told(pod: Pod) -> None:
    wide_layers(pod.model / "model.onnx")
    (pod.samples / "digits.npz").unlink()
    random = np.random.default_rng(2)
    rows = random.standard_normal((400, 512)).astype(np.float32)
    with (pod.samples / "requests.jsonl").open("w", encoding="utf-8") as file:
        for batch in np.split(rows, 100):
            data = batch.ravel().tolist()
            tensor = {"name": "x", "shape": [4, 512], "datatype": "FP32", "data": data}
            file.write(json.dumps({"inputs": [tensor]}) + "\n")
    changed = {
        "labels": None,
        "metric": "cosine",
        "techniques": [Technique.DEAD_BRANCHES, Technique.INT8_DYNAMIC],
        "latency": timedelta(seconds=10),
        "size_bytes": 1024,
    }
    found = pod.optimise(PLAN.model_copy(update=changed))
    assert found.failure is None
    assert found.gain is not None, found.summary
    (missed,) = found.gain.missed
    assert (missed.target, missed.wanted) == (TargetName.SIZE, 1024)
    assert f"misses a wish: {missed}" in found.summary
    report = json.loads((pod.into / "report.json").read_text(encoding="utf-8"))
    assert report["samples"] == {"training": 120, "selection": 80, "heldOut": 200}
    assert [each["target"] for each in report["original"]["missed"]] == ["size"]


def test_a_drop_that_few_samples_cannot_exclude_gains_nothing(pod: Pod) -> None:
    found = pod.optimise(PLAN.model_copy(update={"max_drop": 0.0}))
    assert (found.failure, found.gain) == (None, None)
    assert "nothing is cheaper and shown to answer as well" in found.summary
    assert found.tried
    assert all(each.refused for each in found.tried)
    assert not (pod.into / "model_repository").exists()


def test_what_the_user_can_mend_is_told(pod: Pod) -> None:
    found = pod.optimise(PLAN.model_copy(update={"labels": "target"}))
    assert found.failure is not None
    assert "is neither an array of the samples nor a file" in found.failure


def test_a_reason_without_end_is_cut(pod: Pod) -> None:
    (pod.samples / "digits.npz").unlink()
    lacking = {"data": [{f"column-{n}-{'x' * 100}": [1.0] for n in range(100)}]}
    (pod.samples / "requests.json").write_text(json.dumps(lacking))
    assert pod.optimise(PLAN).failure is not None


def test_a_file_that_is_no_model_is_told_and_no_more(pod: Pod) -> None:
    (pod.model / "model.onnx").write_bytes(b"\x80\x04c__builtin__\neval\n")
    found = pod.optimise(PLAN)
    assert found.failure is not None
    assert "cannot be read" in found.failure


@pytest.mark.parametrize(
    ("files", "words"),
    [
        pytest.param({}, "its version holds nothing", id="an empty version"),
        pytest.param({"a.onnx": b"", "b.pt": b""}, "holds a.onnx, b.pt", id="two models"),
    ],
)
def test_a_version_without_one_model_is_told(pod: Pod, files: dict[str, bytes], words: str) -> None:
    (pod.model / "model.onnx").unlink()
    for name, content in files.items():
        (pod.model / name).write_bytes(content)
    found = pod.optimise(PLAN)
    assert found.failure is not None
    assert words in found.failure


def test_a_python_model_is_taken_only_with_the_program_that_executes_the_file_alone(
    pod: Pod,
) -> None:
    plan = PLAN.model_copy(update={"backend": OptimizedBackend.PYTHON})
    (pod.model / "model.py").write_text("# something else", encoding="utf-8")
    found = pod.optimise(plan)
    assert found.failure is not None
    assert "is a program of your own" in found.failure
    shutil.copy(GENERATED, pod.model / "model.py")
    assert pod.optimise(plan).failure is None


def test_the_names_in_the_resource_are_those_of_techniques_that_need_no_module(
    graph: Any, script: Any
) -> None:
    forms = {Backend.ONNXRUNTIME: graph, Backend.PYTHON: graph, Backend.PYTORCH: script}
    for backend, form in forms.items():
        tried = {step for recipe in recipes(form, backend, None) for step in recipe.steps}
        assert tried - {"aot-inductor"} == set(FITTING[OptimizedBackend(backend)])
    assert {each for fitting in FITTING.values() for each in fitting} == set(Technique)
