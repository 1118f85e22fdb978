"""What a real Triton 24.10 makes of what Trireme leaves out of a config.pbtxt, and that Trireme
reckons with the same.

Once with and once without Triton's own completion of configurations: it makes no difference to what
is here, since Triton finds out backends, platforms and instances either way.
"""

import asyncio
import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from agents import agent_of, model_of
from integration.stand_ins import ZEROS, backends, write, write_model
from integration.triton_server import TritonServer, triton
from trireme.edge.triton import served_config
from trireme.modelrepo.backends import backend_of
from trireme.modelrepo.instances import instances_per_pod, runs
from trireme.modelrepo.plan import plan
from trireme.modelrepo.proto import ModelConfig
from trireme.modelrepo.render import config_text, render
from trireme.modelrepo.versions import loaded_versions

PROGRAM = {"model.py": ZEROS.encode()}
SOURCES = {
    "files": PROGRAM,
    "onnx": {"model.onnx": b""},
    "openvino": {"model.xml": b""},
    "graphdef": {"model.graphdef": b""},
    "labels": {"labels.txt": b"cat\ndog\n"},
}
THREE_VERSIONS = {
    "source": None,
    "versions": [{"version": each, "source": {"configMap": "files"}} for each in (1, 2, 3)],
}
LABELLED = {
    "outputs": [{"name": "y", "dataType": "FP32", "dims": [2], "labels": "labels.txt"}],
    "files": [{"path": "labels.txt", "configMap": "labels", "key": "labels.txt"}],
}
MODELS: Mapping[str, Mapping[str, Any]] = {
    "python": {},
    "python-group": {"instances": [{}]},
    "python-cpu": {"instances": [{"kind": "CPU"}, {"kind": "CPU", "count": 2}]},
    "python-model": {"instances": [{"kind": "Model"}]},
    "python-by-file": {"backend": ""},
    "nameless": {"config": {"name": ""}},
    "onnx": {"backend": "onnxruntime", "source": {"configMap": "onnx"}},
    "onnx-auto": {"backend": "onnxruntime", "instances": [{"kind": "Auto"}]},
    "onnx-cpu": {"backend": "onnxruntime", "instances": [{"kind": "CPU"}]},
    "onnx-cpu-counted": {"backend": "onnxruntime", "instances": [{"kind": "CPU", "count": 1}]},
    "onnx-model": {"backend": "onnxruntime", "instances": [{"kind": "Model"}]},
    "onnx-by-file": {"backend": "", "source": {"configMap": "onnx"}},
    "onnx-by-platform": {"backend": "", "platform": "onnxruntime_onnx"},
    "openvino-by-file": {"backend": "", "source": {"configMap": "openvino"}},
    "tensorflow": {"backend": "tensorflow", "source": {"configMap": "graphdef"}},
    "tensorflow-by-file": {"backend": "", "source": {"configMap": "graphdef"}},
    "tensorflow-by-platform": {"backend": "", "platform": "tensorflow_savedmodel"},
    "pytorch": {"backend": "pytorch"},
    "pytorch-by-platform": {"backend": "", "platform": "pytorch_libtorch"},
    "versions": THREE_VERSIONS,
    "versions-all": {**THREE_VERSIONS, "versionPolicy": {"all": True}},
    "versions-latest-2": {**THREE_VERSIONS, "versionPolicy": {"latest": 2}},
    "versions-1-and-3": {**THREE_VERSIONS, "versionPolicy": {"specific": [1, 3]}},
    "versions-by-empty-policy": {**THREE_VERSIONS, "config": {"version_policy": {}}},
    "version-7-alone": {"version": 7},
    "labelled": {**LABELLED},
    "labelled-mount": {**LABELLED, "source": {"uri": "pvc://models/labelled/1/"}},
}
AGENT = agent_of(
    models=[model_of(name, **fields) for name, fields in MODELS.items()], objectives=[]
)


UNTOLD = ("onnx-by-file", "tensorflow-by-file")
"""Their backends make two instances, but a spec does not say what its ConfigMaps hold: Trireme
begins with one, which is too few for an estimate to begin with, and harms nothing.
"""
PLANNED = {config.name or "nameless": config for config in plan(AGENT.spec)}


@dataclass(frozen=True)
class Served:
    """The versions of each model that are ready, and the configurations they are served by."""

    versions: Mapping[str, list[int]]
    configs: Mapping[str, ModelConfig]


@pytest.fixture(scope="module", params=[False, True], ids=["as written", "completed"])
def served(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Served:
    folder = tmp_path_factory.mktemp("served")
    write(render(AGENT.spec, SOURCES), folder / "models")
    stand_ins = backends(folder / "backends", "onnxruntime", "openvino", "pytorch", "tensorflow")
    with triton(folder / "models", folder, stand_ins, completes=request.param) as server:
        versions: dict[str, list[int]] = {name: [] for name in MODELS}
        for entry in index(server):
            assert entry.get("state") == "READY", entry
            versions[entry["name"]].append(int(entry["version"]))
        return Served(versions, asyncio.run(configurations(server)))


def index(server: TritonServer) -> list[dict[str, str]]:
    url = f"http://{server.address}/v2/repository/index"
    with urllib.request.urlopen(url, b"", timeout=10) as answer:
        found: list[dict[str, str]] = json.load(answer)
        return found


async def configurations(server: TritonServer) -> dict[str, ModelConfig]:
    return {name: await served_config(server.address, name) for name in MODELS}


@pytest.mark.parametrize("name", MODELS)
def test_trireme_counts_the_instances_that_triton_makes(served: Served, name: str) -> None:
    model = next(each for each in AGENT.spec.models if each.name == name)
    found = served.configs[name]
    files = SOURCES[model.source.config_map] if model.source and model.source.config_map else ()
    made = sum(group.count for group in found.instance_group)
    assert instances_per_pod(model, AGENT.spec.server) == (1 if name in UNTOLD else made)
    assert runs(PLANNED[name], found)
    assert found.backend == backend_of(model, files)


@pytest.mark.parametrize("name", MODELS)
def test_trireme_knows_which_versions_triton_loads(served: Served, name: str) -> None:
    model = next(each for each in AGENT.spec.models if each.name == name)
    assert served.versions[name] == loaded_versions(model)


def test_a_name_that_was_left_out_is_the_directorys(served: Served) -> None:
    assert served.configs["nameless"].name == "nameless"


RECORDING = ZEROS.replace(
    "def execute(self, requests):",
    """def execute(self, requests):
        with open(__file__ + ".requests", "a") as record:
            print(len(requests), file=record)""",
)
WARMUPS = {
    "once": ({"batchSize": 1}, ["1"]),
    "thrice": ({"batchSize": 1, "count": 3}, ["1", "1", "1"]),
    "a batch is as many requests": ({"batchSize": 4}, ["4"]),
    "a batch of none is left out": ({"batchSize": 0}, []),
}


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[str]]:
    """The sizes of the batches that each model of WARMUPS executed until it was ready."""
    folder = tmp_path_factory.mktemp("warmups")
    names = {f"model-{at}": case for at, case in enumerate(WARMUPS)}
    models = [
        model_of(
            name,
            maxBatchSize=4,
            warmup=[WARMUPS[case][0]],
            batching={"dynamic": {}},
            source={"uri": f"pvc://models/{name}/1/"},
        )
        for name, case in names.items()
    ]
    for config in plan(agent_of(models=models, objectives=[]).spec):
        write_model(folder / "models", config.name, config_text(config), program=RECORDING)
    with triton(folder / "models", folder) as server:
        assert {entry["state"] for entry in index(server)} == {"READY"}
    records = {
        case: folder / "models" / name / "1" / "model.py.requests" for name, case in names.items()
    }
    return {
        case: record.read_text().split() if record.exists() else []
        for case, record in records.items()
    }


@pytest.mark.parametrize("case", WARMUPS)
def test_a_warm_up_that_does_not_say_how_often_is_executed_once(
    executed: Mapping[str, list[str]], case: str
) -> None:
    assert executed[case] == WARMUPS[case][1]
