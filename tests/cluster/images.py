"""The images that the tests and the demonstration run, from the Dockerfiles in `images/`.

Each is built from a context that holds all it needs, laid out here: a RUN in our own engine
has no network. What a folder of `images/` needs is said by its files: `requirements.txt`
names wheels, `packages.txt` Debian packages.
"""

import os
import platform
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster import binaries, cache, packages, process, progress
from cluster.engine import Engine
from cluster.errors import ClusterError

_TREE = Path(__file__).parents[2]
_IMAGES = _TREE / "images"
_LOAD = _TREE / "tests" / "load"
_STORE = _TREE / "tests" / "store"
_BASE = "trireme/base:bookworm"
_MADE_OF = "trireme.made-of"  # a label: the hash of what went into the image
_STAGE = "trireme.stage=true"  # a label of stages that are too large to be left behind


@dataclass(frozen=True)
class Image:
    """A folder of `images/` and what its build context needs besides that folder's files."""

    name: str
    tag: str
    usually_seconds: float
    base: str = _BASE
    sources: tuple[Path, ...] = ()  # what else it is made of, for its hash
    add: Callable[[Path], None] = lambda context: None

    @property
    def folder(self) -> Path:
        """Where its Dockerfile is."""
        return _IMAGES / self.name


def build(engine: Engine, wanted: Sequence[str]) -> list[str]:
    """Build those of these images that are ours and not built yet; return all their tags."""
    return [
        _build(engine, KNOWN[name]) if name in KNOWN else name
        for name in wanted
        if name != "loadgen" or _LOAD.exists()
    ]


def lay_out(image: Image, into: Path, engine: Engine | None) -> None:
    """Lay out the build context; packages for the engine only if it cannot fetch them."""
    shutil.copytree(image.folder, into, dirs_exist_ok=True)
    image.add(into)
    if (requirements := into / "requirements.txt").exists():
        shutil.copytree(wheels(requirements), into / "wheels", copy_function=_linked)
    if engine is not None and engine.is_own and (image.folder / "packages.txt").exists():
        shutil.copytree(_debs(engine, image), into / "debs")


def wheels(requirements: Path, python: str = "3.11") -> Path:
    """Return a directory with the wheels of a locked list, as a Python on Linux takes them; that
    of the images, Debian 12's, unless another version is named.
    """
    machine = platform.machine()
    systems = [f"manylinux_2_{minor}_{machine}" for minor in range(36, 4, -1)]
    systems += [f"manylinux{old}_{machine}" for old in ("2014", "2010", "1")]

    def make(into: Path) -> None:
        process.run(
            [
                *(sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes"),
                *("--only-binary=:all:", f"--python-version={python}", "--implementation=cp"),
                *(f"--platform={system}" for system in systems),
                *("--dest", str(into), "--requirement", str(requirements)),
            ],
            log=cache.root() / "logs" / "wheels.log",
        )

    return cache.entry("wheels", cache.key(requirements, machine, python), make)


def _build(engine: Engine, image: Image) -> str:
    base = image.base
    if base == _BASE:
        base_identity = _base(engine)
    else:
        parent = next(known for known in KNOWN.values() if known.tag == base)
        base_identity = _identity(engine, _build(engine, parent))
    made_of = cache.key(base_identity, image.folder, *image.sources)
    if _label(engine, image.tag) == made_of:
        return image.tag
    log = cache.root() / "logs" / f"image-{image.name}.log"
    with progress.step(f"image {image.tag}", image.usually_seconds, log), cache.scratch() as folder:
        context = folder / "context"
        lay_out(image, context, engine)
        engine.docker(
            *("build", "--build-arg", f"BASE={base}", "--label", f"{_MADE_OF}={made_of}"),
            *("--tag", image.tag, str(context)),
            log=log,
        )
    _remove_what_is_left(engine)
    return image.tag


def _remove_what_is_left(engine: Engine) -> None:
    """Remove images that have no name any more: what was replaced, and large stages."""
    for label in (_MADE_OF, _STAGE):
        engine.docker("image", "prune", "--force", "--filter", f"label={label}")


def _base(engine: Engine) -> str:
    """Make the image that the others stand on, if it is not there; return its identity."""
    folder = _IMAGES / "base"
    by_contents = f"trireme/base:{cache.key(folder)}"
    if not engine.says_yes("image", "inspect", by_contents):
        if engine.pulls("debian:bookworm-slim"):
            engine.docker("build", "--tag", by_contents, str(folder))
        else:
            packages.require_apt()
            names = (folder / "packages.txt").read_text().split()
            root = packages.root_file_system("images' base", names, 90)
            with root.open("rb") as content:
                engine.docker("import", "-", by_contents, stdin=content)
    engine.docker("tag", by_contents, _BASE)
    return _identity(engine, _BASE)


def _linked(source: str, target: str) -> None:
    """Have a file in two places: torch's wheels are gigabytes, and the context goes again."""
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def _debs(engine: Engine, image: Image) -> Path:
    names = (image.folder / "packages.txt").read_text().split()

    def make(into: Path) -> None:
        status = ("run", "--rm", "--network=none", _BASE, "cat", "/var/lib/dpkg/status")
        packages.closure(names, engine.docker(*status), into)

    return cache.entry("debs", cache.key(_identity(engine, _BASE), *names), make)


def _identity(engine: Engine, tag: str) -> str:
    return engine.docker("image", "inspect", "--format", "{{.Id}}", tag).strip()


def _label(engine: Engine, tag: str) -> str | None:
    template = f'{{{{index .Config.Labels "{_MADE_OF}"}}}}'
    try:
        return engine.docker("image", "inspect", "--format", template, tag).strip()
    except ClusterError:
        return None


def _add_operator(context: Path) -> None:
    shutil.copy(_TREE / "requirements.lock", context / "requirements.txt")
    _add_own_wheel(context)


def _add_own_wheel(context: Path) -> None:
    wheel = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir"]
    process.run([*wheel, str(context / "dist"), str(_TREE)])


def _add_package(folder: Path) -> Callable[[Path], None]:
    def add(context: Path) -> None:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(folder, context / folder.name, ignore=ignored)

    return add


def _add_programs(module: binaries.Module) -> Callable[[Path], None]:
    def add(context: Path) -> None:
        shutil.copytree(module.build(), context / "bin")

    return add


_GO = Path(__file__).with_name("go")
_OPERATOR_SOURCES = tuple(_TREE / name for name in ("operator", "pyproject.toml", "README.md"))

KNOWN = {
    image.name: image
    for image in (
        Image(
            "operator",
            "trireme/operator:dev",
            40,
            sources=(*_OPERATOR_SOURCES, _TREE / "requirements.lock"),
            add=_add_operator,
        ),
        Image("torch", "trireme/torch:2", 600),
        Image(
            "optimizer",
            "trireme/optimizer:dev",
            30,
            base="trireme/torch:2",
            sources=_OPERATOR_SOURCES,
            add=_add_own_wheel,
        ),
        Image("triton", "trireme/triton:24.10-cpu", 120),
        Image("envoy", "trireme/envoy:1.40", 20),
        Image(
            "prometheus",
            "trireme/prometheus:dev",
            260,
            sources=(_GO / "prometheus",),
            add=_add_programs(binaries.PROMETHEUS),
        ),
        Image(
            "loadgen",
            "trireme/loadgen:dev",
            5,
            base="trireme/operator:dev",
            sources=(_LOAD,),
            add=_add_package(_LOAD),
        ),
        Image("store", "trireme/store:dev", 30, sources=(_STORE,), add=_add_package(_STORE)),
        Image(
            "metrics-server",
            "trireme/metrics-server:0.9.0",
            240,
            sources=(_GO / "metrics-server",),
            add=_add_programs(binaries.METRICS_SERVER),
        ),
        Image(
            "keda",
            "trireme/keda:2.21",
            600,
            sources=(_GO / "keda",),
            add=_add_programs(binaries.KEDA),
        ),
    )
}
# All that a deployment of Trireme needs; the rest is built when a test asks for it.
DEFAULT = ("operator", "triton", "envoy", "prometheus", "loadgen")
