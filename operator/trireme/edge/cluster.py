"""The Kubernetes API: read, server-side apply, scale, delete. Nothing is retried here, but for a
status whose object changed meanwhile.

Objects are plain dicts, as in the manifests they came from.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
from kubernetes.aio import client, config

from trireme.api import kinds
from trireme.api.kinds import Kind
from trireme.edge.proxy import proxy_for
from trireme.errors import ClusterError

Object = dict[str, Any]

# With the parameter the client takes the body as it is: see `_yaml`.
_APPLY = "application/apply-patch+yaml; charset=utf-8"
_MERGE = "application/merge-patch+json"
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_PAGE = 500  # objects of a list
_TIMEOUT_SECONDS = 30
_CONFLICT = 409
_STATUS_TRIES = 5  # others write to the same object, each a few times a minute
MOST_CONNECTIONS = 300  # of a client; an API server has some 600 requests under way by default


async def connect() -> client.ApiClient:
    """A client from the pod's ServiceAccount, or from the current kube-context outside a pod.

    Raises ClusterError where neither is there.
    """
    configuration = client.Configuration(
        connection_pool_maxsize=MOST_CONNECTIONS,
        # It would look for a proxy before each request, by two threads: once does.
        client_session_kwargs={"trust_env": False},
    )
    try:
        config.load_incluster_config(client_configuration=configuration)
    except config.ConfigException:
        try:
            await config.load_kube_config(_config_files(), client_configuration=configuration)
        except (config.ConfigException, OSError) as error:
            raise ClusterError(0, f"no cluster to talk to: {error}") from error
    configuration.proxy = configuration.proxy or proxy_for(configuration.host)
    return client.ApiClient(configuration)


def current_namespace() -> str:
    """The namespace of the current kube-context: `default` where it names none, or there is none.

    Only the command line asks: the operator is told its namespaces.
    """
    try:
        _, active = config.list_kube_config_contexts(_config_files())
    except config.ConfigException:
        return "default"
    return str(active["context"].get("namespace", "default"))


def _config_files() -> str | None:
    """What KUBECONFIG names now, for the client has read it once, when it was imported; None where
    it is not set.
    """
    return os.environ.get("KUBECONFIG") or None


class Cluster:
    """One small method per verb.

    Every method raises ClusterError: with the HTTP status where the API refused, with 0 where it
    did not answer.
    """

    def __init__(self, api: client.ApiClient) -> None:
        self._api = api

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The object, or None where there is none."""
        try:
            return await self._request("GET", kind.path(namespace, name))
        except ClusterError as error:
            if error.status == 404:
                return None
            raise

    async def list(
        self, kind: Kind, namespace: str | None, selector: str = "", fields: str = ""
    ) -> Sequence[Object]:
        """The objects with these labels and fields, of one namespace or of all, in one answer: for
        a handful, or for a person who looks.
        """
        query = {"labelSelector": selector, "fieldSelector": fields}
        answer = await self._request("GET", kind.path(namespace), query)
        items: Sequence[Object] = answer["items"]
        return items

    async def label_values(
        self, kind: Kind, namespace: str | None, label: str
    ) -> Mapping[str, str]:
        """What a label says of all objects that have it, by their uids, of one namespace or of all:
        page by page, and of each object its metadata alone.
        """
        found: dict[str, str] = {}
        query = {"labelSelector": label, "limit": str(_PAGE)}
        while True:
            page = await self._request("GET", kind.path(namespace), query, accept=_METADATA)
            items: Sequence[Object] = page["items"] or ()  # of metadata alone: null where none is
            for metadata in (item["metadata"] for item in items):
                found[metadata["uid"]] = metadata["labels"][label]
            following = page["metadata"].get("continue")
            if not following:
                return found
            query["continue"] = following

    async def serves(self, kind: Kind) -> bool:
        """Whether the API server knows the kind: for ours, whether its CRD is there."""
        try:
            known = await self._request("GET", f"/apis/{kind.api_version}")
        except ClusterError as error:
            if error.status == 404:
                return False
            raise
        return any(resource["name"] == kind.plural for resource in known["resources"])

    async def apply(self, manifest: Object, manager: str, uid: str | None = None) -> Object:
        """Server-side apply, taking fields over from whoever has them: drift is repaired.

        With a `uid`, only to that object: a conflict (409) where it is gone, invalid (422) where
        another is in its place.
        """
        kind = kinds.kind_of(manifest["apiVersion"], manifest["kind"])
        metadata = manifest["metadata"]
        path = kind.path(metadata["namespace"], metadata["name"])
        if uid is not None:
            manifest = {**manifest, "metadata": {**metadata, "uid": uid}}
        return await self._apply(path, manifest, manager)

    async def apply_status(
        self, kind: Kind, metadata: Object, status: Mapping[str, Any], manager: str
    ) -> Object:
        """Server-side apply of the part of a status that `manager` owns, to the object with this
        metadata: not found (404) where it is gone, a conflict (409) where another has its name.

        The API server does not look at the uid of what is written to a custom resource's status. So
        the version that is known is written to, and if that is not the newest any more, the newest
        one of the same object.
        """
        namespace, name, known = metadata["namespace"], metadata["name"], metadata
        path = kind.path(namespace, name)
        for _ in range(_STATUS_TRIES):
            version = {key: known[key] for key in ("namespace", "name", "resourceVersion")}
            manifest = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": version}
            try:
                return await self._apply(
                    f"{path}/status", {**manifest, "status": dict(status)}, manager
                )
            except ClusterError as error:
                if error.status != _CONFLICT:
                    raise
            known = (await self._request("GET", path))["metadata"]
            if known["uid"] != metadata["uid"]:
                raise ClusterError(_CONFLICT, f"{name} is gone, and another has its name")
        raise ClusterError(_CONFLICT, f"{name} changes each time that its status is written")

    async def apply_scale(self, deployment: Object, replicas: int, manager: str) -> None:
        """Set a Deployment's size, and own that field.

        A compare-and-set: raises ClusterError 409 where the Deployment is no longer as it was
        read, so that what somebody else wrote meanwhile is seen before it is overwritten.
        """
        metadata = deployment["metadata"]
        known = ("namespace", "name", "resourceVersion")
        manifest = {
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            "metadata": {key: metadata[key] for key in known},
            "spec": {"replicas": replicas},
        }
        path = f"{kinds.DEPLOYMENT.path(metadata['namespace'], metadata['name'])}/scale"
        await self._apply(path, manifest, manager)

    async def create(self, manifest: Object) -> Object:
        """Create an object that must not exist yet."""
        kind = kinds.kind_of(manifest["apiVersion"], manifest["kind"])
        path = kind.path(manifest["metadata"]["namespace"])
        return await self._request("POST", path, {}, manifest, "application/json")

    async def ensure(self, manifest: Object) -> None:
        """Create an object unless it exists, without reading it: for what may only be created."""
        try:
            await self.create(manifest)
        except ClusterError as error:
            if error.status != _CONFLICT:
                raise

    async def merge(self, kind: Kind, namespace: str, name: str, patch: Object) -> Object:
        """A JSON merge patch: None removes a field."""
        return await self._request("PATCH", kind.path(namespace, name), {}, patch, _MERGE)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str | None = None) -> None:
        """Delete an object, its dependants in the background; absent already is success. With a
        `uid`, only that object: another one in its place stays, which is success, too.
        """
        options: Object = {"propagationPolicy": "Background"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        path = kind.path(namespace, name)
        try:
            await self._request("DELETE", path, {}, options, "application/json")
        except ClusterError as error:
            is_another = uid is not None and error.status == _CONFLICT
            if error.status != 404 and not is_another:
                raise

    async def _apply(self, path: str, manifest: Object, manager: str) -> Object:
        query = {"fieldManager": manager, "force": "true"}
        return await self._request("PATCH", path, query, _yaml(manifest), _APPLY)

    async def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Object | bytes | None = None,
        content_type: str | None = None,
        accept: str = "application/json",
    ) -> Object:
        headers = {"Accept": accept}
        if content_type is not None:
            headers["Content-Type"] = content_type
        try:
            request = await self._api.param_serialize(
                method=method,
                resource_path=path,
                query_params=list((query or {}).items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            response = await self._api.call_api(*request, _request_timeout=_TIMEOUT_SECONDS)
            text = await response.read()
        except client.ApiException as error:
            raise ClusterError(error.status or 0, _words(error)) from error
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise ClusterError(0, f"the Kubernetes API did not answer: {error!r}") from error
        if response.status >= 400:
            raise ClusterError(response.status, _message(text) or str(response.reason))
        try:
            answer: Object = json.loads(text)
        except ValueError as error:
            words = "the Kubernetes API answered with something other than JSON"
            raise ClusterError(response.status, words) from error
        return answer


_NOT_AS_ITSELF = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def _yaml(manifest: Object) -> bytes:
    """The manifest in the JSON that every YAML reader takes.

    YAML knows no surrogate pairs, which JSON's ASCII form writes characters beyond the 16 bits
    with (an emoji in a model's vocabulary, or in what Triton says of it), and takes some
    characters as no text, or as line breaks, unless they are escaped.
    """
    text = json.dumps(manifest, ensure_ascii=False)
    escaped = _NOT_AS_ITSELF.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return escaped.encode(errors="replace")


def _words(error: client.ApiException) -> str:
    return _message(error.body) or str(error.reason)


def _message(body: str | bytes | None) -> str:
    """The `message` of a Status answer, or nothing where the answer is no Status."""
    try:
        return str(json.loads(body or b"").get("message", ""))
    except (ValueError, AttributeError):
        return ""
