"""Make, inspect and remove clusters with kind, and ask them whether they are ready."""

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cluster import binaries, cache, node_image, process, progress
from cluster.engine import Engine
from cluster.errors import ClusterError
from cluster.node_image import NodeImage

_LABEL = "io.x-k8s.kind.cluster"
# CoreDNS itself, by way of its Service.
_NAMES = "/api/v1/namespaces/kube-system/services/kube-dns:metrics/proxy/metrics"
_LOADED = "/kind/loaded-images"  # in a node, so that the record lives as long as the images


@dataclass(frozen=True)
class Kind:
    """kind for one cluster on one engine."""

    engine: Engine
    name: str

    @property
    def home(self) -> Path:
        """Where the cluster's kubeconfig and the like are kept."""
        return cache.root() / "clusters" / self.name

    @property
    def kubeconfig(self) -> Path:
        """The credentials of the cluster's administrator."""
        return self.home / "kubeconfig"

    @property
    def client(self) -> Path:
        """The cluster's own kubectl."""
        return self.home / "kubectl"

    def nodes(self) -> list[str]:
        """Return the names of the containers that are the cluster's nodes."""
        return self._containers("--all")

    def create(self, image: NodeImage, nodes: int) -> None:
        """Make a cluster and wait until its control plane is up."""
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "kind.json").write_text(json.dumps(configuration(image, nodes), indent=2))
        log = self.home / "create.log"
        with progress.step(f"cluster {self.name}: kind create", 40, log):
            create = ("create", "cluster", "--config", str(self.home / "kind.json"))
            try:
                self._run(*create, "--image", image.name, "--retain", log=log)
            except ClusterError as error:
                raise ClusterError(f"{error}\n{self.last_words()}") from error
        self._fetch_kubectl()
        (self.home / "nodes").write_text(f"{image.name} {nodes}\n")

    def is_as_asked(self, image: NodeImage, nodes: int) -> bool:
        """Tell whether the cluster is whole, of this image and size, and answers."""
        try:
            made_of = (self.home / "nodes").read_text()
        except FileNotFoundError:
            return False
        if made_of != f"{image.name} {nodes}\n" or len(self._containers()) != nodes:
            return False
        return self._answers("/readyz", within_seconds=60)  # it may have to boot yet

    def wait_until_ready(self, image: NodeImage, within_seconds: int = 480) -> None:
        """Wait for the nodes, and for what every workload needs: addresses and names."""
        limit = f"--timeout={within_seconds}s"
        system = ("--namespace=kube-system", "rollout", "status", limit)
        with progress.step(f"cluster {self.name}: nodes, kube-proxy and CoreDNS ready", 25):
            try:
                self.kubectl("wait", "node", "--all", "--for=condition=Ready", limit)
                if image.is_built_here:
                    self._route_between_nodes()
                self.kubectl(*system, "deployment/coredns")
                # The status may be from before a restart, so each is asked for itself, too.
                _insist(partial(self._ask, _NAMES), within_seconds)
                for node in self.nodes():
                    _insist(partial(self._ask_through_service, node), within_seconds)
            except ClusterError as error:
                raise ClusterError(f"{error}\n{self.last_words()}") from error

    def delete(self) -> None:
        """Remove the cluster's containers, whole or not, and what was kept of them."""
        if self.nodes():
            with progress.step(f"cluster {self.name}: kind delete", 5):
                self._run("delete", "cluster")
        shutil.rmtree(self.home, ignore_errors=True)

    def load(self, images: Sequence[str]) -> None:
        """Copy images into the nodes that do not have them yet, as they are now."""
        wanted = {image: self._identity(image) for image in images}
        for node in self.nodes():
            record = self._loaded(node)
            if stale := [image for image in wanted if record.get(image) != wanted[image]]:
                with progress.step(f"{node}: loading {', '.join(stale)}", 10 * len(stale)):
                    self._load_into(node, stale)
                    self._write_loaded(node, {**record, **wanted})

    def kubectl(self, *arguments: str) -> str:
        """Ask the cluster something, as its administrator."""
        argv = [str(self.client), f"--kubeconfig={self.kubeconfig}", *arguments]
        return self.engine.run(argv)

    def last_words(self) -> str:
        """Return what the components that are not well said last."""
        words = []
        for node in self.nodes():
            state = self.engine.docker("inspect", "--format", "{{.State.Status}}", node).strip()
            if state != "running":
                words.append(f"--- {node} is {state}:\n{self.engine.docker('logs', '-n20', node)}")
                continue
            for unit in ("containerd", "kubelet"):
                show = ("exec", node, "journalctl", "--no-pager", "--lines=8", f"--unit={unit}")
                words.append(f"--- {unit} on {node}:\n{self.engine.docker(*show)}")
        words.extend(self._pods_that_are_not_ready())
        return "\n".join(words)

    def _fetch_kubectl(self) -> None:
        """Take the client out of a node: it is of the cluster's own version."""
        node = f"{self.name}-control-plane"
        self.engine.docker("cp", f"{node}:/usr/bin/kubectl", str(self.client))

    def _pods_that_are_not_ready(self) -> list[str]:
        if not self._answers("/readyz"):
            return []
        words = []
        for pod in json.loads(self.kubectl("get", "pods", "--all-namespaces", "-o=json"))["items"]:
            conditions = pod["status"].get("conditions", [])
            if any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
                continue
            name, namespace = pod["metadata"]["name"], f"--namespace={pod['metadata']['namespace']}"
            about = ("get", "events", namespace, f"--field-selector=involvedObject.name={name}")
            words.append(f"--- events of {name}:\n{self.kubectl(*about)[-1500:]}")
            for container in pod["status"].get("containerStatuses", []):
                if container["state"].keys() & {"running", "terminated"}:
                    said = self.kubectl(
                        "logs", namespace, name, f"--container={container['name']}", "--tail=15"
                    )
                    words.append(f"--- {name}, {container['name']}:\n{said}")
        return words

    def _answers(self, path: str, within_seconds: float = 10) -> bool:
        if not self.client.exists() or not self.kubeconfig.exists():
            return False
        try:
            _insist(partial(self._ask, path), within_seconds)
        except ClusterError:
            return False
        return True

    def _ask(self, path: str) -> None:
        self.kubectl("get", f"--raw={path}", "--request-timeout=10s")

    def _ask_through_service(self, node: str) -> None:
        """Ask the API server by its Service, which takes the rules of kube-proxy there."""
        address = self.kubectl(
            "get", "service", "kubernetes", "--output=jsonpath={.spec.clusterIP}"
        )
        ask = ("curl", "--insecure", "--silent", "--show-error", "--fail", "--max-time", "5")
        self.engine.docker("exec", node, *ask, f"https://{address}/readyz")

    def _containers(self, *options: str) -> list[str]:
        label = f"label={_LABEL}={self.name}"
        listing = ("ps", *options, "--filter", label, "--format", "{{.Names}}")
        return sorted(self.engine.docker(*listing).split())

    def _route_between_nodes(self) -> None:
        """Tell each node where the others' pods are; this network has no one else to."""
        ranges: dict[str, tuple[str, str]] = {}
        for item in json.loads(self.kubectl("get", "nodes", "--output=json"))["items"]:
            addresses = item["status"]["addresses"]
            address = next(a["address"] for a in addresses if a["type"] == "InternalIP")
            ranges[item["metadata"]["name"]] = (item["spec"]["podCIDR"], address)
        for node in ranges:
            for other, (pods, address) in ranges.items():
                if other != node:
                    route = ("ip", "route", "replace", pods, "via", address)
                    self.engine.docker("exec", node, *route)

    def _identity(self, image: str) -> str:
        return self.engine.docker("image", "inspect", "--format", "{{.Id}}", image).strip()

    def _loaded(self, node: str) -> dict[str, str]:
        try:
            record = json.loads(self.engine.docker("exec", node, "cat", _LOADED))
        except ClusterError:
            return {}
        return {str(image): str(identity) for image, identity in record.items()}

    def _write_loaded(self, node: str, record: dict[str, str]) -> None:
        with tempfile.TemporaryFile() as content:
            content.write(json.dumps(record).encode())
            content.seek(0)
            self.engine.docker("exec", "-i", node, "cp", "/dev/stdin", _LOADED, stdin=content)

    def _load_into(self, node: str, images: Sequence[str]) -> None:
        """Do as `kind load` does, without a file between: it would be of gigabytes.

        All go in one stream, so that layers that they share are carried once.
        """
        ctr = ("ctr", "--namespace=k8s.io", "images", "import", "--all-platforms", "--digests", "-")
        process.pipe(
            ["docker", "save", *images],
            ["docker", "exec", "--interactive", node, *ctr],
            env=self.engine.env,
        )

    def _run(self, *arguments: str, log: Path | None = None) -> None:
        argv = [str(binaries.kind()), *arguments, "--name", self.name]
        self.engine.run(argv, env={"KUBECONFIG": str(self.kubeconfig)}, log=log)


def _insist(ask: Callable[[], None], within_seconds: float) -> None:
    """Ask until there is an answer."""
    deadline = time.monotonic() + within_seconds
    while True:
        try:
            return ask()
        except ClusterError:
            if time.monotonic() > deadline:
                raise
        time.sleep(1)


def configuration(image: NodeImage, nodes: int) -> dict[str, object]:
    """Return kind's configuration for a cluster of this many nodes (JSON is YAML, too)."""
    workers = [{"role": "worker"}] * (nodes - 1)
    patches = [json.dumps(patch) for patch in _patches()] if image.is_built_here else []
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "networking": {"podSubnet": "10.244.0.0/16"},  # as in node/entrypoint
        "nodes": [{"role": "control-plane"}, *workers],
        "kubeadmConfigPatches": patches,
    }


def _patches() -> list[dict[str, object]]:
    """Name the control plane's images as they are, and what the kubelet is told."""
    return [
        {
            "kind": "ClusterConfiguration",
            "imageRepository": node_image.REPOSITORY,
            "dns": {"imageTag": binaries.COREDNS_VERSION},
            "etcd": {"local": {"imageTag": binaries.ETCD_VERSION}},
        },
        {
            "kind": "KubeletConfiguration",
            "resolvConf": "/kind/resolv.conf",
            "syncFrequency": "15s",  # in place of 1m: a ConfigMap's change reaches pods this often
        },
    ]
