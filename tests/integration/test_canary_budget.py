"""A canary of an agent that shares GPUs, by a real API server: when it has pods, and what is told.

There are no nodes, and no figures: it is about who may have a GPU.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from integration.operator_process import finish_rollout
from integration.passes import make_pod
from integration.test_canary import AGENT, FILES, NEW, OLD, Team, with_image
from kube import Kube, merged
from trireme.api.gpu_budgets import GpuBudget
from trireme.api.rollout import RolloutPhase
from trireme.control.shares import Shares
from trireme.edge.metrics import Metrics

ROLLOUT = {"strategy": "Canary", "canary": {"steps": [{"weight": "5%"}], "deadline": "10m"}}
SHARING = {
    "spec": {
        "server": {"gpus": {"count": 1}, "startupTimeout": "1m"},
        "download": {"timeout": "30s"},
        "scaling": {"budget": {"name": "team-a"}},
        "rollout": ROLLOUT,
    }
}
WAITS = "waits for GPUs of budget team-a: needs 1, 0 are free"


class Sharing(Team):
    """The agent, which has one pod, and a budget of so many `gpus`."""

    gpus = 1

    async def rounds(self, count: int = 1, every: float = 30) -> None:
        """What the agents may have, then a look at the canary, then a pass."""
        budget = GpuBudget(name="team-a", gpus=self.gpus)
        shares = Shares(self.operator.store, [budget], Metrics(), lambda: self.clock.now)
        self.clock.now += timedelta(minutes=1)  # then pods may be moved
        for _ in range(count):
            self.clock.now += timedelta(seconds=every)
            shares.grants({})
            await self.operator.canaries.round()
        await self.operator.passes()

    @property
    def waits(self) -> bool:
        return self.kube.conditions("tried")["Ready"][2].endswith(WAITS)


@pytest.fixture
async def tried(team: Kube) -> AsyncIterator[Sharing]:
    async with AsyncExitStack() as stack:
        fleet = Sharing(team, stack)
        team.apply(FILES, merged(AGENT, SHARING))
        await fleet.restart()
        finish_rollout(team, "tried", "tried-gateway")
        make_pod(team, "tried", "one")
        await fleet.operator.passes()
        await fleet.apply(merged(with_image(NEW), SHARING))
        yield fleet


async def test_a_canary_has_no_pod_until_the_budget_has_a_gpu_for_it(tried: Sharing) -> None:
    assert (tried.image("tried-canary"), tried.kube.replicas("tried-canary")) == (NEW, 0)

    await tried.rounds(6)

    assert tried.kube.replicas("tried-canary") == 0
    assert tried.condition("Ready") == ("False", "TryingCanary")
    assert tried.waits
    assert dict(tried.kube.events("tried"))["CanaryHeld"] == f"step 1 of 1, 5%: {WAITS}"
    assert tried.kube.get("agd", "tried")["status"]["rollout"]["message"].endswith(WAITS)

    tried.gpus = 2
    await tried.rounds()
    assert tried.kube.replicas("tried-canary") == 1
    assert not tried.waits

    await tried.restart()
    await tried.rounds()
    assert tried.kube.replicas("tried-canary") == 1


async def test_a_canary_gives_its_gpu_back_and_its_share_with_it(tried: Sharing) -> None:
    tried.gpus = 2
    await tried.rounds()
    make_pod(tried.kube, "tried-canary", "canary-one")
    await tried.operator.passes()
    await tried.rounds()
    assert (tried.share(), tried.canary.weight) == ("0.05", 0.05)

    tried.gpus = 1
    await tried.rounds()

    assert (tried.kube.replicas("tried-canary"), tried.share()) == (0, "0")
    assert tried.kube.find("service", "tried-canary") is None
    assert tried.canary.phase is RolloutPhase.PROGRESSING
    assert tried.waits


async def test_a_canary_that_gets_no_gpu_by_its_deadline_is_taken_back_undecided(
    tried: Sharing,
) -> None:
    await tried.rounds(45)  # ten minutes, and 690 s in which it might begin

    assert (tried.image("tried"), tried.image("tried-canary")) == (OLD, None)
    assert tried.condition("Stalled") == ("True", "RolledBack")
    told = tried.kube.get("agd", "tried")["status"]["rollout"]
    assert (told["phase"], told["undecided"]) == ("RolledBack", True)
    words = "undecided after 1290s: GPUs of budget team-a: needs 1, 0 are free"
    assert dict(tried.kube.events("tried"))["CanaryRolledBack"] == words
