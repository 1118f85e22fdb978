"""Whole afternoons in virtual time: decisions, and pods that answer as a batching server does."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from trireme.api.conditions import Reason
from trireme.api.scaling import Behavior
from trireme.autoscaler.memory import memory_from_status, record
from trireme.autoscaler.records import Inputs, Record, conclude, from_line, replay, written
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.autoscaler.types.capacity import Capacity, OutOfReach
from trireme.autoscaler.types.decision import Decision
from trireme.autoscaler.types.memory import FactorMemory
from trireme.autoscaler.types.signals import ModelSignals, NoSignals
from unit.autoscaling import NOW, observed, policy, seconds, seen

ROUND = 5  # seconds
START_UP = 40  # seconds until a new pod is ready
FIXED, PER_ITEM, BATCH = 0.020, 0.002, 8  # a batch of b is executed in 20 ms + 2 ms x b
CAPACITY = BATCH / (FIXED + PER_ITEM * BATCH)  # 222 requests/s per pod
OBJECTIVE = 0.1
CURVE = ServiceCurve(FIXED, PER_ITEM, BATCH)
TRUE = Capacity(195.0, CURVE)  # queueing.sustained_rate of this curve within p95 100 ms


@dataclass
class Fleet:
    """Pods behind a gateway, as a fluid: a backlog where more arrives than is answered, and else
    the batch that forms while one is executed, b = rate x a / (1 - rate x c).
    """

    size: int = 1
    ready: int = 1
    arrivals_are_seen: bool = True
    backlog: float = 0.0
    starting: deque[int] = field(default_factory=deque)
    window: deque[tuple[float, float, float]] = field(default_factory=lambda: deque(maxlen=6))

    def resize(self, size: int, at: int) -> None:
        for _ in range(size - self.size):
            self.starting.append(at + START_UP)
        while len(self.starting) > max(size - self.ready, 0):
            self.starting.pop()
        self.ready = min(self.ready, size)
        self.size = size

    def advance(self, rate: float, at: int) -> ModelSignals:
        """Live through one round, and say what the last 30 s looked like."""
        while self.starting and self.starting[0] <= at:
            self.starting.popleft()
            self.ready += 1
        answered = min(rate * ROUND + self.backlog, CAPACITY * self.ready * ROUND)
        self.backlog += rate * ROUND - answered
        per_pod = min(rate / self.ready, 0.999 * CAPACITY)
        batch = min(per_pod * FIXED / (1 - per_pod * PER_ITEM), BATCH)
        service = FIXED + PER_ITEM * max(batch, 1)
        waiting = self.backlog / (CAPACITY * self.ready)
        seen_rate = rate if self.arrivals_are_seen else answered / ROUND
        self.window.append((seen_rate, rate * 1.5 * service + self.backlog, 2 * service + waiting))
        arrivals, in_flight, latency = (
            sum(column) / len(self.window) for column in zip(*self.window, strict=True)
        )
        return seen(in_flight, latency, rate=arrivals)


@dataclass
class Afternoon:
    """What happened: the size and the latency after each round, and every change."""

    sizes: list[int] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    changes: list[tuple[int, Decision]] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    factors: list[float | None] = field(default_factory=list)
    inputs: list[Inputs] = field(default_factory=list)

    def between(self, start: int, end: int) -> list[float]:
        return self.latencies[start // ROUND : end // ROUND]


def live(
    load: Callable[[int], float],
    length: int,
    blind: range = range(0),
    restart: int | None = None,
    capacity: Callable[[int], Capacity | OutOfReach | None] = lambda at: None,
    arrivals_are_seen: bool = True,
) -> Afternoon:
    """Run the fleet and the decision together for `length` seconds, with the default behaviour.

    `capacity` is what is known of a pod by then; arrivals are not seen without a gateway.
    """
    fleet, story = Fleet(arrivals_are_seen=arrivals_are_seen), Afternoon()
    rule = policy(bounds=(1, 8), behavior=Behavior())
    memory = memory_from_status(None, NOW, fleet.size)
    for at in range(0, length, ROUND):
        now = NOW + seconds(at)
        signals = fleet.advance(load(at), at)
        if at == restart:
            # What the status keeps of it: the round trip is tested with the memory.
            factors = tuple(FactorMemory(f.model, f.factor) for f in memory.factors)
            memory = replace(memory_from_status(None, now, fleet.size), factors=factors)
        observation = observed(
            fleet.size,
            NoSignals(Reason.PROMETHEUS_UNREACHABLE, "no answer") if at in blind else signals,
            ready=fleet.ready,
            now=now,
            capacity=capacity(at),
        )
        story.inputs.append(Inputs(observation, rule, memory))
        decision, memory = conclude(story.inputs[-1])
        memory = record(memory, decision, carried_out=True)
        if decision.replicas != decision.current:
            story.changes.append((at, decision))
        fleet.resize(decision.replicas, at)
        assert signals.latency is not None
        story.latencies.append(signals.latency.seconds)
        story.sizes.append(fleet.size)
        story.decisions.append(decision)
        story.factors.append(memory.factors[0].factor if memory.factors else None)
    return story


def busy_from_five_minutes_to_half_an_hour(at: int) -> float:
    return 600.0 if 300 <= at < 1800 else 100.0


def test_a_load_step_is_followed_up_and_down_without_flapping() -> None:
    story = live(busy_from_five_minutes_to_half_an_hour, length=3600)
    ups = [at for at, d in story.changes if d.replicas > d.current]
    downs = [at for at, d in story.changes if d.replicas < d.current]
    assert 300 <= ups[0] < 330, "the first pods are asked for within the window"
    assert max(ups) < 420, "what the step needs is asked for once"
    assert max(story.between(600, 1800)) <= OBJECTIVE, "within five minutes it is kept, and stays"
    assert max(story.between(1800, 3600)) <= OBJECTIVE, "no pod goes that is needed"
    assert min(downs) >= max(ups) + 300, "nothing shrinks before the stabilisation window"
    assert story.sizes[1799 // ROUND] < max(story.sizes), "what the backlog needed is given back"
    assert story.sizes[-1] == 1
    assert len(story.changes) <= 8


def test_a_blind_peak_is_held_and_judged_again_afterwards() -> None:
    story = live(busy_from_five_minutes_to_half_an_hour, length=3600, blind=range(1500, 2100))
    at_peak = story.sizes[1495 // ROUND]
    # The stabilisation window stood still, and then goes on where it was: full of the peak.
    assert set(story.sizes[1500 // ROUND : 2390 // ROUND]) == {at_peak}
    assert {d.reason for d in story.decisions[1500 // ROUND : 2100 // ROUND]} == {Reason.NO_SIGNALS}
    assert story.sizes[-1] == 1


def test_a_restart_at_peak_changes_nothing() -> None:
    quiet = live(busy_from_five_minutes_to_half_an_hour, length=1800)
    restarted = live(busy_from_five_minutes_to_half_an_hour, length=1800, restart=1500)
    assert restarted.sizes == quiet.sizes


def test_a_constant_load_is_left_alone() -> None:
    story = live(lambda at: 100.0, length=3600)
    assert story.changes == []


# --------------------------------------------------------------- where a pod's capacity is known


def ramp(at: int) -> float:
    """From 100 to 1000 requests/s within half an hour, and back."""
    return 100 + 900 * max(0.0, 1 - abs(at - 1800) / 1800)


@pytest.mark.parametrize("arrivals_are_seen", [True, False], ids=["gateway", "answers alone"])
def test_a_step_is_answered_by_what_pods_sustain_and_no_more(arrivals_are_seen: bool) -> None:
    story = live(
        busy_from_five_minutes_to_half_an_hour,
        3600,
        capacity=lambda at: TRUE,
        arrivals_are_seen=arrivals_are_seen,
    )
    ups = [at for at, d in story.changes if d.replicas > d.current]
    assert 300 <= ups[0] < 330
    assert max(story.between(720, 3600)) <= OBJECTIVE
    assert story.sizes[1799 // ROUND] == 4, "600 requests/s and a margin at 195 a pod"
    assert story.sizes[-1] == 1
    assert story.factors[-1] == 1.0, "a load that rose is no fault of the curve"


def test_a_ramp_is_followed_before_the_objective_breaks() -> None:
    story = live(ramp, 3600, capacity=lambda at: TRUE)
    assert max(story.latencies) <= OBJECTIVE
    assert story.sizes[1800 // ROUND] == 6, "1000 requests/s and a margin at 195 a pod"
    ups = [d for _, d in story.changes if d.replicas > d.current]
    told = [str(d.message) for d in ups]
    assert all("within 100 ms" in words and "that one sustains" in words for words in told)
    assert len(story.changes) <= 12


def test_what_no_size_keeps_is_not_chased() -> None:
    hopeless = OutOfReach(0.142, CURVE)
    story = live(lambda at: 600.0, 3600, capacity=lambda at: hopeless)
    assert {*story.sizes[1800 // ROUND :]} == {4}, "the fleet follows its requests in flight alone"
    broken = [told for d in story.decisions if " over " in (told := str(d.message))]
    assert broken
    assert all("which no size keeps (an idle pod takes 142 ms" in told for told in broken)


def test_a_curve_that_promises_too_much_is_corrected_once_and_for_all() -> None:
    wrong = Capacity(1.3 * CAPACITY, CURVE)
    story = live(lambda at: 700.0, 7200, capacity=lambda at: wrong)
    assert max(story.between(900, 7200)) <= OBJECTIVE, "and the fleet does not shrink back into it"
    assert story.factors[-1] is not None
    assert story.factors[-1] < 1
    assert len({*story.sizes[900 // ROUND :]}) <= 2


def test_a_restart_changes_neither_the_size_nor_what_was_corrected() -> None:
    wrong = Capacity(1.3 * CAPACITY, CURVE)
    quiet, restarted = (
        live(lambda at: 700.0, 3600, restart=restart, capacity=lambda at: wrong)
        for restart in (None, 1800)
    )
    assert restarted.sizes[1800 // ROUND :] == quiet.sizes[1800 // ROUND :]
    assert restarted.factors[1800 // ROUND] == quiet.factors[1800 // ROUND] != 1.0


def test_a_new_repository_begins_with_the_requests_in_flight_and_no_correction() -> None:
    """Half an hour after a rollout its own curve is learnt."""
    wrong = Capacity(1.3 * CAPACITY, CURVE)
    story = live(
        lambda at: 700.0,
        5400,
        capacity=lambda at: wrong if at < 1800 else TRUE if at >= 3600 else None,
    )
    between = slice(1800 // ROUND, 3600 // ROUND)
    told = [str(d.message) for d in story.decisions[between]]
    assert all("aimed at" in words for words in told if " 0 " not in words)
    assert {*story.factors[between]} == {None}
    assert story.factors[3600 // ROUND] == 1.0
    assert max(story.between(1800, 5400)) <= OBJECTIVE


def learnt_after_ten_minutes(at: int) -> Capacity | None:
    return TRUE if at >= 600 else None


def test_an_afternoon_comes_out_the_same_from_its_records() -> None:
    load = busy_from_five_minutes_to_half_an_hour
    story = live(load, 3600, range(1500, 1560), restart=2000, capacity=learnt_after_ten_minutes)
    lines = [
        written(Record("1", "team", "echo", inputs, decision)).line
        for inputs, decision in zip(story.inputs, story.decisions, strict=True)
    ]
    assert len(lines) == 720
    for line, inputs, decision in zip(lines, story.inputs, story.decisions, strict=True):
        read = from_line(line)
        assert read is not None
        assert read.record.inputs == inputs
        assert conclude(read.record.inputs) == conclude(inputs)
        assert read.record.decision == decision
        assert replay(read, "1").difference is None
        assert written(read.record).line == line, "to the last digit"
