"""Files over HTTP, by ranges: https:// itself, and what hub and registries send files by."""

import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from urllib3.util.ssl_ import create_urllib3_context

from trireme.api.fetch import FetchFailed, FetchReason
from trireme.edge.stores import failures
from trireme.edge.stores.credentials import Credentials
from trireme.edge.stores.types import CHUNK_BYTES, Access, Listing, Object
from trireme.edge.stores.uri import Location

_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-\d{1,18}|\*)/(\d{1,18})")
_LENGTH = re.compile(r"\d{1,18}")  # longer ones fit no integer of a file system
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")  # OpenSSL's names
_WHOLE, _PART, _NO_SUCH_RANGE = 200, 206, 416


@dataclass(frozen=True, slots=True)
class HttpStore:
    """One file of a web server; a query in its URL goes along and is never shown."""

    location: Location
    uri: str = field(repr=False)
    session: requests.Session = field(repr=False)
    pinned: bool = False

    def list(self) -> Listing:
        """The file's size and version, from a request for its first byte.

        A HEAD would do, but a signed URL allows one method only.
        """
        if not self.location.file_name or self.location.folder:
            raise FetchFailed(
                FetchReason.UNSUPPORTED,
                f"{self.location.name} names no file: a web server lists no folders",
            )
        headers = {"Range": "bytes=0-0", "Accept-Encoding": "identity"}
        with closing(ask(self.session, self.uri, self.location.name, headers)) as answer:
            if answer.status_code == _NO_SUCH_RANGE:
                raise FetchFailed(FetchReason.EMPTY, f"{self.location.name} is an empty file")
            if answer.status_code not in (_WHOLE, _PART):
                raise failures.of_status(answer.status_code, self.location.name)
            _refuse_a_page(answer, self.location)
            item = Object(
                path=self.location.file_name,
                key=self.uri,
                size=_size(answer, self.location.name),
                etag=_etag(answer),
                ranged=answer.status_code == _PART,
            )
        return Listing((item,), single=True)

    def read(self, item: Object, offset: int, length: int) -> Iterator[bytes]:
        """A range of the file."""
        yield from ranged(self.session, self.uri, self.location.name, item, offset, length)


def session(access: Access, credentials: Credentials) -> requests.Session:
    """A session that trusts the Secret's ca.crt beside the system's, and waits only so long.

    Proxies come from the environment, as everywhere. Raises FetchFailed where ca.crt is none.
    """
    made = _Session((access.connect_seconds, access.stall_seconds))
    adapter = _Adapter(tls_context(credentials), access.connections)
    made.mount("https://", adapter)
    return made


def web_session(access: Access, credentials: Credentials) -> requests.Session:
    """The same, with a `username` and `password`, or a bearer `token`, for the host asked."""
    made = session(access, credentials)
    user, password = credentials.get("username"), credentials.get("password")
    if user and password:
        made.auth = HTTPBasicAuth(user.encode(), password.encode())
    elif token := credentials.get("token"):
        made.auth = _Bearer(token)
    return made


def tls_context(credentials: Credentials) -> ssl.SSLContext:
    """TLS that trusts the system's authorities and the Secret's."""
    context = create_urllib3_context()
    context.load_default_certs()
    if authority := credentials.get("ca.crt"):
        try:
            context.load_verify_locations(cadata=authority)
        except (ssl.SSLError, ValueError) as error:
            raise FetchFailed(
                FetchReason.CREDENTIALS_INVALID, f"ca.crt is no certificate in PEM: {error}"
            ) from error
    return context


class _Session(requests.Session):
    """Requests that never wait for ever."""

    def __init__(self, timeout: tuple[float, float]) -> None:
        super().__init__()
        self._timeout = timeout

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        if not kwargs.get("timeout"):
            kwargs["timeout"] = self._timeout
        return super().send(request, **kwargs)


class _Adapter(HTTPAdapter):
    """Connections with a TLS context of ours, as many as ranges are under way."""

    def __init__(self, context: ssl.SSLContext, connections: int) -> None:
        self._context = context
        super().__init__(pool_maxsize=connections)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        return super().proxy_manager_for(proxy, **kwargs, ssl_context=self._context)


class _Bearer(requests.auth.AuthBase):
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def ranged(
    session: requests.Session,
    url: str,
    name: str,
    item: Object,
    offset: int,
    length: int,
    headers: Mapping[str, str] | None = None,
) -> Iterator[bytes]:
    """Exactly `length` bytes of an object, in pieces.

    Raises FetchFailed: where the server sends something else than these bytes of this version of
    the object, or stops.
    """
    asked = {"Accept-Encoding": "identity", **(headers or {})}
    if item.ranged:
        asked["Range"] = f"bytes={offset}-{offset + length - 1}"
    if item.etag.startswith('"'):  # a weak one, W/"...", never matches (RFC 9110, 13.1.1)
        asked["If-Match"] = item.etag
    with closing(ask(session, url, name, asked)) as answer:
        yield from body(answer, name, item, offset, length)


def body(
    answer: requests.Response, name: str, item: Object, offset: int, length: int
) -> Iterator[bytes]:
    """The pieces of an answer to a ranged request, checked to be what was asked for."""
    if answer.status_code == _WHOLE and item.ranged:
        raise failures.no_ranges(name)
    if answer.status_code not in (_WHOLE, _PART):
        raise failures.of_status(answer.status_code, name)
    etag, size = _etag(answer), _size(answer, name)
    if size != item.size or (item.etag and etag and etag != item.etag):
        raise failures.changed(name)
    if answer.status_code == _PART and _first_byte(answer) != offset:
        raise FetchFailed(FetchReason.SERVER_ERROR, f"{name} sends another range than asked for")
    left = length
    with raised(name):
        for chunk in answer.raw.stream(CHUNK_BYTES, decode_content=False):
            if len(chunk) > left:
                raise FetchFailed(FetchReason.SERVER_ERROR, f"{name} sends more than asked for")
            left -= len(chunk)
            yield chunk
    if left:
        raise failures.cut_off(name)


def ask(
    session: requests.Session, url: str, name: str, headers: Mapping[str, str]
) -> requests.Response:
    """The head of an answer, of whatever status; its body is still to be read.

    Raises FetchFailed where there is no answer, or one that came unencrypted where TLS was meant.
    """
    with raised(name):
        answer = session.get(url, headers=dict(headers), stream=True)
    if url.startswith("https:") and not answer.url.startswith("https:"):
        answer.close()
        raise FetchFailed(FetchReason.UNTRUSTED, f"{name} sends on to a URL without TLS")
    return answer


@contextmanager
def raised(name: str) -> Iterator[None]:
    """What requests and urllib3 raise, as FetchFailed."""
    try:
        yield
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise _failure(error, name) from error
    except UnicodeError as error:
        raise FetchFailed(FetchReason.UNSUPPORTED, f"{name} is no URL") from error


def _failure(error: Exception, name: str) -> FetchFailed:
    """The failure that an error tells; the innermost causes tell most."""
    causes = _causes(error)
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return failures.untrusted(name, cause.verify_message)
        if isinstance(cause, ssl.SSLError) and any(
            words in str(cause).upper() for words in _NO_TLS
        ):
            return failures.no_tls(name)
    for kinds, failure in _FAILURES:
        if any(isinstance(cause, kinds) for cause in causes):
            return failure(name)
    return failures.unreachable(name)


def _no_url(name: str) -> FetchFailed:
    return FetchFailed(FetchReason.UNSUPPORTED, f"{name} is no URL")


def _in_circles(name: str) -> FetchFailed:
    return FetchFailed(FetchReason.SERVER_ERROR, f"{name} sends on in circles")


_FAILURES: tuple[tuple[tuple[type[BaseException], ...], Callable[[str], FetchFailed]], ...] = (
    ((socket.gaierror,), failures.no_address),
    ((ConnectionRefusedError,), failures.refused),
    ((urllib3.exceptions.ConnectTimeoutError,), failures.unreachable),
    ((TimeoutError, urllib3.exceptions.ReadTimeoutError), failures.stalled),
    ((ConnectionError, urllib3.exceptions.ProtocolError), failures.cut_off),
    ((requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema), _no_url),
    ((requests.exceptions.TooManyRedirects,), _in_circles),
)
"""What stands among the causes of an error, the telling ones first."""


def _causes(error: BaseException) -> list[BaseException]:
    """An error and what led to it: requests and urllib3 keep causes in arguments and `reason`, too,
    so that the same one is met by several ways.
    """
    found = [error]
    for each in found:
        inner = [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
        found += [e for e in inner if isinstance(e, BaseException) and e not in found]
    return found


def _etag(answer: requests.Response) -> str:
    """What changes with the bytes: the ETag, else the time of the last change."""
    return answer.headers.get("ETag") or answer.headers.get("Last-Modified", "")


def _size(answer: requests.Response, name: str) -> int:
    """Bytes of the whole file."""
    if answer.status_code == _PART:
        if found := _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", "")):
            return int(found[2])
    elif found := _LENGTH.fullmatch(answer.headers.get("Content-Length", "")):
        return int(found[0])
    raise FetchFailed(FetchReason.UNSUPPORTED, f"{name}: the server does not tell the file's size")


def _first_byte(answer: requests.Response) -> int | None:
    found = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    return int(found[1]) if found and found[1] else None


def _refuse_a_page(answer: requests.Response, location: Location) -> None:
    """A login page, or the page about a file, is no model."""
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind == "text/html" and not location.file_name.endswith((".html", ".htm")):
        raise FetchFailed(
            FetchReason.UNSUPPORTED,
            f"{location.name} is a web page: a login, or a page about the file?",
        )
