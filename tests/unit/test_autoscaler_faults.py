"""What becomes of a fleet when its signals fail: a table of faults, each lived through in virtual
time by the same afternoon, from what pods count to the decision; by agents with a gateway, whose
figures it has, and without one.

Prometheus' part is played by the figures of `direct` over what it would have scraped: that these
are a real Prometheus' is tested in integration/test_prometheus_signals.py.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby

import pytest

from trireme.api.conditions import Reason
from trireme.api.scaling import Behavior
from trireme.autoscaler.decision import decide
from trireme.autoscaler.direct import PodHistory, Sample, agent_samples, forget
from trireme.autoscaler.expressions import GATEWAY, SERVER
from trireme.autoscaler.memory import before, memory_from_status, record
from trireme.autoscaler.queries import Labels, window
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.autoscaler.signals import Subject, assemble
from trireme.autoscaler.sources import SourceMemory, choose
from trireme.autoscaler.types.capacity import Capacity
from trireme.autoscaler.types.signals import NoSignals, Signals, Source
from unit.autoscaling import NOW, WINDOW, objective, observed, policy, rules, seconds

ROUND, START_UP, END = 5, 40, 2100
PEAK = range(100, 1400)
FAULT = range(800, 1300)  # when faults happen, at the peak
CURVE = ServiceCurve(0.020, 0.002, 8)
POD_RATE = 8 / 0.036  # requests/s that a pod answers at most
EDGES = (50.0, 100.0, 250.0, 1000.0, math.inf)  # ms, of the gateway's histogram
SUSTAINED = Capacity(195.0, CURVE)
RASH = Behavior(up=rules(), down=rules())
"""No stabilisation: what is proposed in one round happens, so that one false figure would show."""

LABELS = Labels()


def load(at: int) -> float:
    return 640.0 if at in PEAK else 100.0


@dataclass
class Pod:
    """Counts as Triton does. A pod of a later template serves another version of the model."""

    ready_since: datetime
    version: str = "1"
    successes: float = 0.0
    microseconds: float = 0.0
    queued: float = 0.0
    waiting: float = 0.0

    def serve(self, rate: float) -> tuple[float, float]:
        """What was answered, and how long each took."""
        arrived = rate * ROUND + self.waiting
        answered = min(arrived, POD_RATE * ROUND)
        self.waiting = arrived - answered
        wait = self.waiting / POD_RATE
        self.successes += answered
        self.microseconds += answered * (0.05 + wait) * 1e6
        self.queued += answered * wait * 1e6
        return answered, 0.05 + wait

    def restart(self) -> None:
        self.successes = self.microseconds = self.queued = 0.0

    def tell(self) -> list[Sample]:
        of = (("model", "m"), ("version", self.version))
        return [
            Sample("nv_inference_request_success", of, self.successes),
            Sample("nv_inference_request_failure", (*of[:1], ("reason", "OTHER"), *of[1:]), 0.0),
            Sample("nv_inference_request_duration_us", of, self.microseconds),
            Sample("nv_inference_queue_duration_us", of, self.queued),
            Sample("nv_inference_pending_request_count", of, self.waiting),
        ]


@dataclass
class Gateway:
    """Counts as Envoy does, of a cluster that all requests go to."""

    arrived: float = 0.0
    answered: float = 0.0
    active: float = 0.0
    milliseconds: float = 0.0
    within: dict[float, float] = field(default_factory=lambda: dict.fromkeys(EDGES, 0.0))

    def count(self, arrived: float, served: Iterable[tuple[float, float]], active: float) -> None:
        self.arrived += arrived
        self.active = active
        for answered, took in served:
            self.answered += answered
            self.milliseconds += answered * took * 1e3
            for edge in EDGES:
                self.within[edge] += answered * (took * 1e3 <= edge)

    def restart(self) -> None:
        self.arrived = self.answered = self.milliseconds = 0.0
        self.within = dict.fromkeys(EDGES, 0.0)

    def tell(self) -> list[Sample]:
        of = (("envoy_cluster_name", "inference_http"),)
        told = {
            "rq_total": self.arrived,
            "rq_completed": self.answered,
            "rq_active": self.active,
            "rq_pending_active": 0.0,
            "rq_time_sum": self.milliseconds,
        }
        return [
            *(Sample(f"envoy_cluster_upstream_{name}", of, told[name]) for name in told),
            *(
                Sample("envoy_cluster_upstream_rq_time_bucket", (*of, ("le", f"{edge:g}")), count)
                for edge, count in self.within.items()
            ),
        ]


Stored = list[tuple[float, str, list[Sample]]]
"""What Prometheus has of one scrape of a pod: with which time, under which name."""


def stored(at: float, pod: str, told: list[Sample]) -> Stored:
    return [(at, pod, told)]


@dataclass(frozen=True)
class Fault:
    """What is wrong, each by the second of the afternoon; by default nothing is."""

    scraped: Callable[[float, str, list[Sample]], Stored] = stored
    answers: Callable[[int], bool] = lambda at: True
    reachable: Callable[[int], bool] = lambda at: True
    told: Callable[[int, list[Sample]], list[Sample]] = lambda at, told: told
    restarts: Callable[[int], bool] = lambda at: False
    rolls_out: Callable[[int], bool] = lambda at: False
    operator_restarts: Callable[[int], bool] = lambda at: False


@dataclass
class Story:
    sizes: dict[int, int] = field(default_factory=dict)
    signals: dict[int, Signals | NoSignals] = field(default_factory=dict)
    backlogs: dict[int, float] = field(default_factory=dict)

    @property
    def sources(self) -> list[str]:
        """The sources in use, one after the other."""
        used = [s.source for s in self.signals.values() if isinstance(s, Signals)]
        return [str(source) for source, _ in groupby(used)]

    @property
    def named(self) -> set[Reason]:
        """What was named as missing, but for pods that only just became ready."""
        lost = [s for s in self.signals.values() if isinstance(s, NoSignals)]
        return {signals.reason for signals in lost if not signals.awaited}


class Histories(dict[str, PodHistory]):
    """What is known of pods by their names."""

    def __missing__(self, name: str) -> PodHistory:
        self[name] = PodHistory(GATEWAY if "gateway" in name else SERVER)
        return self[name]


def live(fault: Fault, gateway: Gateway | None = None) -> Story:
    """The afternoon, with both sources, the choice between them, and the decision."""
    story, pods = Story(), {"pod-0": Pod(NOW)}
    starting: dict[str, int] = {}
    prometheus, reader = Histories(), Histories()
    rule, count = policy(bounds=(1, 8), behavior=RASH), 1
    memory, source, size = memory_from_status(None, NOW, 1), SourceMemory(), 1
    for at in range(0, END, ROUND):
        now = NOW + seconds(at)
        for name, due in [*starting.items()]:
            if due <= at:
                del starting[name]
                pods[name] = Pod(now)
        if fault.rolls_out(at):
            pods = {f"{name}-v2": Pod(now, "2", waiting=pod.waiting) for name, pod in pods.items()}
        served = [pod.serve(load(at) / len(pods)) for pod in pods.values()]
        counting: dict[str, Pod | Gateway] = {**pods}
        if gateway is not None:
            waiting = sum(pod.waiting for pod in pods.values())
            gateway.count(load(at) * ROUND, served, waiting + load(at) * 0.05)
            counting["gateway-0"] = gateway
        if fault.restarts(at):
            next(iter(pods.values())).restart()
            if gateway is not None:
                gateway.restart()
        if fault.operator_restarts(at):
            memory, source = memory_from_status(None, now, size), SourceMemory()
        for name, counts in counting.items():
            told = fault.told(at, counts.tell())
            for time, known_as, samples in fault.scraped(float(at), name, told):
                prometheus[known_as].add(NOW + seconds(time), samples)
            if source.wants_pods and fault.reachable(at):
                reader[name].add(now, told)
        if not source.wants_pods:
            reader.clear()
        ready = {name: pod.ready_since for name, pod in pods.items()}
        gateways = None if gateway is None else {"gateway-0": NOW}
        subject = Subject("shop", "agent", (objective(),), {}, ready, gateways)
        signals, chosen = _observe(fault.answers(at), prometheus, reader, subject, source, at)
        same = chosen.source is source.source
        memory, source = before(memory, signals, same_source=same, now=now), chosen
        decision, memory = decide(
            replace(
                observed(size, (), ready=len(pods), now=now, capacity=SUSTAINED), signals=signals
            ),
            rule,
            memory,
        )
        memory = record(memory, decision, carried_out=True)
        for _ in range(decision.replicas - size):
            starting[f"pod-{count}"] = at + START_UP
            count += 1
        size = decision.replicas
        while len(pods) + len(starting) > size:
            if starting:
                starting.popitem()
            else:
                pods.popitem()
        story.sizes[at], story.signals[at] = size, signals
        story.backlogs[at] = sum(pod.waiting for pod in pods.values())
    return story


def _observe(
    answers: bool,
    prometheus: dict[str, PodHistory],
    reader: dict[str, PodHistory],
    subject: Subject,
    source: SourceMemory,
    at: int,
) -> tuple[Signals | NoSignals, SourceMemory]:
    """As the operator's round does, a second after the scrapes."""
    now = NOW + seconds(at + 1)

    def of(histories: dict[str, PodHistory], said_by: Source) -> Signals | NoSignals:
        over = window(None)
        forget(histories, now - over)
        told = agent_samples(histories, LABELS, now=now, window=over, objectives=(objective(),))
        return assemble(replace(told, source=said_by), subject, now=now, window=over)

    whole = of(prometheus, Source.PROMETHEUS)
    if not answers:
        whole = NoSignals(Reason.PROMETHEUS_UNREACHABLE, "Prometheus does not answer")
    direct = of(reader, Source.PODS) if source.wants_pods else None
    return choose(source, whole, direct, now=now, window=WINDOW)


# ------------------------------------------------------------------------------------ the faults


def missed(at: float, pod: str, told: list[Sample]) -> Stored:
    """Two scrapes in a row are missed."""
    return [] if 900 <= at < 910 else stored(at, pod, told)


def halted(at: float, pod: str, told: list[Sample]) -> Stored:
    """Prometheus answers, and scrapes no more."""
    return [] if at in FAULT else stored(at, pod, told)


def stopped(at: float, pod: str, told: list[Sample]) -> Stored:
    """One pod's series stop: its target was dropped."""
    return [] if at in FAULT and pod == "pod-0" else stored(at, pod, told)


def gateway_stopped(at: float, pod: str, told: list[Sample]) -> Stored:
    """The gateway's series stop."""
    return [] if at in FAULT and pod == "gateway-0" else stored(at, pod, told)


class Twice:
    """Two Prometheus replicas, none of which is taken away, and one is a scrape behind."""

    def __init__(self) -> None:
        self._before: dict[str, list[Sample]] = {}

    def __call__(self, at: float, pod: str, told: list[Sample]) -> Stored:
        if at == 0:
            self._before.clear()
        late, self._before[pod] = self._before.get(pod, told), told
        of_both = [
            replace(sample, labels=tuple(sorted((*sample.labels, ("replica", replica)))))
            for replica, samples in (("a", told), ("b", late))
            for sample in samples
        ]
        return stored(at, pod, of_both)


def seldom(at: float, pod: str, told: list[Sample]) -> Stored:
    """Somebody has a pod scraped once a minute."""
    return [] if at in FAULT and at % 60 else stored(at, pod, told)


def behind(at: float, pod: str, told: list[Sample]) -> Stored:
    """Prometheus' clock falls behind by a minute."""
    return stored(at - 60 if at in FAULT else at, pod, told)


def ahead(at: float, pod: str, told: list[Sample]) -> Stored:
    """Prometheus' clock is 10 s ahead: what it is asked for, it has of 10 s ago."""
    return stored(at + 10, pod, told)


def leapt(at: float, pod: str, told: list[Sample]) -> Stored:
    """Prometheus' clock leaps ahead by a minute."""
    return stored(at + 60 if at in FAULT else at, pod, told)


def late(at: float, pod: str, told: list[Sample]) -> Stored:
    """Samples take ten seconds to where they are asked for."""
    return stored(at - 10, pod, told)


def relabelled(at: float, pod: str, told: list[Sample]) -> Stored:
    """The label that names pods is changed."""
    return stored(at, f"new-{pod}" if at in FAULT else pod, told)


def no_number(broken: str) -> Callable[[int, list[Sample]], list[Sample]]:
    """One metric is not a number."""

    def told(at: int, told: list[Sample]) -> list[Sample]:
        if at not in FAULT:
            return told
        return [replace(s, value=math.nan) if s.metric == broken else s for s in told]

    return told


SERVER_NAN = no_number("nv_inference_request_duration_us")
GATEWAY_NAN = no_number("envoy_cluster_upstream_rq_time_sum")


def out_of_fault(at: int) -> bool:
    return at not in FAULT


PROMETHEUS, PODS = "Prometheus", "Pods"
TO_PODS_AND_BACK = [PROMETHEUS, PODS, PROMETHEUS]


EVERYWHERE = [
    pytest.param(Fault(), [PROMETHEUS], set(), id="nothing"),
    pytest.param(
        Fault(restarts=lambda at: at in (800, 900, 1100)),
        [PROMETHEUS],
        set(),
        id="a pod restarts, and its counters with it",
    ),
    pytest.param(Fault(scraped=missed), [PROMETHEUS], set(), id="a short gap in the scrapes"),
    pytest.param(
        Fault(scraped=halted), TO_PODS_AND_BACK, set(), id="Prometheus answers and scrapes no more"
    ),
    pytest.param(
        Fault(rolls_out=lambda at: at == 900),
        [PROMETHEUS],
        set(),
        id="pods of another template take the place of all",
    ),
    pytest.param(Fault(scraped=Twice()), [PROMETHEUS], set(), id="an HA pair of Prometheus"),
    pytest.param(Fault(scraped=seldom), TO_PODS_AND_BACK, set(), id="scraped once a minute"),
    pytest.param(
        Fault(scraped=behind),
        TO_PODS_AND_BACK,
        {Reason.NO_SERIES},
        id="the clock of Prometheus falls behind",
    ),
    pytest.param(Fault(scraped=ahead), [PROMETHEUS], set(), id="the clock of Prometheus is ahead"),
    pytest.param(
        Fault(scraped=leapt),
        TO_PODS_AND_BACK,
        {Reason.NO_SERIES},
        id="the clock of Prometheus leaps ahead",
    ),
    pytest.param(Fault(scraped=late), [PROMETHEUS, PODS], set(), id="samples that come late"),
    pytest.param(Fault(scraped=relabelled), TO_PODS_AND_BACK, set(), id="a label is changed"),
    pytest.param(
        Fault(answers=out_of_fault),
        TO_PODS_AND_BACK,
        {Reason.PROMETHEUS_UNREACHABLE},
        id="Prometheus is away and comes back",
    ),
    pytest.param(
        Fault(answers=lambda at: at not in FAULT or at % 40 < 20),
        TO_PODS_AND_BACK,
        {Reason.PROMETHEUS_UNREACHABLE},
        id="Prometheus comes and goes every 20 s",
    ),
    pytest.param(
        Fault(answers=lambda at: at not in FAULT or at % 10 < 5),
        TO_PODS_AND_BACK,
        {Reason.PROMETHEUS_UNREACHABLE},
        id="Prometheus comes and goes every round",
    ),
    pytest.param(
        Fault(answers=out_of_fault, reachable=out_of_fault),
        [PROMETHEUS],
        {Reason.PROMETHEUS_UNREACHABLE},
        id="neither Prometheus nor the pods",
    ),
    pytest.param(
        Fault(answers=lambda at: at < 600, reachable=lambda at: at < 800),
        [PROMETHEUS, PODS],
        {Reason.PROMETHEUS_UNREACHABLE},
        id="first Prometheus, then the pods too, for good",
    ),
]


def is_lived_through(story: Story, sources: list[str], named: set[Reason]) -> None:
    assert story.sources == sources
    assert story.named == named
    told = [s.instead for s in story.signals.values() if isinstance(s, Signals)]
    assert any(told) is (PODS in sources), "why it is not Prometheus is said"
    assert {size for at, size in story.sizes.items() if at in FAULT} == {4}, "as without a fault"
    lost_for_good = isinstance(story.signals[END - ROUND], NoSignals)
    assert story.sizes[END - ROUND] == (4 if lost_for_good else 1), "the load fell long ago"


@pytest.mark.parametrize(
    ("fault", "sources", "named"),
    [
        *EVERYWHERE,
        pytest.param(
            Fault(scraped=stopped), TO_PODS_AND_BACK, set(), id="the series of one pod stop"
        ),
        pytest.param(
            Fault(told=SERVER_NAN),
            [PROMETHEUS],
            {Reason.NOT_A_NUMBER},
            id="pods tell what is no number",
        ),
    ],
)
def test_a_fault_is_handled_or_named(fault: Fault, sources: list[str], named: set[Reason]) -> None:
    is_lived_through(live(fault), sources, named)


@pytest.mark.parametrize(
    ("fault", "sources", "named"),
    [
        *EVERYWHERE,
        pytest.param(
            Fault(scraped=gateway_stopped),
            TO_PODS_AND_BACK,
            set(),
            id="the series of the gateway stop",
        ),
        pytest.param(
            Fault(told=GATEWAY_NAN),
            [PROMETHEUS],
            {Reason.NOT_A_NUMBER},
            id="the gateway tells what is no number",
        ),
        pytest.param(
            Fault(scraped=stopped), [PROMETHEUS], set(), id="the series of one server stop"
        ),
        pytest.param(
            Fault(told=SERVER_NAN), [PROMETHEUS], set(), id="servers tell what is no number"
        ),
    ],
)
def test_behind_a_gateway_a_fault_is_handled_or_named(
    fault: Fault, sources: list[str], named: set[Reason]
) -> None:
    is_lived_through(live(fault, Gateway()), sources, named)


@pytest.mark.parametrize("gateway", [None, Gateway], ids=["servers alone", "behind a gateway"])
@pytest.mark.parametrize(
    "operator_restarts",
    [
        pytest.param(lambda at: False, id="the operator lives on"),
        pytest.param(
            lambda at: at >= 1000 and at % 100 == 0, id="the operator dies again and again"
        ),
    ],
)
def test_with_all_signals_lost_at_peak_the_fleet_never_shrinks(
    gateway: type[Gateway] | None, operator_restarts: Callable[[int], bool]
) -> None:
    lost = Fault(
        answers=lambda at: at < 1000,
        reachable=lambda at: False,
        operator_restarts=operator_restarts,
    )
    blind, seeing = (
        live(fault, gateway and gateway()) for fault in (lost, Fault(reachable=lambda at: False))
    )
    assert seeing.sizes[END - ROUND] == 1, "with signals it would have"
    assert {size for at, size in blind.sizes.items() if at >= 1000} == {4}
    assert all(isinstance(s, NoSignals) for at, s in blind.signals.items() if at >= 1000)


def test_what_comes_back_after_a_loss_is_watched_for_a_window_before_anything_shrinks() -> None:
    """The load fell while nobody saw it."""
    story = live(Fault(answers=lambda at: not 1000 <= at < 1800, reachable=lambda at: False))
    shrunk = next(at for at, size in story.sizes.items() if at >= 1000 and size < 4)
    last_blind = 1800 - ROUND
    assert shrunk == last_blind + WINDOW.total_seconds()


def test_a_load_that_rises_while_prometheus_is_away_is_followed_by_what_pods_tell() -> None:
    story = live(Fault(answers=lambda at: at < 50))
    assert story.sources == [PROMETHEUS, PODS]
    grown = next(at for at, size in story.sizes.items() if size > 1)
    assert PEAK.start <= grown <= PEAK.start + 30
    assert story.sizes[1000] == 4
    assert story.backlogs[1000] == 0
    assert story.sizes[END - ROUND] == 1


def test_the_pods_are_not_believed_before_their_second_reading() -> None:
    story = live(Fault(answers=lambda at: at < 800))
    lost = [at for at, signals in story.signals.items() if isinstance(signals, NoSignals)]
    assert lost == [0, 800, 805], "at the start; the loss, and one reading of two"


def test_what_pods_tell_first_is_of_the_time_since_they_are_read() -> None:
    story = live(Fault(answers=lambda at: at < 800))
    first = story.signals[810]
    assert isinstance(first, Signals)
    assert first.models[0].request_rate_per_second == pytest.approx(640, rel=0.01)
