"""Deliberately broken candidates are refused every time, whatever the seed."""

import copy
import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch

from trireme.optimizer.candidates import Refused, sound_answers
from trireme.optimizer.forms import Form, Graph, Module
from trireme.optimizer.gate import Verdict, judge
from trireme.optimizer.loading import Original
from trireme.optimizer.metrics import Truth, metric_of
from trireme.optimizer.recipes import TECHNIQUES
from trireme.optimizer.runners import Runner, answers, runner_of
from trireme.optimizer.samples import Arrays, Samples, split
from trireme.optimizer.technique import Workbench
from trireme.optimizer.techniques.pruning import Pruning

SEEDS = range(10)
ALLOWED = 0.02


def verdict(original: Original, candidate: Form, seed: int) -> Verdict:
    fold = split(original.samples, seed).held_out
    before = answers(original.run, fold.inputs, 8)
    found = sound_answers(runner_of(candidate, ["image"], 1), fold, original.signature, 8)
    assert not isinstance(found, Refused)
    truth = Truth(fold.labels, before)
    return judge(metric_of("accuracy", True), found, before, truth, ALLOWED, 0.95, seed)


def wrong_calibration(module: Module, graph: Graph, bench: Workbench) -> Form:
    """Calibrated on images a hundred times darker than those to come."""
    dark = Samples({"image": bench.training.inputs["image"] * np.float32(0.01)})
    return TECHNIQUES["int8-static"].apply(graph, dataclasses.replace(bench, training=dark))


def pruned_too_far(module: Module, graph: Graph, bench: Workbench) -> Form:
    return Pruning(0.75).apply(module, bench)


def swapped_labels(module: Module, graph: Graph, bench: Workbench) -> Form:
    """Its last layer answers class 1 for 0, and 0 for 1."""
    swapped = copy.deepcopy(module.module)
    order = [1, 0, *range(2, 10)]
    with torch.no_grad():
        swapped.last.weight.copy_(module.module.last.weight[order])
        swapped.last.bias.copy_(module.module.last.bias[order])
    return Module(swapped)


def untrained(module: Module, graph: Graph, bench: Workbench) -> Form:
    return Module(type(module.module)().eval())


@pytest.mark.parametrize("broken", [wrong_calibration, pruned_too_far, swapped_labels, untrained])
def test_it_is_refused_with_every_seed(
    broken: Callable[[Module, Graph, Workbench], Form],
    module: Module,
    graph: Graph,
    original: Original,
    bench: Workbench,
) -> None:
    candidate = broken(module, graph, bench)
    verdicts = [verdict(original, candidate, seed) for seed in SEEDS]
    assert not any(each.passes for each in verdicts)
    assert all(each.is_hopeless for each in verdicts)


def test_the_same_steps_done_rightly_pass(
    graph: Graph, original: Original, bench: Workbench
) -> None:
    """So it is the fault that is refused, not the technique."""
    candidate = TECHNIQUES["int8-static"].apply(graph, bench)
    assert verdict(original, candidate, 1).passes


def answering(change: Callable[[np.ndarray], Arrays], original: Original) -> Runner:
    return lambda inputs: change(original.run(inputs)["output_0"])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param(
            lambda found: {"output_0": np.where(found > 0, np.nan, found).astype(np.float32)},
            "output_0 holds NaN or infinity",
            id="not a number",
        ),
        pytest.param(
            lambda found: {"output_0": found[:, :9]},
            "output_0 has the shape (9,) instead of (10,)",
            id="another shape",
        ),
        pytest.param(
            lambda found: {"output_0": found.astype(np.float16)},
            "output_0 is float16 instead of float32",
            id="another type",
        ),
        pytest.param(
            lambda found: {"output_0": found, "extra": found},
            "has 2 outputs instead of 1",
            id="another number of outputs",
        ),
        pytest.param(lambda found: 1 // 0, "fails on the samples: integer", id="an exception"),
    ],
)
def test_answers_that_no_metric_would_notice_are_refused(
    change: Callable[[np.ndarray], Arrays], told: str, original: Original, unseen: Samples
) -> None:
    found = sound_answers(answering(change, original), unseen, original.signature, 8)
    assert isinstance(found, Refused)
    assert told in found.reason
