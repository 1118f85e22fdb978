"""The keys that tokens are derived from, from the files that Secrets are mounted as."""

from pathlib import Path

from trireme.api.node_cache import NodeCacheKey
from trireme.errors import InvalidSettings
from trireme.resources.control import OperatorKey

_FEWEST_BYTES = 32  # as many as HMAC-SHA256 makes use of


def read_operator_key(file: Path | None) -> OperatorKey:
    """The key of agents' control interfaces.

    There is no default: a key made up here would be another one after a restart, and running
    servers would no longer know it. Raises InvalidSettings where there is none, or hardly one.
    """
    return OperatorKey(_read(file, "TRIREME_CONTROL_KEY_FILE"))


def read_node_cache_key(file: Path | None) -> NodeCacheKey:
    """The key that is shared with the caches of the nodes. Raises InvalidSettings, too."""
    return NodeCacheKey(_read(file, "TRIREME_NODE_CACHE_KEY_FILE"))


def _read(file: Path | None, setting: str) -> bytes:
    """The bytes of a file, all of them."""
    if file is None:
        raise InvalidSettings(
            f"{setting} is not set: it must name a file of 32 random bytes or more "
            "(head -c 32 /dev/urandom), the same one at every start"
        )
    try:
        secret = file.read_bytes()
    except OSError as error:
        raise InvalidSettings(f"{setting}: {error}") from error
    if len(secret) < _FEWEST_BYTES:
        raise InvalidSettings(
            f"{setting}: {file} holds {len(secret)} bytes, and a key has {_FEWEST_BYTES} or more"
        )
    return secret
