"""Specs that are refused at `kubectl apply`, and by `trireme validate` before it: one table."""

from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]


def agent() -> Object:
    """The smallest AgentDeployment that is accepted."""
    return {
        "apiVersion": "trireme.dev/v1alpha1",
        "kind": "AgentDeployment",
        "metadata": {"name": "small"},
        "spec": {
            "server": {"image": "nvcr.io/nvidia/tritonserver:26.08-py3"},
            "models": [
                {
                    "name": "m",
                    "source": {"configMap": "m-model"},
                    "backend": "python",
                    "inputs": [{"name": "x", "dataType": "FP32", "dims": [4]}],
                    "outputs": [{"name": "z", "dataType": "FP32", "dims": [4]}],
                }
            ],
            "objectives": [{"model": "m", "latency": {"target": "100ms"}}],
        },
    }


@dataclass(frozen=True)
class Refusal:
    """`value` at `path` (None takes the field away), and what the API server then says."""

    id: str
    path: tuple[str | int, ...]
    value: object
    says: str

    def body(self) -> Object:
        """The refused object."""
        body = agent()
        *parents, last = self.path
        node: Any = body
        for part in parents:
            node = node.setdefault(part, {}) if isinstance(node, dict) else node[part]
        if self.value is None:
            del node[last]
        else:
            node[last] = self.value
        return body


_MODEL = ("spec", "models", 0)
_SCALING = ("spec", "scaling")

REFUSALS = [
    Refusal("a name of 46 characters", ("metadata", "name"), "a" * 46, "at most 45 characters"),
    Refusal("a name that begins with a digit", ("metadata", "name"), "4ever", "lower-case letter"),
    Refusal("a name with a dot", ("metadata", "name"), "a.b", "a name such as support-agent"),
    Refusal("no image", ("spec", "server", "image"), None, "spec.server.image: Required"),
    Refusal("no models", ("spec", "models"), [], "models must not be empty"),
    Refusal("a model name with a slash", (*_MODEL, "name"), "a/b", "spec.models[0].name"),
    Refusal(
        "a model without source", (*_MODEL, "source"), {}, "exactly one of uri, configMap and image"
    ),
    Refusal(
        "a model with two sources",
        (*_MODEL, "source"),
        {"configMap": "a", "uri": "pvc://b"},
        "exactly one of uri, configMap and image",
    ),
    Refusal(
        "a claim's path that leaves the volume",
        (*_MODEL, "source"),
        {"uri": "pvc://a/b/../../c/"},
        "uri must not hold . or .. as a folder",
    ),
    Refusal("an unknown data type", (*_MODEL, "inputs", 0, "dataType"), "FLOAT", '"FP32"'),
    Refusal(
        "a tensor named by a boolean",
        (*_MODEL, "outputs", 0, "name"),
        True,
        "must be of type string",
    ),
    Refusal(
        "a batch size that no integer of Triton's holds",
        (*_MODEL, "maxBatchSize"),
        2**31,
        "spec.models[0].maxBatchSize",
    ),
    Refusal("a negative batch size", (*_MODEL, "maxBatchSize"), -1, "greater than or equal to 0"),
    Refusal(
        "two inputs of one name",
        (*_MODEL, "inputs"),
        [{"name": "x", "dataType": "FP32", "dims": [4]}] * 2,
        "Duplicate value",
    ),
    Refusal(
        "a duration without unit",
        ("spec", "objectives", 0, "latency", "target"),
        "100",
        "spec.objectives[0].latency.target",
    ),
    Refusal(
        "a duration as a number",
        ("spec", "objectives", 0, "latency", "target"),
        100,
        "must be of type string",
    ),
    Refusal(
        "a percentile of 100",
        ("spec", "objectives", 0, "latency", "percentile"),
        100,
        "less than or equal to 99",
    ),
    Refusal("a max of 0", (*_SCALING, "max"), 0, "greater than or equal to 1"),
    Refusal("a min above the max", _SCALING, {"min": 5, "max": 2}, "min must not be greater"),
    Refusal(
        "a min above the default max", (*_SCALING, "min"), 11, "min must not be greater than max"
    ),
    Refusal("a mode that does not exist", (*_SCALING, "mode"), "Auto", '"Automatic"'),
    Refusal("no objective in Automatic", ("spec", "objectives"), None, "at least one objective"),
    Refusal("replicas in Automatic", ("spec", "replicas"), 3, "must not be set in mode Automatic"),
    Refusal("no replicas in Fixed", (*_SCALING, "mode"), "Fixed", "replicas is required"),
    Refusal("no replicas in External", (*_SCALING, "mode"), "External", "the size to start with"),
    Refusal("pausing by a boolean", (*_SCALING, "paused"), True, "must be of type string"),
    Refusal(
        "a target of no requests in flight",
        (*_SCALING, "target"),
        {"inFlight": 0},
        "greater than 0",
    ),
    Refusal(
        "a rollout that cannot move",
        ("spec", "rollout"),
        {"maxSurge": 0, "maxUnavailable": 0},
        "one of maxSurge and maxUnavailable must be 1 or more",
    ),
    Refusal("a ratio without percent", (*_SCALING, "tolerance"), "0.1", "spec.scaling.tolerance"),
    Refusal("a ratio as a number", (*_SCALING, "tolerance"), 0.1, "must be of type string"),
    Refusal(
        "memory in words", ("spec", "server", "resources"), {"memory": "16 GB"}, "resources.memory"
    ),
    Refusal("a negative CPU", ("spec", "server", "resources"), {"cpu": -1}, "resources.cpu"),
    Refusal("a misspelt field", (*_MODEL, "backnd"), "python", 'unknown field "spec.models[0]'),
]
