"""Each rule finds its fault, at its path, in its words; and a valid spec has none."""

from collections.abc import Callable
from typing import Any

import pytest

import model_cases
from spec_cases import CEL_CASES, Refused
from specs import valid_body
from trireme.admission.check import check, warnings
from trireme.admission.parse import parse_agent
from trireme.errors import Fault


def scheduled(schedule: str = "0 8 * * 1-5", **fields: Any) -> dict[str, Any]:
    """A schedule in the spec; a field that is None is left out."""
    body = {"schedule": schedule, "duration": "10h", "min": 4, **fields}
    return {field: value for field, value in body.items() if value is not None}


def classes(*fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Node classes a, b, ... that differ by their nodes."""
    return {
        "spec.server.nodeClasses": [
            {
                "name": "abcdef"[index],
                "price": 1 + index,
                "placement": {"nodeSelector": {"sort": str(index)}},
                **each,
            }
            for index, each in enumerate(fields)
        ],
        **more,
    }


def mirroring(**mirror: Any) -> dict[str, Any]:
    """A rollout by a canary with mirrored requests."""
    return {"spec.rollout": {"strategy": "Canary", "canary": {"mirror": mirror}}}


def steps(*weights: str, **fields: Any) -> dict[str, Any]:
    """A rollout by a canary with steps of these weights."""
    listed = [{"weight": weight, **fields} for weight in weights]
    return {"spec.rollout": {"strategy": "Canary", "canary": {"steps": listed}}}


FAULTS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "two node classes of one name": (
        classes({"name": "spot"}, {"name": "spot"}),
        ["spec.server.nodeClasses[1].name"],
    ),
    "a node class named as the gateway": (
        classes({"name": "gateway"}),
        ["spec.server.nodeClasses[0].name"],
    ),
    "node classes that only their prices tell apart": (
        classes({}, {"placement": {"nodeSelector": {"sort": "0"}}}),
        ["spec.server.nodeClasses[1]"],
    ),
    "a node class with more at least than at most": (
        classes({"min": 3, "max": 2}),
        ["spec.server.nodeClasses[0].min"],
    ),
    "node classes with more at least than the agent has at most": (
        classes({"min": 3}, {"min": 3}, **{"spec.scaling.max": 5}),
        ["spec.server.nodeClasses"],
    ),
    "node classes with fewer at most than the agent has at least": (
        classes({"max": 1}, {"max": 1}, **{"spec.scaling.min": 3}),
        ["spec.server.nodeClasses"],
    ),
    "node classes with more at least than a schedule has at most": (
        classes({"min": 3}, {"min": 3}, **{"spec.scaling.schedules": [scheduled(min=None, max=5)]}),
        ["spec.server.nodeClasses"],
    ),
    "node classes with fewer at most than a schedule has at least": (
        classes({"max": 1}, {"max": 2}, **{"spec.scaling.schedules": [scheduled(min=4)]}),
        ["spec.server.nodeClasses"],
    ),
    "a node class with a min where there are to be no pods at times": (
        classes(
            {"min": 1},
            **{"spec.scaling.min": 0, "spec.scaling.demand": {"query": "sum(rate(asked[1m]))"}},
        ),
        ["spec.server.nodeClasses"],
    ),
    "node classes where somebody else decides": (
        classes({}, **{"spec.scaling.mode": "Fixed", "spec.replicas": 2}),
        ["spec.scaling.mode"],
    ),
    "a node class without the GPU that a model asks for": (
        classes(
            {"gpus": {"count": 1}},
            {"gpus": {"count": 0}},
            **{"spec.models.0.instances": [{"kind": "GPU"}]},
        ),
        ["spec.models[0].instances[0].kind"],
    ),
    "a misspelt toleration of a node class": (
        classes({"placement": {"tolerations": [{"kee": "spot"}]}}),
        ["spec.server.placement.tolerations[0].kee"],
    ),
    "a node class without memory to speak of": (
        classes({"resources": {"memory": "1"}}),
        ["spec.server.resources.memory"],
    ),
    "a cache of a claim and of the node": (
        {"spec.download.cache": {"claimName": "models", "node": True}},
        ["spec.download.cache"],
    ),
    "an image with a line break in it": (
        {"spec.server.image": "example.com/triton:24.10-py3\n"},
        ["spec.server.image"],
    ),
    "a tag without a release and none given": (
        {"spec.server.image": "example.com/triton:latest"},
        ["spec.server.release"],
    ),
    "an image named by digest only": (
        {"spec.server.image": "example.com/triton@sha256:0123"},
        ["spec.server.release"],
    ),
    "a release that the tag contradicts": (
        {"spec.server.release": "26.08"},
        ["spec.server.release"],
    ),
    "a flag and its value as two items": (
        {"spec.server.args": ["--log-verbose", "1"]},
        ["spec.server.args[1]"],
    ),
    "a flag that Trireme sets": (
        {"spec.server.args": ["--exit-timeout-secs=5"]},
        ["spec.server.args[0]"],
    ),
    "a flag that Trireme sets, with underscores": (
        {"spec.server.args": ["--model_control_mode=none"]},
        ["spec.server.args[0]"],
    ),
    "a flag that Trireme sets, abbreviated": (
        {"spec.server.args": ["--model-contr=none"]},
        ["spec.server.args[0]"],
    ),
    "latency counters switched off": (
        {"spec.server.args": ["--metrics-config=counter_latencies=false"]},
        ["spec.server.args[0]"],
    ),
    "a second way to the control interface": (
        {"spec.server.args": ["--allow-sagemaker=true"]},
        ["spec.server.args[0]"],
    ),
    "a control key of the user's": (
        {"spec.server.env": [{"name": "TRIREME_CONTROL_KEY", "value": "1"}]},
        ["spec.server.env[0]"],
    ),
    "Vertex AI's endpoint switched on": (
        {"spec.server.env": [{"name": "AIP_MODE", "value": "PREDICTION"}]},
        ["spec.server.env[0]"],
    ),
    "a variable with two values": (
        {"spec.server.env": [{"name": "A", "value": "1", "valueFrom": {}}]},
        ["spec.server.env[0]"],
    ),
    "a variable without a value": ({"spec.server.env": [{"name": "A"}]}, ["spec.server.env[0]"]),
    "a variable given twice": (
        {"spec.server.env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]},
        ["spec.server.env[1].name"],
    ),
    "a misspelt field of a pod template": (
        {"spec.server.podTemplate": {"spec": {"toleratons": []}}},
        ["spec.server.podTemplate.spec.toleratons"],
    ),
    "a pod template's field of another type": (
        {"spec.server.podTemplate": {"spec": {"containers": {"name": "triton"}}}},
        ["spec.server.podTemplate.spec.containers"],
    ),
    "a pod template without seccomp": (
        {
            "spec.server.podTemplate": {
                "spec": {
                    "containers": [
                        {
                            "name": "triton",
                            "securityContext": {"seccompProfile": {"type": "Unconfined"}},
                        }
                    ]
                }
            }
        },
        ["spec.server.podTemplate.spec.containers[0].securityContext.seccompProfile.type"],
    ),
    "a sidecar that is not restricted": (
        {"spec.server.podTemplate": {"spec": {"containers": [{"name": "side", "image": "a"}]}}},
        [
            "spec.server.podTemplate.spec.containers[0].securityContext.allowPrivilegeEscalation",
            "spec.server.podTemplate.spec.containers[0].securityContext.capabilities.drop",
        ],
    ),
    "a volume of the node's": (
        {
            "spec.server.podTemplate": {
                "spec": {"volumes": [{"name": "all", "hostPath": {"path": "/"}}]}
            }
        },
        ["spec.server.podTemplate.spec.volumes[0].hostPath"],
    ),
    "an image in the pod template": (
        {
            "spec.server.podTemplate": {
                "spec": {"containers": [{"name": "triton", "image": "example.com/other:1"}]}
            }
        },
        ["spec.server.podTemplate.spec.containers[0].image"],
    ),
    "two models of one name": (
        {
            "spec.models.1.name": "encoder",
            "spec.pipelines": [],
            "spec.objectives.0.model": "encoder",
        },
        ["spec.models[1].name"],
    ),
    "a pipeline named like a model": (
        {
            "spec.pipelines.0.name": "encoder",
            "spec.objectives.0.model": "encoder",
            "spec.pipelines.0.steps.0.model": "scorer",
        },
        [
            "spec.pipelines[0].name",
            "spec.pipelines[0].steps[0].inputs.ids",
            "spec.pipelines[0].steps[0].outputs.embedding",
            "spec.pipelines[0].steps[0].inputs",
        ],
    ),
    "an input given twice": (
        {"spec.models.0.inputs.1.name": "ids"},
        ["spec.models[0].inputs[1].name"],
    ),
    "a dimension of 0": (
        {"spec.models.0.outputs.0.dims": [0], "spec.models.1.inputs.0.dims": [-1]},
        ["spec.models[0].outputs[0].dims"],
    ),
    "TensorRT on CPU": ({"spec.models.0.backend": "tensorrt"}, ["spec.models[0].backend"]),
    "GPU instances on CPU": (
        {"spec.models.0.instances": [{"kind": "GPU"}]},
        ["spec.models[0].instances[0].kind"],
    ),
    "a GPU index that is not there": (
        {"spec.server.gpus.count": 1, "spec.models.0.instances": [{"kind": "GPU", "gpus": [1]}]},
        ["spec.models[0].instances[0].gpus"],
    ),
    "GPU indices for CPU instances": (
        {"spec.server.gpus.count": 1, "spec.models.0.instances": [{"kind": "CPU", "gpus": [0]}]},
        ["spec.models[0].instances[0].gpus"],
    ),
    "a preferred batch above the largest": (
        {"spec.models.0.batching": {"dynamic": {"preferredBatchSizes": [4, 16]}}},
        ["spec.models[0].batching.dynamic.preferredBatchSizes"],
    ),
    "a warm-up batch above the largest": (
        {"spec.models.0.warmup": [{"batchSize": 1}, {"batchSize": 9}]},
        ["spec.models[0].warmup[1].batchSize"],
    ),
    "a warm-up batch of a model without batches": (
        {
            "spec.models.0.maxBatchSize": 0,
            "spec.models.0.warmup": [{"batchSize": 2}],
            "spec.pipelines": [],
            "spec.objectives.0.model": "encoder",
        },
        ["spec.models[0].warmup[0].batchSize"],
    ),
    "a warm-up shape for no input": (
        {"spec.models.0.warmup": [{"inputs": {"tokens": {"dims": [3]}}}]},
        ["spec.models[0].warmup[0].inputs.tokens"],
    ),
    "a warm-up shape of another rank": (
        {"spec.models.0.warmup": [{"inputs": {"ids": {"dims": [3, 4]}}}]},
        ["spec.models[0].warmup[0].inputs.ids.dims"],
    ),
    "a warm-up shape against a fixed size": (
        {"spec.models.1.warmup": [{"inputs": {"embedding": {"dims": [8]}}}]},
        ["spec.models[1].warmup[0].inputs.embedding.dims"],
    ),
    "a ModelConfig field set twice": (
        {"spec.models.0.config": {"max_batch_size": 4}},
        ["spec.models[0].config.max_batch_size"],
    ),
    "instances both typed and free": (
        {
            "spec.models.0.config": {"instance_group": [{"count": 2}]},
            "spec.models.0.instances": [{"count": 1}],
        },
        ["spec.models[0].config.instance_group"],
    ),
    "two kinds of batching": (
        {
            "spec.models.0.config": {"sequence_batching": {}},
            "spec.models.0.batching": {"dynamic": {}},
        },
        ["spec.models[0].config.sequence_batching"],
    ),
    "two scheduling choices in config": (
        {"spec.models.0.config": {"sequence_batching": {}, "dynamic_batching": {}}},
        ["spec.models[0].config"],
    ),
    "a model that would be an ensemble": (
        {"spec.models.0.config": {"ensemble_scheduling": {"step": []}}},
        ["spec.models[0].config.ensemble_scheduling"],
    ),
    "a field that ModelConfig does not have": (
        {"spec.models.0.config": {"optimisation": {}}},
        ["spec.models[0].config.optimisation"],
    ),
    "a field in camelCase": (
        {"spec.models.0.config": {"responseCache": {"enable": True}}},
        ["spec.models[0].config.responseCache"],
    ),
    "a field that a message inside does not have": (
        {"spec.models.0.config": {"optimization": {"cuda": {"graph": True}}}},
        ["spec.models[0].config.optimization.cuda.graph"],
    ),
    "a number where text is wanted": (
        {"spec.models.0.config": {"parameters": {"beam.width": {"string_value": 4}}}},
        ["spec.models[0].config.parameters[beam.width].string_value"],
    ),
    "text where a number is wanted": (
        {"spec.models.0.config": {"instance_group": [{"count": "two"}]}},
        ["spec.models[0].config.instance_group[0].count"],
    ),
    "an enum value that does not exist": (
        {"spec.models.0.config": {"instance_group": [{"kind": "CPU"}]}},
        ["spec.models[0].config.instance_group[0].kind"],
    ),
    "a scalar where a message is wanted": (
        {"spec.models.0.config": {"response_cache": True}},
        ["spec.models[0].config.response_cache"],
    ),
    "a message where a list is wanted": (
        {"spec.models.0.config": {"instance_group": {"count": 2}}},
        ["spec.models[0].config.instance_group"],
    ),
    "a list where a map is wanted": (
        {"spec.models.0.config": {"parameters": ["a"]}},
        ["spec.models[0].config.parameters"],
    ),
    "a free instance group on GPUs that are not there": (
        {"spec.models.0.config": {"instance_group": [{"kind": "KIND_GPU", "gpus": [0]}]}},
        [
            "spec.models[0].config.instance_group[0].kind",
            "spec.models[0].config.instance_group[0].gpus",
        ],
    ),
    "a runtime outside its directory": (
        {"spec.models.0.config": {"runtime": "../../tmp/evil.so"}},
        ["spec.models[0].config.runtime"],
    ),
    "a step of an unknown model": (
        {"spec.pipelines.0.steps.0.model": "encoderr"},
        ["spec.pipelines[0].steps[0].model"],
    ),
    "a pipeline that calls itself": (
        {
            "spec.pipelines.0.steps.0.model": "agent",
            "spec.pipelines.0.steps.0.inputs": {"text_ids": "text_ids"},
            "spec.pipelines.0.steps.0.outputs": {"score": "vector"},
            "spec.models.1.inputs.0.dims": [-1],
        },
        ["spec.pipelines[0].steps"],
    ),
    "pipelines whose calls multiply": (
        {
            f"spec.pipelines.{at}": {
                "name": f"p{at}",
                "maxBatchSize": 4,
                "inputs": [{"name": "text_ids", "dataType": "INT64", "dims": [-1]}],
                "outputs": [
                    {"name": name, "dataType": "FP32", "dims": [1]} for name in ("score", "again")
                ],
                "steps": [
                    {
                        "model": f"p{at - 1}" if at > 1 else "agent",
                        "inputs": {"text_ids": "text_ids"},
                        "outputs": {"score": name},
                    }
                    for name in ("score", "again")
                ],
            }
            for at in range(1, 9)
        },
        ["spec.pipelines[8].steps"],
    ),
    "pipelines that call each other": (
        {
            "spec.pipelines.1": {
                "name": "other",
                "maxBatchSize": 4,
                "inputs": [{"name": "a", "dataType": "INT64", "dims": [-1]}],
                "outputs": [{"name": "b", "dataType": "FP32", "dims": [-1]}],
                "steps": [
                    {"model": "agent", "inputs": {"text_ids": "a"}, "outputs": {"score": "b"}}
                ],
            },
            "spec.pipelines.0.steps.0.model": "other",
            "spec.pipelines.0.steps.0.inputs": {"a": "text_ids"},
            "spec.pipelines.0.steps.0.outputs": {"b": "vector"},
            "spec.pipelines.1.outputs.0.dims": [-1],
        },
        ["spec.pipelines[0].steps", "spec.pipelines[1].steps"],
    ),
    "a step's input that the model does not have": (
        {"spec.pipelines.0.steps.0.inputs": {"ids": "text_ids", "maskk": "text_ids"}},
        ["spec.pipelines[0].steps[0].inputs.maskk"],
    ),
    "a step's output that the model does not have": (
        {"spec.pipelines.0.steps.0.outputs": {"embedding": "vector", "logits": "score2"}},
        ["spec.pipelines[0].steps[0].outputs.logits", "spec.pipelines[0].steps[0].outputs.logits"],
    ),
    "a required input that is not fed": (
        {"spec.pipelines.0.steps.0.inputs": {"mask": "text_ids"}},
        ["spec.pipelines[0].steps[0].inputs"],
    ),
    "a step without outputs": (
        {
            "spec.pipelines.0.steps.2": {
                "model": "scorer",
                "inputs": {"embedding": "vector"},
                "outputs": {},
            }
        },
        ["spec.pipelines[0].steps[2].outputs"],
    ),
    "a tensor made by two steps": (
        {
            "spec.pipelines.0.steps.2": {
                "model": "scorer",
                "inputs": {"embedding": "vector"},
                "outputs": {"score": "score"},
            }
        },
        ["spec.pipelines[0].steps[2].outputs.score"],
    ),
    "a tensor that nothing makes": (
        {
            "spec.pipelines.0.steps.1.inputs.embedding": "vectors",
            "spec.pipelines.0.steps.0.outputs.embedding": "vector",
        },
        [
            "spec.pipelines[0].steps[1].inputs.embedding",
            "spec.pipelines[0].steps[0].outputs.embedding",
        ],
    ),
    "a pipeline's output that nothing makes": (
        {"spec.pipelines.0.outputs.0.name": "rating"},
        ["spec.pipelines[0].outputs[0]", "spec.pipelines[0].steps[1].outputs.score"],
    ),
    "a pipeline's input that nothing uses": (
        {"spec.pipelines.0.inputs.1": {"name": "user", "dataType": "INT64", "dims": [1]}},
        ["spec.pipelines[0].inputs[1]"],
    ),
    "steps that wait for each other": (
        {
            "spec.models.0.inputs.0": {"name": "ids", "dataType": "FP32", "dims": [1]},
            "spec.pipelines.0.steps.0.inputs": {"ids": "score", "mask": "text_ids"},
        },
        ["spec.pipelines[0].steps"],
    ),
    "tensors of different types": (
        {"spec.models.1.inputs.0.dataType": "FP16"},
        ["spec.pipelines[0].steps[1].inputs.embedding"],
    ),
    "tensors of different shapes": (
        {"spec.models.1.inputs.0.dims": [32]},
        ["spec.pipelines[0].steps[1].inputs.embedding"],
    ),
    "the batch dimension repeated in a pipeline's dims": (
        {"spec.pipelines.0.inputs.0.dims": [-1, -1]},
        ["spec.pipelines[0].steps[0].inputs.ids"],
    ),
    "a pipeline's batch above a step's": (
        {"spec.pipelines.0.maxBatchSize": 8},
        ["spec.pipelines[0].maxBatchSize"],
    ),
    "an objective for an unknown model": (
        {"spec.objectives.0.model": "agnet"},
        ["spec.objectives[0].model"],
    ),
    "two objectives for one model": (
        {"spec.objectives.1": {"model": "agent", "latency": {"target": "1s"}}},
        ["spec.objectives[1].model"],
    ),
    "a latency target with the wrong unit": (
        {"spec.objectives.0.latency.target": "100m"},
        ["spec.objectives[0].latency.target"],
    ),
    "a latency target of nothing": (
        {"spec.objectives.0.latency.target": "0s"},
        ["spec.objectives[0].latency.target"],
    ),
    "a rate policy over an hour": (
        {
            "spec.scaling.behavior.up": {
                "stabilizationWindow": "0s",
                "policies": [{"type": "Pods", "value": 1, "period": "1h"}],
            }
        },
        ["spec.scaling.behavior.up.policies[0].period"],
    ),
    "a stabilisation window over an hour": (
        {
            "spec.scaling.behavior.down": {
                "stabilizationWindow": "2h",
                "policies": [{"type": "Pods", "value": 1, "period": "15s"}],
            }
        },
        ["spec.scaling.behavior.down.stabilizationWindow"],
    ),
    "a start-up budget of a second": (
        {"spec.server.startupTimeout": "1s"},
        ["spec.server.startupTimeout"],
    ),
    "CPU in bytes": (
        {"spec.gateway.resources": {"cpu": "1Gi"}},
        ["spec.gateway.resources.cpu"],
    ),
    "memory in thousandths of a byte": (
        {"spec.server.resources": {"memory": "400m"}},
        ["spec.server.resources.memory"],
    ),
    "memory without a unit": (
        {"spec.server.resources": {"sharedMemory": 64}},
        ["spec.server.resources.sharedMemory"],
    ),
    "a template left unfilled": (
        {"spec.models.0.parameters": {"engine": "${engine_dir}"}},
        ["spec.models[0].parameters.engine"],
    ),
    "a template left unfilled in config": (
        {"spec.models.0.config": {"metric_tags": {"team": "{{ .Values.team }}"}}},
        ["spec.models[0].config.metric_tags.team"],
    ),
    "a schedule at a minute that is none": (
        {"spec.scaling.schedules": [scheduled("61 8 * * 1-5")]},
        ["spec.scaling.schedules[0].schedule"],
    ),
    "a schedule with seconds": (
        {"spec.scaling.schedules": [scheduled(), scheduled("0 0 8 * * 1-5")]},
        ["spec.scaling.schedules[1].schedule"],
    ),
    "a schedule by a name for it": (
        {"spec.scaling.schedules": [scheduled("@daily")]},
        ["spec.scaling.schedules[0].schedule"],
    ),
    "a schedule on the 30th of February": (
        {"spec.scaling.schedules": [scheduled("0 8 30 2 *")]},
        ["spec.scaling.schedules[0].schedule"],
    ),
    "a time zone with its case wrong": (
        {"spec.scaling.schedules": [scheduled(timeZone="europe/berlin")]},
        ["spec.scaling.schedules[0].timeZone"],
    ),
    "the time zone of wherever the operator runs": (
        {"spec.scaling.schedules": [scheduled(timeZone="Local")]},
        ["spec.scaling.schedules[0].timeZone"],
    ),
    "a time zone without its continent": (
        {"spec.scaling.schedules": [scheduled(timeZone="Berlin")]},
        ["spec.scaling.schedules[0].timeZone"],
    ),
    "a time zone that is a path": (
        {"spec.scaling.schedules": [scheduled(timeZone="../../etc/localtime")]},
        ["spec.scaling.schedules[0].timeZone"],
    ),
    "a schedule with a min above scaling.max": (
        {"spec.scaling": {"max": 10, "schedules": [scheduled(min=12)]}},
        ["spec.scaling.schedules[0].min"],
    ),
    "a schedule with a max below scaling.min": (
        {"spec.scaling": {"min": 4, "schedules": [scheduled(min=None, max=2)]}},
        ["spec.scaling.schedules[0].max"],
    ),
    "no pods at any time without a demand": (
        {"spec.scaling": {"min": 0, "schedules": [scheduled(min=0)]}},
        ["spec.scaling.min", "spec.scaling.schedules[0].min"],
    ),
    "a demand that asks for nothing": (
        {"spec.scaling.demand": {"query": " "}},
        ["spec.scaling.demand.query"],
    ),
    "a window of seconds": (
        {"spec.scaling.schedules": [scheduled(duration="10s")]},
        ["spec.scaling.schedules[0].duration"],
    ),
    **model_cases.FAULTS,
    "a canary's step without requests": (
        steps("0%", "50%"),
        ["spec.rollout.canary.steps[0].weight"],
    ),
    "a canary's steps that fall": (
        steps("50%", "25%", "75%"),
        ["spec.rollout.canary.steps[1].weight"],
    ),
    "a canary's step that lasts longer than its deadline": (
        steps("5%", pause="1h"),
        ["spec.rollout.canary.steps[0].pause"],
    ),
    "a canary that is never taken back": (
        {"spec.rollout": {"strategy": "Canary", "canary": {"falseAlarmRate": "0%"}}},
        ["spec.rollout.canary.falseAlarmRate"],
    ),
    "a canary that takes a year": (
        {"spec.rollout": {"strategy": "Canary", "canary": {"deadline": "8760h"}}},
        ["spec.rollout.canary.deadline"],
    ),
    "a canary's step that takes a month": (
        {
            "spec.rollout": {
                "strategy": "Canary",
                "canary": {"deadline": "168h", "steps": [{"weight": "5%", "pause": "720h"}]},
            }
        },
        ["spec.rollout.canary.steps[0].pause", "spec.rollout.canary.steps[0].pause"],
    ),
    "a month to fetch files in": (
        {"spec.download.timeout": "720h"},
        ["spec.download.timeout"],
    ),
    "a mirror of no requests": (
        mirroring(share="0%"),
        ["spec.rollout.canary.mirror.share"],
    ),
    "a mirror of requests without limit": (
        mirroring(share="10%", maxSize="1Gi"),
        ["spec.rollout.canary.mirror.maxSize"],
    ),
    "a mirror without a gateway": (
        {**mirroring(share="10%"), "spec.gateway": {"enabled": False}},
        ["spec.rollout.canary.mirror"],
    ),
    "settings that are tried on pods of several node classes": (
        classes(
            {},
            {},
            **{"spec.rollout": {"strategy": "Canary"}, "spec.tuning": {"mode": "Apply"}},
        ),
        ["spec.tuning.mode"],
    ),
}
"""By what is wrong: the edits that make a valid spec so, and the paths of its faults."""

WARNINGS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a size of what the chart says the size of": (
        {"spec.download.cache": {"node": True, "size": "1Ti"}},
        ["spec.download.cache.size"],
    ),
    "the largest of batches that nothing makes": (
        {"spec.objectives.0.model": "encoder"},
        ["spec.models[0].batching"],
    ),
    "batching without a batch dimension": (
        {"spec.models.0.maxBatchSize": 0, "spec.models.0.batching": {"dynamic": {}}},
        ["spec.models[0].batching"],
    ),
    "PyTorch tensors without an index in their names": (
        {"spec.models.1.backend": "pytorch"},
        ["spec.models[1].inputs[0].name", "spec.models[1].outputs[0].name"],
    ),
    "an empty parameter": (
        {"spec.models.0.parameters": {"engine.path": ""}},
        ["spec.models[0].parameters[engine.path]"],
    ),
    "a backend that NVIDIA's image does not hold": (
        {
            "spec.server.image": "nvcr.io/nvidia/tritonserver:25.06-trtllm-python-py3",
            "spec.models.0.backend": "onnxruntime",
        },
        ["spec.models[0].backend"],
    ),
    "a release that cannot close its control interface": (
        {"spec.server.image": "example.com/triton:23.10-py3"},
        ["spec.server.release"],
    ),
    "a percentile without a histogram to read it from": (
        {"spec.gateway": {"enabled": False}},
        ["spec.objectives[0].latency.percentile"],
    ),
    "part in a budget of GPUs without a GPU": (
        {"spec.server.gpus": {"count": 0}, "spec.scaling.budget": {"name": "team-a"}},
        ["spec.scaling.budget"],
    ),
    "a demand where the size is fixed": (
        {"spec.replicas": 3, "spec.scaling": {"mode": "Fixed", "demand": {"query": "vector(1)"}}},
        ["spec.scaling.demand"],
    ),
    "what scales a fleet whose size another decides": (
        {
            "spec.replicas": 3,
            "spec.scaling": {
                "mode": "External",
                "min": 2,
                "max": 30,
                "target": {"inFlight": 4},
                "tolerance": "5%",
                "behavior": {"up": {"policies": [{"type": "Pods", "value": 1, "period": "1m"}]}},
                "paused": "ScaleIn",
            },
        },
        [
            f"spec.scaling.{field}"
            for field in ("min", "max", "target", "tolerance", "behavior", "paused")
        ],
    ),
    "a gateway's settings without a gateway": (
        {
            "spec.gateway": {"enabled": False, "replicas": 3, "requestTimeout": "5s"},
            "spec.server.image": "example.com/triton:26.01-py3",
        },
        ["spec.gateway.replicas", "spec.gateway.requestTimeout"],
    ),
    "a canary's steps where none is tried": (
        {"spec.rollout": {"canary": {"deadline": "30m"}}},
        ["spec.rollout.canary"],
    ),
    "a limit that allows everything": (
        {"spec.rollout": {"strategy": "Canary", "canary": {"limits": {"refused": "100%"}}}},
        ["spec.rollout.canary.limits.refused"],
    ),
    "schedules where the size is fixed": (
        {
            "spec.replicas": 3,
            "spec.scaling": {"mode": "Fixed", "schedules": [scheduled()]},
        },
        ["spec.scaling.schedules"],
    ),
    **model_cases.WARNINGS,
    "a canary beside no pods": (
        {
            "spec.rollout": {"strategy": "Canary"},
            "spec.scaling.mode": "Fixed",
            "spec.replicas": 0,
        },
        ["spec.rollout.strategy"],
    ),
    "a canary without an objective": (
        {
            "spec.rollout": {"strategy": "Canary"},
            "spec.scaling.mode": "Fixed",
            "spec.replicas": 2,
            "spec.objectives": [],
        },
        ["spec.rollout.strategy"],
    ),
    "a canary whose latency nobody measures": (
        {
            "spec.rollout": {"strategy": "Canary"},
            "spec.gateway": {"enabled": False},
            "spec.objectives": [],
            "spec.scaling.mode": "Fixed",
            "spec.replicas": 2,
        },
        ["spec.rollout.strategy"],
    ),
    "a canary of a node class whose latency nobody measures": (
        classes({}, {}, **{"spec.rollout": {"strategy": "Canary"}}),
        ["spec.rollout.strategy"],
    ),
    "settings to apply where nothing is learnt": (
        {
            "spec.rollout": {"strategy": "Canary"},
            "spec.tuning": {"mode": "Apply"},
            "spec.scaling.mode": "Fixed",
            "spec.replicas": 2,
        },
        ["spec.tuning.mode"],
    ),
    "settings to apply where the target is the user's": (
        {
            "spec.rollout": {"strategy": "Canary"},
            "spec.tuning": {"mode": "Apply"},
            "spec.scaling.target": {"inFlight": 4},
            "spec.objectives.0.model": "encoder",
            "spec.models.0.batching": {"dynamic": {}},
        },
        ["spec.tuning.mode"],
    ),
    "settings to apply of a pipeline with a step that is not learnt": (
        {
            "spec.rollout": {"strategy": "Canary"},
            "spec.tuning": {"mode": "Apply"},
            "spec.models.0.batching": {
                "dynamic": {"queue": {"timeout": "1s", "timeoutAction": "Delay"}}
            },
        },
        ["spec.tuning.mode"],
    ),
    "settings to apply of sequences and of a model with several answers": (
        {
            "spec.rollout": {"strategy": "Canary"},
            "spec.tuning": {"mode": "Apply"},
            "spec.pipelines": [],
            "spec.models.0.batching": {"sequence": {"direct": {}}},
            "spec.models.1.decoupled": True,
            "spec.objectives": [
                {"model": "encoder", "latency": {"target": "100ms"}},
                {"model": "scorer", "latency": {"target": "100ms"}},
            ],
        },
        ["spec.tuning.mode"],
    ),
    "settings to apply of a model that makes no batches": (
        {
            "spec.rollout": {"strategy": "Canary"},
            "spec.tuning": {"mode": "Apply"},
            "spec.pipelines": [],
            "spec.models.0.maxBatchSize": 0,
            "spec.objectives.0.model": "encoder",
        },
        ["spec.tuning.mode"],
    ),
    "an objective of streams": (
        {"spec.models.1.decoupled": True},
        ["spec.objectives[0].latency"],
    ),
    "a canary that is asked by streams, and mirrored": (
        {
            **mirroring(share="10%"),
            "spec.pipelines": [],
            "spec.models.1.decoupled": True,
            "spec.objectives.0.model": "scorer",
            "spec.scaling": {"target": {"inFlight": 4}},
        },
        ["spec.rollout.strategy", "spec.rollout.canary.mirror"],
    ),
    "outputs that no model has": (
        mirroring(
            share="10%", ignoreOutputs=["clock"], outputs=[{"name": "embeding", "by": "Direction"}]
        ),
        [
            "spec.rollout.canary.mirror.ignoreOutputs[0]",
            "spec.rollout.canary.mirror.outputs[0].name",
        ],
    ),
    "a mirror of sequences": (
        {
            **mirroring(share="10%"),
            "spec.pipelines": [],
            "spec.models.0.batching": {"sequence": {"direct": {}}},
            "spec.objectives.0.model": "encoder",
        },
        ["spec.rollout.canary.mirror"],
    ),
    "memory for instances that take nobody knows what": (
        {"spec.tuning": {"limits": {"memory": "12Gi"}}},
        ["spec.tuning.limits.memory"],
    ),
    "instances that take so much of nobody knows what": (
        {"spec.tuning": {"limits": {"instanceMemory": "1Gi"}}, "spec.server.gpus": {"count": 1}},
        ["spec.tuning.limits.instanceMemory"],
    ),
}


def found(rules: Callable[..., tuple[Fault, ...]], edits: dict[str, Any]) -> tuple[Fault, ...]:
    return rules(parse_agent(valid_body(edits)).spec)


def test_a_valid_spec_has_neither_faults_nor_warnings() -> None:
    spec = parse_agent(valid_body()).spec
    assert check(spec) == ()
    assert warnings(spec) == ()


@pytest.mark.parametrize(
    ("edits", "paths"), [pytest.param(*case, id=name) for name, case in FAULTS.items()]
)
def test_a_mistake_is_found_at_its_path(edits: dict[str, Any], paths: list[str]) -> None:
    assert [fault.path for fault in found(check, edits)] == paths


@pytest.mark.parametrize(
    ("edits", "paths"), [pytest.param(*case, id=name) for name, case in WARNINGS.items()]
)
def test_what_is_hardly_meant_is_warned_of_and_accepted(
    edits: dict[str, Any], paths: list[str]
) -> None:
    assert found(check, edits) == ()
    assert [fault.path for fault in found(warnings, edits)] == paths


@pytest.mark.parametrize("case", CEL_CASES, ids=lambda case: case.name)
def test_what_the_api_server_refuses_is_refused_in_the_same_words(case: Refused) -> None:
    assert [(fault.path, fault.message) for fault in found(check, case.edits)] == [
        (case.path, case.message)
    ]


def test_faults_and_warnings_are_worded_as_the_golden_file_has_them(
    golden: Callable[[str, str], None],
) -> None:
    golden("admission/faults.txt", _document(check, FAULTS))
    golden("admission/warnings.txt", _document(warnings, WARNINGS))


def _document(
    rules: Callable[..., tuple[Fault, ...]], cases: dict[str, tuple[dict[str, Any], list[str]]]
) -> str:
    """Each mistake, and below it what the user reads."""
    return "\n".join(
        "\n  ".join([name, *map(str, found(rules, edits))]) + "\n"
        for name, (edits, _) in cases.items()
    )


def test_settings_can_be_applied_to_the_steps_of_a_pipeline() -> None:
    edits = {"spec.rollout": {"strategy": "Canary"}, "spec.tuning": {"mode": "Apply"}}
    assert found(warnings, edits) == ()


def test_settings_can_be_applied_where_one_objective_is_of_a_model() -> None:
    edits: dict[str, Any] = {
        "spec.rollout": {"strategy": "Canary"},
        "spec.tuning": {"mode": "Apply"},
        "spec.objectives": [
            {"model": "agent", "latency": {"target": "100ms"}},
            {"model": "encoder", "latency": {"target": "50ms"}},
        ],
        "spec.models.0.batching": {"dynamic": {}},
    }
    assert found(warnings, edits) == ()


def test_all_faults_are_reported_at_once() -> None:
    edits = {
        "spec.server.image": "example.com/triton:latest",
        "spec.models.0.config": {"nam": "x"},
        "spec.scaling": {"min": 3, "max": 1},
    }
    assert [fault.path for fault in found(check, edits)] == [
        "spec.server.release",
        "spec.models[0].config.nam",
        "spec.scaling.min",
    ]


def test_triton_model_directory_is_no_unfilled_template() -> None:
    edits = {"spec.models.0.parameters": {"engine": "$$TRITON_MODEL_DIRECTORY/1"}}
    assert found(check, edits) == ()


def test_a_batching_pipeline_may_have_a_step_without_batching_whose_dims_hold_the_batch() -> None:
    edits = {"spec.models.1.maxBatchSize": 0, "spec.models.1.inputs.0.dims": [-1, 16]}
    edits |= {"spec.models.1.outputs.0.dims": [-1, 1]}
    assert found(check, edits) == ()
