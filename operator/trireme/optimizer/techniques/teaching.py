"""Short training of a module towards what the original answers, on the training samples.

No labels are needed: the original is the teacher. A part of the samples is kept aside, and training
ends where it no longer gets better on these, or its time is over; the best state is kept.
"""

import copy
import time
from collections.abc import Callable

import torch

from trireme.optimizer.runners import answers, named, runner_of
from trireme.optimizer.technique import Workbench

_EPOCHS = 60  # at full effort
_PATIENCE = 6  # epochs without getting better
_BATCH = 32
_RATE = 1e-3
_ASIDE = 0.2  # of the samples


def teach(name: str, module: torch.nn.Module, bench: Workbench) -> torch.nn.Module:
    """Train a module in place for the technique of a name, and answer it in its best state."""
    torch.manual_seed(bench.seed)
    inputs = [torch.from_numpy(bench.training.inputs[name]) for name in bench.names]
    threads = torch.get_num_threads()
    teacher = runner_of(bench.original, bench.names, threads)
    taught = answers(teacher, bench.training.inputs, _BATCH)
    targets = {
        name: torch.from_numpy(each) for name, each in taught.items() if each.dtype.kind == "f"
    }
    scales = {name: each.float().std().clamp_min(1e-6) for name, each in targets.items()}
    count = len(inputs[0])
    aside = max(1, round(_ASIDE * count))

    def loss(chosen: torch.Tensor) -> torch.Tensor:
        answer = named(module(*(each[chosen] for each in inputs)))
        parts = [
            torch.nn.functional.mse_loss(answer[name] / scales[name], each[chosen] / scales[name])
            for name, each in targets.items()
        ]
        return torch.stack(parts).sum()

    end = time.monotonic() + bench.seconds
    kept, learnt = torch.arange(aside), torch.arange(aside, count)
    if _descend(module, loss, learnt, kept, max(1, round(_EPOCHS * bench.effort)), end):
        bench.hurried.append(name)
    return module.eval()


def _descend(
    module: torch.nn.Module,
    loss: Callable[[torch.Tensor], torch.Tensor],
    learnt: torch.Tensor,
    kept: torch.Tensor,
    epochs: int,
    end: float,
) -> bool:
    """Train a module, and say whether the clock ended it."""
    optimiser = torch.optim.AdamW(
        [each for each in module.parameters() if each.requires_grad], lr=_RATE
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    module.eval()  # as the original answered: without dropout, by the norms that it has
    best, state, since, is_late = _validated(module, loss, kept), _state(module), 0, False
    for _ in range(epochs):
        for chosen in torch.randperm(len(learnt)).split(_BATCH):
            optimiser.zero_grad()
            loss(learnt[chosen]).backward()
            optimiser.step()
        schedule.step()
        found = _validated(module, loss, kept)
        if found < best:
            best, state, since = found, _state(module), 0
        else:
            since += 1
        is_late = time.monotonic() > end
        if since >= _PATIENCE or is_late:
            break
    module.load_state_dict(state)
    return is_late


def _validated(
    module: torch.nn.Module, loss: Callable[[torch.Tensor], torch.Tensor], kept: torch.Tensor
) -> float:
    with torch.no_grad():
        return float(sum(loss(part) * len(part) for part in kept.split(64)) / len(kept))


def _state(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return copy.deepcopy(module.state_dict())
