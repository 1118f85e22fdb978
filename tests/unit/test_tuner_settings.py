"""Knobs as the spec and Triton's configuration have them."""

from typing import Any

import pytest

from agents import agent_of, model_of
from trireme.api.models import Model
from trireme.api.tuning import Knob
from trireme.modelrepo.plan import model_config
from trireme.modelrepo.proto import ModelConfig, text_format
from trireme.tuner.settings import (
    changes,
    configuration_of,
    configured,
    is_tunable,
    patch,
    rows_alone,
    space_of,
    told,
    turned,
)
from trireme.tuner.types import Configuration, MemoryBound, Range

DYNAMIC = {"maxBatchSize": 8, "batching": {"dynamic": {"maxQueueDelay": "2ms"}}}
TUNED = Configuration(16, 3)


def model(**fields: Any) -> Model:
    return Model.model_validate(model_of("m", **fields))


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        pytest.param({}, Configuration(1, 1), id="no batches"),
        pytest.param(DYNAMIC, Configuration(8, 1, 0.002), id="the dynamic batcher"),
        pytest.param({"maxBatchSize": 8}, Configuration(1, 1), id="each request alone"),
        pytest.param(
            {"maxBatchSize": 8, "config": {"dynamic_batching": {}}},
            Configuration(8, 1),
            id="as Triton spells it",
        ),
        pytest.param({"instances": [{"kind": "CPU", "count": 3}]}, Configuration(1, 3), id="three"),
    ],
)
def test_a_configuration_is_read_off_the_spec(fields: dict[str, Any], found: Configuration) -> None:
    assert configuration_of(model(**fields), agent_of().spec.server) == found


@pytest.mark.parametrize(
    ("fields", "tunable"),
    [
        ({}, True),
        (DYNAMIC, True),
        ({"decoupled": True}, False),
        ({"maxBatchSize": 4, "batching": {"sequence": {"direct": {}}}}, False),
    ],
    ids=["alone", "in batches", "several answers", "sequences"],
)
def test_what_no_rate_tells_of_is_not_tuned(fields: dict[str, Any], tunable: bool) -> None:
    assert is_tunable(model(**fields)) is tunable


@pytest.mark.parametrize(
    ("fields", "rows"),
    [
        pytest.param(DYNAMIC, None, id="batches are made"),
        pytest.param({"maxBatchSize": 8}, 8, id="each request alone, of several rows"),
        pytest.param({"maxBatchSize": 1}, 1, id="of one"),
        pytest.param({}, 1, id="of no rows"),
    ],
)
def test_what_a_request_holds_that_is_executed_alone(
    fields: dict[str, Any], rows: int | None
) -> None:
    assert rows_alone(model(**fields)) == rows


def space(tuning: dict[str, Any], **fields: Any) -> Any:
    spec = agent_of(models=[model_of("m", **fields)], tuning=tuning).spec
    return space_of(spec, spec.models[0])


def test_the_space_is_what_the_user_allows() -> None:
    limits = {"maxBatchSize": {"min": 2, "max": 64}, "instances": {"max": 4}}
    found = space({"limits": limits}, **DYNAMIC)
    assert (found.max_batch, found.instances) == (Range(2, 64), Range(1, 4))
    assert found.memory is None


@pytest.mark.parametrize(
    ("tuning", "tries"),
    [
        ({"mode": "Apply", "limits": {"instances": {"max": 4}}}, True),
        ({"mode": "Apply"}, False),
        ({"mode": "Recommend", "limits": {"instances": {"max": 4}}}, False),
    ],
    ids=["on a canary, within a limit", "no limit is said", "nothing is tried"],
)
def test_more_instances_are_tried_unknown_where_the_user_says_how_many(
    tuning: dict[str, Any], tries: bool
) -> None:
    assert space(tuning, **DYNAMIC).tries_instances is tries


def test_memory_bounds_it_where_an_instances_is_known() -> None:
    found = space({"limits": {"instanceMemory": "512Mi"}}, **DYNAMIC)
    assert found.memory == MemoryBound(2 * 2**30, 2**29)  # of a pod's 2Gi


def test_there_is_nothing_to_turn_of_a_model_without_batches_and_of_several_groups() -> None:
    groups = [{"kind": "CPU", "count": 2}, {"kind": "CPU", "count": 1}]
    found = space({}, instances=groups)
    assert (found.max_batch, found.instances) == (Range(1, 1), Range(3, 3))


def test_a_servers_configuration_is_changed_in_what_is_tuned_and_what_would_not_fit() -> None:
    before = text_format.Parse(
        """
        name: "m" backend: "python" max_batch_size: 32
        dynamic_batching {
          preferred_batch_size: 8 preferred_batch_size: 32
          max_queue_delay_microseconds: 500
          default_queue_policy { max_queue_size: 9 }
        }
        instance_group { name: "m_0" kind: KIND_CPU count: 1 }
        model_warmup { name: "full" batch_size: 32 }
        """,
        ModelConfig(),
    )
    after = configured(before, TUNED)
    assert after == text_format.Parse(
        """
        name: "m" backend: "python" max_batch_size: 16
        dynamic_batching {
          preferred_batch_size: 8
          default_queue_policy { max_queue_size: 9 }
        }
        instance_group { name: "m_0" kind: KIND_CPU count: 3 }
        model_warmup { name: "full" batch_size: 16 }
        """,
        ModelConfig(),
    )
    assert before.max_batch_size == 32


def test_the_preferred_size_that_triton_fills_in_does_not_keep_batches_small() -> None:
    before = model_config(model(maxBatchSize=1, batching={"dynamic": {}}))
    before.dynamic_batching.preferred_batch_size.append(1)  # as it answers (seen with 24.10)
    assert not configured(before, TUNED).dynamic_batching.preferred_batch_size


def test_a_model_without_batches_stays_so() -> None:
    after = configured(model_config(model()), Configuration(1, 2))
    assert not after.HasField("dynamic_batching")
    assert after.max_batch_size == 0
    assert [group.count for group in after.instance_group] == [2]


@pytest.mark.parametrize(
    ("fields", "wanted", "entry"),
    [
        pytest.param(
            DYNAMIC,
            Configuration(8, 1),
            {"batching": {"dynamic": {"maxQueueDelay": "0s"}}},
            id="only the queue delay",
        ),
        pytest.param(
            {"maxBatchSize": 8},
            Configuration(8, 1),
            {"maxBatchSize": 8, "batching": {"dynamic": {}}},
            id="batches where there were none",
        ),
        pytest.param(
            {"maxBatchSize": 8, "batching": {"dynamic": {}}, "instances": [{"kind": "CPU"}]},
            TUNED,
            {"maxBatchSize": 16, "instances": [{"kind": "CPU", "count": 3}]},
            id="batches and instances",
        ),
        pytest.param(
            {"maxBatchSize": 8, "batching": {"dynamic": {"preferredBatchSizes": [4, 8]}}},
            Configuration(4, 1),
            {"maxBatchSize": 4, "batching": {"dynamic": {"preferredBatchSizes": [4]}}},
            id="preferred sizes that do not fit any more go",
        ),
    ],
)
def test_the_patch_holds_what_is_to_be_another_and_makes_the_spec_what_was_tried(
    fields: dict[str, Any], wanted: Configuration, entry: dict[str, Any]
) -> None:
    server, before = agent_of().spec.server, model(**fields)
    found = patch(before, configuration_of(before, server), wanted)
    assert found == {"name": "m", **entry}
    assert configuration_of(model(**{**fields, **entry}), server) == wanted


def test_changes_are_told_as_the_spec_writes_them() -> None:
    assert changes(Configuration(8, 1, 0.0005), TUNED) == {
        Knob.MAX_BATCH_SIZE: ("8", "16"),
        Knob.INSTANCES: ("1", "3"),
        Knob.MAX_QUEUE_DELAY: ("500us", "0s"),
    }


@pytest.mark.parametrize(
    ("knob", "to", "found"),
    [
        (Knob.MAX_BATCH_SIZE, "32", Configuration(32, 2, 0.002)),
        (Knob.BATCHING, "32", Configuration(32, 2, 0.002)),
        (Knob.INSTANCES, "4", Configuration(8, 4, 0.002)),
        (Knob.MAX_QUEUE_DELAY, "0s", Configuration(8, 2, 0.0)),
    ],
)
def test_a_knob_is_turned_to_what_the_spec_would_say(
    knob: Knob, to: str, found: Configuration
) -> None:
    before = Configuration(8, 2, 0.002)
    after = turned(before, knob, to)
    assert after == found
    assert turned(after, knob, told(before, knob)) == before
