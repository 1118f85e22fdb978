"""What becomes of a canary, round by round in virtual time."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from trireme.api.rollout import RolloutPhase
from trireme.rollout.analysis import Finding
from trireme.rollout.evidence import Share
from trireme.rollout.steps import LONGEST_LOOK, advance, begin
from trireme.rollout.types import (
    Answers,
    Command,
    Measure,
    Memory,
    Plan,
    Round,
    Step,
    Verdict,
)

START = datetime(2026, 11, 1, 3, 0, tzinfo=UTC)
EVERY = timedelta(seconds=5)
PLAN = Plan(
    steps=(
        Step(0.05, timedelta(minutes=2), 500),
        Step(0.25, timedelta(minutes=2), 500),
        Step(0.5, timedelta(minutes=2), 500),
    ),
    false_alarm_rate=0.01,
    deadline=timedelta(minutes=30),
    longest_start=timedelta(minutes=20),
)
MIRRORED = replace(PLAN, steps=tuple(replace(step, least_compared=100) for step in PLAN.steps))
FEW = Round(START + EVERY, True, Answers(25, 0, 0, 12), Answers(475, 0, 9, 240))
RATE = 100  # requests a second of the agent


@dataclass(frozen=True, slots=True)
class Chances:
    """Of a request to fail, to be late, to be slower than what is usual, and to be refused."""

    failed: float = 0.0
    late: float = 0.02
    slow: float = 0.5
    refused: float = 0.0


WELL = Chances()


def answered(random: Random, requests: int, chances: Chances) -> Answers:
    """Who is refused is answered at once."""
    refused = sum(random.random() < chances.refused for _ in range(requests))
    failed = sum(random.random() < chances.failed for _ in range(requests - refused))
    served = requests - refused - failed
    late = sum(random.random() < chances.late for _ in range(served))
    slow = sum(random.random() < chances.slow for _ in range(served))
    return Answers(requests, failed, failed + late, failed + slow, refused=refused)


def rolled_out(
    canary: Chances,
    stable: Chances = WELL,
    *,
    plan: Plan = PLAN,
    seed: int = 1,
    rate: int = RATE,
    changed: Callable[[Round], Round] = lambda seen: seen,
) -> tuple[Verdict, int, timedelta]:
    """How a rollout ends, after how many of the canary's requests and how much time."""
    random, memory, now, requests = Random(seed), begin(START), START, 0
    weight = plan.steps[0].weight
    while True:
        now += EVERY
        asked = rate * int(EVERY.total_seconds())
        mine = round(asked * weight)
        seen = changed(
            Round(now, True, answered(random, mine, canary), answered(random, asked - mine, stable))
        )
        requests += 0 if seen.canary is None else seen.canary.requests
        verdict, memory = advance(plan, memory, seen)
        if verdict.phase is not RolloutPhase.PROGRESSING:
            return verdict, requests, now - START
        weight = verdict.weight


def test_a_canary_that_is_as_good_is_promoted_after_all_steps() -> None:
    verdict, requests, passed = rolled_out(WELL)
    assert verdict.phase is RolloutPhase.PROMOTED
    assert verdict.weight == PLAN.steps[-1].weight  # until the stable pods are what it is
    assert verdict.message.startswith("not worse than the stable pods: failed: 0 of ")
    assert timedelta(minutes=6) <= passed <= timedelta(minutes=7)
    assert requests > 3 * 500


@pytest.mark.parametrize(
    ("canary", "word", "most_requests"),
    [
        pytest.param(Chances(failed=1.0, late=0), "failed: ", 60, id="fails always"),
        pytest.param(Chances(failed=0.1), "failed: ", 200, id="fails now and then"),
        pytest.param(
            Chances(refused=1.0), "refused as the client's fault: ", 60, id="refuses always"
        ),
        pytest.param(
            Chances(refused=0.1), "refused as the client's fault: ", 200, id="refuses some"
        ),
        pytest.param(Chances(late=1.0, slow=1.0), "late: ", 400, id="is always late"),
        pytest.param(Chances(late=0.4, slow=0.9), "late: ", 1000, id="is often late"),
        pytest.param(
            Chances(slow=1.0),
            "slower than the stable pods' usual: ",
            1000,
            id="slow within the bound",
        ),
    ],
)
def test_a_worse_canary_is_taken_back_within_so_many_of_its_requests(
    canary: Chances, word: str, most_requests: int
) -> None:
    verdict, requests, _ = rolled_out(canary)
    assert verdict.phase is RolloutPhase.ROLLED_BACK
    assert verdict.weight == 0.0
    assert verdict.message.startswith("worse than the stable pods: ")
    assert word in verdict.message
    assert requests <= most_requests


def test_a_slower_canary_is_not_promoted_where_the_steps_are_short() -> None:
    """What bets have not shown yet, after a few intervals, keeps the steps from ending."""
    short = tuple(Step(weight, timedelta(seconds=5), 40) for weight in (0.2, 0.5))
    for seed in range(20):
        verdict, _, passed = rolled_out(
            Chances(late=0.15, slow=0.99),
            Chances(late=0.0, slow=0.25),
            plan=replace(PLAN, steps=short),
            seed=seed,
        )
        assert verdict.phase is RolloutPhase.ROLLED_BACK
        assert passed < timedelta(minutes=3)


@pytest.mark.parametrize(
    ("late", "least", "most"),
    [
        pytest.param(0.22, 0, 1, id="later by far"),
        pytest.param(0.14, 18, 20, id="as good"),
    ],
)
def test_of_twenty_canaries_that_few_requests_tell_of_are_promoted(
    late: float, least: int, most: int
) -> None:
    """Beside stable pods of which 14 of 100 requests are late, and four come in a second."""
    few = tuple(Step(weight, timedelta(minutes=1), 200) for weight in (0.05, 0.25, 0.5))
    plan = replace(PLAN, steps=few, deadline=timedelta(hours=1))
    ends = [
        rolled_out(Chances(late=late), Chances(late=0.14), plan=plan, seed=seed, rate=4)[0]
        for seed in range(20)
    ]
    promoted = sum(end.phase is RolloutPhase.PROMOTED for end in ends)
    assert least <= promoted <= most


@pytest.mark.parametrize(
    ("measure", "canary", "due", "is_within"),
    [
        pytest.param(Measure.LATE, Share(30, 200), 28.0, False, id="few requests, a little worse"),
        pytest.param(Measure.LATE, Share(27, 200), 28.0, True, id="few requests, no worse"),
        pytest.param(Measure.LATE, Share(1500, 10_000), 1400.0, True, id="many, a little worse"),
        pytest.param(Measure.SLOW, Share(140, 200), 100.0, False, id="slow at the limit"),
        pytest.param(Measure.FAILURES, Share(3, 200), 1.0, True, id="failures come one by one"),
    ],
)
def test_latencies_are_within_what_is_allowed_by_a_standard_error(
    measure: Measure, canary: Share, due: float, is_within: bool
) -> None:
    limit = PLAN.limits.of(measure)
    found = Finding(measure, canary, Share(5000, 36_000), due, limit, log=0.0, needed=6.0)
    assert found.is_within is is_within


def test_a_last_step_without_stable_pods_requests_waits_for_nothing_that_cannot_come() -> None:
    """What is not seen to be within the limit before it is not, either, in a step of all."""
    whole = (Step(0.5, timedelta(0), 20), Step(1.0, timedelta(0), 1))
    plan = replace(PLAN, steps=whole)
    at = START + EVERY
    unsure = Round(at, True, Answers(40, 0, 8, 20), Answers(4000, 0, 600, 2000))
    verdict, memory = advance(plan, begin(START), unsure)
    assert verdict.message.startswith("step 1 of 2, 50%: waits: not yet seen to be within")
    better = Round(at + EVERY, True, Answers(400, 0, 40, 200), Answers(4000, 0, 600, 2000))
    verdict, memory = advance(plan, memory, better)
    assert (verdict.phase, memory.step) == (RolloutPhase.PROGRESSING, 1)
    alone = Round(at + 2 * EVERY, True, Answers(400, 0, 400, 400), Answers())
    verdict, _ = advance(plan, memory, alone)
    assert verdict.phase is RolloutPhase.PROMOTED


def test_answers_that_differ_take_it_back() -> None:
    def compare(seen: Round) -> Round:
        return replace(seen, compared=Share(3, 20))

    verdict, _, _ = rolled_out(WELL, changed=compare)
    assert verdict.phase is RolloutPhase.ROLLED_BACK
    assert "answered differently: " in verdict.message


def test_what_both_tracks_refuse_is_the_clients_fault() -> None:
    """A third of the requests is wrong, whoever answers it."""
    plan = replace(PLAN, false_alarm_rate=0.05, deadline=timedelta(minutes=8))
    wrong = Chances(refused=0.3)
    ends = [rolled_out(wrong, wrong, plan=plan, seed=seed)[0] for seed in range(40)]
    assert sum(end.phase is not RolloutPhase.PROMOTED for end in ends) <= 2
    assert "refused as the client's fault: " in ends[0].message


def test_a_refused_request_is_none_that_a_step_waits_for() -> None:
    """Where all are wrong, nothing is known of how others would be answered."""
    verdict, _, _ = rolled_out(Chances(refused=1.0), Chances(refused=1.0))
    assert verdict.message == "undecided after 1800s: 0 of 500 requests in this step"


def test_where_nobody_counts_refusals_they_are_no_measure() -> None:
    def by_servers(seen: Round) -> Round:
        assert seen.canary is not None
        assert seen.stable is not None
        return replace(
            seen,
            canary=replace(seen.canary, refused=None),
            stable=replace(seen.stable, refused=None),
        )

    verdict, _, _ = rolled_out(WELL, changed=by_servers)
    assert verdict.phase is RolloutPhase.PROMOTED
    assert "refused" not in verdict.message


def test_of_many_equal_canaries_fewer_are_taken_back_than_the_rate_says() -> None:
    plan = replace(PLAN, false_alarm_rate=0.05, deadline=timedelta(minutes=8))
    poor = Chances(failed=0.01, late=0.05)
    ends = [rolled_out(poor, poor, plan=plan, seed=seed)[0] for seed in range(60)]
    assert sum(end.phase is not RolloutPhase.PROMOTED for end in ends) <= 3


def test_a_busier_time_at_a_larger_weight_is_no_fault_of_the_canary() -> None:
    """All that is late is late in the last step, where the canary has a larger part of it."""
    random, memory, now, weight = Random(2), begin(START), START, 0.05
    while True:
        now += EVERY
        chances = Chances(late=0.12 if weight == 0.5 else 0.0)
        mine, others = round(500 * weight), round(500 * (1 - weight))
        seen = Round(now, True, answered(random, mine, chances), answered(random, others, chances))
        verdict, memory = advance(PLAN, memory, seen)
        if verdict.phase is not RolloutPhase.PROGRESSING:
            break
        weight = verdict.weight
    assert verdict.phase is RolloutPhase.PROMOTED
    assert now - START < timedelta(minutes=7)


def test_a_doubt_keeps_a_step_from_ending() -> None:
    memory = begin(START)
    at = START
    for _ in range(40):
        at += EVERY
        seen = Round(at, True, Answers(25, 0, 4, 12), Answers(475, 0, 9, 240))
        verdict, memory = advance(PLAN, memory, seen)
    assert verdict.phase is RolloutPhase.PROGRESSING
    assert verdict.message.startswith(
        "step 1 of 3, 5%: waits: more than is allowed, though that may be chance: late: 160 of 1000"
    )


def test_a_rise_too_small_to_mind_is_no_harm_even_where_it_is_shown() -> None:
    verdict, _, _ = rolled_out(Chances(late=0.03), Chances(late=0.02))
    assert verdict.phase is RolloutPhase.PROMOTED


def test_a_canary_without_requests_waits_and_is_taken_back_undecided() -> None:
    def nothing(seen: Round) -> Round:
        return replace(seen, canary=Answers())

    verdict, _, passed = rolled_out(WELL, changed=nothing)
    assert verdict.phase is RolloutPhase.ROLLED_BACK
    assert verdict.message == "undecided after 1800s: 0 of 500 requests in this step"
    assert passed == PLAN.deadline


def test_unknown_figures_are_not_good_ones() -> None:
    def unknown(seen: Round) -> Round:
        return replace(seen, canary=None)

    verdict, _, _ = rolled_out(WELL, changed=unknown)
    assert verdict.phase is RolloutPhase.ROLLED_BACK
    assert verdict.message == "undecided after 1800s: no figures of both tracks"


def test_what_is_late_while_pods_start_does_not_count() -> None:
    def starting(seen: Round) -> Round:
        if seen.at - START > timedelta(minutes=5):
            return seen
        return replace(seen, carries=False, canary=Answers(50, 0, 50, 50))

    verdict, _, passed = rolled_out(WELL, changed=starting)
    assert verdict.phase is RolloutPhase.PROMOTED
    assert passed >= timedelta(minutes=11)


def test_of_pods_in_their_first_minute_failures_count_and_latencies_do_not() -> None:
    def cold(seen: Round) -> Round:
        if seen.at - START > timedelta(minutes=5) or seen.canary is None or seen.stable is None:
            return seen
        requests, failed = seen.canary.requests, seen.canary.failed
        others = replace(seen.stable, late=0, slow=0, untimed=seen.stable.requests)
        mine = Answers(requests, failed, untimed=requests)
        return replace(seen, warm=False, canary=mine, stable=others)

    verdict, _, passed = rolled_out(WELL, changed=cold)
    assert verdict.phase is RolloutPhase.PROMOTED
    assert passed >= timedelta(minutes=11)
    verdict, _, passed = rolled_out(Chances(failed=0.1), changed=cold)
    assert verdict.message.startswith("worse than the stable pods: failed: ")
    assert passed < timedelta(minutes=1)


def test_a_deadline_that_is_shorter_than_a_start_begins_once_the_pods_are_there() -> None:
    """A large image is pulled, and a large model loaded, for 15 minutes."""
    short = replace(PLAN, deadline=timedelta(minutes=3))

    def starting(seen: Round) -> Round:
        is_there = seen.at - START > timedelta(minutes=15)
        return seen if is_there else replace(seen, carries=False, canary=Answers())

    verdict, _, passed = rolled_out(WELL, plan=short, changed=starting)
    assert verdict.phase is RolloutPhase.PROMOTED
    assert passed >= timedelta(minutes=21)


@pytest.mark.parametrize(
    "never",
    [
        pytest.param({"carries": False}, id="there"),
        pytest.param({"warm": False}, id="a minute old"),
    ],
)
def test_pods_that_are_never_there_are_not_waited_for(never: dict[str, Any]) -> None:
    verdict, _, passed = rolled_out(WELL, changed=lambda seen: replace(seen, **never))
    assert verdict.phase is RolloutPhase.ROLLED_BACK
    assert verdict.message.startswith("undecided after 3000s: the canary's ")
    assert passed == PLAN.deadline + PLAN.longest_start


def test_a_canary_that_cannot_run_is_taken_back_for_that() -> None:
    told = Round(START, False, None, None, fault="ModelLoadFailed: no such file")
    verdict, _ = advance(PLAN, begin(START), told)
    assert (verdict.phase, verdict.weight) == (RolloutPhase.ROLLED_BACK, 0.0)
    assert verdict.message == "ModelLoadFailed: no such file"


@pytest.mark.parametrize(
    ("command", "phase", "weight"),
    [
        (Command.PROMOTE, RolloutPhase.PROMOTED, 0.05),
        (Command.ABORT, RolloutPhase.ROLLED_BACK, 0.0),
    ],
)
def test_a_person_has_the_last_word(command: Command, phase: RolloutPhase, weight: float) -> None:
    told = Round(START, False, None, None, command=command)
    verdict, _ = advance(PLAN, begin(START), told)
    assert (verdict.phase, verdict.weight) == (phase, weight)
    assert verdict.message == f"told to: {command}"


@pytest.mark.parametrize("carries", [True, False], ids=["one by one", "and are too few"])
def test_a_canary_that_fails_while_its_pods_come_and_go_is_taken_back(carries: bool) -> None:
    def crashing(seen: Round) -> Round:
        dies = seen.at.second % 20 == 0
        return replace(seen, canary=Answers(25, 5 if dies else 0), carries=carries and not dies)

    verdict, requests, _ = rolled_out(WELL, changed=crashing)
    assert verdict.message.startswith("worse than the stable pods: failed: ")
    assert requests < 1000


def test_the_time_in_which_pods_carry_their_share_is_summed_up() -> None:
    """A fleet that scales all the time has pods that are too few for one round in four."""

    def scaling(seen: Round) -> Round:
        return replace(seen, carries=seen.at.second % 20 != 0)

    verdict, _, passed = rolled_out(WELL, changed=scaling)
    assert verdict.phase is RolloutPhase.PROMOTED
    assert timedelta(minutes=7, seconds=30) <= passed <= timedelta(minutes=9)


def test_an_operator_that_was_away_does_not_find_the_canary_undecided() -> None:
    _, memory = advance(PLAN, begin(START), replace(FEW, at=START + EVERY))
    verdict, memory = advance(PLAN, memory, replace(FEW, at=START + timedelta(hours=9)))
    assert verdict.phase is RolloutPhase.PROGRESSING
    assert memory.watched == EVERY + LONGEST_LOOK


def test_a_clock_that_was_put_back_takes_no_time_away() -> None:
    _, memory = advance(PLAN, begin(START), replace(FEW, at=START - EVERY))
    assert (memory.watched, memory.looked) == (timedelta(0), START - EVERY)


def test_where_requests_are_mirrored_no_step_ends_before_some_are_compared() -> None:
    verdict, _, passed = rolled_out(WELL, plan=MIRRORED)
    assert verdict.phase is RolloutPhase.ROLLED_BACK
    assert verdict.message == "undecided after 1800s: 0 of 100 mirrored requests compared in it"
    assert passed == MIRRORED.deadline

    def compare(seen: Round) -> Round:
        return replace(seen, compared=Share(0, 2))

    verdict, _, passed = rolled_out(WELL, plan=MIRRORED, changed=compare)
    assert verdict.phase is RolloutPhase.PROMOTED
    assert timedelta(minutes=12) <= passed <= timedelta(minutes=13)


def test_that_nothing_was_compared_is_told_where_it_was_to_be() -> None:
    told = Finding(Measure.DIFFERENT, Share(), Share(), 0.0, 0.01, 0.0, 1.0)
    assert str(told) == "answered differently: 0 compared"


@pytest.mark.parametrize(
    "lacking",
    [
        pytest.param({"carries": False}, id="pods"),
        pytest.param({"stable": None}, id="figures of the stable pods"),
        pytest.param({"canary": None}, id="figures of the canary"),
    ],
)
def test_what_is_compared_counts_whatever_else_is_lacking(lacking: dict[str, Any]) -> None:
    def compare(seen: Round) -> Round:
        return replace(seen, compared=Share(3, 20), **lacking)

    verdict, _, _ = rolled_out(WELL, plan=MIRRORED, changed=compare)
    assert "worse than the stable pods: answered differently: " in verdict.message


def test_each_step_says_what_it_waits_for() -> None:
    memory: Memory = begin(START)
    verdict, _ = advance(PLAN, memory, FEW)
    assert verdict.message == "step 1 of 3, 5%: waits: 25 of 500 requests in this step"
    verdict, _ = advance(PLAN, memory, replace(FEW, carries=False))
    assert verdict.message == (
        "step 1 of 3, 5%: waits: the canary's pods cannot carry 5% of the requests yet"
    )
    verdict, memory = advance(PLAN, memory, replace(FEW, whole=False))
    assert verdict.message == "step 1 of 3, 5%: waits: no figures of both tracks"
    assert memory.seen == 0
