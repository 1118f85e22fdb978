"""TensorRT plans: which TensorRT built one, from its first 28 bytes. The rest is undocumented.

Pure. Source: `trtexec --getPlanVersionOnly` of NVIDIA's open TensorRT samples, which reads the
version from the same bytes. Written from that, and not run on a real plan.
"""

from trireme.admission.inspection.model_file import Format, ModelFile, PlanFacts
from trireme.admission.inspection.reader import BoundedReader
from trireme.errors import UnreadableModel

TAG = b"ftrt"
_SERIALIZATION_KNOWN = b"\0\0\0\0"
_HEADER_BYTES = 28
_VERSION_AT = 24  # four bytes: major, minor, patch, build
_FIRST_MAJOR, _LAST_MAJOR = 8, 20  # outside of which the bytes are no version


def read_tensorrt(name: str, reader: BoundedReader) -> ModelFile:
    """What a plan says; plans of TensorRT before 8.6, and of a layout to come, say no version."""
    header = reader.read(0, _HEADER_BYTES)
    if not header.startswith(TAG):
        raise UnreadableModel(
            "it does not begin as a TensorRT plan does",
            "Build the plan again, or name the right file",
        )
    version = None
    if header[4:8] == _SERIALIZATION_KNOWN and _FIRST_MAJOR <= header[_VERSION_AT] <= _LAST_MAJOR:
        version = ".".join(str(byte) for byte in header[_VERSION_AT:_HEADER_BYTES])
    return ModelFile(
        name=name,
        format=Format.TENSORRT,
        size_bytes=reader.size,
        plan=PlanFacts(version=version),
    )
