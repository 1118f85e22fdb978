"""What a canary with another number of instances tells of what they cost each other."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from agents import pods_of
from trireme.api import names
from trireme.api.rollout import RolloutPhase
from trireme.autoscaler.capacity import LearntCurve
from trireme.control import learning as learning_of
from trireme.control.agent_state import Accepted, CanaryState, Learning
from trireme.control.canary_learning import CanaryLearner
from trireme.control.store import AgentView, Store
from unit.autoscaling import NOW
from unit.test_control_learning import (
    CURVE,
    KEY,
    Server,
    accepted,
    added,
    changed_in_place,
    on_other_pods,
    pod,
    server,
)

__all__ = ["server"]  # the fixture
DIGEST = "c" * 64


@dataclass
class Trial:
    """A canary of one pod beside stable ones of one instance, of which a curve is known."""

    view: AgentView
    canary: CanaryState
    learner: CanaryLearner
    seconds: int = 0

    async def minutes(self, server: Server, count: int, *, share: float, slower: float) -> None:
        """Its two instances are busy for this share of the time."""
        server.slower = slower
        each = round(share * 2 * 60 / sum(slower * CURVE.seconds(b) for b in (1, 2, 4)))
        for _ in range(count):
            server.execute(each)
            self.seconds += 60
            await self.learner.round()

    @property
    def stable(self) -> Learning:
        assert self.view.accepted is not None
        return learning_of.known(self.view, pods_of(self.view.accepted.agent))


def trial(candidate: Accepted, executions: int = 1200, **spec: Any) -> Trial:
    store = Store()
    view = added(store, KEY, **spec)
    of_canary = pod("a" * 64)
    labels = {
        names.AGENT: "echo",
        names.TRACK: names.TRACK_CANARY,
        names.CANDIDATE: names.candidate_label(DIGEST),
    }
    view.pods = {"echo-2": {**of_canary, "metadata": {**of_canary["metadata"], "labels": labels}}}
    canary = view.canary = CanaryState(candidate, 7, DIGEST, NOW)
    learner = CanaryLearner(store=store, clock=lambda: NOW + timedelta(seconds=made.seconds))
    made = Trial(view, canary, learner)
    made.stable.curves["double"] = LearntCurve(CURVE, 0.0, executions, instances=1)
    return made


TWO = changed_in_place(2)


@pytest.mark.parametrize("slower", [1.0, 1.4, 2.0])
async def test_it_is_learnt_while_they_are_tried_and_stays_whatever_becomes_of_them(
    server: Server, slower: float
) -> None:
    made = trial(TWO)
    await made.minutes(server, 11, share=0.9, slower=slower)

    found = made.stable.contentions["double"]
    assert (found.fewest, found.most) == (1, 2)
    # With 0.95 of the other busy.
    assert found.sigma == pytest.approx((slower - 1) / 0.95, rel=0.02)
    asked = server.asked
    await made.minutes(server, 3, share=0.9, slower=slower)
    assert server.asked == asked, "once it is known nobody is asked any more"
    made.canary.phase, made.view.canary = RolloutPhase.ROLLED_BACK, None
    assert made.stable.contentions["double"] == found
    made.view.accepted = TWO
    assert made.stable.contentions["double"] == found, "nor do they forget it that take it on"


async def test_it_is_asked_once_a_minute(server: Server) -> None:
    made = trial(TWO)
    for _ in range(24):
        await made.learner.round()
        made.seconds += 5
    assert server.asked == 2


@pytest.mark.parametrize(
    ("made", "share"),
    [
        pytest.param(trial(TWO), 0.1, id="instances hardly meet"),
        pytest.param(trial(TWO, executions=400), 0.9, id="few batches were seen without them"),
    ],
)
async def test_nothing_is_learnt_of_too_little(server: Server, made: Trial, share: float) -> None:
    await made.minutes(server, 11, share=share, slower=1.4)
    assert made.stable.contentions == {}


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(trial(accepted("b" * 64)), id="as many instances"),
        pytest.param(trial(on_other_pods(TWO)), id="on pods of another image"),
        pytest.param(trial(changed_in_place(2, kind="CPU")), id="of another kind"),
    ],
)
async def test_nothing_is_learnt_of_what_differs_by_more_or_less(
    server: Server, made: Trial
) -> None:
    await made.minutes(server, 11, share=0.9, slower=1.4)
    assert (made.stable.contentions, server.asked) == ({}, 0)


@pytest.mark.parametrize(
    "phase", [RolloutPhase.PROMOTED, RolloutPhase.ROLLED_BACK], ids=["promoted", "taken back"]
)
async def test_one_that_is_over_is_not_asked(server: Server, phase: RolloutPhase) -> None:
    made = trial(TWO)
    made.canary.phase = phase
    await made.learner.round()
    assert server.asked == 0


async def test_an_agent_without_a_canary_is_not_waited_for(server: Server) -> None:
    """Of ten thousand agents few have one, and a round comes each 5 s."""
    made = trial(TWO)
    made.view.canary = None
    with pytest.raises(StopIteration):
        made.learner.round().send(None)


async def test_a_server_that_does_not_answer_is_asked_again(server: Server) -> None:
    made = trial(TWO)
    server.refusal = "not now"
    await made.minutes(server, 2, share=0.9, slower=1.4)
    server.refusal = ""
    await made.minutes(server, 11, share=0.9, slower=1.4)
    assert "double" in made.stable.contentions
