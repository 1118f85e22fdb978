"""Who gets what of a budget of GPUs."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme.api.conditions import Reason
from trireme.autoscaler.budget import Held, Member, granted, grants, holder, moves, usable
from trireme.autoscaler.decision import decide
from trireme.autoscaler.types.observation import Grant
from unit.autoscaling import SETTLED, objective, observed, policy, seen

NONE = Held()


def member(
    name: str,
    wanted: int,
    *,
    least: int = 1,
    current: int = 0,
    gpus: int = 1,
    priority: int = 0,
    need: int | None = None,
    held: Held = NONE,
) -> Member:
    filled = wanted if need is None else need
    return Member(name, least, current, max(wanted, least), filled, gpus, priority, held)


@pytest.mark.parametrize(
    ("members", "gpus", "expected"),
    [
        pytest.param([member("a", 3), member("b", 4)], 8, [3, 4], id="all where it suffices"),
        pytest.param([member("a", 8), member("b", 8)], 8, [4, 4], id="equal loads share evenly"),
        pytest.param(
            [member("a", 18), member("b", 2)], 8, [6, 2], id="a larger load gets more, not all"
        ),
        pytest.param(
            [member("a", 8, priority=10), member("b", 8)],
            8,
            [7, 1],
            id="the larger priority first, and the min of the other",
        ),
        pytest.param(
            [member("a", 3, priority=10), member("b", 8)], 8, [3, 5], id="the rest goes on"
        ),
        pytest.param(
            [member("a", 8, priority=10), member("b", 8, least=0)],
            8,
            [8, 0],
            id="a min of none is none, for a smaller priority",
        ),
        pytest.param(
            [member("a", 8, current=8), member("b", 8, least=0)],
            8,
            [4, 4],
            id="of one priority nobody is left without",
        ),
        pytest.param(
            [member("a", 4, least=4), member("b", 4, least=4)], 6, [4, 4], id="mins are kept"
        ),
        pytest.param(
            [member("a", 2, gpus=8, least=0), member("b", 4, least=0)],
            10,
            [1, 2],
            id="what is too large leaves its place to a smaller",
        ),
        pytest.param(
            [member("a", 50, gpus=0), member("b", 4)], 4, [50, 4], id="no GPU costs nothing"
        ),
        pytest.param(
            [member("a", 6, need=1, current=6), member("b", 6, current=2)],
            8,
            [2, 6],
            id="pods that only wait for a window are the first to go",
        ),
        pytest.param(
            [member("a", 10, current=5), member("b", 11, current=4)],
            9,
            [5, 4],
            id="a running pod is not moved for a little",
        ),
        pytest.param(
            [member("a", 10, current=5), member("b", 40, current=4)],
            9,
            [3, 6],
            id="it is for much",
        ),
        pytest.param(
            [member("a", 8, held=Held(rollout=1)), member("b", 8, held=Held(canary=2))],
            9,
            [3, 3],
            id="what a rollout and a canary have is nobody's",
        ),
        pytest.param(
            [member("a", 8), holder("b", Held(unread=5))],
            8,
            [3, 0],
            id="nor is what one has that nobody has looked at",
        ),
        pytest.param(
            [member("a", 8, held=Held(ending=3)), member("b", 8)],
            8,
            [4, 4],
            id="what ends is to be had",
        ),
        pytest.param(
            [member("a", 8, least=2), member("b", 8, held=Held(canary=9))],
            8,
            [2, 1],
            id="mins are kept beside a canary",
        ),
    ],
)
def test_who_gets_what(members: list[Member], gpus: int, expected: list[int]) -> None:
    assert list(granted(members, gpus, may_move=True).values()) == expected


def test_a_short_time_after_a_move_nothing_that_runs_is_moved() -> None:
    members = [member("a", 8, current=8), member("b", 8, priority=10)]
    held = granted(members, 9, may_move=False)
    assert held == {"a": 8, "b": 1}
    assert not moves(members, held)
    moved = granted(members, 9, may_move=True)
    assert moved == {"a": 1, "b": 8}
    assert moves(members, moved)


def test_a_short_time_after_a_move_a_canary_gets_nothing_that_runs() -> None:
    members = [member("a", 4, current=4), member("b", 4, current=4, held=Held(canary=2))]
    assert granted(members, 8, may_move=False) == {"a": 4, "b": 4}
    assert granted(members, 8, may_move=True) == {"a": 3, "b": 3}


@pytest.mark.parametrize(
    ("members", "gpus", "granted", "expected"),
    [
        pytest.param(
            [member("a", 6, current=6), member("b", 6, current=2)],
            8,
            [4, 4],
            [4, 2],
            id="what is taken from one is not free yet",
        ),
        pytest.param(
            [member("a", 4, current=4, held=Held(ending=2)), member("b", 4, current=2)],
            8,
            [4, 4],
            [4, 2],
            id="who grows waits for pods that end",
        ),
        pytest.param(
            [member("a", 4, current=4, held=Held(ending=1)), member("b", 4, current=2)],
            8,
            [4, 4],
            [4, 3],
            id="what is free is used",
        ),
        pytest.param(
            [
                member("a", 4, current=2, held=Held(ending=2)),
                member("b", 4, current=2, priority=1),
                holder("c", Held(ending=1)),
            ],
            8,
            [4, 4, 0],
            [2, 3, 0],
            id="the first in rank is the first to use it",
        ),
        pytest.param(
            [member("a", 2, current=1, gpus=4), member("b", 4, current=2, held=Held(ending=2))],
            12,
            [2, 4],
            [1, 4],
            id="what is too little for a large pod a smaller one uses",
        ),
        pytest.param(
            [member("a", 4, current=0, least=2), member("b", 4, current=4, held=Held(ending=4))],
            8,
            [4, 4],
            [2, 4],
            id="a min waits for nobody",
        ),
        pytest.param(
            [member("a", 9, gpus=0), member("b", 4, current=4, held=Held(ending=4))],
            4,
            [9, 4],
            [9, 4],
            id="what has no GPU waits for none",
        ),
    ],
)
def test_what_of_a_grant_can_be_used_now(
    members: list[Member], gpus: int, granted: list[int], expected: list[int]
) -> None:
    pods = dict(zip((m.name for m in members), granted, strict=True))
    assert list(usable(members, pods, gpus).values()) == expected


@pytest.mark.parametrize(
    ("members", "words"),
    [
        pytest.param(
            [member("a", 2, current=2, held=Held(ending=1)), member("b", 3)],
            "5 of 8 GPUs given, 1 is held by pods of a that end",
            id="one",
        ),
        pytest.param(
            [member("a", 2, current=4, gpus=2), member("b", 1, current=1)],
            "5 of 8 GPUs given, 4 are held by pods of a that end",
            id="those that are taken in this round",
        ),
        pytest.param(
            [member("a", 2, held=Held(canary=2)), member("b", 3, held=Held(rollout=1))],
            "5 of 8 GPUs given, 2 are held by the canary of a, 1 by the rollout of b",
            id="two",
        ),
        pytest.param(
            [member("a", 1, held=Held(1, 1, 3)), member("b", 1), holder("c", Held(ending=2))],
            "2 of 8 GPUs given, 3 are held by the canary of a, 2 by pods of c that end, "
            "2 by others",
            id="the largest two are named",
        ),
        pytest.param(
            [member("a", 5), holder("b", Held(unread=3))],
            "5 of 8 GPUs given, 3 are held by b, which is not looked at yet",
            id="one that nobody has looked at",
        ),
    ],
)
def test_a_grant_names_who_holds_gpus_beyond_what_is_given(
    members: list[Member], words: str
) -> None:
    found = grants("team", members, {m.name: m.wanted for m in members}, 8)
    assert {grant.words for grant in found.values()} == {f"GPU budget team: {words}"}


def test_a_grant_says_what_is_given_and_when_more_must_be_kept_than_there_is() -> None:
    fitting = [member("a", 3), member("b", 9)]
    assert grants("team", fitting, {"a": 3, "b": 5}, 8)["b"] == Grant(
        5, "GPU budget team: 8 of 8 GPUs given"
    )
    kept = [member("a", 4, least=4, gpus=2), member("b", 4, least=4)]
    assert grants("team", kept, {"a": 4, "b": 4}, 8)["a"] == Grant(
        4, "GPU budget team: 12 of 8 GPUs given, and what must be kept needs 12"
    )


@pytest.mark.parametrize(
    ("replicas", "may_have", "reason", "message"),
    [
        pytest.param(2, 4, Reason.SCALED_UP, "2 → 4 (limited by x; 5 wanted)", id="as many"),
        pytest.param(2, 2, Reason.LIMITED, "2 held, 5 wanted (limited by x)", id="no more"),
        pytest.param(4, 3, Reason.SCALED_DOWN, "4 → 3 (limited by x; 5 wanted)", id="fewer"),
        pytest.param(2, 9, Reason.SCALED_UP, "2 → 5", id="more than are wanted"),
    ],
)
def test_a_decision_keeps_to_its_grant_and_says_so(
    replicas: int, may_have: int, reason: Reason, message: str
) -> None:
    observation = replace(observed(replicas, seen(40.0, 0.05)), grant=Grant(may_have, "x"))
    decision, _ = decide(observation, policy(objective()), SETTLED)
    assert decision.reason is reason
    assert str(decision.message).endswith(f": {message}")


def drawn(gpus: st.SearchStrategy[int]) -> st.SearchStrategy[list[Member]]:
    sizes = st.integers(0, 12)
    one = st.builds(
        lambda least, current, wanted, need, gpus, priority, held: Member(
            "", least, current, max(wanted, least), need, gpus, priority, held
        ),
        st.integers(0, 3),
        sizes,
        sizes,
        sizes,
        gpus,
        st.integers(0, 2),
        held,
    )
    return st.lists(one, min_size=1, max_size=6).map(
        lambda members: [replace(m, name=f"agent-{at}") for at, m in enumerate(members)]
    )


held = st.builds(Held, *[st.integers(0, 4)] * 4)
any_size, one_gpu = drawn(st.integers(0, 8)), drawn(st.just(1))
budgets = st.integers(0, 60)


def cost(members: list[Member], pods: dict[str, int]) -> int:
    """Of so many pods, beside those of rollouts and canaries."""
    return sum(m.gpus * pods[m.name] + m.held.staying for m in members)


@given(any_size, budgets, st.booleans())
def test_no_grant_exceeds_the_budget_nor_leaves_anybody_below_their_min(
    members: list[Member], gpus: int, may_move: bool
) -> None:
    pods = granted(members, gpus, may_move=may_move)
    runs = {m.name: 0 if may_move else min(m.current, m.wanted) for m in members}
    kept = {m.name: max(m.least, runs[m.name]) for m in members}
    assert cost(members, pods) <= max(gpus, cost(members, kept))
    assert all(m.least <= pods[m.name] <= m.wanted for m in members)


@given(any_size, budgets, st.booleans())
def test_all_is_granted_where_it_fits(members: list[Member], gpus: int, may_move: bool) -> None:
    wanted = {m.name: m.wanted for m in members}
    fits = max(gpus, cost(members, wanted))
    assert granted(members, fits, may_move=may_move) == wanted


@given(one_gpu, budgets)
def test_a_smaller_priority_has_its_min_where_a_larger_is_short(
    members: list[Member], gpus: int
) -> None:
    pods = granted(members, gpus, may_move=True)
    short = [m.priority for m in members if pods[m.name] < m.wanted]
    for m in members:
        if short and m.priority < max(short):
            assert pods[m.name] == m.least


@given(one_gpu, budgets)
def test_of_one_priority_nobody_gets_another_pod_before_one_that_gains_more_has_it(
    members: list[Member], gpus: int
) -> None:
    fresh = [replace(m, current=0, priority=0) for m in members]
    pods = granted(fresh, gpus, may_move=True)
    for m in fresh:
        for other in fresh:
            if pods[m.name] < m.wanted and pods[other.name] > other.least:
                assert other.gain(pods[other.name] - 1) >= m.gain(pods[m.name])


@given(one_gpu, budgets, st.integers(0, 10))
def test_of_a_larger_budget_nobody_gets_less(members: list[Member], gpus: int, more: int) -> None:
    few = granted(members, gpus, may_move=True)
    many = granted(members, gpus + more, may_move=True)
    assert all(few[name] <= many[name] for name in few)


@given(one_gpu, budgets, st.integers(0, 10))
def test_who_needs_more_gets_no_less(members: list[Member], gpus: int, more: int) -> None:
    before = granted(members, gpus, may_move=True)
    first, *rest = members
    needy = replace(first, need=first.need + more, wanted=first.wanted + more)
    after = granted([needy, *rest], gpus, may_move=True)
    assert after[first.name] >= before[first.name]


@given(any_size, budgets, st.booleans(), st.randoms())
def test_the_order_of_the_agents_says_nothing(
    members: list[Member], gpus: int, may_move: bool, random: Random
) -> None:
    shuffled = list(members)
    random.shuffle(shuffled)
    assert granted(shuffled, gpus, may_move=may_move) == granted(members, gpus, may_move=may_move)


@given(one_gpu, budgets)
def test_what_was_granted_stays_granted_while_nothing_changes(
    members: list[Member], gpus: int
) -> None:
    pods = granted(members, gpus, may_move=True)
    settled = [replace(m, current=pods[m.name]) for m in members]
    assert granted(settled, gpus, may_move=True) == pods
    assert granted(settled, gpus, may_move=False) == pods


@given(any_size, budgets)
def test_nothing_that_runs_is_moved_where_it_may_not_be(members: list[Member], gpus: int) -> None:
    assert not moves(members, granted(members, gpus, may_move=False))


@given(any_size, budgets, st.booleans())
def test_nobody_grows_onto_gpus_that_are_not_free(
    members: list[Member], gpus: int, may_move: bool
) -> None:
    pods = granted(members, gpus, may_move=may_move)
    now = usable(members, pods, gpus)
    assert all(min(pods[m.name], max(m.least, m.current)) <= now[m.name] for m in members)
    assert all(now[m.name] <= pods[m.name] for m in members)
    if any(now[m.name] > max(m.least, m.current) and m.gpus for m in members):
        there = {m.name: max(now[m.name], m.current) for m in members}
        assert cost(members, there) + sum(m.held.ending for m in members) <= gpus


@given(any_size, budgets, st.booleans())
def test_all_that_is_granted_is_used_as_soon_as_the_pods_that_end_are_gone(
    members: list[Member], gpus: int, may_move: bool
) -> None:
    pods = granted(members, gpus, may_move=may_move)
    gone = [
        replace(m, current=min(m.current, pods[m.name]), held=replace(m.held, ending=0))
        for m in members
    ]
    assert usable(gone, pods, gpus) == pods
