"""The operator's own metrics, in Prometheus' text format on /metrics."""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

M = TypeVar("M", Counter, Gauge)


class _OfAgents(Generic[M]):
    """A metric of agents with one more label, and which values of that each agent has: the client
    would look through the series of all agents to find those of one.
    """

    def __init__(self, metric: M) -> None:
        self._metric: M = metric
        self._values: dict[tuple[str, str], set[str]] = {}

    def labels(self, namespace: str, agent: str, value: str) -> M:
        """The series of an agent with this value."""
        self._values.setdefault((namespace, agent), set()).add(value)
        return self._metric.labels(namespace, agent, value)

    def keep(self, namespace: str, agent: str, values: Collection[str]) -> None:
        """Drop the series of an agent but for those with these values."""
        known = self._values.pop((namespace, agent), set())
        for value in known.difference(values):
            self._metric.remove(namespace, agent, value)
        if kept := known.intersection(values):
            self._values[namespace, agent] = kept


class Lost(StrEnum):
    """Why an Event was not posted."""

    LIMIT = "limit"  # its agent had as many as one may have
    API = "api"  # the API server refused it, or did not answer


class Metrics:
    """Every metric of the operator; one registry per operator, so that tests have their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        agent = ("namespace", "agent")
        self.leader = Gauge("trireme_leader", "1 while this replica acts", registry=self.registry)
        self.agents = Gauge("trireme_agents", "Agents known", registry=self.registry)
        self.reconciliations = Counter(
            "trireme_reconciliations",
            "Passes over one agent, by result",
            ("result",),
            registry=self.registry,
        )
        self.reconcile_seconds = Histogram(
            "trireme_reconcile_seconds", "Duration of a pass", registry=self.registry
        )
        self.round_seconds = Histogram(
            "trireme_autoscale_round_seconds",
            "Duration of a scaling round over all agents, but for what it writes",
            registry=self.registry,
        )
        self.prometheus_failures = Counter(
            "trireme_prometheus_failures",
            "Scaling rounds without an answer from Prometheus",
            registry=self.registry,
        )
        self.unusable_pod_metrics = Counter(
            "trireme_unusable_pod_metrics",
            "Times that what the pods of an agent told themselves could not be used",
            registry=self.registry,
        )
        self.failed_rounds = Counter(
            "trireme_autoscale_failed_rounds",
            "Scaling rounds that failed for all agents",
            registry=self.registry,
        )
        self.failed_looks = Counter(
            "trireme_failed_looks",
            "Times that a server did not tell its statistics: nothing is learnt of it then",
            registry=self.registry,
        )
        self.agents_written = Gauge(
            "trireme_agents_being_written",
            "Agents that a scaling round left as they are: an earlier one's writes are under way",
            registry=self.registry,
        )
        self.events_lost = Counter(
            "trireme_events_lost",
            "Events that were not posted, by their type and the cause: limit or api",
            ("type", "cause"),
            registry=self.registry,
        )
        # From the start, so that the first of each is an increase.
        for result in ("done", "retry", "error"):
            self.reconciliations.labels(result)
        for kind in ("Normal", "Warning"):
            for cause in Lost:
                self.events_lost.labels(kind, cause)
        self.desired_replicas = Gauge(
            "trireme_agent_desired_replicas", "Pods wanted", agent, registry=self.registry
        )
        self.class_replicas = _OfAgents(
            Gauge(
                "trireme_agent_class_desired_replicas",
                "Pods wanted of each node class, where an agent has some",
                (*agent, "node_class"),
                registry=self.registry,
            )
        )
        self.budget_gpus = Gauge(
            "trireme_gpu_budget_gpus",
            "GPUs of each budget: total, given to agents, wanted by them, held beyond their sizes",
            ("budget", "kind"),
            registry=self.registry,
        )
        self.decisions = _OfAgents(
            Counter(
                "trireme_agent_decisions",
                "Decisions that changed something, began to hold or tell of a setting, by reason",
                (*agent, "reason"),
                registry=self.registry,
            )
        )
        self.signals_available = Gauge(
            "trireme_agent_signals_available",
            "1 while the scaling signals are fresh and whole",
            agent,
            registry=self.registry,
        )
        self.lead_time = Gauge(
            "trireme_agent_lead_time_seconds",
            "How long a pod takes to be ready and, where that is known, to answer its first "
            "request: 95th percentile of those that were measured",
            agent,
            registry=self.registry,
        )
        self.start_stage = _OfAgents(
            Gauge(
                "trireme_agent_start_stage_seconds",
                "Median of each stage of a pod's start: schedule, pull, fetch, load, and, where it "
                "is known, node, image, warmup, first_request",
                (*agent, "stage"),
                registry=self.registry,
            )
        )
        self.signals_read_directly = Gauge(
            "trireme_agent_signals_read_directly",
            "1 while the pods' own metrics are read in the place of Prometheus",
            agent,
            registry=self.registry,
        )

        self.canary_weight = Gauge(
            "trireme_canary_weight",
            "Share of the requests that an agent's canary is to get",
            agent,
            registry=self.registry,
        )
        self.canary_phase = _OfAgents(
            Gauge(
                "trireme_canary_phase",
                "1 for the phase that an agent's canary is in",
                (*agent, "phase"),
                registry=self.registry,
            )
        )
        of_track = (*agent, "track")
        self.canary_requests = _OfAgents(
            Counter(
                "trireme_canary_requests",
                "Requests answered while a canary was watched, by track",
                of_track,
                registry=self.registry,
            )
        )
        self.canary_failures = _OfAgents(
            Counter(
                "trireme_canary_failures",
                "Of trireme_canary_requests_total, failures",
                of_track,
                registry=self.registry,
            )
        )
        self.canary_refused = _OfAgents(
            Counter(
                "trireme_canary_refused",
                "Of trireme_canary_requests_total, refused as the client's fault",
                of_track,
                registry=self.registry,
            )
        )
        self.canary_late = _OfAgents(
            Counter(
                "trireme_canary_late",
                "Of trireme_canary_requests_total, over the objective's latency, or failed",
                of_track,
                registry=self.registry,
            )
        )

    def set_canary(self, namespace: str, agent: str, phase: str, weight: float) -> None:
        """An agent's canary, by its present phase alone."""
        self.canary_phase.keep(namespace, agent, (phase,))
        self.canary_phase.labels(namespace, agent, phase).set(1)
        self.canary_weight.labels(namespace, agent).set(weight)

    def count_answers(
        self,
        namespace: str,
        agent: str,
        track: str,
        requests: int,
        failed: int,
        refused: int,
        late: int,
    ) -> None:
        """What a track answered since it was counted last."""
        for counter, more in (
            (self.canary_requests, requests),
            (self.canary_failures, failed),
            (self.canary_refused, refused),
            (self.canary_late, late),
        ):
            counter.labels(namespace, agent, track).inc(more)

    def forget_canary(self, namespace: str, agent: str) -> None:
        """Drop what is told of a canary that is gone; its counters stay, as counters do."""
        self.canary_weight.remove(namespace, agent)
        self.canary_phase.keep(namespace, agent, ())

    def set_classes(self, namespace: str, agent: str, pods: Mapping[str, int]) -> None:
        """The pods wanted by node class; the series of classes that are gone are dropped."""
        self.class_replicas.keep(namespace, agent, pods)
        for name, count in pods.items():
            self.class_replicas.labels(namespace, agent, name).set(count)

    def forget(self, namespace: str, agent: str) -> None:
        """Drop the series of an agent that is gone."""
        for metric in (
            self.desired_replicas,
            self.signals_available,
            self.signals_read_directly,
            self.lead_time,
            self.canary_weight,
        ):
            metric.remove(namespace, agent)
        for of_agents in (
            self.class_replicas,
            self.decisions,
            self.start_stage,
            self.canary_phase,
            self.canary_requests,
            self.canary_failures,
            self.canary_refused,
            self.canary_late,
        ):
            of_agents.keep(namespace, agent, ())

    def text(self) -> bytes:
        """The exposition in Prometheus' text format."""
        return generate_latest(self.registry)
