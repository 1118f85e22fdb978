"""Repositories of the Hugging Face hub: its own client for lists, ranged reads for files."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import httpx2
import requests
from huggingface_hub import HfApi, hf_hub_url, set_client_factory
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
)
from huggingface_hub.hf_api import RepoFile

from trireme.api.fetch import FetchFailed, FetchReason
from trireme.edge.stores import failures
from trireme.edge.stores.credentials import Credentials
from trireme.edge.stores.http import ranged, session, tls_context
from trireme.edge.stores.types import Access, Listing, Object
from trireme.edge.stores.uri import HubLocation

_COMMON_FILES = frozenset({".gitattributes"})  # of every repository, and of no use to a server


@dataclass(slots=True)
class HubStore:
    """A repository's files, or one of them, as of a revision."""

    location: HubLocation
    api: HfApi
    client: Callable[[], httpx2.Client] = field(repr=False)
    session: requests.Session = field(repr=False)
    token: str | None = field(repr=False)
    _commit: str = ""

    @property
    def pinned(self) -> bool:
        """Whether the revision is a commit."""
        return self.location.pinned

    def list(self) -> Listing:
        """The revision's commit, and its files with their sizes and digests."""
        repository, path = self.location.repository, self.location.path
        set_client_factory(self.client)  # the library's one client is all hubs' in turn
        with self._told():
            info = self.api.model_info(repository, revision=self.location.revision)
            commit = info.sha or ""
            tree = self.api.list_repo_tree(
                repository, path_in_repo=path or None, recursive=True, revision=commit
            )
            try:
                files = [entry for entry in tree if isinstance(entry, RepoFile)]
                single = False
            except EntryNotFoundError:  # a tree is asked for below a folder only
                files = [
                    entry
                    for entry in self.api.get_paths_info(repository, path, revision=commit)
                    if isinstance(entry, RepoFile)
                ]
                single = True
        self._commit = commit
        objects = tuple(_object(file, path, single) for file in files)
        wanted = [each for each in objects if each.path not in _COMMON_FILES]
        if not wanted:
            raise FetchFailed(FetchReason.NOT_FOUND, f"{self.location.name} holds no file")
        return Listing(tuple(sorted(wanted, key=lambda o: o.path)), single, revision=commit)

    def read(self, item: Object, offset: int, length: int) -> Iterator[bytes]:
        """A range of a file; the commit holds it fast, so no ETag is asked for."""
        revision = self._commit or self.location.revision
        url = hf_hub_url(
            self.location.repository, item.key, revision=revision, endpoint=self.api.endpoint
        )
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        fixed = replace(item, etag="")
        yield from ranged(self.session, url, self.location.name, fixed, offset, length, headers)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except HfHubHTTPError as error:
            status = error.response.status_code if error.response is not None else 500
            raise self._of_status(status) from error
        except (HFValidationError, OfflineModeIsEnabled) as error:
            raise FetchFailed(FetchReason.UNSUPPORTED, f"{self.location.name}: {error}") from error
        except httpx2.TimeoutException as error:
            raise failures.stalled(self.location.name) from error
        except httpx2.HTTPError as error:
            raise _failure(error, self.location.name) from error

    def _of_status(self, status: int) -> FetchFailed:
        """The hub answers 401 for what does not exist, too, to whoever shows no token."""
        if status == 401:
            return FetchFailed(
                FetchReason.CREDENTIALS_REJECTED,
                f"HTTP 401 from {self.location.name}: there is no such repository, or it is "
                "private and wants HF_TOKEN",
            )
        return failures.of_status(status, self.location.name)


def open_hub(location: HubLocation, access: Access, credentials: Credentials) -> HubStore:
    """The hub, or a mirror of it at the endpoint; by the Secret's HF_TOKEN, or as nobody."""
    context = tls_context(credentials)
    timeout = httpx2.Timeout(access.stall_seconds, connect=access.connect_seconds)

    def client() -> httpx2.Client:
        return httpx2.Client(verify=context, follow_redirects=True, timeout=timeout)

    token = credentials.get("HF_TOKEN")
    api = HfApi(endpoint=access.endpoint, token=token or False)
    return HubStore(location, api, client, session(access, credentials), token)


def _object(file: RepoFile, folder: str, single: bool) -> Object:
    path = file.path.rpartition("/")[2] if single else file.path[len(folder) :].lstrip("/")
    digest = file.lfs.sha256 if file.lfs else None
    return Object(path, file.path, file.size, digest or file.blob_id, sha256=digest)


def _failure(error: httpx2.HTTPError, name: str) -> FetchFailed:
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return failures.untrusted(name, text.partition("failed: ")[2] or "unknown authority")
    if "Errno -" in text:  # socket.gaierror's numbers are negative
        return failures.no_address(name)
    if isinstance(error, httpx2.ConnectError):
        return failures.refused(name) if "refused" in text else failures.unreachable(name)
    return failures.cut_off(name)
