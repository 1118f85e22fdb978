"""Whatever stands in a spec is a fault or can be rolled out: nothing fails in between."""

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from specs import valid_body
from trireme.admission.examine import examine
from trireme.admission.parse import parse_agent
from trireme.autoscaler.policy import policy_of
from trireme.cli.manifests import to_yaml
from trireme.errors import InvalidSpec
from trireme.modelrepo.render import render
from trireme.modelrepo.sources import config_map_names
from trireme.resources.desired import desired_objects
from trireme.resources.initial_size import initial_sizes
from trireme.resources.options import Discovery, ResourceOptions

PYTHON = {"model.py": b"class TritonPythonModel:\n    def execute(self, requests): ...\n"}
SMALL = {"labels.txt": b"yes\nno\n", "ids": b"1234", "zeros": b"0"}
SOURCES = {"encoder-files": PYTHON, "scorer-files": PYTHON, "small-files": SMALL}
OPTIONS = ResourceOptions("registry.example/envoy:v1.36.2", discovery=Discovery.POD_MONITOR)

EVERYTHING: dict[str, Any] = {
    "spec.server.gpus": {"count": 2, "resource": "nvidia.com/gpu"},
    "spec.server.release": "24.10",
    "spec.server.resources": {"cpu": 2, "memory": "4Gi", "sharedMemory": "64Mi"},
    "spec.server.placement": {
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "spread": "Node",
        "priorityClassName": "high",
    },
    "spec.server.args": ["--log-verbose=1"],
    "spec.server.env": [
        {"name": "A", "value": "1"},
        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "b", "key": "b"}}},
    ],
    "spec.server.podTemplate": {
        "metadata": {"labels": {"team": "search"}},
        "spec": {
            "affinity": {"nodeAffinity": {}},
            "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a"]}],
            "securityContext": {
                "supplementalGroups": [3000],
                "sysctls": [{"name": "net.ipv4.tcp_keepalive_time", "value": "60"}],
            },
            "volumes": [{"name": "cache", "emptyDir": {"sizeLimit": "1Gi"}}],
            "containers": [
                {
                    "name": "triton",
                    "env": [{"name": "EXTRA", "value": "1"}],
                    "ports": [{"containerPort": 9000}],
                    "volumeMounts": [{"name": "cache", "mountPath": "/cache"}],
                    "securityContext": {"runAsUser": 1000},
                },
                {
                    "name": "side",
                    "image": "registry.example/side:1",
                    "livenessProbe": {"httpGet": {"path": "/", "port": "http"}},
                    "resources": {"limits": {"memory": "1Gi"}},
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                    },
                },
            ],
        },
    },
    "spec.server.drainTime": "10s",
    "spec.server.exitTimeout": "30s",
    "spec.server.startupTimeout": "10m",
    "spec.server.imagePullSecrets": [{"name": "registry"}],
    "spec.gateway": {
        "enabled": True,
        "replicas": 2,
        "resources": {"cpu": "500m", "memory": "256Mi"},
        "requestTimeout": "60s",
        "maxPendingRequests": 9,
    },
    "spec.models.0.batching": {
        "dynamic": {
            "preferredBatchSizes": [4],
            "maxQueueDelay": "1ms",
            "queue": {"maxSize": 9, "timeout": "1s", "timeoutAction": "Delay"},
            "priorityLevels": 2,
            "defaultPriorityLevel": 1,
            "priorityQueues": [{"level": 2, "maxSize": 3, "timeout": "1s"}],
        }
    },
    "spec.models.0.instances": [
        {
            "name": "first",
            "kind": "GPU",
            "count": 1,
            "gpus": [0, 1],
            "rateLimiter": {"resources": [{"name": "R", "count": 1, "global": True}]},
            "secondaryDevices": [{"kind": "NVDLA", "id": 1}],
            "hostPolicy": "numa",
        }
    ],
    "spec.models.0.files": [
        {"path": "labels.txt", "configMap": "small-files", "key": "labels.txt"},
        {"path": "warmup/ids", "configMap": "small-files", "key": "ids"},
    ],
    "spec.models.0.outputs.0": {
        "name": "embedding",
        "dataType": "FP32",
        "dims": [16],
        "reshape": [4, 4],
        "labels": "labels.txt",
    },
    "spec.models.0.batchInputs": [
        {"kind": "ElementCount", "targets": ["count"], "dataType": "FP32", "sources": ["ids"]}
    ],
    "spec.models.0.batchOutputs": [{"targets": ["embedding"], "sources": ["ids"]}],
    "spec.models.0.acceleration": {
        "gpu": [{"name": "tensorrt", "parameters": {"precision_mode": "FP16"}}],
        "graphLevel": 1,
        "cuda": {
            "graphs": True,
            "graphSpecs": [
                {"batchSize": 2, "inputs": {"ids": [8]}, "lowerBound": {"inputs": {"ids": [1]}}}
            ],
        },
        "inputPinnedMemory": False,
    },
    "spec.models.0.responseCache": True,
    "spec.models.0.repositoryAgents": [{"name": "checksum", "parameters": {"a": "b"}}],
    "spec.models.0.operationLibraries": ["libops.so"],
    "spec.models.0.versionPolicy": {"latest": 1},
    "spec.models.0.warmup": [
        {"batchSize": 1, "count": 2, "data": "Random", "inputs": {"ids": {"dims": [3]}}},
        {"name": "file", "inputs": {"ids": {"file": "ids", "dims": [1], "dataType": "INT64"}}},
    ],
    "spec.models.0.parameters": {"beam": "4"},
    "spec.models.0.version": 3,
    "spec.models.0.config": {
        "name": "",
        "optimization": {"cuda": {"output_copy_stream": True}},
        "metric_tags": {"a": "b"},
    },
    "spec.models.1.source": {"uri": "pvc://models/a/b/"},
    "spec.models.1.config": {"instance_group": [{"kind": "KIND_GPU", "count": 1, "gpus": [0]}]},
    "spec.models.2": {
        "name": "talker",
        "versions": [
            {
                "version": 1,
                "source": {
                    "uri": "s3://models/talker/1/model.onnx",
                    "sha256": "0" * 64,
                    "endpoint": "https://minio.example",
                    "region": "eu-1",
                    "secretRef": {"name": "keys"},
                },
            },
            {"version": 3, "source": {"image": {"reference": "a.example/m:3", "path": "a/b"}}},
        ],
        "versionPolicy": {"specific": [1, 3]},
        "files": [{"path": "initial_state/zeros", "configMap": "small-files", "key": "zeros"}],
        "platform": "onnxruntime_onnx",
        "maxBatchSize": 4,
        "inputs": [{"name": "x", "dims": [3, -1, -1], "format": "NCHW", "ragged": True}],
        "batching": {
            "sequence": {
                "maxIdle": "5s",
                "oldest": {"maxCandidateSequences": 2, "preferredBatchSizes": [2]},
                "controls": [
                    {"name": "START", "controls": [{"kind": "Start", "fp32": [0, 1]}]},
                    {"name": "END", "controls": [{"kind": "End", "bool": [False, True]}]},
                    {
                        "name": "ID",
                        "controls": [{"kind": "CorrelationID", "dataType": "UINT64"}],
                    },
                ],
                "states": [
                    {
                        "input": "in",
                        "output": "out",
                        "dataType": "FP32",
                        "dims": [-1],
                        "sameBuffer": True,
                        "initial": [
                            {"name": "a", "dataType": "FP32", "dims": [1], "file": "zeros"}
                        ],
                    }
                ],
                "iterative": True,
            }
        },
        "decoupled": True,
    },
    "spec.pipelines.0.files": [
        {"path": "labels.txt", "configMap": "small-files", "key": "labels.txt"}
    ],
    "spec.pipelines.0.outputs.0.labels": "labels.txt",
    "spec.pipelines.0.steps.0.version": 3,
    "spec.pipelines.0.config": {"metric_tags": {"a": "b"}},
    "spec.objectives.0": {
        "model": "agent",
        "latency": {"percentile": 95, "target": "100ms"},
        "errors": {"maxRatio": "0.1%"},
    },
    "spec.scaling": {
        "mode": "Automatic",
        "min": 1,
        "max": 3,
        "schedules": [
            {
                "schedule": "0 8 * * 1-5",
                "timeZone": "Europe/Berlin",
                "duration": "10h",
                "min": 2,
                "max": 5,
            }
        ],
        "target": {"inFlight": 4.5},
        "tolerance": "10%",
        "behavior": {
            "up": {
                "stabilizationWindow": "0s",
                "selectPolicy": "Max",
                "policies": [{"type": "Pods", "value": 1, "period": "15s"}],
            }
        },
        "paused": "None",
    },
    "spec.rollout": {"strategy": "RollingUpdate", "maxSurge": 1, "maxUnavailable": 0},
}
BODY = valid_body(EVERYTHING)

Place = tuple[str | int, ...]

junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, -1, 1, 2**31, 2**32, 2**63, 10**30])
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["", "..", "1Gi", "1E", "1m", "0", "0s", "1us", "99999999999h", "100%", "a" * 300, "\n"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=4,
)


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Every place within a value that something stands at."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in items:
        yield (*place, key)
        if isinstance(each, dict | list):
            yield from places(each, (*place, key))


def changed(place: Place, value: Any) -> dict[str, Any]:
    body = copy.deepcopy(BODY)
    *way, last = place
    node: Any = body
    for part in way:
        node = node[part]
    node[last] = value
    return body


def rolled_out(body: dict[str, Any]) -> str | None:
    """What would be applied; None where there are faults, each of which can be told."""
    try:
        agent = parse_agent(body)
    except InvalidSpec:
        return None  # its text is made of its faults' texts
    examined = examine(agent.spec, SOURCES)
    assert all(map(str, (*examined.faults, *examined.warnings)))
    if examined.faults or not SOURCES.keys() >= set(config_map_names(agent.spec)):
        return None
    agent = agent.model_copy(update={"spec": examined.spec})
    policy_of(agent.spec)
    repository = render(agent.spec, SOURCES)
    return to_yaml(
        *desired_objects(agent, repository, OPTIONS, initial_replicas=initial_sizes(agent, None))
    )


def test_a_spec_with_everything_in_it_is_rolled_out() -> None:
    assert rolled_out(BODY)


@given(st.sampled_from([place for place in places(BODY) if place[0] == "spec"]), junk)
def test_junk_at_any_place_is_a_fault_or_is_rolled_out(place: Place, value: Any) -> None:
    rolled_out(changed(place, value))
