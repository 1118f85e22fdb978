"""The answers of one round of queries, and what they hold of one agent. Pure."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from sys import intern
from typing import Self

from trireme.autoscaler.queries import Labels, Query
from trireme.autoscaler.types.signals import Source
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
    """Read the labels of one series, by their names. What thousands of series have alike is one
    object to all of them: it is found in the processor's cache then, and equal at a glance.
    """
    agent = labels.get(names.agent) or labels.get(names.gateway)
    model = labels.get("model")
    return Named(
        intern(f"{labels.get(names.namespace, '')}/{agent}") if agent else "",
        model and intern(model),
        labels.get(names.pod, ""),
        intern(labels.get("part", "")),
        _number(labels.get("quantile", "")),
        _number(labels.get("le", "")),
    )


@lru_cache(maxsize=1024)
def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


Series = tuple[Named, float]
"""One element of an instant vector: what it is of, and its value."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the series of an answer are of, in its order, and by agent the places that its series
    have there, "" for those without one. The next round's answer mostly has the same: only values
    are new then, and nothing is sorted again.
    """

    named: Sequence[Named]
    places: Mapping[str, Sequence[int]]

    @classmethod
    def of(cls, named: Sequence[Named]) -> Self:
        """Sort series by agent: in one pass where each has one, as it does of most queries."""
        alone = {each.agent: (place,) for place, each in enumerate(named)}
        if len(alone) == len(named):
            return cls(named, alone)
        places: dict[str, list[int]] = {agent: [] for agent in alone}
        for place, each in enumerate(named):
            places[each.agent].append(place)
        return cls(named, places)


@frozen
class Vector:
    """The answer to a query: what its series are of, and the value of each, in the same order."""

    shape: Shape
    values: Sequence[float]

    @classmethod
    def of(cls, series: Iterable[Series]) -> Self:
        """Series one by one."""
        of_all = [*series]
        return cls(Shape.of([named for named, _ in of_all]), [value for _, value in of_all])

    def __iter__(self) -> Iterator[Series]:
        return zip(self.shape.named, self.values, strict=True)

    def __len__(self) -> int:
        return len(self.values)


Round = Mapping[Query, Vector]
"""The answers to every query of a round, all evaluated at the same time."""


@frozen
class AgentSamples:
    """What one round holds of one `agent`, "" of pods that told of themselves. `refused` says of
    pods why nothing of them is in it.
    """

    labels: Labels
    answers: Round
    agent: str
    source: Source = Source.PROMETHEUS
    refused: Mapping[str, str] = field(default_factory=dict)

    def of(self, query: Query, model: str | None = None) -> list[Series]:
        """The answers to a query, all of them or those about one model."""
        found: list[Series] = []
        vector = self.answers.get(query)
        if vector is not None:
            named, values = vector.shape.named, vector.values
            for at in vector.shape.places.get(self.agent, ()):
                if model is None or named[at].model == model:
                    found.append((named[at], values[at]))
        return found

    def value(self, query: Query, model: str | None = None) -> float | None:
        """The one value of an agent, or of one of its models; None where there is no series."""
        vector = self.answers.get(query)
        if vector is not None:
            for at in vector.shape.places.get(self.agent, ()):
                if model is None or vector.shape.named[at].model == model:
                    return vector.values[at]
        return None

    def by_pod(self, query: Query) -> Mapping[str, float]:
        """The values by pod name; server and gateway pods have different names."""
        vector = self.answers.get(query)
        if vector is None:
            return {}
        named, values = vector.shape.named, vector.values
        return {named[at].pod: values[at] for at in vector.shape.places.get(self.agent, ())}


@dataclass(frozen=True, slots=True)
class Index:
    """A round by agent."""

    labels: Labels
    answers: Round

    def of(self, namespace: str, agent: str) -> AgentSamples:
        """The samples of one agent; empty where the round has none."""
        return AgentSamples(self.labels, self.answers, f"{namespace}/{agent}")


def scrape_interval(round: Round, longest: timedelta) -> timedelta | None:
    """The interval the next round's window is made for: the longest that is still accepted.

    All agents share one window, so that one query serves all; an agent scraped less often than
    every `longest` is refused its signals instead of lengthening everybody's window. None where
    nothing is old enough to measure.
    """
    limit = longest.total_seconds()
    told = round.get(Query.SCRAPE_INTERVAL)
    seconds = [value for value in told.values if 0 < value <= limit] if told else []
    return timedelta(seconds=max(seconds)) if seconds else None
