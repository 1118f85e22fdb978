"""Which models a request to a pipeline calls, and which call waits for which.

Pure. A step begins as soon as all its inputs are made (triton core, ensemble_scheduler.cc). A step
that is a pipeline itself is its steps.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from trireme.api.agent import AgentSpec
from trireme.api.pipelines import Pipeline, Step


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a model; `after` are the places of the calls that it waits for, all before it."""

    model: str
    after: tuple[int, ...] = ()


def calls(spec: AgentSpec, name: str) -> tuple[Call, ...]:
    """The calls that a request to a model or pipeline makes; of a model, itself."""
    return tuple(_calls({pipeline.name: pipeline for pipeline in spec.pipelines}, name))


def _calls(pipelines: Mapping[str, Pipeline], name: str) -> list[Call]:
    pipeline = pipelines.get(name)
    if pipeline is None:
        return [Call(name)]
    made: list[Call] = []
    makers: dict[str, set[int]] = {}  # by tensor, the calls that end before it is there
    for step in _in_order(pipeline):
        waits = set[int]().union(*(makers.get(t, set()) for t in step.inputs.values()))
        inner, first = _calls(pipelines, step.model), len(made)
        made.extend(
            Call(call.model, tuple(sorted({first + at for at in call.after} or waits)))
            for call in inner
        )
        waited_for = {at for call in inner for at in call.after}
        last = {first + at for at in range(len(inner)) if at not in waited_for}
        makers.update(dict.fromkeys(step.outputs.values(), last))
    return made


def _in_order(pipeline: Pipeline) -> list[Step]:
    """The steps, each after those that make its inputs.

    Pre: none waits for itself, however far around.
    """
    made = {tensor for step in pipeline.steps for tensor in step.outputs.values()}
    missing = made - {tensor.name for tensor in pipeline.inputs}
    waiting, order = list(pipeline.steps), list[Step]()
    while begun := [step for step in waiting if not missing & set(step.inputs.values())]:
        missing -= {tensor for step in begun for tensor in step.outputs.values()}
        order += begun
        waiting = [step for step in waiting if step not in begun]
    return order
