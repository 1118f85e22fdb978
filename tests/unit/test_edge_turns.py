"""Queries that share a few connections and one time limit, in virtual time."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import TypeVar

import pytest

from trireme.edge.turns import Answer, Turns
from trireme.errors import SignalsUnavailable
from unit.autoscaling import NOW, seconds
from virtual_time import VirtualTimeLoop

T = TypeVar("T")

NEVER = 1e9
LIMIT_SECONDS = 4.0
CONNECTIONS = 4


@dataclass
class Prometheus:
    """Takes so many seconds to answer each query; `asked` tells when each was."""

    takes: Mapping[str, float]
    asked: dict[str, list[float]] = field(default_factory=dict)

    async def ask(self, query: str, now: datetime, deadline: float) -> tuple[float, ...]:
        loop = asyncio.get_running_loop()
        if (left := deadline - loop.time()) <= 0:
            raise SignalsUnavailable(f"did not come to the query {query}")
        self.asked.setdefault(query, []).append(loop.time())
        await asyncio.sleep(min(self.takes[query], left))
        if self.takes[query] > left:
            raise SignalsUnavailable(f"did not answer the query {query}")
        return (1.0,)


@dataclass
class Operator:
    """Rounds every five seconds; the queries that were answered in each."""

    prometheus: Prometheus
    rounds: list[set[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.turns = Turns([self.prometheus] * CONNECTIONS, LIMIT_SECONDS)

    async def run(self, rounds: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(rounds):
            began = loop.time()
            answers = await self.round()
            assert loop.time() - began <= LIMIT_SECONDS
            self.rounds.append({q for q, a in answers.items() if isinstance(a, tuple)})
            await asyncio.sleep(max(0.0, began + 5 - loop.time()))

    async def round(self) -> Mapping[str, Answer]:
        now = NOW + seconds(asyncio.get_running_loop().time())
        return await self.turns.round(self.prometheus.takes, now)


def lived(takes: Mapping[str, float], rounds: int) -> Operator:
    """An operator, after so many rounds."""

    async def main() -> Operator:
        operator = Operator(Prometheus(takes))
        await operator.run(rounds)
        return operator

    return in_virtual_time(main)


def in_virtual_time(main: Callable[[], Coroutine[None, None, T]]) -> T:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main())


QUICK = {f"z{number:04}": 0.01 for number in range(20)}


@pytest.mark.parametrize(
    "slow",
    [
        pytest.param({f"a{n}": NEVER for n in range(8)}, id="never answered"),
        pytest.param({f"a{n}": 3.9 for n in range(8)}, id="answered with the last breath"),
    ],
)
def test_slow_queries_keep_nobody_from_being_asked(slow: dict[str, float]) -> None:
    operator = lived({**slow, **QUICK}, rounds=100)
    assert all(operator.rounds[3 + n] >= QUICK.keys() for n in range(97))


def test_a_newcomer_that_is_slow_costs_others_no_round() -> None:
    async def main() -> Operator:
        operator = Operator(Prometheus(QUICK))
        await operator.run(2)
        operator.prometheus.takes = {**QUICK, **{f"a{n}": NEVER for n in range(8)}}
        await operator.run(20)
        return operator

    assert all(answered >= QUICK.keys() for answered in in_virtual_time(main).rounds)


def test_slow_queries_have_their_turns_and_wait_longer_each_time() -> None:
    operator = lived({f"a{n}": NEVER for n in range(8)} | QUICK, rounds=120)
    for number in range(8):
        asked = operator.prometheus.asked[f"a{number}"]
        pauses = [after - before for before, after in pairwise(asked)]
        assert 10 <= len(asked) <= 18
        assert pauses[0] >= 10
        assert max(pauses) <= 60


def test_a_slow_query_that_answers_is_asked_in_every_round_that_has_time() -> None:
    operator = lived({"a": 1.0, **QUICK}, rounds=20)
    assert all("a" in answered for answered in operator.rounds)


def test_a_query_that_is_quick_again_is_asked_in_every_round() -> None:
    async def main() -> Operator:
        operator = Operator(Prometheus({"a": NEVER, **QUICK}))
        await operator.run(20)
        operator.prometheus.takes = {"a": 0.01, **QUICK}
        await operator.run(20)
        return operator

    answered = in_virtual_time(main).rounds
    assert all("a" in each for each in answered[28:])


def test_where_there_is_no_time_for_all_each_has_its_turn() -> None:
    many = {f"q{number:04}": 0.02 for number in range(2000)}  # 10 s of four connections
    operator = lived(many, rounds=24)
    for first in range(10, 21):  # until then not all are known to be quick
        assert set[str]().union(*operator.rounds[first : first + 4]) == many.keys()


def test_what_is_not_asked_says_why_as_it_did_when_it_was() -> None:
    async def main() -> list[str]:
        operator = Operator(Prometheus({"a": NEVER}))
        return [str((await operator.round())["a"]) for _ in range(3)]

    assert in_virtual_time(main) == ["did not answer the query a"] * 3


async def test_a_query_that_fails_in_a_way_nobody_foresaw_stops_no_other() -> None:
    class Odd(Prometheus):
        async def ask(self, query: str, now: datetime, deadline: float) -> tuple[float, ...]:
            if query == "odd":
                raise RuntimeError(query)
            return await super().ask(query, now, deadline)

    answers = await Operator(Odd({"odd": 0.0, "usual": 0.0})).round()
    assert isinstance(answers["usual"], tuple)
    assert str(answers["odd"]) == "the query cannot be asked: the operator's log says why"
