"""A valid agent as YAML's values, and edits to it: what tests of admission begin with."""

import copy
from collections.abc import Mapping
from typing import Any

REMOVED = object()
"""An edit that takes the field away."""

_VALID: dict[str, Any] = {
    "apiVersion": "trireme.dev/v1alpha1",
    "kind": "AgentDeployment",
    "metadata": {"name": "support", "namespace": "team", "uid": "u-1", "generation": 1},
    "spec": {
        "server": {"image": "example.com/triton:24.10-py3", "gpus": {"count": 0}},
        "models": [
            {
                "name": "encoder",
                "source": {"configMap": "encoder-files"},
                "backend": "python",
                "maxBatchSize": 8,
                "inputs": [
                    {"name": "ids", "dataType": "INT64", "dims": [-1]},
                    {"name": "mask", "dataType": "INT64", "dims": [-1], "optional": True},
                ],
                "outputs": [{"name": "embedding", "dataType": "FP32", "dims": [16]}],
            },
            {
                "name": "scorer",
                "source": {"configMap": "scorer-files"},
                "backend": "python",
                "maxBatchSize": 4,
                "inputs": [{"name": "embedding", "dataType": "FP32", "dims": [16]}],
                "outputs": [{"name": "score", "dataType": "FP32", "dims": [1]}],
            },
        ],
        "pipelines": [
            {
                "name": "agent",
                "maxBatchSize": 4,
                "inputs": [{"name": "text_ids", "dataType": "INT64", "dims": [-1]}],
                "outputs": [{"name": "score", "dataType": "FP32", "dims": [1]}],
                "steps": [
                    {
                        "model": "encoder",
                        "inputs": {"ids": "text_ids"},
                        "outputs": {"embedding": "vector"},
                    },
                    {
                        "model": "scorer",
                        "inputs": {"embedding": "vector"},
                        "outputs": {"score": "score"},
                    },
                ],
            }
        ],
        "objectives": [{"model": "agent", "latency": {"target": "100ms"}}],
    },
}


def valid_body(edits: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A body that admission accepts, with edits by path: `spec.models.0.version`."""
    body = copy.deepcopy(_VALID)
    for path, value in (edits or {}).items():
        *way, last = path.split(".")
        place: Any = body
        for part in way:
            place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
        if value is REMOVED:
            del place[last]
        elif isinstance(place, list):
            place[int(last) : int(last) + 1] = [copy.deepcopy(value)]  # one past the end appends
        else:
            place[last] = copy.deepcopy(value)
    return body
