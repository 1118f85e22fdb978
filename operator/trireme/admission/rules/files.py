"""Faults of the small files beside a model's versions, and of what names them. Pure."""

import re
from collections.abc import Iterator

from trireme.admission.places import Owner, models, owners
from trireme.admission.words import below, nearest
from trireme.api.agent import AgentSpec
from trireme.api.models import Model
from trireme.errors import Fault
from trireme.modelrepo.sources import served_versions

_VERSION = re.compile(r"0|[1-9][0-9]*")  # Triton serves 0 too, and passes over 01
_WARMUP, _INITIAL_STATE = "warmup", "initial_state"  # the folders that Triton's core reads them in


def file_leaves_its_folder(spec: AgentSpec) -> Iterator[Fault]:
    """The kubelet mounts nothing outside the model's directory."""
    for path, owner in owners(spec):
        for index, file in enumerate(owner.files):
            if {".", ".."} & set(file.path.split("/")):
                yield Fault(
                    f"{path}.files[{index}].path",
                    file.path,
                    "path must not hold . or .. as a folder",
                    "Write it below the model's directory: labels.txt",
                )


def file_takes_the_place_of_another(spec: AgentSpec) -> Iterator[Fault]:
    """Of the configuration, of a version's directory, or of a folder that another file is in."""
    for path, owner in owners(spec):
        paths = [file.path for file in owner.files]
        for index, file in enumerate(owner.files):
            place, first = f"{path}.files[{index}].path", file.path.partition("/")[0]
            inside = next((each for each in paths if each.startswith(f"{file.path}/")), None)
            if file.path == "config.pbtxt":
                message = "config.pbtxt is Trireme's own"
                remedy = "Say what it holds in the fields of the model, or in config"
            elif _VERSION.fullmatch(first):
                message = f"{first} is the directory of a version"
                remedy = "Put the file into the version's source, or into another folder"
            elif inside is not None:
                message = f"{file.path} is the folder of {inside}"
                remedy = "Give one of the two another path"
            else:
                continue
            yield Fault(place, file.path, message, remedy)


def file_is_not_there(spec: AgentSpec) -> Iterator[Fault]:
    """Named by an output, a warm-up or a state, and no file of the model's."""
    for path, owner in owners(spec):
        known = [file.path for file in owner.files]
        inside = tuple(f"{version}/" for version in _versions(owner))
        for place, field, folder, name in _named_files(path, owner):
            wanted = f"{folder}/{name}" if folder else name
            if wanted not in known and not wanted.startswith(inside):
                likely = nearest(wanted, known)
                yield Fault(
                    place,
                    name,
                    f"{field} names {wanted}, which is none of files",
                    f"Did you mean {likely}?" if likely else f"Add {wanted} to files",
                )


def _versions(owner: Owner) -> list[int]:
    return [served.version for served in served_versions(owner)] if isinstance(owner, Model) else []


def _named_files(path: str, owner: Owner) -> Iterator[tuple[str, str, str, str]]:
    """Where a file is named, by which field, the folder it is sought in, and its name."""
    for index, output in enumerate(owner.outputs):
        if output.labels is not None:
            yield f"{path}.outputs[{index}].labels", "labels", "", output.labels
    if not isinstance(owner, Model):
        return
    for index, entry in enumerate(owner.warmup):
        for name, special in entry.inputs.items():
            if special.file is not None:
                place = below(f"{path}.warmup[{index}].inputs", name, "file")
                yield place, "file", _WARMUP, special.file
    sequence = owner.batching.sequence if owner.batching else None
    for index, state in enumerate(sequence.states if sequence else []):
        for at, initial in enumerate(state.initial):
            if initial.file is not None:
                place = f"{path}.batching.sequence.states[{index}].initial[{at}].file"
                yield place, "file", _INITIAL_STATE, initial.file


# ------------------------------------------------------------------------------------- warnings


def files_without_a_use(spec: AgentSpec) -> Iterator[Fault]:
    """Data for a warm-up or a state that nothing names: mostly a folder misspelt."""
    for path, model in models(spec):
        named = {f"{folder}/{name}" for _, _, folder, name in _named_files(path, model) if folder}
        for index, file in enumerate(model.files):
            is_data = file.path.partition("/")[0] in (_WARMUP, _INITIAL_STATE)
            if is_data and file.path not in named:
                yield Fault(
                    f"{path}.files[{index}].path",
                    file.path,
                    f"nothing names {file.path}",
                    "Name it, without its folder, in warmup or in a state's initial; or remove it",
                )
