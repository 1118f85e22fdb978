"""Mistakes in what models are optimised by, each with its place."""

from typing import Any

import pytest

from agents import agent_of, model_of
from trireme.admission.check import check, warnings
from trireme.api.agent import AgentSpec

PATH = "spec.optimization"


def spec_of(
    settings: dict[str, Any] | None = None,
    asked: dict[str, Any] | None = None,
    model: dict[str, Any] | None = None,
    **spec: Any,
) -> AgentSpec:
    fields = {
        "source": {"uri": "s3://models/encoder/1/model.onnx"},
        "backend": "onnxruntime",
        "maxBatchSize": 8,
        "batching": {"dynamic": {}},
        **(model or {}),
    }
    optimization = {
        "destination": {"uri": "pvc://models/optimised/"},
        "models": [
            {"model": "encoder", "samples": {"uri": "s3://models/samples.npz"}, **(asked or {})}
        ],
        **(settings or {}),
    }
    models = [model_of("encoder", **fields)]
    return agent_of(model="encoder", models=models, optimization=optimization, **spec).spec


def test_mode_apply_with_a_canary_is_right() -> None:
    assert check(spec_of({"mode": "Apply"}, rollout={"strategy": "Canary"})) == ()


def faults(spec: AgentSpec) -> list[tuple[str, str]]:
    return [(fault.path, str(fault)) for fault in check(spec)]


def test_a_spec_that_is_right_has_no_fault_and_no_warning() -> None:
    spec = spec_of()
    assert (check(spec), warnings(spec)) == ((), ())


@pytest.mark.parametrize(
    ("spec", "path", "words"),
    [
        pytest.param(
            spec_of(
                {"mode": "Apply"},
                rollout={"strategy": "Canary"},
                server={
                    "image": "registry.example/triton:24.10-py3",
                    "nodeClasses": [{"name": "a100", "price": 1.0}],
                },
            ),
            f"{PATH}.mode",
            "a setting is tried and learnt of on pods of one kind, and these are of several node "
            "classes (received 'Apply'). Use Recommend, or make an agent of each class",
            id="mode Apply on pods of node classes",
        ),
        pytest.param(
            spec_of({"mode": "Apply"}),
            f"{PATH}.mode",
            "optimization.mode Apply tries each model on a canary: set rollout.strategy to Canary. "
            "Or use Recommend",
            id="mode Apply without a canary",
        ),
        pytest.param(
            spec_of(
                {"mode": "Apply"},
                model={
                    "source": None,
                    "versions": [
                        {"version": 1, "source": {"uri": "s3://models/encoder/1/model.onnx"}},
                        {"version": 2, "source": {"uri": "s3://models/encoder/2/model.onnx"}},
                    ],
                },
                rollout={"strategy": "Canary"},
            ),
            f"{PATH}.models[0].model",
            "mode Apply puts the result in the place of source, and encoder has versions. Serve "
            "one version by source, or use Recommend",
            id="mode Apply of a model with versions",
        ),
        pytest.param(
            spec_of(asked={"model": "ranker"}),
            f"{PATH}.models[0].model",
            "ranker is no model of this agent. Name one of spec.models: encoder",
            id="a model that is not there",
        ),
        pytest.param(
            spec_of(model={"backend": "openvino"}),
            f"{PATH}.models[0].model",
            "model encoder is executed by openvino, and what can be optimised is for "
            "onnxruntime, python, pytorch",
            id="a backend whose models cannot be optimised",
        ),
        pytest.param(
            spec_of(model={"maxBatchSize": 0}),
            f"{PATH}.models[0].model",
            "has maxBatchSize 0, and the optimiser needs one from 1 to 1024",
            id="no batches",
        ),
        pytest.param(
            spec_of(model={"source": {"image": {"reference": "example.com/encoder:3"}}}),
            f"{PATH}.models[0].model",
            "is in an image, which the optimiser does not read",
            id="a model in an image",
        ),
        pytest.param(
            spec_of(asked={"samples": {"image": {"reference": "example.com/samples:3"}}}),
            f"{PATH}.models[0].samples.image",
            "samples in an image are not read",
            id="samples in an image",
        ),
        pytest.param(
            spec_of(asked={"metric": "top-5"}),
            f"{PATH}.models[0].metric",
            "metric top-5 needs labels, and there are none",
            id="a metric without labels",
        ),
        pytest.param(
            spec_of(asked={"threads": 3}),
            f"{PATH}.models[0].threads",
            "3 threads are more than the Job's cpu, 2",
            id="more threads than processors",
        ),
        pytest.param(
            spec_of(asked={"target": {"latency": "20m"}}),
            f"{PATH}.models[0].target.latency",
            "20m is not from 1us to 10m. Write a duration from 1us to 10m",
            id="minutes for milliseconds",
        ),
        pytest.param(
            spec_of(asked={"target": {"latency": "0s"}}),
            f"{PATH}.models[0].target.latency",
            "0s is not from 1us to 10m",
            id="a target of no time",
        ),
        pytest.param(
            spec_of(asked={"target": {"size": "50m"}}),
            f"{PATH}.models[0].target.size",
            "50m is not from 1Ki to 64Ti. Write bytes with a unit, such as 512Ki or 50Mi",
            id="thousandths for mebibytes",
        ),
        pytest.param(
            spec_of({"techniques": ["torchscript"]}),
            f"{PATH}.techniques[0]",
            "it is not for models of onnxruntime (received 'torchscript'). Write some of "
            "dead-branches, fuse, fp16, int8-dynamic, int8-static, int8-inner, int8-weights, "
            "int4-weights for onnxruntime, or leave techniques out",
            id="TorchScript of an ONNX model",
        ),
        pytest.param(
            spec_of(
                {"techniques": ["torchscript", "int8-dynamic"]},
                model={"backend": "pytorch", "source": {"uri": "s3://models/1/model.pt"}},
            ),
            f"{PATH}.techniques[1]",
            "it is not for models of pytorch (received 'int8-dynamic'). Write some of "
            "torchscript for pytorch",
            id="INT8 of a TorchScript model",
        ),
        pytest.param(
            spec_of({"techniques": ["dead-branches"]}),
            f"{PATH}.models[0].model",
            "none of spec.optimization.techniques alone makes a model of onnxruntime cheaper",
            id="a technique that gains nothing by itself",
        ),
        pytest.param(
            spec_of({"destination": None}),
            f"{PATH}.destination",
            "Add where optimised models are put, such as {uri: s3://models/optimised/}",
            id="nowhere to put a result",
        ),
        pytest.param(
            spec_of({"models": []}),
            f"{PATH}.models",
            "such as [{model: encoder, samples: {uri: s3://models/samples.npz}}]",
            id="no model to optimise",
        ),
        pytest.param(
            spec_of({"timeBudget": "1s"}),
            f"{PATH}.timeBudget",
            "1s is not from 10s to 24h",
            id="no time to search",
        ),
        pytest.param(
            spec_of({"resources": {"memory": "400m"}}),
            f"{PATH}.resources.memory",
            "400m is not from 1Mi to 64Ti",
            id="less than a byte",
        ),
        pytest.param(
            spec_of({"destination": {"uri": "s3://bucket"}}),
            f"{PATH}.destination.uri",
            "uri names a bucket, and nothing in it",
            id="a whole bucket as the destination",
        ),
        pytest.param(
            spec_of({"destination": {"uri": "pvc://models/../x/"}}),
            f"{PATH}.destination.uri",
            "uri must not hold . or .. as a folder",
            id="a destination that leaves its folder",
        ),
        pytest.param(
            spec_of({"destination": {"uri": "pvc://models/x/", "endpoint": "https://minio"}}),
            f"{PATH}.destination.endpoint",
            "endpoint has no effect without an s3:// uri",
            id="an endpoint of a claim",
        ),
        pytest.param(
            spec_of(asked={"samples": {"uri": "https://example.com/a.npz?sig=x"}}),
            f"{PATH}.models[0].samples.uri",
            "uri holds a secret in its parameter sig",
            id="samples by a signed address",
        ),
        pytest.param(
            spec_of(asked={"samples": {}}),
            f"{PATH}.models[0].samples",
            "exactly one of uri, configMap and image must be set",
            id="no samples",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place(spec: AgentSpec, path: str, words: str) -> None:
    (found,) = faults(spec)
    assert found[0] == path
    assert words in found[1]


def test_techniques_are_those_of_any_of_the_models() -> None:
    samples = {"uri": "s3://models/samples.npz"}
    models = [
        model_of(name, source={"uri": f"s3://m/1/{file}"}, backend=backend, maxBatchSize=8)
        for name, file, backend in (
            ("encoder", "model.onnx", "onnxruntime"),
            ("ranker", "model.pt", "pytorch"),
        )
    ]

    def of(*techniques: str) -> AgentSpec:
        optimization = {
            "destination": {"uri": "pvc://models/optimised/"},
            "models": [{"model": name, "samples": samples} for name in ("encoder", "ranker")],
            "techniques": techniques,
        }
        return agent_of(model="encoder", models=models, optimization=optimization).spec

    assert faults(of("torchscript", "fuse")) == []
    ((path, words),) = faults(of("fuse"))
    assert path == f"{PATH}.models[1].model"
    assert "makes a model of pytorch cheaper" in words


def test_one_that_is_disabled_needs_nothing() -> None:
    spec = agent_of(optimization={"mode": "Disabled"}).spec
    assert check(spec) == ()


def test_a_model_that_is_asked_for_twice_is_told() -> None:
    twice = [{"model": "encoder", "samples": {"uri": "s3://models/samples.npz"}}] * 2
    (found,) = faults(spec_of({"models": twice}))
    assert found[0] == f"{PATH}.models[1].model"


def test_a_measurement_on_cpu_of_pods_with_gpus_is_a_warning() -> None:
    server = {"image": "example.com/triton:24.10-py3", "gpus": {"count": 1}}
    (found,) = warnings(spec_of(server=server))
    assert "measured on CPU, and these pods have GPUs" in str(found)


def mirrored(asked: dict[str, Any] | None = None, mode: str = "Apply", **mirror: Any) -> AgentSpec:
    canary = {"mirror": {"share": "10%", **mirror}}
    return spec_of(
        {"mode": mode},
        asked,
        model={"outputs": [{"name": "logits", "dataType": "FP32", "dims": [10]}]},
        rollout={"strategy": "Canary", "canary": canary},
    )


@pytest.mark.parametrize(
    ("asked", "remedy"),
    [
        pytest.param(
            {"labels": "label"},
            "Add {name: logits, by: Class}, or set mirror.tolerance",
            id="classes",
        ),
        pytest.param({}, "Add {name: logits, by: Direction}, or set mirror", id="vectors"),
        pytest.param({"metric": "max-error"}, "Set mirror.tolerance to what", id="numbers"),
    ],
)
def test_a_mirror_that_takes_an_optimised_model_back_for_its_numbers_is_a_warning(
    asked: dict[str, Any], remedy: str
) -> None:
    (found,) = warnings(mirrored(asked))
    assert found.path == "spec.rollout.canary.mirror.outputs"
    assert "may be taken back for logits" in found.message
    assert found.remedy.startswith(remedy)


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(mirrored(outputs=[{"name": "logits", "by": "Class"}]), id="by its class"),
        pytest.param(mirrored(ignoreOutputs=["logits"]), id="not compared"),
        pytest.param(mirrored(tolerance={"relative": "10%"}), id="within what the user allows"),
        pytest.param(mirrored(mode="Recommend"), id="nothing is applied"),
    ],
)
def test_a_mirror_that_suits_an_optimised_model_is_no_warning(spec: AgentSpec) -> None:
    assert warnings(spec) == ()
