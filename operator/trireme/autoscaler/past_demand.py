"""What Prometheus is asked for an agent's past demand: the operator's own queries, over time.

Pure. A range query would answer for all agents at every step, so what is not the agent's is left
out by Prometheus itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from trireme.autoscaler.promql import queries
from trireme.autoscaler.queries import Labels, Query

FROM_GATEWAY = (Query.GATEWAY_ARRIVALS,)
FROM_SERVERS = (Query.SERVER_REQUESTS, Query.SERVER_FAILURES)
"""Without a gateway: what ended, well or not; the same of each model."""


@dataclass(frozen=True, slots=True)
class Past:
    """One series of a range query: values by Unix seconds, with a step where there is none."""

    labels: Mapping[str, str]
    values: Mapping[int, float]


def demand_queries(
    window: timedelta, labels: Labels, namespace: str, agent: str
) -> Mapping[Query, str]:
    """The queries for one agent's requests per second, each over `window`."""
    asked = queries(window, labels, only=(namespace, agent))
    return {name: asked[name] for name in (*FROM_GATEWAY, *FROM_SERVERS)}
