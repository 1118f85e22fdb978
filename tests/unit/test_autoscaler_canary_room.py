"""What canaries may have of a budget of GPUs."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme.autoscaler.budget import Held, Member, granted, taken, usable
from trireme.autoscaler.canary_room import Room, kept, rooms


def agent(
    name: str,
    pods: int,
    *,
    wanted: int | None = None,
    need: int | None = None,
    least: int = 1,
    priority: int = 0,
    has: int = 0,
    tries: int = 0,
    ending: int = 0,
    rollout: int = 0,
) -> Member:
    """It has so many pods, and wants and needs as many unless said; its canary `has` GPUs, and
    `tries` to have so many.
    """
    wants = pods if wanted is None else wanted
    held = Held(ending=ending, rollout=rollout, canary=has)
    needs = wants if need is None else need
    return Member(name, least, pods, max(wants, least), needs, 1, priority, held, tries)


def left(members: Sequence[Member], gpus: int, *, may_move: bool = True) -> dict[str, Room]:
    """What the canaries may have."""
    of_all = kept(members, gpus, may_move=may_move)
    pods = granted(of_all, gpus, may_move=may_move)
    found = rooms("team-a", of_all, pods, usable(of_all, pods, gpus), gpus)
    return {name: room for name, room in found.items() if name.startswith("tries")}


def waits(needs: str, free: str, has: int = 0) -> Room:
    return Room(has, f"GPUs of budget team-a: needs {needs}, {free} free")


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        pytest.param([agent("tries", 3, tries=2)], Room(2), id="all that it needs, if it is free"),
        pytest.param(
            [agent("tries", 3, tries=2), agent("b", 1)],
            waits("2", "1 is"),
            id="nothing of what is too little",
        ),
        pytest.param(
            [agent("tries", 2, tries=1), agent("b", 1, wanted=3)],
            waits("1", "0 are"),
            id="nothing that another wants",
        ),
        pytest.param(
            [agent("tries", 2, tries=1, priority=9), agent("b", 2, wanted=3, need=2)],
            waits("1", "0 are"),
            id="nor what one of less rank wants and does not need",
        ),
        pytest.param(
            [agent("tries", 2, tries=1), agent("b", 2, ending=1)],
            waits("1", "0 are"),
            id="nothing that a pod still has which ends",
        ),
        pytest.param(
            [agent("tries", 2, tries=4, has=2)],
            waits("2 more", "1 is", has=2),
            id="what it has, while its next step needs more than is free",
        ),
        pytest.param([agent("tries", 2, tries=3, has=2)], Room(3), id="more, where that is free"),
        pytest.param(
            [agent("tries", 2, tries=1, has=2)], Room(2), id="what it has, where it needs less"
        ),
        pytest.param(
            [agent("tries", 2, tries=2, has=2), agent("b", 1, wanted=2)],
            waits("2", "0 are"),
            id="nothing, where another's needed pod would wait for it",
        ),
        pytest.param(
            [agent("tries", 1, wanted=4, tries=2, has=2, priority=9)],
            waits("2", "0 are"),
            id="nor where its own agent's would",
        ),
        pytest.param(
            [agent("tries", 1, tries=2, has=2), agent("b", 3, need=2)],
            Room(2),
            id="what it has, where others have pods that they do not need",
        ),
        pytest.param(
            [agent("tries", 1, tries=2, has=2), agent("b", 2, rollout=1)],
            waits("2", "0 are"),
            id="nothing, where a rollout needs it",
        ),
        pytest.param(
            [agent("tries", 3, least=3, tries=1, has=1), agent("b", 2, least=2)],
            waits("1", "0 are"),
            id="nothing, where the mins need it",
        ),
        pytest.param(
            [agent("tries", 1, tries=2, has=2), agent("b", 1, wanted=9, need=9, priority=-1)],
            waits("2", "0 are"),
            id="nothing, where more is needed than there is",
        ),
    ],
)
def test_what_a_canary_may_have_of_five_gpus(members: list[Member], expected: Room) -> None:
    assert left(members, 5) == {"tries": expected}


def test_what_was_moved_a_short_time_ago_is_not_moved_again() -> None:
    members = [agent("tries", 2, tries=2, has=2), agent("b", 1, wanted=2)]
    assert left(members, 5, may_move=False) == {"tries": Room(2)}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        pytest.param(
            [agent("tries-a", 1, tries=2), agent("tries-b", 1, tries=2, priority=9)],
            {"tries-a": waits("2", "1 is"), "tries-b": Room(2)},
            id="the larger priority first",
        ),
        pytest.param(
            [agent("tries-a", 1, tries=2, has=2), agent("tries-b", 1, tries=3, priority=9)],
            {"tries-a": Room(2), "tries-b": waits("3", "1 is")},
            id="none makes room for another",
        ),
        pytest.param(
            [
                agent("tries-a", 1, wanted=2, tries=2, has=2),
                agent("tries-b", 1, tries=1, has=1, priority=9),
            ],
            {"tries-a": waits("2", "0 are"), "tries-b": Room(1)},
            id="the last in rank makes room first",
        ),
        pytest.param(
            [agent("tries-a", 1, tries=4, priority=9), agent("tries-b", 1, tries=3)],
            {"tries-a": waits("4", "3 are"), "tries-b": Room(3)},
            id="what is too little for one may do for another",
        ),
    ],
)
def test_of_two_canaries(members: list[Member], expected: dict[str, Room]) -> None:
    assert left(members, 5) == expected


agents = st.builds(
    agent,
    name=st.sampled_from(["tries-a", "tries-b", "c", "d"]),
    pods=st.integers(0, 4),
    wanted=st.integers(0, 6),
    need=st.integers(0, 6),
    least=st.integers(0, 1),
    priority=st.integers(0, 1),
    has=st.integers(0, 3),
    tries=st.integers(0, 3),
    ending=st.integers(0, 2),
)


@given(st.lists(agents, min_size=1, max_size=4, unique_by=lambda each: each.name))
def test_nobody_has_fewer_of_the_pods_that_it_needs_for_a_canary(members: list[Member]) -> None:
    gpus = 12
    alone = granted([replace(each, held=Held()) for each in members], gpus, may_move=True)
    of_all = kept(members, gpus, may_move=True)
    pods = granted(of_all, gpus, may_move=True)
    for each in members:
        assert pods[each.name] >= min(alone[each.name], each.wanted, each.need)
    now = usable(of_all, pods, gpus)
    found = rooms("team-a", of_all, pods, now, gpus)
    more = sum(found[each.name].gpus - each.held.canary for each in of_all)
    assert sum(pods.values()) + sum(room.gpus for room in found.values()) <= gpus
    assert not more or taken(of_all, now) + more <= gpus
