"""The Docker engine: the one that answers, or one of our own apart from the host.

Our own runs from unpacked Debian packages, in mount, process and network namespaces of its
own (see engine.sh): its firewall rules, mounts and containers are not the host's, no
traffic leaves it, and its end is the end of everything in it. It keeps its images in the
cache from one start to the next.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from cluster import cache, packages, process, progress, runtime
from cluster.errors import ClusterError

_PACKAGES = (
    *("docker.io", "containerd", "runc", "tini", "libdevmapper1.02.1", "libseccomp2"),
    *("iptables", "libip4tc2", "libip6tc2", "libxtables12", "libmnl0", "libnftnl11"),
    *("libnetfilter-conntrack3", "libnfnetlink0"),
)
_TOOLS = ("unshare", "nsenter", "setpriv", "mount", "ip", "tar")


@dataclass(frozen=True)
class Engine:
    """A Docker engine that answers, and how its network is entered."""

    enter: tuple[str, ...] = ()  # empty: the engine shares our network
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_own(self) -> bool:
        """Whether the launcher started it."""
        return bool(self.enter)

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command that runs this one where the cluster's addresses are reached."""
        return [*self.enter, *argv]

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> str:
        """Run a program in the engine's network, with this engine as its Docker."""
        return process.run(self.command(argv), env={**self.env, **(env or {})}, log=log)

    def docker(
        self, *arguments: str, stdin: IO[bytes] | None = None, log: Path | None = None
    ) -> str:
        """Run the docker client and return what it said."""
        return process.run(["docker", *arguments], env=self.env, stdin=stdin, log=log)

    def says_yes(self, *arguments: str) -> bool:
        """Run the docker client for its yes or no."""
        return process.succeeds(["docker", *arguments], env=self.env)

    def pulls(self, image: str) -> bool:
        """Tell whether the image is at hand or can be had from a registry."""
        if self.says_yes("image", "inspect", image):
            return True
        if self.is_own:
            return False  # no traffic leaves its network
        with progress.step(f"asking the registry for {image}", 60):
            arguments = ["docker", "pull", "--quiet", image]
            return process.succeeds(arguments, env=self.env, timeout_seconds=600)


def find() -> Engine | None:
    """Return the engine that runs: our own, or else the machine's."""
    if (pid := _own_pid()) is not None and _answers(own := _own_engine(pid)):
        return own
    host = Engine()
    return host if shutil.which("docker") and _answers(host) else None


def find_or_start() -> Engine:
    """Return the engine that runs, or start one."""
    return find() or _start()


def stop() -> None:
    """End our own engine, if it runs, and remove what the kernel keeps of it."""
    if (pid := _own_pid()) is not None:
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            os.kill(int(child), signal.SIGTERM)  # lets it put its files in order
        if not _ended(pid, within_seconds=30):
            os.kill(pid, signal.SIGKILL)
            _ended(pid, within_seconds=10)
    for name in ("pid", "docker.sock"):
        (_home() / name).unlink(missing_ok=True)
    _remove_control_groups()


def _start() -> Engine:
    _require_what_it_takes()
    stop()  # what an engine that was killed left behind
    home = _home()
    home.mkdir(parents=True, exist_ok=True)
    tree = packages.unpacked(_PACKAGES)
    _lay_out_programs(tree)
    (home / "daemon.json").write_text(json.dumps(_daemon_settings(tree), indent=2))
    with progress.step("Docker engine of our own"), (home / "log").open("wb") as log:
        subprocess.Popen(
            [
                *("sh", "-c", 'echo $$ >"$0" && exec "$@"', str(home / "pid")),
                *("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"),
                *("--mount-proc", "sh", str(Path(__file__).with_name("engine.sh"))),
                *("--config-file", str(home / "daemon.json")),
            ],
            env={
                **os.environ,
                "PATH": _path(),
                "LD_LIBRARY_PATH": str(_libraries(tree)),
                "XTABLES_LIBDIR": str(_libraries(tree) / "xtables"),
                "DOCKER_TMPDIR": str(home / "tmp"),
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )
        return _await_answer()


def _await_answer(within_seconds: float = 180) -> Engine:
    deadline = time.monotonic() + within_seconds
    while time.monotonic() < deadline:
        if (pid := _own_pid()) is not None and _answers(engine := _own_engine(pid)):
            return engine
        time.sleep(0.2)
    said = progress.last_lines(_home() / "log")
    raise ClusterError(f"the Docker engine did not come up; it said last:\n{said}")


def _require_what_it_takes() -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        raise ClusterError(
            "no Docker engine answers, and only root on Linux can start one of its own: "
            "start Docker, or run this as root"
        )
    if missing := [tool for tool in _TOOLS if shutil.which(tool, path=_path()) is None]:
        raise ClusterError(
            f"no Docker engine answers, and to start one these are missing: {', '.join(missing)}"
        )
    packages.require_apt()
    if len(str(_home() / "docker.sock")) > 100:
        raise ClusterError(f"{_home()} is too long a path for a socket; set TRIREME_CACHE")


def _daemon_settings(tree: Path) -> dict[str, object]:
    home = _home()
    settings: dict[str, object] = {
        "hosts": [f"unix://{home}/docker.sock"],
        "data-root": str(home / "data"),
        "exec-root": "/run/docker",
        "pidfile": "/run/docker.pid",
        "deprecated-key-path": str(home / "key.json"),
        "cgroup-parent": f"/{_control_group()}",
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
        "oom-score-adjust": 0,  # a lower one takes a capability that a container may lack
        "userland-proxy-path": str(tree / "usr/sbin/docker-proxy"),
        "init-path": str(tree / "usr/bin/docker-init"),
    }
    if runtime.is_needed(Path("/proc/self/status").read_text()):
        # A copy, since the engine outlives this process and perhaps this checkout.
        mend = shutil.copy(runtime.__file__, home)
        arguments = ["-I", mend, str(tree / "usr/sbin/runc")]
        python = str(Path(sys.executable).resolve())
        settings["runtimes"] = {"mended": {"path": python, "runtimeArgs": arguments}}
        settings["default-runtime"] = "mended"
    return settings


def _lay_out_programs(tree: Path) -> None:
    """Give the firewall's programs the names that Debian's installation would have made."""
    programs = _home() / "bin"
    programs.mkdir(exist_ok=True)
    for family in ("iptables", "ip6tables"):
        for program in (family, f"{family}-save", f"{family}-restore"):
            link = programs / program
            link.unlink(missing_ok=True)
            link.symlink_to(tree / "usr/sbin/xtables-nft-multi")
    for folder in (tree / "usr/bin", tree / "usr/sbin"):
        for program_file in folder.iterdir():
            link = programs / program_file.name
            link.unlink(missing_ok=True)
            link.symlink_to(program_file)


def _libraries(tree: Path) -> Path:
    return next((tree / "usr/lib").glob("*-linux-gnu"))


def _path() -> str:
    return f"{_home() / 'bin'}:{os.environ['PATH']}:/usr/sbin:/sbin"


def _own_engine(pid: int) -> Engine:
    return Engine(
        enter=("nsenter", f"--net=/proc/{pid}/ns/net", "--"),
        env={"DOCKER_HOST": f"unix://{_home()}/docker.sock", "PATH": _path()},
    )


def _own_pid() -> int | None:
    """Return our engine's recorded process, if it lives and is still that process."""
    try:
        pid = int((_home() / "pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    return pid if os.fsencode(_home() / "daemon.json") in command else None


def _answers(engine: Engine) -> bool:
    question = ["docker", "version", "--format", "{{.Server.Version}}"]
    return process.succeeds(question, env=engine.env, timeout_seconds=20)


def _ended(pid: int, within_seconds: float) -> bool:
    deadline = time.monotonic() + within_seconds
    while time.monotonic() < deadline:
        if _own_pid() != pid:
            return True
        time.sleep(0.1)
    return False


def _home() -> Path:
    return cache.root() / "engine"


def _control_group() -> str:
    return f"trireme-{cache.key(str(cache.root()))}"


def _remove_control_groups(within_seconds: float = 10) -> None:
    """Remove the groups that the engine made; the kernel empties them as processes end."""
    hierarchies = (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").glob("*/"))
    deadline = time.monotonic() + within_seconds
    for group in (hierarchy / _control_group() for hierarchy in hierarchies):
        while group.exists() and time.monotonic() < deadline:
            for folder, _, _ in os.walk(group, topdown=False):
                with contextlib.suppress(OSError):  # not empty yet
                    Path(folder).rmdir()
            time.sleep(0.1)
