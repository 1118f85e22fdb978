"""What was made of a model, taken out of its folder by nothing that may be in it.

Who made it may have been hostile, and credentials are mounted beside it: so each folder is opened
from the one that holds it, and a file from its folder, none through a link; what is read is what
was opened.
"""

import os
import stat
from contextlib import ExitStack
from io import BufferedReader
from itertools import islice
from pathlib import Path

from pydantic import ValidationError

from trireme.api.fetch import TERMINATION_MESSAGE_BYTES, FetchFailed, FetchReason
from trireme.api.optimize import DELIVERED_FILE, DELIVERED_FILES, RESULT_FILE, OptimizeResult

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe is not waited for


def open_file(opened: ExitStack, folder: Path, name: str) -> BufferedReader | None:
    """One plain file of a mounted folder; None where it has none. Raises FetchFailed."""
    return _opened(opened, _kept(opened, os.open(folder, _FOLDER)), name)


def open_files(opened: ExitStack, mounted: Path, *below: str) -> dict[str, BufferedReader]:
    """The files of a folder below a mounted one, by name; none where there is no such folder.
    Raises FetchFailed where it holds anything but a few plain files with plain names.
    """
    folder = _descended(opened, mounted, *below)
    if folder is None:
        return {}
    with os.scandir(folder) as found:
        names = sorted(each.name for each in islice(found, DELIVERED_FILES + 1))
    if len(names) > DELIVERED_FILES:
        raise _refused(f"more than {DELIVERED_FILES} files")
    files = {}
    for name in names:
        content = _opened(opened, folder, name) if DELIVERED_FILE.fullmatch(name) else None
        if content is None:
            raise _refused(repr(name))
        files[name] = content
    return files


def result_of(mounted: Path) -> OptimizeResult:
    """What is said to have been made, beside it. Raises FetchFailed."""
    with ExitStack() as opened:
        file = open_file(opened, mounted, RESULT_FILE)
        text = b"" if file is None else file.read(TERMINATION_MESSAGE_BYTES + 1)
    try:
        return OptimizeResult.model_validate_json(text)
    except ValidationError as error:
        raise FetchFailed(
            FetchReason.LAYOUT, f"what was made of the model has no {RESULT_FILE} that can be read"
        ) from error


def _descended(opened: ExitStack, mounted: Path, *below: str) -> int | None:
    """A folder, opened step by step; None where one is not there. Raises FetchFailed at a link."""
    folder = _kept(opened, os.open(mounted, _FOLDER))
    for name in below:
        try:
            folder = _kept(opened, os.open(name, _FOLDER, dir_fd=folder))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _refused(repr(name)) from error
    return folder


def _opened(opened: ExitStack, folder: int, name: str) -> BufferedReader | None:
    try:
        handle = _kept(opened, os.open(name, _FILE, dir_fd=folder))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _refused(repr(name)) from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        raise _refused(repr(name))
    return opened.enter_context(os.fdopen(handle, "rb", closefd=False))


def _kept(opened: ExitStack, handle: int) -> int:
    opened.callback(os.close, handle)
    return handle


def _refused(what: str) -> FetchFailed:
    return FetchFailed(
        FetchReason.UNSAFE_PATH,
        f"what was made of the model holds {what}, and may hold {DELIVERED_FILES} plain files in "
        "each of its folders, and no link",
    )
