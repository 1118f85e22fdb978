"""An inspection as text of at most 4 KiB: what a container may leave in its termination message.

Pure. The text is JSON; a long one is JSON compressed, since names of tensors repeat each other.
"""

import base64
import binascii
import zlib

from pydantic import ValidationError

from trireme.admission.inspection.model_file import Inspection
from trireme.errors import UnreadableModel

LONGEST_REPORT_BYTES = 4096
"""What Kubernetes keeps of a container's termination message."""

_COMPRESSED = "zlib:"
_LARGEST_UNPACKED_BYTES = 1024 * 1024
_FIRST_FINDINGS = 4


def to_report(inspection: Inspection) -> str:
    """The text of an inspection; of one that is too long even so, its findings and its size."""
    shorter = inspection.model_copy(
        update={
            "file": None,
            "findings": inspection.findings[:_FIRST_FINDINGS],
            "not_inspected": f"what the model file says of itself is over {LONGEST_REPORT_BYTES} "
            "bytes",
        }
    )
    bare = Inspection(not_inspected=shorter.not_inspected, total_bytes=inspection.total_bytes)
    for each in (inspection, shorter):
        plain = each.model_dump_json(by_alias=True, exclude_defaults=True)
        packed = _COMPRESSED + base64.b64encode(zlib.compress(plain.encode(), 9)).decode()
        for text in (plain, packed):
            if len(text.encode()) <= LONGEST_REPORT_BYTES:
                return text
    return bare.model_dump_json(by_alias=True, exclude_defaults=True)


def from_report(text: str) -> Inspection:
    """The inspection that a text is of.

    Raises UnreadableModel where it is none: what was inspected may have tampered with it.
    """
    try:
        return Inspection.model_validate_json(_unpacked(text))
    except (ValidationError, ValueError, zlib.error, binascii.Error, RecursionError) as error:
        raise UnreadableModel(
            "what was reported of the model file cannot be read", "Inspect the model again"
        ) from error


def _unpacked(text: str) -> bytes:
    if not text.startswith(_COMPRESSED):
        return text.encode()
    packed = base64.b64decode(text.removeprefix(_COMPRESSED), validate=True)
    return zlib.decompressobj().decompress(packed, _LARGEST_UNPACKED_BYTES)
