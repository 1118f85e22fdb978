"""The answers of one round of queries, and their index by agent. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from trireme.autoscaler.queries import Labels, Query
from trireme.autoscaler.types import Source


class Series(NamedTuple):
    """One element of an instant vector. A tuple: there are 26 of an agent in each round."""

    labels: Mapping[str, str]
    value: float


Round = Mapping[Query, tuple[Series, ...]]
"""The answers to every query of a round, all evaluated at the same time."""


@dataclass(frozen=True, slots=True)
class AgentSamples:
    """What one round holds of one agent; `refused` says of pods why nothing of them is in it."""

    labels: Labels
    series: Mapping[Query, Sequence[Series]]
    source: Source = Source.PROMETHEUS
    refused: Mapping[str, str] = field(default_factory=dict)

    def of(self, query: Query, model: str | None = None) -> Sequence[Series]:
        """The answers to a query, all of them or those about one model."""
        answers = self.series.get(query, ())
        if model is None:
            return answers
        return [s for s in answers if s.labels.get("model") == model]

    def value(self, query: Query, model: str | None = None) -> float | None:
        """The one value of an agent, or of one of its models; None where there is no series."""
        for labels, value in self.series.get(query, ()):
            if model is None or labels.get("model") == model:
                return value
        return None

    def by_pod(self, query: Query) -> Mapping[str, float]:
        """The values by pod name; server and gateway pods have different names."""
        pod = self.labels.pod
        return {labels.get(pod, ""): value for labels, value in self.of(query)}


@dataclass(frozen=True, slots=True)
class Index:
    """A round by agent."""

    labels: Labels
    agents: Mapping[tuple[str, str], Mapping[Query, Sequence[Series]]]

    def of(self, namespace: str, agent: str) -> AgentSamples:
        """The samples of one agent; empty where the round has none."""
        return AgentSamples(self.labels, self.agents.get((namespace, agent), {}))


def index(round: Round, labels: Labels) -> Index:
    """Sort a round's series by agent, in one pass over them."""
    agents: dict[tuple[str, str], dict[Query, list[Series]]] = {}
    of_agent, of_gateway, of_namespace = labels.agent, labels.gateway, labels.namespace
    for query, answers in round.items():
        for series in answers:
            named = series.labels
            agent = named.get(of_agent) or named.get(of_gateway)
            if agent:
                key = (named.get(of_namespace, ""), agent)
                known = agents.get(key)
                if known is None:
                    agents[key] = {query: [series]}
                elif query in known:
                    known[query].append(series)
                else:
                    known[query] = [series]
    return Index(labels, agents)


def scrape_interval(round: Round, longest: timedelta) -> timedelta | None:
    """The interval the next round's window is made for: the longest that is still accepted.

    All agents share one window, so that one query serves all; an agent scraped less often than
    every `longest` is refused its signals instead of lengthening everybody's window. None where
    nothing is old enough to measure.
    """
    limit = longest.total_seconds()
    seconds = [s.value for s in round.get(Query.SCRAPE_INTERVAL, ()) if 0 < s.value <= limit]
    return timedelta(seconds=max(seconds)) if seconds else None
