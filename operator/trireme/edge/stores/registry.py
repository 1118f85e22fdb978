"""OCI artefacts in a registry, through oras: each layer with a title is a file."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import requests
from oras.container import Container
from oras.provider import Registry

from trireme.api.fetch import FetchFailed, FetchReason
from trireme.edge.stores import failures
from trireme.edge.stores.credentials import Credentials
from trireme.edge.stores.http import body, raised, session
from trireme.edge.stores.types import Access, Listing, Object
from trireme.edge.stores.uri import Location

_TITLE = "org.opencontainers.image.title"
_UNPACK = "io.deis.oras.content.unpack"  # oras packs a folder as a tar.gz and marks it by this
_MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_LARGEST_MANIFEST_BYTES = 4 * 1024 * 1024  # what registries accept (OCI distribution spec, 1.1)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_OK, _LOGIN = 200, (401, 403)


@dataclass(frozen=True, slots=True)
class RegistryStore:
    """One artefact: a repository's tag or digest."""

    location: Location
    container: Container
    registry: Registry = field(repr=False)
    session: requests.Session = field(repr=False)

    @property
    def pinned(self) -> bool:
        """Whether it is named by a digest."""
        return self.container.digest is not None

    def list(self) -> Listing:
        """The layers of the artefact's manifest, which itself is checked if named by digest."""
        text = self._manifest()
        digest = f"sha256:{hashlib.sha256(text).hexdigest()}"
        if self.container.digest not in (None, digest):
            raise FetchFailed(
                FetchReason.CHECKSUM, f"{self.location.name}: the manifest is {digest}"
            )
        try:
            layers = json.loads(text)["layers"]
            packed = [layer for layer in layers if _is_packed(layer)]
            objects = tuple(_object(layer, layer in packed) for layer in layers)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FetchFailed(
                FetchReason.UNSUPPORTED,
                f"{self.location.name} is no artefact with files: its manifest",
            ) from error
        if not objects:
            raise FetchFailed(FetchReason.EMPTY, f"{self.location.name} holds no file")
        if packed and len(layers) > 1:
            raise FetchFailed(
                FetchReason.UNSUPPORTED,
                f"{self.location.name} holds a packed folder beside others: push one folder, or "
                "files",
            )
        return Listing(
            tuple(sorted(objects, key=lambda each: each.path)),
            single=len(objects) == 1,
            revision=digest,
        )

    def _manifest(self) -> bytes:
        url = f"{self.registry.prefix}://{self.container.manifest_url()}"
        with closing(self._ask(url, {"Accept": ", ".join(_MANIFEST_TYPES)})) as answer:
            if answer.status_code != _OK:
                raise failures.of_status(answer.status_code, self.location.name)
            with raised(self.location.name):
                text = answer.raw.read(_LARGEST_MANIFEST_BYTES + 1, decode_content=True)
        if len(text) > _LARGEST_MANIFEST_BYTES:
            raise FetchFailed(
                FetchReason.TOO_LARGE, f"{self.location.name}: its manifest exceeds 4 MiB"
            )
        return bytes(text)

    def read(self, item: Object, offset: int, length: int) -> Iterator[bytes]:
        """A range of a layer; its digest holds it fast."""
        url = f"{self.registry.prefix}://{self.container.get_blob_url(item.key)}"
        headers = {
            "Range": f"bytes={offset}-{offset + length - 1}",
            "Accept-Encoding": "identity",
        }
        fixed = Object(item.path, item.key, item.size)  # the digest is no ETag of HTTP
        with closing(self._ask(url, headers)) as answer:
            yield from body(answer, self.location.name, fixed, offset, length)

    def _ask(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        """The head of an answer, after a login where the registry wants one.

        oras's own request would try again for two minutes by itself, unseen by the progress.
        """
        auth = self.registry.auth
        answer = self._get(url, {**headers, **auth.get_auth_header()})
        if answer.status_code not in _LOGIN:
            return answer
        answer.close()
        with raised(self.location.name):
            with_login, changed = auth.authenticate_request(answer, dict(headers), refresh=True)
        return self._get(url, with_login) if changed else answer

    def _get(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        with raised(self.location.name):
            return self.session.get(url, headers=dict(headers), stream=True)


def open_registry(location: Location, access: Access, credentials: Credentials) -> RegistryStore:
    """A registry by a user and password, or as nobody; plain HTTP only where the endpoint is."""
    try:
        container = Container(f"{location.place}/{location.path}")
    except ValueError as error:
        raise FetchFailed(
            FetchReason.UNSUPPORTED,
            f"{location.name} is not oci://registry/repository:tag or ...@sha256:digest",
        ) from error
    plain = bool(access.endpoint and access.endpoint.startswith("http://"))
    registry = Registry(location.place, insecure=plain)
    connections = registry.auth.session = session(access, credentials)
    if login := credentials.registry_login(location.place):
        registry.auth.set_basic_auth(*login)
    return RegistryStore(location, container, registry, connections)


def _is_packed(layer: Mapping[str, Any]) -> bool:
    """Whether a layer is a folder as a tar.gz: one of oras's, or of a container image."""
    annotations = layer.get("annotations") or {}
    image = _TITLE not in annotations and layer["mediaType"].endswith(("tar+gzip", "tar+zstd"))
    return image or annotations.get(_UNPACK) == "true"


def _object(layer: Mapping[str, Any], packed: bool) -> Object:
    digest, size = layer["digest"], layer["size"]
    if not _DIGEST.fullmatch(digest) or not isinstance(size, int) or size < 0:
        raise ValueError("no digest or no size")
    title = (layer.get("annotations") or {}).get(_TITLE) or digest.partition(":")[2][:12]
    ending = ".tar.zst" if layer["mediaType"].endswith("zstd") else ".tar.gz"
    path = f"{title}{ending}" if packed and not title.endswith(ending) else title
    return Object(path, digest, size, digest, sha256=digest.partition(":")[2])
