"""A real Kubernetes cluster on this machine, for tests and demonstrations.

    ours = cluster.up(images=["operator", "triton"])
    ours.run(["kubectl", "get", "nodes"])

See README.md beside this file for what it does, what it takes and what it cannot show.
"""

import os
import shlex
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cluster import binaries, cache, engine, images, node_image, packages, process, progress
from cluster.engine import Engine
from cluster.errors import ClusterError
from cluster.kind import Kind

__all__ = ["Cluster", "ClusterError", "down", "find", "up"]

DEFAULT_NAME = "trireme"


@dataclass(frozen=True)
class Cluster:
    """A cluster that runs, and the ways to reach it."""

    name: str
    kubeconfig: Path
    engine: Engine

    @property
    def env(self) -> Mapping[str, str]:
        """What a program needs in its environment to find the cluster and its engine."""
        path = self.engine.env.get("PATH", os.environ["PATH"])
        tools = self.kubeconfig.with_name("bin")
        return {**self.engine.env, "KUBECONFIG": str(self.kubeconfig), "PATH": f"{tools}:{path}"}

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command that runs this one where the cluster's addresses are reached."""
        return self.engine.command(argv)

    def run(self, argv: Sequence[str], timeout_seconds: float | None = None) -> str:
        """Run a program there, and return what it said."""
        command = self.command(argv)
        return process.run(command, env=self.env, timeout_seconds=timeout_seconds)

    def load(self, wanted: Sequence[str]) -> None:
        """Build images that are known by name, and bring all of them into the nodes."""
        tags = images.build(self.engine, wanted)
        Kind(self.engine, self.name).load(tags)


def up(name: str = DEFAULT_NAME, nodes: int = 1, images: Sequence[str] | None = None) -> Cluster:
    """Return a ready cluster with these images in its nodes; reuse what there is of it.

    Images are named as folders of `images/`, or in full; none named stands for all that a
    deployment of Trireme needs.
    """
    with cache.only_one():
        return _up(name, nodes, images)


def find(name: str = DEFAULT_NAME) -> Cluster:
    """Return the cluster of this name, which runs already."""
    found = engine.find()
    if found is None or not (kind := Kind(found, name)).nodes() or not kind.kubeconfig.exists():
        raise ClusterError(f"no cluster {name!r} runs; start it with `python -m cluster up`")
    return Cluster(name, kind.kubeconfig, found)


def down(name: str = DEFAULT_NAME) -> None:
    """Remove the cluster, and with the last one the engine that was started for it."""
    with cache.only_one():
        found = engine.find()
        if found is not None:
            Kind(found, name).delete()
        if found is None or (found.is_own and not _clusters(found)):
            with progress.step("stopping the engine"):
                engine.stop()


def _up(name: str, nodes: int, wanted: Sequence[str] | None) -> Cluster:
    docker = engine.find_or_start()
    image, tags = _build(docker, images.DEFAULT if wanted is None else wanted)
    kind = Kind(docker, name)
    if not kind.is_as_asked(image, nodes):
        kind.delete()
        kind.create(image, nodes)
    made = Cluster(name, kind.kubeconfig, docker)
    _write_tools(made, kind)
    kind.load(tags)  # meanwhile the cluster's own pods start
    kind.wait_until_ready(image)
    return made


def _build(docker: Engine, wanted: Sequence[str]) -> tuple[node_image.NodeImage, list[str]]:
    """Find or build the node's image and these, whose full names are returned."""
    if (found := node_image.find(docker)) is not None:
        return found, images.build(docker, wanted)
    packages.require_apt()
    binaries.require_go()
    with ThreadPoolExecutor(max_workers=1) as beside:
        programs = beside.submit(node_image.build_programs)  # keeps the processors busy
        node_image.build_base(docker)  # these mostly wait for the network
        tags = images.build(docker, wanted)
        programs.result()
    return node_image.build(docker), tags


def _clusters(docker: Engine) -> list[str]:
    label = "io.x-k8s.kind.cluster"
    listing = ("ps", "--all", "--filter", f"label={label}", "--format", f'{{{{.Label "{label}"}}}}')
    return sorted(set(docker.docker(*listing).split()))


def _write_tools(made: Cluster, kind: Kind) -> None:
    """Write a kubectl that reaches the cluster from anywhere on this machine."""
    tools = kind.home / "bin"
    tools.mkdir(exist_ok=True)
    client = shlex.join(made.command([str(kind.client)]))
    script = tools / "kubectl"
    script.write_text(
        f'#!/bin/sh\nKUBECONFIG={shlex.quote(str(made.kubeconfig))} exec {client} "$@"\n'
    )
    script.chmod(0o755)
