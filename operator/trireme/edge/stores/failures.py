"""What went wrong, told from what a library raised or a server answered."""

import re
from collections.abc import Callable

from trireme.api.fetch import FetchFailed, FetchReason

_STORAGE_CODE = re.compile(r"<Code>([A-Za-z0-9]{1,64})</Code>")
_STATUS = re.compile(r"status code: (\d{3})")
_CERTIFICATE = re.compile(r"InvalidCertificate\(?\s*(?:Other\(\s*OtherError\(\s*)?([A-Za-z]+)")
_BAD_KEYS = (
    "InvalidAccessKeyId",
    "ExpiredToken",
    "InvalidToken",
    "AuthorizationHeaderMalformed",
    "SignatureDoesNotMatch",
)


def of_status(status: int, name: str, words: str = "") -> FetchFailed:
    """The failure that an HTTP status tells; `words` is the store's own code, such as NoSuchKey."""
    told = f"HTTP {status}{f' {words}' if words else ''}"
    match status:
        case 401 | 403:
            return FetchFailed(
                FetchReason.CREDENTIALS_REJECTED, f"{told} from {name}: the credentials are refused"
            )
        case 404 | 410:
            kind = "bucket" if words == "NoSuchBucket" else "file, folder or repository"
            missing = f"there is no such {kind}"
            return FetchFailed(FetchReason.NOT_FOUND, f"{told} from {name}: {missing}")
        case 412 | 416:
            return FetchFailed(
                FetchReason.CHANGED, f"{told}: {name} is not what it was when it was listed"
            )
        case 429:
            return FetchFailed(FetchReason.SERVER_ERROR, f"{told} from {name}: too many requests")
        case _:
            return _of_other_status(status, told, name, words)


def _of_other_status(status: int, told: str, name: str, words: str) -> FetchFailed:
    if status >= 500:
        return FetchFailed(FetchReason.SERVER_ERROR, f"{told} from {name}")
    if words in _BAD_KEYS:
        return FetchFailed(FetchReason.CREDENTIALS_REJECTED, f"{told} from {name}")
    return FetchFailed(
        FetchReason.UNSUPPORTED, f"{told} from {name}: the request is not understood"
    )


def of_text(text: str, name: str) -> FetchFailed:
    """The failure that the text of an obstore error tells, causes included.

    obstore's exceptions tell only some cases by their class; the Rust causes are in the text. A
    status is looked for first, since behind it comes what the server wrote.
    """
    code = _STORAGE_CODE.search(text)
    if status := _STATUS.search(text):
        return of_status(int(status[1]), name, code[1] if code else "")
    if certificate := _CERTIFICATE.search(text):
        return untrusted(name, certificate[1])
    for words, failure in _WORDS:
        if words in text:
            return failure(name)
    first_line = text.splitlines()[0] if text else "no reason told"
    return FetchFailed(FetchReason.SERVER_ERROR, f"{name}: {first_line[:200]}")


def untrusted(name: str, why: str) -> FetchFailed:
    """The server's certificate is not trusted."""
    return FetchFailed(
        FetchReason.UNTRUSTED, f"{name} has no certificate that is trusted here: {why}"
    )


def no_address(name: str) -> FetchFailed:
    """A host name that DNS does not know."""
    return FetchFailed(FetchReason.UNREACHABLE, f"the host of {name} has no address in DNS")


def refused(name: str) -> FetchFailed:
    """Nobody listens there."""
    return FetchFailed(FetchReason.UNREACHABLE, f"{name}: the connection is refused")


def unreachable(name: str) -> FetchFailed:
    """Any other way of not getting through."""
    return FetchFailed(FetchReason.UNREACHABLE, f"{name}: no connection")


def stalled(name: str) -> FetchFailed:
    """No byte for too long."""
    return FetchFailed(FetchReason.STALLED, f"{name} sent nothing for too long")


def cut_off(name: str) -> FetchFailed:
    """The connection ended before the answer did."""
    return FetchFailed(FetchReason.TRUNCATED, f"{name} ended the connection early")


def no_tls(name: str) -> FetchFailed:
    """An https:// that answers in something else."""
    return FetchFailed(FetchReason.UNTRUSTED, f"{name} does not speak TLS: is it http://?")


def changed(name: str) -> FetchFailed:
    """Other bytes than were listed."""
    return FetchFailed(FetchReason.CHANGED, f"{name} was changed while it was being fetched")


def _other_region(name: str) -> FetchFailed:
    return FetchFailed(
        FetchReason.UNSUPPORTED, f"{name} is in another region: set the region, or AWS_REGION"
    )


def _no_scheme(name: str) -> FetchFailed:
    return FetchFailed(FetchReason.UNSUPPORTED, f"the endpoint of {name} is no https:// URL")


def no_ranges(name: str) -> FetchFailed:
    """The whole object where a part was asked for."""
    return FetchFailed(FetchReason.SERVER_ERROR, f"{name} sends no ranges: is it file storage?")


_WORDS: tuple[tuple[str, Callable[[str], FetchFailed]], ...] = (
    ("dns error", no_address),
    ("ConnectionRefused", refused),
    ("InvalidContentType", no_tls),
    ("kind: Timeout", stalled),
    ("TimedOut", stalled),
    ("kind: Interrupted", cut_off),
    ("kind: Decode", cut_off),
    ("BadScheme", _no_scheme),
    ("BareRedirect", _other_region),
    ("non-partial response", no_ranges),
    ("kind: Connect", unreachable),
    ("error sending request", unreachable),
)
"""What stands in the Rust causes of an obstore error, the telling ones first."""
