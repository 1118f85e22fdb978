"""Which of a source's files are wanted, and the names they get in the version directory. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from trireme.api.fetch import Fetch, FetchFailed, FetchReason
from trireme.edge.stores.types import Listing
from trireme.fetcher import layout
from trireme.fetcher.paths import refuse_clashes, safe


def selected(listing: Listing, fetch: Fetch, source: str) -> Listing:
    """The files that are wanted, by names that files may have.

    Raises FetchFailed: what can be told from names alone is told before anything is downloaded.
    """
    if not listing.size:
        raise FetchFailed(FetchReason.EMPTY, f"{source} holds no file with content")
    if is_archive(listing):
        return listing
    paths = {item.path: safe(item.path) for item in listing.objects}
    if fetch.tree:
        paths = layout.version_files(paths, fetch.version, source)
    named = [replace(i, path=paths[i.path]) for i in listing.objects if i.path in paths]
    listing = replace(listing, objects=tuple(named))
    arranged_names([item.path for item in listing.objects], listing.single, fetch, source)
    return listing


def is_archive(listing: Listing) -> bool:
    """Whether this is one file that is unpacked."""
    return listing.single and layout.is_archive(listing.objects[0].path)


def arranged_names(paths: Sequence[str], single: bool, fetch: Fetch, source: str) -> dict[str, str]:
    """Each path, to the path that it gets in the version directory. Raises FetchFailed."""
    refuse_clashes(list(paths))
    arranged = layout.arranged(paths, fetch.file_name, single, source)
    refuse_clashes(list(arranged.values()), FetchReason.LAYOUT)
    return arranged


def archived_names(paths: Sequence[str], fetch: Fetch, source: str) -> dict[str, str]:
    """Each path of an archive that is wanted, to the path that it gets in the version directory.

    Raises FetchFailed.
    """
    names = layout.unwrapped(paths, fetch.file_name)
    wanted = {short: path for path, short in names.items()}
    if fetch.tree:
        versions = layout.version_files(wanted, fetch.version, source)
        wanted = {short: wanted[path] for path, short in versions.items()}
    arranged = arranged_names(list(wanted), False, fetch, source)
    return {wanted[short]: name for short, name in arranged.items()}
