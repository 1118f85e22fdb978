"""Values that are made in every round are as frozen dataclasses, but for who may change them."""

import pickle
from collections.abc import Callable
from copy import deepcopy
from dataclasses import fields, is_dataclass, replace

import pytest

from trireme.autoscaler.types.memory import ClassMemory, Memory
from trireme.autoscaler.types.policy import Bound
from unit.autoscaling import NOW

BOUND = Bound("scaling.min", " until 18:00")


def test_equal_fields_make_equal_values() -> None:
    same = Bound("scaling.min", " until 18:00")
    assert (same, hash(same)) == (BOUND, hash(BOUND))
    assert len({same, BOUND, replace(BOUND, when="")}) == 2


def test_what_is_made_of_one_leaves_it_as_it_is() -> None:
    assert replace(BOUND, when="") == Bound("scaling.min")
    assert BOUND.when == " until 18:00"


def sent(memory: Memory) -> Memory:
    copy = pickle.loads(pickle.dumps(memory))  # noqa: S301  # our own
    assert isinstance(copy, Memory)
    return copy


@pytest.mark.parametrize(
    "copied",
    [
        pytest.param(deepcopy, id="a copy"),
        pytest.param(sent, id="another process' copy"),
    ],
)
def test_a_copy_is_equal(copied: Callable[[Memory], Memory]) -> None:
    memory = Memory(NOW)
    assert copied(memory) == memory


def test_fields_are_told_and_no_others_can_be_set() -> None:
    assert is_dataclass(Memory)
    assert [each.name for each in fields(Bound)] == ["field", "when"]
    assert Memory(NOW).classes == ClassMemory()
    with pytest.raises(AttributeError):
        BOUND.other = 1  # type: ignore[attr-defined]
