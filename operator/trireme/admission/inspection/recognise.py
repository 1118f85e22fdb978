"""What a file is instead of a model, by its first bytes. Pure."""

from trireme.admission.inspection.reader import BoundedReader
from trireme.errors import UnreadableModel

_HEAD_BYTES = 512

_LFS_TAG = b"version https://git-lfs.github.com/spec/"
_PAGES = (b"<!doctype html", b"<html", b"<head", b"<body")

_NOT_MODELS = {
    b"\x1f\x8b": ("a gzip archive", "Unpack it first"),
    b"\x28\xb5\x2f\xfd": ("a zstd archive", "Unpack it first"),
    b"BZh": ("a bzip2 archive", "Unpack it first"),
    b"\xfd7zXZ": ("an xz archive", "Unpack it first"),
    b"\x89HDF\r\n": ("an HDF5 file (Keras or PyTables)", "Export it to a format that Triton loads"),
    b"\x93NUMPY": ("a NumPy array", "Name the model's file"),
    b"GGUF": ("a GGUF file, which no backend of Triton loads", "Export it to another format"),
    b"\x7fELF": ("a program or a library", "Name the model's file"),
    b"%PDF": ("a PDF document", "Name the model's file"),
}
"""The first bytes of what is none of the formats here: what it is, and what to do."""

_LONGEST_SAFETENSORS_HEADER = 100_000_000  # of its documentation
_TAR_TAG_AT = 257


def refuse_what_is_no_model(reader: BoundedReader) -> None:
    """Raises UnreadableModel where a file is plainly something else: empty, a pointer, a page."""
    if reader.size == 0:
        raise UnreadableModel("it is empty", "Copy the model's file again")
    head = reader.head(_HEAD_BYTES)
    if head.startswith(_LFS_TAG):
        raise UnreadableModel(
            "it is a Git LFS pointer, not the model",
            "Run git lfs pull where it was cloned, and copy the file again",
        )
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(_PAGES):
        raise UnreadableModel(
            "it is a web page, probably of an error or a login",
            "Open the address that it came from, and download the model itself",
        )
    if text.startswith(b"<?xml") and b"<error>" in text:
        raise UnreadableModel(
            "it is an error message of an object store", "Correct the download, and run it again"
        )
    for tag, (what, remedy) in _NOT_MODELS.items():
        if head.startswith(tag):
            raise UnreadableModel(f"it is {what}", remedy)
    if head[_TAR_TAG_AT:].startswith(b"ustar"):
        raise UnreadableModel("it is a tar archive", "Unpack it first")
    length = int.from_bytes(head[:8], "little")
    if head[8:10] == b'{"' and 2 <= length <= _LONGEST_SAFETENSORS_HEADER:
        raise UnreadableModel(
            "it is a safetensors file: weights without a program",
            "Load it in a python backend's model.py, or export the model",
        )
    if not any(head):
        raise UnreadableModel("it begins with nothing but zeros", "Copy the model's file again")
