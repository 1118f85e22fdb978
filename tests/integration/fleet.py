"""Real Triton servers in the place of an agent's pods, where there are no nodes.

The servers listen on addresses of loopback, and pods that nobody runs have these addresses.
"""

import json
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from integration.operator_process import OPERATOR_KEY
from integration.triton_server import TritonServer, triton
from kube import Kube, Object, merged, objects
from ports import own_address
from trireme.api import names
from trireme.cli import app
from trireme.cli.manifests import to_yaml
from trireme.resources.control import OperatorKey

EXAMPLES = Path(__file__).parents[2] / "examples"
HOSTS = {"one": own_address(1), "two": own_address(2)}


def echo(count: int, **more: Any) -> tuple[Object, Object]:
    """The example with so many instances, on two pods and without a gateway."""
    agent, files = objects(EXAMPLES / "echo.yaml")
    (model,) = agent["spec"]["models"]
    models = [merged(model, {"instances": [{"kind": "CPU", "count": count}], **more})]
    spec = {"models": models, "gateway": {"enabled": False}, "scaling": {"min": 2}}
    return merged(agent, {"spec": spec}), files


@dataclass(frozen=True)
class Fleet:
    """The agent `echo`, and servers in the place of its pods."""

    kube: Kube
    folder: Path
    servers: ExitStack

    def serve(self, pod: str, count: int, key: str | None = None) -> TritonServer:
        """Start a server with the repository of so many instances, and a pod that has it."""
        return self.serve_agent(pod, echo(count), key)

    def serve_agent(
        self,
        pod: str,
        manifests: tuple[Object, ...],
        key: str | None = None,
        *,
        ready: bool = True,
        spoil: Callable[[Path], object] = lambda models: None,
    ) -> TritonServer:
        """Start a server with the repository of an agent, and a pod that has it; `spoil` may do
        something to the repository before.
        """
        folder = self.folder / f"server-{pod}"
        folder.mkdir()
        manifest = folder / "agent.yaml"
        manifest.write_text(to_yaml(*manifests))
        command = ["render", "-f", str(manifest), "--repository", str(folder / "models")]
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, result.output
        spoil(folder / "models")
        uid = self.kube.get("agd", "echo")["metadata"]["uid"]
        own = OperatorKey(OPERATOR_KEY).of_agent(uid)
        closed = f"--http-restricted-api=model-repository:{names.CONTROL_HEADER}={key or own}"
        server = self.servers.enter_context(
            triton(
                folder / "models",
                folder,
                closed,
                host=HOSTS[pod],
                http_port=names.HTTP_PORT,
                metrics_port=names.METRICS_PORT,
            )
        )
        self._make_pod(pod, ready)
        return server

    def _make_pod(self, name: str, ready: bool) -> None:
        metadata = self.kube.get("deployment", "echo")["spec"]["template"]["metadata"]
        container = {"name": names.SERVER_CONTAINER, "image": "example.com/triton"}
        self.kube.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {**metadata, "name": name},
                "spec": {"containers": [container]},
            }
        )
        status = {
            "phase": "Running",
            "podIP": HOSTS[name],
            "podIPs": [{"ip": HOSTS[name]}],
            "conditions": [
                {
                    "type": "Ready",
                    "status": str(ready),
                    "lastTransitionTime": "2026-11-01T00:00:00Z",
                }
            ],
            "containerStatuses": [
                {
                    **container,
                    "imageID": "",
                    "ready": ready,
                    "started": ready,
                    "restartCount": 0,
                    "containerID": f"test://{name}",
                    "state": {"running": {"startedAt": "2026-11-01T00:00:00Z"}},
                }
            ],
        }
        self.kube.set_status("pod", name, status)

    def counts(self) -> list[int]:
        """How many instances each server runs."""
        return [self._count(host) for pod, host in HOSTS.items() if self.kube.find("pod", pod)]

    def _count(self, host: str) -> int:
        url = f"http://{host}:{names.HTTP_PORT}/v2/models/double/config"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return sum(group["count"] for group in json.load(answer)["instance_group"])

    def runs(self, *counts: int) -> None:
        """Wait until the servers run so many, and all is said to be well."""
        self.kube.until(f"{counts} are run", lambda: self.counts() == [*counts], 60, "echo")
        self.kube.until("Ready", lambda: self.kube.is_ready("echo"), 60, "echo")

    def told(self, reason: str) -> list[str]:
        return [note for told, note in self.kube.events("echo") if told == reason]
