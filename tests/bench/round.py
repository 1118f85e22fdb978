"""A scaling round over many agents: `python -m bench.round --plot docs/round.png`.

Needs no cluster. It is the operator's own round: Prometheus' answers are read over loopback, each
agent is observed, shares its budget, is foreseen and decided, by the very functions that the
operator runs. Only the two servers are stand-ins, and the clock, which is set from round to round.
Each number of agents has a process of its own. Time is the processor's, of all its threads.
"""

import argparse
import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median

from kubernetes.aio import client
from matplotlib.figure import Figure

from agents import agent_of, repository_of
from bench.stand_in import (
    MODEL,
    NAMESPACE,
    PERCENTILE,
    SCRAPE_SECONDS,
    TARGET,
    StandIn,
    gateway_pod,
    server_pods,
    stand_in,
)
from bench.table import table
from trireme.api import names
from trireme.api.gpu_budgets import GpuBudget
from trireme.autoscaler import capacity
from trireme.autoscaler.capacity import LearntCurve
from trireme.autoscaler.demand import Demand, Terms
from trireme.autoscaler.history import KEPT_BINS, KEPT_STEPS, STEP_SECONDS, STEPS_PER_BIN
from trireme.autoscaler.queries import Labels, window
from trireme.autoscaler.records import conclude
from trireme.autoscaler.samples import Index
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.autoscaler.signals import assemble
from trireme.autoscaler.types.capacity import Capacity
from trireme.autoscaler.types.policy import ObjectivePolicy
from trireme.autoscaler.types.serving import Serving
from trireme.autoscaler.types.signals import Signals
from trireme.control.agent_state import Accepted
from trireme.control.autoscale import Autoscaler
from trireme.control.direct import PodReader
from trireme.control.fleet import subject
from trireme.control.foresight import foresee
from trireme.control.garbage import collect_seldom
from trireme.control.history import History
from trireme.control.queue import Key
from trireme.control.sampling import questions
from trireme.control.start_parts import StartParts
from trireme.control.store import Object, Store
from trireme.edge.cluster import Cluster
from trireme.edge.demand import DemandQueries
from trireme.edge.metrics import Metrics
from trireme.edge.pod_metrics import PodMetrics
from trireme.edge.prometheus import Access, Prometheus
from trireme.edge.recorder import Recorder

COUNTS = (100, 1_000, 3_000, 10_000)
GOAL_SECONDS, GOAL_AGENTS = 1.0, 10_000
ROUND_SECONDS = 5
ROUNDS = 9  # of which three begin a step of what is foreseen
MEMBERS = 10  # agents of a budget, which has GPUs for all
CURVE = ServiceCurve(0.020, 0.005, 8)
SUSTAINED_PER_SECOND = 40.0
BUSY = 3.0  # times the load: every agent grows
BEGAN = datetime(2026, 11, 1, tzinfo=UTC)
MIB = 2**20


@dataclass(frozen=True)
class Measured:
    """Of so many agents: processor seconds of rounds and of their parts, and memory.

    `first` is the round after a start, `plain` one in which nothing is foreseen anew, `stepping` a
    round that begins a step, `writing` one that resizes every agent and tells of it, in `writes`
    writes.
    """

    agents: int
    first: float
    plain: float
    parts: "Parts"
    stepping: float
    writing: float
    writes: int
    begun_bytes: int
    resident_bytes: int

    @property
    def bytes_of_agent(self) -> float:
        """What an agent takes, with its objects, its past and the round's answers about it."""
        return (self.resident_bytes - self.begun_bytes) / self.agents


@dataclass(frozen=True)
class Parts:
    """Processor seconds of the parts of a round, each run by itself over all agents.

    `parse` reads Prometheus' answers, `assemble` makes signals of them,
    `decide` decides. `foresee` asks what to be ready for, and `refresh` does so where a step
    begins, and all experts are tested. The rest of a round is looking at pods, sharing budgets and
    finding that there is nothing to tell.
    """

    parse: float
    assemble: float
    decide: float
    foresee: float
    refresh: float

    @property
    def bound(self) -> float:
        """What the goal is of."""
        return self.parse + self.assemble + self.decide


class Clock:
    """The time of the rounds."""

    now = BEGAN

    def __call__(self) -> datetime:
        """What the operator asks."""
        return self.now


def measure(agents: int) -> Measured:
    """Rounds over so many agents."""
    return asyncio.run(_measure(agents))


async def _measure(agents: int) -> Measured:
    collect_seldom()  # as the operator does
    begun, clock, store = _resident_bytes(), Clock(), Store()
    for number in range(agents):
        _add(store, f"agent-{number}", f"budget-{number // MEMBERS}")
    budgets = [
        GpuBudget(name=f"budget-{number}", gpus=100) for number in range(-(-agents // MEMBERS))
    ]
    # As if scraped at the end: a round is told by its own clock how old a sample is.
    with stand_in(agents, (BEGAN + timedelta(hours=1)).timestamp()) as servers:
        access = Access(servers.url, timeout_seconds=600)
        async with (
            _api(servers) as api,
            Prometheus(access) as prometheus,
            PodMetrics() as pod_metrics,
            DemandQueries(access) as demand,
        ):
            labels, cluster, history = Labels(), Cluster(api), History()
            metrics = Metrics()
            autoscaler = Autoscaler(
                cluster=cluster,
                store=store,
                prometheus=prometheus,
                reader=PodReader(store=store, pod_metrics=pod_metrics, labels=labels, clock=clock),
                start_parts=StartParts(cluster=cluster, store=store, clock=clock),
                demand=demand,
                budgets=budgets,
                recorder=Recorder(cluster, "bench", metrics),
                metrics=metrics,
                history=history,
                labels=labels,
                clock=clock,
            )
            first = await _spent(autoscaler.round)
            _learnt(store)
            for _ in range(ROUNDS):  # what each decision changes at first is written
                clock.now += timedelta(seconds=ROUND_SECONDS)
                await autoscaler.round()
            written, seconds = servers.writes(), dict[bool, list[float]]()
            for _ in range(ROUNDS):
                step = _step(clock.now)
                clock.now += timedelta(seconds=ROUND_SECONDS)
                spent = await _spent(autoscaler.round)
                seconds.setdefault(_step(clock.now) > step, []).append(spent)
            if servers.writes() > written:
                raise AssertionError(f"{servers.writes() - written} writes in rounds without news")

            resident = _resident_bytes()
            parts = await _parts(store, prometheus, history, labels, clock.now)
            servers.load(BUSY)
            while _step(clock.now) == _step(clock.now + timedelta(seconds=ROUND_SECONDS)):
                clock.now += timedelta(seconds=ROUND_SECONDS)
            clock.now += timedelta(seconds=ROUND_SECONDS)
            writing = await _spent(autoscaler.round)
            writes = servers.writes() - written
    return Measured(
        agents,
        first,
        median(seconds[False]),
        parts,
        median(seconds[True]),
        writing,
        writes,
        begun,
        resident,
    )


async def _parts(
    store: Store, prometheus: Prometheus, history: History, labels: Labels, now: datetime
) -> Parts:
    """The parts of the last round, made again from what it saw. It is the last one in which the
    past of the agents counts: a step is added to it, once.
    """
    over = window(timedelta(seconds=SCRAPE_SECONDS))
    views = {key: store.view(key) for key in store.agents()}
    last = {key: kept[-1].inputs for key in views if (kept := history.of(key))}
    # Those of a look at the pods, which a round takes where they have changed.
    subjects = {key: subject(key, view, last[key].policy) for key, view in views.items()}
    samples = Index(labels, {})

    async def parse() -> None:
        nonlocal samples
        accepted = (view.accepted for view in views.values())
        asked = questions((each.latencies for each in accepted if each), over, labels)
        samples = Index(labels, await prometheus.round(asked, labels, now))

    async def assembled() -> None:
        for key, asked_of in subjects.items():
            assemble(samples.of(*key), asked_of, now=now, window=over)

    async def decided() -> None:
        for inputs in last.values():
            conclude(inputs)

    async def foreseen(at: datetime) -> None:
        for key, view in views.items():
            seen = last[key].observation
            assert isinstance(seen.signals, Signals)  # the stand-in always answers
            foresee(
                view.foresights,
                replace(seen, signals=replace(seen.signals, at=at)),
                last[key].policy,
                last[key].memory,
            )

    return Parts(
        parse=await _least(parse),
        assemble=await _least(assembled),
        decide=await _least(decided),
        foresee=await _least(partial(foreseen, now)),
        refresh=await _spent(partial(foreseen, now + timedelta(seconds=STEP_SECONDS))),
    )


async def _least(part: Callable[[], Awaitable[None]]) -> float:
    return min([await _spent(part) for _ in range(3)])


async def _spent(part: Callable[[], Awaitable[None]]) -> float:
    began = time.process_time()
    await part()
    return time.process_time() - began


def _step(now: datetime) -> int:
    return int(now.timestamp()) // STEP_SECONDS


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _api(servers: StandIn) -> client.ApiClient:
    configuration = client.Configuration()
    configuration.host = servers.url
    return client.ApiClient(configuration)


# ---------------------------------------------------------------------------------------- agents


def _add(store: Store, name: str, budget: str) -> None:
    """An agent behind a gateway, its pods ready for an hour."""
    key = Key(NAMESPACE, name)
    identity = {"namespace": NAMESPACE, "name": name, "uid": f"uid-{name}"}
    metadata = {**identity, "resourceVersion": "1", "generation": 1}
    store.agent_event({"metadata": metadata, "spec": {}, "status": {}}, deleted=False)
    spec = {
        "server": {"image": "registry.example/triton:26.08-py3", "gpus": {"count": 1}},
        "objectives": [{"model": MODEL, "latency": {"target": "100ms"}}],
        "scaling": {"min": 1, "max": 8, "budget": {"name": budget}},
    }
    store.view(key).accepted = Accepted(agent_of(name, MODEL, **spec), repository_of())
    pods = server_pods(name)
    owner = {"manager": names.SCALE_MANAGER, "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    deployment = {
        "kind": "Deployment",
        "metadata": {
            **metadata,
            "name": names.server(name),
            "resourceVersion": "1",
            "labels": {names.OWNER: name, names.AGENT: name},
            "ownerReferences": [{"uid": metadata["uid"]}],
            "managedFields": [owner],
        },
        "spec": {"replicas": len(pods)},
        "status": {"replicas": len(pods), "readyReplicas": len(pods)},
    }
    store.child_event(key, deployment, deleted=False)
    for pod in pods:
        store.pod_event(key, _pod(pod, {names.AGENT: name}), deleted=False)
    store.pod_event(key, _pod(gateway_pod(name), {names.GATEWAY: name}), deleted=False)


def _pod(name: str, labels: dict[str, str]) -> Object:
    made = BEGAN - timedelta(hours=1)
    started, ready = made + timedelta(seconds=10), made + timedelta(seconds=40)
    return {
        "metadata": {
            "namespace": NAMESPACE,
            "name": name,
            "uid": f"uid-{name}",
            "creationTimestamp": made.isoformat(),
            "labels": {**labels, "pod-template-hash": "1"},
        },
        "status": {
            "phase": "Running",
            "podIP": "127.0.0.1",
            "conditions": [
                {"type": kind, "status": "True", "lastTransitionTime": at.isoformat()}
                for kind, at in (("PodScheduled", made), ("Ready", ready))
            ],
            "containerStatuses": [
                {
                    "name": names.SERVER_CONTAINER,
                    "containerID": f"containerd://{name}",
                    "ready": True,
                    "started": True,
                    "restartCount": 0,
                    "state": {"running": {"startedAt": started.isoformat()}},
                }
            ],
        },
    }


def _learnt(store: Store) -> None:
    """What one pod sustains is known of all from now on."""
    for key in store.agents():
        (learning,) = store.view(key).learning.values()
        learning.curves[MODEL] = LearntCurve(CURVE, 0.1, 1000)
        learning.capacities[MODEL] = Capacity(SUSTAINED_PER_SECOND, CURVE, eased_seconds=0.08)


# ------------------------------------------------------------------------------ slower schedules


def _slower() -> str:
    """What a round does not wait for, milliseconds an agent."""
    objective = ObjectivePolicy(
        model=MODEL,
        percentile=PERCENTILE,
        latency_target_seconds=TARGET.total_seconds(),
        max_failure_ratio=0.001,
        start_in_flight_per_pod=8.0,
        fixed_target=False,
    )
    terms = Terms(SUSTAINED_PER_SECOND, 30.0, 30.0, 1, 8, 0.05)
    begin = int(BEGAN.timestamp())
    hours = {begin - STEP_SECONDS * ago: 50.0 + ago % 7 for ago in range(KEPT_STEPS)}
    width = STEP_SECONDS * STEPS_PER_BIN
    week = {begin - width * ago: 50.0 + ago % 7 for ago in range(KEPT_BINS)}

    def search(number: int) -> None:
        curve = ServiceCurve(CURVE.fixed_seconds * (1 + number / 100), CURVE.per_request_seconds, 8)
        capacity.capacity(LearntCurve(curve, 0.1, 1000), Serving(1, 8), objective)

    rows = [
        ("search what a pod sustains, a new curve", f"{_milliseconds(search, 10):.1f}"),
        (
            "recall the past: a week, and 2 h 20 min tested",
            f"{_milliseconds(lambda _: Demand.recalled(week, hours, terms, BEGAN), 3):.0f}",
        ),
    ]
    return table("Beside the rounds, in a thread", ("what", "processor ms an agent"), rows)


def _milliseconds(part: Callable[[int], object], times: int) -> float:
    spent = []
    for number in range(times):
        began = time.process_time()
        part(number)
        spent.append(time.process_time() - began)
    return median(spent) * 1e3


# ---------------------------------------------------------------------------------------- report


def report(found: Sequence[Measured]) -> str:
    """The rounds by the number of agents."""
    rows = [
        (
            f"{each.agents:,}",
            f"{each.plain:.2f}",
            f"{each.plain / each.agents * 1e6:.0f}",
            f"{each.stepping:.2f}",
            f"{each.first:.2f}",
            f"{each.resident_bytes / MIB:.0f}",
            f"{each.bytes_of_agent / 1024:.0f}",
        )
        for each in found
    ]
    header = (
        "agents",
        "round, s",
        "us an agent",
        "round with a step of the forecasts, s",
        "first round, s",
        "memory MiB",
        "KiB an agent",
    )
    parts = [
        (
            f"{each.agents:,}",
            f"{each.parts.bound:.2f}",
            *(
                f"{seconds / each.agents * 1e6:.0f}"
                for seconds in (
                    each.parts.parse,
                    each.parts.assemble,
                    each.parts.decide,
                    each.parts.foresee,
                    each.plain - each.parts.bound - each.parts.foresee,
                    each.parts.refresh,
                )
            ),
        )
        for each in found
    ]
    header_parts = (
        "agents",
        "parse, assemble, decide, s",
        "parse, us an agent",
        "assemble",
        "decide",
        "foresee",
        "the rest of a round",
        "refresh a forecast",
    )
    writes = [
        (
            f"{each.agents:,}",
            each.writes,
            f"{each.writing:.2f}",
            f"{(each.writing - each.plain) / each.writes * 1e3:.2f}",
        )
        for each in found
    ]
    header_writes = ("agents", "writes", "round, s", "ms a write, over a round without")
    return "\n".join(
        (
            table("A round, processor seconds", header, rows),
            table("Its parts, processor time", header_parts, parts),
            table("Every agent is resized and told of", header_writes, writes),
        )
    )


def draw(found: Sequence[Measured], path: Path) -> None:
    """The growth with the number of agents."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    spent, memory = figure.subplots(1, 2)
    agents = [each.agents for each in found]
    for label, seconds in (
        ("a round", [each.plain for each in found]),
        ("parse, assemble, decide", [each.parts.bound for each in found]),
        ("with a step of the forecasts", [each.stepping for each in found]),
    ):
        spent.plot(agents, seconds, "o-", label=label)
    spent.plot([GOAL_AGENTS], [GOAL_SECONDS], "k*", ms=10, label="goal")
    spent.set_ylabel("processor seconds")
    spent.legend(fontsize=8)
    memory.plot(agents, [each.resident_bytes / MIB for each in found], "o-")
    memory.set_ylabel("memory, MiB")
    for axes in (spent, memory):
        axes.set_xlabel("agents")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=130, metadata={"Software": "trireme"})


def main() -> None:
    """Measure, print, and draw if asked."""
    parser = argparse.ArgumentParser(prog="python -m bench.round", description=__doc__)
    parser.add_argument("--agents", type=int, nargs="*", default=COUNTS)
    parser.add_argument("--plot", type=Path, help="a PNG of the growth")
    told = parser.parse_args()
    # A fresh process for each, so that memory is that of so many agents.
    context = get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
        found = list(pool.map(measure, told.agents))
    print(report(found))
    print(_slower())
    if told.plot is not None:
        draw(found, told.plot)


if __name__ == "__main__":
    main()
