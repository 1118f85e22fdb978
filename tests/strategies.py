"""Hypothesis strategies for whole specs that admission accepts."""

import string
from collections.abc import Mapping
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from trireme.api.acceleration import ModelPriority
from trireme.api.agent import AgentSpec
from trireme.api.batching import TimeoutAction
from trireme.api.instances import InstanceKind
from trireme.api.tensors import DataType
from trireme.api.warmup import WarmupData

few = settings(max_examples=settings().max_examples * 2 // 5)
"""Of what takes a twentieth of a second or more to be made up: 40 examples."""

_LETTERS = string.ascii_letters + string.digits
_KINDS_ON_CPU = [InstanceKind.AUTO, InstanceKind.CPU, InstanceKind.MODEL]

names = st.text(_LETTERS, min_size=1, max_size=12)
_durations = st.sampled_from(["0s", "20ms", "1s500ms"])
_FILES = {"labels.txt": "labels", "warmup/data": "data", "initial_state/data": "data"}
_SMALL = {"labels": b"yes\nno\n", "data": bytes(64)}

sources: st.SearchStrategy[Mapping[str, Mapping[str, bytes]]] = st.builds(
    lambda content: {"files": content, "small": _SMALL},
    st.dictionaries(st.sampled_from(["model.py", "a.bin", "b"]), st.binary(max_size=20)),
)
"""The ConfigMaps that a spec of these names."""


def _some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A mapping that leaves out any of its fields."""
    return st.fixed_dictionaries({}, optional=fields)


def _tensors() -> st.SearchStrategy[list[dict[str, Any]]]:
    tensor = st.fixed_dictionaries(
        {
            "name": names,
            "dataType": st.sampled_from([each.value for each in DataType]),
            "dims": st.lists(st.sampled_from([-1, 1, 2, 384]), min_size=1, max_size=3),
        }
    )
    return st.lists(tensor, min_size=1, max_size=3, unique_by=lambda each: each["name"])


def _queues() -> st.SearchStrategy[dict[str, Any]]:
    return _some(
        maxSize=st.integers(0, 99),
        timeout=_durations,
        timeoutAction=st.sampled_from(TimeoutAction),
        allowTimeoutOverride=st.booleans(),
    )


@st.composite
def _dynamic(draw: st.DrawFn, max_batch_size: int) -> dict[str, Any]:
    levels = draw(st.sampled_from([0, 1, 3]))
    return {
        "preferredBatchSizes": draw(st.lists(st.integers(1, max_batch_size), max_size=2)),
        "maxQueueDelay": draw(_durations),
        "queue": draw(_queues()),
        "priorityLevels": levels,
        "defaultPriorityLevel": draw(st.integers(1, levels)) if levels else 0,
        "priorityQueues": [
            {"level": level, **draw(_queues())}
            for level in range(1, levels + 1)
            if draw(st.booleans())
        ],
    }


_values = st.sampled_from([{"int32": [0, 1]}, {"fp32": [0.5, -1]}, {"bool": [False, True]}])


@st.composite
def _sequence(draw: st.DrawFn, max_batch_size: int) -> dict[str, Any]:
    kinds = draw(st.lists(st.sampled_from(["Start", "Ready", "End"]), unique=True, max_size=3))
    controls = [
        {"name": f"is {kind}", "controls": [{"kind": kind, **draw(_values)}]} for kind in kinds
    ]
    if draw(st.booleans()):
        identity = {
            "kind": "CorrelationID",
            "dataType": draw(st.sampled_from(["UINT64", "STRING"])),
        }
        controls.append({"name": "identity", "controls": [identity]})
    sizes = st.lists(st.integers(1, max(1, max_batch_size)), max_size=1 if max_batch_size else 0)
    strategy = draw(
        st.sampled_from(["direct", "oldest"]).flatmap(
            lambda name: st.fixed_dictionaries(
                {
                    name: _some(maxQueueDelay=_durations, minimumSlotUtilization=st.just(0.5))
                    if name == "direct"
                    else _some(
                        maxCandidateSequences=st.integers(0, 9),
                        preferredBatchSizes=sizes,
                        maxQueueDelay=_durations,
                        preserveOrdering=st.booleans(),
                    )
                }
            )
        )
        | st.just({})
    )
    initial = st.sampled_from([{"zero": True}, {"file": "data"}])
    states = [
        {
            "input": f"state {index}",
            "output": f"next {index}",
            "dataType": "FP32",
            "dims": [-1, 2],
            "initial": [
                {"name": "first", "dataType": "FP32", "dims": [3, 2], **each}
                for each in draw(st.lists(initial, max_size=1))
            ],
            "sameBuffer": draw(st.booleans()),
            "growable": draw(st.booleans()),
        }
        for index in range(draw(st.integers(0, 2)))
    ]
    return {
        "maxIdle": draw(_durations),
        **strategy,
        "controls": controls,
        "states": states,
        "iterative": draw(st.booleans()),
    }


def _instances(gpus: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    kinds = [*_KINDS_ON_CPU, InstanceKind.GPU] if gpus else _KINDS_ON_CPU
    limiter = _some(
        resources=st.lists(
            st.fixed_dictionaries({"name": st.just("R"), "count": st.integers(0, 3)}), max_size=1
        ),
        priority=st.integers(0, 3),
    )
    group = st.fixed_dictionaries(
        {"kind": st.sampled_from(kinds)},
        optional={
            "name": names,
            "count": st.integers(1, 4),
            "rateLimiter": limiter,
            "passive": st.booleans(),
            "secondaryDevices": st.just([{"kind": "NVDLA", "id": 1}]),
            "hostPolicy": names,
        },
    )
    return st.lists(group, max_size=2)


@st.composite
def _warmup(
    draw: st.DrawFn, max_batch_size: int, inputs: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    def special(tensor: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
        dims = [2 if size == -1 else size for size in tensor["dims"]]
        own = {"dims": st.just(dims), "dataType": st.just(tensor["dataType"])}
        return _some(**own, data=st.sampled_from(WarmupData)) | _some(**own, file=st.just("data"))

    return [
        {
            "batchSize": draw(st.integers(0, max(1, max_batch_size))),
            "data": draw(st.sampled_from(WarmupData)),
            "inputs": {each["name"]: draw(special(each)) for each in inputs if draw(st.booleans())},
            **draw(_some(name=names, count=st.integers(1, 9))),
        }
        for _ in range(draw(st.integers(0, 2)))
    ]


def _acceleration(inputs: list[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    bound = {
        "batchSize": st.just(1),
        "inputs": st.just({inputs[0]["name"]: [1 for _ in inputs[0]["dims"]]}),
    }
    graph = _some(**bound, lowerBound=_some(**bound))

    def accelerators(name: str) -> st.SearchStrategy[list[dict[str, Any]]]:
        parameters = st.dictionaries(names, names, max_size=2)
        return st.lists(
            st.fixed_dictionaries({"name": st.just(name)}, optional={"parameters": parameters}),
            max_size=2,
        )

    return _some(
        gpu=accelerators("tensorrt"),
        cpu=accelerators("openvino"),
        graphLevel=st.integers(-1, 2),
        priority=st.sampled_from(ModelPriority),
        cuda=_some(
            graphs=st.booleans(),
            busyWaitEvents=st.booleans(),
            outputCopyStream=st.booleans(),
            graphSpecs=st.lists(graph, max_size=2),
        ),
        inputPinnedMemory=st.booleans(),
        outputPinnedMemory=st.booleans(),
        gatherKernelBufferThreshold=st.integers(0, 2**32 - 1),
        eagerBatching=st.booleans(),
    )


_sources = st.sampled_from(
    [
        {"configMap": "files"},
        {"uri": "pvc://models/a/"},
        {"uri": "s3://models/a/model.onnx", "region": "eu", "secretRef": {"name": "keys"}},
        {"image": {"reference": "a.example/m:1", "path": "a"}},
    ]
)


@st.composite
def _versions(draw: st.DrawFn) -> dict[str, Any]:
    """One version or several, and which of them are served."""
    numbers = draw(st.lists(st.integers(1, 30), min_size=1, max_size=3, unique=True))
    policies = [{"latest": 2}, {"all": True}, {"specific": numbers[:1]}, None]
    policy = {"versionPolicy": draw(st.sampled_from(policies))}
    if len(numbers) == 1:
        return {"source": draw(_sources), "version": numbers[0], **policy}
    return {
        "versions": [{"version": each, "source": draw(_sources)} for each in numbers],
        **policy,
    }


@st.composite
def _models(draw: st.DrawFn, name: str, gpus: int) -> dict[str, Any]:
    max_batch_size = draw(st.sampled_from([0, 1, 8]))
    inputs = draw(_tensors())
    inputs = [{**each, "optional": draw(st.booleans())} for each in inputs]
    inputs[0]["optional"] = False  # a pipeline's step must feed at least one
    outputs = draw(_tensors())
    outputs[0].update(draw(_some(labels=st.just("labels.txt"))))
    model: dict[str, Any] = {
        "name": name,
        **draw(_versions()),
        "files": [{"path": path, "configMap": "small", "key": key} for path, key in _FILES.items()],
        "backend": draw(st.sampled_from(["python", "onnxruntime", "fil"])),
        "maxBatchSize": max_batch_size,
        "inputs": inputs,
        "outputs": outputs,
        "instances": draw(_instances(gpus)),
        "warmup": draw(_warmup(max_batch_size, inputs)),
        "acceleration": draw(st.none() | _acceleration(inputs)),
        "decoupled": draw(st.sampled_from([None, False, True])),
        "parameters": draw(st.dictionaries(names, st.text(_LETTERS, min_size=1), max_size=3)),
        "repositoryAgents": draw(st.sampled_from([[], [{"name": "checksum"}]])),
        "latencyBuckets": draw(st.sampled_from([[], ["1ms", "2500us"]])),
        "config": draw(
            st.sampled_from([{}, {"model_operations": {}}, {"metric_tags": {"b": "a"}}])
        ),
    }
    batchers: list[st.SearchStrategy[Any]] = [
        st.none(),
        _sequence(max_batch_size).map(lambda each: {"sequence": each}),
    ]
    if max_batch_size:
        batchers.append(_dynamic(max_batch_size).map(lambda each: {"dynamic": each}))
    model["batching"] = draw(st.one_of(batchers))
    is_cacheable = not model["decoupled"] and "sequence" not in (model["batching"] or {})
    model["responseCache"] = draw(st.sampled_from([None, False, True])) if is_cacheable else None
    return model


@st.composite
def _pipelines(draw: st.DrawFn, name: str, models: list[dict[str, Any]]) -> dict[str, Any]:
    """A pipeline of one step, which hands a model's tensors on under other names."""
    model = draw(st.sampled_from(models))
    fed = [each for each in model["inputs"] if not each["optional"]]
    return {
        "name": name,
        "config": draw(st.sampled_from([{}, {"metric_tags": {"a": "b"}}])),
        "maxInflightRequests": draw(st.sampled_from([0, 4])),
        "files": [{"path": "labels.txt", "configMap": "small", "key": "labels"}],
        "maxBatchSize": draw(st.sampled_from(sorted({0, model["maxBatchSize"]}))),
        "inputs": [{**each, "name": f"in_{each['name']}"} for each in fed],
        "outputs": [{**each, "name": f"out_{each['name']}"} for each in model["outputs"]],
        "steps": [
            {
                "model": model["name"],
                "version": draw(st.sampled_from([-1, _first_version(model)])),
                "inputs": {each["name"]: f"in_{each['name']}" for each in fed},
                "outputs": {each["name"]: f"out_{each['name']}" for each in model["outputs"]},
            }
        ],
    }


def _first_version(model: dict[str, Any]) -> int:
    versions = model.get("versions") or [model]
    first: int = versions[0]["version"]
    return first


@st.composite
def spec_bodies(draw: st.DrawFn) -> dict[str, Any]:
    """The YAML values of a spec without faults."""
    gpus = draw(st.sampled_from([0, 2]))
    unique = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    split = draw(st.integers(1, len(unique)))
    models = [draw(_models(name, gpus)) for name in unique[:split]]
    return {
        "server": {"image": "example.com/triton:26.08-py3", "gpus": {"count": gpus}},
        "models": models,
        "pipelines": [draw(_pipelines(name, models)) for name in unique[split:]],
        "objectives": [{"model": draw(st.sampled_from(unique)), "latency": {"target": "100ms"}}],
    }


specs: st.SearchStrategy[AgentSpec] = spec_bodies().map(AgentSpec.model_validate)
