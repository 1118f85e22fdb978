"""Programs built from their published Go modules, pinned by the go.mod files in `go/`.

Most have no source here: a go.mod names them as its tools. What comes out is kept by a hash
of those files and the flags.
"""

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster import cache, process, progress
from cluster.errors import ClusterError

_MODULES = Path(__file__).with_name("go")
_NEEDED_GO = (1, 26)
KUBERNETES_VERSION = "v1.34.4"
ETCD_VERSION = "3.6.16"
COREDNS_VERSION = "1.14.3"
KIND_VERSION = "v0.30.0"


@dataclass(frozen=True)
class Module:
    """A folder of `go/` and the programs that come of it."""

    name: str
    programs: tuple[str, ...]  # what to build, as `go build` takes it
    usually_seconds: float  # on two cores, with nothing compiled before
    variables: tuple[str, ...] = ()  # set at link time, as `name=value`
    tags: tuple[str, ...] = ()  # build constraints

    def build(self) -> Path:
        """Return the directory with the built programs."""
        return cache.entry("bin", self._entry(), self._compile)

    def shared(self) -> Path:
        """Return the same to who does not hold the cache."""
        return cache.shared("bin", self._entry(), self._compile)

    def _entry(self) -> str:
        source = _MODULES / self.name
        key = cache.key(self.name, source, *self.programs, *self.variables, *self.tags)
        return f"{self.name}-{key}"

    def _compile(self, into: Path) -> None:
        require_go()
        log = cache.root() / "logs" / f"build-{self.name}.log"
        # A program is named after its package; one program alone after its folder here.
        output = f"{into}/" if len(self.programs) > 1 else str(into / self.name)
        variables = " ".join(f"-X {variable}" for variable in self.variables)
        with progress.step(f"building {self.name}", self.usually_seconds, log):
            process.run(
                [
                    *("go", "build", "-v", "-trimpath", "-ldflags", f"-s -w {variables}"),
                    *("-tags", ",".join(self.tags), "-o", output, *self.programs),
                ],
                cwd=_MODULES / self.name,
                env={"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false"},
                log=log,
            )


_COMPONENT_VERSION = "k8s.io/component-base/version"
KUBERNETES_SERVERS: Sequence[str] = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
)
KUBERNETES_TOOLS: Sequence[str] = ("kubeadm", "kubectl", "kubelet")

KUBERNETES = Module(
    "kubernetes",
    tuple(f"k8s.io/kubernetes/cmd/{name}" for name in (*KUBERNETES_SERVERS, *KUBERNETES_TOOLS)),
    400,
    (  # without these the programs say that they are v0.0.0
        f"{_COMPONENT_VERSION}.gitVersion={KUBERNETES_VERSION}",
        f"{_COMPONENT_VERSION}.gitMajor=1",
        f"{_COMPONENT_VERSION}.gitMinor=34",
        f"k8s.io/client-go/pkg/version.gitVersion={KUBERNETES_VERSION}",
    ),
)
ETCD = Module("etcd", ("go.etcd.io/etcd/server/v3",), 50)
COREDNS = Module("coredns", (".",), 120)
PAUSE = Module("pause", (".",), 5)
KIND = Module("kind", ("sigs.k8s.io/kind",), 15)
PROMETHEUS = Module(
    "prometheus",
    tuple(f"github.com/prometheus/prometheus/cmd/{name}" for name in ("prometheus", "promtool")),
    250,
    tags=("remove_all_sd", "enable_kubernetes_sd"),  # of all discoveries the one in use
)
METRICS_SERVER = Module("metrics-server", ("sigs.k8s.io/metrics-server/cmd/metrics-server",), 220)
KEDA = Module(  # for a benchmark alone
    "keda",
    tuple(f"github.com/kedacore/keda/v2/cmd/{name}" for name in ("operator", "adapter")),
    600,
)


def kind() -> Path:
    """Return kind: the machine's, if it is of this version, or one built here."""
    if found := shutil.which("kind"):
        said = process.run([found, "version"])
        if f" {KIND_VERSION} " in said:
            return Path(found)
    return KIND.build() / "kind"


def source(module: Module, of: str) -> Path:
    """Return the folder of one of a module's dependencies, as it was published."""
    require_go()
    return Path(
        process.run(["go", "list", "-m", "-f", "{{.Dir}}", of], cwd=_MODULES / module.name).strip()
    )


def require_go() -> None:
    """Say early and plainly that this machine has no compiler for the programs."""
    if shutil.which("go") is None:
        raise ClusterError("go not found: the cluster's programs are built from Go modules")
    said = process.run(["go", "version"], env={**os.environ, "GOTOOLCHAIN": "local"})
    found = re.search(r"go(\d+)\.(\d+)", said)
    if found is None or (int(found[1]), int(found[2])) < _NEEDED_GO:
        needed = ".".join(map(str, _NEEDED_GO))
        raise ClusterError(f"the cluster's programs need Go {needed} or later; found: {said}")
