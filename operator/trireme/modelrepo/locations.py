"""Where one version's files are, of a repository that lies at a URI: the source that says it. Pure.

Most places have folders, so a repository lies there as it does on a disk. A web server has files
only, and a registry artefacts with tags.
"""

import re
from collections.abc import Sequence
from urllib.parse import quote

from trireme.errors import TriremeError

_ARTEFACT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
"""A part of a repository's name (OCI distribution specification 1.1, "Pulling manifests")."""


class NoPlace(TriremeError):
    """A place cannot hold a version as it is; the text says why, `remedy` what to do instead."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def version_uri(location: str, directory: str, version: int, files: Sequence[str]) -> str:
    """The URI of a version's files, for a repository at `location`, which ends in a slash.

    `directory` is the model's, empty where the repository is that one model; `files` are the paths
    in the version's folder. Raises NoPlace.
    """
    scheme = location.partition("://")[0]
    below = f"{location}{directory}/" if directory else location
    if scheme == "https":
        return _file(below, version, files)
    if scheme == "oci":
        return _artefact(below.rstrip("/"), version)
    return f"{below}{version}/"


def _file(below: str, version: int, files: Sequence[str]) -> str:
    if "?" in below or "#" in below:
        raise NoPlace(
            "a query is of one file, and --at names the place of all",
            "Name the folder, and put what gives access into a Secret",
        )
    if len(files) != 1:
        raise NoPlace(
            f"https:// names one file, and there are {len(files)} in it",
            "Name a place that has folders by --at, or pack them and name the archive in the spec",
        )
    return f"{below}{version}/{quote(files[0])}"


def _artefact(repository: str, version: int) -> str:
    """`oci://registry.example/models/encoder:3`: what `oras push` makes of the version's folder."""
    registry, *parts = repository.removeprefix("oci://").split("/")
    if any(":" in part or "@" in part for part in parts):
        raise NoPlace(
            "a tag or a digest is of one artefact, and each version is one of its own",
            "Name the repository above by --at: MODEL:VERSION is added",
        )
    wrong = [part for part in parts if not _ARTEFACT.fullmatch(part)]
    if wrong or not parts:
        what = f"{wrong[0]} can be no part" if wrong else f"{registry} is a registry, and no part"
        raise NoPlace(
            f"{what} of a repository's name in a registry",
            "Rename it: lower-case letters, digits, and single . _ - between",
        )
    return f"{repository}:{version}"
