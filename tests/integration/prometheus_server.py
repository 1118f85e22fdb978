"""A real Prometheus on loopback, over samples written into the past.

The samples come from OpenMetrics text through `promtool tsdb create-blocks-from`, so a test has
any scrape history it wants without waiting for one. Debian's package `prometheus` carries both
programs.
"""

import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ports import free_port

SECONDS = 60
"""What a Prometheus may take to begin, and to end; the machine may be busy."""


def program(name: str) -> str:
    """The path of `prometheus` or `promtool`; a missing one fails the test, and says the remedy."""
    found = shutil.which(name)
    assert found, f"{name} is not on PATH: apt-get install prometheus"
    return found


@contextmanager
def prometheus(directory: Path, samples: Iterable[str]) -> Iterator[str]:
    """Serve the samples (`metric{label="value"} value unix_seconds`) and yield the base URL."""
    text = directory / "samples.txt"
    text.write_text("\n".join((*samples, "# EOF\n")), encoding="utf-8")
    blocks = directory / "blocks"
    subprocess.run(
        [program("promtool"), "tsdb", "create-blocks-from", "openmetrics", text, blocks],
        check=True,
        capture_output=True,
    )
    config = directory / "prometheus.yml"
    config.write_text("scrape_configs: []\n", encoding="utf-8")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    log = directory / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={blocks}",
                "--storage.tsdb.retention.time=100y",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stderr=output,
        )
    try:
        _wait_until_ready(server, url, log)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=SECONDS)


def _wait_until_ready(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=1):  # noqa: S310  # loopback
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)  # asked again soon: nothing announces readiness
    raise AssertionError(f"Prometheus did not become ready:\n{log.read_text()[-2000:]}")
