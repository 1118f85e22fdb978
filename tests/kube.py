"""The cluster as its user sees it: kubectl's answers, waited for by asking."""

import json
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]


class KubectlError(Exception):
    """kubectl refused; the text is what it said."""


@dataclass(frozen=True)
class Kube:
    """kubectl in one namespace."""

    kubeconfig: Path
    namespace: str
    program: str = "kubectl"
    pause_seconds: float = field(default=0.5, kw_only=True)

    def run(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """What kubectl prints. Raises KubectlError with its words where it refuses."""
        command = [
            self.program,
            f"--kubeconfig={self.kubeconfig}",
            "-n",
            self.namespace,
            *arguments,
        ]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        if done.returncode and check:
            raise KubectlError(done.stderr.strip() or done.stdout.strip())
        return done.stdout

    def apply(self, *manifests: Object) -> str:
        """`kubectl apply -f -`, as a user does it; in JSON, where a `y` is no boolean."""
        items = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        return self.run("apply", "-f", "-", stdin=json.dumps(items))

    def find(self, kind: str, name: str, *, with_managers: bool = False) -> Object | None:
        """One object, or None; `with_managers` with who owns which of its fields."""
        shown = f"--show-managed-fields={json.dumps(with_managers)}"
        text = self.run("get", kind, name, "-o", "json", "--ignore-not-found", shown)
        found: Object | None = json.loads(text) if text.strip() else None
        return found

    def get(self, kind: str, name: str) -> Object:
        """One object. Raises KubectlError where there is none."""
        found: Object = json.loads(self.run("get", kind, name, "-o", "json"))
        return found

    def all(self, kind: str, selector: str = "") -> list[Object]:
        """All objects of a kind (or several, by comma) in the namespace."""
        chosen = [f"--selector={selector}"] if selector else []
        items: list[Object] = json.loads(self.run("get", kind, "-o", "json", *chosen))["items"]
        return items

    def set_status(self, kind: str, name: str, status: Mapping[str, Any]) -> None:
        """Change some fields of a status, in the place of who writes it in a cluster."""
        options = ("--subresource=status", "--type=merge")
        self.run("patch", kind, name, *options, "-p", json.dumps({"status": status}))

    def fetched(self, pod: str, port: int, path: str) -> str:
        """What a pod answers to GET, asked through the API server."""
        return self.run(
            "get", "--raw", f"/api/v1/namespaces/{self.namespace}/pods/{pod}:{port}/proxy{path}"
        )

    def conditions(self, agent: str) -> dict[str, tuple[str, str, str]]:
        """An agent's conditions: status, reason and message by type."""
        status = (self.find("agd", agent) or {}).get("status", {})
        return {
            c["type"]: (c["status"], c["reason"], c["message"])
            for c in status.get("conditions", [])
        }

    def is_ready(self, agent: str) -> bool:
        """Whether this generation is accepted, rolled out and available."""
        body = self.get("agd", agent)
        seen = body.get("status", {}).get("observedGeneration")
        current = seen == body["metadata"]["generation"]
        return current and self.conditions(agent).get("Ready", ("",))[0] == "True"

    def replicas(self, agent: str) -> int | None:
        """The size that the agent's Deployment has been given."""
        deployment = self.find("deployment", agent)
        return None if deployment is None else int(deployment["spec"]["replicas"])

    def ready_pods(self, agent: str) -> int:
        """Ready server pods."""
        deployment = self.find("deployment", agent) or {}
        return int(deployment.get("status", {}).get("readyReplicas", 0))

    def events(self, agent: str) -> list[tuple[str, str]]:
        """Reasons and notes of the agent's Events, oldest first."""
        events = [
            e
            for e in self.all("events.events.k8s.io")
            if e["regarding"].get("name") == agent
            and e["regarding"].get("kind") == "AgentDeployment"
        ]
        events.sort(key=lambda e: e["eventTime"] or "")
        return [(e["reason"], e["note"]) for e in events]

    def describe(self, agent: str) -> str:
        """Everything worth reading when a test failed."""
        parts = [
            self.run("get", "agd,deploy,pods", "-o", "wide", check=False),
            yaml.safe_dump((self.find("agd", agent) or {}).get("status", {})),
            "\n".join(f"{reason}: {note}" for reason, note in self.events(agent)),
            self.run(
                "logs",
                "-n",
                "trireme-system",
                "-l",
                "app.kubernetes.io/name=trireme",
                "--tail=40",
                check=False,
            ),
        ]
        return "\n---\n".join(parts)

    def until(
        self, what: str, holds: Callable[[], object], seconds: float = 180, agent: str = ""
    ) -> None:
        """Ask until it holds; again, too, where the answer is a refusal, as a busy API server may
        give. Fails with all there is to know where it does not hold in time.
        """
        deadline = time.monotonic() + seconds
        while True:
            refused = ""
            try:
                if holds():
                    return
            except KubectlError as error:
                refused = f" ({error})"
            if time.monotonic() > deadline:
                known = self.describe(agent) if agent else ""
                raise AssertionError(f"not within {seconds:.0f} s: {what}{refused}\n{known}")
            time.sleep(self.pause_seconds)


def merged(manifest: Object, changes: Mapping[str, Any]) -> Object:
    """A manifest with some fields changed, given as nested dicts; None removes one."""
    result = dict(manifest)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def objects(path: Path) -> tuple[Object, Object]:
    """The ConfigMaps-and-agent pair that each example is made of: (agent, first ConfigMap)."""
    documents: Iterable[Object] = yaml.safe_load_all(path.read_text())
    by_kind = {document["kind"]: document for document in documents}
    return by_kind["AgentDeployment"], by_kind["ConfigMap"]
