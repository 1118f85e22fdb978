"""Faults of spec.tuning. Pure.

The API server refuses these by CEL, in the same words; a file it has never seen, and an older
CustomResourceDefinition, are why they are here too.
"""

from collections.abc import Iterator

from trireme.api.tuning import TuningMode
from trireme.api.types import AgentSpec
from trireme.errors import Fault


def tuning_is_not_applied_yet(spec: AgentSpec) -> Iterator[Fault]:
    """A setting is to be tried on a canary before it is kept, and no canary carries it yet."""
    if spec.tuning.mode is TuningMode.APPLY:
        yield Fault(
            "spec.tuning.mode",
            spec.tuning.mode.value,
            "mode Apply is not there yet: use Recommend",
            "A setting is to be tried on a canary first; until then set what is recommended",
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
