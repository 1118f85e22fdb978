"""Debian packages and root file systems, fetched without installing anything on the host.

apt keeps its lists and archives in the cache, and what is unpacked there is run from
there: no package of the host's is added, changed or configured.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from cluster import cache, process, progress
from cluster.errors import ClusterError

RELEASE = "bookworm"


def unpacked(names: Sequence[str]) -> Path:
    """Return a directory with the files of these packages (and of these alone)."""

    def make(into: Path) -> None:
        with progress.step(f"Debian packages: {', '.join(names)}", 15):
            archives = into / "archives"
            archives.mkdir()
            _refresh_lists()
            process.run([*_apt_get(), "download", *names], cwd=archives)
            for archive in archives.iterdir():
                process.run(["dpkg-deb", "--extract", str(archive), str(into)])
            shutil.rmtree(archives)

    return cache.entry("packages", cache.key(RELEASE, *names), make)


def closure(names: Sequence[str], status: str, into: Path) -> None:
    """Download these packages and all they need beyond what dpkg's `status` has already."""
    _refresh_lists()
    status_file = into / "status"
    status_file.write_text(status)
    (into / "partial").mkdir()
    process.run(
        [
            *_apt_get(),
            *("-o", f"Dir::State::status={status_file}", "-o", f"Dir::Cache::archives={into}"),
            *("--yes", "--no-install-recommends", "--download-only", "install", *names),
        ],
        log=cache.root() / "logs" / "packages.log",
    )
    for other in (path for path in into.iterdir() if path.suffix != ".deb"):
        shutil.rmtree(other) if other.is_dir() else other.unlink()


def root_file_system(what: str, names: Sequence[str], usually_seconds: float) -> Path:
    """Return a tar of a minimal system with these packages."""

    def make(into: Path) -> None:
        log = cache.root() / "logs" / f"debootstrap-{what}.log"
        with progress.step(f"root file system of the {what}", usually_seconds, log):
            _debootstrap(names, into / "root", log)
            process.run(
                [
                    *("tar", "--create", "--file", str(into / "rootfs.tar"), "--numeric-owner"),
                    *("--exclude=./proc/*", "--exclude=./sys/*", "--exclude=./dev/*"),
                    *("--exclude=./var/cache/apt/*", "--exclude=./var/lib/apt/lists/*"),
                    *("--exclude=./usr/share/man/*", "--exclude=./usr/share/locale/*"),
                    *("--directory", str(into / "root"), "."),
                ]
            )
            shutil.rmtree(into / "root")

    return cache.entry("roots", cache.key(RELEASE, *names), make) / "rootfs.tar"


def _debootstrap(names: Sequence[str], root: Path, log: Path) -> None:
    tools = unpacked(["debootstrap", "debian-archive-keyring"])
    archives = cache.root() / "apt" / "debootstrap"
    archives.mkdir(parents=True, exist_ok=True)
    root.mkdir(mode=0o755)
    process.run(
        [
            # What it mounts and starts is seen by nobody else and ends with it.
            *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
            str(tools / "usr/sbin/debootstrap"),
            *("--variant=minbase", f"--include={','.join(names)}", f"--cache-dir={archives}"),
            f"--keyring={tools}/usr/share/keyrings/debian-archive-keyring.gpg",
            *(RELEASE, str(root)),
        ],
        env={
            "DEBOOTSTRAP_DIR": str(tools / "usr/share/debootstrap"),
            "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
        },
        log=log,
    )


def _apt_get() -> tuple[str, ...]:
    state = cache.root() / "apt"
    return (
        "apt-get",
        *("-o", f"Dir::State::lists={state}/lists", "-o", f"Dir::Cache={state}/cache"),
        *("-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=3", "--quiet"),
    )


def _refresh_lists() -> None:
    """Fetch the lists of packages; a stale list names archives that are gone."""
    for folder in ("lists/partial", "cache/archives/partial"):
        (cache.root() / "apt" / folder).mkdir(parents=True, exist_ok=True)
    process.run([*_apt_get(), "update"], timeout_seconds=300)


def require_apt() -> None:
    """Say early and plainly that this machine cannot do without Debian's tools."""
    if missing := [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]:
        raise ClusterError(
            f"{' and '.join(missing)} not found: without a Docker engine that reaches an image "
            "registry the cluster is built from Debian's packages, on Debian or a kin of it"
        )
