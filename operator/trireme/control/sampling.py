"""What a scaling round asks for: Prometheus' samples, for all agents at once; the demand outside,
where a spec has a query for it; and what pods told themselves, of the agents whose pods are read.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from trireme.api.conditions import Reason
from trireme.autoscaler import outside
from trireme.autoscaler.policy import Latencies
from trireme.autoscaler.promql import queries
from trireme.autoscaler.queries import SERVER_LATENCIES, Labels, Query, window
from trireme.autoscaler.samples import AgentSamples, Index, scrape_interval
from trireme.autoscaler.signals import Limits, Subject, assemble
from trireme.autoscaler.sources import SourceMemory, choose
from trireme.autoscaler.types.observation import Outside
from trireme.autoscaler.types.signals import NoSignals, Signals
from trireme.control.direct import PodReader
from trireme.control.queue import Key
from trireme.control.store import Store
from trireme.edge.demand import DemandQueries
from trireme.edge.metrics import Metrics
from trireme.edge.prometheus import Prometheus
from trireme.errors import SignalsUnavailable

logger = logging.getLogger(__name__)

_LIMITS = Limits()
_UNUSABLE = "what Prometheus answered cannot be used: the operator's log says why"


@dataclass(frozen=True, slots=True)
class _Samples:
    """One round's answers, evaluated at `at` over `window`."""

    at: datetime
    window: timedelta
    index: Index


@dataclass(frozen=True, slots=True)
class _DirectSamples:
    """What the pods of one agent told themselves."""

    told: AgentSamples
    at: datetime
    window: timedelta


@dataclass(frozen=True, slots=True)
class Answers:
    """What one round was answered, or why Prometheus has nothing. `window` is the one that follows
    from how often pods are scraped now.
    """

    prometheus: _Samples | SignalsUnavailable
    outside: Mapping[Key, Outside | NoSignals]
    pods: Mapping[Key, _DirectSamples]
    window: timedelta

    def signals(
        self, key: Key, asked_of: Subject, source: SourceMemory, now: datetime
    ) -> tuple[Signals | NoSignals, SourceMemory]:
        """What Prometheus has of an agent, or its pods tell themselves; and whose that is."""
        prometheus: Signals | NoSignals
        if isinstance(self.prometheus, SignalsUnavailable):
            prometheus = NoSignals(Reason.PROMETHEUS_UNREACHABLE, str(self.prometheus))
        else:
            prometheus = assemble(
                self.prometheus.index.of(*key),
                asked_of,
                now=self.prometheus.at,
                window=self.prometheus.window,
                limits=_LIMITS,
            )
        pods, read = None, self.pods.get(key)
        if read is not None:
            pods = assemble(read.told, asked_of, now=read.at, window=read.window, limits=_LIMITS)
        return choose(source, prometheus, pods, now=now, window=self.window)


def questions(
    of_agents: Iterable[Latencies], over: timedelta, labels: Labels
) -> Mapping[Query, str]:
    """What is asked of Prometheus, in one round for all agents; nothing where none has an
    objective. The percentiles and targets that some objective names are asked for of all.
    """
    different = {each for each in of_agents if each.asked}
    if not different:
        return {}
    asked = frozenset[tuple[int, timedelta]]().union(*(each.asked for each in different))
    percentiles, targets = zip(*asked, strict=True)
    texts = queries(over, labels, percentiles, targets)
    if all(each.by_gateway for each in different):
        return {query: text for query, text in texts.items() if query not in SERVER_LATENCIES}
    return texts


class Sampler:
    """Asks, once a round."""

    def __init__(
        self,
        *,
        store: Store,
        prometheus: Prometheus,
        reader: PodReader,
        demand: DemandQueries,
        metrics: Metrics,
        labels: Labels,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._prometheus = prometheus
        self._reader = reader
        self._demand = demand
        self._metrics = metrics
        self._labels = labels
        self._clock = clock
        self._scrape_interval: timedelta | None = None

    @property
    def scrape_interval(self) -> timedelta | None:
        """How often pods are scraped, as the last round found it; None until one has."""
        return self._scrape_interval

    async def ask(self, keys: Iterable[Key], read: Iterable[Key]) -> Answers:
        """What there is of these agents, and of those that are `read` from their pods as well."""
        prometheus, asked = await asyncio.gather(self._samples(keys), self._outside(keys))
        told = await self._told_by_pods(read)
        return Answers(prometheus, asked, told, window(self._scrape_interval))

    async def _samples(self, keys: Iterable[Key]) -> _Samples | SignalsUnavailable:
        """What Prometheus has of every agent, or why it has nothing."""
        now = self._clock()
        over = window(self._scrape_interval)
        running = (self._store.view(key).accepted for key in keys)
        asked = questions((each.latencies for each in running if each), over, self._labels)
        if not asked:
            return _Samples(now, over, Index(self._labels, {}))  # nobody asks for anything
        try:
            answers = await self._prometheus.round(asked, self._labels, now)
            self._scrape_interval = scrape_interval(answers, _LIMITS.longest_scrape_interval)
            return _Samples(now, over, Index(self._labels, answers))
        except SignalsUnavailable as error:
            problem = error
        except Exception:
            logger.exception("the answers of Prometheus cannot be used")
            problem = SignalsUnavailable(_UNUSABLE)
        self._metrics.prometheus_failures.inc()
        return problem

    async def _outside(self, keys: Iterable[Key]) -> dict[Key, Outside | NoSignals]:
        """What is asked outside the pods of each agent that has a query for it."""
        running = {key: self._store.view(key).accepted for key in keys}
        queries = {
            key: accepted.agent.spec.scaling.demand.query
            for key, accepted in running.items()
            if accepted is not None
            and accepted.agent.spec.scaling.demand is not None
            and accepted.agent.spec.scaling.mode.is_decided_by_trireme
        }
        try:
            answers = await self._demand.round(queries.values(), self._clock())
        except Exception:
            logger.exception("the demand outside cannot be asked for")
            answers = dict.fromkeys(queries.values(), SignalsUnavailable(_UNUSABLE))
        asked: dict[Key, Outside | NoSignals] = {}
        for key, query in queries.items():
            match answers[query]:
                case SignalsUnavailable() as error:
                    asked[key] = NoSignals(Reason.PROMETHEUS_UNREACHABLE, str(error))
                case answer:
                    asked[key] = outside.told(query, answer)
        return asked

    async def _told_by_pods(self, keys: Iterable[Key]) -> dict[Key, _DirectSamples]:
        """What pods told themselves, of the agents whose pods are read, and can be used."""
        told = {}
        for key in keys:
            accepted = self._store.view(key).accepted
            if accepted is None:
                continue
            await asyncio.sleep(0)  # a millisecond a pod: others have their turn in between
            try:
                objectives = accepted.policy.objectives
                told[key] = _DirectSamples(*self._reader.samples(key, objectives))
            except Exception:  # whatever pods tell, other agents do not suffer
                logger.exception("%s: what its pods told cannot be used", key)
                self._metrics.unusable_pod_metrics.inc()
        return told
