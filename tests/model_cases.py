"""Mistakes in what a spec says of Triton's ModelConfig: the edits that make a valid body
(`specs.valid_body`) wrong, and the paths of its faults or warnings.
"""

from typing import Any

from specs import REMOVED

Cases = dict[str, tuple[dict[str, Any], list[str]]]

_IMAGE = "spec.server.image"
_MODEL = "spec.models.0"
_PIPELINE = "spec.pipelines.0"
_SOURCE = f"{_MODEL}.source"
_DYNAMIC = f"{_MODEL}.batching.dynamic"
_SEQUENCE = f"{_MODEL}.batching.sequence"
_COMMIT = "0123456789abcdef0123456789abcdef01234567"
_VERSIONS = {
    f"{_MODEL}.source": REMOVED,
    f"{_MODEL}.versions": [
        {"version": 1, "source": {"uri": "s3://models/encoder/1/"}},
        {"version": 3, "source": {"uri": "s3://models/encoder/3/"}},
    ],
}
_STATE = {"input": "state_in", "output": "state_out", "dataType": "FP32", "dims": [-1, 4]}
_ZEROS = {"name": "zeros", "dataType": "FP32", "dims": [2, 4], "zero": True}
_LABELS = {"path": "labels.txt", "configMap": "labels", "key": "labels.txt"}


def _control(kind: str, **said: Any) -> dict[str, Any]:
    return {"name": kind.upper(), "controls": [{"kind": kind, **said}]}


def _sequence(**said: Any) -> dict[str, Any]:
    return {_SEQUENCE: said}


def _states(*initial: dict[str, Any], **said: Any) -> dict[str, Any]:
    return _sequence(states=[{**_STATE, "initial": list(initial), **said}])


SOURCES: Cases = {
    "a uri with a password": (
        {_SOURCE: {"uri": "https://user:hunter2@models.example/a.onnx"}},
        ["spec.models[0].source.uri"],
    ),
    "an endpoint with a password": (
        {_SOURCE: {"uri": "s3://models/a/", "endpoint": "https://user:hunter2@minio.example"}},
        ["spec.models[0].source.endpoint"],
    ),
    "a signed uri": (
        {_SOURCE: {"uri": "https://models.example/a.onnx?X-Amz-Signature=hunter2"}},
        ["spec.models[0].source.uri"],
    ),
    "a shared access signature": (
        {_SOURCE: {"uri": "az://models/a.onnx?sv=1&sig=hunter2"}},
        ["spec.models[0].source.uri"],
    ),
    "a template in a uri with a password": (
        {_SOURCE: {"uri": "https://user:hunter2@models.example/${name}.onnx"}},
        ["spec.models[0].source.uri", "spec.models[0].source.uri"],
    ),
    "a whole bucket": ({_SOURCE: {"uri": "s3://models"}}, ["spec.models[0].source.uri"]),
    "a host without a file": (
        {_SOURCE: {"uri": "https://a.example/"}},
        ["spec.models[0].source.uri"],
    ),
    "an owner without a repository": (
        {_SOURCE: {"uri": "hf://team"}},
        ["spec.models[0].source.uri"],
    ),
    "a digest of a ConfigMap": (
        {f"{_SOURCE}.sha256": "0" * 64},
        ["spec.models[0].source.sha256"],
    ),
    "a digest of a folder": (
        {_SOURCE: {"uri": "s3://models/a/", "sha256": "0" * 64}},
        ["spec.models[0].source.sha256"],
    ),
    "more versions than a pod fetches": (
        {
            f"spec.models.{index}": {
                "name": f"copy-{index}",
                "backend": "python",
                "versions": [
                    {"version": number, "source": {"uri": f"s3://models/a/{number}/"}}
                    for number in range(1, 17)
                ],
            }
            for index in range(2, 19)
        },
        ["spec.models"],
    ),
    "an endpoint of a store that has none": (
        {_SOURCE: {"uri": "gs://models/a/", "endpoint": "https://a.example", "region": "eu"}},
        ["spec.models[0].source.endpoint", "spec.models[0].source.region"],
    ),
    "a Secret for a ConfigMap": (
        {f"{_SOURCE}.secretRef": {"name": "keys"}},
        ["spec.models[0].source.secretRef"],
    ),
    "a path out of an image": (
        {_SOURCE: {"image": {"reference": "a.example/m:1", "path": "../etc"}}},
        ["spec.models[0].source.image.path"],
    ),
}

VERSIONS: Cases = {
    "a version beside versions": (
        {**_VERSIONS, f"{_MODEL}.version": 3},
        ["spec.models[0].version"],
    ),
    "a version given twice": (
        {**_VERSIONS, f"{_MODEL}.versions.1.version": 1},
        ["spec.models[0].versions[1].version"],
    ),
    "a policy for versions that are not there": (
        {**_VERSIONS, f"{_MODEL}.versionPolicy": {"specific": [1, 2]}},
        ["spec.models[0].versionPolicy.specific"],
    ),
    "a policy for no version": (
        {f"{_MODEL}.versionPolicy": {"specific": []}},
        ["spec.models[0].versionPolicy.specific"],
    ),
    "a policy in config for a version that is not there": (
        {f"{_MODEL}.config": {"version_policy": {"specific": {"versions": [2]}}}},
        ["spec.models[0].config.version_policy.specific.versions"],
    ),
    "a policy in config for no version": (
        {f"{_MODEL}.config": {"version_policy": {"specific": {}}}},
        ["spec.models[0].config.version_policy.specific.versions"],
    ),
    "a policy in config for the latest of no number": (
        {f"{_MODEL}.config": {"version_policy": {"latest": {}}}},
        ["spec.models[0].config.version_policy.latest.num_versions"],
    ),
    "two version policies": (
        {f"{_MODEL}.versionPolicy": {"latest": 1, "all": True}},
        ["spec.models[0].versionPolicy"],
    ),
    "a version policy of nothing": (
        {f"{_MODEL}.versionPolicy": {"all": False}},
        ["spec.models[0].versionPolicy.all"],
    ),
    "a step's version 0": (
        {f"{_PIPELINE}.steps.0.version": 0},
        ["spec.pipelines[0].steps[0].version"],
    ),
    "a step's version that is not served": (
        {f"{_PIPELINE}.steps.0.version": 2},
        ["spec.pipelines[0].steps[0].version"],
    ),
}

FILES: Cases = {
    "a file out of its folder": (
        {f"{_MODEL}.files": [{**_LABELS, "path": "../labels.txt"}]},
        ["spec.models[0].files[0].path"],
    ),
    "a file given twice": (
        {f"{_MODEL}.files": [_LABELS, _LABELS]},
        ["spec.models[0].files[1].path"],
    ),
    "a config.pbtxt of the user's": (
        {f"{_MODEL}.files": [{**_LABELS, "path": "config.pbtxt"}]},
        ["spec.models[0].files[0].path"],
    ),
    "a file in a version's directory": (
        {f"{_MODEL}.files": [{**_LABELS, "path": "1/labels.txt"}]},
        ["spec.models[0].files[0].path"],
    ),
    "a file in the directory of a version 0": (
        {f"{_MODEL}.files": [{**_LABELS, "path": "0/labels.txt"}]},
        ["spec.models[0].files[0].path"],
    ),
    "a file where a folder is": (
        {f"{_MODEL}.files": [{**_LABELS, "path": "a"}, {**_LABELS, "path": "a/b"}]},
        ["spec.models[0].files[0].path"],
    ),
    "labels that are not there": (
        {f"{_MODEL}.files": [_LABELS], f"{_MODEL}.outputs.0.labels": "label.txt"},
        ["spec.models[0].outputs[0].labels"],
    ),
    "labels of a pipeline that are not there": (
        {f"{_PIPELINE}.outputs.0.labels": "labels.txt"},
        ["spec.pipelines[0].outputs[0].labels"],
    ),
    "warm-up data that is not there": (
        {f"{_MODEL}.warmup": [{"inputs": {"ids": {"file": "ids.bin"}}}]},
        ["spec.models[0].warmup[0].inputs.ids.file"],
    ),
    "a state's values that are not there": (
        _states({**_ZEROS, "zero": None, "file": "zeros"}),
        ["spec.models[0].batching.sequence.states[0].initial[0].file"],
    ),
}

BACKENDS: Cases = {
    "a TensorFlow file of a name of its own, and no platform": (
        {f"{_MODEL}.backend": "tensorflow", _SOURCE: {"uri": "s3://models/frozen.pb"}},
        ["spec.models[0].platform"],
    ),
    "a TensorFlow model that config names, and no platform": (
        {
            f"{_MODEL}.backend": "tensorflow",
            f"{_MODEL}.config": {"default_model_filename": "resnet.savedmodel"},
        },
        ["spec.models[0].platform"],
    ),
    "a file that no backend is known by": (
        {f"{_MODEL}.backend": REMOVED, _SOURCE: {"uri": "s3://models/diabetes.onnx"}},
        ["spec.models[0].backend"],
    ),
    "a chosen file that no backend is known by": (
        {f"{_MODEL}.backend": REMOVED, f"{_MODEL}.config": {"default_model_filename": "a.bin"}},
        ["spec.models[0].backend"],
    ),
    "an unknown platform": (
        {f"{_MODEL}.backend": REMOVED, f"{_MODEL}.platform": "onnx"},
        ["spec.models[0].platform"],
    ),
    "the platform of ensembles": (
        {f"{_MODEL}.platform": "ensemble"},
        ["spec.models[0].platform"],
    ),
    "the platform of another backend": (
        {f"{_MODEL}.platform": "onnxruntime_onnx"},
        ["spec.models[0].platform"],
    ),
    "the platform of TensorRT on CPU": (
        {f"{_MODEL}.backend": REMOVED, f"{_MODEL}.platform": "tensorrt_plan"},
        ["spec.models[0].backend"],
    ),
}

TENSORS: Cases = {
    "a reshape with a dimension of 0": (
        {f"{_MODEL}.inputs.0.reshape": [-1, 0]},
        ["spec.models[0].inputs[0].reshape", "spec.models[0].inputs[0].reshape"],
    ),
    "a reshape of another size": (
        {f"{_MODEL}.outputs.0.reshape": [4, 5]},
        ["spec.models[0].outputs[0].reshape"],
    ),
    "a reshape of other sizes between variable dimensions": (
        {f"{_MODEL}.inputs.1.dims": [2, 4, -1, 6], f"{_MODEL}.inputs.1.reshape": [8, 6, -1]},
        ["spec.models[0].inputs[1].reshape"],
    ),
    "a scalar without batches": (
        {
            f"{_MODEL}.maxBatchSize": 0,
            f"{_MODEL}.inputs.1.dims": [1],
            f"{_MODEL}.inputs.1.reshape": [],
        },
        ["spec.models[0].inputs[1].reshape"],
    ),
    "an image of two dimensions": (
        {f"{_MODEL}.inputs.1.format": "NHWC", f"{_MODEL}.inputs.1.dims": [224, 224]},
        ["spec.models[0].inputs[1].dims"],
    ),
    "a shape tensor of another backend": (
        {f"{_MODEL}.inputs.1.shapeTensor": True},
        ["spec.models[0].inputs[1].shapeTensor"],
    ),
    "a batch input of two sources": (
        {
            f"{_MODEL}.batchInputs": [
                {
                    "kind": "ElementCount",
                    "targets": ["count"],
                    "dataType": "INT32",
                    "sources": ["ids", "mask"],
                }
            ]
        },
        ["spec.models[0].batchInputs[0].sources"],
    ),
    "a batch input of another type": (
        {
            f"{_MODEL}.batchInputs": [
                {
                    "kind": "ElementCount",
                    "targets": ["count"],
                    "dataType": "INT64",
                    "sources": ["ids"],
                }
            ]
        },
        ["spec.models[0].batchInputs[0].dataType"],
    ),
    "a batch input of an unknown source": (
        {
            f"{_MODEL}.batchInputs": [
                {
                    "kind": "ElementCount",
                    "targets": ["count"],
                    "dataType": "INT32",
                    "sources": ["id"],
                }
            ]
        },
        ["spec.models[0].batchInputs[0].sources[0]"],
    ),
    "a batch output for an unknown target, and for one twice": (
        {
            f"{_MODEL}.batchOutputs": [
                {"targets": ["embeding", "embedding", "embedding"], "sources": ["ids"]}
            ]
        },
        [
            "spec.models[0].batchOutputs[0].targets[0]",
            "spec.models[0].batchOutputs[0].targets[2]",
        ],
    ),
}

BATCHING: Cases = {
    "no batcher": ({f"{_MODEL}.batching": {}}, ["spec.models[0].batching"]),
    "both batchers": (
        {f"{_MODEL}.batching": {"dynamic": {}, "sequence": {}}},
        ["spec.models[0].batching"],
    ),
    "a preferred batch of 0": (
        {_DYNAMIC: {"preferredBatchSizes": [0]}},
        ["spec.models[0].batching.dynamic.preferredBatchSizes"],
    ),
    "a preferred batch of sequences above the largest": (
        _sequence(oldest={"preferredBatchSizes": [16]}),
        ["spec.models[0].batching.sequence.oldest.preferredBatchSizes"],
    ),
    "a default priority that does not exist": (
        {_DYNAMIC: {"priorityLevels": 2, "defaultPriorityLevel": 3}},
        ["spec.models[0].batching.dynamic.defaultPriorityLevel"],
    ),
    "priorities without a default": (
        {_DYNAMIC: {"priorityLevels": 2}},
        ["spec.models[0].batching.dynamic.defaultPriorityLevel"],
    ),
    "a queue of a priority that does not exist": (
        {
            _DYNAMIC: {
                "priorityLevels": 2,
                "defaultPriorityLevel": 1,
                "priorityQueues": [{"level": 2}, {"level": 3}],
            }
        },
        ["spec.models[0].batching.dynamic.priorityQueues[1].level"],
    ),
    "two queues of one priority": (
        {
            _DYNAMIC: {
                "priorityLevels": 2,
                "defaultPriorityLevel": 1,
                "priorityQueues": [{"level": 2}, {"level": 2}],
            }
        },
        ["spec.models[0].batching.dynamic.priorityQueues[1].level"],
    ),
    "order among priorities": (
        {_DYNAMIC: {"priorityLevels": 2, "defaultPriorityLevel": 1, "preserveOrdering": True}},
        ["spec.models[0].batching.dynamic.preserveOrdering"],
    ),
    "order among requests that are put off": (
        {
            _DYNAMIC: {
                "preserveOrdering": True,
                "queue": {"timeout": "1s", "timeoutAction": "Delay"},
            }
        },
        ["spec.models[0].batching.dynamic.queue.timeoutAction"],
    ),
    "a priority's queue with a timeout of a day": (
        {
            _DYNAMIC: {
                "priorityLevels": 1,
                "defaultPriorityLevel": 1,
                "priorityQueues": [{"level": 1, "timeout": "24h"}],
            }
        },
        ["spec.models[0].batching.dynamic.priorityQueues[0].timeout"],
    ),
    "sequences with an hour between batches": (
        _sequence(direct={"maxQueueDelay": "1h"}),
        ["spec.models[0].batching.sequence.direct.maxQueueDelay"],
    ),
    "sequences that are idle for a week": (
        _sequence(maxIdle="168h"),
        ["spec.models[0].batching.sequence.maxIdle"],
    ),
    "two strategies for sequences": (
        _sequence(direct={}, oldest={}),
        ["spec.models[0].batching.sequence"],
    ),
    "a control input given twice": (
        _sequence(
            controls=[_control("Start", int32=[0, 1]), {**_control("Start"), "controls": []}]
        ),
        ["spec.models[0].batching.sequence.controls[1].name"],
    ),
    "a control told twice": (
        _sequence(
            controls=[
                {
                    "name": "START",
                    "controls": [
                        {"kind": "Start", "int32": [0, 1]},
                        {"kind": "Start", "fp32": [0, 1]},
                    ],
                }
            ]
        ),
        ["spec.models[0].batching.sequence.controls[0].controls[1].kind"],
    ),
    "a control without values": (
        _sequence(controls=[_control("Ready")]),
        ["spec.models[0].batching.sequence.controls[0].controls[0]"],
    ),
    "a control of two types": (
        _sequence(controls=[_control("End", int32=[0, 1], bool=[False, True])]),
        ["spec.models[0].batching.sequence.controls[0].controls[0]"],
    ),
    "a control of one value": (
        _sequence(controls=[_control("Start", bool=[True])]),
        ["spec.models[0].batching.sequence.controls[0].controls[0].bool"],
    ),
    "a correlation id without a type": (
        _sequence(controls=[_control("CorrelationID", int32=[0, 1])]),
        [
            "spec.models[0].batching.sequence.controls[0].controls[0].int32",
            "spec.models[0].batching.sequence.controls[0].controls[0].dataType",
        ],
    ),
    "two states in one tensor": (
        _sequence(states=[_STATE, {**_STATE, "output": "other"}]),
        ["spec.models[0].batching.sequence.states[1].input"],
    ),
    "an initial state of both kinds": (
        _states({**_ZEROS, "file": "zeros"}),
        [
            "spec.models[0].batching.sequence.states[0].initial[0].file",
            "spec.models[0].batching.sequence.states[0].initial[0]",
        ],
    ),
    "an initial state of no zeros": (
        _states({**_ZEROS, "zero": False}),
        ["spec.models[0].batching.sequence.states[0].initial[0].zero"],
    ),
    "an initial state without a name": (
        _states({**_ZEROS, "name": None}),
        ["spec.models[0].batching.sequence.states[0].initial[0].name"],
    ),
    "an initial state of another type": (
        _states({**_ZEROS, "dataType": "FP16"}),
        ["spec.models[0].batching.sequence.states[0].initial[0].dataType"],
    ),
    "an initial state of variable size": (
        _states({**_ZEROS, "dims": [-1, 4]}),
        ["spec.models[0].batching.sequence.states[0].initial[0].dims"],
    ),
    "a cache of sequences": (
        {**_sequence(), f"{_MODEL}.responseCache": True},
        ["spec.models[0].responseCache"],
    ),
    "a cache of decoupled answers": (
        {f"{_MODEL}.decoupled": True, f"{_MODEL}.responseCache": True},
        ["spec.models[0].responseCache"],
    ),
}

INSTANCES: Cases = {
    "optimisation profiles of another backend": (
        {f"{_MODEL}.instances": [{"profiles": ["0"]}]},
        ["spec.models[0].instances[0].profiles"],
    ),
    "an optimisation profile by its name": (
        {
            "spec.server.gpus.count": 1,
            f"{_MODEL}.backend": "tensorrt",
            f"{_MODEL}.instances": [{"profiles": ["0", "small"]}],
        },
        ["spec.models[0].instances[0].profiles[1]"],
    ),
    "a resource that is shared and is not": (
        {
            f"{_MODEL}.instances": [
                {"rateLimiter": {"resources": [{"name": "R", "count": 1, "global": True}]}}
            ],
            "spec.models.1.instances": [
                {"rateLimiter": {"resources": [{"name": "R", "count": 1}]}}
            ],
        },
        ["spec.models[1].instances[0].rateLimiter.resources[0].global"],
    ),
}

WARMUP: Cases = {
    "a warm-up of another type": (
        {f"{_MODEL}.warmup": [{"inputs": {"ids": {"dataType": "INT32"}}}]},
        ["spec.models[0].warmup[0].inputs.ids.dataType"],
    ),
    "a warm-up with two contents": (
        {
            f"{_MODEL}.files": [{**_LABELS, "path": "warmup/ids.bin"}],
            f"{_MODEL}.warmup": [{"inputs": {"ids": {"file": "ids.bin", "data": "Zero"}}}],
        },
        ["spec.models[0].warmup[0].inputs.ids"],
    ),
    "a warm-up of inputs that nobody says": (
        {f"{_MODEL}.inputs": [], f"{_MODEL}.warmup": [{}]},
        ["spec.models[0].warmup[0].inputs"],
    ),
    "a warm-up of an input without a type": (
        {f"{_MODEL}.inputs": [], f"{_MODEL}.warmup": [{"inputs": {"ids": {"dims": [1]}}}]},
        ["spec.models[0].warmup[0].inputs.ids"],
    ),
}

ACCELERATION: Cases = {
    "OpenVINO on GPUs": (
        {f"{_MODEL}.acceleration": {"gpu": [{"name": "openvino"}]}},
        ["spec.models[0].acceleration.gpu[0].name"],
    ),
    "TensorRT on CPUs": (
        {f"{_MODEL}.acceleration": {"cpu": [{"name": "tensorrt"}]}},
        ["spec.models[0].acceleration.cpu[0].name"],
    ),
    "a CUDA graph for an unknown input": (
        {f"{_MODEL}.acceleration.cuda": {"graphs": True, "graphSpecs": [{"inputs": {"id": [1]}}]}},
        ["spec.models[0].acceleration.cuda.graphSpecs[0].inputs.id"],
    ),
    "a CUDA graph of more than the largest batch": (
        {
            f"{_MODEL}.acceleration.cuda": {
                "graphs": True,
                "graphSpecs": [{"batchSize": 8, "lowerBound": {"batchSize": 9}}],
            }
        },
        ["spec.models[0].acceleration.cuda.graphSpecs[0].lowerBound.batchSize"],
    ),
    "latency edges that do not ascend": (
        {_IMAGE: "a.example/triton:26.08", f"{_MODEL}.latencyBuckets": ["10ms", "10ms", "5ms"]},
        ["spec.models[0].latencyBuckets"],
    ),
    "a latency edge of nothing": (
        {_IMAGE: "a.example/triton:26.08", f"{_MODEL}.latencyBuckets": ["0s", "10ms"]},
        ["spec.models[0].latencyBuckets[0]"],
    ),
}

CONFIG: Cases = {
    "another name in config": (
        {f"{_MODEL}.config": {"name": "other"}},
        ["spec.models[0].config.name"],
    ),
    "an empty backend in config": (
        {f"{_MODEL}.config": {"backend": ""}},
        ["spec.models[0].config.backend"],
    ),
    "an imported ensemble that does not say so": (
        {f"{_PIPELINE}.config": {"platform": ""}},
        ["spec.pipelines[0].config.platform"],
    ),
    "a nested field in both": (
        {
            f"{_MODEL}.acceleration": {"cuda": {"graphs": True}},
            f"{_MODEL}.config": {
                "optimization": {"cuda": {"graphs": False}, "graph": {"level": 1}}
            },
            "spec.server.gpus.count": 1,
        },
        ["spec.models[0].config.optimization.cuda.graphs"],
    ),
    "a list in both": (
        {
            **_sequence(states=[_STATE]),
            f"{_MODEL}.config": {"sequence_batching": {"state": [{"input_name": "a"}]}},
        },
        ["spec.models[0].config.sequence_batching.state"],
    ),
    "a parameter in both": (
        {
            f"{_MODEL}.parameters": {"beam": "4", "width": "1"},
            f"{_MODEL}.config": {
                "parameters": {"beam": {"string_value": "5"}, "depth": {"string_value": "6"}}
            },
        },
        ["spec.models[0].config.parameters.beam"],
    ),
    "an answer of no to what config says yes to": (
        {
            f"{_MODEL}.decoupled": False,
            f"{_MODEL}.config": {"model_transaction_policy": {"decoupled": True}},
        },
        ["spec.models[0].config.model_transaction_policy.decoupled"],
    ),
    "a step in both": (
        {f"{_PIPELINE}.config": {"ensemble_scheduling": {"step": []}}},
        ["spec.pipelines[0].config.ensemble_scheduling.step"],
    ),
    "a batcher of an ensemble": (
        {f"{_PIPELINE}.config": {"dynamic_batching": {}}},
        ["spec.pipelines[0].config.dynamic_batching"],
    ),
    "instances of an ensemble": (
        {f"{_PIPELINE}.config": {"instance_group": [{"count": 2}], "max_batch_size": 2}},
        [
            "spec.pipelines[0].config.max_batch_size",
            "spec.pipelines[0].config.instance_group",
        ],
    ),
    "a field that ModelConfig does not have, of a pipeline": (
        {f"{_PIPELINE}.config": {"metric_tag": {}}},
        ["spec.pipelines[0].config.metric_tag"],
    ),
}

RELEASES: Cases = {
    "a limit of a pipeline that the image does not know": (
        {f"{_PIPELINE}.maxInflightRequests": 4},
        ["spec.pipelines[0].maxInflightRequests"],
    ),
    "the same in config": (
        {f"{_PIPELINE}.config": {"ensemble_scheduling": {"max_inflight_requests": 4}}},
        ["spec.pipelines[0].config.ensemble_scheduling.max_inflight_requests"],
    ),
    "latency edges that the image does not know": (
        {f"{_MODEL}.latencyBuckets": ["10ms"]},
        ["spec.models[0].latencyBuckets"],
    ),
    "buffers of states that the image does not know": (
        {
            _IMAGE: "a.example/triton:23.10",
            **_sequence(states=[{**_STATE, "sameBuffer": True}, {**_STATE, "input": "a"}]),
            f"{_SEQUENCE}.states.1.output": "b",
            f"{_SEQUENCE}.states.1.growable": True,
            f"{_SEQUENCE}.iterative": True,
        },
        [
            "spec.models[0].batching.sequence.iterative",
            "spec.models[0].batching.sequence.states[0].sameBuffer",
            "spec.models[0].batching.sequence.states[1].growable",
        ],
    ),
    "a state's buffer in config that the image does not know": (
        {
            _IMAGE: "a.example/triton:23.10",
            f"{_MODEL}.config": {
                "sequence_batching": {"state": [{}, {"use_growable_memory": True}]},
                "runtime": "libtriton_python.so",
            },
        },
        [
            "spec.models[0].config.sequence_batching.state[1].use_growable_memory",
            "spec.models[0].config.runtime",
        ],
    ),
    "a cache that the image has by another flag": (
        {
            _IMAGE: "a.example/triton:23.02",
            f"{_MODEL}.responseCache": True,
            "spec.server.args": ["--cache-config=local,size=1"],
        },
        ["spec.models[0].responseCache", "spec.server.args[0]"],
    ),
}

PIPELINES: Cases = {
    "a pipeline without inputs": ({f"{_PIPELINE}.inputs": []}, ["spec.pipelines[0].inputs"]),
    "a pipeline without outputs": ({f"{_PIPELINE}.outputs": []}, ["spec.pipelines[0].outputs"]),
    "a pipeline's tensor without a type": (
        {f"{_PIPELINE}.inputs.0": {"name": "text_ids", "dims": [-1]}},
        ["spec.pipelines[0].inputs[0].dataType"],
    ),
    "a pipeline's tensor without a shape": (
        {f"{_PIPELINE}.outputs.0": {"name": "score", "dataType": "FP32"}},
        ["spec.pipelines[0].outputs[0].dims"],
    ),
    "a step that waits for itself, in a pipeline without inputs": (
        {f"{_PIPELINE}.inputs": [], f"{_PIPELINE}.steps.0.inputs.ids": "vector"},
        [
            "spec.pipelines[0].inputs",
            "spec.pipelines[0].steps",
            "spec.pipelines[0].steps[0].inputs.ids",
        ],
    ),
    "answers of a decoupled model beside what came before it": (
        {
            f"{_MODEL}.decoupled": True,
            "spec.models.1.inputs.1": {"name": "ids", "dataType": "INT64", "dims": [-1]},
            f"{_PIPELINE}.steps.1.inputs.ids": "text_ids",
        },
        ["spec.pipelines[0].steps[1].inputs"],
    ),
    "a reshape that the steps do not take": (
        {
            f"{_PIPELINE}.inputs.0.dims": [-1, 4],
            f"{_PIPELINE}.inputs.0.reshape": [-1, 2, 2],
        },
        ["spec.pipelines[0].steps[0].inputs.ids"],
    ),
}

FAULTS: Cases = {
    **SOURCES,
    **VERSIONS,
    **FILES,
    **BACKENDS,
    **TENSORS,
    **BATCHING,
    **INSTANCES,
    **WARMUP,
    **ACCELERATION,
    **CONFIG,
    **RELEASES,
    **PIPELINES,
}

WARNINGS: Cases = {
    "a branch of the hub": (
        {_SOURCE: {"uri": "hf://team/model@main/onnx/"}},
        ["spec.models[0].source.uri"],
    ),
    "a folder without its slash": (
        {_SOURCE: {"uri": "s3://models/encoder"}},
        ["spec.models[0].source.uri"],
    ),
    "a file for a warm-up that nothing names": (
        {f"{_MODEL}.files": [{**_LABELS, "path": "warmup/ids.bin"}]},
        ["spec.models[0].files[0].path"],
    ),
    "a folder whose backend nothing says": (
        {f"{_MODEL}.backend": REMOVED, _SOURCE: {"uri": f"hf://team/model@{_COMMIT}/onnx/"}},
        ["spec.models[0].backend"],
    ),
    "inputs and a type that nothing says": (
        {f"{_MODEL}.inputs": [], f"{_MODEL}.outputs.0": {"name": "embedding", "dims": [16]}},
        ["spec.models[0]"],
    ),
    "ragged without batches": (
        {f"{_MODEL}.maxBatchSize": 0, f"{_MODEL}.inputs.1.ragged": True},
        ["spec.models[0].inputs[1].ragged"],
    ),
    "a default priority where there are none": (
        {_DYNAMIC: {"defaultPriorityLevel": 1, "priorityQueues": [{"level": 1}]}},
        [
            "spec.models[0].batching.dynamic.defaultPriorityLevel",
            "spec.models[0].batching.dynamic.priorityQueues",
        ],
    ),
    "a control among the inputs": (
        _sequence(controls=[{**_control("Start", int32=[0, 1]), "name": "mask"}]),
        ["spec.models[0].inputs[1].name"],
    ),
    "a state among the inputs": (
        _sequence(states=[{**_STATE, "input": "mask"}]),
        ["spec.models[0].inputs[1].name"],
    ),
    "passive instances only": (
        {f"{_MODEL}.instances": [{"passive": True}]},
        ["spec.models[0].instances"],
    ),
    "a host policy that no flag has": (
        {
            f"{_MODEL}.instances": [{"hostPolicy": "numa-1"}],
            "spec.server.args": ["--host-policy=numa-0,numa-node=0"],
        },
        ["spec.models[0].instances[0].hostPolicy"],
    ),
    "rate limits that a flag switches off": (
        {
            f"{_MODEL}.instances": [{"rateLimiter": {"priority": 2}}],
            "spec.server.args": ["--rate-limit=off"],
        },
        ["spec.models[0].instances[0].rateLimiter"],
    ),
    "accelerators of GPUs on CPU": (
        {f"{_MODEL}.acceleration": {"gpu": [{"name": "tensorrt"}], "cuda": {"graphs": True}}},
        ["spec.models[0].acceleration.gpu", "spec.models[0].acceleration.cuda"],
    ),
    "specifications of graphs that are not captured": (
        {
            "spec.server.gpus.count": 1,
            f"{_MODEL}.acceleration": {"cuda": {"graphSpecs": [{"batchSize": 1}]}},
        },
        ["spec.models[0].acceleration.cuda.graphSpecs"],
    ),
    "latency edges of summaries": (
        {_IMAGE: "a.example/triton:25.01", f"{_MODEL}.latencyBuckets": ["10ms"]},
        ["spec.models[0].latencyBuckets"],
    ),
}
