"""The options of `trireme simulate` that take an agent's own past from Prometheus."""

import asyncio
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from trireme.autoscaler.past_demand import (
    Answers,
    Past,
    by_gateway,
    by_servers,
    demand_queries,
    is_by_gateway,
    models_of,
)
from trireme.autoscaler.queries import Labels, Query, window
from trireme.autoscaler.signals import Limits
from trireme.errors import IncompleteHistory
from trireme.settings import Settings
from trireme.simulator.past_traffic import PastTraffic, past_traffic

if TYPE_CHECKING:
    from trireme.edge.prometheus import Prometheus

TIMEOUT_SECONDS = 120  # of each part of a range query: days of samples take their time
_NAME = re.compile(r"([a-z0-9.-]+)/([a-z0-9.-]+)")


@dataclass(frozen=True, slots=True)
class Wanted:
    """An agent, and the part of its past: `steps` of equal length that end at `end`. Of one that is
    asked for several models the `model` is counted `alone`: a gateway counts them together.
    """

    url: str
    namespace: str
    agent: str
    model: str | None
    end: datetime
    step: timedelta
    steps: int
    longest_gap: timedelta
    alone: bool = False

    @property
    def window(self) -> timedelta:
        """What each value is measured over: the operator's window for the rarest scrapes, or more.

        A rate wants two samples, and a scrape that failed is no gap.
        """
        return max(self.step, window(Limits().longest_scrape_interval))

    @property
    def begin(self) -> datetime:
        """When the first step ends."""
        return self.end - (self.steps - 1) * self.step


def agent_of(text: object) -> tuple[str, str]:
    """Namespace and name; raises ValueError where it is not both."""
    match = _NAME.fullmatch(str(text))
    if match is None:
        raise ValueError(f"{text!r} is not a namespace and a name: write shop/support-agent")
    return match[1], match[2]


def ask(wanted: Wanted) -> PastTraffic:
    """The agent's demand. Raises SignalsUnavailable or IncompleteHistory."""
    settings = Settings(prometheus_url=wanted.url, prometheus_timeout_seconds=TIMEOUT_SECONDS)
    labels = Labels(
        settings.label_namespace, settings.label_pod, settings.label_agent, settings.label_gateway
    )
    queries = demand_queries(wanted.window, labels, wanted.namespace, wanted.agent)
    return traffic_from(asyncio.run(_answers(settings, queries, wanted)), wanted)


def traffic_from(answers: Answers, wanted: Wanted) -> PastTraffic:
    """By the gateway where it was ever scraped, else by one model of the servers."""
    name = f"{wanted.namespace}/{wanted.agent}"
    models = models_of(answers)
    model = wanted.model or (models[0] if len(models) == 1 else None)
    if is_by_gateway(answers) and not wanted.alone:
        rates = by_gateway(answers, model)
    elif model is None and models:
        raise IncompleteHistory(
            f"{name} has no gateway that counts what comes, and the models {', '.join(models)}: "
            "say which is asked, with --model"
        )
    else:
        rates = by_servers(answers, model or "")
    reach = math.ceil(wanted.window / wanted.step)
    steps = _on_steps(rates, wanted)
    return past_traffic(name, steps, wanted.begin, wanted.step, wanted.longest_gap, reach)


def _on_steps(rates: Mapping[int, float], wanted: Wanted) -> npt.NDArray[np.float64]:
    first, width = round(wanted.begin.timestamp()), round(wanted.step.total_seconds())
    return np.array([rates.get(first + at * width, math.nan) for at in range(wanted.steps)])


async def _answers(settings: Settings, queries: Mapping[Query, str], wanted: Wanted) -> Answers:
    from trireme.edge.prometheus import Access, Prometheus  # its client takes a second to import

    async with Prometheus(Access.from_settings(settings)) as prometheus:
        return {name: await _past(prometheus, name, queries[name], wanted) for name in queries}


async def _past(
    prometheus: "Prometheus", name: Query, query: str, wanted: Wanted
) -> Sequence[Past]:
    return await prometheus.past(name, query, wanted.begin, wanted.end, wanted.step)


def on_whole_steps(end: datetime, step: timedelta) -> datetime:
    """The last whole step until then, so that the same question has the same answer for a while."""
    seconds = step.total_seconds()
    return datetime.fromtimestamp(end.timestamp() // seconds * seconds, UTC)
