"""The operator's own key, from the file that a Secret is mounted as."""

from pathlib import Path

from trireme.errors import InvalidSettings
from trireme.resources.control import OperatorKey

_FEWEST_BYTES = 32  # as many as HMAC-SHA256 makes use of


def read_operator_key(file: Path | None) -> OperatorKey:
    """The bytes of a file, all of them, as a key.

    There is no default: a key made up here would be another one after a restart, and running
    servers would no longer know it. Raises InvalidSettings where there is none, or hardly one.
    """
    if file is None:
        raise InvalidSettings(
            "TRIREME_CONTROL_KEY_FILE is not set: it must name a file of 32 random bytes or more "
            "(head -c 32 /dev/urandom), the same one at every start"
        )
    try:
        secret = file.read_bytes()
    except OSError as error:
        raise InvalidSettings(f"TRIREME_CONTROL_KEY_FILE: {error}") from error
    if len(secret) < _FEWEST_BYTES:
        raise InvalidSettings(
            f"TRIREME_CONTROL_KEY_FILE: {file} holds {len(secret)} bytes, and a key has "
            f"{_FEWEST_BYTES} or more"
        )
    return OperatorKey(secret)
