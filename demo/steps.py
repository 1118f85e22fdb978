"""What the demo does to a cluster, one step after another, and how it is undone."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import helm_python
from rich.console import Console

import helm
from demo import manifests
from demo.cluster import NO_ANSWER, Cluster
from demo.errors import DemoError
from demo.manifests import Manifest, is_ours, one
from demo.state import State, load_hindrance, unready
from load.arrivals import parse_profile
from trireme.api import names

_RELEASE = "trireme"
_RELEASE_NAMESPACE = "trireme-system"
_OPERATOR_IMAGE = "trireme/operator"
_OPERATOR_TAG = "dev"
_OUR_PROMETHEUS_URL = "http://prometheus.monitoring:9090"
_POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Options:
    """What the user chose.

    `prometheus_url` empty installs the demo's own; `registry` empty takes images that are on the
    nodes already; `profile` empty takes that of load.yaml.
    """

    namespace: str = "demo"
    prometheus_url: str = ""
    registry: str = ""
    profile: str = ""


class Progress:
    """Says what is being done, what it waits for, and how long it took."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def step(self, title: str, action: Callable[[], None]) -> None:
        """Do something that answers by itself."""
        self.wait(title, action, lambda: None, timeout_seconds=0)

    def wait(
        self,
        title: str,
        action: Callable[[], None],
        hindrance: Callable[[], str | None],
        timeout_seconds: float,
    ) -> None:
        """Do something, then ask each second what still hinders it, until nothing does.

        Raises DemoError with the last hindrance after `timeout_seconds`.
        """
        started = time.monotonic()
        self._console.print(f"… {title}", highlight=False)
        with self._console.status(title):
            action()
            said = ""
            while (why := _asked(hindrance)) is not None:
                if why != said:
                    said = why
                    self._console.print(f"    {why}", style="dim", highlight=False, markup=False)
                if time.monotonic() - started > timeout_seconds:
                    raise DemoError(f"{title}: not done after {timeout_seconds:.0f} s: {why}")
                time.sleep(_POLL_SECONDS)
        self._console.print(
            f"[green]✓[/] {title} ({time.monotonic() - started:.0f} s)", highlight=False
        )


def _asked(hindrance: Callable[[], str | None]) -> str | None:
    """A moment without an answer is a hindrance like others: on a busy machine it passes."""
    try:
        return hindrance()
    except NO_ANSWER as error:
        return f"the API server does not answer: {' '.join(str(error).split())}"


def install(cluster: Cluster, progress: Progress, kubeconfig: Path, options: Options) -> None:
    """Prometheus (unless one is named) and Trireme."""
    refuse_foreign_namespaces(cluster, options)
    if not options.prometheus_url:
        install_prometheus(cluster, progress, options.registry)
    image = manifests.image(_OPERATOR_IMAGE, options.registry)
    values: dict[str, Any] = {
        "image": {"repository": image, "tag": _OPERATOR_TAG},
        "prometheus": {"url": options.prometheus_url or _OUR_PROMETHEUS_URL},
    }

    def install_chart() -> None:
        try:
            helm.install(helm.CHART, _RELEASE, _RELEASE_NAMESPACE, values, kubeconfig)
        except helm_python.HelmError as error:
            raise DemoError(f"Helm could not install Trireme: {error}") from error

    progress.step("Trireme, by Helm", install_chart)


def refuse_foreign_namespaces(cluster: Cluster, options: Options) -> None:
    """Raises DemoError where a namespace that the demo would fill is somebody else's."""
    remedies = {options.namespace: "name another one with --namespace"}
    if not options.prometheus_url:
        prometheus = one(manifests.read(manifests.PROMETHEUS), "Namespace")
        remedies[prometheus["metadata"]["name"]] = "name its Prometheus with --prometheus-url"
    for name, remedy in remedies.items():
        found = cluster.get(manifests.namespace(name), "")
        if found is not None and not is_ours(found):
            raise DemoError(f"the namespace {name} exists and is not the demo's: {remedy}")


def install_prometheus(cluster: Cluster, progress: Progress, registry: str) -> None:
    """The demo's own Prometheus, available."""
    objects = manifests.read(manifests.PROMETHEUS)

    def apply() -> None:
        for manifest in objects:
            cluster.apply(manifests.with_registry(manifest, registry), "")

    deployment = one(objects, "Deployment")
    progress.wait("Prometheus", apply, lambda: _unavailable(cluster.get(deployment, "")), 180)


def _unavailable(deployment: Manifest | None) -> str | None:
    status = (deployment or {}).get("status") or {}
    if status.get("availableReplicas"):
        return None
    for condition in status.get("conditions") or []:
        if condition["type"] == "Available":
            return str(condition["message"])
    return "waiting for its pod"


def apply_agent(cluster: Cluster, progress: Progress, options: Options) -> str:
    """The example agent, ready; its name."""
    namespace = manifests.namespace(options.namespace)
    objects = manifests.read(manifests.AGENT)
    name: str = one(objects, names.KIND)["metadata"]["name"]

    def apply() -> None:
        for manifest in (namespace, *objects):
            cluster.apply(manifests.with_registry(manifest, options.registry), options.namespace)

    progress.wait(
        f"the agent {name!r}",
        apply,
        lambda: unready(cluster.agent(name, options.namespace)),
        timeout_seconds=300,
    )
    return name


def start_load(cluster: Cluster, progress: Progress, options: Options) -> tuple[str, State]:
    """The load Job, running: its name, and the state in which watching begins."""
    (job,) = manifests.read(manifests.LOAD)
    if options.profile:
        job = manifests.with_profile(job, options.profile)
    job = manifests.with_registry(job, options.registry)
    name: str = job["metadata"]["name"]
    namespace = options.namespace
    progress.wait(
        "an earlier load, if any, is removed",
        lambda: cluster.delete(job, namespace),
        lambda: "it is still there" if cluster.job_pod(name, namespace) else None,
        timeout_seconds=120,
    )
    progress.wait(
        "the load",
        lambda: cluster.apply(job, namespace),
        lambda: load_hindrance(cluster.job_pod(name, namespace)),
        timeout_seconds=120,
    )
    seconds = parse_profile(manifests.profile_of(job)).seconds
    return name, State(namespace, profile_seconds=seconds)


def stop_load(cluster: Cluster, options: Options) -> None:
    """End the load."""
    (job,) = manifests.read(manifests.LOAD)
    cluster.delete(job, options.namespace)


def remove(cluster: Cluster, progress: Progress, kubeconfig: Path, options: Options) -> None:
    """Undo what the demo did: the agent, Trireme, and the demo's own Prometheus.

    The CustomResourceDefinition stays, since deleting it deletes every AgentDeployment.
    """
    agent = manifests.read(manifests.AGENT)
    prometheus = manifests.read(manifests.PROMETHEUS)
    # The agent goes while its operator and its namespace are still there to clean up after it.
    _remove_namespace(cluster, progress, manifests.namespace(options.namespace), agent)
    progress.step("Trireme goes", lambda: helm.uninstall(_RELEASE, _RELEASE_NAMESPACE, kubeconfig))
    _remove_namespace(cluster, progress, one(prometheus, "Namespace"), prometheus)


def _remove_namespace(
    cluster: Cluster, progress: Progress, namespace: Manifest, objects: Sequence[Manifest]
) -> None:
    """The objects and then the namespace, where the demo made it."""
    name = namespace["metadata"]["name"]
    found = cluster.get(namespace, "")
    if found is None or not is_ours(found):
        return

    def delete() -> None:
        for manifest in (*reversed(objects), namespace):
            cluster.delete(manifest, name)

    progress.wait(
        f"the namespace {name} goes",
        delete,
        lambda: "it is still there" if cluster.get(namespace, "") else None,
        timeout_seconds=180,
    )
