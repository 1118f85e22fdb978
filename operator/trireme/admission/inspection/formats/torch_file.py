"""What torch writes: TorchScript, an exported program, or a pickle, which is no program. Pure."""

from trireme.admission.inspection.archive import ZIP_TAG, Archive
from trireme.admission.inspection.formats.torch_export import program_member, read_torch_export
from trireme.admission.inspection.formats.torch_script import (
    EXPORT_IT,
    not_torch_script,
    read_torch_script,
)
from trireme.admission.inspection.model_file import Format, ModelFile
from trireme.admission.inspection.reader import BoundedReader
from trireme.errors import UnreadableModel

LEGACY_TAG = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
"""How torch.save begins a file in its format before 1.6: a pickle of its magic number."""


def read_torch(name: str, reader: BoundedReader) -> ModelFile:
    """What a .pt or .pt2 file says; raises UnreadableModel where it holds no program."""
    head = reader.head(len(LEGACY_TAG))
    if head.startswith(LEGACY_TAG):
        raise UnreadableModel(not_torch_script(None), EXPORT_IT)
    if not head.startswith(ZIP_TAG):
        raise UnreadableModel("it is no archive, as TorchScript files are", EXPORT_IT)
    archive = Archive(reader)
    program = program_member(archive)
    if program is not None:
        return read_torch_export(name, reader.size, archive, program)
    roots = {each.removesuffix("/data.pkl") for each in archive.names if _is_data(each)}
    if len(roots) == 1:
        return read_torch_script(name, reader.size, archive, roots.pop())
    if any("/aotinductor/" in f"/{each}" for each in archive.names):
        return ModelFile(name=name, format=Format.TORCH_EXPORT, size_bytes=reader.size)
    raise UnreadableModel("it is an archive, but not one that torch wrote", EXPORT_IT)


def _is_data(member: str) -> bool:
    """`NAME/data.pkl`, and none of a folder below."""
    return member.endswith("/data.pkl") and member.count("/") == 1
