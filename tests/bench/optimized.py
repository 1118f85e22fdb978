"""From `optimization:` in a resource to a promoted canary with fewer pods for the same load.

An agent serves a classifier of matrices (`bench.matrices`) by the Python backend, with a model.py
that the optimiser wrote. It is scaled by its objective until its size stands; then
`optimization.mode: Apply` is written into its spec, and nothing else is done to it.
"""

from dataclasses import replace
from pathlib import Path

from bench import matrices
from bench.applied import Subject, applied, course_words, fleet, fleets_table, settled
from e2e.volumes import bound_claim, put
from kube import Kube, Object, merged
from trireme import optimizer
from trireme.api.conditions import EventReason
from trireme.api.optimize import PROGRAM_FILE

NAME, CLAIM = "encoder", "models"
RATE = 12.0
TARGET_MILLISECONDS = 140
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


_NEVER = (
    EventReason.OPTIMIZATION_FAILED,
    EventReason.NOTHING_GAINED,
    EventReason.SETTING_REFUSED,
)


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
        subject = Subject(kube, NAME, RATE, TARGET_MILLISECONDS / 1e3, _ARGUMENTS)
        before = settled(subject, SETTLES_SECONDS)
        edited = merged(_AGENT, {"spec": {"optimization": _OPTIMIZATION}})
        diary = applied(subject, edited, before.curve, _NEVER, KEPT_SECONDS, SETTLES_SECONDS)
        after = fleet(subject, "after")
        title = (
            f"Optimised by a Job, tried on a canary, and scaled: {before.pods} pods to "
            f"{after.pods} in {diary.settled_seconds:.0f} s"
        )
        fleets = fleets_table(subject, before, after)
        return "\n".join([course_words(title, diary), _gained(subject), "", fleets])


def _make_room(kube: Kube) -> None:
    """The Job asks for a processor, and of two the cluster's own programs leave too little: what
    can be told so asks for less.
    """
    cluster = replace(kube, namespace="kube-system")
    cluster.run("set", "resources", "deployment", "coredns", "--requests=cpu=10m")
    cluster.run("rollout", "status", "deployment", "coredns", "--timeout=120s")


def _gained(subject: Subject) -> str:
    """What the Job found."""
    optimization = subject.status().optimization
    assert optimization is not None
    (found,) = optimization.models
    gain = found.gain
    assert gain is not None
    return (
        f"By the Job: {' + '.join(gain.techniques)}, {gain.throughput_ratio:.2f} times the "
        f"throughput, {gain.size_ratio:.2f} of the size, accuracy {gain.score_before:.3f} before "
        f"and {gain.score_after:.3f} after on {gain.samples} held-out samples."
    )
