"""A model's knobs as the spec and as Triton's configuration have them, read and set. Pure."""

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from trireme.api.agent import AgentSpec
from trireme.api.models import Model
from trireme.api.scalars import format_duration, parse_duration, quantity_value
from trireme.api.server import Server
from trireme.api.tuning import Knob, TuningMode, TuningRange
from trireme.modelrepo.instances import instances_per_pod
from trireme.modelrepo.plan import model_config
from trireme.modelrepo.proto import ModelConfig
from trireme.modelrepo.proto import model_config_pb2 as pb
from trireme.tuner.types import Configuration, MemoryBound, Range, Space

MOST_BATCH, MOST_INSTANCES = 1024, 16  # where the user sets no bound


def configuration_of(model: Model, server: Server) -> Configuration:
    """How a model is served now. Without the dynamic batcher each request is a batch."""
    config = model_config(model)
    return Configuration(
        max(1, config.max_batch_size) if config.HasField("dynamic_batching") else 1,
        instances_per_pod(model, server),
        config.dynamic_batching.max_queue_delay_microseconds / 1e6,
    )


def rows_alone(model: Model) -> int | None:
    """What a request may hold of a model whose requests are executed one by one; None where batches
    are made.
    """
    config = model_config(model)
    return None if config.HasField("dynamic_batching") else max(1, config.max_batch_size)


def is_tunable(model: Model) -> bool:
    """Whether the queueing model holds for it, and so what is measured of one rate of another:
    requests stand alone, and each has one answer.
    """
    config = model_config(model)
    several = config.model_transaction_policy.decoupled
    return not (several or config.HasField("sequence_batching"))


def space_of(spec: AgentSpec, model: Model) -> Space:
    """What may be tried of a model: the user's bounds, and what there is to turn.

    A model whose tensors have no batch dimension makes no batches. Of several instance groups, or
    several GPUs, the number stays as it is: it is no single number. In mode Apply, which tries on a
    canary, a limit of the user's says that more may be tried though nothing is known of them.
    """
    limits, now = spec.tuning.limits, configuration_of(model, spec.server)
    batches = _range(limits.max_batch_size, MOST_BATCH) if model.max_batch_size else Range(1, 1)
    longest = limits.max_queue_delay
    turns = len(model_config(model).instance_group) <= 1 and spec.server.gpus.count <= 1
    instances = _range(limits.instances, max(MOST_INSTANCES, now.instances))
    return Space(
        batches,
        instances if turns else Range(now.instances, now.instances),
        memory=_memory(spec),
        most_queue_delay_seconds=math.inf if longest is None else longest.total_seconds(),
        tries_instances=spec.tuning.mode is TuningMode.APPLY and limits.instances.max is not None,
    )


def _range(told: TuningRange, most: int) -> Range:
    return Range(told.min, max(told.min, most) if told.max is None else max(told.min, told.max))


def _memory(spec: AgentSpec) -> MemoryBound | None:
    each, whole = spec.tuning.limits.instance_memory, spec.memory_of_instances
    if each is None or whole is None:
        return None
    return MemoryBound(int(quantity_value(whole)), int(quantity_value(each)))


# --------------------------------------------------------------------------------------- setting


def configured(config: ModelConfig, wanted: Configuration) -> ModelConfig:
    """A configuration that is complete, with other knobs.

    What does not fit any more goes: preferred batch sizes and warm-ups beyond the largest batch. A
    model whose tensors have no batch dimension keeps it so.
    """
    tuned = ModelConfig()
    tuned.CopyFrom(config)
    if tuned.max_batch_size:
        _set_batcher(tuned.dynamic_batching, wanted, filled_in=tuned.max_batch_size)
        tuned.max_batch_size = wanted.max_batch
        for warmup in tuned.model_warmup:
            warmup.batch_size = min(warmup.batch_size, wanted.max_batch)
    if not tuned.instance_group:
        tuned.instance_group.add()
    if len(tuned.instance_group) == 1:
        tuned.instance_group[0].count = wanted.instances
    return tuned


def _set_batcher(batcher: pb.ModelDynamicBatching, wanted: Configuration, filled_in: int) -> None:
    """Where no preferred size is said Triton fills in the largest batch, and answers with it: kept,
    it would have larger batches never made.
    """
    preferred = [size for size in batcher.preferred_batch_size if size != filled_in]
    kept = [size for size in preferred if size <= wanted.max_batch]
    batcher.SetInParent()
    batcher.ClearField("preferred_batch_size")
    batcher.preferred_batch_size.extend(kept)
    batcher.max_queue_delay_microseconds = round(wanted.queue_delay_seconds * 1e6)


def changes(now: Configuration, wanted: Configuration) -> dict[Knob, tuple[str, str]]:
    """The knobs that differ, with what they are set to and are to be, as the spec writes it."""
    before, after = _told(now), _told(wanted)
    return {knob: (set_to, after[knob]) for knob, set_to in before.items() if set_to != after[knob]}


def told(configuration: Configuration, knob: Knob) -> str:
    """What a knob is set to, as the spec writes it."""
    return _told(configuration)[Knob.MAX_BATCH_SIZE if knob is Knob.BATCHING else knob]


def turned(now: Configuration, knob: Knob, to: str) -> Configuration:
    """A configuration with one knob set to what the spec would say."""
    match knob:
        case Knob.MAX_BATCH_SIZE | Knob.BATCHING:
            return replace(now, max_batch=int(to))
        case Knob.INSTANCES:
            return replace(now, instances=int(to))
        case Knob.MAX_QUEUE_DELAY:
            return replace(now, queue_delay_seconds=parse_duration(to).total_seconds())


def _told(configuration: Configuration) -> dict[Knob, str]:
    return {
        Knob.MAX_BATCH_SIZE: str(configuration.max_batch),
        Knob.INSTANCES: str(configuration.instances),
        Knob.MAX_QUEUE_DELAY: format_duration(timedelta(seconds=configuration.queue_delay_seconds)),
    }


def patch(model: Model, now: Configuration, wanted: Configuration) -> dict[str, Any]:
    """The part of the model's entry in the spec that is to be another, whole where it is a list."""
    differing = changes(now, wanted)
    # Without defaults: an API server writes them all into what a user applied.
    written = model.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    entry: dict[str, Any] = {"name": model.name}
    if Knob.MAX_BATCH_SIZE in differing:
        entry["maxBatchSize"] = wanted.max_batch
    if entry.keys() > {"name"} or Knob.MAX_QUEUE_DELAY in differing:
        dynamic = _batcher(written, wanted)
        if dynamic is not None:
            entry["batching"] = {"dynamic": dynamic}
    if Knob.INSTANCES in differing:
        groups = written.get("instances") or [{}]
        entry["instances"] = [{**group, "count": wanted.instances} for group in groups]
    return entry


def _batcher(written: Mapping[str, Any], wanted: Configuration) -> dict[str, Any] | None:
    """The dynamic batcher where it is to be another; None where it may stay as it is."""
    batching = written.get("batching") or {}
    before = batching.get("dynamic")
    after = dict(before or {})
    if "maxQueueDelay" in after or wanted.queue_delay_seconds:
        after["maxQueueDelay"] = _told(wanted)[Knob.MAX_QUEUE_DELAY]
    if preferred := after.get("preferredBatchSizes"):
        after["preferredBatchSizes"] = [size for size in preferred if size <= wanted.max_batch]
    return None if after == before else after
