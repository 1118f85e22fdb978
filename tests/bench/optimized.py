"""From `optimization:` in a resource to a promoted canary with fewer pods for the same load.

An agent serves a classifier of matrices (`bench.matrices`) by the Python backend, with a model.py
that the optimiser wrote. It is scaled by its objective until its size stands; then
`optimization.mode: Apply` is written into its spec, and nothing else is done to it.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from bench import matrices
from bench.machine import Usage, watched
from bench.table import table
from e2e.load import Load
from e2e.volumes import bound_claim, put
from kube import Kube, Object, merged
from trireme import optimizer
from trireme.admission.parse import readable_status
from trireme.api.conditions import EventReason
from trireme.api.optimization import Gain
from trireme.api.optimize import PROGRAM_FILE
from trireme.api.types import AgentStatus, CurveSource, CurveStatus

NAME, CLAIM = "encoder", "models"
RATE = 12.0
TARGET_MILLISECONDS = 140
WINDOW_SECONDS = 60  # in which the two fleets are measured
STANDS_SECONDS = 90  # a size that stands so long has settled: longer than scale-in waits
SETTLES_SECONDS, KEPT_SECONDS = 480, 900

_PROGRAM = Path(optimizer.__file__).with_name("served_model.py")
_INPUT = f"--input={matrices.INPUT}:FP32:1x{matrices.FEATURES}"
_ARGUMENTS = (_INPUT, f"--output={matrices.OUTPUT}")

_AGENT: Object = {
    "apiVersion": "trireme.dev/v1alpha1",
    "kind": "AgentDeployment",
    "metadata": {"name": NAME},
    "spec": {
        "server": {
            "image": "trireme/triton:24.10-cpu",
            "imagePullPolicy": "IfNotPresent",
            "gpus": {"count": 0},
            "resources": {"cpu": "10m", "memory": "768Mi"},
            "placement": {"spread": "None"},
            "startupTimeout": "3m",
            "drainTime": "5s",
        },
        "gateway": {
            "replicas": 1,
            "image": "trireme/envoy:1.40",
            "resources": {"cpu": "20m", "memory": "256Mi"},
            "maxPendingRequests": 4096,
        },
        "models": [
            {
                "name": NAME,
                "source": {"uri": f"pvc://{CLAIM}/{NAME}/1/"},
                "backend": "python",
                "maxBatchSize": 1,
                "inputs": [
                    {"name": matrices.INPUT, "dataType": "FP32", "dims": [matrices.FEATURES]}
                ],
                "outputs": [
                    {"name": matrices.OUTPUT, "dataType": "FP32", "dims": [matrices.CLASSES]}
                ],
                "instances": [{"kind": "CPU", "count": 1}],
                "parameters": {"threads": "1"},
                "warmup": [{"batchSize": 1}],
            }
        ],
        "objectives": [
            {
                "model": NAME,
                "latency": {"percentile": 95, "target": f"{TARGET_MILLISECONDS}ms"},
                "errors": {"maxRatio": "0.1%"},
            }
        ],
        "scaling": {
            "min": 1,
            "max": 5,
            "behavior": {
                "up": {
                    "stabilizationWindow": "15s",
                    "policies": [{"type": "Pods", "value": 2, "period": "15s"}],
                },
                "down": {
                    "stabilizationWindow": "60s",
                    "policies": [{"type": "Pods", "value": 1, "period": "15s"}],
                },
            },
        },
        "tuning": {"mode": "Disabled"},
        "rollout": {
            "strategy": "Canary",
            "canary": {
                "steps": [
                    {"weight": "20%", "pause": "20s", "minRequests": 50},
                    {"weight": "50%", "pause": "30s", "minRequests": 150},
                ]
            },
        },
    },
}
_OPTIMIZATION: Object = {
    "mode": "Apply",
    "maxAccuracyDrop": "3%",
    "timeBudget": "1m",
    "techniques": ["int8-dynamic", "int8-static"],
    "destination": {"uri": f"pvc://{CLAIM}/optimised/"},
    "resources": {"cpu": "1", "memory": "3Gi", "storage": "2Gi"},
    "models": [
        {
            "model": NAME,
            "samples": {"uri": f"pvc://{CLAIM}/samples/{NAME}.npz"},
            "labels": matrices.LABEL,
            "metric": "accuracy",
        }
    ],
}


@dataclass(frozen=True, slots=True)
class Fleet:
    """A fleet whose size stands, under the load."""

    pods: int
    curve: CurveStatus
    summary: dict[str, Any]
    usage: Usage


@dataclass(frozen=True, slots=True)
class Step:
    """An Event, and how long after the spec was changed it came."""

    seconds: float
    reason: str
    note: str


@dataclass(frozen=True, slots=True)
class Course:
    """All that happened between the two fleets."""

    steps: tuple[Step, ...]
    gain: Gain
    seconds: float
    summary: dict[str, Any]
    usage: Usage


def run(kube: Kube, system: Kube) -> str:
    """A quarter of an hour."""
    with bound_claim(kube, system, CLAIM):
        files = {
            f"{NAME}/1/model.onnx": matrices.model(),
            f"{NAME}/1/{PROGRAM_FILE}": _PROGRAM.read_bytes(),
            f"samples/{NAME}.npz": matrices.samples(),
        }
        put(kube, system, CLAIM, files)
        _make_room(kube)
        kube.apply(_AGENT)
        kube.until("Ready", lambda: kube.is_ready(NAME), 180, NAME)
        load = _load(kube, "before-it-settles", SETTLES_SECONDS + 60)
        kube.until("its size stands", _stands(kube, None), SETTLES_SECONDS, NAME)
        _ended(load)
        before = _fleet(kube, "before")
        course = _course(kube, before.curve)
        return _report(before, course, _fleet(kube, "after"))


def _make_room(kube: Kube) -> None:
    """The Job asks for a processor, and of two the cluster's own programs leave too little: what
    can be told so asks for less.
    """
    cluster = replace(kube, namespace="kube-system")
    cluster.run("set", "resources", "deployment", "coredns", "--requests=cpu=10m")
    cluster.run("rollout", "status", "deployment", "coredns", "--timeout=120s")


def _course(kube: Kube, before: CurveStatus) -> Course:
    """Have it optimised, and wait until the size of the fleet that serves the result stands."""
    load = _load(kube, "meanwhile", KEPT_SECONDS + SETTLES_SECONDS + 60)
    with watched() as watch:
        changed = time.time()  # noqa: TID251  # a clock to measure by
        kube.apply(merged(_AGENT, {"spec": {"optimization": _OPTIMIZATION}}))
        kube.until("it is kept", lambda: _is_kept(kube), KEPT_SECONDS, NAME)
        kube.until("its size stands", _stands(kube, before.model_digest), SETTLES_SECONDS, NAME)
        seconds = time.time() - changed - STANDS_SECONDS  # noqa: TID251  # a clock to measure by
        summary = _ended(load)
    optimization = _status(kube).optimization
    assert optimization is not None
    (found,) = optimization.models
    assert found.gain is not None
    return Course(tuple(_steps(kube, changed)), found.gain, seconds, summary, watch.usage)


def _is_kept(kube: Kube) -> bool:
    """Whether all pods serve the result. What was not to come of it is an error at once."""
    told = dict(kube.events(NAME))
    for reason in (
        EventReason.OPTIMIZATION_FAILED,
        EventReason.NOTHING_GAINED,
        EventReason.SETTING_REFUSED,
    ):
        if reason in told:
            raise AssertionError(f"{reason}: {told[reason]}\n{kube.describe(NAME)}")
    return EventReason.SETTING_KEPT in told


def _stands(kube: Kube, digest_before: str | None) -> Callable[[], bool]:
    """Whether the fleet is of the size that follows from what was learnt of its model as it is, and
    has been for a while: asked again and again.
    """
    size, since = 0, 0.0

    def stands() -> bool:
        nonlocal size, since
        pods, now = kube.replicas(NAME) or 0, time.monotonic()
        curve = _curve(kube)
        is_learnt = (
            curve is not None
            and curve.source is not CurveSource.EARLIER
            and curve.sustained_per_second is not None
            and curve.model_digest != digest_before
        )
        if not is_learnt or pods != size or kube.ready_pods(NAME) != pods:
            size, since = pods, now
        return now - since >= STANDS_SECONDS

    return stands


def _fleet(kube: Kube, name: str) -> Fleet:
    load = Load(kube, name, NAME, NAME, f"{WINDOW_SECONDS}s@{RATE:g}", *_ARGUMENTS)
    with watched() as watch:
        summary = load.summary(WINDOW_SECONDS + 60)
    curve = _curve(kube)
    assert curve is not None
    return Fleet(kube.ready_pods(NAME), curve, summary, watch.usage)


def _load(kube: Kube, name: str, seconds: int) -> Load:
    load = Load(kube, name, NAME, NAME, f"{seconds}s@{RATE:g}", *_ARGUMENTS)
    kube.until("load is on", load.started, 60)
    return load


def _ended(load: Load) -> dict[str, Any]:
    load.stop()
    return load.summary()


def _status(kube: Kube) -> AgentStatus:
    return readable_status(kube.get("agd", NAME).get("status"))


def _curve(kube: Kube) -> CurveStatus | None:
    scaling = _status(kube).scaling
    return next((curve for curve in scaling.curves), None) if scaling is not None else None


def _steps(kube: Kube, changed: float) -> Iterator[Step]:
    """The agent's Events since its spec was changed, in their order."""
    found = []
    for event in kube.all("events.events.k8s.io"):
        regarding = event["regarding"]
        if (regarding.get("kind"), regarding.get("name")) == ("AgentDeployment", NAME):
            at = datetime.fromisoformat(event["eventTime"]).timestamp()
            found.append(Step(at - changed, event["reason"], event["note"]))
    yield from sorted((each for each in found if each.seconds >= 0), key=lambda each: each.seconds)


# ---------------------------------------------------------------------------------------- in words

_MOST_WORDS = 220  # of an Event in the table


def _report(before: Fleet, course: Course, after: Fleet) -> str:
    gain, meanwhile = course.gain, course.summary
    steps = [(f"{each.seconds:.0f}", each.reason, _line(each.note)) for each in course.steps]
    fleets = [
        (
            name,
            fleet.pods,
            f"{fleet.curve.fixed_milliseconds + fleet.curve.per_request_milliseconds:.1f}",
            f"{fleet.curve.sustained_per_second or 0:.1f}",
            f"{RATE:g}",
            f"{fleet.summary['latency_ms']['p50']:.1f}",
            f"{fleet.summary['latency_ms']['p95']:.1f}",
            f"{fleet.summary['lost']} of {fleet.summary['asked']}",
            f"{fleet.usage.busy:.0%} ({fleet.usage.others:.0%} others')",
        )
        for name, fleet in (("before", before), ("after", after))
    ]
    title = (
        f"Optimised by a Job, tried on a canary, and scaled: {before.pods} pods to {after.pods} in "
        f"{course.seconds:.0f} s"
    )
    words = (
        f"By the Job: {' + '.join(gain.techniques)}, {gain.throughput_ratio:.2f} times the "
        f"throughput, {gain.size_ratio:.2f} of the size, accuracy {gain.score_before:.3f} before "
        f"and {gain.score_after:.3f} after on {gain.samples} held-out samples. Meanwhile "
        f"{meanwhile['lost']} of {meanwhile['asked']} requests were lost, p95 was "
        f"{meanwhile['latency_ms']['p95']:.1f} ms, and the processors were "
        f"{course.usage.busy:.0%} busy ({course.usage.others:.0%} with others' work)."
    )
    head = (
        *("fleet", "pods", "a request takes ms", "a pod sustains/s", "requests/s", "p50 ms"),
        *("p95 ms", "lost", "processors busy"),
    )
    return "\n".join(
        [table(title, ("s", "Event", "note"), steps), words, "", table("Fleets", head, fleets)]
    )


def _line(note: str) -> str:
    """A note as a cell: on one line, and no longer than is read there."""
    words = " ".join(note.split()).replace("|", "/")
    return words if len(words) <= _MOST_WORDS else f"{words[: _MOST_WORDS - 3]}..."
