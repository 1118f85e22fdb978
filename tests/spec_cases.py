"""Mistakes that both the API server (by CEL) and `trireme` itself refuse, in the same words.

`edits` make a valid body (`specs.valid_body`) wrong, `path` is where `trireme` reports it.
"""

from dataclasses import dataclass
from typing import Any

from specs import REMOVED


@dataclass(frozen=True)
class Refused:
    """One mistake."""

    name: str
    edits: dict[str, Any]
    path: str
    message: str


_REPLICAS_REQUIRED = (
    "replicas is required in every mode but Automatic; in External it is the size to start with, "
    "which the autoscaler then changes"
)

CEL_CASES = (
    Refused(
        "a node class with more at least than at most",
        {"spec.server.nodeClasses": [{"name": "spot", "price": 1, "min": 3, "max": 2}]},
        "spec.server.nodeClasses[0].min",
        "min must not be greater than max",
    ),
    Refused(
        "mode Automatic with replicas",
        {"spec.replicas": 3},
        "spec.replicas",
        "replicas must not be set in mode Automatic: set scaling.min and scaling.max",
    ),
    Refused(
        "mode Automatic without an objective",
        {"spec.objectives": []},
        "spec.objectives",
        "mode Automatic needs at least one objective",
    ),
    Refused(
        "mode Fixed without replicas",
        {"spec.scaling.mode": "Fixed"},
        "spec.replicas",
        _REPLICAS_REQUIRED,
    ),
    Refused(
        "mode External without replicas",
        {"spec.scaling.mode": "External"},
        "spec.replicas",
        _REPLICAS_REQUIRED,
    ),
    Refused(
        "more pods at least than at most",
        {"spec.scaling": {"min": 5, "max": 3}},
        "spec.scaling.min",
        "min must not be greater than max",
    ),
    Refused(
        "settings that are applied untried",
        {"spec.tuning": {"mode": "Apply"}},
        "spec.tuning.mode",
        "tuning.mode Apply tries each setting on a canary: set rollout.strategy to Canary",
    ),
    Refused(
        "optimised models that are applied untried",
        {
            "spec.models.0.backend": "onnxruntime",
            "spec.models.0.source": {"uri": "s3://models/encoder/1/model.onnx"},
            "spec.optimization": {
                "mode": "Apply",
                "destination": {"uri": "pvc://models/optimised/"},
                "models": [{"model": "encoder", "samples": {"uri": "s3://models/samples.npz"}}],
            },
        },
        "spec.optimization.mode",
        "optimization.mode Apply tries each model on a canary: set rollout.strategy to Canary",
    ),
    Refused(
        "optimised models that are put nowhere",
        {
            "spec.models.0.backend": "onnxruntime",
            "spec.models.0.source": {"uri": "s3://models/encoder/1/model.onnx"},
            "spec.optimization": {
                "models": [{"model": "encoder", "samples": {"uri": "s3://models/samples.npz"}}],
            },
        },
        "spec.optimization.destination",
        "optimization needs a destination in every mode but Disabled",
    ),
    Refused(
        "no models to optimise",
        {"spec.optimization": {"destination": {"uri": "pvc://models/optimised/"}}},
        "spec.optimization.models",
        "optimization needs models in every mode but Disabled",
    ),
    Refused(
        "a knob with a least beyond its most",
        {"spec.tuning": {"limits": {"instances": {"min": 3, "max": 2}}}},
        "spec.tuning.limits.instances.min",
        "min must not be greater than max",
    ),
    Refused(
        "no pods without a demand from outside them",
        {"spec.scaling": {"min": 0}},
        "spec.scaling.min",
        "min 0 needs scaling.demand: without a pod nothing else tells of requests",
    ),
    Refused(
        "a schedule of no pods without a demand from outside them",
        {"spec.scaling.schedules": [{"schedule": "0 8 * * *", "duration": "1h", "min": 0}]},
        "spec.scaling.schedules[0].min",
        "min 0 needs scaling.demand: without a pod nothing else tells of requests",
    ),
    Refused(
        "a schedule that sets nothing",
        {"spec.scaling.schedules": [{"schedule": "0 8 * * *", "duration": "1h"}]},
        "spec.scaling.schedules[0]",
        "one of min and max must be set",
    ),
    Refused(
        "a schedule with more pods at least than at most",
        {
            "spec.scaling.schedules": [
                {"schedule": "0 8 * * *", "duration": "1h", "min": 5, "max": 3}
            ]
        },
        "spec.scaling.schedules[0].min",
        "min must not be greater than max",
    ),
    Refused(
        "a rollout that can neither add nor remove a pod",
        {"spec.rollout": {"maxSurge": 0, "maxUnavailable": 0}},
        "spec.rollout",
        "one of maxSurge and maxUnavailable must be 1 or more",
    ),
    Refused(
        "a model without a source",
        {"spec.models.0.source": {}},
        "spec.models[0].source",
        "exactly one of uri, configMap and image must be set",
    ),
    Refused(
        "a model with two sources",
        {"spec.models.0.source.uri": "pvc://models"},
        "spec.models[0].source",
        "exactly one of uri, configMap and image must be set",
    ),
    *(
        Refused(
            f"a claim's path with {path} in it",
            {"spec.models.0.source": {"uri": f"pvc://models/{path}"}},
            "spec.models[0].source.uri",
            "uri must not hold . or .. as a folder: write it from the root",
        )
        for path in ("../x", "a/../b", "a/..", "..", "./a")
    ),
    *(
        Refused(
            f"a cache of {what}",
            {"spec.download.cache": cache},
            "spec.download.cache",
            "exactly one of claimName, storageClassName and node must be set",
        )
        for what, cache in (
            ("nothing", {}),
            ("a claim and the node", {"claimName": "models", "node": True}),
            ("a claim and a storage class", {"claimName": "models", "storageClassName": "nfs"}),
        )
    ),
    Refused(
        "a cache of no node",
        {"spec.download.cache": {"node": False}},
        "spec.download.cache.node",
        "node must be true or left out",
    ),
    Refused(
        "a model with a source and versions",
        {
            "spec.models.0.versions": [{"version": 2, "source": {"configMap": "encoder-files"}}],
        },
        "spec.models[0].source",
        "exactly one of source and versions must be set",
    ),
    Refused(
        "batching by no batcher",
        {"spec.models.0.batching": {}},
        "spec.models[0].batching",
        "exactly one of dynamic and sequence must be set",
    ),
    Refused(
        "batching by both batchers",
        {"spec.models.0.batching": {"dynamic": {}, "sequence": {}}},
        "spec.models[0].batching",
        "exactly one of dynamic and sequence must be set",
    ),
    Refused(
        "a version policy of nothing",
        {"spec.models.0.versionPolicy": {}},
        "spec.models[0].versionPolicy",
        "exactly one of latest, specific and all must be set",
    ),
    Refused(
        "an initial state of nothing",
        {
            "spec.models.0.batching.sequence.states": [
                {
                    "input": "a",
                    "output": "b",
                    "dataType": "FP32",
                    "dims": [1],
                    "initial": [{"name": "a", "dataType": "FP32", "dims": [1]}],
                }
            ]
        },
        "spec.models[0].batching.sequence.states[0].initial[0]",
        "exactly one of zero and file must be set",
    ),
    Refused(
        "an automatic mode that was left to its default, without objectives",
        {"spec.objectives": REMOVED},
        "spec.objectives",
        "mode Automatic needs at least one objective",
    ),
)
