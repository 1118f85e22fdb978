"""The cluster as `Kube` tells it, by a connection to the API server that stays open: a kubectl
takes a tenth of a second of a processor to start, and a test asks dozens of times.

Whatever else a test does as a user does it is still kubectl's: `run`.
"""

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from kube import Kube, KubectlError, Object

_SECONDS = 60
_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_MERGE = "application/merge-patch+json"
_APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True)
class _Kind:
    """A kind of objects, and where the API server has them."""

    api_version: str
    name: str
    plural: str
    is_namespaced: bool

    def path(self, namespace: str, name: str = "") -> str:
        root = "apis" if "/" in self.api_version else "api"
        within = f"/namespaces/{namespace}" if self.is_namespaced else ""
        return f"/{root}/{self.api_version}{within}/{self.plural}" + (name and f"/{quote(name)}")


class Server:
    """A connection to an API server as its administrator, and the kinds that it has."""

    def __init__(self, url: str, token: str) -> None:
        insecure = ssl._create_unverified_context()  # noqa: S323  # the server's own certificate
        address = urlsplit(url).netloc
        self._connection = http.client.HTTPSConnection(address, timeout=_SECONDS, context=insecure)
        self._token = token
        self._kinds: dict[str, _Kind] = {}

    def close(self) -> None:
        self._connection.close()

    def request(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[int, Object]:
        """Status and answer. Asked again where the server has closed the connection meanwhile, as
        it does with one that is idle: whatever is asked here may be asked twice.
        """
        content = None if body is None else json.dumps(body)
        given = {
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/json",
            "Accept": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        try:
            self._connection.request(method, path, content, given)
            answer = self._connection.getresponse()
        except (http.client.HTTPException, OSError):
            self._connection.close()
            self._connection.request(method, path, content, given)
            answer = self._connection.getresponse()
        found: Object = json.loads(answer.read())
        return answer.status, found

    def done(self, method: str, path: str, body: object = None, **headers: str) -> Object:
        """The answer. Raises KubectlError with the server's words where it refuses."""
        status, answer = self.request(method, path, body, **headers)
        if status >= 400:
            raise KubectlError(answer["message"])
        return answer

    def kind(self, name: str) -> _Kind:
        """A kind by any of the names that kubectl takes: plural, singular, short, with its group.

        Raises KubectlError where there is none.
        """
        if name not in self._kinds:
            self._kinds = dict(reversed([*self._discovered()]))  # of two the first is meant
        if name not in self._kinds:
            raise KubectlError(f"the server doesn't have a resource type {name!r}")
        return self._kinds[name]

    def _discovered(self) -> Iterator[tuple[str, _Kind]]:
        for root in ("/api", "/apis"):
            for group in self.done("GET", root, Accept=_DISCOVERY)["items"]:
                of = group["metadata"].get("name", "")
                preferred = group["versions"][0]
                version = f"{of}/{preferred['version']}".lstrip("/")
                for each in preferred["resources"]:
                    plural, is_namespaced = each["resource"], each["scope"] == "Namespaced"
                    kind = _Kind(version, each["responseKind"]["kind"], plural, is_namespaced)
                    short = each.get("shortNames", [])
                    for name in (plural, each["singularResource"], *short, f"{plural}.{of}"):
                        yield name, kind


@contextmanager
def connected(url: str, token: str) -> Iterator[Server]:
    server = Server(url, token)
    try:
        yield server
    finally:
        server.close()


@dataclass(frozen=True)
class AskedDirectly(Kube):
    """One namespace of an API server that is asked itself."""

    server: Server = field(kw_only=True)
    pause_seconds: float = field(default=0.1, kw_only=True)

    def in_new_namespace(self, name: str) -> "AskedDirectly":
        path = self.server.kind("namespaces").path("")
        self.server.done("POST", path, {"metadata": {"name": name}})
        return replace(self, namespace=name)

    def find(self, kind: str, name: str, *, with_managers: bool = False) -> Object | None:
        asked = self.server.kind(kind)
        status, found = self.server.request("GET", asked.path(self.namespace, name))
        if status == 404:
            return None
        if status >= 400:
            raise KubectlError(found["message"])
        return found if with_managers else _without_managers(found)

    def get(self, kind: str, name: str) -> Object:
        return _without_managers(
            self.server.done("GET", self.server.kind(kind).path(self.namespace, name))
        )

    def all(self, kind: str, selector: str = "") -> list[Object]:
        query = f"?{urlencode({'labelSelector': selector})}"
        return [
            _without_managers({"apiVersion": each.api_version, "kind": each.name, **item})
            for each in map(self.server.kind, kind.split(","))
            for item in self.server.done("GET", each.path(self.namespace) + query)["items"]
        ]

    def apply(self, *manifests: Object) -> str:
        """As `kubectl apply --server-side` does it."""
        if not json.dumps(manifests, ensure_ascii=False).isascii():
            return super().apply(*manifests)  # YAML does not know all that JSON writes such text by
        query = urlencode({"fieldManager": "kubectl", "force": "true", "fieldValidation": "Strict"})
        told = []
        for manifest in manifests:
            kind, name = manifest["kind"].lower(), manifest["metadata"]["name"]
            path = self.server.kind(kind).path(self.namespace, name)
            self.server.done("PATCH", f"{path}?{query}", manifest, Content_Type=_APPLY)
            told.append(f"{kind}/{name} serverside-applied\n")
        return "".join(told)

    def set_status(self, kind: str, name: str, status: Mapping[str, Any]) -> None:
        path = f"{self.server.kind(kind).path(self.namespace, name)}/status"
        self.server.done("PATCH", path, {"status": status}, Content_Type=_MERGE)


def _without_managers(found: Object) -> Object:
    """An object as kubectl shows it."""
    found["metadata"].pop("managedFields", None)
    return found
