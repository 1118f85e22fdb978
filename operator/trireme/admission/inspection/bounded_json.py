"""JSON out of a file that nobody vouches for, within bounds of memory and depth. Pure."""

import json

from trireme.admission.inspection.model_file import cut
from trireme.errors import InspectionLimit, UnreadableModel

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

_MOST_PARTS = 1_000_000
"""Lists, objects and items; each costs about 80 bytes of memory, so that these are 80 MB."""


def parse_json(content: bytes) -> Json:
    """The value of a JSON text.

    Raises UnreadableModel where it is none, InspectionLimit where it has too many parts or is
    nested too deeply.
    """
    if sum(content.count(mark) for mark in (b"[", b"{", b",")) > _MOST_PARTS:
        raise InspectionLimit(f"its JSON has over {_MOST_PARTS} parts")
    try:
        parsed: Json = json.loads(content)
    except RecursionError:
        raise InspectionLimit("its JSON is nested too deeply") from None
    except ValueError as error:
        raise UnreadableModel(
            f"its JSON cannot be read: {cut(str(error))}", "Export the model again"
        ) from error
    return parsed


def member(value: Json, *path: str) -> Json:
    """What a path of keys leads to; None where it leads to nothing."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value
