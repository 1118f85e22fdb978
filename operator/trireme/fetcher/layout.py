"""From the files that a source holds to the version directory that Triton reads. Pure.

Triton looks for one name, which its backend tells (model.onnx, model.pt, ...). What is not so named
is renamed where there is no doubt which file is meant; where there is, the error lists what was
found.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from trireme.api.fetch import FetchFailed, FetchReason

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst")
"""Endings of what is unpacked, if the URI names it itself."""

_MOST_LISTED = 10
_VERSION = re.compile(r"[0-9]+")
_CONFIG = "config.pbtxt"
_SAVED_MODEL = "saved_model.pb"  # the file of a SavedModel's folder that is always there
_COMPANIONS = {".xml": ".bin"}  # OpenVINO reads the weights beside the graph, under its name


def is_archive(name: str) -> bool:
    """Whether a file of this name is unpacked."""
    return name.lower().endswith(ARCHIVES)


def version_files(paths: Iterable[str], version: int, source: str) -> dict[str, str]:
    """Of a model as Triton lays it out: each path of the version, to the path within it.

    Raises FetchFailed where there is no such version; a repository's models are not looked into.
    """
    prefix = f"{version}/"
    paths = list(paths)
    found = {path: path[len(prefix) :] for path in paths if path.startswith(prefix)}
    if not found:
        raise FetchFailed(
            FetchReason.LAYOUT,
            f"{source} holds no version {version}, only {listed({_top(path) for path in paths})}",
        )
    return found


def unwrapped(paths: Sequence[str], file_name: str) -> dict[str, str]:
    """An archive's paths, without the one folder that all are in: `resnet/a` is `a`.

    The folder stays where it is what the backend loads (model.savedmodel).
    """
    tops = {_top(path) for path in paths}
    wrapped = len(tops) == 1 and all("/" in path for path in paths)
    if not wrapped or tops == {file_name}:
        return {path: path for path in paths}
    return {path: path.partition("/")[2] for path in paths}


def arranged(paths: Sequence[str], file_name: str, single: bool, source: str) -> dict[str, str]:
    """Each path of a version's files, to the path that it gets in the version directory.

    Raises FetchFailed where what the backend loads is not among them.
    """
    if not paths:
        raise FetchFailed(FetchReason.EMPTY, f"{source} holds no file")
    same = {path: path for path in paths}
    if not file_name or any(_top(path) == file_name for path in paths):
        return same
    if file_name.endswith(".savedmodel") and _SAVED_MODEL in paths:
        return {path: f"{file_name}/{path}" for path in paths}
    if single:
        return {paths[0]: file_name}
    suffix = PurePosixPath(file_name).suffix
    candidates = [p for p in paths if "/" not in p and PurePosixPath(p).suffix == suffix]
    if suffix and len(candidates) == 1:
        return {**same, **_renamed(candidates[0], file_name, same)}
    if _CONFIG in paths and any(_VERSION.fullmatch(_top(path)) for path in paths):
        hint = ": a model as Triton lays it out, so name one of its version folders, or say tree"
    else:
        hint = ""
    raise FetchFailed(
        FetchReason.LAYOUT,
        f"the backend loads {file_name}, but {source} holds {listed(paths)}{hint}",
    )


def listed(names: Iterable[str]) -> str:
    """Names for a message: ten of them, and how many more there are."""
    ordered = sorted(names)
    shown = ", ".join(ordered[:_MOST_LISTED])
    more = len(ordered) - _MOST_LISTED
    return f"{shown} and {more} more" if more > 0 else shown


def _top(path: str) -> str:
    return path.partition("/")[0]


def _renamed(found: str, file_name: str, there: Mapping[str, str]) -> dict[str, str]:
    """The file's new name, and that of a companion which is found by the file's own."""
    old, new = PurePosixPath(found), PurePosixPath(file_name)
    renamed = {found: file_name}
    companion = _COMPANIONS.get(old.suffix)
    if companion and str(old.with_suffix(companion)) in there:
        renamed[str(old.with_suffix(companion))] = str(new.with_suffix(companion))
    return renamed
