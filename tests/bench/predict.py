"""The operator's prediction of p95 beside what clients of a real Triton see.

Nothing is told: the operator learns what a batch costs while an agent serves (mode Shadow, so that
the number of pods is ours), and its own functions make a p95 of that and of a rate. The load is
Poisson over HTTP through the gateway, whose latency is the one that objectives are about.

A p95 strays by chance, the longer, the nearer to the capacity. So loads last longer there, and the
same arrivals are also simulated, event by event, with the learnt curve and the gateway's balancing:
what that misses is the pod's and the path's, and what the prediction misses beyond it is chance,
and what it makes of the balancing where there are several pods. How far other arrivals of the same
length would stray is simulated, too: a load of 95 % would have to last for hours to stray by 2 %.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from bench import histogram
from bench.machine import MOST_BUSY, MOST_OTHERS, Usage, watched
from bench.table import table
from e2e.agents import server_pods, start
from e2e.load import Load
from kube import Kube
from load.arrivals import parse_profile, poisson_arrivals
from trireme.admission.parse import readable_status
from trireme.api import names
from trireme.api.agent import AgentDeployment
from trireme.api.scaling_status import CurveSource
from trireme.autoscaler.batch_events import PodModel
from trireme.autoscaler.capacity import LearntCurve, due_seconds, pod_shape
from trireme.autoscaler.memory import curves_from_status
from trireme.autoscaler.policy import policy_of
from trireme.autoscaler.queueing import PodShape, latencies
from trireme.autoscaler.types.policy import ObjectivePolicy
from trireme.autoscaler.types.serving import Serving
from trireme.simulator.pods import Balancer, serve_fleet

PERCENTILE = 95  # of the objectives, too
# By the load from which on they hold; together, with what comes between, 35 minutes or so.
SECONDS_BY_LOAD = ((0.9, 240), (0.7, 120), (0.4, 60), (0.0, 45))
FIRST_MINUTE_SECONDS = 62  # of a pod, from which nothing is learnt
LEARNING = "540s@{rate:.0f}"  # longer than a curve and its gap take: it is ended then
LEARNING_LOAD = 0.7
GAP_SECONDS = 240  # in which the gap between batches is learnt, or there is none worth it
SEEDS = 20  # of the simulated fleet's choices, of which the mean is taken, and of other arrivals

_MANIFESTS = Path(__file__).with_suffix(".yaml")


@dataclass(frozen=True, slots=True)
class Model:
    """A model's agent, and the error that is aimed at. `expected_per_second` is what an instance
    answers at most, only to find a load to learn from.
    """

    name: str
    title: str
    goal: float
    expected_per_second: float


SLEEPING = Model("sleeping", "sleeps 20 ms + 5 ms a request", 0.05, 133)
TORCH = Model("torch", "torch, one thread", 0.15, 70)


@dataclass(frozen=True, slots=True)
class Case:
    """A fleet at a share of its capacity."""

    model: Model
    instances: int
    pods: int
    load: float


def _cases() -> list[Case]:
    """In an order that changes the fleet seldom."""
    fleets: list[tuple[Model, int, int, tuple[float, ...]]] = [
        (SLEEPING, 1, 1, (0.2, 0.4, 0.6, 0.8, 0.95)),
        (SLEEPING, 1, 2, (0.5, 0.8)),
        (SLEEPING, 1, 4, (0.3, 0.6)),
        (SLEEPING, 2, 1, (0.2, 0.5, 0.8, 0.95)),
        (TORCH, 1, 1, (0.2, 0.5, 0.8)),
    ]
    return [Case(model, k, pods, load) for model, k, pods, loads in fleets for load in loads]


@dataclass(frozen=True, slots=True)
class Result:
    """A case as it came out, in seconds."""

    case: Case
    rate_per_second: float
    lost: int
    predicted: float
    simulated: float
    stray: float  # the standard error of what is seen, relative
    gap_seconds: float
    observed: float
    clients: float
    predicted_mean: float
    observed_mean: float
    usage: Usage

    @property
    def error(self) -> float:
        """Of the prediction, relative."""
        return self.predicted / self.observed - 1

    @property
    def is_void(self) -> bool:
        """Whether requests waited for processors, or were lost."""
        return self.usage.busy > MOST_BUSY or self.lost > 0


def run(kube: Kube, system: Kube) -> str:
    """All cases, and the mean of the errors of each fleet."""
    documents = list(yaml.safe_load_all(_MANIFESTS.read_text()))
    for files, agent in zip(documents[::2], documents[1::2], strict=True):
        start(kube, agent, files)
    time.sleep(FIRST_MINUTE_SECONDS)  # of both at once
    results = []
    for (model, instances), cases in groupby(_cases(), lambda case: (case.model, case.instances)):
        _patch(kube, model.name, 1, instances)
        learnt = _learn(kube, model, instances)
        for pods, those in groupby(cases, key=lambda case: case.pods):
            _patch(kube, model.name, pods, instances)
            results += [_measure(kube, learnt, case) for case in those]
    return _report(results)


# ------------------------------------------------------------------------------------- the agents


def _patch(kube: Kube, agent: str, pods: int, instances: int) -> None:
    """Set a fleet's size and its pods' instances, and wait until it is as it was set."""
    changes = [
        {"op": "replace", "path": "/spec/replicas", "value": pods},
        {"op": "replace", "path": "/spec/models/0/instances/0/count", "value": instances},
    ]
    kube.run("patch", "agd", agent, "--type=json", "--patch", json.dumps(changes))

    def is_as_set() -> bool:
        alone = len(server_pods(kube, agent)) == pods  # without those that still drain
        return alone and kube.ready_pods(agent) == pods and kube.is_ready(agent)

    kube.until(f"{pods} pods of {instances} instances", is_as_set, 120, agent)


def _learn(kube: Kube, model: Model, instances: int) -> LearntCurve:
    """Load until the operator has said what it learnt, the gap between batches included."""
    agent, rate = model.name, LEARNING_LOAD * instances * model.expected_per_second
    load = Load(kube, "learning", agent, "m", LEARNING.format(rate=rate), *_ARGUMENTS)
    kube.until("a curve is learnt", lambda: _learnt(kube, agent) is not None, 240, agent)
    until = time.monotonic() + GAP_SECONDS

    def is_enough() -> bool:
        known = _learnt(kube, agent)
        return time.monotonic() >= until or bool(known and known.curve.gap_seconds)

    kube.until("the gap is learnt", is_enough, GAP_SECONDS + 30, agent)
    load.stop()
    load.summary()
    found = _learnt(kube, agent)
    assert found is not None
    return found


def _learnt(kube: Kube, agent: str) -> LearntCurve | None:
    """The operator's own curve of the pods as they are now, once it stands on the largest batch."""
    status = readable_status(kube.get("agd", agent).get("status"))
    digests = {c.model: c.model_digest for c in status.scaling.curves} if status.scaling else {}
    curves = curves_from_status(status.scaling, digests)
    found = curves["m"][0] if "m" in curves else None
    return None if found is None or found.source is CurveSource.EARLIER else found


def _objective(kube: Kube, agent: str) -> ObjectivePolicy:
    """Its objective, and how its pods serve, by its spec as the operator reads it."""
    (objective,) = policy_of(AgentDeployment.model_validate(kube.get("agd", agent)).spec).objectives
    return objective


# --------------------------------------------------------------------------------------- measuring

_ARGUMENTS = ("--input=x:FP32:1x16", "--output=y", "--grpc-share=0")


def _measure(kube: Kube, learnt: LearntCurve, case: Case) -> Result:
    """One case: what is predicted before it, and what is seen."""
    agent = case.model.name
    learnt = _learnt(kube, agent) or learnt
    objective = _objective(kube, agent)
    assert isinstance(objective.serving, Serving)
    shape = pod_shape(learnt, objective.serving)
    rate = round(case.load * case.pods * shape.capacity_per_second, 1)
    seconds = next(long for load, long in SECONDS_BY_LOAD if case.load >= load)
    profile = f"{seconds}s@{rate}"
    seed = round(1000 * case.load) + 10 * case.pods + case.instances
    pods = [pod["metadata"]["name"] for pod in server_pods(kube, agent)]
    before, counted = [_answered(kube, pod) for pod in pods], histogram.seen(kube, agent)
    load = Load(kube, "load", agent, "m", profile, *_ARGUMENTS, f"--seed={seed}")
    kube.until("load is on", load.started, 60)
    with watched() as watch:
        summary = load.summary()
    after = [_answered(kube, pod) for pod in pods]
    bins = histogram.since(counted, histogram.seen(kube, agent))
    due = due_seconds(learnt, objective, case.pods, rate)
    assert due is not None
    count = sum(n for n, _ in after) - sum(n for n, _ in before)
    spent = sum(ns for _, ns in after) - sum(ns for _, ns in before)
    others = range(SEEDS)
    strays = [_simulated(shape, case.pods, profile, 1000 + s, s) for s in others]
    result = Result(
        case=case,
        rate_per_second=rate,
        lost=summary["lost"],
        predicted=due,
        simulated=float(np.mean([_simulated(shape, case.pods, profile, seed, s) for s in others])),
        stray=float(np.std(strays, ddof=1) / np.mean(strays)),
        gap_seconds=learnt.curve.gap_seconds,
        observed=histogram.percentile_seconds(bins, PERCENTILE),
        clients=summary["latency_from_send_ms"]["p95"] / 1e3,
        predicted_mean=latencies(shape, rate / case.pods).mean_seconds,
        observed_mean=spent / count / 1e9,
        usage=watch.usage,
    )
    print(_row(result), learnt.curve, learnt.noise, flush=True)
    return result


def _answered(kube: Kube, pod: str) -> tuple[int, int]:
    """A server's own count of requests, and their nanoseconds from arrival to answer."""
    statistics = json.loads(kube.fetched(pod, names.HTTP_PORT, "/v2/models/m/stats"))
    success = statistics["model_stats"][0]["inference_stats"]["success"]
    return int(success["count"]), int(success["ns"])


def _simulated(pod: PodShape, pods: int, profile: str, seed: int, choices: int) -> float:
    """The p95 of a seed's arrivals at pods that are exactly as learnt, behind the gateway."""
    arrivals = np.array(list(poisson_arrivals(parse_profile(profile), seed)))
    model = PodModel(pod.curve, pod.instances, noise=pod.noise)
    generator = np.random.default_rng(choices)
    served = serve_fleet(arrivals, pods, model, Balancer.POWER_OF_TWO, generator)
    return served.percentile_seconds(PERCENTILE)


# ----------------------------------------------------------------------------------------- report


def _row(result: Result) -> tuple[Any, ...]:
    case = result.case
    return (
        case.model.title,
        case.instances,
        case.pods,
        f"{case.load:.0%}",
        f"{result.rate_per_second:.0f}",
        _milliseconds(result.observed),
        _milliseconds(result.predicted),
        f"{result.error:+.1%}",
        f"{result.stray:.1%}",
        f"{result.simulated / result.observed - 1:+.1%}",
        f"{result.gap_seconds * 1e3:.2f}",
        _milliseconds(result.clients),
        f"{result.predicted_mean / result.observed_mean - 1:+.1%}",
        f"{result.usage.busy:.0%}" + (" **void**" if result.is_void else ""),
    )


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.1f}"


_HEADER = (
    "model",
    "instances",
    "pods",
    "load",
    "requests/s",
    "p95 seen ms",
    "predicted ms",
    "error",
    "standard error of what is seen",
    "of the same arrivals simulated",
    "gap learnt ms",
    "clients' p95 ms",
    "mean inside Triton",
    "processors busy",
)


def _report(results: Sequence[Result]) -> str:
    others = max(result.usage.others for result in results)
    quiet = "" if others <= MOST_OTHERS else f" (BUSY MACHINE: others took up to {others:.0%})"
    means = []
    by_model = groupby(results, key=lambda result: result.case.model)
    for model, those in by_model:
        counted = [result for result in those if not result.is_void]
        fleets = groupby(counted, key=lambda result: (result.case.instances, result.case.pods))
        means += [_mean_error(model, *fleet, [*those]) for fleet, those in fleets]
        means.append(_mean_error(model, "all", "all", counted))
    header = ("model", "instances", "pods", "mean absolute error (range)", "goal")
    return "\n".join(
        (
            table(f"Predicted p95 beside a real Triton's{quiet}", _HEADER, map(_row, results)),
            table("Mean error of the predicted p95", header, means),
        )
    )


def _mean_error(
    model: Model, instances: object, pods: object, results: Sequence[Result]
) -> tuple[object, ...]:
    errors = [result.error for result in results]
    mean = float(np.mean(np.abs(errors)))
    return (
        model.title,
        instances,
        pods,
        f"{mean:.1%} ({min(errors):+.1%} to {max(errors):+.1%})",
        f"{model.goal:.0%}" + ("" if mean <= model.goal else ": **missed**"),
    )
