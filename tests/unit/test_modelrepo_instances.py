"""How many instances a pod runs, whoever says so: what Triton makes of config.pbtxt."""

from typing import Any

import pytest
from hypothesis import given

from agents import agent_of, model_of
from specs import valid_body
from strategies import few, specs
from trireme.admission.check import check
from trireme.admission.parse import parse_agent
from trireme.api.agent import AgentSpec
from trireme.modelrepo.instances import instances_per_pod, runs
from trireme.modelrepo.plan import model_config
from trireme.modelrepo.proto import ModelConfig, json_format


def counted(gpus: int, **fields: Any) -> int:
    server = {"image": "registry.example/triton:24.10-py3", "gpus": {"count": gpus}}
    spec = agent_of(server=server, models=[model_of("double", **fields)]).spec
    return instances_per_pod(spec.models[0], spec.server)


@pytest.mark.parametrize(
    ("gpus", "fields", "count"),
    [
        pytest.param(0, {}, 1, id="nothing said, on CPU"),
        pytest.param(4, {}, 4, id="nothing said, on each GPU"),
        pytest.param(4, {"instances": [{"kind": "GPU", "count": 2}]}, 8, id="on each GPU"),
        pytest.param(4, {"instances": [{"kind": "GPU", "gpus": [1, 3]}]}, 2, id="on GPUs listed"),
        pytest.param(4, {"instances": [{"count": 2}]}, 8, id="Auto is GPU where there is one"),
        pytest.param(0, {"instances": [{"count": 2}]}, 2, id="Auto is CPU where there is none"),
        pytest.param(4, {"instances": [{"kind": "CPU", "count": 3}]}, 3, id="on CPU"),
        pytest.param(
            4, {"instances": [{"kind": "Model", "count": 3}]}, 3, id="as the backend says"
        ),
        pytest.param(
            4,
            {"instances": [{"kind": "GPU", "count": 2}, {"kind": "CPU"}]},
            9,
            id="several groups together",
        ),
        pytest.param(
            2,
            {"config": {"instance_group": [{"kind": "KIND_GPU", "count": 3}]}},
            6,
            id="groups given in config",
        ),
        pytest.param(2, {"config": {"instance_group": [{}]}}, 2, id="an empty group in config"),
        pytest.param(
            0,
            {"config": {"instance_group": [{}]}, "backend": "onnxruntime"},
            2,
            id="Triton's own default for ONNX on CPU",
        ),
        pytest.param(0, {"backend": "onnxruntime"}, 2, id="of a model without groups, too"),
    ],
)
def test_instances_are_counted_as_triton_does(
    gpus: int, fields: dict[str, Any], count: int
) -> None:
    assert counted(gpus, **fields) == count


@few
@given(specs)
def test_what_is_counted_is_what_the_configuration_says(spec: AgentSpec) -> None:
    for model in spec.models:
        groups = model_config(model).instance_group
        assert instances_per_pod(model, spec.server) >= max(1, sum(group.count for group in groups))


def test_groups_that_are_none_are_a_fault_and_no_failure_with_a_pod_template_too() -> None:
    edits = {
        "spec.models.0.config": {"instance_group": [{"kind": "CPU"}]},
        "spec.server.podTemplate": {"spec": {"terminationGracePeriodSeconds": 5}},
    }
    assert [fault.path for fault in check(parse_agent(valid_body(edits)).spec)] == [
        "spec.server.podTemplate.spec.terminationGracePeriodSeconds",
        "spec.models[0].config.instance_group[0].kind",
    ]


@pytest.mark.parametrize(
    ("asked", "answered", "is_run"),
    [
        pytest.param(
            {"kind": "KIND_CPU", "count": 2},
            {"kind": "KIND_CPU", "count": 2, "name": "double_0"},
            True,
            id="names are filled in",
        ),
        pytest.param(
            {"kind": "KIND_CPU", "count": 2}, {"kind": "KIND_CPU", "count": 1}, False, id="fewer"
        ),
        pytest.param(
            {"kind": "KIND_AUTO", "count": 1},
            {"kind": "KIND_GPU", "count": 1, "gpus": [0, 1]},
            True,
            id="Auto is what there is, on all of it",
        ),
        pytest.param(
            {"kind": "KIND_GPU", "count": 1},
            {"kind": "KIND_CPU", "count": 1},
            False,
            id="another kind",
        ),
        pytest.param(
            {"kind": "KIND_GPU", "count": 1, "gpus": [1]},
            {"kind": "KIND_GPU", "count": 1, "gpus": [0]},
            False,
            id="another GPU",
        ),
        pytest.param(
            {"kind": "KIND_CPU", "count": 1, "rate_limiter": {"priority": 2}},
            {"kind": "KIND_CPU", "count": 1, "rate_limiter": {"priority": 1}},
            False,
            id="another priority",
        ),
    ],
)
def test_what_was_said_must_be_what_a_server_answers(
    asked: dict[str, Any], answered: dict[str, Any], is_run: bool
) -> None:
    one, other = (
        json_format.ParseDict({"instance_group": [group]}, ModelConfig())
        for group in (asked, answered)
    )
    assert runs(one, other) is is_run
    two = ModelConfig(instance_group=[*one.instance_group, *one.instance_group])
    assert not runs(two, other)


@pytest.mark.parametrize(
    "asked", [pytest.param([], id="nothing"), pytest.param([{}], id="a group")]
)
@pytest.mark.parametrize(
    ("backend", "count"), [pytest.param("python", 1), pytest.param("onnxruntime", 2)]
)
def test_of_what_was_not_said_a_server_runs_its_default(
    asked: list[dict[str, Any]], backend: str, count: int
) -> None:
    wanted = json_format.ParseDict({"backend": backend, "instance_group": asked}, ModelConfig())

    def answers(number: int) -> ModelConfig:
        group = {"name": "double_0", "kind": "KIND_CPU", "count": number}
        fields = {"backend": backend, "instance_group": [group]}
        return json_format.ParseDict(fields, ModelConfig())

    assert runs(wanted, answers(count))
    assert not runs(wanted, answers(3))
