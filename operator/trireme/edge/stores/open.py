"""The store that a URI is in."""

from pathlib import Path

from trireme.edge.stores.credentials import Credentials
from trireme.edge.stores.folder import FolderStore
from trireme.edge.stores.types import Access, Store
from trireme.edge.stores.uri import parse, parse_hub


def open_store(uri: str, access: Access, credentials: Credentials) -> Store:
    """What reads a URI; nothing is asked of anybody yet.

    Raises FetchFailed where the URI, or what the Secret holds, cannot be used. Libraries are
    imported only for the scheme at hand.
    """
    location = parse(uri)
    match location.scheme:
        case "s3":
            from trireme.edge.stores.object_storage import open_s3

            return open_s3(location, access, credentials)
        case "gs":
            from trireme.edge.stores.object_storage import open_gcs

            return open_gcs(location, access, credentials)
        case "az":
            from trireme.edge.stores.object_storage import open_azure

            return open_azure(location, access, credentials)
        case "hf":
            from trireme.edge.stores.hub import open_hub

            return open_hub(parse_hub(uri), access, credentials)
        case "oci":
            from trireme.edge.stores.registry import open_registry

            return open_registry(location, access, credentials)
        case "pvc":
            return FolderStore(location, access.claims / location.place)
        case "file":
            return FolderStore(location, Path("/"))
        case _:
            from trireme.edge.stores.http import HttpStore, web_session

            return HttpStore(location, uri, web_session(access, credentials))
