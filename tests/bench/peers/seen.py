"""What a gateway's counters and a watch on a Deployment tell of a run."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Any

import urllib3
from kubernetes import client, config, watch

from bench.peers.runs import OBJECTIVE_MILLISECONDS
from kube import Kube
from trireme.api import names
from trireme.resources.monitoring import GATEWAY_METRICS_PATH


@dataclass(frozen=True, slots=True)
class Counts:
    """What a gateway has answered, and how much of it within the objective."""

    answers: float
    in_time: float


@dataclass(frozen=True, slots=True)
class Counter:
    """A gateway's own counters, which are exact at the objective: it is an edge of theirs."""

    kube: Kube
    gateway: str

    def now(self) -> Counts:
        time.sleep(2)  # Envoy adds up its threads' histograms each second
        text = self.kube.fetched(self.gateway, names.GATEWAY_METRICS_PORT, GATEWAY_METRICS_PATH)
        edge = rf'le="{OBJECTIVE_MILLISECONDS:.0f}"'
        return Counts(
            sum(_values(text, r"_count\{[^}]*")),
            sum(_values(text, rf"_bucket\{{[^}}]*{edge}[^}}]*")),
        )


def _values(text: str, suffix: str) -> Iterator[float]:
    pattern = rf"^envoy_cluster_upstream_rq_time{suffix}\}} (\S+)$"
    for line in re.finditer(pattern, text, re.MULTILINE):
        if 'envoy_cluster_name="inference_' in line[0]:
            yield float(line[1])


@dataclass(slots=True)
class Followed:
    """What a watch on the Deployment told of, as Unix time."""

    sizes: list[tuple[float, int]]
    ready: list[tuple[float, int]]


@contextmanager
def followed(kube: Kube, agent: str) -> Iterator[Followed]:
    """Follow the Deployment's size while the body runs."""
    api = config.new_client_from_config(config_file=str(kube.kubeconfig))
    now = time.time()  # noqa: TID251  # a clock to measure by
    seen = Followed([(now, kube.replicas(agent) or 0)], [(now, kube.ready_pods(agent))])
    stream = watch.Watch()
    arguments = (api, kube.namespace, agent, stream, seen)
    Thread(target=_follow, args=arguments, daemon=True).start()
    yield seen
    stream.stop()


def _follow(
    api: client.ApiClient, namespace: str, agent: str, stream: watch.Watch, seen: Followed
) -> None:
    deployments: Callable[..., Any] = client.AppsV1Api(api).list_namespaced_deployment
    chosen = f"metadata.name={agent}"
    try:
        for event in stream.stream(deployments, namespace, field_selector=chosen):
            deployment, now = event["object"], time.time()  # noqa: TID251  # a clock to measure by
            sizes = (deployment.spec.replicas, deployment.status.ready_replicas or 0)
            for values, value in zip((seen.sizes, seen.ready), sizes, strict=True):
                if values[-1][1] != value:
                    values.append((now, value))
    except urllib3.exceptions.HTTPError:
        return  # as the stream is closed
