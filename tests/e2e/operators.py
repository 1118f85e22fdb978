"""The operator's two replicas: which of them leads, what each has done, and their sudden ends.

Whatever kubectl deletes, even by force, is sent SIGTERM first, and a leader that is told to stop
gives its Lease back. What a crash or a lost node does is therefore done from beside the processes:
by a pod of their user in the node's process namespace.
"""

from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from kube import Kube

_AT_THE_NODE = "signals"
_SIGNAL = """
import contextlib, os, pathlib, signal, sys
pod, sent = sys.argv[1].replace("-", "_"), 0
for file in pathlib.Path("/proc").glob("[0-9]*/cgroup"):
    with contextlib.suppress(OSError):  # gone, or not this user's
        if pod in file.read_text().replace("-", "_"):
            os.kill(int(file.parent.name), signal.Signals[sys.argv[2]])
            sent += 1
sys.exit(f"no process of {pod}" if not sent else 0)
"""  # by the pod's uid, which names its control group


@dataclass(frozen=True)
class Operators:
    """The operator's replicas, by the names of their pods."""

    system: Kube

    def leader(self) -> str:
        """The one that holds the Lease, once one that lives does."""
        found: list[str] = []

        def leads() -> bool:
            found[:] = self._leading()
            return bool(found)

        self.system.until("a replica leads", leads)
        return found[0]

    def standby(self) -> str:
        """The other one, once there are two."""
        leader, found = self.leader(), set[str]()

        def are_two() -> bool:
            ready = self._ready()
            found.clear()
            found.update(ready - {leader})
            return len(ready) == 2 and len(found) == 1

        self.system.until("there are two replicas", are_two)
        return found.pop()

    def metric(self, pod: str, name: str, **labels: str) -> float | None:
        """The sum of a replica's series with these labels; None where it has none, or does not
        answer.
        """
        path = f"/api/v1/namespaces/{self.system.namespace}/pods/{pod}:8080/proxy/metrics"
        text = self.system.run("get", "--raw", path, check=False)
        values = [
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        return sum(values) if values else None

    def crash_leader(self) -> None:
        """As the kernel ends a process that is out of memory; the kubelet starts it again."""
        self._send("SIGKILL", self.leader())

    def lose_leader(self) -> str:
        """As a lost node: without a word, and for good. The name of who led."""
        leader = self.leader()
        self._send("SIGSTOP", leader)
        self.system.run("delete", "pod", leader, "--grace-period=0", "--force")
        return leader

    def reach_processes(self) -> None:
        """Start what sends the signals, so that they come at once."""
        self.system.apply(_pod_at_the_node())
        self.system.run("wait", "pod", _AT_THE_NODE, "--for=condition=Ready", "--timeout=180s")

    def leave_processes(self) -> None:
        """Undo `reach_processes`."""
        self.system.run("delete", "pod", _AT_THE_NODE, "--now", "--ignore-not-found")

    def _send(self, signal: str, pod: str) -> None:
        uid = self.system.get("pod", pod)["metadata"]["uid"]
        self.system.run("exec", _AT_THE_NODE, "--", "python3", "-c", _SIGNAL, uid, signal)

    def _leading(self) -> list[str]:
        holder = self.system.get("lease", "trireme-leader")["spec"].get("holderIdentity")
        return [pod for pod in self._ready() if pod == holder]

    def _ready(self) -> set[str]:
        return {
            pod["metadata"]["name"]
            for pod in self.system.all("pods", "app.kubernetes.io/name=trireme")
            if "deletionTimestamp" not in pod["metadata"]
            and all(c["ready"] for c in pod["status"].get("containerStatuses", [{"ready": False}]))
        }


def _pod_at_the_node() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": _AT_THE_NODE},
        "spec": {
            "hostPID": True,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": _AT_THE_NODE,
                    "image": "trireme/operator:dev",  # its user may signal the operator's processes
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sleep", "infinity"],
                }
            ],
        },
    }
