"""A real Triton 24.10 on loopback, without a cluster or a container: the wheel that the image of
the tests takes its server from, unpacked once into the cache and run from there, on CPU.

Models in Python run in the interpreter that runs the tests, with a numpy and an onnxruntime of
their own. This release's backend runs it isolated, so that no PYTHON variable has a meaning for
them.
"""

import functools
import os
import subprocess
import sys
import sysconfig
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster import cache, images
from ports import free_port

_START_SECONDS = 120  # the machine may be busy; alone it takes less than one
_STOP_SECONDS = 60
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # where Python models get their tensors
_PACKAGES = Path(__file__).with_name("triton_requirements.txt")
_PYTHON = sysconfig.get_python_version()


@dataclass(frozen=True, slots=True)
class TritonServer:
    """A server that answers: its addresses (host:port), its log, and its process."""

    address: str
    grpc_address: str
    metrics_address: str
    log: Path
    process: subprocess.Popen[bytes]


@contextmanager
def triton(
    repository: Path,
    folder: Path,
    *flags: str,
    host: str = "127.0.0.1",
    http_port: int = 0,
    metrics_port: int = 0,
    completes: bool = False,
) -> Iterator[TritonServer]:
    """Serve a model repository, as the pods do: explicit mode, every model loaded, a failed one
    kept for its reason to be read. `folder` holds the log. `host` is an address of loopback: 127.
    and whatever else. A port that is not given is a free one.

    It is up once it answers, whatever became of the models; it is stopped with the context. The
    repository must be the test's own: see `_without_bytecode`.
    """
    home = _home()
    _without_bytecode(repository)
    ports = [http_port or free_port(), free_port(), metrics_port or free_port()]
    http, grpc, metrics = (f"{host}:{port}" for port in ports)
    log = folder / "triton.log"
    region = f"trireme_tests_{ports[1]}_"
    environment = {
        "PATH": f"{sys.base_prefix}/bin:{os.environ['PATH']}",
        # Where an interpreter that is no part of the system has its own library.
        "LD_LIBRARY_PATH": f"{home}/nvidia_pytriton.libs:{sysconfig.get_config_var('LIBDIR')}",
    }
    command = [
        str(home / "pytriton/tritonserver/bin/tritonserver"),
        f"--model-repository={repository}",
        f"--backend-directory={home}/pytriton/tritonserver/backends",
        f"--cache-directory={home}/pytriton/tritonserver/caches",
        "--model-control-mode=explicit",
        "--load-model=*",
        "--exit-on-error=false",
        *([] if completes else ["--disable-auto-complete-config"]),
        "--exit-timeout-secs=0",  # nothing of a test is in flight, and unloading takes seconds
        f"--backend-config=python,shm-region-prefix-name={region}",
        *(f"--http-address={host}", f"--http-port={ports[0]}"),
        *(f"--grpc-address={host}", f"--grpc-port={ports[1]}"),
        *(f"--metrics-address={host}", f"--metrics-port={ports[2]}"),
        *flags,
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        _wait_until_live(process, http, metrics, log)
        yield TritonServer(http, grpc, metrics, log, process)
    finally:
        process.terminate()
        try:
            process.wait(timeout=_STOP_SECONDS)
        finally:
            process.kill()
            process.wait()
            for left in _SHARED_MEMORY.glob(f"{region}*"):  # ended at once, it leaves some
                left.unlink(missing_ok=True)


def python_backend() -> Path:
    """The folder of the Python backend: its library, its stub, its packages."""
    return _home() / "pytriton/tritonserver/backends/python"


@functools.cache
def _home() -> Path:
    """The wheel's own tree, and in the backend's folder, where models import from, its stub for
    this interpreter and what models import. Kept by what it is made of: the hashes in the lists of
    wheels.
    """
    server = images.KNOWN["triton"].folder / "requirements.txt"

    def make(into: Path) -> None:
        tree = into / "pytriton/tritonserver"
        backend = tree / "backends/python"
        _unpack(images.wheels(server), into, "nvidia_pytriton-*.whl")
        _unpack(images.wheels(_PACKAGES, _PYTHON), backend)
        stub = tree / f"python_backend_stubs/{_PYTHON}/triton_python_backend_stub"
        for program in (tree / "bin/tritonserver", stub.rename(backend / stub.name)):
            program.chmod(0o755)

    return cache.shared("triton", cache.key(server, _PACKAGES, _PYTHON), make)


def _unpack(wheels: Path, into: Path, which: str = "*.whl") -> None:
    for wheel in wheels.glob(which):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(into)


def _without_bytecode(repository: Path) -> None:
    """Keep Python from writing beside a model, by a file where its folder would be: in the pods the
    directory is read-only, and here root may write anywhere. To Triton it would be a new model.
    """
    for version in repository.glob("*/[0-9]*/"):
        (version / "__pycache__").touch()


def _wait_until_live(
    process: subprocess.Popen[bytes], address: str, metrics_address: str, log: Path
) -> None:
    """The server answers before it opens its metrics: both are asked, the later one last."""
    deadline = time.monotonic() + _START_SECONDS
    for page in (f"{address}/v2/health/live", f"{metrics_address}/metrics"):
        while not _answers(page):
            if time.monotonic() > deadline or process.poll() is not None:
                said = log.read_text(errors="replace")[-3000:]
                raise AssertionError(f"Triton does not answer {page}:\n{said}")
            time.sleep(0.05)  # asked again soon: nothing announces that it listens


def _answers(page: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{page}", timeout=1):
            return True
    except OSError:  # URLError is one
        return False
