"""What is refused of typed fields is refused of the same words in `config`, where they stand."""

from typing import Any

import pytest

import model_cases
from specs import valid_body
from trireme.admission.check import check, warnings
from trireme.admission.parse import parse_agent
from trireme.api.agent import AgentSpec
from trireme.api.models import Model
from trireme.errors import Fault
from trireme.modelrepo.plan import typed_model_config
from trireme.modelrepo.proto import json_format
from trireme.modelrepo.read import ALWAYS_TYPED, MODEL_FIELDS

_DYNAMIC = "spec.models.0.config.dynamic_batching"


def respelt(model: Model) -> Model:
    """The same model, with all in `config` that can be there."""
    alone = json_format.MessageToDict(typed_model_config(model), preserving_proto_field_name=True)
    free = {field: value for field, value in alone.items() if field not in ALWAYS_TYPED}
    moved = {name.partition(".")[0] for name, field in MODEL_FIELDS.items() if field in free}
    defaults = {name: Model.model_fields[name].get_default() for name in moved}
    return model.model_copy(update={**defaults, "config": free})


def spec_of(edits: dict[str, Any]) -> AgentSpec:
    return parse_agent(valid_body(edits)).spec


def in_config(edits: dict[str, Any]) -> AgentSpec:
    spec = spec_of(edits)
    return spec.model_copy(update={"models": [respelt(model) for model in spec.models]})


CASES = {
    name: edits
    for name, (edits, _) in (model_cases.FAULTS | model_cases.WARNINGS).items()
    if not any(model.config for model in spec_of(edits).models)
    and in_config(edits) != spec_of(edits)
}
TYPED_ALONE = {
    "both batchers": "a oneof",
    "two strategies for sequences": "a oneof",
    "two version policies": "a oneof",
    "an initial state of both kinds": "a oneof",
    "two queues of one priority": "a map",
    "an initial state of no zeros": "of no use, and Triton takes it",
    "a warm-up with two contents": "a oneof",
    "a control input given twice": "one without a control cannot be typed",
}
"""Mistakes that `config` cannot hold, or holds as what no typed field can say."""


def told(spec: AgentSpec) -> list[Fault]:
    return [*check(spec), *warnings(spec)]


def test_most_mistakes_have_two_spellings() -> None:
    assert len(CASES) > 60
    assert TYPED_ALONE.keys() <= CASES.keys()


@pytest.mark.parametrize("name", sorted(CASES.keys() - TYPED_ALONE.keys()))
def test_a_mistake_is_found_in_either_spelling(name: str) -> None:
    typed, free = told(spec_of(CASES[name])), told(in_config(CASES[name]))
    assert len(free) == len(typed)
    for one, other in zip(typed, free, strict=True):
        assert other.path == one.path or ".config." in other.path


@pytest.mark.parametrize(
    ("edits", "place", "value", "words"),
    [
        pytest.param(
            {_DYNAMIC: {"preferred_batch_size": [16, 64]}},
            "dynamic_batching.preferred_batch_size",
            [16, 64],
            "preferred batch sizes [16, 64] exceed maxBatchSize 8. "
            "Raise maxBatchSize, or leave preferred_batch_size empty",
            id="a batch beyond the largest",
        ),
        pytest.param(
            {_DYNAMIC: {"preserve_ordering": True, "priority_levels": 3,
             "default_priority_level": 1}},
            "dynamic_batching.preserve_ordering",
            None,
            "preserve_ordering cannot hold with 3 priorities",
            id="an order that cannot be kept",
        ),
        pytest.param(
            {_DYNAMIC: {"priority_levels": 3}},
            "dynamic_batching.default_priority_level",
            0,
            "default priority 0 is none of 1 to 3",
            id="a field that is missing there",
        ),
        pytest.param(
            {_DYNAMIC: {"priority_levels": 2, "default_priority_level": 1,
             "priority_queue_policy": {"1": {}, "7": {"max_queue_size": 4}}}},
            "dynamic_batching.priority_queue_policy[7]",
            7,
            "priority 7 is none of 1 to 2",
            id="a key of a map that the API has as a list",
        ),
        pytest.param(
            {"spec.models.0.batching": {"dynamic": {"preserveOrdering": True}},
             _DYNAMIC: {"priority_levels": 3, "default_priority_level": 1}},
            None,
            None,
            "preserveOrdering cannot hold with 3 priorities",
            id="one part typed and one in config",
        ),
        pytest.param(
            {"spec.models.0.batching": {"dynamic": {"maxQueueDelay": "1ms"}},
             _DYNAMIC: {"preferred_batch_size": [64]}},
            "dynamic_batching.preferred_batch_size",
            [64],
            "exceed maxBatchSize 8",
            id="the part in config is wrong",
        ),
        pytest.param(
            {"spec.models.0.config": {"response_cache": {"enable": True},
             "model_transaction_policy": {"decoupled": True}}},
            "response_cache.enable",
            None,
            "Triton keeps no answers of a decoupled model",
            id="a field of which the API has another shape",
        ),
        pytest.param(
            {"spec.models.0.config": {"instance_group": [{"kind": "KIND_CPU", "gpus": [0]}]},
             "spec.server.gpus": {"count": 1}},
            "instance_group[0].gpus",
            [0],
            "instances of kind CPU take no GPU indices",
            id="an item of a list",
        ),
        pytest.param(
            {"spec.models.0.config": {"model_warmup": [
                {"name": "w", "batch_size": 64, "inputs": {"ids": {
                    "data_type": "TYPE_INT64", "dims": [4], "zero_data": True}}}]}},
            "model_warmup[0]",
            64,
            "a warm-up batch of 64 exceeds maxBatchSize 8",
            id="a warm-up, to the item",
        ),
    ],
)  # fmt: skip
def test_a_mistake_in_config_is_told_where_it_stands(
    edits: dict[str, Any], place: str | None, value: object, words: str
) -> None:
    (fault, *_) = check(spec_of(edits))
    typed = "spec.models[0].batching.dynamic.preserveOrdering"
    assert fault.path == (f"spec.models[0].config.{place}" if place else typed)
    assert fault.value == value
    assert words in f"{fault.message}. {fault.remedy}"
