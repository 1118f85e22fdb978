"""What the operator remembers of its decisions, and how it hands that out."""

import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiohttp import ClientSession

from ports import free_port
from trireme.api.conditions import Reason
from trireme.autoscaler.records import Inputs, Record, conclude, from_line
from trireme.autoscaler.types.decision import Decision
from trireme.autoscaler.types.memory import (
    FactorMemory,
    Memory,
    Recommendation,
    ScaleChange,
    TargetMemory,
)
from trireme.control import history
from trireme.control.health import serve
from trireme.control.history import History, estimated_bytes
from trireme.control.history_server import LOOPBACK, application
from trireme.control.queue import Key
from unit.autoscaling import NOW, SETTLED, observed, policy, seconds, seen

INPUTS = Inputs(observed(2, seen(4.0)), policy(), SETTLED)
STEADY = conclude(INPUTS)[0]
ECHO = Key("team", "echo")


def record(decision: Decision = STEADY, agent: str = "echo", memory: Memory = SETTLED) -> Record:
    return Record("1", "team", agent, replace(INPUTS, memory=memory), decision)


def at(number: int, **changes: object) -> Record:
    return record(replace(STEADY, at=NOW + seconds(5 * number), **changes))


def test_of_rounds_that_say_the_same_the_first_and_the_latest_are_remembered() -> None:
    remembered = History()
    rounds = [at(number) for number in range(5)]
    for each in rounds:
        remembered.add(each)
    assert remembered.of(ECHO) == [rounds[0], rounds[4]]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"replicas": 3}, id="another size"),
        pytest.param({"proposed": 9}, id="another proposal"),
        pytest.param({"reason": Reason.HELD}, id="another reason"),
    ],
)
def test_a_decision_that_says_something_else_is_remembered(changes: dict[str, object]) -> None:
    remembered = History()
    rounds = [at(0), at(1, **changes), at(2), at(3)]
    for each in rounds:
        remembered.add(each)
    assert remembered.of(ECHO) == rounds


def test_what_is_told_is_remembered_once_whatever_it_says() -> None:
    remembered = History()
    rounds = [at(number) for number in range(4)]
    for each in rounds[:3]:
        remembered.add(each)
    remembered.keep(rounds[2])
    remembered.keep(rounds[2])
    remembered.add(rounds[3])
    assert remembered.of(ECHO) == [rounds[0], rounds[2], rounds[3]]


def test_an_agent_that_is_gone_is_forgotten() -> None:
    remembered = History()
    remembered.add(record())
    remembered.add(record(agent="other"))
    remembered.forget(ECHO)
    assert remembered.of(ECHO) is None
    assert remembered.of(Key("team", "other")) == [record(agent="other")]
    remembered.forget(ECHO)


def test_a_restless_agent_takes_no_more_than_its_share() -> None:
    remembered = History()
    remembered.add(record(agent="calm"))
    for number in range(1000):
        remembered.add(at(number, proposed=number))
    told = remembered.of(ECHO)
    assert told is not None
    assert len(told) == history.MOST_PER_AGENT
    assert told[-1].decision.proposed == 999
    assert remembered.of(Key("team", "calm")) == [record(agent="calm")]


def test_of_many_agents_the_oldest_records_go_and_each_ones_latest_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history, "MOST", 100)
    remembered = History()
    for number in range(3):
        for agent in range(50):
            decision = replace(STEADY, proposed=number)
            remembered.add(record(decision, agent=f"a{agent}"))
    first, last = remembered.of(Key("team", "a0")), remembered.of(Key("team", "a49"))
    assert first is not None
    assert last is not None
    assert [each.decision.proposed for each in first] == [1, 2]
    assert [each.decision.proposed for each in last] == [1, 2]
    remembered.add(record(agent="late"))
    assert len(remembered.of(Key("team", "a0")) or ()) == 1


def test_large_records_are_bounded_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST_BYTES", 10 * estimated_bytes(record()))
    remembered = History()
    for number in range(50):
        remembered.add(at(number, proposed=number))
    assert len(remembered.of(ECHO) or ()) == 10


def full_memory(number: int) -> Memory:
    """What a memory holds after long, none of it shared with another."""
    return Memory(
        started=NOW + seconds(number),
        recommendations=tuple(
            Recommendation(NOW + seconds(5 * i + number), 1000 + i) for i in range(60)
        ),
        changes=tuple(ScaleChange(NOW + seconds(5 * i + number), 1000 + i) for i in range(10)),
        targets=(TargetMemory("m", 8.5 + number, NOW + seconds(number), NOW + seconds(number)),),
        factors=(FactorMemory("m", 0.8 + number),),
    )


def test_records_take_no_more_than_is_estimated() -> None:
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        made = []
        for number in range(50):
            inputs = Inputs(
                observed(2, seen(4.0 + number), now=NOW + seconds(number)),
                policy(),
                full_memory(number),
            )
            decision, _ = conclude(inputs)
            made.append(Record("1", "team", "echo", inputs, decision))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < sum(map(estimated_bytes, made)) < 4 * (after - before)


@pytest.fixture
async def served() -> AsyncIterator[tuple[History, str]]:
    remembered, port = History(), free_port()
    runner = await serve(application(remembered), port, LOOPBACK)
    yield remembered, f"http://{LOOPBACK}:{port}/decisions"
    await runner.cleanup()


async def test_what_is_remembered_of_an_agent_is_served_as_json_lines(
    served: tuple[History, str],
) -> None:
    remembered, url = served
    for number in range(20):
        remembered.add(at(number, proposed=number))
    async with (
        ClientSession() as session,
        session.get(url, params={"namespace": "team", "agent": "echo"}) as answer,
    ):
        assert answer.content_type == "application/x-ndjson"
        lines = (await answer.text()).splitlines()
    read = [from_line(line) for line in lines]
    assert [each and each.record for each in read] == remembered.of(ECHO)


@pytest.mark.parametrize("query", [{"namespace": "team", "agent": "none"}, {}])
async def test_of_an_agent_that_is_not_known_nothing_is_served(
    served: tuple[History, str], query: dict[str, str]
) -> None:
    _, url = served
    async with ClientSession() as session, session.get(url, params=query) as answer:
        assert answer.status == 404
        assert "is known here" in await answer.text()
