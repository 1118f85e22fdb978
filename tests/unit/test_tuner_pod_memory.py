"""Whether more instances have room in a pod's memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme.tuner.pod_memory import PodMemory

GIB = 2**30


@pytest.mark.parametrize(
    ("memory", "wanted", "now", "lack"),
    [
        pytest.param(PodMemory(2 * GIB, GIB), 2, 1, "", id="room for what all of it may be"),
        pytest.param(
            PodMemory(2 * GIB, GIB + 1),
            *(2, 1),
            "2 may take 2.01 GiB of a pod's 2.00 GiB: with 1 it is measured to take 1.01 GiB, "
            "which may all be theirs. Say in spec.tuning.limits.instanceMemory what one takes, or "
            "raise spec.server.resources.memory",
            id="none, as far as is known",
        ),
        pytest.param(PodMemory(2 * GIB, GIB + 1, GIB // 2), 2, 1, "", id="room for what one takes"),
        pytest.param(
            PodMemory(2 * GIB, GIB, GIB // 2),
            *(4, 1),
            "4 may take 2.50 GiB of a pod's 2.00 GiB: with 1 it is measured to take 1.00 GiB, and "
            "one is said to take 0.50 GiB. Raise spec.server.resources.memory",
            id="none for so many",
        ),
        pytest.param(PodMemory(2 * GIB, GIB), 3, 2, "", id="a share of it is one's"),
        pytest.param(
            PodMemory(2 * GIB, GIB + 1, can_be_said=False),
            *(2, 1),
            "2 may take 2.01 GiB of a pod's 2.00 GiB: with 1 it is measured to take 1.01 GiB, "
            "which may all be theirs. Raise spec.server.resources.memory",
            id="none, where nobody can say what one takes",
        ),
    ],
)
def test_more_have_room_if_they_have_whatever_the_rest_takes(
    memory: PodMemory, wanted: int, now: int, lack: str
) -> None:
    assert memory.lack(wanted, now) == lack


sizes = st.integers(0, 2**40)
numbers = st.integers(1, 64)


@given(limit=sizes, rest=sizes, each=sizes, now=numbers, more=numbers)
def test_none_are_let_in_that_have_no_room(
    limit: int, rest: int, each: int, now: int, more: int
) -> None:
    """A pod takes something for its server and other models, and as much for each instance."""
    memory = PodMemory(limit, rest + now * each)
    if not memory.lack(now + more, now):
        assert rest + (now + more) * each <= limit * (1 + 1e-9)  # floats
