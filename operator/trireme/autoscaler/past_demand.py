"""What Prometheus is asked for an agent's past demand: the operator's own queries, over time.

Pure. A range query would answer for all agents at every step, so what is not the agent's is left
out by Prometheus itself.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from trireme.autoscaler.promql import queries
from trireme.autoscaler.queries import Labels, Query

_FROM_GATEWAY = (Query.GATEWAY_ARRIVALS,)
_FROM_SERVERS = (Query.SERVER_REQUESTS, Query.SERVER_FAILURES)
"""What ended, well or not, of each model."""


@dataclass(frozen=True, slots=True)
class Past:
    """One series of a range query: values by Unix seconds, with a step where there is none."""

    labels: Mapping[str, str]
    values: Mapping[int, float]


Answers = Mapping[Query, Sequence[Past]]


def demand_queries(
    window: timedelta, labels: Labels, namespace: str, agent: str
) -> Mapping[Query, str]:
    """The queries for one agent's requests per second, each over `window`."""
    asked = queries(window, labels, only=(namespace, agent))
    return {name: asked[name] for name in (*_FROM_GATEWAY, *_FROM_SERVERS)}


def by_gateway(answers: Answers, model: str | None) -> Mapping[int, float]:
    """Requests per second by Unix seconds, as a gateway counted them, or as many as the servers
    have of a `model`, where those are more: of a stream the gateway sees one request.
    """
    servers = by_servers(answers, model) if model is not None else {}
    handed_on = _sum(series for query in _FROM_GATEWAY for series in answers.get(query, ()))
    return {second: max(rate, servers.get(second, 0.0)) for second, rate in handed_on.items()}


def by_servers(answers: Answers, model: str) -> Mapping[int, float]:
    """The same without a gateway: what ended of a model."""
    of_servers = [series for query in _FROM_SERVERS for series in answers.get(query, ())]
    return _sum(series for series in of_servers if series.labels.get("model") == model)


def models_of(answers: Answers) -> Sequence[str]:
    """The models that the servers have counted requests of."""
    of_servers = [series for query in _FROM_SERVERS for series in answers.get(query, ())]
    return sorted({series.labels.get("model", "") for series in of_servers})


def is_by_gateway(answers: Answers) -> bool:
    """Whether a gateway was ever scraped."""
    return any(answers.get(query) for query in _FROM_GATEWAY)


def _sum(parts: Iterable[Past]) -> Mapping[int, float]:
    """The sum at each second at which all parts have a value: what one would add where it has none
    is not known. What was never counted at all adds nothing: some counters begin with the first
    event, and Prometheus has no series of them until then.
    """
    known = [
        {at: rate for at, rate in part.values.items() if math.isfinite(rate)} for part in parts
    ]
    if not known:
        return {}
    shared = set(known[0]).intersection(*known[1:])
    return {second: sum(values[second] for values in known) for second in shared}
