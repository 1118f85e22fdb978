"""Mistakes of users in public, as a real Triton 24.10 answers them where nobody refuses them first.

These are rows of `unit.test_admission_bad_inputs` whose harm shows at run time: here are the
server's own words, why Trireme refuses them, and which mistakes Triton takes without a word. Not
here is a warm-up that fails: this release tells it, or crashes, in about every second start.
"""

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from integration.stand_ins import ZEROS, write_model
from integration.triton_server import TritonServer, triton
from trireme.admission.check import check
from trireme.admission.parse import parse_agent
from trireme.edge.local_tree import LocalTree
from trireme.errors import Fault, InvalidSpec
from trireme.modelrepo.imported import Choices, import_repository

IMAGE = "example.com/triton:24.10-py3"
TENSORS = (
    'input { name: "x" data_type: TYPE_FP32 dims: 1 } '
    'output { name: "y" data_type: TYPE_FP32 dims: 1 } '
)
PYTHON = f'backend: "python" {TENSORS}'
WARMUP = (
    'model_warmup { name: "zeros" batch_size: 1 '
    'inputs { key: "x" value { data_type: TYPE_FP32 dims: 1 zero_data: true } } } '
)
STEP = (
    'model_name: "good" model_version: -1 '
    'input_map { key: "x" value: "x" } output_map { key: "y" value: "y" }'
)


def ensemble(step: str = STEP, tensors: str = TENSORS) -> str:
    return f'platform: "ensemble" {tensors} ensemble_scheduling {{ step {{ {step} }} }}'


@dataclass(frozen=True)
class Row:
    """A model and what becomes of it: Triton's words, in its index or, where that has none, only
    in its log; or no words at all, since it is served.
    """

    config: str
    words: str = ""
    versions: tuple[str, ...] = ("1",)
    only_in_log: bool = False


ROWS: Mapping[str, Row] = {
    "malformed text (server#2688)": Row(
        'backend: "python" input { name: "x" data_type: TYPE_FP32 dims: [1,-1,-1 3 ] }',
        "failed to read text proto",
        only_in_log=True,
    ),
    "a field that is newer than the server": Row(
        PYTHON + "model_metrics { metric_control { metric_identifier { family: 'a' } } }",
        "failed to read text proto",
        only_in_log=True,
    ),
    "unfilled template inside a string (tensorrtllm_backend#526)": Row(
        f'backend: "${{triton_backend}}" {TENSORS}',
        "unable to find backend library for backend '${triton_backend}'",
    ),
    "backend absent from the image (server#8342)": Row(
        f'backend: "fil" {TENSORS}', "unable to find backend library for backend 'fil'"
    ),
    "no backend, and a file that says none (server#7336)": Row(
        TENSORS,
        "Could not determine backend for model",
        versions=(),
        only_in_log=True,
    ),
    "runtime outside the backend directory (qa/L0_model_config)": Row(
        PYTHON + 'runtime: "../libtriton_python.so"',
        "unable to find backend library '../libtriton_python.so'",
    ),
    "GPUs that are not there (server#2584)": Row(
        PYTHON + "instance_group { kind: KIND_GPU gpus: 1 }",
        "specifies invalid or unsupported gpu id 1",
    ),
    "instances on GPUs in a pod without one": Row(
        PYTHON + "instance_group { kind: KIND_GPU }", "has kind KIND_GPU but no GPUs are available"
    ),
    "a preferred batch without batches": Row(
        PYTHON + "dynamic_batching { preferred_batch_size: 4 }",
        "dynamic batching preferred size must be <= max batch size",
        only_in_log=True,
    ),
    "priorities without a default (core model_config_utils.cc)": Row(
        PYTHON + "max_batch_size: 4 dynamic_batching { priority_levels: 2 }",
        "default priority level must be in range [1, 2]",
        only_in_log=True,
    ),
    "dimension of 0": Row(
        PYTHON.replace("dims: 1", "dims: 0", 1),
        "dimension must be integer >= 1, or -1",
        only_in_log=True,
    ),
    "labels that are not there": Row(
        f'backend: "python" {TENSORS.removesuffix("} ")} label_filename: "labels.txt" }}',
        "failed to open text file for read",
    ),
    "version policy for a version that is not there (server#3687)": Row(
        PYTHON + "version_policy { specific { versions: 4 } }",
        "at least one version must be available under the version policy",
        only_in_log=True,
    ),
    "version policy for the latest of no number": Row(
        PYTHON + "version_policy { latest { } }",
        "at least one version must be available under the version policy",
        only_in_log=True,
    ),
    "version directories that are no numbers (tensorrtllm_backend#562)": Row(
        PYTHON,
        "at least one version must be available under the version policy",
        versions=("v1", ".ipynb_checkpoints"),
        only_in_log=True,
    ),
    "a version with a leading zero": Row(
        PYTHON,
        "at least one version must be available under the version policy",
        versions=("01",),
        only_in_log=True,
    ),
    "an ensemble without a version directory (server#3623)": Row(
        ensemble(),
        "at least one version must be available under the version policy",
        versions=(),
        only_in_log=True,
    ),
    "a step without a version (server#5474)": Row(
        ensemble(STEP.replace("model_version: -1", "")),
        "depends on 'good' whose required version 0 is not loaded",
        only_in_log=True,
    ),
    "a step of a model that is not there": Row(
        ensemble(STEP.replace("good", "god")),
        "contains models that are not available or ambiguous: god",
        only_in_log=True,
    ),
    "a step of a model that fails": Row(
        ensemble(STEP.replace("good", "bad")),
        "depends on 'bad' which has no loaded version",
        only_in_log=True,
    ),
    "wrong tensor name (tutorials#137)": Row(
        ensemble(STEP.replace('key: "x"', 'key: "z"')),
        "is mapping to non-existing input z in model good",
        only_in_log=True,
    ),
    "data types that differ between steps (qa/L0_model_config)": Row(
        ensemble(tensors=TENSORS.replace("FP32", "INT32", 1)),
        "inconsistent data type: TYPE_INT32 is inferred from model .* while TYPE_FP32",
        only_in_log=True,
    ),
    "shapes that differ between steps (qa/L0_model_config)": Row(
        ensemble(tensors=TENSORS.replace("dims: 1", "dims: 2", 1)),
        "inconsistent shape: \\[2] is inferred from model .* while \\[1]",
        only_in_log=True,
    ),
    "an ensemble that does not say so": Row(
        ensemble().removeprefix('platform: "ensemble"'),
        "Could not determine backend for model",
        only_in_log=True,
    ),
    "an ensemble without inputs and outputs": Row(
        ensemble(tensors=""), "ensemble tensor 'x' is unused", only_in_log=True
    ),
    "instances of an ensemble (qa/L0_model_config)": Row(
        ensemble() + "instance_group { count: 2 }",
        "instance group should not be specified for ensemble",
        only_in_log=True,
    ),
    "optimisation of an ensemble (qa/L0_model_config)": Row(
        ensemble() + "optimization { }",
        "optimization should not be specified for ensemble",
        only_in_log=True,
    ),
    "warm-up of an ensemble (qa/L0_model_config)": Row(
        ensemble() + WARMUP,
        "model_warmup can not be specified for ensemble",
        only_in_log=True,
    ),
    # Taken without a word: Trireme says it in its place.
    "dynamic batching without batches": Row(PYTHON + "dynamic_batching { }"),
    "empty backend parameter (tensorrtllm_backend#207)": Row(
        PYTHON + 'parameters { key: "path" value { string_value: "" } }'
    ),
    "a response cache that the server has not": Row(PYTHON + "response_cache { enable: true }"),
    "a version directory that is no number beside one that is": Row(
        PYTHON, versions=("1", ".ipynb_checkpoints")
    ),
    "a version 0": Row(PYTHON, versions=("0",)),
    "a program from another model's directory": Row(
        PYTHON + 'default_model_filename: "../../good/1/model.py"'
    ),
    "two inputs of one name": Row(PYTHON + TENSORS.partition("output")[0]),
}
NOT_A_FAULT = {
    "a version with a leading zero": "it is a folder like any other, and what is served is 1",
    "backend absent from the image (server#8342)": "images may have backends of their own",
    "no backend, and a file that says none (server#7336)": "a warning: the files may be elsewhere",
    "GPUs that are not there (server#2584)": "the agent that is imported asks for two",
    "instances on GPUs in a pod without one": "the agent that is imported asks for one",
    "version directories that are no numbers (tensorrtllm_backend#562)": "it is served as 1",
    "an ensemble without a version directory (server#3623)": "it is rendered with one",
}
"""What Triton refuses of a repository, and Trireme mends or cannot know."""
NAMES = {case: f"model-{at}" for at, case in enumerate(ROWS)}
READY, NOT_READY = 200, 400


@dataclass(frozen=True)
class Found:
    """What the server said: its index, its log, and whether it was ready."""

    index: Mapping[str, Mapping[str, str]]
    log: str
    ready: int
    model_ready: int


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    folder = tmp_path_factory.mktemp("bad")
    write_model(folder / "models", "good", PYTHON)
    write_model(folder / "models", "bad", f'backend: "nonesuch" {TENSORS}')
    for case, row in ROWS.items():
        write_row(folder / "models", NAMES[case], row)
    with triton(folder / "models", folder) as server:
        return Found(
            {entry["name"]: entry for entry in json.loads(post(server, "repository/index"))},
            server.log.read_text(errors="replace"),
            status(server, "health/ready"),
            status(server, "models/good/ready"),
        )


def write_row(folder: Path, name: str, row: Row) -> None:
    program = None if "ensemble_scheduling" in row.config else ZEROS
    write_model(folder, name, row.config, row.versions, program)


def post(server: TritonServer, path: str) -> bytes:
    with urllib.request.urlopen(f"http://{server.address}/v2/{path}", b"{}", timeout=10) as answer:
        body: bytes = answer.read()
        return body


def status(server: TritonServer, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://{server.address}/v2/{path}", timeout=10) as answer:
            code: int = answer.status
            return code
    except urllib.error.HTTPError as refusal:
        return refusal.code


@pytest.mark.parametrize("case", [case for case, row in ROWS.items() if row.words])
def test_triton_refuses_it_in_these_words(found: Found, case: str) -> None:
    row, entry = ROWS[case], found.index.get(NAMES[case], {})
    words = row.words if ".*" in row.words else re.escape(row.words)
    about = [line for line in found.log.splitlines() if re.search(rf"\b{NAMES[case]}\b", line)]
    assert entry.get("state") != "READY"
    assert any(re.search(words, line) for line in about)
    assert bool(re.search(words, entry.get("reason", ""))) is not row.only_in_log


def faults(folder: Path) -> Sequence[Fault]:
    """What Trireme says of a repository that is imported, the first that makes it stop."""
    imported = import_repository(LocalTree(folder), Choices("agent", IMAGE, "pvc://models/"))
    if imported.faults:
        return imported.faults
    try:
        return check(parse_agent(imported.manifests[-1]).spec)
    except InvalidSpec as refused:
        return refused.faults


@pytest.mark.parametrize("case", [case for case, row in ROWS.items() if row.words])
def test_trireme_refuses_it_before_a_pod_starts(case: str, tmp_path: Path) -> None:
    row = ROWS[case]
    write_model(tmp_path, "good", PYTHON)
    write_row(tmp_path, "model", row)
    assert bool(faults(tmp_path)) is not (case in NOT_A_FAULT)


@pytest.mark.parametrize("case", [case for case, row in ROWS.items() if not row.words])
def test_triton_serves_it_and_says_nothing(found: Found, case: str) -> None:
    assert found.index[NAMES[case]]["state"] == "READY"


def test_a_model_without_a_served_version_is_not_even_in_the_index(found: Found) -> None:
    unlisted = {case for case, name in NAMES.items() if name not in found.index}
    assert unlisted == {case for case, row in ROWS.items() if "at least one version" in row.words}


def test_a_model_that_fails_keeps_the_server_unready_and_the_others_served(found: Found) -> None:
    assert (found.ready, found.model_ready) == (NOT_READY, READY)


def test_a_server_is_ready_although_a_model_was_unloaded(tmp_path: Path) -> None:
    """server#6939: a pod's readiness says nothing of a model that was taken out of it, so Trireme
    takes none out of a pod that serves.
    """
    for name in ("good", "gone"):
        write_model(tmp_path / "models", name, PYTHON)
    with triton(tmp_path / "models", tmp_path) as server:
        post(server, "repository/models/gone/unload")
        deadline = time.monotonic() + 60
        while status(server, "health/ready") != READY and time.monotonic() < deadline:
            pass  # it is not while the model is being unloaded: each answer takes its time
        assert status(server, "health/ready") == READY
        assert status(server, "models/gone/ready") == NOT_READY
