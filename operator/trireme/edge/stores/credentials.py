"""A mounted Secret: each key is a file."""

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trireme.api.fetch import FetchFailed, FetchReason

_LARGEST_FILE_BYTES = 1024 * 1024  # what a Secret holds at most
_NOT_SECRET = frozenset(
    {"ca.crt", "username", "AWS_REGION", "AWS_ENDPOINT_URL", "AZURE_STORAGE_ACCOUNT_NAME"}
)
_KEYS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_ENDPOINT_URL",
    "GOOGLE_SERVICE_ACCOUNT",
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "HF_TOKEN",
)
"""Those that may also be environment variables, of a person at a command line."""

_SHORTEST_SECRET = 4  # shorter ones are no secrets, and would blot out half of every message


@dataclass(frozen=True, slots=True)
class Credentials:
    """The keys of a Secret, none where there is no Secret. Their values are never shown."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, folder: Path | None) -> "Credentials":
        """The files of a folder. Raises FetchFailed where it is missing or holds no text."""
        if folder is None:
            return cls()
        try:
            return cls({file.name: _text(file) for file in sorted(folder.iterdir()) if _key(file)})
        except (OSError, UnicodeDecodeError) as error:
            raise FetchFailed(
                FetchReason.CREDENTIALS_INVALID, f"the Secret {folder.name} cannot be read: {error}"
            ) from error

    @classmethod
    def of_environment(cls) -> "Credentials":
        """Those of the same names among the environment's variables, for the command line."""
        return cls({key: os.environ[key] for key in _KEYS if os.environ.get(key)})

    def get(self, key: str) -> str | None:
        """The value of a key, without the line end that editors add; None where it is empty."""
        return self.values.get(key, "").strip() or None

    def redact(self, text: str) -> str:
        """A text without any of the secrets, whoever put them there."""
        secrets = (v.strip() for key, v in self.values.items() if key not in _NOT_SECRET)
        for secret in sorted(filter(None, secrets), key=len, reverse=True):
            if len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, "***")
        return text

    def registry_login(self, host: str) -> tuple[str, str] | None:
        """User and password for a registry: `username` and `password`, or `.dockerconfigjson`'s.

        Only what is written there is used: a helper program that it names is never run. Raises
        FetchFailed where it is no such JSON.
        """
        user, password = self.get("username"), self.get("password")
        if user and password:
            return user, password
        text = self.get(".dockerconfigjson")
        if text is None:
            return None
        try:
            auths = json.loads(text)["auths"]
            found = auths.get(host) or auths.get(f"https://{host}") or {}
            if "auth" in found:
                user, _, password = (
                    base64.b64decode(found["auth"], validate=True).decode().partition(":")
                )
            else:
                user, password = found.get("username"), found.get("password")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FetchFailed(
                FetchReason.CREDENTIALS_INVALID, ".dockerconfigjson is not what docker writes"
            ) from error
        return (user, password) if user and password else None


def _key(file: Path) -> bool:
    """Whether this is a key: not the kubelet's own links and folders, whose names begin so."""
    return not file.name.startswith("..") and file.is_file()


def _text(file: Path) -> str:
    with file.open("rb") as opened:
        return opened.read(_LARGEST_FILE_BYTES).decode()
