"""What passes make of a canary, by a real API server: objects, routes, the record, conditions.

What the analysis finds is put where it leaves it; there are no nodes, so pods are only told of.
"""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from integration.operator_process import finish_rollout
from integration.passes import Clock, Operator, make_pod, started
from kube import Kube, Object, merged, objects
from trireme.api import kinds, names
from trireme.api.rollout import RolloutPhase
from trireme.control.agent_state import CanaryState
from trireme.resources.routes import FOLLOWED
from trireme.rollout.steps import begin

EXAMPLE = Path(__file__).parents[2] / "examples" / "canary.yaml"
OLD, NEW, OTHER = (f"trireme/triton:24.{month}-cpu" for month in ("10", "11", "12"))
AGENT, FILES = objects(EXAMPLE)


def with_image(image: str, **spec: Any) -> Object:
    return merged(AGENT, {"spec": {"server": {"image": image}, **spec}})


NO_NODE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "Insufficient nvidia.com/gpu",
}


class Team:
    """The agent `tried`, and the operator that looks after it."""

    def __init__(self, kube: Kube, stack: AsyncExitStack) -> None:
        self.kube, self._stack, self.clock = kube, stack, Clock()
        self.operator: Operator

    async def restart(self) -> None:
        self.operator = await self._stack.enter_async_context(
            started(self.kube, "tried", self.clock)
        )
        await self.operator.passes()

    async def apply(self, agent: Object) -> None:
        self.kube.apply(agent)
        await self.operator.passes()

    @property
    def canary(self) -> CanaryState:
        canary = self.operator.view.canary
        assert canary is not None
        return canary

    async def found(self, phase: RolloutPhase, message: str = "") -> None:
        """The analysis comes to an end."""
        self.canary.phase, self.canary.message = phase, message
        await self.operator.passes()

    async def told(self, phase: RolloutPhase, message: str = "") -> None:
        """The analysis writes its part of the status."""
        rollout = {
            "phase": phase,
            "candidate": self.canary.digest,
            "generation": self.canary.generation,
            "startTime": self.canary.began.isoformat(),
            "message": message,
        }
        await self.operator.cluster.apply_status(
            kinds.AGENT_DEPLOYMENT,
            self.kube.get("agd", "tried")["metadata"],
            {"rollout": rollout},
            names.ROLLOUT_STATUS_MANAGER,
        )

    def image(self, deployment: str = "tried") -> str | None:
        found = self.kube.find("deployment", deployment)
        if found is None:
            return None
        image: str = found["spec"]["template"]["spec"]["containers"][0]["image"]
        return image

    def generation(self, deployment: str) -> int:
        generation: int = self.kube.get("deployment", deployment)["metadata"]["generation"]
        return generation

    def record(self) -> Object:
        return self.kube.get("configmap", "tried-accepted")

    def recorded_image(self) -> str:
        image: str = json.loads(self.record()["data"]["spec.json"])["server"]["image"]
        return image

    def share(self) -> str:
        annotations = self.kube.get("configmap", "tried-routes")["metadata"]["annotations"]
        share: str = annotations[names.SHARE]
        return share

    def condition(self, kind: str) -> tuple[str, str]:
        return self.kube.conditions("tried")[kind][:2]

    def versions(self) -> dict[tuple[str, str], str]:
        """Of the agent and all its children: what is written changes one."""
        found = self.kube.all("agd,deploy,svc,cm,pdb,sa")
        return {(o["kind"], o["metadata"]["name"]): o["metadata"]["resourceVersion"] for o in found}

    def reasons(self) -> list[str]:
        return [reason for reason, _ in self.kube.events("tried")]


@pytest.fixture
async def tried(team: Kube) -> AsyncIterator[Team]:
    """An agent that runs."""
    async with AsyncExitStack() as stack:
        fleet = Team(team, stack)
        team.apply(FILES, AGENT)
        await fleet.restart()
        finish_rollout(team, "tried", "tried-gateway")
        make_pod(team, "tried", "one")
        await fleet.operator.passes()
        assert fleet.condition("Reconciling") == ("False", "RolledOut")
        yield fleet


async def test_a_canary_is_tried_beside_the_stable_pods_and_takes_their_place_once_promoted(
    tried: Team,
) -> None:
    before = {name: tried.generation(name) for name in ("tried", "tried-gateway")}

    await tried.apply(with_image(NEW, scaling={"max": 7}))

    assert (tried.image("tried"), tried.image("tried-canary")) == (OLD, NEW)
    assert {name: tried.generation(name) for name in before} == before
    canary = tried.kube.get("deployment", "tried-canary")
    assert canary["spec"]["replicas"] == 1
    assert canary["spec"]["strategy"] == {"type": "Recreate"}
    service = tried.kube.get("service", "tried-canary")
    assert service["spec"]["selector"] == canary["spec"]["selector"]["matchLabels"]
    assert service["spec"]["clusterIP"] == "None"
    stable = tried.kube.get("service", "tried-pods")["spec"]["selector"]
    assert stable == {"trireme.dev/agent": "tried", "trireme.dev/track": "stable"}
    assert tried.share() == "0"
    assert tried.recorded_image() == OLD
    assert json.loads(tried.record()["data"]["spec.json"])["scaling"]["max"] == 7
    assert tried.condition("Accepted") == ("True", "Valid")
    assert tried.condition("Ready") == ("False", "TryingCanary")
    assert tried.condition("Stalled")[0] == "False"
    assert dict(tried.kube.events("tried"))["CanaryStarted"] == (
        "generation 2 is tried on a canary; changed: server.image"
    )

    tried.canary.weight = 0.1
    make_pod(tried.kube, "tried-canary", "canary-one")
    await tried.operator.passes()
    assert tried.share() == "0.1"
    routes = json.loads(tried.kube.get("configmap", "tried-routes")["data"]["http.json"])
    (resource,) = routes["resources"]
    clusters = resource["virtual_hosts"][0]["routes"][0]["route"]["weighted_clusters"]["clusters"]
    assert [(c["name"], c["weight"]) for c in clusters] == [
        ("inference_http", 900_000),
        ("inference_http_canary", 100_000),
    ]
    assert tried.generation("tried-gateway") == before["tried-gateway"]
    assert tried.kube.get("agd", "tried")["status"]["replicas"] == 2

    await tried.found(RolloutPhase.PROMOTED)
    assert (tried.image("tried"), tried.image("tried-canary")) == (NEW, NEW)
    assert tried.recorded_image() == NEW
    assert tried.share() == "0.1"
    assert tried.condition("Ready") == ("False", "RollingOut")

    finish_rollout(tried.kube, "tried")
    await tried.operator.passes()
    assert tried.operator.view.canary is None
    assert tried.image("tried-canary") is None
    assert tried.kube.find("service", "tried-canary") is None
    assert tried.share() == "0"
    assert tried.generation("tried-gateway") == before["tried-gateway"]
    assert tried.condition("Reconciling") == ("False", "RolledOut")
    assert "CanaryEnded" not in tried.reasons()


async def test_requests_are_copied_until_the_canary_is_promoted(tried: Team) -> None:
    rollout = {"strategy": "Canary", "canary": {"mirror": {"share": "10%"}}}
    await tried.apply(with_image(NEW, rollout=rollout))
    tried.canary.weight = 0.5
    await tried.operator.passes()
    assert is_copied(tried)

    await tried.found(RolloutPhase.PROMOTED)

    assert tried.share() == "0.5"
    assert not is_copied(tried)


def is_copied(tried: Team) -> bool:
    """Whether the routes copy requests."""
    routes = tried.kube.get("configmap", "tried-routes")["data"]
    return any("request_mirror_policies" in text for text in routes.values())


async def test_a_canary_that_is_taken_back_goes_at_once_and_is_not_tried_again(
    tried: Team,
) -> None:
    await tried.apply(with_image(NEW))
    tried.canary.weight = 0.1
    await tried.operator.passes()

    await tried.found(RolloutPhase.ROLLED_BACK, "worse than the stable pods: 9% failed")

    def is_taken_back(generation: int) -> bool:
        status, reason, message = tried.kube.conditions("tried")["Stalled"]
        words = f"generation {generation} was tried on a canary and taken back: worse than the"
        return (status, reason) == ("True", "RolledBack") and message.startswith(words)

    assert is_taken_back(2)
    assert tried.condition("Ready") == ("False", "RolledBack")
    assert tried.condition("Accepted") == ("True", "Valid")
    assert (tried.image("tried"), tried.image("tried-canary")) == (OLD, None)
    assert tried.kube.find("service", "tried-canary") is None
    assert tried.share() == "0"
    assert tried.recorded_image() == OLD
    assert tried.operator.view.canary is None

    await tried.apply(with_image(NEW, scaling={"max": 9}))
    assert (tried.image("tried"), tried.image("tried-canary")) == (OLD, None)
    assert json.loads(tried.record()["data"]["spec.json"])["scaling"]["max"] == 9
    assert is_taken_back(2)

    await tried.restart()
    assert (tried.image("tried"), tried.image("tried-canary")) == (OLD, None)
    assert tried.condition("Stalled") == ("True", "RolledBack")

    await tried.apply(with_image(OLD))
    assert tried.condition("Stalled")[0] == "False"
    assert names.ROLLED_BACK not in tried.record()["metadata"].get("annotations", {})
    await tried.apply(with_image(NEW))
    assert tried.image("tried-canary") == NEW


async def test_a_canary_is_not_let_in_while_gateway_pods_may_go_by_a_larger_share(
    tried: Team,
) -> None:
    await tried.apply(with_image(NEW))
    tried.canary.weight = 0.5
    await tried.operator.passes()
    assert tried.kube.find("service", "tried-canary")

    await tried.apply(with_image(OTHER))
    assert tried.image("tried-canary") == OTHER
    assert (tried.canary.generation, tried.canary.weight) == (3, 0.0)
    assert not tried.canary.is_reachable
    assert tried.kube.find("service", "tried-canary") is None
    note = "generation 3 is tried on a canary in place of generation 2; changed: server.image"
    assert ("CanaryStarted", note) in tried.kube.events("tried")

    tried.clock.now += FOLLOWED - timedelta(seconds=1)
    await tried.operator.passes()
    assert tried.kube.find("service", "tried-canary") is None
    await tried.restart()
    assert tried.kube.find("service", "tried-canary") is None
    tried.clock.now += timedelta(seconds=1)
    await tried.operator.passes()
    assert tried.canary.is_reachable
    assert tried.kube.find("service", "tried-canary")


async def test_an_edit_back_ends_the_canary_and_its_status(tried: Team) -> None:
    await tried.apply(with_image(NEW))
    await tried.told(RolloutPhase.PROGRESSING)

    await tried.apply(with_image(OLD))

    assert tried.operator.view.canary is None
    assert (tried.image("tried"), tried.image("tried-canary")) == (OLD, None)
    assert "rollout" not in tried.kube.get("agd", "tried")["status"]
    assert tried.condition("Reconciling") == ("False", "RolledOut")
    assert dict(tried.kube.events("tried"))["CanaryEnded"] == (
        "the canary of generation 2 is ended: generation 3 asks for pods as they are"
    )


async def test_a_new_operator_goes_on_with_the_canary_of_the_one_before(tried: Team) -> None:
    await tried.apply(with_image(NEW))
    await tried.told(RolloutPhase.PROGRESSING)
    await tried.apply(with_image(NEW, scaling={"max": 4}))
    before, began = tried.versions(), tried.canary.began
    tried.clock.now += timedelta(minutes=1)

    await tried.restart()

    assert tried.versions() == before

    assert (tried.canary.generation, tried.canary.began) == (2, began)
    assert tried.canary.phase is RolloutPhase.PROGRESSING
    assert (tried.image("tried"), tried.recorded_image()) == (OLD, OLD)
    assert tried.reasons().count("CanaryStarted") == 1


@pytest.mark.parametrize(
    ("phase", "image"),
    [
        pytest.param(RolloutPhase.PROMOTED, NEW, id="promoted: it is rolled out"),
        pytest.param(RolloutPhase.ROLLED_BACK, OLD, id="taken back: it stays so"),
    ],
)
async def test_an_operator_that_ended_before_it_acted_on_an_end_leaves_that_to_the_next(
    tried: Team, phase: RolloutPhase, image: str
) -> None:
    await tried.apply(with_image(NEW))
    await tried.told(phase, "as was seen")

    await tried.restart()

    assert (tried.image("tried"), tried.recorded_image()) == (image, image)
    assert tried.image("tried-canary") is None
    told = tried.kube.conditions("tried")["Stalled"]
    assert (told[1] == "RolledBack") == (phase is RolloutPhase.ROLLED_BACK)
    assert tried.reasons().count("CanaryStarted") == 1


async def test_a_promoted_canary_serves_on_under_a_new_operator_until_the_stable_pods_run_it(
    tried: Team,
) -> None:
    await tried.apply(with_image(NEW))
    finish_rollout(tried.kube, "tried-canary")
    await tried.told(RolloutPhase.PROMOTED)
    await tried.found(RolloutPhase.PROMOTED)

    await tried.restart()

    assert (tried.image("tried"), tried.image("tried-canary")) == (NEW, NEW)
    assert tried.condition("Ready") == ("False", "RollingOut")
    finish_rollout(tried.kube, "tried")
    await tried.operator.passes()
    assert (tried.image("tried"), tried.image("tried-canary")) == (NEW, None)
    await tried.restart()
    assert (tried.image("tried"), tried.image("tried-canary")) == (NEW, None)


async def test_a_promoted_canary_makes_room_for_a_stable_pod_that_no_node_takes(
    tried: Team,
) -> None:
    await tried.apply(with_image(NEW))
    await tried.found(RolloutPhase.PROMOTED)
    assert (tried.image("tried"), tried.image("tried-canary")) == (NEW, NEW)

    make_pod(tried.kube, "tried", "two", NO_NODE)
    await tried.operator.passes()

    assert (tried.image("tried"), tried.image("tried-canary")) == (NEW, None)
    assert tried.operator.view.canary is None
    assert dict(tried.kube.events("tried"))["CanaryEnded"] == (
        "the canary of generation 2 is ended: it makes room for the stable pods: pod two: "
        "Insufficient nvidia.com/gpu"
    )


async def test_a_promoted_canary_goes_with_its_strategy(tried: Team) -> None:
    await tried.apply(with_image(NEW))
    await tried.found(RolloutPhase.PROMOTED)

    await tried.apply(with_image(NEW, rollout={"strategy": "RollingUpdate"}))

    assert (tried.image("tried"), tried.image("tried-canary")) == (NEW, None)


@pytest.mark.parametrize("phase", [RolloutPhase.PROGRESSING, RolloutPhase.ROLLED_BACK])
async def test_what_was_tried_replaces_no_pods_where_their_record_is_of_no_use(
    tried: Team, phase: RolloutPhase
) -> None:
    await tried.apply(with_image(NEW))
    await tried.told(phase)
    record = tried.record()
    broken = json.dumps({"data": {"spec.json": "{}"}})
    tried.kube.run("patch", "configmap", "tried-accepted", "-p", broken)

    await tried.restart()

    assert tried.condition("Stalled") == ("True", "StableUnknown")
    assert (tried.image("tried"), tried.image("tried-canary")) == (OLD, None)
    assert "StableUnknown" in tried.reasons()
    tried.kube.run(
        "patch", "configmap", "tried-accepted", "-p", json.dumps({"data": record["data"]})
    )
    await tried.operator.passes()
    assert tried.condition("Stalled")[1] != "StableUnknown"
    assert tried.image("tried") == OLD
    assert (tried.image("tried-canary") == NEW) == (phase is RolloutPhase.PROGRESSING)


async def test_a_canary_goes_on_while_another_edit_is_refused(tried: Team) -> None:
    await tried.apply(with_image(NEW))
    wrong = {"objectives": [{"model": "duble", "latency": {"target": "100ms"}}]}
    await tried.apply(with_image(NEW, **wrong))
    assert tried.condition("Accepted") == ("False", "InvalidSpec")
    assert (tried.image("tried"), tried.image("tried-canary")) == (OLD, NEW)

    await tried.found(RolloutPhase.PROMOTED)

    assert (tried.image("tried"), tried.recorded_image()) == (NEW, NEW)
    assert tried.condition("Accepted") == ("False", "InvalidSpec")


@pytest.mark.parametrize(
    ("phase", "stable", "tried_on"),
    [
        pytest.param(RolloutPhase.PROGRESSING, OLD, NEW, id="it is tried on"),
        pytest.param(RolloutPhase.PROMOTED, NEW, NEW, id="promoted, it is rolled out"),
        pytest.param(RolloutPhase.ROLLED_BACK, OLD, None, id="taken back, it goes"),
    ],
)
async def test_a_new_operator_goes_on_with_a_canary_while_another_edit_is_refused(
    tried: Team, phase: RolloutPhase, stable: str, tried_on: str | None
) -> None:
    await tried.apply(with_image(NEW))
    finish_rollout(tried.kube, "tried-canary")
    await tried.told(phase)
    wrong = {"objectives": [{"model": "duble", "latency": {"target": "100ms"}}]}
    tried.kube.apply(with_image(NEW, **wrong))

    await tried.restart()

    assert tried.condition("Accepted") == ("False", "InvalidSpec")
    assert (tried.image("tried"), tried.image("tried-canary")) == (stable, tried_on)
    await tried.apply(with_image(NEW))
    assert (tried.image("tried"), tried.image("tried-canary")) == (stable, tried_on)
    assert tried.reasons().count("CanaryStarted") == 1
    assert tried.kube.find("configmap", "tried-candidate") is None or tried_on


async def test_a_deployment_of_the_canary_s_name_that_is_not_ours_is_its_fault_alone(
    tried: Team,
) -> None:
    tried.kube.run("create", "deployment", "tried-canary", "--image=example.com/other")

    await tried.apply(with_image(NEW, scaling={"max": 7}))

    assert tried.canary.fault.startswith("a Deployment named tried-canary exists and does not")
    assert (tried.image("tried"), tried.image("tried-canary")) == (OLD, "example.com/other")
    assert json.loads(tried.record()["data"]["spec.json"])["scaling"]["max"] == 7
    assert "it is taken back: a Deployment named" in tried.kube.conditions("tried")["Ready"][2]
    await tried.found(RolloutPhase.ROLLED_BACK, tried.canary.fault)
    assert tried.image("tried-canary") == "example.com/other"
    assert tried.condition("Stalled") == ("True", "RolledBack")


async def test_pods_that_the_api_refuses_are_the_candidate_s_fault(tried: Team) -> None:
    later = {"podTemplate": {"spec": {"schedulingGroup": {"podGroupName": "agents"}}}}

    await tried.apply(merged(AGENT, {"spec": {"server": later}}))

    assert "schedulingGroup" in tried.canary.fault
    assert tried.image("tried-canary") is None
    assert tried.condition("Ready") == ("False", "TryingCanary")
    assert tried.condition("Stalled")[0] == "False"


async def test_a_canary_s_deployment_that_is_deleted_is_made_again_at_its_size(
    tried: Team,
) -> None:
    await tried.apply(with_image(NEW))
    tried.canary.replicas, tried.canary.memory = 3, begin(tried.clock.now)
    tried.kube.run("delete", "deployment", "tried-canary")

    await tried.operator.passes()

    assert tried.kube.replicas("tried-canary") == 3
    assert tried.image("tried-canary") == NEW
    assert dict(tried.kube.events("tried"))["DriftRepaired"] == (
        "Deployment tried-canary was gone: made again with 3 replicas"
    )


async def test_what_somebody_does_to_the_routes_is_repaired(tried: Team) -> None:
    await tried.apply(with_image(NEW))
    tried.canary.weight = 0.1
    await tried.operator.passes()
    tried.kube.run("patch", "configmap", "tried-routes", "-p", '{"data":{"http.json":"{}"}}')

    await tried.operator.passes()

    assert (
        "inference_http_canary" in tried.kube.get("configmap", "tried-routes")["data"]["http.json"]
    )
    assert tried.share() == "0.1"


async def test_another_strategy_replaces_no_pod_but_the_gateway_s(team: Kube) -> None:
    rolling = merged(AGENT, {"spec": {"rollout": None}})
    async with AsyncExitStack() as stack:
        fleet = Team(team, stack)
        team.apply(FILES, rolling)
        await fleet.restart()
        finish_rollout(team, "tried", "tried-gateway")
        before = fleet.generation("tried"), fleet.generation("tried-gateway")
        assert team.find("configmap", "tried-routes") is None

        await fleet.apply(AGENT)

        after = fleet.generation("tried"), fleet.generation("tried-gateway")
        assert after == (before[0], before[1] + 1)
        assert fleet.share() == "0"
        assert fleet.operator.view.canary is None


async def test_an_agent_none_of_whose_pods_is_ready_is_changed_without_a_canary(
    team: Kube,
) -> None:
    async with AsyncExitStack() as stack:
        fleet = Team(team, stack)
        team.apply(FILES, AGENT)
        await fleet.restart()

        await fleet.apply(with_image(NEW))

        assert (fleet.image("tried"), fleet.image("tried-canary")) == (NEW, None)
        assert fleet.reasons().count("CanarySkipped") == 1
