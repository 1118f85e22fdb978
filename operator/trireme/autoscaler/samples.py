"""The answers of one round of queries, and their index by agent. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from sys import intern

from trireme.autoscaler.queries import Labels, Query
from trireme.autoscaler.types import Source
from trireme.autoscaler.values import frozen


@dataclass(frozen=True, slots=True)
class Named:
    """What the labels of a series say: its agent, as `namespace/name`, and what of it the series is
    about. `edge` is the label `le`. A number that is not there, or is none, is NaN.
    """

    agent: str = ""
    model: str | None = None
    pod: str = ""
    part: str = ""
    quantile: float = math.nan
    edge: float = math.nan


def read_labels(labels: Mapping[str, str], names: Labels) -> Named:
    """Read the labels of one series, by their names."""
    agent = labels.get(names.agent) or labels.get(names.gateway)
    return Named(
        intern(f"{labels.get(names.namespace, '')}/{agent}") if agent else "",
        labels.get("model"),
        labels.get(names.pod, ""),
        labels.get("part", ""),
        _number(labels.get("quantile", "")),
        _number(labels.get("le", "")),
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


Series = tuple[Named, float]
"""One element of an instant vector: what it is of, and its value. No class of its own: there are 26
of an agent in each round.
"""

Round = Mapping[Query, tuple[Series, ...]]
"""The answers to every query of a round, all evaluated at the same time."""


ByAgent = Mapping[str, Sequence[Series]]
"""The answers to one query by agent, "" for those without one."""


@frozen
class AgentSamples:
    """What one round holds of one `agent`, "" of pods that told of themselves. `refused` says of
    pods why nothing of them is in it.
    """

    labels: Labels
    answers: Mapping[Query, ByAgent]
    agent: str
    source: Source = Source.PROMETHEUS
    refused: Mapping[str, str] = field(default_factory=dict)

    def of(self, query: Query, model: str | None = None) -> Sequence[Series]:
        """The answers to a query, all of them or those about one model."""
        answers = self.answers.get(query, _NOTHING).get(self.agent, ())
        if model is None:
            return answers
        return [series for series in answers if series[0].model == model]

    def value(self, query: Query, model: str | None = None) -> float | None:
        """The one value of an agent, or of one of its models; None where there is no series."""
        for named, value in self.answers.get(query, _NOTHING).get(self.agent, ()):
            if model is None or named.model == model:
                return value
        return None

    def by_pod(self, query: Query) -> Mapping[str, float]:
        """The values by pod name; server and gateway pods have different names."""
        return {named.pod: value for named, value in self.of(query)}


_NOTHING: ByAgent = {}


@dataclass(frozen=True, slots=True)
class Index:
    """A round by agent."""

    labels: Labels
    answers: Mapping[Query, ByAgent]

    def of(self, namespace: str, agent: str) -> AgentSamples:
        """The samples of one agent; empty where the round has none."""
        return AgentSamples(self.labels, self.answers, f"{namespace}/{agent}")


def index(round: Round, labels: Labels) -> Index:
    """Sort a round's series by agent."""
    return Index(labels, {query: _by_agent(answers) for query, answers in round.items()})


def _by_agent(answers: Sequence[Series]) -> ByAgent:
    """One pass where each agent has one series, as it does of most queries."""
    alone = {series[0].agent: (series,) for series in answers}
    if len(alone) == len(answers):
        return alone
    found: dict[str, list[Series]] = {agent: [] for agent in alone}
    for series in answers:
        found[series[0].agent].append(series)
    return found


def scrape_interval(round: Round, longest: timedelta) -> timedelta | None:
    """The interval the next round's window is made for: the longest that is still accepted.

    All agents share one window, so that one query serves all; an agent scraped less often than
    every `longest` is refused its signals instead of lengthening everybody's window. None where
    nothing is old enough to measure.
    """
    limit = longest.total_seconds()
    told = round.get(Query.SCRAPE_INTERVAL, ())
    seconds = [value for _, value in told if 0 < value <= limit]
    return timedelta(seconds=max(seconds)) if seconds else None
