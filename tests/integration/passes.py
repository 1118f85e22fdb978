"""A reconciler in the test's own process, against an API server without nodes or controllers.

The test says when a pass is made, what time it is, and what the analysis of a canary has found; the
watches' part is played by asking.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from kubernetes.aio import client, config

from integration.operator_process import OPERATOR_KEY
from kube import Kube
from trireme.api import kinds, names
from trireme.control.canary import CanaryAnalysis
from trireme.control.pod_secrets import Keys
from trireme.control.queue import Key, Work, WorkQueue
from trireme.control.reconcile import Reconciler
from trireme.control.store import AgentView, Store
from trireme.edge.cluster import Cluster
from trireme.edge.metrics import Metrics
from trireme.edge.pod_metrics import PodMetrics
from trireme.edge.recorder import Recorder
from trireme.resources.control import OperatorKey
from trireme.resources.options import ResourceOptions

_ENOUGH = 3  # passes: the second leaves sizes to their owner, the last has nothing left to do


@dataclass
class Clock:
    now: datetime = field(default_factory=lambda: datetime(2026, 11, 1, 3, 0, tzinfo=UTC))


class Operator:
    """What one process knows and does of one agent."""

    def __init__(
        self, kube: Kube, cluster: Cluster, pod_metrics: PodMetrics, agent: str, clock: Clock
    ) -> None:
        self._kube, self._key = kube, Key(kube.namespace, agent)
        self.cluster = cluster
        self.store, self.queue, metrics = Store(), WorkQueue(), Metrics()
        self.canaries = CanaryAnalysis(
            cluster=cluster,
            store=self.store,
            queue=WorkQueue(),
            pod_metrics=pod_metrics,
            recorder=Recorder(cluster, "test", metrics),
            metrics=metrics,
            clock=lambda: clock.now,
        )
        self._reconciler = Reconciler(
            cluster=cluster,
            store=self.store,
            queue=self.queue,
            in_place=WorkQueue(),
            recorder=Recorder(cluster, "test", metrics),
            metrics=metrics,
            options=ResourceOptions("envoyproxy/envoy:v1.40.0"),
            keys=Keys(OperatorKey(OPERATOR_KEY)),
            optimizer_jobs=1,
            clock=lambda: clock.now,
        )

    @property
    def view(self) -> AgentView:
        return self.store.view(self._key)

    async def passes(self) -> None:
        """Passes until one changes nothing, each after a look at the cluster."""
        seen = await self._look()
        for _ in range(_ENOUGH):
            await self._reconciler.handle(self._key, Work.APPLY)
            before, seen = seen, await self._look()
            if seen == before:
                break

    async def once(self, *, looks: bool = True) -> None:
        """One pass, after a look at the cluster unless the watches are late."""
        if looks:
            await self._look()
        await self._reconciler.handle(self._key, Work.APPLY)

    async def _look(self) -> dict[tuple[str, str], str]:
        """Tell the store what is there; the versions of the agent and its children."""
        agent = await self.cluster.get(kinds.AGENT_DEPLOYMENT, *self._key)
        assert agent is not None
        self.store.agent_event(agent, deleted=False)
        selector = f"{names.OWNER}={self._key.name}"
        versions = {("", ""): agent["metadata"]["resourceVersion"]}
        for kind in kinds.CHILD_KINDS:
            for item in await self.cluster.list(kind, self._key.namespace, selector):
                body = {"apiVersion": kind.api_version, "kind": kind.name, **item}
                self.store.child_event(self._key, body, deleted=False)
                child = (kind.name, item["metadata"]["name"])
                versions[child] = item["metadata"]["resourceVersion"]
        watched = {kind.name for kind in kinds.CHILD_KINDS}
        for child in self.view.children.keys() - versions.keys():
            if child[0] in watched:
                self.store.child_event(self._key, self.view.children[child], deleted=True)
        pods = await self.cluster.list(kinds.POD, self._key.namespace, selector)
        for pod in pods:
            self.store.pod_event(self._key, {"kind": "Pod", **pod}, deleted=False)
        for name in self.view.pods.keys() - {pod["metadata"]["name"] for pod in pods}:
            self.store.pod_event(self._key, self.view.pods[name], deleted=True)
        return versions


@asynccontextmanager
async def started(kube: Kube, agent: str, clock: Clock) -> AsyncIterator[Operator]:
    """An operator that knows nothing yet."""
    # Each request would look for a proxy in the environment, by two threads.
    configuration = client.Configuration(client_session_kwargs={"trust_env": False})
    await config.load_kube_config(str(kube.kubeconfig), client_configuration=configuration)
    async with client.ApiClient(configuration) as api, PodMetrics() as pod_metrics:
        yield Operator(kube, Cluster(api), pod_metrics, agent, clock)


READY = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-01T00:00:00Z"}


def make_pod(kube: Kube, deployment: str, name: str, condition: Mapping[str, str] = READY) -> None:
    """A pod of a Deployment, of which the kubelet or the scheduler says one thing."""
    metadata = kube.get("deployment", deployment)["spec"]["template"]["metadata"]
    container = {"name": names.SERVER_CONTAINER, "image": "example.com/triton"}
    manifest: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**metadata, "name": name},
        "spec": {"containers": [container]},
    }
    kube.apply(manifest)
    kube.set_status("pod", name, {"phase": "Running", "conditions": [condition]})
