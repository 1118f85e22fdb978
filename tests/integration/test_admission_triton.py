"""Admission and a real Triton 24.10 agree: what is refused of a model would not have loaded, and
what is only warned of loads.
"""

import json
import urllib.request
from pathlib import Path

import pytest

import model_cases
from integration.triton_server import triton
from specs import valid_body
from trireme.admission.parse import parse_agent
from trireme.modelrepo.plan import model_config, pipeline_config
from trireme.modelrepo.proto import ModelConfig
from trireme.modelrepo.render import config_text

ALGORITHM = """
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        return [pb_utils.InferenceResponse([]) for _ in requests]
"""

TAKEN_WITHOUT_A_WORD = {
    "no batcher",
    "both batchers",
    "two strategies for sequences",
    "two queues of one priority",
    "two states in one tensor",
    "a priority's queue with a timeout of a day",
    "sequences with an hour between batches",
    "sequences that are idle for a week",
}
"""What Triton loads and admission refuses: of two things said one would be lost, or a unit is
wrong.
"""

MODEL_FAULTS = {
    name: edits
    for name, (edits, _) in (model_cases.TENSORS | model_cases.BATCHING).items()
    # A model in Python that is found wrong only while it is loaded ends this release's whole server
    # now and then; those of warm-ups, files, profiles and initial states are.
    if "initial state" not in name
}
MODEL_WARNINGS = {
    name: edits
    for name, (edits, _) in model_cases.WARNINGS.items()
    if name != "inputs and a type that nothing says"  # the server of the tests completes nothing
    and all(path.startswith("spec.models.0") or path == "spec.server.args" for path in edits)
}
PIPELINE_FAULTS = {
    name: edits
    for name, (edits, _) in (model_cases.PIPELINES | model_cases.VERSIONS).items()
    if all(path.startswith("spec.pipelines.0") for path in edits)
}


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The cases whose model or pipeline a server loads, and `encoder` and `scorer`."""
    folder = tmp_path_factory.mktemp("triton")
    names = {}
    valid = parse_agent(valid_body()).spec
    for model in valid.models:
        _write(folder / "models", model_config(model))
    for case, edits in (MODEL_FAULTS | MODEL_WARNINGS | PIPELINE_FAULTS).items():
        spec = parse_agent(valid_body(edits)).spec
        is_pipeline = case in PIPELINE_FAULTS
        config = pipeline_config(spec.pipelines[0]) if is_pipeline else model_config(spec.models[0])
        config.name = f"case-{len(names)}"
        names[config.name] = case
        _write(folder / "models", config)
    with triton(folder / "models", folder) as server:
        request = urllib.request.Request(
            f"http://{server.address}/v2/repository/index", data=b"{}", method="POST"
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  # loopback
            index = json.load(answer)
    loaded = {each["name"] for each in index if each.get("state") == "READY"}
    return {names.get(name, name) for name in loaded}


def _write(repository: Path, config: ModelConfig) -> None:
    version = repository / config.name / "1"
    version.mkdir(parents=True)
    (version / "model.py").write_text(ALGORITHM, encoding="utf-8")
    (repository / config.name / "config.pbtxt").write_text(config_text(config), encoding="utf-8")


def test_a_valid_model_loads(ready: set[str]) -> None:
    assert {"encoder", "scorer"} <= ready


def test_a_model_that_is_refused_would_not_have_loaded(ready: set[str]) -> None:
    assert MODEL_FAULTS.keys() & ready == TAKEN_WITHOUT_A_WORD


def test_a_model_that_is_warned_of_loads(ready: set[str]) -> None:
    assert MODEL_WARNINGS.keys() - ready == set()


def test_a_pipeline_that_is_refused_would_not_have_loaded(ready: set[str]) -> None:
    assert PIPELINE_FAULTS.keys() & ready == set()
