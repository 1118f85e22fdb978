"""Events are posted of the agent that they speak of."""

from datetime import UTC, datetime

from trireme.api.conditions import EventReason
from trireme.control.posting import post
from trireme.control.store import AgentView
from trireme.edge.cluster import Cluster, Object
from trireme.edge.metrics import Metrics
from trireme.edge.recorder import Event, Recorder

NOW = datetime(2026, 11, 1, 3, 0, tzinfo=UTC)
AGENT = {"metadata": {"namespace": "team", "name": "chat", "uid": "uid-1"}}


class EventsApi(Cluster):
    """The Kubernetes API as far as new Events go: keeps what it is given."""

    def __init__(self) -> None:
        self.created: list[Object] = []

    async def create(self, manifest: Object) -> Object:
        self.created.append(manifest)
        return manifest


async def posted(view: AgentView) -> list[Object]:
    api = EventsApi()
    found = [Event(EventReason.SCALED_UP, note, "Scale") for note in ("1 → 2", "2 → 3")]
    await post(Recorder(api, "op-0", Metrics()), view, found, lambda: NOW)
    return api.created


async def test_each_event_is_posted_of_its_agent() -> None:
    first, second = await posted(AgentView(body=AGENT))
    assert (first["note"], second["note"]) == ("1 → 2", "2 → 3")
    for event in (first, second):
        of = event["regarding"]
        assert event["metadata"]["namespace"] == "team"
        assert (of["namespace"], of["name"], of["uid"]) == ("team", "chat", "uid-1")


async def test_nothing_is_told_of_an_agent_that_is_gone() -> None:
    assert await posted(AgentView()) == []
