"""What a canary is made of, and what tells one from another."""

from collections.abc import Iterable
from typing import Any

import pytest

from agents import agent_of, model_of, repository_of
from trireme.api.agent import AgentDeployment
from trireme.modelrepo.proto import ModelConfig, text_format
from trireme.modelrepo.render import render
from trireme.modelrepo.repository import Repository
from trireme.resources import server
from trireme.resources.canary import canary_objects, candidate_digest, pods_digest, run_alike
from trireme.resources.change import Running, change, keeping_pods
from trireme.resources.desired import desired_objects
from trireme.resources.metadata import Manifest
from trireme.resources.options import ResourceOptions

OPTIONS = ResourceOptions(gateway_image="registry.example/envoy:v1.36.2")
FILES = {"files": {"model.py": b"a"}, "others": {"model.py": b"b"}}
IMAGE = {"image": "registry.example/triton:24.10-py3", "gpus": {"count": 0}}


def running(**spec: Any) -> tuple[AgentDeployment, Repository]:
    agent = agent_of(**spec)
    return agent, render(agent.spec, FILES)


def instances(count: int) -> dict[str, Any]:
    return {"models": [model_of("double", instances=[{"kind": "CPU", "count": count}])]}


@pytest.mark.parametrize(
    ("spec", "same_pods", "same_candidate"),
    [
        pytest.param({}, True, True, id="the same"),
        pytest.param({"scaling": {"max": 9}}, True, True, id="other bounds"),
        pytest.param({"rollout": {"strategy": "Canary"}}, True, True, id="another strategy"),
        pytest.param({"gateway": {"replicas": 3}}, True, True, id="another gateway"),
        pytest.param(instances(3), True, False, id="what changes in place"),
        pytest.param({"server": {**IMAGE, "image": "other:24.10"}}, False, False, id="the image"),
        pytest.param({"gateway": {"requestTimeout": "10m"}}, False, False, id="longer requests"),
        pytest.param(
            {"server": {**IMAGE, "podTemplate": {"metadata": {"annotations": {"a": "b"}}}}},
            False,
            False,
            id="an annotation of the pods",
        ),
        pytest.param(
            {"models": [model_of("double", source={"configMap": "others"})]},
            False,
            False,
            id="the files",
        ),
    ],
)
def test_specs_are_told_apart_by_what_they_make_of_pods(
    spec: dict[str, Any], same_pods: bool, same_candidate: bool
) -> None:
    before, after = running(server=IMAGE), running(**{"server": IMAGE, **spec})

    assert (pods_digest(*before) == pods_digest(*after)) == same_pods
    assert run_alike(Running(*before), Running(*after)) == same_pods
    assert (candidate_digest(*before) == candidate_digest(*after)) == same_candidate


def test_a_candidate_stays_the_same_where_the_operator_makes_other_pods_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = running(server=IMAGE)
    pods, candidate = pods_digest(*before), candidate_digest(*before)

    monkeypatch.setattr(server, "_STARTUP_PERIOD_SECONDS", 3)

    assert pods_digest(*before) != pods
    assert candidate_digest(*before) == candidate


SPOT = {"name": "spot", "price": 0.3, "placement": {"nodeSelector": {"sort": "spot"}}}
FIRM = {"name": "firm", "price": 0.9, "gpus": {"count": 2}}


def of_classes(*classes: dict[str, Any]) -> tuple[AgentDeployment, Repository]:
    return running(server={**IMAGE, "nodeClasses": [*classes]})


@pytest.mark.parametrize(
    ("spot", "same_pods", "same_candidate"),
    [
        pytest.param({"price": 0.4}, True, True, id="its price"),
        pytest.param({"min": 1, "max": 4}, True, True, id="its bounds"),
        pytest.param({"placement": {"nodeSelector": {"sort": "s"}}}, False, False, id="its nodes"),
    ],
)
def test_of_a_node_class_its_pods_alone_tell_specs_apart(
    spot: dict[str, Any], same_pods: bool, same_candidate: bool
) -> None:
    before, after = of_classes(SPOT, FIRM), of_classes({**SPOT, **spot}, FIRM)

    assert (pods_digest(*before) == pods_digest(*after)) == same_pods
    assert pods_digest(*before, ["firm"]) == pods_digest(*after, ["firm"])
    assert (candidate_digest(*before) == candidate_digest(*after)) == same_candidate


def test_its_pods_are_as_those_of_one_node_class_by_a_selector_without_it() -> None:
    agent, repository = of_classes(SPOT, FIRM)
    (deployment,) = (
        each
        for each in canary_objects(
            *(agent, repository, OPTIONS),
            digest="c" * 64,
            initial_replicas=1,
            is_reachable=False,
            node_class="firm",
        )
        if each["kind"] == "Deployment"
    )

    template = deployment["spec"]["template"]
    (container,) = template["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert "nodeSelector" not in template["spec"]
    selector = deployment["spec"]["selector"]["matchLabels"]
    assert selector == {"trireme.dev/agent": "echo", "trireme.dev/track": "canary"}
    for labels in (deployment["metadata"]["labels"], template["metadata"]["labels"]):
        assert labels["trireme.dev/node-class"] == "firm"


def test_a_candidate_stays_the_same_where_a_default_is_written_out() -> None:
    drain = agent_of(server=IMAGE).spec.server.model_dump(mode="json", by_alias=True)["drainTime"]

    spelled = candidate_digest(*running(server={**IMAGE, "drainTime": drain}))

    assert spelled == candidate_digest(*running(server=IMAGE))


def objects(*, is_reachable: bool, **spec: Any) -> dict[tuple[str, str], dict[str, Any]]:
    found = canary_objects(
        *(agent_of(**spec), repository_of(), OPTIONS),
        digest="c" * 64,
        initial_replicas=None,
        is_reachable=is_reachable,
    )
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


def test_its_pods_are_no_stable_ones_and_belong_to_one_candidate() -> None:
    deployment = objects(is_reachable=True)["Deployment", "echo-canary"]

    selector = deployment["spec"]["selector"]["matchLabels"]
    assert selector == {"trireme.dev/agent": "echo", "trireme.dev/track": "canary"}
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert selector.items() <= labels.items()
    assert labels["trireme.dev/candidate"] == "c" * 16
    assert "replicas" not in deployment["spec"]
    stable = desired_objects(agent_of(), repository_of(), OPTIONS, initial_replicas={})
    (other,) = (
        each["spec"]["selector"]["matchLabels"]
        for each in stable
        if (each["kind"], each["metadata"]["name"]) == ("Deployment", "echo")
    )
    assert other["trireme.dev/track"] == "stable"


@pytest.mark.parametrize("count", [2, 9], ids=["in place", "with longer to end"])
def test_its_pods_have_their_own_number_of_instances_beside_the_stable_ones(count: int) -> None:
    """9 instances of Python are given more time to end than 1, so that they are another template:
    of the same repository all the same.
    """
    found = {
        1: running(server=IMAGE, **instances(1)),
        count: running(server=IMAGE, **instances(count)),
    }
    stable = desired_objects(*found[1], OPTIONS, initial_replicas={})
    canary = canary_objects(
        *(*found[count], OPTIONS), digest="c" * 64, initial_replicas=1, is_reachable=False
    )
    assert found[1][1].digest == found[count][1].digest
    assert (counted(stable, "echo"), counted(canary, "echo-canary")) == (1, count)


def counted(objects: Iterable[Manifest], deployment: str) -> int:
    """The instances that the pods of a Deployment start with."""
    found = {(each["kind"], each["metadata"]["name"]): each for each in objects}
    template = found["Deployment", deployment]["spec"]["template"]
    (live,) = (v for v in template["spec"]["volumes"] if v["name"] == "live")
    text = found["ConfigMap", live["configMap"]["name"]]["data"]["double.pbtxt"]
    config = text_format.Parse(text, ModelConfig())
    return sum(group.count for group in config.instance_group)


@pytest.mark.parametrize(
    ("is_reachable", "spec", "has_one"),
    [
        pytest.param(True, {}, True, id="reached through the gateway"),
        pytest.param(False, {}, False, id="not to be reached yet"),
        pytest.param(True, {"gateway": {"enabled": False}}, False, id="without a gateway"),
    ],
)
def test_it_has_a_service_of_its_own_where_the_gateway_reaches_it(
    is_reachable: bool, spec: dict[str, Any], has_one: bool
) -> None:
    found = objects(is_reachable=is_reachable, **spec)

    assert (("Service", "echo-canary") in found) == has_one


@pytest.mark.parametrize(
    ("after", "kept"),
    [
        pytest.param(
            {"server": {**IMAGE, "image": "other:24.10"}, "scaling": {"max": 9}},
            {"server": IMAGE, "scaling": {"max": 9}},
            id="the server as a whole, and the bounds of after",
        ),
        pytest.param(
            {"gateway": {"replicas": 3, "requestTimeout": "5m"}},
            {"server": IMAGE},
            id="the gateway's other parts too, where its timeout is the pods' too",
        ),
        pytest.param(
            {"server": IMAGE, **instances(3)}, {"server": IMAGE, **instances(3)}, id="in place"
        ),
        pytest.param(
            {"models": [model_of("double", source={"configMap": "others"})]},
            {"server": IMAGE},
            id="the models",
        ),
    ],
)
def test_what_would_replace_pods_is_as_it_was(after: dict[str, Any], kept: dict[str, Any]) -> None:
    before = Running(*running(server=IMAGE))

    spec = keeping_pods(before, Running(*running(**{"server": IMAGE, **after})), OPTIONS)

    expected, repository = running(**{"server": IMAGE, **kept})
    assert spec == expected.spec
    effects = change(before, Running(expected, repository), OPTIONS)
    assert "Rollout" not in {part.effect.name.title() for part in effects.parts}
