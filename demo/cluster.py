"""The demo's Kubernetes: the official client, synchronous, each call with a time limit."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import DynamicApiError, NotFoundError, ResourceNotFoundError

from demo.errors import DemoError
from demo.manifests import Manifest
from demo.state import EventLine, event_line
from trireme.api import names
from trireme.api.agent import AgentDeployment

NO_ANSWER = (ApiException, DynamicApiError, urllib3.exceptions.HTTPError)
"""What a call raises where the API server refuses it or cannot be reached."""

_FIELD_MANAGER = "trireme-demo"
_CALL_SECONDS = 10
_SILENCE_SECONDS = 30  # a log that should have a line each second is asked for again after this


def kubeconfig_file() -> Path:
    """The kubeconfig in use. Raises DemoError where there is none, or where there are several."""
    named = os.environ.get("KUBECONFIG", "")
    if os.pathsep in named:
        raise DemoError(f"KUBECONFIG names several files ({named}); name one")
    path = Path(named) if named else Path.home() / ".kube" / "config"
    if not path.is_file():
        raise DemoError(f"there is no kubeconfig at {path}; set KUBECONFIG")
    return path


class Cluster:
    """One cluster: that of the kubeconfig's current context."""

    def __init__(self, kubeconfig: Path) -> None:
        _, current = config.list_kube_config_contexts(config_file=str(kubeconfig))
        self.context: str = current["name"]
        self._api = config.new_client_from_config(config_file=str(kubeconfig))
        self._dynamic = DynamicClient(self._api)
        self._core = client.CoreV1Api(self._api)

    def _resource(self, manifest: Manifest) -> Any:
        return self._dynamic.resources.get(
            api_version=manifest["apiVersion"], kind=manifest["kind"]
        )

    def apply(self, manifest: Manifest, namespace: str) -> None:
        """Server-side apply; `namespace` is where an object that names none goes."""
        self._dynamic.server_side_apply(
            self._resource(manifest),
            body=manifest,
            namespace=manifest["metadata"].get("namespace", namespace),
            field_manager=_FIELD_MANAGER,
            force_conflicts=True,
            _request_timeout=_CALL_SECONDS,
        )

    def get(self, manifest: Manifest, namespace: str) -> Manifest | None:
        """The object as the cluster has it; None where it is not there."""
        try:
            found = self._dynamic.get(
                self._resource(manifest),
                name=manifest["metadata"]["name"],
                namespace=manifest["metadata"].get("namespace", namespace),
                _request_timeout=_CALL_SECONDS,
            )
        except (NotFoundError, ResourceNotFoundError):
            return None
        body: Manifest = found.to_dict()
        return body

    def delete(self, manifest: Manifest, namespace: str) -> None:
        """Begin to delete the object and what it owns; nothing where it is not there."""
        with suppress(NotFoundError, ResourceNotFoundError):
            self._dynamic.delete(
                self._resource(manifest),
                name=manifest["metadata"]["name"],
                namespace=manifest["metadata"].get("namespace", namespace),
                body={"propagationPolicy": "Background"},
                _request_timeout=_CALL_SECONDS,
            )

    def agent(self, name: str, namespace: str) -> AgentDeployment | None:
        """The AgentDeployment, parsed."""
        body = self.get(
            {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": {"name": name}},
            namespace,
        )
        return None if body is None else AgentDeployment.model_validate(body)

    def events(self, agent: str, namespace: str) -> tuple[EventLine, ...]:
        """The Events on the AgentDeployment, oldest first."""
        found = self._dynamic.get(
            self._dynamic.resources.get(api_version="events.k8s.io/v1", kind="Event"),
            namespace=namespace,
            field_selector=f"regarding.kind={names.KIND},regarding.name={agent}",
            _request_timeout=_CALL_SECONDS,
        ).to_dict()
        return tuple(sorted(map(event_line, found["items"]), key=lambda event: event.at))

    def job_pod(self, job: str, namespace: str) -> Manifest | None:
        """The Job's newest pod."""
        pods = self._dynamic.get(
            self._dynamic.resources.get(api_version="v1", kind="Pod"),
            namespace=namespace,
            label_selector=f"batch.kubernetes.io/job-name={job}",
            _request_timeout=_CALL_SECONDS,
        ).to_dict()["items"]
        newest: Manifest | None = max(
            pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), default=None
        )
        return newest

    def log_lines(self, pod: str, namespace: str) -> Iterator[str]:
        """The pod's log from its beginning, as it grows, until it ends or the stream breaks."""
        try:
            response: Any = self._core.read_namespaced_pod_log(
                pod,
                namespace,
                follow=True,
                _preload_content=False,
                _request_timeout=(_CALL_SECONDS, _SILENCE_SECONDS),
            )
            rest = b""
            for chunk in response.stream():
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (line.decode(errors="replace") for line in lines)
        except urllib3.exceptions.HTTPError:
            return  # the caller asks again
