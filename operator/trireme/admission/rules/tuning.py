"""Faults of spec.tuning. Pure.

The API server refuses most of these by CEL, in the same words; a file it has never seen, and an
older CustomResourceDefinition, are why they are here too.
"""

from collections.abc import Iterator

from trireme.api.agent import AgentSpec
from trireme.api.models import Model
from trireme.api.rollout import RolloutStrategy
from trireme.api.tuning import TuningMode
from trireme.autoscaler.policy import unmodelled
from trireme.errors import Fault


def tuning_is_applied_untried(spec: AgentSpec) -> Iterator[Fault]:
    """A setting is tried on a canary before all pods have it."""
    is_canary = spec.rollout.strategy is RolloutStrategy.CANARY
    if spec.tuning.mode is TuningMode.APPLY and not is_canary:
        yield Fault(
            "spec.tuning.mode",
            spec.tuning.mode.value,
            "tuning.mode Apply tries each setting on a canary: set rollout.strategy to Canary",
            "Or use Recommend",
        )


def least_exceeds_most(spec: AgentSpec) -> Iterator[Fault]:
    """Bounds that no setting lies within."""
    limits = spec.tuning.limits
    for field, bounds in {
        "maxBatchSize": limits.max_batch_size,
        "instances": limits.instances,
    }.items():
        if bounds.max is not None and bounds.min > bounds.max:
            yield Fault(
                f"spec.tuning.limits.{field}.min",
                bounds.min,
                "min must not be greater than max",
                f"Write {bounds.max} or less, or raise max",
            )


# ------------------------------------------------------------------------------------- warnings


def tuning_is_never_applied(spec: AgentSpec) -> Iterator[Fault]:
    """Nothing is learnt by which a setting could be found, whatever the pods are asked. Of a
    pipeline its steps are learnt.
    """
    if spec.tuning.mode is not TuningMode.APPLY:
        return
    if not spec.scaling.mode.is_decided_by_trireme:
        why = f"nothing is learnt of the pods in scaling.mode {spec.scaling.mode}"
        remedy = "Set scaling.mode to Automatic or Shadow"
    elif spec.scaling.target.in_flight is not None:
        why = "nothing is learnt of the pods beside scaling.target.inFlight"
        remedy = "Remove scaling.target.inFlight"
    elif all(reasons := [_unlearnt(spec, each.model) for each in spec.objectives]):
        why = "; ".join(dict.fromkeys(reasons)) or "there is no objective"
        remedy = "Add an objective of a model that answers each request by itself, once"
    else:
        return
    yield Fault(
        "spec.tuning.mode",
        spec.tuning.mode.value,
        f"no setting is ever found to apply: {why}",
        f"{remedy}, or set tuning.mode to Disabled",
    )


def _unlearnt(spec: AgentSpec, asked: str) -> str:
    """Why nothing is learnt of what an objective is for, or nothing follows from it; empty where
    something does.
    """
    called = [model for model in spec.models if model.name in _called(spec, asked)]
    for model in called:
        # A batcher that cannot be read has a fault of its own.
        if "dynamic_batching" not in model.config and (why := unmodelled(model)):
            return f"{model.name}: {why}"
    if all(_makes_no_batches(model) for model in called):
        return f"{asked}: it makes no batches with maxBatchSize 0"
    return ""


def _makes_no_batches(model: Model) -> bool:
    return not model.max_batch_size and not model.batching and not model.config


def _called(spec: AgentSpec, asked: str) -> set[str]:
    """A model, or a pipeline with all that it calls."""
    steps = {line.name: {step.model for step in line.steps} for line in spec.pipelines}
    found, further = {asked}, {asked}
    while further:
        further = set[str]().union(*(steps.get(name, set()) for name in further)) - found
        found |= further
    return found


def memory_bound_is_half_told(spec: AgentSpec) -> Iterator[Fault]:
    """What an instance takes and what there is for all of them bound their number only together."""
    limits, path = spec.tuning.limits, "spec.tuning.limits"
    if limits.memory is not None and limits.instance_memory is None:
        yield Fault(
            f"{path}.memory",
            limits.memory,
            "it bounds nothing without instanceMemory, what one instance takes of it",
            f"Set {path}.instanceMemory, or remove it",
        )
    if limits.instance_memory is not None and spec.memory_of_instances is None:
        yield Fault(
            f"{path}.instanceMemory",
            limits.instance_memory,
            "it bounds nothing without memory, what all instances may take",
            f"Set {path}.memory, or remove it",
        )
