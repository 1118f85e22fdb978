"""Faults of how a model is executed faster, and of its latency histogram. Pure.

What backends do with accelerators: the sources of the ONNX Runtime and TensorFlow backends.
"""

import itertools
from collections.abc import Iterator

from trireme.admission.places import models
from trireme.admission.words import below, did_you_mean, listed
from trireme.api.acceleration import GraphBound
from trireme.api.agent import AgentSpec
from trireme.api.models import Model
from trireme.api.releases import Feature, release_of, supports
from trireme.api.scalars import format_duration
from trireme.errors import Fault

_OF_GPUS = frozenset({"tensorrt", "auto_io", "gpu_io", "cuda"})
_OF_CPUS = frozenset({"openvino"})


def accelerator_is_of_another_device(spec: AgentSpec) -> Iterator[Fault]:
    """A backend that does not know the name in that list refuses the model."""
    for path, model in models(spec):
        acceleration = model.acceleration
        if acceleration is None:
            continue
        lists = (("gpu", acceleration.gpu, _OF_CPUS), ("cpu", acceleration.cpu, _OF_GPUS))
        for field, accelerators, others in lists:
            for index, each in enumerate(accelerators):
                if each.name in others:
                    other = "cpu" if field == "gpu" else "gpu"
                    yield Fault(
                        f"{path}.acceleration.{field}[{index}].name",
                        each.name,
                        f"accelerator {each.name} is for {other.upper()}s",
                        f"Move it to acceleration.{other}",
                    )


def graph_names_unknown_input(spec: AgentSpec) -> Iterator[Fault]:
    """A CUDA graph is captured for shapes of the model's inputs."""
    for path, model, bound in _bounds(spec):
        known = [tensor.name for tensor in model.inputs]
        for name in bound.inputs:
            if known and name not in known:
                yield Fault(
                    below(f"{path}.inputs", name),
                    name,
                    f"model {model.name} has no input {name}",
                    did_you_mean(name, known, otherwise="Its inputs are"),
                )


def graph_batch_exceeds_largest(spec: AgentSpec) -> Iterator[Fault]:
    """No such batch is ever formed."""
    for path, model, bound in _bounds(spec):
        if bound.batch_size > max(1, model.max_batch_size):
            yield Fault(
                f"{path}.batchSize",
                bound.batch_size,
                f"a graph's batch of {bound.batch_size} exceeds maxBatchSize "
                f"{model.max_batch_size}",
                f"Write {max(1, model.max_batch_size)} or less",
            )


def _bounds(spec: AgentSpec) -> Iterator[tuple[str, Model, GraphBound]]:
    for path, model in models(spec):
        cuda = model.acceleration.cuda if model.acceleration else None
        for index, graph in enumerate(cuda.graph_specs if cuda else []):
            place = f"{path}.acceleration.cuda.graphSpecs[{index}]"
            yield place, model, graph
            if graph.lower_bound is not None:
                yield f"{place}.lowerBound", model, graph.lower_bound


def buckets_do_not_ascend(spec: AgentSpec) -> Iterator[Fault]:
    """The metrics library wants edges in strictly ascending order."""
    for path, model in models(spec):
        edges = model.latency_buckets
        if any(first >= second for first, second in itertools.pairwise(edges)):
            told = listed(map(format_duration, edges))
            yield Fault(
                f"{path}.latencyBuckets",
                None,
                f"edges {told} do not ascend",
                "Write each once, the smallest first",
            )


# ------------------------------------------------------------------------------------- warnings


def gpu_acceleration_without_a_gpu(spec: AgentSpec) -> Iterator[Fault]:
    """Instances on CPU pass over it."""
    if spec.server.gpus.count:
        return
    for path, model in models(spec):
        acceleration = model.acceleration
        for field in ("gpu", "cuda"):
            if acceleration is not None and getattr(acceleration, field):
                yield Fault(
                    f"{path}.acceleration.{field}",
                    None,
                    f"acceleration.{field} has no effect: spec.server.gpus.count is 0",
                    "Give the server GPUs, or remove it",
                )


def graphs_are_not_captured(spec: AgentSpec) -> Iterator[Fault]:
    """What they are captured for counts only where they are."""
    for path, model in models(spec):
        cuda = model.acceleration.cuda if model.acceleration else None
        if cuda is not None and cuda.graph_specs and not cuda.graphs:
            yield Fault(
                f"{path}.acceleration.cuda.graphSpecs",
                None,
                "graphSpecs has no effect without graphs: true",
                "Set graphs: true, or remove graphSpecs",
            )


def buckets_of_no_histogram(spec: AgentSpec) -> Iterator[Fault]:
    """Before 26.01 Triton has summaries instead, and Trireme switches those on."""
    release = release_of(spec.server)
    if release is None or supports(release, Feature.LATENCY_HISTOGRAM):
        return
    for path, model in models(spec):
        if model.latency_buckets:
            yield Fault(
                f"{path}.latencyBuckets",
                None,
                f"latencyBuckets has no effect: Triton {release} is asked for summaries",
                f"Use Triton {Feature.LATENCY_HISTOGRAM.first} or later, or remove it",
            )
