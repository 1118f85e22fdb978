"""What a new process goes on from is what the one before knew."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from trireme.api.rollout import RolloutPhase, RolloutStatus
from trireme.rollout.evidence import STAKES, START, Bets, Share
from trireme.rollout.report import memory_of, rollout_status
from trireme.rollout.types import Answers, Due, Evidence, Memory, Verdict, Why

BEGAN = datetime(2026, 11, 1, 3, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
counts = st.integers(0, 10**15)
logs = st.floats(-1e6, 1e6)
durations = st.timedeltas(timedelta(0), timedelta(days=365))
times = st.timedeltas(timedelta(0), timedelta(days=3650)).map(lambda later: BEGAN + later)


@st.composite
def answers(draw: st.DrawFn) -> Answers:
    requests = draw(counts)
    untimed = draw(st.integers(0, requests))
    cases, every = st.integers(0, requests - untimed), st.integers(0, requests)
    refused = draw(st.none() | every)
    return Answers(requests, draw(every), draw(cases), draw(cases), untimed, refused)


@st.composite
def shares(draw: st.DrawFn) -> Share:
    requests = draw(counts)
    return Share(draw(st.integers(0, requests)), requests)


bets = st.builds(Bets, st.tuples(*[logs] * len(STAKES)))
due = st.floats(0, 1e15)
memories = st.builds(
    Memory,
    step=st.integers(0, 19),
    looked=times,
    watched=durations,
    carried=durations,
    seen=counts,
    compared=counts,
    evidence=st.builds(
        Evidence,
        canary=answers(),
        stable=answers(),
        due=st.builds(Due, due, due, due, due),
        compared=shares(),
        pending_canary=answers(),
        pending_stable=answers(),
        failed=logs,
        refused=logs,
        different=logs,
        late=bets,
        slow=bets,
    ),
    usual_milliseconds=st.none() | st.floats(0.001, 1e7),
)
PROGRESSING = Verdict(BEGAN, RolloutPhase.PROGRESSING, 0.25, Why.PAUSE, "waits")


@given(memories)
def test_what_is_remembered_survives_the_status_to_the_last_bit(memory: Memory) -> None:
    status = rollout_status("d1", 7, BEGAN, 0.05, PROGRESSING, memory)
    as_json = json.loads(json.dumps(status.model_dump(mode="json", by_alias=True)))
    assert memory_of(RolloutStatus.model_validate(as_json)) == memory


def test_the_status_of_a_rollout_of_twenty_steps_stays_small() -> None:
    evidence = Evidence(late=Bets((-1 / 3,) * len(STAKES)), slow=Bets((-1 / 7,) * len(STAKES)))
    memory = Memory(19, BEGAN, HOUR, HOUR, 10**6, 10**6, evidence, 33.0)
    status = rollout_status("d" * 64, 7, BEGAN, 0.05, PROGRESSING, memory)
    text = json.dumps(status.model_dump(mode="json", by_alias=True, exclude_none=True))
    assert len(text) < 2048


def test_of_one_that_ended_only_the_end_is_told() -> None:
    ended = replace(PROGRESSING, phase=RolloutPhase.ROLLED_BACK, why=Why.HARM, message="worse")
    status = rollout_status("d1", 7, BEGAN, 0.0, ended, Memory(1, BEGAN))
    assert (status.phase, status.step, status.message) == (RolloutPhase.ROLLED_BACK, 2, "worse")
    assert memory_of(status) is None


def test_of_a_status_that_counted_no_refusals_none_are_known() -> None:
    """They were not looked for, which is not that there were none."""
    status = rollout_status("d1", 7, BEGAN, 0.0, PROGRESSING, Memory(0, BEGAN))
    told = status.model_dump(by_alias=True)
    told["canary"] = {"requests": 40, "failed": 1}
    restored = memory_of(RolloutStatus.model_validate(told))
    assert restored is not None
    assert restored.evidence.canary == Answers(40, 1, refused=None)


def test_what_other_stakes_have_won_is_forgotten() -> None:
    memory = Memory(0, BEGAN, HOUR, timedelta(seconds=5), 3)
    told = rollout_status("d1", 7, BEGAN, 0.0, PROGRESSING, memory).model_dump(by_alias=True)
    told["analysis"]["capital"]["late"] = [1.0, 2.0]
    restored = memory_of(RolloutStatus.model_validate(told))
    assert restored is not None
    assert restored.evidence.late == START
    assert restored == memory
