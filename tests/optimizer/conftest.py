"""Small models that are trained here, on digits that scikit-learn ships; shared by all tests."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from trireme.optimizer.forms import Exported, Graph, Module, Script, quiet
from trireme.optimizer.loading import Original, open_model
from trireme.optimizer.samples import Samples
from trireme.optimizer.technique import Workbench
from trireme.optimizer.techniques.onnx_export import OnnxExport
from trireme.optimizer.wishes import ModelSource

FACTORY = """
from torch import nn


class Digits(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.second = nn.Conv2d(16, 16, 3, padding=1)
        self.hidden = nn.Linear(16 * 16, 64)
        self.last = nn.Linear(64, 10)

    def forward(self, image):
        found = self.norm(self.first(image)).relu()
        found = nn.functional.max_pool2d(self.second(found).relu(), 2).flatten(1)
        return self.last(self.hidden(found).relu())


def make():
    return Digits()


def wrong():
    return 3
"""


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """The same sums in the same order, on any number of cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        yield Path(place)


@pytest.fixture(scope="session")
def digits() -> Samples:
    """All of them; the model has seen the first 600."""
    images, labels = load_digits(return_X_y=True)
    return Samples({"image": (images / 16).reshape(-1, 1, 8, 8).astype(np.float32)}, labels)


@pytest.fixture(scope="session")
def source(folder: Path, digits: Samples) -> ModelSource:
    """A factory and the weights that a short training gave it."""
    (folder / "digits.py").write_text(FACTORY, encoding="utf-8")
    names: dict[str, type[torch.nn.Module]] = {}
    exec(FACTORY, names)  # noqa: S102
    torch.manual_seed(0)
    module = names["Digits"]()
    images = torch.from_numpy(digits.inputs["image"][:600])
    labels = torch.from_numpy(digits.labels[:600])
    optimiser = torch.optim.AdamW(module.parameters(), 3e-3)
    for _ in range(10):
        for chosen in torch.randperm(600).split(32):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(module(images[chosen]), labels[chosen]).backward()
            optimiser.step()
    torch.save(module.state_dict(), folder / "digits.weights")
    return ModelSource(f"{folder}/digits.py:make", f"{folder}/digits.weights")


@pytest.fixture(scope="session")
def unseen(digits: Samples) -> Samples:
    return digits.take(slice(600, None))


@pytest.fixture(scope="session")
def original(source: ModelSource, unseen: Samples) -> Original:
    return open_model(source, unseen, 1)


@pytest.fixture(scope="session")
def bench(original: Original, folder: Path) -> Workbench:
    return Workbench(
        signature=original.signature,
        training=original.samples.take(slice(0, 300)),
        original=original.form,
        scratch=folder,
        max_batch=8,
        seed=1,
        effort=0.25,
        seconds=30.0,
        compile_seconds=300.0,
    )


@pytest.fixture(scope="session")
def module(original: Original) -> Module:
    assert isinstance(original.form, Module)
    return original.form


@pytest.fixture(scope="session")
def graph(module: Module, bench: Workbench) -> Graph:
    found = OnnxExport().apply(module, bench)
    assert isinstance(found, Graph)
    return found


@pytest.fixture(scope="session")
def exported(module: Module, bench: Workbench) -> Exported:
    batch = {0: torch.export.Dim.DYNAMIC}
    return Exported(torch.export.export(module.module, bench.tensors(3), dynamic_shapes=(batch,)))


@pytest.fixture(scope="session")
def script(module: Module, bench: Workbench) -> Script:
    with quiet():
        return Script(torch.jit.trace(module.module, bench.tensors(3)))


@pytest.fixture(scope="session")
def graph_file(graph: Graph, folder: Path) -> Path:
    file = folder / "graph.onnx"
    file.write_bytes(graph.content)
    return file
