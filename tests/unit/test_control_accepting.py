"""What an accepted spec changes, beside what is accepted already."""

from typing import cast

import pytest

from agents import agent_of, repository_of
from trireme.api.agent import AgentDeployment
from trireme.api.status import AgentStatus
from trireme.control.accepting import Accepting
from trireme.control.adopting import Adopting
from trireme.control.agent_state import Accepted
from trireme.control.store import AgentView
from trireme.control.trial import Trial
from trireme.edge.cluster import Cluster
from trireme.resources.options import ResourceOptions
from unit.autoscaling import NOW

AGENT = agent_of()
WITH_A_STATUS = AGENT.model_copy(update={"status": AgentStatus(replicas=1)})
EDITED = agent_of(scaling={"min": 2})


@pytest.mark.parametrize(
    ("after", "parts"),
    [
        pytest.param(WITH_A_STATUS, None, id="a status that was written is none"),
        pytest.param(EDITED, ["scaling.min"], id="an edit is one"),
    ],
)
async def test_what_is_a_change(after: AgentDeployment, parts: list[str] | None) -> None:
    accepting = Accepting(
        cluster=cast(Cluster, None),  # nothing is asked of it
        options=ResourceOptions("envoy"),
        trial=cast(Trial, None),
        adopting=cast(Adopting, None),
        clock=lambda: NOW,
    )
    before = Accepted(AGENT, repository_of())
    view = AgentView(accepted=before)
    await accepting.compare(view, {}, Accepted(after, repository_of()))
    assert (view.change and [part.path for part in view.change.parts]) == parts
    assert view.replaced is (before if parts else None)
