"""What the fetcher is told (a plan), what it says meanwhile (progress) and at the end (a result).

The operator writes the plan into a ConfigMap; the fetcher runs in the serving pod's init container,
serves its progress there, and leaves its result as the container's termination message. None of the
three holds a secret: credentials are files of a mounted Secret, which the plan only names.
"""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import FailFast, Field, model_validator

from trireme.api import names
from trireme.api.addresses import host_port
from trireme.api.fields import ModelName
from trireme.api.schema import ApiModel
from trireme.api.texts import cut
from trireme.errors import TriremeError

TERMINATION_MESSAGE_BYTES = 4096
"""What the kubelet keeps of one container's termination message (Kubernetes, "Determine the Reason
for Pod Failure")."""

MOST_FETCHES = 256  # versions of models that a pod fetches
_LARGEST_VERSION = 2**63 - 1  # Triton's versions are signed 64-bit integers
_SHORTEST_TEXT = 120  # characters that a message keeps before whole entries are left out
_DIGEST = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class FetchReason(StrEnum):
    """Why a model's files could not be brought, each with what to do about it in `remedy`."""

    UNSUPPORTED = "UnsupportedSource"  # the URI is none that can be fetched from
    CREDENTIALS_REJECTED = "CredentialsRejected"  # 401 or 403
    CREDENTIALS_INVALID = "CredentialsInvalid"  # the Secret's files cannot be used as they are
    VOLUME_REFUSED = "VolumeRefused"  # the pod's user may not read or write there
    NOT_FOUND = "SourceNotFound"  # 404: no such bucket, object, repository or tag
    EMPTY = "SourceEmpty"  # the source is there and holds no file
    CHANGED = "SourceChanged"  # other bytes than at the beginning: the ETag is another
    UNREACHABLE = "SourceUnreachable"  # no address, connection refused, no route
    UNTRUSTED = "CertificateUntrusted"  # TLS: unknown authority, wrong name, expired
    SERVER_ERROR = "SourceServerError"  # 5xx, 429, or what no such server should answer
    STALLED = "DownloadStalled"  # no byte for as long as the plan allows
    TRUNCATED = "DownloadTruncated"  # the connection ended early, again and again
    CHECKSUM = "ChecksumMismatch"  # other bytes than sha256 says
    TOO_LARGE = "SourceTooLarge"  # more than the plan allows
    DISK_FULL = "VolumeFull"  # does not fit into the volume
    ARCHIVE_UNSAFE = "ArchiveUnsafe"  # absolute paths, links out, devices, bombs
    ARCHIVE_DAMAGED = "ArchiveDamaged"  # not readable as what its name says it is
    UNSAFE_PATH = "UnsafePath"  # a file's name leads out of its folder, or no volume can hold it
    LAYOUT = "LayoutUnusable"  # no file where the backend looks for it
    OUT_OF_MEMORY = "FetcherOutOfMemory"  # the kubelet's word for it: OOMKilled
    INTERNAL = "FetcherFailed"  # anything else: a fault of the fetcher or of the volume

    @property
    def transient(self) -> bool:
        """Whether trying again soon may help."""
        return self in _TRANSIENT

    @property
    def unanswered(self) -> bool:
        """Whether the source itself did not answer, so that a cached copy may stand in for it."""
        return self in (FetchReason.UNREACHABLE, FetchReason.STALLED, FetchReason.SERVER_ERROR)

    @property
    def remedy(self) -> str:
        """What the user can do."""
        return _REMEDIES[self]


_TRANSIENT = frozenset(
    {
        FetchReason.UNREACHABLE,
        FetchReason.SERVER_ERROR,
        FetchReason.STALLED,
        FetchReason.TRUNCATED,
    }
)

_REMEDIES = {
    FetchReason.UNSUPPORTED: "Write an s3://, gs://, az://, https://, hf://, oci:// or pvc:// URI "
    "of a file or folder",
    FetchReason.CREDENTIALS_REJECTED: "Check the keys in the Secret and what they may read; object "
    "storage also answers this for objects that do not exist where listing is not allowed",
    FetchReason.CREDENTIALS_INVALID: "Correct the Secret's keys: docs/sources.md names them",
    FetchReason.VOLUME_REFUSED: "Let the group that the pods have as fsGroup, 1000, read and write "
    "there: the kubelet gives it no share whose server refuses and no local volume that other pods "
    "have mounted",
    FetchReason.NOT_FOUND: "Correct the URI, or upload the model",
    FetchReason.EMPTY: "Upload the model's files, or correct the URI",
    FetchReason.CHANGED: "Upload each version of a model to a path of its own and never overwrite "
    "it; the next start of the pod fetches what is there then",
    FetchReason.UNREACHABLE: "Check the host name, the endpoint, the proxy and NetworkPolicies",
    FetchReason.UNTRUSTED: "Put the authority's certificate into the Secret as ca.crt, in PEM",
    FetchReason.SERVER_ERROR: "Look into the server's own log; the fetcher tries again by itself",
    FetchReason.STALLED: "Check the network between this node and the source",
    FetchReason.TRUNCATED: "Check the server, or the proxy in between, for limits on time or size",
    FetchReason.CHECKSUM: "Correct sha256 if the new bytes are meant; if not, find out who changed "
    "them",
    FetchReason.TOO_LARGE: "Raise the limit, or name fewer files by the URI",
    FetchReason.DISK_FULL: "Give the model volume or the node more space",
    FetchReason.ARCHIVE_UNSAFE: "Pack the archive anew: plain files and folders, relative paths",
    FetchReason.ARCHIVE_DAMAGED: "Upload the archive anew, and name it for what it is",
    FetchReason.UNSAFE_PATH: "Rename the file",
    FetchReason.LAYOUT: "Name the file as the backend expects it, or set default_model_filename",
    FetchReason.OUT_OF_MEMORY: "Raise spec.download.memory",
    FetchReason.INTERNAL: "See the init container's log",
}


class FetchFailed(TriremeError):
    """A model's files cannot be brought; `reason` says why, the text is for people."""

    def __init__(self, reason: FetchReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


# ----------------------------------------------------------------------------------------- plan


class Fetch(ApiModel):
    """One version of one model to bring."""

    model: ModelName
    version: int = Field(ge=0, le=_LARGEST_VERSION)
    uri: str = Field(min_length=1, max_length=2048)
    sha256: _DIGEST | None = Field(
        None,
        description="Of the file, or of the archive, that the URI names; of a folder's or prefix's "
        "manifest: what `sha256sum` prints for its files, sorted by path.",
    )
    endpoint: str | None = Field(
        None, max_length=2048, description="Of an S3-compatible store, a hub or an emulator."
    )
    region: str | None = Field(None, max_length=64)
    credentials: str | None = Field(
        None,
        max_length=253,
        pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$",
        description="The folder below /credentials where the model's Secret is mounted.",
    )
    file_name: str = Field(
        "",
        max_length=255,
        pattern=r"^([^/\x00-\x1f\\]*[^./\x00-\x1f\\][^/\x00-\x1f\\]*)?$",
        description="What the backend loads, such as model.onnx; empty renames nothing.",
    )
    tree: bool = Field(
        False, description="Whether the URI holds a model as Triton lays it out: <version>/<files>."
    )


class FetchCache(ApiModel):
    """A volume that keeps what was fetched, shared by pods."""

    path: str = Field(min_length=1, max_length=4096)
    limit_bytes: int = Field(ge=1)


class FetchNodeCache(ApiModel):
    """What keeps fetched files on the pod's own node: `api.node_cache`."""

    url: str = Field(
        max_length=2048,
        pattern=r"^http://[^\s/]+/v1/[a-z0-9-]+$",
        description="Ends with the pod's namespace, whose token is a file beside the plan.",
    )


class FetchPlan(ApiModel):
    """Everything one pod needs."""

    fetches: list[Fetch] = Field(max_length=MOST_FETCHES)
    cache: FetchCache | FetchNodeCache | None = None
    limit_bytes: int | None = Field(
        None, ge=1, description="All files together, as published; the volume's own limit."
    )
    stall_seconds: float = Field(60, gt=0, le=3600, description="Longest time without a byte.")
    connections: int = Field(8, ge=1, le=64, description="Ranges under way at a time.")

    @model_validator(mode="after")
    def _each_version_once(self) -> Self:
        targets = [(fetch.model, fetch.version) for fetch in self.fetches]
        if twice := {f"{m} version {v}" for m, v in targets if targets.count((m, v)) > 1}:
            raise ValueError(f"planned twice: {', '.join(sorted(twice))}")
        return self


# ------------------------------------------------------------------------------------- progress


class FetchPhase(StrEnum):
    """What is being done for a model."""

    WAITING = "Waiting"  # for its turn, or for another pod that fetches the same
    LISTING = "Listing"
    DOWNLOADING = "Downloading"
    COPYING = "Copying"  # out of the cache, checked on the way
    VERIFYING = "Verifying"
    EXTRACTING = "Extracting"
    PUBLISHING = "Publishing"
    DONE = "Done"
    FAILED = "Failed"


class ModelProgress(ApiModel):
    """How far one model is; `bytes_total` is 0 until the source was listed."""

    model: str
    version: int
    phase: FetchPhase = FetchPhase.WAITING
    bytes_done: int = 0
    bytes_total: int = 0


class FetchProgress(ApiModel):
    """How far each model is, in the plan's order: what the progress port answers."""

    models: Annotated[list[ModelProgress], FailFast()]  # of a stranger, mistakes without end


# --------------------------------------------------------------------------------------- result


class FetchSource(StrEnum):
    """Where the bytes came from."""

    NETWORK = "network"
    CACHE = "cache"


class FetchFailure(ApiModel):
    """Why a model could not be brought."""

    reason: FetchReason
    message: str
    remedy: str

    @classmethod
    def of(cls, error: FetchFailed) -> "FetchFailure":
        """The failure that an exception tells."""
        return cls(reason=error.reason, message=error.message, remedy=error.reason.remedy)


class ModelResult(ApiModel):
    """What became of one model: a digest, or a failure.

    `digest` is the sha256 of the published files' manifest, `bytes` their size, `revision` what a
    branch or a tag stood for (a commit, an OCI digest), `note` what else is worth knowing.
    """

    model: str
    version: int
    digest: str | None = None
    bytes: int = 0
    source: FetchSource | None = None
    revision: str | None = None
    note: str | None = None
    failure: FetchFailure | None = None


class FetchResult(ApiModel):
    """What became of every model; `omitted` counts entries that did not fit the message."""

    models: list[ModelResult]
    omitted: int = 0

    @property
    def good(self) -> bool:
        """Whether every model is there."""
        return not self.omitted and not any(model.failure for model in self.models)


def termination_message(result: FetchResult) -> str:
    """The result as JSON of at most 4096 bytes of UTF-8, whatever it holds.

    Texts are shortened first, then entries are left out, those of models that are there before
    those of models that failed; `omitted` counts them.
    """
    longest = TERMINATION_MESSAGE_BYTES
    shown = result
    while len(_encoded(shown)) > TERMINATION_MESSAGE_BYTES:
        if longest > _SHORTEST_TEXT:
            longest //= 2
            shown = FetchResult(models=[_shortened(m, longest) for m in result.models])
            continue
        kept = list(shown.models)
        kept.remove(next((m for m in reversed(kept) if not m.failure), kept[-1]))
        shown = FetchResult(models=kept, omitted=shown.omitted + 1)
    return _encoded(shown).decode()


def _encoded(result: FetchResult) -> bytes:
    return result.model_dump_json(by_alias=True, exclude_none=True).encode()


def _shortened(model: ModelResult, longest: int) -> ModelResult:
    failure = model.failure and model.failure.model_copy(
        update={"message": cut(model.failure.message, longest)}
    )
    note = model.note and cut(model.note, longest)
    return model.model_copy(update={"failure": failure, "note": note})


def progress_url(pod_address: str) -> str:
    """Where a pod that initialises answers with its FetchProgress."""
    return f"http://{host_port(pod_address, names.FETCH_PROGRESS_PORT)}/"
