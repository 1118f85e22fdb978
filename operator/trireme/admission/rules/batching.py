"""Faults of how requests become batches: the dynamic and the sequence batcher. Pure.

The rules are those of ValidateModelConfig and Get*SequenceControlProperties in Triton's
model_config_utils.cc, and of GenerateInitialStateData in its sequence batcher.
"""

from collections.abc import Iterator

from trireme.admission.places import models, repeated
from trireme.admission.rules.tensors import fits
from trireme.api.agent import AgentSpec
from trireme.api.batching import (
    Control,
    ControlKind,
    DynamicBatching,
    QueuePolicy,
    SequenceBatching,
    SequenceState,
    TimeoutAction,
)
from trireme.api.models import Model
from trireme.api.tensors import DataType
from trireme.errors import Fault

_BATCHERS = {"dynamic_batching", "sequence_batching"}
_VALUES = {"int32": "int32", "fp32": "fp32", "bool_": "bool"}
_CORRELATION_TYPES = (
    DataType.UINT64,
    DataType.INT64,
    DataType.UINT32,
    DataType.INT32,
    DataType.STRING,
)


def _dynamic(spec: AgentSpec) -> Iterator[tuple[str, Model, DynamicBatching]]:
    for path, model in models(spec):
        if model.batching is not None and model.batching.dynamic is not None:
            yield f"{path}.batching.dynamic", model, model.batching.dynamic


def _sequence(spec: AgentSpec) -> Iterator[tuple[str, Model, SequenceBatching]]:
    for path, model in models(spec):
        if model.batching is not None and model.batching.sequence is not None:
            yield f"{path}.batching.sequence", model, model.batching.sequence


def _states(spec: AgentSpec) -> Iterator[tuple[str, Model, SequenceState]]:
    for path, model, sequence in _sequence(spec):
        for index, state in enumerate(sequence.states):
            yield f"{path}.states[{index}]", model, state


def _controls(path: str, sequence: SequenceBatching) -> Iterator[tuple[str, Control]]:
    for index, tensor in enumerate(sequence.controls):
        for at, control in enumerate(tensor.controls):
            yield f"{path}.controls[{index}].controls[{at}]", control


def batching_is_not_one(spec: AgentSpec) -> Iterator[Fault]:
    """Both batchers, or none."""
    for path, model in models(spec):
        batching = model.batching
        if batching is not None and (batching.dynamic is None) == (batching.sequence is None):
            yield Fault(
                f"{path}.batching",
                None,
                "exactly one of dynamic and sequence must be set",
                "Write dynamic: {} for the dynamic batcher as it is by default",
            )


def preferred_batch_is_out_of_range(spec: AgentSpec) -> Iterator[Fault]:
    """The batcher could never form it."""
    batchers = [(path, model, each.preferred_batch_sizes) for path, model, each in _dynamic(spec)]
    batchers += [
        (f"{path}.oldest", model, each.oldest.preferred_batch_sizes)
        for path, model, each in _sequence(spec)
        if each.oldest is not None
    ]
    for path, model, preferred in batchers:
        place = f"{path}.preferredBatchSizes"
        if any(size > model.max_batch_size for size in preferred):
            yield Fault(
                place,
                preferred,
                f"preferred batch sizes {preferred} exceed maxBatchSize {model.max_batch_size}",
                "Raise maxBatchSize, or leave preferredBatchSizes empty",
            )
        elif 0 in preferred:
            yield Fault(
                place,
                preferred,
                f"preferred batch sizes {preferred} hold 0",
                "Write sizes of 1 and more, or leave preferredBatchSizes empty",
            )


# ----------------------------------------------------------------------------------- priorities


def default_priority_is_no_level(spec: AgentSpec) -> Iterator[Fault]:
    """Requests that name no priority have one of those that there are."""
    for path, _, dynamic in _dynamic(spec):
        levels, default = dynamic.priority_levels, dynamic.default_priority_level
        if levels and not 1 <= default <= levels:
            yield Fault(
                f"{path}.defaultPriorityLevel",
                default,
                f"default priority {default} is none of 1 to {levels}",
                f"Write a level from 1, the highest, to {levels}",
            )


def priority_queue_is_of_no_level(spec: AgentSpec) -> Iterator[Fault]:
    """A queue for a priority that does not exist, or a second one for the same."""
    for path, _, dynamic in _dynamic(spec):
        queues = dynamic.priority_queues
        yield from repeated(f"{path}.priorityQueues", "level", (each.level for each in queues))
        for index, queue in enumerate(queues):
            if dynamic.priority_levels and queue.level > dynamic.priority_levels:
                yield Fault(
                    f"{path}.priorityQueues[{index}].level",
                    queue.level,
                    f"priority {queue.level} is none of 1 to {dynamic.priority_levels}",
                    "Raise priorityLevels, or remove the queue",
                )


def order_cannot_be_kept(spec: AgentSpec) -> Iterator[Fault]:
    """Priorities and requests that are put off both change the order of answers."""
    for path, _, dynamic in _dynamic(spec):
        if not dynamic.preserve_ordering:
            continue
        if dynamic.priority_levels > 1:
            yield Fault(
                f"{path}.preserveOrdering",
                None,
                f"preserveOrdering cannot hold with {dynamic.priority_levels} priorities",
                "Remove preserveOrdering, or priorityLevels",
            )
        for place, queue in _queues(path, dynamic):
            if queue.timeout and queue.timeout_action is TimeoutAction.DELAY:
                yield Fault(
                    f"{place}.timeoutAction",
                    queue.timeout_action,
                    "preserveOrdering cannot hold with requests that are put off: timeoutAction is "
                    "Delay",
                    "Write timeoutAction: Reject, or remove preserveOrdering",
                )


def _queues(path: str, dynamic: DynamicBatching) -> Iterator[tuple[str, QueuePolicy]]:
    if dynamic.queue is not None:
        yield f"{path}.queue", dynamic.queue
    for index, queue in enumerate(dynamic.priority_queues):
        yield f"{path}.priorityQueues[{index}]", queue


# ------------------------------------------------------------------------------------ sequences


def sequence_strategy_is_not_one(spec: AgentSpec) -> Iterator[Fault]:
    """One of the two would be lost without a word."""
    for path, _, sequence in _sequence(spec):
        if sequence.direct is not None and sequence.oldest is not None:
            yield Fault(
                path,
                None,
                "at most one of direct and oldest must be set",
                "Keep direct where the model has one slot for each sequence, else oldest",
            )


def control_repeats(spec: AgentSpec) -> Iterator[Fault]:
    """Each signal is in one input, and each input is described once."""
    for path, _, sequence in _sequence(spec):
        names = (each.name for each in sequence.controls)
        yield from repeated(f"{path}.controls", "name", names)
        seen: dict[ControlKind, str] = {}
        for place, control in _controls(path, sequence):
            if control.kind in seen:
                yield Fault(
                    f"{place}.kind",
                    control.kind,
                    f"{control.kind} is already told by {seen[control.kind]}",
                    "Remove one of the two",
                )
            seen.setdefault(control.kind, place)


def control_has_not_two_values(spec: AgentSpec) -> Iterator[Fault]:
    """Start, Ready and End are a value for false and one for true, of one type."""
    for path, _, sequence in _sequence(spec):
        for place, control in _controls(path, sequence):
            if control.kind is ControlKind.CORRELATION_ID:
                continue
            said = {field: getattr(control, name) for name, field in _VALUES.items()}
            said = {field: values for field, values in said.items() if values}
            if len(said) != 1:
                yield Fault(
                    place,
                    None,
                    f"{control.kind} wants exactly one of int32, fp32 and bool",
                    "Write the values for false and true, such as int32: [0, 1]",
                )
            yield from (
                Fault(
                    f"{place}.{field}",
                    values,
                    f"{control.kind} wants two values, for false and for true",
                    f"Write such as {field}: {'[false, true]' if field == 'bool' else '[0, 1]'}",
                )
                for field, values in said.items()
                if len(values) != 2
            )


def correlation_id_has_no_type(spec: AgentSpec) -> Iterator[Fault]:
    """It is a number or text that the client chooses, not one of two values."""
    allowed = ", ".join(_CORRELATION_TYPES)
    for path, _, sequence in _sequence(spec):
        for place, control in _controls(path, sequence):
            if control.kind is not ControlKind.CORRELATION_ID:
                continue
            for name, field in _VALUES.items():
                if getattr(control, name):
                    yield Fault(
                        f"{place}.{field}",
                        getattr(control, name),
                        "CorrelationID has no values for false and true",
                        f"Remove {field}, and set dataType",
                    )
            if control.data_type not in _CORRELATION_TYPES:
                yield Fault(
                    f"{place}.dataType",
                    control.data_type,
                    f"CorrelationID is one of {allowed}",
                    "Set dataType to what the model's input has",
                )


def state_is_named_twice(spec: AgentSpec) -> Iterator[Fault]:
    """Two states in one tensor."""
    for path, _, sequence in _sequence(spec):
        states = sequence.states
        yield from repeated(f"{path}.states", "input", (each.input for each in states))
        yield from repeated(f"{path}.states", "output", (each.output for each in states))


def initial_state_is_not_one(spec: AgentSpec) -> Iterator[Fault]:
    """Zeros or a file's values."""
    for path, _, state in _states(spec):
        for at, initial in enumerate(state.initial):
            place = f"{path}.initial[{at}]"
            if (initial.zero is None) == (initial.file is None):
                yield Fault(
                    place,
                    None,
                    "exactly one of zero and file must be set",
                    "Write zero: true, or the name of a file below initial_state/",
                )
            elif initial.zero is False:
                yield Fault(
                    f"{place}.zero",
                    initial.zero,
                    "zero: false says nothing",
                    "Write zero: true, or the name of a file below initial_state/",
                )
            if initial.name is None:
                yield Fault(
                    f"{place}.name",
                    None,
                    "it is required: Triton loads no state without it",
                    f"Add a name, such as {state.input}",
                )


def initial_state_does_not_fit(spec: AgentSpec) -> Iterator[Fault]:
    """It is of the state's own type, and of a shape that the state may have."""
    for path, _, state in _states(spec):
        for at, initial in enumerate(state.initial):
            place = f"{path}.initial[{at}]"
            if initial.data_type is not state.data_type:
                yield Fault(
                    f"{place}.dataType",
                    initial.data_type,
                    f"the initial state is {initial.data_type}, and the state {state.data_type}",
                    f"Write {state.data_type}",
                )
            if -1 in initial.dims or not fits(initial.dims, state.dims):
                yield Fault(
                    f"{place}.dims",
                    initial.dims,
                    f"shape {initial.dims} does not fit the state's dims {state.dims}",
                    "Give one size for each of its dims, and the same where it is fixed",
                )


# ------------------------------------------------------------------------------------ the cache


def answers_cannot_be_kept(spec: AgentSpec) -> Iterator[Fault]:
    """Triton caches neither sequences nor the several answers of a decoupled model."""
    for path, model in models(spec):
        if not model.response_cache:
            continue
        sequence = model.batching is not None and model.batching.sequence is not None
        for is_so, what in (
            (sequence, "a model with sequence batching"),
            (model.decoupled, "a decoupled model"),
        ):
            if is_so:
                yield Fault(
                    f"{path}.responseCache",
                    None,
                    f"Triton keeps no answers of {what}",
                    "Remove responseCache",
                )


# ------------------------------------------------------------------------------------- warnings


def requests_are_not_batched(spec: AgentSpec) -> Iterator[Fault]:
    """The scheduler of no batcher hands on each request by itself, of whatever maxBatchSize. Told
    of what an objective is for, where it decides how many pods there are.
    """
    asked = {objective.model for objective in spec.objectives}
    for path, model in models(spec):
        told = model.batching is not None or model.config.keys() & _BATCHERS or model.decoupled
        if model.name in asked and model.max_batch_size > 1 and not told:
            yield Fault(
                f"{path}.batching",
                None,
                "without it requests are executed one by one: maxBatchSize "
                f"{model.max_batch_size} only bounds what a single one may hold",
                "Add {dynamic: {}}, unless clients send whole batches",
            )


def batching_has_no_batch_dimension(spec: AgentSpec) -> Iterator[Fault]:
    """Triton accepts it, and no batch is ever formed."""
    for path, model, _ in _dynamic(spec):
        if model.max_batch_size == 0:
            yield Fault(
                path.removesuffix(".dynamic"),
                None,
                "batching has no effect with maxBatchSize 0",
                "Set maxBatchSize, or remove batching",
            )


def priorities_do_not_exist(spec: AgentSpec) -> Iterator[Fault]:
    """Triton passes over them without a word."""
    for path, _, dynamic in _dynamic(spec):
        if dynamic.priority_levels:
            continue
        for field, is_set in (
            ("defaultPriorityLevel", dynamic.default_priority_level),
            ("priorityQueues", dynamic.priority_queues),
        ):
            if is_set:
                yield Fault(
                    f"{path}.{field}",
                    None,
                    f"{field} has no effect without priorityLevels",
                    f"Set priorityLevels, or remove {field}",
                )


def tensor_is_given_by_triton(spec: AgentSpec) -> Iterator[Fault]:
    """Requests would have to hold what Triton then replaces; most backends refuse it."""
    for path, model, sequence in _sequence(spec):
        given = {each.name: "control" for each in sequence.controls}
        given |= {state.input: "state" for state in sequence.states}
        owner = path.removesuffix(".batching.sequence")
        for index, tensor in enumerate(model.inputs):
            if tensor.name in given:
                yield Fault(
                    f"{owner}.inputs[{index}].name",
                    tensor.name,
                    f"input {tensor.name} is a {given[tensor.name]} that Triton gives itself",
                    "Remove it from inputs",
                )
