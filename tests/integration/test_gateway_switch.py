"""Clients of an agent that gets a gateway are led through it once it is ready, and not before: not
by a process that knows little yet, nor by passes without a pause.
"""

from pathlib import Path

from integration.operator_process import finish_rollout
from integration.passes import Clock, started
from kube import Kube, merged, objects

EXAMPLES = Path(__file__).parents[2] / "examples"


def gets_a_gateway(kube: Kube, *, enabled: bool) -> None:
    agent, files = objects(EXAMPLES / "echo.yaml")
    kube.apply(files, merged(agent, {"spec": {"gateway": {"enabled": enabled}}}))


async def switch_begun(kube: Kube) -> None:
    """The agent ran without a gateway, and has one now that is not ready."""
    gets_a_gateway(kube, enabled=False)
    async with started(kube, "echo", Clock()) as operator:
        await operator.passes()
        gets_a_gateway(kube, enabled=True)
        await operator.passes()
    assert kube.find("deployment", "echo-gateway")
    assert are_led_past_it(kube)


def are_led_past_it(kube: Kube) -> bool:
    return "trireme.dev/agent" in kube.get("service", "echo")["spec"]["selector"]


async def test_a_new_process_whose_watches_are_late_leaves_clients_where_they_are_led(
    team: Kube,
) -> None:
    await switch_begun(team)
    async with started(team, "echo", Clock()) as operator:
        operator.store.agent_event(team.get("agd", "echo"), deleted=False)
        await operator.once(looks=False)
        assert are_led_past_it(team)
        finish_rollout(team, "echo-gateway")
        await operator.passes()
        assert not are_led_past_it(team)


async def test_while_its_objects_are_refused_the_switch_is_not_tried_without_a_pause(
    team: Kube,
) -> None:
    await switch_begun(team)
    finish_rollout(team, "echo-gateway")
    account = team.all("serviceaccount", "trireme.dev/owner=echo")[0]["metadata"]["name"]
    team.run("delete", "serviceaccount", account)
    team.run("create", "serviceaccount", account)  # it is somebody else's now
    async with started(team, "echo", Clock()) as operator:
        await operator.once()
        assert team.conditions("echo")["Ready"][1] == "ApplyFailed"
        assert are_led_past_it(team)
        assert len(operator.queue) == 0, "it comes again after a pause"
