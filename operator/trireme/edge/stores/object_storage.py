"""S3, Google Cloud Storage and Azure Blob Storage, through obstore."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, BinaryIO

from obstore.exceptions import BaseError, InvalidPathError
from obstore.store import AzureStore, GCSStore, S3Store

from trireme.api.fetch import FetchFailed, FetchReason
from trireme.edge.stores import failures
from trireme.edge.stores.credentials import Credentials
from trireme.edge.stores.types import CHUNK_BYTES, Access, Listing, Object
from trireme.edge.stores.uri import Location

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

Bucket = S3Store | GCSStore | AzureStore

LARGEST_LISTING = 10_000
"""Objects below one prefix; a model has few, so that more means a wrong URI."""

_NO_RETRIES: "RetryConfig" = {"max_retries": 0}  # the fetcher's own are seen in its progress
_AWS_IDENTITY = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_ACCESS_KEY_ID",
)
_AZURE_IDENTITY = ("AZURE_FEDERATED_TOKEN_FILE", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_CLIENT_ID")


@dataclass(slots=True)
class ObjectStorage:
    """A bucket, or a container, and a path in it.

    `identities` open the bucket as one or another; the next one is tried where one is refused.
    """

    location: Location
    identities: Sequence[Callable[[], Bucket]]
    pinned: bool = False
    _bucket: Bucket | None = None

    def list(self) -> Listing:
        """The object of this name, or everything below it as a prefix."""
        *others, last = self.identities
        for identity in others:
            try:
                return self._listed(self._open(identity))
            except FetchFailed as failure:
                if failure.reason is not FetchReason.CREDENTIALS_REJECTED:
                    raise
        return self._listed(self._open(last))

    def _open(self, identity: Callable[[], Bucket]) -> Bucket:
        try:
            self._bucket = identity()
        except (BaseError, ValueError) as error:
            raise FetchFailed(
                FetchReason.CREDENTIALS_INVALID,
                f"{self.location.name}: the Secret cannot be used: "
                f"{str(error).splitlines()[0][:200]}",
            ) from error
        return self._bucket

    def _listed(self, bucket: Bucket) -> Listing:
        path, refusal = self.location.path, None
        if path and not self.location.folder:
            try:
                with _told(self.location.name):
                    meta = bucket.head(path)
                item = Object(self.location.file_name, path, meta["size"], meta["e_tag"] or "")
                return Listing((item,), single=True)
            except FetchFailed as failure:
                if failure.reason is FetchReason.CREDENTIALS_REJECTED:
                    refusal = failure  # a HEAD says no more; what a list answers has a code in it
                elif failure.reason is not FetchReason.NOT_FOUND:
                    raise
        objects = self._below(bucket, path)
        if not objects:
            raise refusal or FetchFailed(
                FetchReason.NOT_FOUND,
                f"{self.location.scheme}://{self.location.place} holds no object {path!r} "
                f"and none below {path + '/'!r}"
                if path
                else f"{self.location.name} holds no object",
            )
        return Listing(objects, single=False)

    def _below(self, bucket: Bucket, prefix: str) -> tuple[Object, ...]:
        found: list[Object] = []
        with _told(self.location.name):
            for page in bucket.list(prefix or None):
                for meta in page:
                    path = meta["path"][len(prefix) :].lstrip("/")
                    if path:  # the prefix itself may be an object: what consoles call a folder
                        found.append(Object(path, meta["path"], meta["size"], meta["e_tag"] or ""))
                if len(found) > LARGEST_LISTING:
                    raise FetchFailed(
                        FetchReason.TOO_LARGE,
                        f"{self.location.name} holds more than {LARGEST_LISTING:,} objects",
                    )
        folders = {f.path[:end] for f in found for end, c in enumerate(f.path) if c == "/"}
        kept = (each for each in found if each.size or each.path not in folders)
        return tuple(sorted(kept, key=lambda each: each.path))

    def read(self, item: Object, offset: int, length: int) -> Iterator[bytes]:
        """A range of an object, if it still is the one that was listed."""
        bucket = self._bucket or self._open(self.identities[-1])
        left = length
        with _told(f"{self.location.scheme}://{self.location.place}/{item.key}"):
            answer = bucket.get(
                item.key,
                options={"range": (offset, offset + length), "if_match": item.etag or None},
            )
            if answer.meta["size"] != item.size:
                raise failures.changed(self.location.name)
            for chunk in answer.stream(min_chunk_size=CHUNK_BYTES):
                left -= len(chunk)
                yield bytes(chunk)
        if left:
            raise failures.cut_off(self.location.name)

    def write(self, path: str, content: BinaryIO) -> None:
        """An object below this path as a prefix, by the identity that is asked last."""
        bucket = self._bucket or self._open(self.identities[-1])
        key = f"{self.location.path}/{path}".lstrip("/")
        with _told(f"{self.location.scheme}://{self.location.place}/{key}"):
            content.seek(0)
            bucket.put(key, content)


@contextmanager
def _told(name: str) -> Iterator[None]:
    """obstore's errors as ours."""
    try:
        yield
    except InvalidPathError as error:
        raise FetchFailed(
            FetchReason.UNSAFE_PATH, f"{name}: {str(error).splitlines()[0][:200]}"
        ) from error
    except (BaseError, OSError) as error:
        raise failures.of_text(str(error), name) from error
    except ValueError as error:
        raise FetchFailed(
            FetchReason.UNSUPPORTED, f"{name}: {str(error).splitlines()[0][:200]}"
        ) from error


def open_s3(location: Location, access: Access, credentials: Credentials) -> ObjectStorage:
    """Amazon S3 and its like: by the Secret's keys, by the pod's role, or as nobody."""
    key, secret = credentials.get("AWS_ACCESS_KEY_ID"), credentials.get("AWS_SECRET_ACCESS_KEY")
    if bool(key) != bool(secret):
        missing = "AWS_SECRET_ACCESS_KEY" if key else "AWS_ACCESS_KEY_ID"
        raise FetchFailed(FetchReason.CREDENTIALS_INVALID, f"the Secret holds no {missing}")
    config = _present(
        endpoint=access.endpoint or credentials.get("AWS_ENDPOINT_URL"),
        region=access.region or credentials.get("AWS_REGION"),
        access_key_id=key,
        secret_access_key=secret,
        session_token=credentials.get("AWS_SESSION_TOKEN"),
    )
    anonymous = not key and not any(map(os.environ.get, _AWS_IDENTITY))
    endpoint = config.get("endpoint", "")

    def bucket() -> Bucket:
        return S3Store(
            location.place,
            config=config,  # type: ignore[arg-type]
            skip_signature=anonymous,
            client_options=_client(access, credentials, endpoint),
            retry_config=_NO_RETRIES,
        )

    return ObjectStorage(location, [bucket])


def open_gcs(location: Location, access: Access, credentials: Credentials) -> ObjectStorage:
    """Google Cloud Storage: by a service account's key, else as nobody, else by the pod's own
    identity, which is asked for last since outside of Google's cloud nobody answers.
    """
    key = credentials.get("GOOGLE_SERVICE_ACCOUNT")
    config = _present(service_account_key=key, base_url=access.endpoint)

    def bucket(anonymous: bool) -> Bucket:
        return GCSStore(
            location.place,
            config=config,  # type: ignore[arg-type]
            skip_signature=anonymous,
            client_options=_client(access, credentials, access.endpoint or ""),
            retry_config=_NO_RETRIES,
        )

    def signed() -> Bucket:
        return bucket(anonymous=False)

    def unsigned() -> Bucket:
        return bucket(anonymous=True)

    return ObjectStorage(location, [signed] if key else [unsigned, signed])


def open_azure(location: Location, access: Access, credentials: Credentials) -> ObjectStorage:
    """Azure Blob Storage: by an account's key or a SAS, the pod's identity, or as nobody."""
    account = credentials.get("AZURE_STORAGE_ACCOUNT_NAME")
    if not account and not os.environ.get("AZURE_STORAGE_ACCOUNT_NAME"):
        raise FetchFailed(
            FetchReason.CREDENTIALS_INVALID,
            "az:// needs AZURE_STORAGE_ACCOUNT_NAME in the Secret: which account the container is "
            "in",
        )
    key, sas = (
        credentials.get("AZURE_STORAGE_ACCOUNT_KEY"),
        credentials.get("AZURE_STORAGE_SAS_TOKEN"),
    )
    config = _present(account_name=account, account_key=key, sas_key=sas, endpoint=access.endpoint)
    anonymous = not (key or sas) and not any(map(os.environ.get, _AZURE_IDENTITY))

    def bucket() -> Bucket:
        return AzureStore(
            location.place,
            config=config,  # type: ignore[arg-type]
            skip_signature=anonymous,
            client_options=_client(access, credentials, access.endpoint or ""),
            retry_config=_NO_RETRIES,
        )

    return ObjectStorage(location, [bucket])


def _present(**values: str | None) -> dict[str, str]:
    return {key: value for key, value in values.items() if value}


def _client(access: Access, credentials: Credentials, endpoint: str) -> "ClientConfig":
    """Proxies come from the environment; an authority is trusted beside the system's."""
    options: ClientConfig = {
        "allow_http": endpoint.startswith("http://"),
        "connect_timeout": timedelta(seconds=access.connect_seconds),
        "read_timeout": timedelta(seconds=access.stall_seconds),
        "timeout": timedelta(days=1),  # of a whole range; its default of 30 s cuts slow lines off
    }
    if authority := credentials.get("ca.crt"):
        options["root_certificate"] = authority
    return options
