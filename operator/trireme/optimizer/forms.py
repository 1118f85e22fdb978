"""The forms a model has on its way from what a user gave to what a server loads."""

import hashlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output; `dims` is its shape without the batch dimension."""

    name: str
    data_type: np.dtype[np.generic]
    dims: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name}: {self.data_type} [{', '.join(map(str, self.dims))}]"


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and answers, in its own order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True, slots=True)
class Module:
    """A module of the user's own code: can be trained and cut. Nobody changes it in place."""

    module: torch.nn.Module


@dataclass(frozen=True, slots=True)
class Exported:
    """A graph of torch.export: fixed in evaluation."""

    program: torch.export.ExportedProgram


@dataclass(frozen=True, slots=True)
class Script:
    """A TorchScript program."""

    module: torch.jit.ScriptModule


@dataclass(frozen=True, slots=True)
class Compiled:
    """A torch.export archive compiled by AOTInductor, as the file it is loaded from."""

    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Graph:
    """An ONNX file."""

    content: bytes = field(repr=False)


Form = Module | Exported | Script | Compiled | Graph


@dataclass(frozen=True, slots=True)
class Artefact:
    """What a server loads: a file's canonical name and its content."""

    file: str
    content: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        """The digest of the content."""
        return hashlib.sha256(self.content).hexdigest()


def artefact_of(form: Form, scratch: Path) -> Artefact | None:
    """The file that a form is served as; None where no server loads it as it is."""
    match form:
        case Graph():
            return Artefact("model.onnx", form.content)
        case Compiled():
            return Artefact("model.pt2", form.content)
        case Script():
            return Artefact(
                "model.pt", written(scratch, "model.pt", lambda file: form.module.save(str(file)))
            )
        case _:
            return None


def form_of(artefact: Artefact) -> Form:
    """What a server has of a file: the other way round."""
    match artefact.file:
        case "model.onnx":
            return Graph(artefact.content)
        case "model.pt2":
            return Compiled(artefact.content)
        case _:
            with quiet():
                return Script(torch.jit.load(io.BytesIO(artefact.content), map_location="cpu"))


def written(folder: Path, name: str, write: Callable[[Path], object]) -> bytes:
    """What a library writes that knows files only; the file does not stay."""
    file = folder / name
    write(file)
    content = file.read_bytes()
    file.unlink()
    return content


@contextmanager
def quiet() -> Iterator[None]:
    """Keep to itself what libraries tell that no user can act on: their deprecations of
    TorchScript, which Triton serves, advice on how they were called, and each step they take.
    """
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
