"""Whether an object is one that Kubernetes knows: by its own schemas, offline and strict."""

import functools
from collections.abc import Mapping
from typing import Any

from kubernetes_validate import utils

VERSION = "1.34"  # that of the integration tests' API server

# It reads a megabyte and a half for each object: a tenth of a second, and hundreds are validated.
utils.schema_contents = functools.cache(utils.schema_contents)


def validate(manifest: Mapping[str, Any]) -> None:
    """Raises kubernetes_validate's ValidationError where it is none."""
    utils.validate(manifest, VERSION, strict=True)
