"""Faults of fields and flags that the chosen Triton release does not know yet. Pure.

An older Triton refuses a config.pbtxt with a field it does not know, and exits at an unknown flag.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from trireme.admission.places import models, pipelines
from trireme.admission.rules.config import parsed_config
from trireme.api.agent import AgentSpec
from trireme.api.flags import flag_name
from trireme.api.releases import Feature, Release, release_of, supports
from trireme.errors import Fault
from trireme.modelrepo.plan import typed_model_config, typed_pipeline_config


@dataclass(frozen=True, slots=True)
class _Field:
    """What a field needs, its path in ModelConfig, and its path in a model or pipeline of the API
    (empty where the API does not name it); `[]` is each item of a list.
    """

    feature: Feature
    config: str
    api: str


_MODEL_FIELDS = (
    _Field(Feature.CACHE_CONFIG, "response_cache.enable", "responseCache"),
    _Field(
        Feature.OLDEST_ORDERING,
        "sequence_batching.oldest.preserve_ordering",
        "batching.sequence.oldest.preserveOrdering",
    ),
    _Field(
        Feature.ITERATIVE_SEQUENCES,
        "sequence_batching.iterative_sequence",
        "batching.sequence.iterative",
    ),
    _Field(
        Feature.SHARED_STATE_BUFFER,
        "sequence_batching.state[].use_same_buffer_for_input_output",
        "batching.sequence.states[].sameBuffer",
    ),
    _Field(
        Feature.GROWABLE_STATE,
        "sequence_batching.state[].use_growable_memory",
        "batching.sequence.states[].growable",
    ),
    _Field(Feature.RUNTIME, "runtime", ""),
    _Field(
        Feature.NON_LINEAR_FORMATS, "input[].is_non_linear_format_io", "inputs[].nonLinearFormat"
    ),
    _Field(
        Feature.NON_LINEAR_FORMATS, "output[].is_non_linear_format_io", "outputs[].nonLinearFormat"
    ),
    _Field(Feature.MODEL_METRICS, "model_metrics", "latencyBuckets"),
)
_PIPELINE_FIELDS = (
    _Field(Feature.CACHE_CONFIG, "response_cache.enable", ""),
    _Field(
        Feature.STEP_NAMESPACE,
        "ensemble_scheduling.step[].model_namespace",
        "steps[].namespace",
    ),
    _Field(
        Feature.NON_LINEAR_FORMATS, "input[].is_non_linear_format_io", "inputs[].nonLinearFormat"
    ),
    _Field(
        Feature.NON_LINEAR_FORMATS, "output[].is_non_linear_format_io", "outputs[].nonLinearFormat"
    ),
    _Field(Feature.MODEL_METRICS, "model_metrics", ""),
    _Field(
        Feature.ENSEMBLE_MAX_INFLIGHT_REQUESTS,
        "ensemble_scheduling.max_inflight_requests",
        "maxInflightRequests",
    ),
)
_FLAGS = {
    flag_name(feature.what): feature
    for feature in (Feature.CACHE_CONFIG, Feature.MODEL_NAMESPACING)
}


def field_is_newer_than_the_image(spec: AgentSpec) -> Iterator[Fault]:
    """Whether it is typed or stands in `config`."""
    release = release_of(spec.server)
    if release is None:  # a fault of its own
        return
    for path, model in models(spec):
        typed, free = typed_model_config(model), parsed_config(model)
        yield from _too_new(release, path, _MODEL_FIELDS, typed, free)
    for path, pipeline in pipelines(spec):
        typed, free = typed_pipeline_config(pipeline), parsed_config(pipeline)
        yield from _too_new(release, path, _PIPELINE_FIELDS, typed, free)


def flag_is_newer_than_the_image(spec: AgentSpec) -> Iterator[Fault]:
    """Triton exits at a flag that it does not know."""
    release = release_of(spec.server)
    if release is None:
        return
    for index, argument in enumerate(spec.server.args):
        feature = _FLAGS.get(flag_name(argument))
        if feature is not None and not supports(release, feature):
            yield _fault(f"spec.server.args[{index}]", feature, release)


def _too_new(
    release: Release, path: str, fields: Sequence[_Field], typed: Any, free: Any
) -> Iterator[Fault]:
    for field in fields:
        if supports(release, field.feature):
            continue
        for message, place in ((typed, field.api), (free, f"config.{field.config}")):
            for indices in _occurrences(message, field.config):
                yield _fault(f"{path}.{_indexed(place, indices)}", field.feature, release)


def _fault(path: str, feature: Feature, release: Release) -> Fault:
    return Fault(
        path,
        None,
        f"{feature.what} exists from Triton {feature.first} on, the image is {release}",
        f"Use an image of Triton {feature.first} or later, or remove it",
    )


def _occurrences(message: Any, path: str) -> Iterator[tuple[int, ...]]:
    """The list indices of each place where a message sets a field."""
    first, _, rest = path.partition(".")
    name = first.removesuffix("[]")
    if name not in {field.name for field, _ in message.ListFields()}:
        return
    value = getattr(message, name)
    if first.endswith("[]"):
        for index, each in enumerate(value):
            yield from ((index, *inner) for inner in _occurrences(each, rest))
    elif rest:
        yield from _occurrences(value, rest)
    else:
        yield ()


def _indexed(path: str, indices: Sequence[int]) -> str:
    """`states[].growable` with [2] is `states[2].growable`."""
    for index in indices:
        path = path.replace("[]", f"[{index}]", 1)
    return path
