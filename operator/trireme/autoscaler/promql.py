"""The figures of a round as PromQL: a fixed number of queries for all agents at once. Pure.

The innermost aggregation is a `max by (pod, ...)`, so a pod that two jobs scrape, or two Prometheus
replicas without de-duplication report, is not counted twice.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from trireme.autoscaler.expressions import (
    Both,
    Each,
    Expression,
    Function,
    Largest,
    PodKind,
    Quantiles,
    ShareOver,
    Total,
    Where,
)
from trireme.autoscaler.queries import FIGURES, PRESENCE, Labels, Query

_INTERVAL_SPAN = "2m"  # the span over which the scrape interval is measured


def queries(
    window: timedelta,
    labels: Labels,
    percentiles: Iterable[int] = (95,),
    targets: Iterable[timedelta] = (timedelta(milliseconds=100),),
    only: tuple[str, str] | None = None,
) -> Mapping[Query, str]:
    """Every query of a round, over `window`; `only` of one agent, by namespace and name.

    `percentiles` and `targets` are those that some objective names; all are answered by one query
    each for the servers and the gateways, told apart by the labels `quantile` and `le`.
    """
    writer = _Writer(
        labels,
        math.ceil(window.total_seconds()),
        tuple(sorted(set(percentiles))),
        tuple(sorted({target / timedelta(milliseconds=1) for target in targets})),
        only,
    )
    return {
        Query.SAMPLE_TIME: _union(*(writer.sample_time(each) for each in PRESENCE.values())),
        Query.SAMPLE_COUNT: _union(*(writer.sample_count(each) for each in PRESENCE.values())),
        Query.SCRAPE_INTERVAL: _union(
            *(writer.scrape_interval(each) for each in PRESENCE.values())
        ),
        **{query: writer.text(figure) for query, figure in FIGURES.items()},
    }


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes expressions with the labels and the window of a round; `edges` are milliseconds."""

    labels: Labels
    seconds: int
    percentiles: tuple[int, ...]
    edges: tuple[float, ...]
    only: tuple[str, str] | None

    def text(self, expression: Expression) -> str:
        match expression:
            case Total(of, by, per):
                return _divided(self._sum(of, *by), per)
            case Both(one, other):
                return f"{self.text(one)} + {self.text(other)}"
            case Largest(of, by, per):
                keep = self._labels(of.kind, self.labels.pod, *by)
                return _divided(f"max by ({keep}) ({self._series(of)})", per)
            case Quantiles(buckets, by, per):
                return self._quantiles(self._sum((buckets,), *by, "le"), per)
            case ShareOver(buckets, by):
                return self._share_over(buckets, *by)

    def sample_time(self, each: Each) -> str:
        return self._of_pod(each.kind, f"timestamp({self._selector(each)})")

    def sample_count(self, each: Each) -> str:
        counted = f"count_over_time({self._selector(each)}[{self.seconds}s])"
        return self._of_pod(each.kind, counted)

    def scrape_interval(self, each: Each) -> str:
        """Per agent, of its best scraped pod: the mean interval over the last two minutes.

        Exact, since both ends are samples: with samples at 0, 15, ..., 120 s and the query at
        127 s, the newest is at 120 s, the newest before the span at 0 s (its start is 7 s), and 8
        samples lie within: (120 - 0) / 8 = 15 s. Pods younger than the span have no answer.
        """
        series = self._selector(each)
        span = f"timestamp({series}) - timestamp({series} offset {_INTERVAL_SPAN})"
        count = f"count_over_time({series}[{_INTERVAL_SPAN}])"
        return f"min by ({self._labels(each.kind)}) (({span}) / {count})"

    def _labels(self, kind: PodKind, *more: str) -> str:
        """The labels that name an agent by one kind of its pods, and more."""
        return ", ".join((self.labels.namespace, self.labels.owner(kind), *more))

    def _selector(self, each: Each) -> str:
        """A selector of the metric on pods that belong to some agent, or to the one that is asked
        for.
        """
        owner = self.labels.owner(each.kind)
        owned = [f'{owner}!=""']
        if self.only is not None:
            namespace, agent = self.only
            owned = [f'{self.labels.namespace}="{namespace}"', f'{owner}="{agent}"']
        return f"{each.metric}{{{', '.join((*owned, *map(_matcher, each.where)))}}}"

    def _series(self, each: Each) -> str:
        """The function of every series that somebody scraped."""
        selector = self._selector(each)
        match each.function:
            case Function.LAST:
                return selector
            case Function.GROWTH:
                return f"{each.function}({selector}[{self.seconds}s]) / {self.seconds}"
            case Function.RATE | Function.MEAN:
                return f"{each.function}({selector}[{self.seconds}s])"

    def _once(self, each: Each, *also: str) -> str:
        """Each pod's own series, once, whoever scraped it; `also` are labels beyond its own."""
        keep = dict.fromkeys((self.labels.pod, *each.kind.own, *also))
        once = f"max by ({self._labels(each.kind, *keep)}) ({self._series(each)})"
        return _tagged(once, "part", each.part) if each.part else once

    def _sum(self, of: tuple[Each, ...], *by: str) -> str:
        """The sum over an agent's pods; a part keeps its label where it is asked for."""
        also = tuple(label for label in by if label != "part")
        united = _union(*(self._once(each, *also) for each in of)) if len(of) > 1 else None
        return f"sum by ({self._labels(of[0].kind, *by)}) ({united or self._once(of[0], *also)})"

    def _of_pod(self, kind: PodKind, expression: str) -> str:
        """The largest of each pod's series: they are scraped together."""
        return f"max by ({self._labels(kind, self.labels.pod)}) ({expression})"

    def _quantiles(self, buckets: str, per: float) -> str:
        return _union(
            *(
                _tagged(
                    _divided(f"histogram_quantile({percentile / 100:g}, {buckets})", per),
                    "quantile",
                    f"{percentile / 100:g}",
                )
                for percentile in self.percentiles
            )
        )

    def _share_over(self, buckets: Each, *by: str) -> str:
        at_edges, all_values = (
            self._once(_only(buckets, le), *also)
            for le, also in (
                (tuple(text for edge in self.edges for text in _spellings(edge)), ("le",)),
                (("+Inf",), ()),
            )
        )
        one = self._labels(buckets.kind, self.labels.pod, *buckets.kind.own)
        of_pods_with_it = f"{at_edges} * 0 + on ({one}) group_left () {all_values}"
        keep = self._labels(buckets.kind, *by, "le")
        return f"1 - sum by ({keep}) ({at_edges}) / sum by ({keep}) ({of_pods_with_it})"


def _only(buckets: Each, edges: tuple[str, ...]) -> Each:
    where = (*buckets.where, Where("le", edges))
    return Each(buckets.kind, buckets.function, buckets.metric, where, buckets.part)


def _spellings(edge: float) -> tuple[str, ...]:
    """How an edge may stand in the label `le`.

    Triton writes 100 and 12.3; Envoy 32 digits, 12.300000000000000710542735760100, which is what
    12.3 is in binary; Prometheus from 3.0 on makes it 100.0 and 12.3.
    """
    short = f"{edge:.15g}"
    return tuple(dict.fromkeys((short, f"{short}.0", f"{edge:.32g}")))


def _matcher(where: Where) -> str:
    """One label matcher; a value with a backslash for the expression has two in PromQL's string."""
    if len(where.values) == 1:
        return f'{where.label}{"!=" if where.other else "="}"{where.values[0]}"'
    pattern = "|".join(map(re.escape, where.values)).replace("\\", "\\\\")
    return f'{where.label}{"!~" if where.other else "=~"}"{pattern}"'


def _divided(expression: str, per: float) -> str:
    return expression if per == 1 else f"{expression} / {per:g}"


def _union(*parts: str) -> str:
    return " or ".join(f"({part})" for part in parts)


def _tagged(expression: str, label: str, value: str) -> str:
    """The expression with one label added, so that several of them can be united."""
    return f'label_replace({expression}, "{label}", "{value}", "", "")'
