"""What a scrape is told of each agent: its conditions, and its load beside its objectives.

It is read when it is asked for, from what the watches and the rounds left: nothing need be set
beforehand, and what is gone or too old is not told any more.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from trireme.autoscaler.records import Record
from trireme.autoscaler.types.signals import Signals
from trireme.control.history import History
from trireme.control.queue import Key
from trireme.control.store import Store
from trireme.edge.cluster import Object

_OLD = timedelta(seconds=60)  # a decision of before tells nothing of now: its agent's rounds fail


class AgentMetrics(Collector):
    """The series of all agents that exist."""

    def __init__(self, store: Store, history: History, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._history = history
        self._clock = clock

    def describe(self) -> Iterator[Metric]:
        """Every family, without a series."""
        return _Families().all()

    def collect(self) -> Iterator[Metric]:
        """Every family, as it is now."""
        families, now = _Families(), self._clock()
        for key in self._store.agents():
            body = self._store.view(key).body
            if body is not None:
                families.add_conditions(key, body)
            record = self._history.latest(key)
            if record is not None and now - record.inputs.observation.now < _OLD:
                families.add_load(key, record)
        return families.all()


class _Families:
    """The families of one scrape."""

    def __init__(self) -> None:
        agent = ("namespace", "agent")
        self._condition = GaugeMetricFamily(
            "trireme_agent_condition",
            "1 for what each condition of the status is now",
            labels=(*agent, "type", "status", "reason"),
        )
        self._latency = GaugeMetricFamily(
            "trireme_agent_latency_seconds",
            "Latency of an objective's model in the last round, as it is scaled by",
            labels=(*agent, "model"),
        )
        self._latency_objective = GaugeMetricFamily(
            "trireme_agent_latency_objective_seconds",
            "What trireme_agent_latency_seconds is to be within",
            labels=(*agent, "model"),
        )
        self._failures = GaugeMetricFamily(
            "trireme_agent_failure_ratio",
            "Share of an objective's model's requests that failed in the last round, 0 to 1",
            labels=(*agent, "model"),
        )
        self._failures_objective = GaugeMetricFamily(
            "trireme_agent_failure_ratio_objective",
            "What trireme_agent_failure_ratio is to be within",
            labels=(*agent, "model"),
        )

    def all(self) -> Iterator[Metric]:
        """Each of them."""
        yield self._condition
        yield self._latency
        yield self._latency_objective
        yield self._failures
        yield self._failures_objective

    def add_conditions(self, key: Key, body: Object) -> None:
        """What an agent's status says, whoever wrote it."""
        for each in body.get("status", {}).get("conditions", ()):
            self._condition.add_metric((*key, each["type"], each["status"], each["reason"]), 1)

    def add_load(self, key: Key, record: Record) -> None:
        """What a round saw of an agent's objectives; of a figure that is not known, nothing."""
        for objective in record.inputs.policy.objectives:
            labels = (*key, objective.model)
            self._latency_objective.add_metric(labels, objective.latency_target_seconds)
            self._failures_objective.add_metric(labels, objective.max_failure_ratio)
        signals = record.inputs.observation.signals
        for seen in signals.models if isinstance(signals, Signals) else ():
            labels = (*key, seen.model)
            self._failures.add_metric(labels, seen.failure_ratio)
            if seen.latency is not None:
                self._latency.add_metric(labels, seen.latency.seconds)
