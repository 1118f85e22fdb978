"""What an edit does to the pods, told beforehand."""

from typing import Any

import pytest

from agents import agent_of, model_of
from trireme.admission.parse import parse_agent
from trireme.modelrepo.render import render
from trireme.resources.change import Change, Effect, Running, change
from trireme.resources.options import ResourceOptions
from trireme.resources.pod_sets import pod_sets
from trireme.resources.server import pod_template

OPTIONS = ResourceOptions(gateway_image="registry.example/envoy:v1.36.2")
FILES = {"files": {"model.py": b"a"}, "same": {"model.py": b"a"}, "others": {"model.py": b"b"}}
SERVER = {"image": "registry.example/triton:24.10-py3", "gpus": {"count": 0}}
PIPELINE = {
    "name": "agent",
    "inputs": [{"name": "x", "dataType": "FP32", "dims": [-1]}],
    "outputs": [{"name": "y", "dataType": "FP32", "dims": [-1]}],
    "steps": [{"model": "double", "inputs": {"x": "x"}, "outputs": {"y": "y"}}],
}

OPTIMIZATION = {
    "destination": {"uri": "pvc://models/optimised/"},
    "models": [{"model": "double", "samples": {"configMap": "samples"}}],
}


def running(**spec: Any) -> Running:
    agent = agent_of(**spec)
    return Running(agent, render(agent.spec, FILES))


def of_model(**fields: Any) -> dict[str, Any]:
    return {"models": [model_of("double", **fields)]}


def instances(count: int) -> dict[str, Any]:
    return {"instances": [{"kind": "CPU", "count": count}]}


def with_classes(*names: str) -> dict[str, Any]:
    classes = [
        {"name": name, "price": 1, "placement": {"nodeSelector": {"sort": name}}} for name in names
    ]
    return {"image": "registry.example/triton:24.10-py3", "nodeClasses": classes}


@pytest.mark.parametrize(
    ("before", "after", "effect", "parts"),
    [
        pytest.param({}, {}, Effect.NONE, {}, id="nothing"),
        pytest.param(
            {"optimization": OPTIMIZATION},
            {},
            Effect.NO_POD,
            {"optimization": Effect.NO_POD},
            id="a part that goes",
        ),
        pytest.param(
            of_model(**instances(1)),
            of_model(**instances(3)),
            Effect.IN_PLACE,
            {"models[double].instance_group": Effect.IN_PLACE},
            id="instances",
        ),
        pytest.param(
            of_model(),
            of_model(config={"version_policy": {"latest": {"num_versions": 1}}}),
            Effect.IN_PLACE,
            {"models[double].version_policy": Effect.IN_PLACE},
            id="the version policy",
        ),
        pytest.param(
            of_model(**instances(8)),
            of_model(**instances(9)),
            Effect.ROLLOUT,
            {"models[double].instance_group": Effect.ROLLOUT},
            id="more instances than the pods are given time to end",
        ),
        pytest.param(
            of_model(**instances(1)),
            of_model(**instances(3), maxBatchSize=4),
            Effect.ROLLOUT,
            {
                "models[double].max_batch_size": Effect.ROLLOUT,
                "models[double].instance_group": Effect.IN_PLACE,
            },
            id="instances and the batch size",
        ),
        pytest.param(
            of_model(),
            of_model(source={"configMap": "others"}),
            Effect.ROLLOUT,
            {"models[double].files": Effect.ROLLOUT},
            id="the files",
        ),
        pytest.param(
            of_model(),
            of_model(source={"configMap": "same"}),
            Effect.NO_POD,
            {"models": Effect.NO_POD},
            id="another ConfigMap with the same files",
        ),
        pytest.param(
            of_model(),
            of_model(version=2),
            Effect.ROLLOUT,
            {
                "models[double].files": Effect.ROLLOUT,
            },
            id="the version",
        ),
        pytest.param(
            of_model(source={"uri": "pvc://a"}),
            of_model(source={"uri": "pvc://b"}),
            Effect.ROLLOUT,
            {"models[double].mounts": Effect.ROLLOUT},
            id="the claim",
        ),
        pytest.param(
            {},
            {"models": [model_of("double"), model_of("other")]},
            Effect.ROLLOUT,
            {"models[other]": Effect.ROLLOUT},
            id="a model more",
        ),
        pytest.param(
            {"pipelines": [PIPELINE]},
            {},
            Effect.ROLLOUT,
            {"pipelines[agent]": Effect.ROLLOUT},
            id="a pipeline less",
        ),
        pytest.param(
            of_model(parameters={"a": "b"}, warmup=[{"batchSize": 1}]),
            of_model(parameters={"a": "c"}, warmup=[{"batchSize": 1}]),
            Effect.ROLLOUT,
            {"models[double].parameters": Effect.ROLLOUT},
            id="a parameter",
        ),
        pytest.param(
            of_model(),
            of_model(batching={"dynamic": {}}),
            Effect.ROLLOUT,
            {"models[double].dynamic_batching": Effect.ROLLOUT},
            id="batching that says nothing more",
        ),
        pytest.param(
            {},
            {"server": {**SERVER, "image": "registry.example/triton:24.11-py3"}},
            Effect.ROLLOUT,
            {"server.image": Effect.ROLLOUT},
            id="the image",
        ),
        pytest.param(
            {},
            {"scaling": {"max": 9}},
            Effect.NO_POD,
            {"scaling.max": Effect.NO_POD},
            id="scaling",
        ),
        pytest.param(
            {},
            {"gateway": {"replicas": 5}},
            Effect.NO_POD,
            {"gateway.replicas": Effect.NO_POD},
            id="the gateway's size",
        ),
        pytest.param(
            {},
            {"objectives": [{"model": "double", "latency": {"target": "70ms"}}]},
            Effect.GATEWAY,
            {"objectives": Effect.GATEWAY},
            id="an objective, on which an edge of the gateway's histogram lies",
        ),
        pytest.param(
            {},
            {"gateway": {"requestTimeout": "2m"}, "scaling": {"max": 9}},
            Effect.ROLLOUT,
            {"gateway.requestTimeout": Effect.ROLLOUT, "scaling.max": Effect.NO_POD},
            id="how long requests may run, which servers outlive",
        ),
        pytest.param(
            {"server": with_classes("spot")},
            {"server": with_classes("spot", "firm")},
            Effect.NO_POD,
            {"server.nodeClasses": Effect.NO_POD},
            id="one more node class, which leaves the others' pods alone",
        ),
        pytest.param(
            {"server": with_classes()},
            {"server": with_classes("spot")},
            Effect.ROLLOUT,
            {"server.nodeClasses": Effect.ROLLOUT},
            id="the first node class, whose pods take the place of those without",
        ),
    ],
)
def test_every_part_is_named_with_what_it_does(
    before: dict[str, Any], after: dict[str, Any], effect: Effect, parts: dict[str, Effect]
) -> None:
    one, other = running(**before), running(**after)

    found = change(one, other, OPTIONS)

    assert {part.path: part.effect for part in found.parts} == parts
    assert found.effect is effect
    replaced = _template(one) != _template(other)
    assert replaced == (effect is Effect.ROLLOUT)


def _template(running: Running) -> dict[str, Any]:
    return pod_template(pod_sets(running.agent)[0], running.repository, OPTIONS)


def test_what_was_read_back_from_the_cluster_is_the_same() -> None:
    one = running()
    spec = one.agent.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    body = {"metadata": {"name": "echo"}, "spec": spec}
    again = parse_agent({"apiVersion": "trireme.dev/v1alpha1", "kind": "AgentDeployment", **body})
    assert change(one, Running(again, render(again.spec, FILES)), OPTIONS) == Change(())


def test_only_what_does_the_most_is_a_cause_and_many_are_counted() -> None:
    server = {**SERVER, "image": "registry.example/triton:24.11-py3", "drainTime": "20s"}
    server |= {"exitTimeout": "90s", "args": ["--http-thread-count=4"], "startupTimeout": "20m"}
    server |= {"env": [{"name": "A", "value": "b"}]}
    found = change(running(), running(server=server, scaling={"max": 9}), OPTIONS)
    assert found.named(found.effect) == (
        "server.image, server.startupTimeout, server.drainTime, server.exitTimeout, server.args "
        "and 1 more"
    )
