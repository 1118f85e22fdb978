"""The image of a node: kind's own where it can be pulled, else one built here.

What is built here stands on a Debian root file system and programs from Go modules, and
carries the images of the control plane, so that a cluster starts with no registry at all.
"""

import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from cluster import archive, binaries, cache, packages, process, progress
from cluster.engine import Engine

_FILES = Path(__file__).with_name("node")
_OFFICIAL = (  # the one that this version of kind was released with
    "kindest/node:v1.34.0@sha256:7416a61b42b1662ca6ca89f02028ac133a309a2a30ba309614e8ec94d976dc5a"
)
_PACKAGES = (
    *("systemd", "dbus", "containerd", "runc", "containernetworking-plugins", "conntrack"),
    *("iptables", "iproute2", "ethtool", "util-linux", "mount", "kmod", "procps"),
    *("ca-certificates", "jq", "libseccomp2", "socat", "curl", "ipset", "ebtables"),
)
_PROGRAMS = (binaries.PAUSE, binaries.ETCD, binaries.COREDNS, binaries.KUBERNETES)
_NAME = "trireme/node"
# The images are ours, and say so.
REPOSITORY = "localhost/trireme"
PAUSE = f"{REPOSITORY}/pause:dev"


@dataclass(frozen=True)
class NodeImage:
    """An image to make nodes of."""

    name: str
    is_built_here: bool


def find(engine: Engine) -> NodeImage | None:
    """Return the image built here, if that was done, or the official one if it can be had."""
    if engine.says_yes("image", "inspect", built := _name()):
        return NodeImage(built, is_built_here=True)
    return NodeImage(_OFFICIAL, is_built_here=False) if engine.pulls(_OFFICIAL) else None


def build_programs() -> None:
    """Build what makes a node and what it runs: most of the time that an image takes."""
    for module in (binaries.KIND, *_PROGRAMS):
        module.build()


def build_base(engine: Engine) -> str:
    """Build the image of the Debian system that a node stands on; return its name."""
    name = f"trireme/node-base:{cache.key(packages.RELEASE, *_PACKAGES)}"
    root = packages.root_file_system("node", _PACKAGES, 100)
    if not engine.says_yes("image", "inspect", name):
        with root.open("rb") as content:
            engine.docker("import", "-", name, stdin=content)
    return name


def build(engine: Engine) -> NodeImage:
    """Build the image of a node."""
    base, kubernetes, name = build_base(engine), binaries.KUBERNETES.build(), _name()
    with progress.step("node image", 40), cache.scratch() as folder:
        context = folder / "context"
        _lay_out_context(kubernetes, context)
        bare = f"{name}-bare"
        build = ("build", "--build-arg", f"BASE={base}", "--tag", bare, str(context))
        engine.docker(*build, log=cache.root() / "logs" / "node-image.log")
        control_plane = folder / "images.tar"
        _write_control_plane(engine, bare, kubernetes, control_plane)
        _preload(engine, bare, control_plane, name)
    _forget_others(engine, name)
    return NodeImage(name, is_built_here=True)


def _name() -> str:
    """Name the image for all that goes into it."""
    modules = (Path(__file__).with_name("go") / module.name for module in _PROGRAMS)
    key = cache.key(packages.RELEASE, *_PACKAGES, _FILES, *modules)
    return f"{_NAME}:{binaries.KUBERNETES_VERSION}-{key}"


def _forget_others(engine: Engine, name: str) -> None:
    """Remove the images that this one replaces, a gigabyte each; not one that is in use."""
    for other in engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}", _NAME).split():
        if other != name:
            engine.says_yes("image", "rm", other)


def _lay_out_context(kubernetes: Path, context: Path) -> None:
    shutil.copytree(_FILES, context)
    (context / "bin").mkdir()
    for tool in binaries.KUBERNETES_TOOLS:
        shutil.copy(kubernetes / tool, context / "bin")
    (context / "version").write_text(f"{binaries.KUBERNETES_VERSION}\n")
    settings = context / "containerd.toml"
    settings.write_text(settings.read_text().replace("@PAUSE@", PAUSE))


def _write_control_plane(engine: Engine, bare: str, kubernetes: Path, into: Path) -> None:
    """Write the images that kubeadm asks for, under the names it asks for them by."""
    proxy_files = into.with_name("kube-proxy-files.tar")
    argv = ["docker", "run", "--rm", "--network=none", "--entrypoint=kube-proxy-files", bare]
    process.run(argv, env=engine.env, output=proxy_files)
    archive.write(
        [
            *(
                archive.Image(
                    name=f"{REPOSITORY}/{server}:{binaries.KUBERNETES_VERSION}",
                    program=kubernetes / server,
                    path=f"/usr/local/bin/{server}",
                    files=proxy_files if server == "kube-proxy" else None,
                )
                for server in binaries.KUBERNETES_SERVERS
            ),
            archive.Image(
                f"{REPOSITORY}/etcd:{binaries.ETCD_VERSION}",
                binaries.ETCD.build() / "etcd",
                "/usr/local/bin/etcd",
            ),
            archive.Image(
                f"{REPOSITORY}/coredns:{binaries.COREDNS_VERSION}",
                binaries.COREDNS.build() / "coredns",
                "/coredns",
            ),
            archive.Image(PAUSE, binaries.PAUSE.build() / "pause", "/pause"),
        ],
        platform.machine(),
        into,
    )


def _preload(engine: Engine, bare: str, images: Path, name: str) -> None:
    container = "trireme-node-preload"
    engine.says_yes("rm", "--force", container)  # one that was cut short
    with images.open("rb") as content:
        engine.docker(
            *("run", "--interactive", "--network=none", "--name", container),
            *("--entrypoint=preload-images", bare),
            stdin=content,
        )
    entrypoint = 'ENTRYPOINT ["/usr/local/bin/entrypoint"]'
    engine.docker("commit", "--change", entrypoint, container, name)
    engine.docker("rm", container)
