"""The claim that is made for an agent's cache, by a real API server: what is refused of it holds up
nothing else, and it goes with the agent only.
"""

from typing import Any

import pytest

from integration.passes import Clock, started
from kube import Kube, Object, merged
from trireme.api import names

TENSORS = [{"name": "x", "dataType": "FP32", "dims": [-1]}]
AGENT: Object = {
    "apiVersion": names.API_VERSION,
    "kind": names.KIND,
    "metadata": {"name": "echo"},
    "spec": {
        "server": {"image": "example.com/triton:24.10-py3", "gpus": {"count": 0}},
        "models": [
            {
                "name": "encoder",
                "backend": "onnxruntime",
                "source": {"uri": "s3://models/encoder.onnx"},
                "inputs": TENSORS,
                "outputs": TENSORS,
            }
        ],
        "objectives": [{"model": "encoder", "latency": {"target": "100ms"}}],
        "download": {"inspect": False, "cache": {"storageClassName": "nfs", "size": "10Gi"}},
    },
}
WITHOUT_GATEWAY = {"gateway": {"enabled": False}}


def edited(cache: Any) -> Object:
    """Another cache, and with it something that is applied behind it."""
    return merged(AGENT, {"spec": {"download": {"cache": cache}, **WITHOUT_GATEWAY}})


def led_to_servers(kube: Kube) -> bool:
    return "trireme.dev/agent" in kube.get("service", "echo")["spec"]["selector"]


def spec_of_claim(kube: Kube) -> tuple[str, str]:
    spec = kube.get("pvc", "echo-cache")["spec"]
    return spec["storageClassName"], spec["resources"]["requests"]["storage"]


@pytest.mark.parametrize(
    ("cache", "told"),
    [
        pytest.param(
            {"storageClassName": "fast"},
            "spec.download.cache.storageClassName: the claim echo-cache keeps nfs",
            id="another class",
        ),
        pytest.param(
            {"size": "5Gi"},
            "spec.download.cache.size: the claim echo-cache keeps 10Gi",
            id="a smaller one",
        ),
    ],
)
async def test_a_change_that_a_claim_refuses_is_a_warning_and_holds_up_nothing_behind_it(
    team: Kube, cache: Object, told: str
) -> None:
    team.apply(AGENT)
    async with started(team, "echo", Clock()) as operator:
        await operator.passes()
        assert spec_of_claim(team) == ("nfs", "10Gi")
        assert team.find("deployment", "echo-gateway")

        team.apply(edited(cache))
        await operator.passes()
        assert led_to_servers(team)
        assert team.find("deployment", "echo-gateway") is None
        assert spec_of_claim(team) == ("nfs", "10Gi")
        accepted = team.conditions("echo")["Accepted"]
        assert accepted[0] == "True"
        assert told in accepted[2]
        assert team.conditions("echo")["Stalled"][0] == "False"
        assert any(told in note for reason, note in team.events("echo") if reason == "SpecWarning")

        team.apply(AGENT)
        await operator.passes()
        assert team.conditions("echo")["Accepted"][2] == "the spec has no faults"


async def test_a_claim_that_is_not_wanted_any_more_stays_and_what_else_is_not_wanted_goes(
    team: Kube,
) -> None:
    team.apply(AGENT)
    async with started(team, "echo", Clock()) as operator:
        await operator.passes()
        team.apply(edited(None))
        await operator.passes()
        assert team.find("deployment", "echo-gateway") is None
        assert spec_of_claim(team) == ("nfs", "10Gi")
        (owner,) = team.get("pvc", "echo-cache")["metadata"]["ownerReferences"]
        assert owner["name"] == "echo"
