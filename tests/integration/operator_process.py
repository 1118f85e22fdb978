"""`trireme run` as a process, against an API server without nodes or controllers."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from integration.trireme_process import TriremeProcess
from kube import Kube
from ports import free_port

PORT, OTHER_PORT = free_port(), free_port()
OPERATOR_KEY = bytes(range(32))


@contextmanager
def operator(
    kube: Kube, log: Path, identity: str = "one", port: int = PORT, **settings: str
) -> Iterator[TriremeProcess]:
    """A running `trireme run`; on leaving it gets SIGTERM and must end by itself, in time."""
    with started(kube, log, identity, port, **settings) as process:
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(25) == 0, f"see {log}"


@contextmanager
def started(
    kube: Kube, log: Path, identity: str = "one", port: int = PORT, **settings: str
) -> Iterator[TriremeProcess]:
    """`trireme run`, killed at the end if it still runs."""
    key = log.with_name("control-key")
    key.write_bytes(OPERATOR_KEY)
    environment = {
        "PATH": os.environ["PATH"],
        "KUBECONFIG": str(kube.kubeconfig),
        "TRIREME_NAMESPACES": json.dumps([kube.namespace]),  # not those of the tests before
        "TRIREME_OPERATOR_NAMESPACE": "default",
        "TRIREME_IDENTITY": identity,
        "TRIREME_LISTEN_PORT": str(port),
        "TRIREME_DECISIONS_PORT": str(free_port()),
        "TRIREME_CONTROL_KEY_FILE": str(key),
        "TRIREME_PROMETHEUS_URL": "http://127.0.0.1:9",  # the discard port: nobody answers
        "TRIREME_RESYNC_SECONDS": "1",
        "TRIREME_AUTOSCALE_INTERVAL_SECONDS": "0.5",
        **settings,
    }
    process = TriremeProcess("run", environment=environment, output=log)
    try:
        yield process
    finally:
        process.end()


def live_configurations(kube: Kube) -> list[str]:
    names = [o["metadata"]["name"] for o in kube.all("configmap", "trireme.dev/owner=echo")]
    return [name for name in names if name.startswith("echo-live-")]


def finish_rollout(kube: Kube, *deployments: str) -> None:
    """Say what the Deployment controller, which is not here, says at the end of a rollout."""
    for name in deployments:
        body = kube.get("deployment", name)
        counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
        status = {
            "observedGeneration": body["metadata"]["generation"],
            **dict.fromkeys(counts, body["spec"]["replicas"]),
        }
        kube.set_status("deployment", name, status)
