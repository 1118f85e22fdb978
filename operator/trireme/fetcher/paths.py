"""Names of files that somebody else chose. Pure."""

import re

from trireme.api.fetch import FetchFailed, FetchReason

_LONGEST_NAME_BYTES = 255  # NAME_MAX of Linux' file systems
_LONGEST_PATH_BYTES = 1024
_DEEPEST = 32
_UNFIT = re.compile(r"[\x00-\x1f\x7f\\]")  # a line end in a name would forge a manifest's line


def safe(path: str, reason: FetchReason = FetchReason.UNSAFE_PATH) -> str:
    """A path that stays below the folder it is written into, without `.` and doubled slashes.

    Raises FetchFailed (`reason`) for any other: absolute, with `..`, with characters or lengths
    that files cannot have.
    """
    shown = ascii(path[:200])
    parts = [part for part in path.split("/") if part not in ("", ".")]
    try:
        encoded = [part.encode() for part in parts]
    except UnicodeEncodeError:
        raise FetchFailed(reason, f"the name {shown} is no UTF-8") from None
    problem = None
    if path.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:", path):
        problem = "leads out of its folder"
    elif not parts:
        problem = "names no file"
    elif _UNFIT.search(path):
        problem = "holds a control character or a backslash"
    elif max(map(len, encoded)) > _LONGEST_NAME_BYTES:
        problem = f"is longer than the {_LONGEST_NAME_BYTES} bytes of a file name"
    elif sum(map(len, encoded)) + len(encoded) - 1 > _LONGEST_PATH_BYTES or len(parts) > _DEEPEST:
        problem = "is too long or too deep"
    if problem:
        raise FetchFailed(reason, f"the name {shown} {problem}")
    return "/".join(parts)


def refuse_clashes(paths: list[str], reason: FetchReason = FetchReason.UNSAFE_PATH) -> None:
    """Raises FetchFailed where a file is there twice, or is at once a folder of another."""
    files: set[str] = set()
    for path in paths:
        if path in files:
            raise FetchFailed(reason, f"the name {path!a} is there twice")
        files.add(path)
    folders = {path[:at] for path in files for at, letter in enumerate(path) if letter == "/"}
    for path in sorted(files & folders):
        raise FetchFailed(reason, f"the name {path!a} is both a file and a folder")
