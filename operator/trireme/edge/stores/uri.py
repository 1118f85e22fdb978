"""A source's URI, taken apart. Pure."""

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from trireme.api.fetch import FetchFailed, FetchReason

SCHEMES = ("s3", "gs", "az", "https", "http", "hf", "oci", "pvc", "file")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Location:
    """A bucket, container, host or claim, and a path in it without slashes around it.

    `folder` tells a path that was written with a slash at its end.
    """

    scheme: str
    place: str
    path: str
    folder: bool

    @property
    def name(self) -> str:
        """The URI as messages show it: no user, no password, no query."""
        slash = "/" if self.folder and self.path else ""
        return f"{self.scheme}://{self.place}/{self.path}{slash}"

    @property
    def file_name(self) -> str:
        """The path's last part; empty of a registry, whose manifest names the files."""
        return "" if self.scheme == "oci" else self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class HubLocation:
    """A path in a repository of the Hugging Face hub, as of a revision."""

    repository: str
    revision: str
    path: str

    @property
    def name(self) -> str:
        """The URI; it holds nothing secret."""
        path = f"/{self.path}" if self.path else ""
        return f"hf://{self.repository}@{self.revision}{path}"

    @property
    def file_name(self) -> str:
        """The path's last part."""
        return self.path.rpartition("/")[2]

    @property
    def pinned(self) -> bool:
        """Whether the revision is a whole commit hash."""
        return _COMMIT.fullmatch(self.revision) is not None


def parse(uri: str) -> Location:
    """The parts of a URI. Raises FetchFailed where it is none that can be fetched from."""
    match = _SCHEME.match(uri)
    scheme = match[1].lower() if match else ""
    if scheme not in SCHEMES:
        problem = f"the scheme {scheme}:// is unknown" if scheme else "the URI has no scheme"
        raise FetchFailed(FetchReason.UNSUPPORTED, f"{problem}: {shown(uri)}")
    try:
        split = urlsplit(uri)
        place = split.netloc.rpartition("@")[2]
        _ = split.port  # raises where it is no number
    except ValueError as error:
        raise FetchFailed(FetchReason.UNSUPPORTED, f"this is no URI: {shown(uri)}") from error
    path = split.path if scheme != "https" and scheme != "http" else unquote(split.path)
    if scheme in ("s3", "gs", "az", "pvc", "file"):
        # Object keys may hold `?` and `#`, so nothing after the place is taken for a query.
        path = uri[match.end() :].partition("/")[2] if match else ""
    if scheme != "file" and not place:
        raise FetchFailed(FetchReason.UNSUPPORTED, f"the URI names no place: {shown(uri)}")
    return Location(scheme, place, path.strip("/"), path.endswith("/") or not path.strip("/"))


def shown(uri: str) -> str:
    """A URI without user, password and query, where signatures and tokens are."""
    head = re.split(r"[?#]", uri, maxsplit=1)[0]
    before, slashes, rest = head.partition("://")
    place, slash, path = rest.partition("/")
    return f"{before}{slashes}{place.rpartition('@')[2]}{slash}{path}"[:200]


def parse_hub(uri: str) -> HubLocation:
    """`hf://owner/repository[@revision][/path]`; a revision's own slashes are written %2F.

    Raises FetchFailed for anything else.
    """
    parts = uri.partition("://")[2].strip("/").split("/")
    if len(parts) < 2 or not all(parts[:2]):
        raise FetchFailed(
            FetchReason.UNSUPPORTED,
            f"{shown_hub(uri)} is not hf://owner/repository[@revision][/path]",
        )
    name, _, revision = parts[1].partition("@")
    return HubLocation(f"{parts[0]}/{name}", unquote(revision) or "main", "/".join(parts[2:]))


def shown_hub(uri: str) -> str:
    """A hub's URI for messages; its `@` is no user's."""
    return re.split(r"[?#]", uri, maxsplit=1)[0][:200]
