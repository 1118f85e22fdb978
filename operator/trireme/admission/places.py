"""The parts of a spec that rules walk, each with its path as kubectl writes it. Pure."""

from collections.abc import Iterable, Iterator

from trireme.api.agent import AgentSpec
from trireme.api.models import Model
from trireme.api.pipelines import Pipeline
from trireme.api.tensors import ModelInput, ModelOutput
from trireme.errors import Fault

Owner = Model | Pipeline


def models(spec: AgentSpec) -> Iterator[tuple[str, Model]]:
    """Every model."""
    for index, model in enumerate(spec.models):
        yield f"spec.models[{index}]", model


def pipelines(spec: AgentSpec) -> Iterator[tuple[str, Pipeline]]:
    """Every pipeline."""
    for index, pipeline in enumerate(spec.pipelines):
        yield f"spec.pipelines[{index}]", pipeline


def owners(spec: AgentSpec) -> Iterator[tuple[str, Owner]]:
    """Everything that has a directory in the model repository."""
    yield from models(spec)
    yield from pipelines(spec)


def tensors(path: str, owner: Owner) -> Iterator[tuple[str, ModelInput | ModelOutput]]:
    """Every input, then every output, of what is at `path`."""
    for index, tensor in enumerate(owner.inputs):
        yield f"{path}.inputs[{index}]", tensor
    for index, output in enumerate(owner.outputs):
        yield f"{path}.outputs[{index}]", output


def repeated(path: str, field: str, values: Iterable[object]) -> Iterator[Fault]:
    """A fault for each item of a list that says the same in `field` as an earlier one."""
    seen: dict[object, int] = {}
    for index, value in enumerate(values):
        if value in seen:
            yield Fault(
                f"{path}[{index}].{field}",
                value,
                f"{value} is already the {field} of {path}[{seen[value]}]",
                f"Give each its own {field}",
            )
        seen.setdefault(value, index)
