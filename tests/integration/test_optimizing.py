"""Models are optimised by Jobs and what came of it is told, against a real API server.

There is no kubelet here: the tests make the Jobs' pods and say what their containers left.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from integration.operator_process import operator
from kube import Kube, Object, merged
from trireme.api import names
from trireme.api.fetch import FetchFailed, FetchFailure, FetchReason
from trireme.api.optimization import Gain, MissedTarget, TargetName
from trireme.api.optimize import (
    DeliveryResult,
    OptimizePlan,
    OptimizeResult,
    delivery_message,
    optimize_message,
)
from trireme.api.sources import Source

NAME = "support"
URI = "pvc://results/encoder/0f0f0f0f0f0f0f0f/1/"
GAIN = Gain(
    techniques=["dead-branches", "int8-static"],
    throughput_ratio=2.31,
    latency_ratio=0.5,
    size_ratio=0.26,
    score_before=0.97,
    score_after=0.968,
    most_drop=0.0041,
    samples=900,
    missed=[MissedTarget(target=TargetName.LATENCY, wanted=0.02, found=0.025)],
)
FOUND = optimize_message(OptimizeResult(gain=GAIN, file="model.onnx", sha256="a" * 64))
DELIVERED = delivery_message(DeliveryResult(uri=URI, files={"model.onnx": "a" * 64}))


def agent(*models: str, **settings: Any) -> Object:
    """An agent whose models are optimised, each by samples in a ConfigMap."""
    named = models or ("encoder",)
    tensors = [{"name": "x", "dataType": "FP32", "dims": [-1]}]
    spec = {
        "server": {"image": "example.com/triton:24.10-py3", "gpus": {"count": 0}},
        "models": [
            {
                "name": name,
                "backend": "onnxruntime",
                "maxBatchSize": 8,
                "source": {"uri": f"pvc://models/{name}/"},
                "inputs": tensors,
                "outputs": tensors,
            }
            for name in named
        ],
        "replicas": 1,
        "scaling": {"mode": "Fixed"},
        "gateway": {"enabled": False},
        "optimization": {
            "destination": {"uri": "pvc://results/"},
            "models": [{"model": name, "samples": {"configMap": "samples"}} for name in named],
            **settings,
        },
    }
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": NAME},
        "spec": spec,
    }


def samples(content: str = "AAAA") -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "samples"},
        "binaryData": {"samples.npz": content},
    }


class Cluster:
    """The namespace, and what a kubelet would do in it."""

    def __init__(self, kube: Kube) -> None:
        self.kube = kube

    def jobs(self) -> list[Object]:
        return self.kube.all("jobs")

    def until(self, what: str, holds: Any, seconds: float = 60) -> None:
        self.kube.until(what, holds, seconds, NAME)

    def told(self, model: str = "encoder") -> Object:
        """What the status says of a model."""
        status = self.kube.get("agd", NAME).get("status", {})
        models = status.get("optimization", {}).get("models", [])
        return next((each for each in models if each["model"] == model), {})

    def is_at(self, phase: str, model: str = "encoder") -> bool:
        return bool(self.told(model).get("phase") == phase)

    def finish(self, *ends: tuple[str, int, str]) -> Object:
        """The pod of the one Job ends, its containers with these codes and messages; the Job."""
        self.until("a Job", self.jobs)
        (job,) = self.jobs()
        template, name = job["spec"]["template"], f"{job['metadata']['uid'][:8]}-optimize"
        owner = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "name": job["metadata"]["name"],
            "uid": job["metadata"]["uid"],
        }
        metadata = {**template["metadata"], "name": name, "ownerReferences": [owner]}
        self.kube.apply(
            {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        )
        times = {"startedAt": "2026-11-01T00:00:00Z", "finishedAt": "2026-11-01T00:00:01Z"}
        statuses = [
            {
                "name": container,
                "image": "i",
                "imageID": "",
                "ready": False,
                "restartCount": 0,
                "state": {
                    "terminated": {
                        "exitCode": code,
                        "message": message,
                        "reason": "Error" if code else "Completed",
                        **times,
                    }
                },
            }
            for container, code, message in ends
        ]
        status = {
            "phase": "Failed" if any(code for _, code, _ in ends) else "Succeeded",
            "initContainerStatuses": [s for s in statuses if s["name"] != "deliver"],
            "containerStatuses": [s for s in statuses if s["name"] == "deliver"],
        }
        self.kube.set_status("pod", name, status)
        return job


@pytest.fixture
def cluster(team: Kube, tmp_path: Path) -> Iterator[Cluster]:
    with operator(team, tmp_path / "log", TRIREME_OPTIMIZER_JOBS="1"):
        yield Cluster(team)


def test_a_model_is_optimised_once_and_the_entry_that_serves_it_is_told(cluster: Cluster) -> None:
    kube = cluster.kube
    kube.apply(samples(), agent())
    job = cluster.finish(("fetch", 0, ""), ("optimize", 0, FOUND), ("deliver", 0, DELIVERED))
    plan = job["spec"]["template"]["metadata"]["annotations"][names.OPTIMIZE_PLAN]
    assert OptimizePlan.model_validate_json(plan).model == "encoder"
    assert kube.find("networkpolicy", f"{NAME}-optimize")

    cluster.until("optimised", lambda: cluster.is_at("Optimized"))
    told = cluster.told()
    assert told["gain"]["throughputRatio"] == 2.31
    assert told["gain"]["missed"] == [{"target": "latency", "wanted": 0.02, "found": 0.025}]
    assert (told["uri"], told["sha256"]) == (URI, "a" * 64)
    entry = yaml.safe_load(told["entry"])
    assert Source.model_validate(entry["source"]).uri == f"{URI}model.onnx"
    cluster.until("the Job is gone", lambda: not cluster.jobs())
    cluster.until("Events", lambda: "OptimizationFinished" in dict(kube.events(NAME)))
    events = dict(kube.events(NAME))
    assert "OptimizationStarted" in events
    assert "2.31 times the throughput" in events["OptimizationFinished"]
    missed = "misses its target: latency 25 ms where 20 ms is wanted, 25% more"
    assert missed in told["message"]
    assert missed in events["OptimizationFinished"]
    assert told["entry"].strip() in events["OptimizationFinished"]

    kube.apply(merged(agent(), {"spec": {"replicas": 2}}))
    cluster.until("scaled", lambda: kube.replicas(NAME) == 2)
    assert cluster.jobs() == []
    assert cluster.is_at("Optimized")


def test_what_was_done_is_not_done_again_by_another_operator_but_by_other_samples_is(
    team: Kube, tmp_path: Path
) -> None:
    cluster = Cluster(team)
    nothing = optimize_message(OptimizeResult(summary="nothing is cheaper"))
    with operator(team, tmp_path / "log"):
        team.apply(samples(), agent())
        cluster.finish(("optimize", 0, nothing), ("deliver", 0, delivery_message(DeliveryResult())))
        cluster.until("nothing gained", lambda: cluster.is_at("NothingGained"))
        cluster.until("the Job is gone", lambda: not cluster.jobs())
    with operator(team, tmp_path / "log"):
        team.apply(merged(agent(), {"spec": {"replicas": 2}}))
        cluster.until("scaled", lambda: team.replicas(NAME) == 2)
        assert cluster.jobs() == []
        assert cluster.told()["message"] == "the model's container says: nothing is cheaper"
        team.apply(samples("BBBB"))
        cluster.until("another Job", cluster.jobs)
        cluster.until("it runs", lambda: cluster.is_at("Running"))


def test_a_failure_is_told_with_its_remedy_and_the_agent_serves_on(cluster: Cluster) -> None:
    failure = FetchFailure.of(FetchFailed(FetchReason.DISK_FULL, "pvc://results/ is full"))
    cluster.kube.apply(samples(), agent())
    cluster.finish(
        ("optimize", 0, FOUND), ("deliver", 1, delivery_message(DeliveryResult(failure=failure)))
    )
    cluster.until("failed", lambda: cluster.is_at("Failed"))
    told = cluster.told()
    assert told["message"].startswith("pvc://results/ is full. Give the model volume")
    assert told["failures"] == 1
    cluster.until("an Event", lambda: "OptimizationFailed" in dict(cluster.kube.events(NAME)))
    assert len(cluster.jobs()) == 1  # kept for its log, and not due yet
    assert cluster.kube.conditions(NAME)["Accepted"][0] == "True"
    assert cluster.kube.find("deployment", NAME)


def test_what_failed_is_tried_again_by_another_job_when_its_time_has_come(
    team: Kube, tmp_path: Path
) -> None:
    cluster = Cluster(team)
    refused = optimize_message(OptimizeResult(failure="labels: are float32"))
    with operator(team, tmp_path / "log"):
        team.apply(samples(), agent())
        first = cluster.finish(("optimize", 1, refused))
        cluster.until("failed", lambda: cluster.is_at("Failed"))
        words = "the model's container says: labels: are float32. Failure 1 of 6: it is tried again"
        assert cluster.told()["message"].startswith(words)
    long_ago = {**cluster.told(), "finishTime": "2020-01-01T00:00:00Z"}
    team.set_status("agd", NAME, {"optimization": {"models": [long_ago]}})
    with operator(team, tmp_path / "log"):

        def another() -> bool:
            uids = {job["metadata"]["uid"] for job in cluster.jobs()}
            return bool(uids - {first["metadata"]["uid"]})

        cluster.until("another Job", another)
        cluster.until("it runs", lambda: cluster.is_at("Running"))
        assert cluster.told()["failures"] == 1  # in a row, so that the next delay is longer


def test_a_job_that_is_not_ours_is_told_and_never_taken_over(cluster: Cluster) -> None:
    kube = cluster.kube
    kube.apply(samples(), agent())
    cluster.until("running", lambda: cluster.is_at("Running"))
    (job,) = cluster.jobs()
    name = job["metadata"]["name"]
    kube.apply(agent(mode="Disabled"))
    cluster.until("no Job", lambda: not cluster.jobs())
    kube.run("create", "job", name, "--image=example.com/other")
    kube.apply(agent())
    words = f"a Job named {name} exists and does not belong to this agent"
    cluster.until("told", lambda: words in cluster.told().get("message", ""))
    assert cluster.is_at("Waiting")


def test_models_wait_for_their_turn_and_for_their_samples(cluster: Cluster) -> None:
    kube = cluster.kube
    kube.apply(agent("encoder", "ranker"))
    words = "waits for the ConfigMap samples, which does not exist"
    cluster.until("waiting", lambda: words in cluster.told().get("message", ""))
    assert cluster.jobs() == []
    kube.apply(samples())
    cluster.until("one runs", lambda: cluster.is_at("Running"))
    assert "waits for its turn" in cluster.told("ranker")["message"]
    cluster.finish(("optimize", 0, FOUND), ("deliver", 0, DELIVERED))
    cluster.until("its turn", lambda: cluster.is_at("Running", "ranker"))


def test_what_is_no_longer_asked_for_is_stopped_and_forgotten(cluster: Cluster) -> None:
    kube = cluster.kube
    kube.apply(samples(), agent())
    cluster.until("running", lambda: cluster.is_at("Running"))
    kube.apply(merged(agent(), {"spec": {"optimization": None}}))
    cluster.until("no Job", lambda: not cluster.jobs())
    cluster.until("no status", lambda: not cluster.told())
    cluster.until("no policy", lambda: not kube.find("networkpolicy", f"{NAME}-optimize"))
