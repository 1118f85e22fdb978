"""What `trireme explain` says of how long a pod takes to start, and where that goes. Pure."""

from collections.abc import Iterator

from trireme.api.scaling_status import StagesStatus
from trireme.api.status import AgentStatus
from trireme.autoscaler.explain_known import Told
from trireme.autoscaler.wording import lasting, number

_MODELS = 3  # of those that load, the slowest


def start(told: Told, status: AgentStatus) -> Iterator[str]:
    """How long a pod takes to serve, and where the time goes."""
    lead = told.lead_time
    if lead is None:
        return
    starts = "1 start" if lead.samples == 1 else f"{lead.samples} starts"
    p95, median = lasting(lead.p95_seconds), lasting(lead.median_seconds)
    measured = status.scaling.lead_time if status.scaling else None
    is_whole = measured is not None and measured.stages.first_request_seconds is not None
    until = "to answer requests" if is_whole else "to be ready"
    yield f"It takes {p95} {until} (p95 of {starts}; median {median})."
    if measured is not None:
        yield f"Medians: {_where_it_goes(measured.stages)}."
    slowest = sorted(status.scaling.loads if status.scaling else (), key=lambda load: -load.seconds)
    if slowest:
        named = ", ".join(f"{load.model} in {number(load.seconds)} s" for load in slowest[:_MODELS])
        more = f", {len(slowest) - _MODELS} more sooner" if len(slowest) > _MODELS else ""
        yield f"The server that was asked last loaded {named}{more}."


def stages(status: AgentStatus) -> dict[str, float] | None:
    """Where the time of a start goes, as far as it is known, for programs."""
    measured = status.scaling.lead_time if status.scaling else None
    if measured is None:
        return None
    return measured.stages.model_dump(mode="json", by_alias=True, exclude_none=True)


def _where_it_goes(stages: StagesStatus) -> str:
    told = [
        (stages.schedule_seconds, "for a node", stages.node_seconds, "since one was ordered"),
        (stages.pull_seconds, "for images and volumes", stages.image_seconds, "the server's image"),
        (stages.fetch_seconds, "to fetch the models", None, ""),
        (stages.load_seconds, "to load them", stages.warmup_seconds, "to warm up"),
        (stages.first_request_seconds, "until a request was answered", None, ""),
    ]
    return ", ".join(
        f"{lasting(seconds)} {what}" + (f" ({lasting(part)} {which})" if part else "")
        for seconds, what, part, which in told
        if seconds is not None
    )
