"""Whole afternoons in virtual time: decisions, and pods that answer as a batching server does."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from trireme.api.conditions import Reason
from trireme.api.types import Behavior
from trireme.autoscaler.decision import decide
from trireme.autoscaler.memory import memory_from_status, record
from trireme.autoscaler.types import Decision, ModelSignals, NoSignals
from unit.autoscaling import NOW, observed, policy, seconds, seen

ROUND = 5  # seconds
START_UP = 40  # seconds until a new pod is ready
FIXED, PER_ITEM, BATCH = 0.020, 0.002, 8  # a batch of b is executed in 20 ms + 2 ms x b
CAPACITY = BATCH / (FIXED + PER_ITEM * BATCH)  # 222 requests/s per pod
OBJECTIVE = 0.1


@dataclass
class Fleet:
    """Pods behind a gateway, as a fluid: a backlog where more arrives than is answered, and else
    the batch that forms while one is executed, b = rate x a / (1 - rate x c).
    """

    size: int = 1
    ready: int = 1
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
        self.window.append((rate, rate * 1.5 * service + self.backlog, 2 * service + waiting))
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

    def between(self, start: int, end: int) -> list[float]:
        return self.latencies[start // ROUND : end // ROUND]


def live(
    load: Callable[[int], float], length: int, blind: range = range(0), restart: int | None = None
) -> Afternoon:
    """Run the fleet and the decision together for `length` seconds, with the default behaviour."""
    fleet, story = Fleet(), Afternoon()
    rule = policy(bounds=(1, 8), behavior=Behavior())
    memory = memory_from_status(None, NOW, fleet.size)
    for at in range(0, length, ROUND):
        now = NOW + seconds(at)
        signals = fleet.advance(load(at), at)
        if at == restart:
            memory = memory_from_status(None, now, fleet.size)
        observation = observed(
            fleet.size,
            NoSignals(Reason.PROMETHEUS_UNREACHABLE, "no answer") if at in blind else signals,
            ready=fleet.ready,
            now=now,
        )
        decision, memory = decide(observation, rule, memory)
        memory = record(memory, decision, carried_out=True)
        if decision.replicas != decision.current:
            story.changes.append((at, decision))
        fleet.resize(decision.replicas, at)
        assert signals.latency is not None
        story.latencies.append(signals.latency.seconds)
        story.sizes.append(fleet.size)
        story.decisions.append(decision)
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
