"""Faults of spec.pipelines: what Triton refuses in an ensemble, found before any pod starts. Pure.

The rules are those of ensemble_utils.cc and model_config_utils.cc in Triton's core. A rule passes
over steps whose model is unknown, which has a fault of its own.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from trireme.admission.places import models, pipelines, tensors
from trireme.admission.rules.tensors import fits, is_whole
from trireme.admission.words import below, did_you_mean, listed
from trireme.api.agent import AgentSpec
from trireme.api.models import Model
from trireme.api.pipelines import Pipeline, Step
from trireme.api.tensors import DataType, Tensor
from trireme.errors import Fault
from trireme.modelrepo.sources import served_versions

_LATEST = -1
_OF_PIPELINES = 1  # the one version that the repository has of each

MOST_CALLS = 256  # of one request: four times the steps of the longest pipeline


@dataclass(frozen=True, slots=True)
class _Call:
    """One step, where it is, the pipeline it is in, and what it calls (None where unknown)."""

    path: str
    pipeline: Pipeline
    step: Step
    callee: Model | Pipeline | None


@dataclass(frozen=True, slots=True)
class _Use:
    """One place where a pipeline's tensor is made or used, and what that place says it is."""

    path: str
    tensor: str
    data_type: DataType | None
    dims: list[int]
    batching: bool

    def whole_shape(self) -> list[int]:
        """The dims with the batch dimension, of any size, where there is one."""
        return [-1, *self.dims] if self.batching else self.dims

    def agrees_with(self, other: "_Use") -> bool:
        """Whether the shapes may be the same, with or without their batch dimensions.

        A model without batching may be a step of a pipeline with it: [-1, 16] of the one is
        [16] of the other.
        """
        return fits(self.dims, other.dims) or fits(self.whole_shape(), other.whole_shape())


def _named(tensors: list[Tensor]) -> dict[str, Tensor]:
    return {tensor.name: tensor for tensor in tensors}


def _made(pipeline: Pipeline) -> list[str]:
    return [tensor for step in pipeline.steps for tensor in step.outputs.values()]


def _used(pipeline: Pipeline) -> list[str]:
    return [tensor for step in pipeline.steps for tensor in step.inputs.values()]


def _entering(pipeline: Pipeline) -> list[str]:
    """The inputs; where none are said (a fault of its own), what steps use and none makes."""
    made = set(_made(pipeline))
    said = [tensor.name for tensor in pipeline.inputs]
    return said or [tensor for tensor in _used(pipeline) if tensor not in made]


def _leaving(pipeline: Pipeline) -> list[str]:
    """The outputs; where none are said (a fault of its own), what steps make and none uses."""
    used = set(_used(pipeline))
    said = [tensor.name for tensor in pipeline.outputs]
    return said or [tensor for tensor in _made(pipeline) if tensor not in used]


def _calls_of(spec: AgentSpec, path: str, pipeline: Pipeline) -> Iterator[_Call]:
    callees: dict[str, Model | Pipeline] = {each.name: each for each in spec.pipelines}
    callees |= {each.name: each for each in spec.models}
    for at, step in enumerate(pipeline.steps):
        yield _Call(f"{path}.steps[{at}]", pipeline, step, callees.get(step.model))


def _calls(spec: AgentSpec) -> Iterator[_Call]:
    for path, pipeline in pipelines(spec):
        yield from _calls_of(spec, path, pipeline)


def _uses(spec: AgentSpec, path: str, pipeline: Pipeline) -> Iterator[_Use]:
    """Every place of one pipeline's tensors whose type is known; makers before users.

    A pipeline hands its tensors on as their reshape says; what a step takes and gives is its dims.
    """
    batching = pipeline.max_batch_size > 0
    for at, tensor in enumerate(pipeline.inputs):
        dims = tensor.dims if tensor.reshape is None else tensor.reshape
        yield _Use(f"{path}.inputs[{at}]", tensor.name, tensor.data_type, dims, batching)
    for field in ("outputs", "inputs"):
        for call in _calls_of(spec, path, pipeline):
            if call.callee is None:
                continue
            declared = _named(list(getattr(call.callee, field)))
            is_batched = call.callee.max_batch_size > 0
            for name, tensor in getattr(call.step, field).items():
                if (own := declared.get(name)) is not None:
                    place = below(call.path, field, name)
                    yield _Use(place, tensor, own.data_type, own.dims, is_batched)
    for at, output in enumerate(pipeline.outputs):
        dims = output.dims if output.reshape is None else output.reshape
        yield _Use(f"{path}.outputs[{at}]", output.name, output.data_type, dims, batching)


def pipeline_does_not_say_its_tensors(spec: AgentSpec) -> Iterator[Fault]:
    """Triton completes models out of their files, but no ensemble."""
    for path, pipeline in pipelines(spec):
        for field, names in (("inputs", _entering(pipeline)), ("outputs", _leaving(pipeline))):
            if not getattr(pipeline, field):
                likely = listed(sorted(set(names))) if names else "them"
                yield Fault(
                    f"{path}.{field}",
                    None,
                    f"it is required: Triton completes no {field} of an ensemble",
                    f"Add {likely}, each with dataType and dims",
                )
        for place, tensor in tensors(path, pipeline):
            if not is_whole(tensor):
                missing = "dataType" if tensor.data_type is None else "dims"
                yield Fault(
                    f"{place}.{missing}",
                    None,
                    f"it is required: Triton completes no tensor of an ensemble, such as "
                    f"{tensor.name}",
                    "Write dataType and dims as the steps' models have them",
                )


def step_calls_unknown_model(spec: AgentSpec) -> Iterator[Fault]:
    """Neither a model nor a pipeline of this spec."""
    known = [*(model.name for model in spec.models), *(line.name for line in spec.pipelines)]
    for call in _calls(spec):
        if call.callee is None:
            yield Fault(
                f"{call.path}.model",
                call.step.model,
                f"there is no model or pipeline {call.step.model}",
                did_you_mean(call.step.model, known, otherwise="There are"),
            )


def step_calls_unknown_version(spec: AgentSpec) -> Iterator[Fault]:
    """A version that is not served; 0, which Triton takes for one, is nobody's."""
    for call in _calls(spec):
        version = call.step.version
        if call.callee is None or version == _LATEST:
            continue
        if isinstance(call.callee, Model):
            there = sorted(served.version for served in served_versions(call.callee))
        else:
            there = [_OF_PIPELINES]
        if version not in there:
            yield Fault(
                f"{call.path}.version",
                version,
                f"{call.step.model} has no version {version}, but {listed(map(str, there))}",
                "Remove version, or write -1, for the latest",
            )


def pipelines_call_each_other(spec: AgentSpec) -> Iterator[Fault]:
    """A pipeline may be a step of another, but not of itself, however far around."""
    steps = {each.name: [step.model for step in each.steps] for each in spec.pipelines}
    for path, pipeline in pipelines(spec):
        circle = _way_back(pipeline.name, steps)
        if circle:
            way = " → ".join((pipeline.name, *circle))
            yield Fault(
                f"{path}.steps",
                pipeline.name,
                f"pipeline {pipeline.name} calls itself: {way}",
                "Remove the step that closes the circle",
            )


def pipeline_makes_too_many_calls(spec: AgentSpec) -> Iterator[Fault]:
    """Pipelines in pipelines multiply: twelve that each call the one before twice are 4,096."""
    steps = {each.name: [step.model for step in each.steps] for each in spec.pipelines}
    if any(_way_back(name, steps) for name in steps):
        return
    counts: dict[str, int] = {}

    def count(name: str) -> int:
        if name not in counts:
            counts[name] = sum(map(count, steps[name])) if name in steps else 1
        return counts[name]

    for path, pipeline in pipelines(spec):
        if (made := count(pipeline.name)) > MOST_CALLS:
            yield Fault(
                f"{path}.steps",
                made,
                f"a request to pipeline {pipeline.name} would make {made} calls, and {MOST_CALLS} "
                "are the most",
                "Call fewer pipelines from pipelines",
            )


def _way_back(start: str, steps: dict[str, list[str]]) -> list[str]:
    """The shortest chain of calls from a pipeline to itself; empty where there is none."""
    chains, seen = [[name] for name in steps[start]], set(steps[start])
    for chain in chains:  # grows while it is walked: breadth first
        if chain[-1] == start:
            return chain
        further = [name for name in steps.get(chain[-1], []) if name not in seen]
        seen.update(further)
        chains.extend([*chain, name] for name in further)
    return []


def step_names_unknown_tensor(spec: AgentSpec) -> Iterator[Fault]:
    """An input or output that the called model does not have."""
    for call in _calls(spec):
        if call.callee is None:
            continue
        for field, word in (("inputs", "input"), ("outputs", "output")):
            known = [tensor.name for tensor in getattr(call.callee, field)]
            for name in getattr(call.step, field):
                if known and name not in known:  # where there are none, its file says them
                    yield Fault(
                        below(call.path, field, name),
                        name,
                        f"{call.step.model} has no {word} {name}",
                        did_you_mean(name, known, otherwise=f"Its {field} are"),
                    )


def required_input_is_not_fed(spec: AgentSpec) -> Iterator[Fault]:
    """Only an optional input may be left out."""
    for call in _calls(spec):
        if call.callee is None:
            continue
        for tensor in call.callee.inputs:
            if not tensor.optional and tensor.name not in call.step.inputs:
                yield Fault(
                    f"{call.path}.inputs",
                    None,
                    f"input {tensor.name} of {call.step.model} is not fed",
                    f"Add {tensor.name}: and the tensor that feeds it, or make the input optional",
                )


def step_maps_nothing(spec: AgentSpec) -> Iterator[Fault]:
    """Triton wants at least one input and one output of every step."""
    for call in _calls(spec):
        for field in ("inputs", "outputs"):
            if not getattr(call.step, field):
                yield Fault(
                    f"{call.path}.{field}",
                    None,
                    f"the step of {call.step.model} maps no {field}",
                    f"Map at least one of its {field}",
                )


def tensor_is_made_twice(spec: AgentSpec) -> Iterator[Fault]:
    """By two steps, or by a step and the request."""
    for path, pipeline in pipelines(spec):
        makers = Counter(set(_entering(pipeline)))
        for call in _calls_of(spec, path, pipeline):
            for name, tensor in call.step.outputs.items():
                makers[tensor] += 1
                if makers[tensor] > 1:
                    yield Fault(
                        below(call.path, "outputs", name),
                        tensor,
                        f"tensor {tensor} is made twice in pipeline {pipeline.name}",
                        "Give one of the two another name",
                    )


def tensor_is_never_made(spec: AgentSpec) -> Iterator[Fault]:
    """Used by a step or answered by the pipeline, but no input and no step's output."""
    for path, pipeline in pipelines(spec):
        made = dict.fromkeys((*_entering(pipeline), *_made(pipeline)))
        users = [
            (below(call.path, "inputs", name), tensor)
            for call in _calls_of(spec, path, pipeline)
            for name, tensor in call.step.inputs.items()
        ]
        users += [(f"{path}.outputs[{at}]", out.name) for at, out in enumerate(pipeline.outputs)]
        for place, tensor in users:
            if tensor not in made:
                yield Fault(
                    place,
                    tensor,
                    f"no step and no input of pipeline {pipeline.name} makes tensor {tensor}",
                    did_you_mean(tensor, made, otherwise="There are"),
                )


def tensor_is_never_used(spec: AgentSpec) -> Iterator[Fault]:
    """Triton refuses an ensemble with a tensor that goes nowhere."""
    for path, pipeline in pipelines(spec):
        used, answered = set(_used(pipeline)), set(_leaving(pipeline))
        makers = [(f"{path}.inputs[{at}]", each.name) for at, each in enumerate(pipeline.inputs)]
        for place, tensor in makers:
            if tensor not in used:
                yield Fault(
                    place, tensor, f"no step uses input {tensor}", "Feed it to a step, or remove it"
                )
        for call in _calls_of(spec, path, pipeline):
            for name, tensor in call.step.outputs.items():
                if tensor not in used | answered:
                    yield Fault(
                        below(call.path, "outputs", name),
                        tensor,
                        f"tensor {tensor} is used by no step and is no output of the pipeline",
                        "Remove it from the step's outputs: not all need to be mapped",
                    )


def steps_wait_for_each_other(spec: AgentSpec) -> Iterator[Fault]:
    """Every tensor is made, but only out of itself, so that no step can ever begin."""
    for path, pipeline in pipelines(spec):
        awaited = set(_made(pipeline)) - set(_entering(pipeline))
        waiting = list(pipeline.steps)
        while begun := [s for s in waiting if awaited.isdisjoint(s.inputs.values())]:
            awaited.difference_update(*(step.outputs.values() for step in begun))
            waiting = [step for step in waiting if step not in begun]
        if waiting:
            names = listed(step.model for step in waiting)
            yield Fault(
                f"{path}.steps",
                None,
                f"steps wait for each other's outputs: {names}",
                "Feed at least one of them from the pipeline's inputs",
            )


def tensor_types_differ(spec: AgentSpec) -> Iterator[Fault]:
    """The maker of a tensor and its user disagree about its element type."""
    for maker, user in _makers_and_users(spec):
        if None not in (maker.data_type, user.data_type) and maker.data_type != user.data_type:
            yield Fault(
                user.path,
                user.data_type,
                f"tensor {user.tensor} is {user.data_type} here, and {maker.data_type} at "
                f"{maker.path}",
                "Correct the dataType that does not say what the model file does",
            )


def tensor_shapes_differ(spec: AgentSpec) -> Iterator[Fault]:
    """The maker of a tensor and its user disagree about its shape; -1 agrees with any size."""
    for maker, user in _makers_and_users(spec):
        if maker.dims and user.dims and not maker.agrees_with(user):
            yield Fault(
                user.path,
                user.dims,
                f"tensor {user.tensor} has dims {user.dims} here, and {maker.dims} at {maker.path}",
                "Correct the dims that do not say what the model file does; the batch dimension "
                "is not among them where maxBatchSize is set",
            )


def _makers_and_users(spec: AgentSpec) -> Iterator[tuple[_Use, _Use]]:
    """Each further place of a tensor beside the place that came first, its maker."""
    for path, pipeline in pipelines(spec):
        first: dict[str, _Use] = {}
        for use in _uses(spec, path, pipeline):
            if use.tensor in first:
                yield first[use.tensor], use
            first.setdefault(use.tensor, use)


def step_joins_different_decoupled_models(spec: AgentSpec) -> Iterator[Fault]:
    """A decoupled model has several answers: which of two such models' answers belong together,
    nobody knows.
    """
    decoupled = decoupled_names(spec)
    for path, pipeline in pipelines(spec):
        origins: dict[str, str] = dict.fromkeys(_entering(pipeline), "")
        waiting = list(_calls_of(spec, path, pipeline))
        while begun := [c for c in waiting if set(c.step.inputs.values()) <= origins.keys()]:
            for call in begun:
                fed_by = {origins[tensor] for tensor in call.step.inputs.values()}
                if len(fed_by) > 1:
                    named = listed(sorted(origin or "the request" for origin in fed_by))
                    yield Fault(
                        f"{call.path}.inputs",
                        None,
                        f"the step of {call.step.model} joins what several answers come from: "
                        f"{named}",
                        "Feed it from one decoupled model, and from nothing before that",
                    )
                origin = call.path if call.step.model in decoupled else min(fed_by, default="")
                origins |= dict.fromkeys(call.step.outputs.values(), origin)
            waiting = [call for call in waiting if call not in begun]


def decoupled_names(spec: AgentSpec) -> set[str]:
    """The models with several answers, and the pipelines that call such."""
    found = {model.name for _, model in models(spec) if model.decoupled}
    steps = {each.name: {step.model for step in each.steps} for each in spec.pipelines}
    while further := {name for name, called in steps.items() if called & found} - found:
        found |= further
    return found


def batch_exceeds_a_step(spec: AgentSpec) -> Iterator[Fault]:
    """A batch goes through the steps whole; a step without batching takes it as one request."""
    for path, pipeline in pipelines(spec):
        limits = {
            call.step.model: call.callee.max_batch_size
            for call in _calls_of(spec, path, pipeline)
            if call.callee is not None and call.callee.max_batch_size > 0
        }
        if limits and pipeline.max_batch_size > min(limits.values()):
            slowest = min(limits, key=lambda model: limits[model])
            yield Fault(
                f"{path}.maxBatchSize",
                pipeline.max_batch_size,
                f"step {slowest} takes batches of {limits[slowest]} at most",
                f"Write {limits[slowest]} or less, or raise maxBatchSize of {slowest}",
            )
