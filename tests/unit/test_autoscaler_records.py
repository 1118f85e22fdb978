"""Records of decisions: written, read back exactly, and computed anew."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import few
from trireme.api.conditions import EventReason, Reason
from trireme.api.scaling import Behavior, PolicyType, SelectPolicy
from trireme.api.tuning import Knob
from trireme.autoscaler.codec import codec
from trireme.autoscaler.records import Inputs, Read, Record, conclude, from_line, replay, written
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.autoscaler.types.capacity import Capacity, OutOfReach
from trireme.autoscaler.types.memory import FactorMemory, Recommendation
from trireme.autoscaler.types.observation import KnownKnob, Observation, SettingNews
from trireme.autoscaler.types.signals import NoSignals
from trireme.autoscaler.wording import Words
from trireme.errors import UnreadableRecord
from unit.autoscaling import NOW, SETTLED, objective, observed, policy, rules, seconds, seen

CURVE = ServiceCurve(0.040, 0.010, 8)
MEMORY = replace(
    SETTLED,
    recommendations=(Recommendation(NOW - seconds(5), 3),),
    factors=(FactorMemory("m", 0.8),),
)
BUSY = Inputs(observed(2, seen(40.0, 0.182), capacity=Capacity(57.0, CURVE)), policy(), MEMORY)
BLIND = Inputs(observed(2, NoSignals(Reason.STALE, "too old")), policy(), MEMORY)
BESIDE_A_KNOB = replace(
    BUSY,
    observation=replace(
        BUSY.observation,
        knobs=(KnownKnob("m", "m", Knob.MAX_BATCH_SIZE, "8", "16", 1.5, is_guess=True),),
        settings=(SettingNews(EventReason.SETTING_TRIED, "it is tried on a canary"),),
    ),
)

# Of the types that hold anything: no value of a plain type is left out.
positive = st.floats(min_value=1e-9, max_value=1e9)
moments = st.datetimes(timezones=st.just(UTC))
spans = st.timedeltas(timedelta(0), timedelta(days=36500))
scaling_rules = st.builds(
    rules,
    st.tuples(st.integers(1, 10_000), st.sampled_from(PolicyType), st.integers(1, 1800)),
    window=st.integers(0, 3600),
    select=st.sampled_from(SelectPolicy),
)
behaviors = st.builds(Behavior, up=scaling_rules, down=scaling_rules)
st.register_type_strategy(datetime, moments)
st.register_type_strategy(timedelta, spans)
st.register_type_strategy(Words, st.builds(Words, st.text()))
st.register_type_strategy(Behavior, behaviors)
st.register_type_strategy(
    ServiceCurve, st.builds(ServiceCurve, positive, positive, st.integers(1, 1024))
)


def recorded(inputs: Inputs, version: str = "1") -> Record:
    return Record(version, "team", "echo", inputs, conclude(inputs)[0])


def read(line: str) -> Read:
    found = from_line(line)
    assert found is not None
    return found


def edited(record: Record, *path: str, value: Any) -> str:
    """The record's line with one value changed."""
    told = json.loads(written(record).line)
    at = told
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = value
    return json.dumps(told)


@few
@given(st.from_type(Record))
def test_whatever_a_record_holds_comes_back_to_the_last_bit(record: Record) -> None:
    line = written(record).line
    assert line.isascii()
    assert len(line.splitlines()) == 1
    back = read(line)
    assert written(back.record).line == line
    assert back.input_digest == record.input_digest == back.record.input_digest
    if "nan" not in line:  # which equals nothing
        assert back.record == record


@pytest.mark.parametrize(
    "inputs",
    [
        pytest.param(BUSY, id="signals and a capacity"),
        pytest.param(BLIND, id="no signals"),
        pytest.param(
            replace(BUSY, observation=observed(2, seen(4.0), capacity=OutOfReach(0.142, CURVE))),
            id="an objective out of reach",
        ),
        pytest.param(replace(BUSY, foreign_writer="kubectl"), id="a foreign writer"),
        pytest.param(BESIDE_A_KNOB, id="a knob, and what became of settings"),
    ],
)
def test_a_record_gives_the_same_decision_and_memory_again(inputs: Inputs) -> None:
    back = read(written(recorded(inputs)).line)
    assert type(back.record.inputs.observation.signals) is type(inputs.observation.signals)
    assert conclude(back.record.inputs) == conclude(inputs)
    assert replay(back, "1").difference is None


def test_where_somebody_else_set_the_size_the_decision_is_to_step_back() -> None:
    decision, _ = conclude(replace(BUSY, foreign_writer="kubectl-scale"))
    assert (decision.replicas, decision.reason) == (2, Reason.FOREIGN_WRITER)
    assert str(decision.message).startswith("kubectl-scale set the Deployment to 2 replicas")
    assert decision.proposed == conclude(BUSY)[0].proposed


def test_what_is_not_known_of_knobs_is_not_written() -> None:
    """So that what was recorded before there were any has the digest that it had."""
    assert "knobs" not in written(recorded(BUSY)).line
    assert conclude(BESIDE_A_KNOB)[0].alternative is not None


def test_the_digest_is_of_the_inputs_and_the_version_alone() -> None:
    record = recorded(BUSY)
    assert len(record.input_digest) == 16
    same = replace(
        record, agent="other", decision=replace(record.decision, message=Words("otherwise"))
    )
    assert same.input_digest == record.input_digest
    assert recorded(BUSY, "2").input_digest != record.input_digest
    assert recorded(replace(BUSY, memory=SETTLED)).input_digest != record.input_digest


def test_equal_inputs_have_one_digest_however_they_were_made() -> None:
    def with_capacities(*models: str) -> Inputs:
        known = dict.fromkeys(models, Capacity(57, CURVE))  # an int where a float is declared
        return replace(BUSY, observation=replace(BUSY.observation, capacities=known))

    one, other = recorded(with_capacities("a", "b")), recorded(with_capacities("b", "a"))
    assert one.input_digest == other.input_digest
    assert read(written(one).line).record.input_digest == one.input_digest


@pytest.mark.parametrize(
    ("line", "difference"),
    [
        pytest.param(
            edited(recorded(BUSY), "decision", "replicas", value=7),
            "replicas: recorded 7, recomputed 6",
            id="another number of replicas",
        ),
        pytest.param(
            edited(recorded(BLIND), "decision", "message", value="held"),
            "message: recorded 'held', recomputed '2 pods held: too old'",
            id="another message",
        ),
        pytest.param(
            edited(recorded(BUSY), "inputDigest", value="0" * 16),
            f"inputDigest: recorded '{'0' * 16}', recomputed '{recorded(BUSY).input_digest}'",
            id="inputs that are not those of the digest",
        ),
    ],
)
def test_what_does_not_come_out_the_same_is_told_by_its_first_field(
    line: str, difference: str
) -> None:
    assert replay(read(line), "1").difference == difference


def test_a_record_of_another_version_is_computed_and_told_to_be_one() -> None:
    found = replay(read(written(recorded(BUSY, "0.9")).line), "1")
    assert (found.difference, found.is_own) == (None, False)
    # It may have written fewer inputs, of which the digest was.
    line = edited(recorded(BUSY, "0.9"), "inputDigest", value="0" * 16)
    assert replay(read(line), "1").difference is None


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("", id="nothing"),
        pytest.param("Trireme leads", id="text"),
        pytest.param('{"message": "leading as one", "severity": "info"}', id="another JSON line"),
        pytest.param('["trireme.dev/decision"]', id="a list"),
        pytest.param("[" * 100_000, id="a deep list"),
    ],
)
def test_other_lines_are_no_records(line: str) -> None:
    assert from_line(line) is None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        pytest.param(
            edited(recorded(BUSY), "inputs", "observation", "weather", value="fine"),
            "inputs.observation: Observation has no field 'weather' in this version",
            id="a field of a newer version",
        ),
        pytest.param(
            edited(recorded(BUSY), "inputs", "observation", value={}),
            "inputs.observation: Observation has no 'now'",
            id="a field that is missing",
        ),
        pytest.param(
            edited(recorded(BUSY), "inputs", "observation", "replicas", value="2"),
            "inputs.observation.replicas: '2' is not of type int",
            id="text for a number",
        ),
        pytest.param(
            edited(recorded(BUSY), "inputs", "observation", "replicas", value=True),
            "inputs.observation.replicas: True is not of type int",
            id="a boolean for a number",
        ),
        pytest.param(
            edited(recorded(BUSY), "inputs", "observation", "signals", "type", value="Guess"),
            "inputs.observation.signals: type 'Guess' is none of Signals, NoSignals",
            id="no such class",
        ),
        pytest.param(
            edited(recorded(BUSY), "inputs", "policy", "tolerance", value="much"),
            "inputs.policy.tolerance: 'much' is not a number",
            id="text for a float",
        ),
        pytest.param(
            edited(recorded(BUSY), "inputs", "policy", "behavior", "up", "policies", value=[]),
            "inputs.policy.behavior: up.policies: List should have at least 1 item",
            id="a part of the API that it would refuse",
        ),
        pytest.param(
            edited(recorded(BUSY), "inputs", "memory", "started", value="yesterday"),
            "inputs.memory.started: Invalid isoformat string: 'yesterday'",
            id="no time",
        ),
        pytest.param(
            edited(recorded(BUSY), "inputDigest", value=None),
            "it has no inputDigest",
            id="no digest",
        ),
    ],
)
def test_a_record_that_cannot_be_read_is_refused_with_its_place(line: str, words: str) -> None:
    with pytest.raises(UnreadableRecord) as refused:
        from_line(line)
    assert str(refused.value).startswith(words)


def test_a_field_that_an_older_version_did_not_have_is_left_at_its_default() -> None:
    line = json.loads(written(recorded(BLIND, "0.9")).line)
    del line["inputs"]["foreign_writer"]
    del line["inputs"]["observation"]["capacities"]
    back = read(json.dumps(line))
    assert back.record.inputs == BLIND
    assert replay(back, "1").difference is None


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 0.1, 1e-320, -0.0, 1 / 3, 7])
def test_every_float_comes_back(value: float) -> None:
    of_float = codec(float)
    told = json.loads(json.dumps(of_float.write(value), allow_nan=False))
    back = of_float.read(told)
    assert math.isnan(back) if math.isnan(value) else back == value
    assert math.copysign(1, back) == math.copysign(1, value)
    assert isinstance(back, float)


def test_pairs_are_of_their_length() -> None:
    of_pair = codec(tuple[datetime, float])
    pair = (NOW, 2.5)
    assert of_pair.read(of_pair.write(pair)) == pair
    with pytest.raises(ValueError, match="longer"):
        of_pair.read([*of_pair.write(pair), 1.0])


@dataclass(frozen=True)
class Loose:
    parts: set[int]


@pytest.mark.parametrize("kind", [Loose, Any, Mapping[int, str], Capacity | int, list[int]])
def test_a_type_without_a_known_form_is_refused_when_the_codec_is_made(kind: Any) -> None:
    with pytest.raises(TypeError, match="no JSON is known for"):
        codec(kind)


def test_records_are_of_every_field_of_an_observation() -> None:
    observation = replace(BESIDE_A_KNOB.observation, beside_canary=True)
    full = replace(BUSY, observation=observation)
    told = json.loads(written(recorded(full)).line)["inputs"]["observation"]
    assert told.keys() == set(Observation.__dataclass_fields__)
    assert objective().model in told["capacities"]
