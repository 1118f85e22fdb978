"""Events, posted of the agent that they speak of."""

from collections.abc import Callable, Iterable
from datetime import datetime

from trireme.control.store import AgentView
from trireme.edge.recorder import Event, Recorder, Regarding


async def post(
    recorder: Recorder, view: AgentView, events: Iterable[Event], clock: Callable[[], datetime]
) -> None:
    """Post Events of an agent; nothing is told of one that is gone."""
    if view.body is None:
        return
    metadata = view.body["metadata"]
    regarding = Regarding(metadata["namespace"], metadata["name"], metadata["uid"])
    for event in events:
        await recorder.emit(regarding, event, clock())
