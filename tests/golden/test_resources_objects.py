"""Every object of three agents, as golden files that Kubernetes' own schemas accept.

The repositories are made by hand, so that only what `resources` does can change the files. Envoy's
configuration is a golden file of its own, read by the real Envoy in `test_gateway_envoy`.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from agents import directory_of, repository_of
from conftest import Golden
from kubernetes_schemas import validate
from trireme.api.agent import AgentDeployment
from trireme.api.sources import Source
from trireme.cli.manifests import to_yaml
from trireme.modelrepo.repository import ClaimFolder, Fetched, ModelDirectory
from trireme.resources.desired import desired_objects
from trireme.resources.envoy import configuration
from trireme.resources.fetch import fetch_objects, fetch_pod_parts
from trireme.resources.optimization import optimization_objects, optimization_policies
from trireme.resources.optimization_plans import optimization_plan
from trireme.resources.options import Discovery, ResourceOptions

EXAMPLES = Path(__file__).parents[2] / "examples"

MODELS: dict[str, tuple[ModelDirectory, ...]] = {
    "echo": (directory_of("double"),),
    "pipeline": (
        directory_of("tokenizer", files={"1/model.py": b"# text to tokens\n", "1/words": b"\xff"}),
        directory_of("scorer"),
        directory_of("agent", files={"1/.keep": b""}),
    ),
    "gpu-onnx": (
        directory_of(
            "encoder",
            files={},
            mounts={3: ClaimFolder("models", "encoder/3")},
        ),
    ),
}
MODELS["node-classes"] = MODELS["gpu-onnx"]
CASES = [
    pytest.param("echo", {}, Discovery.ANNOTATIONS, 1, id="echo"),
    pytest.param("pipeline", {}, Discovery.POD_MONITOR, None, id="pipeline"),
    pytest.param(
        "gpu-onnx",
        {
            "gateway": {"enabled": False},
            "server": {
                "image": "nvcr.io/nvidia/tritonserver:26.08-py3",
                "gpus": {"count": 2},
                "resources": {"cpu": "4", "memory": "16Gi", "sharedMemory": "1Gi"},
                "serviceAccountName": "bucket-reader",
                "imagePullSecrets": [{"name": "ngc"}],
                "placement": {
                    "nodeSelector": {"gpu": "a100"},
                    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
                    "priorityClassName": "serving",
                },
                "args": ["--http-thread-count=16"],
                "env": [{"name": "LEVEL", "value": "1"}],
                "podTemplate": {
                    "spec": {"containers": [{"name": "log", "image": "registry.example/log:1"}]}
                },
            },
        },
        Discovery.NONE,
        None,
        id="gpu-onnx",
    ),
    pytest.param("node-classes", {}, Discovery.ANNOTATIONS, None, id="node-classes"),
]


def example(name: str, overrides: dict[str, Any]) -> AgentDeployment:
    documents = list(yaml.safe_load_all((EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8")))
    body = documents[-1]
    body["spec"].update(overrides)
    body["metadata"] |= {"namespace": "agents", "uid": "2f6b0a8e-2c1d-4f8e-9d57-0a1b2c3d4e5f"}
    return AgentDeployment.model_validate(body)


@pytest.mark.parametrize(("name", "overrides", "discovery", "initial_replicas"), CASES)
def test_the_objects_of_an_agent_are_the_golden_ones(
    name: str,
    overrides: dict[str, Any],
    discovery: Discovery,
    initial_replicas: int | None,
    golden: Golden,
) -> None:
    agent = example(name, overrides)
    options = ResourceOptions("envoyproxy/envoy:v1.40.0", discovery)

    objects = desired_objects(
        agent,
        repository_of(*MODELS[name]),
        options,
        initial_replicas={} if initial_replicas is None else {name: initial_replicas},
    )

    for found in objects:
        if found["kind"] != "PodMonitor":  # not Kubernetes' own
            validate(found)
        if "envoy.json" in found.get("data", {}):
            assert json.loads(found["data"]["envoy.json"]) == configuration(agent, options)
            found["data"]["envoy.json"] = f"see {name}.envoy.yaml"
            golden(f"resources/{name}.envoy.yaml", to_yaml(configuration(agent, options)))
    golden(f"resources/{name}.yaml", to_yaml(*objects))


def test_what_optimises_a_model_is_the_golden_one(golden: Golden) -> None:
    agent = example("optimization", {})
    settings = agent.spec.optimization
    assert settings is not None
    (asked,) = settings.models
    options = ResourceOptions("envoy", optimizer_image="registry.example/optimizer:1")

    plan = optimization_plan(agent, asked, {})
    objects = (
        *optimization_policies(agent),
        *optimization_objects(agent, asked, plan, options),
    )

    for found in objects:
        validate(found)
    golden("resources/optimization.yaml", to_yaml(*objects))


def test_what_fetches_a_model_by_way_of_the_nodes_cache_is_the_golden_one(golden: Golden) -> None:
    agent = example("gpu-onnx", {"download": {"cache": {"node": True}}})
    fetched = directory_of(
        "encoder",
        files={},
        mounts={3: Fetched(Source(uri="s3://models/encoder/3/", sha256="d" * 64))},
    )
    repository = repository_of(fetched)
    options = ResourceOptions("envoy", node_cache_url="http://cache.trireme:8004")

    plan, *_ = fetch_objects(agent, repository, options)
    init_containers, volumes = fetch_pod_parts(agent, repository, options)

    pod = {"initContainers": init_containers, "volumes": volumes}
    golden("resources/node-cache.yaml", to_yaml(plan, pod))
