"""Load from inside the cluster: a Job of the load generator, and what became of its requests."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from kube import Kube

_IMAGE = "trireme/loadgen:dev"
_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


class Load:
    """A running load. Open-loop, half HTTP keep-alive and half gRPC, without retries."""

    def __init__(
        self, kube: Kube, name: str, agent: str, model: str, profile: str, *more: str
    ) -> None:
        self._kube = kube
        self._job = name
        self._profile = profile
        arguments = [
            f"--host={agent}",
            f"--model={model}",
            f"--profile={profile}",
            *(more or ("--input=x:FP32:1x16", "--output=y", "--expect=double")),
        ]
        kube.run("delete", "job", name, "--ignore-not-found", "--wait")
        kube.apply(_manifest(name, arguments))

    def started(self) -> bool:
        """Whether requests are being sent."""
        return bool(self.seconds())

    def began(self) -> float:
        """When the first request was due, as Unix time: a second before its report was printed."""
        arguments = ("logs", f"job/{self._job}", "--timestamps", "--tail=-1")
        first = next(
            line for line in self._kube.run(*arguments).splitlines() if '"second":0' in line
        )
        return datetime.fromisoformat(first.split()[0]).timestamp() - 1

    def stop(self) -> None:
        """End the load before its profile does; requests in flight are answered first."""
        pods = self._kube.all("pods", f"job-name={self._job}")
        for pod in (each for each in pods if each["status"]["phase"] == "Running"):
            self._kube.run(
                "exec",
                pod["metadata"]["name"],
                "--",
                "python3",
                "-c",
                "import os, signal; os.kill(1, signal.SIGTERM)",
            )

    def seconds(self) -> list[dict[str, Any]]:
        """A report for each second so far."""
        return [line for line in self._lines() if "second" in line]

    def within(self, milliseconds: float) -> list[bool]:
        """For each second under load so far, whether its clients' p95 was within the bound. A
        second without an answer was not.
        """
        return [
            bool(second["latency_ms"] and second["latency_ms"]["p95"] <= milliseconds)
            for second in self.seconds()
            if second["target_rate"]
        ]

    def all_answered(self) -> dict[str, Any]:
        """The summary, once the last request ended: each was sent, and was answered rightly."""
        summary = self.summary()
        if not summary["sent"] or summary["failed"] or summary["not_sent"]:
            raise AssertionError(f"load {self._job} ({self._profile}): {summary}")
        return summary

    def summary(self, seconds: float = 300) -> dict[str, Any]:
        """What became of all requests, once the last one ended."""
        found: list[dict[str, Any]] = []

        def ended() -> bool:
            found[:] = [line for line in self._lines() if "second" not in line]
            if not found and self._failed():
                raise AssertionError(self._kube.run("logs", f"job/{self._job}", check=False))
            return bool(found)

        self._kube.until(f"load {self._job} ({self._profile}) ends", ended, seconds)
        return found[-1]

    def _failed(self) -> bool:
        job = self._kube.find("job", self._job) or {}
        return bool(job.get("status", {}).get("failed"))

    def _lines(self) -> list[dict[str, Any]]:
        text = self._kube.run("logs", f"job/{self._job}", "--tail=-1", check=False)
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def _manifest(name: str, arguments: Sequence[str]) -> dict[str, Any]:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {
            "backoffLimit": 0,
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": False,
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": 65532,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [
                        {
                            "name": "load",
                            "image": _IMAGE,
                            "imagePullPolicy": "IfNotPresent",
                            "args": list(arguments),
                            "securityContext": _RESTRICTED,
                        }
                    ],
                },
            },
        },
    }
