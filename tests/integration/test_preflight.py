"""Models' files are inspected before pods are made of them, against a real API server.

There is no kubelet here: the tests make the Jobs' pods and say what their containers left.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration.operator_process import operator
from integration.trireme_process import ran
from kube import Kube, Object
from model_files import onnx_encoder
from trireme.admission.inspection.directory import inspect
from trireme.admission.inspection.reader import BytesReader
from trireme.admission.inspection.report import to_report
from trireme.admission.parse import parse_agent
from trireme.api import names
from trireme.api.fetch import (
    FetchFailed,
    FetchFailure,
    FetchReason,
    FetchResult,
    ModelResult,
    termination_message,
)
from trireme.api.inspect import InspectPlan
from trireme.resources.preflight import inspect_plans

NAME = "support"
REPORT = to_report(inspect({"model.onnx": BytesReader(onnx_encoder())}, "onnxruntime"))


def agent(version: int = 1, **changes: Any) -> Object:
    """An agent of one model that is fetched, and leaves its tensors out."""
    encoder = {
        "name": "encoder",
        "backend": "onnxruntime",
        "maxBatchSize": 8,
        "source": {"uri": f"s3://models/encoder/{version}/model.onnx"},
        **changes.pop("model", {}),
    }
    spec = {
        "server": {"image": "example.com/triton:24.10-py3", "gpus": {"count": 0}},
        "models": [encoder],
        "replicas": 1,
        "scaling": {"mode": "Fixed"},
        "gateway": {"enabled": False},
        **changes,
    }
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": NAME},
        "spec": spec,
    }


class Cluster:
    """The namespace, and what a kubelet would do in it."""

    def __init__(self, kube: Kube) -> None:
        self.kube = kube

    def jobs(self) -> list[Object]:
        return self.kube.all("jobs")

    def until(self, what: str, holds: Any, seconds: float = 60) -> None:
        self.kube.until(what, holds, seconds, NAME)

    def accepted(self) -> tuple[str, str]:
        status, reason, _ = self.kube.conditions(NAME).get("Accepted", ("", "", ""))
        return status, reason

    def finish_job(self, exit_code: int, message: str) -> Object:
        """The pod of the one Job ends; the Job as it was."""
        self.until("a Job", self.jobs)
        (job,) = self.jobs()
        finish(self.kube, job, exit_code, message)
        return job


def finish(kube: Kube, job: Object, exit_code: int, message: str) -> None:
    """The pod of a Job ends."""
    template, name = job["spec"]["template"], f"{job['metadata']['uid'][:8]}-inspect"
    owner = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": job["metadata"]["name"],
        "uid": job["metadata"]["uid"],
    }
    metadata = {**template["metadata"], "name": name, "ownerReferences": [owner]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    kube.apply(pod)
    (container,) = template["spec"]["containers"]
    times = {"startedAt": "2026-11-01T00:00:00Z", "finishedAt": "2026-11-01T00:00:01Z"}
    over = {"exitCode": exit_code, "message": message, "reason": "Completed", **times}
    ended = {
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": {"terminated": over},
    }
    phase = "Failed" if exit_code else "Succeeded"
    kube.set_status("pod", name, {"phase": phase, "containerStatuses": [ended]})


@pytest.fixture
def cluster(team: Kube, tmp_path: Path) -> Iterator[Cluster]:
    with operator(team, tmp_path / "log"):
        yield Cluster(team)


def failed(reason: FetchReason, message: str) -> str:
    failure = FetchFailure.of(FetchFailed(reason, message))
    return termination_message(
        FetchResult(models=[ModelResult(model="encoder", version=1, failure=failure)])
    )


def test_pods_wait_for_what_the_files_say_and_are_made_by_it(cluster: Cluster) -> None:
    kube = cluster.kube
    kube.apply(agent())
    cluster.until("waiting", lambda: cluster.accepted() == ("Unknown", "Inspecting"))
    assert kube.conditions(NAME)["Reconciling"] == (
        "True",
        "Inspecting",
        "the files of encoder version 1 are being inspected",
    )
    assert kube.find("deployment", NAME) is None

    job = cluster.finish_job(0, REPORT)
    plan = job["spec"]["template"]["metadata"]["annotations"][names.INSPECTION_PLAN]
    assert InspectPlan.model_validate_json(plan).fetch.uri == "s3://models/encoder/1/model.onnx"

    cluster.until("accepted", lambda: cluster.accepted() == ("True", "Valid"))
    assert kube.find("deployment", NAME)
    (live,) = [
        each
        for each in kube.all("configmap", f"{names.OWNER}={NAME}")
        if each["metadata"]["name"].startswith(f"{NAME}-live-")
    ]
    assert 'name: "attention_mask"' in live["data"]["encoder.pbtxt"]
    (model,) = kube.get("agd", NAME)["status"]["models"]
    assert model["inspected"].startswith("ONNX, IR 8, opset 17, 208 B: input_ids INT64[-1,-1]")
    assert kube.get("agd", NAME)["spec"]["models"][0]["inputs"] == []  # as the user left it
    cluster.until("the Job is gone", lambda: not cluster.jobs())
    assert kube.get("agd", NAME)["status"]["replicas"] == 0  # the inspector is no server


def test_what_was_inspected_is_not_inspected_again_by_another_operator(
    team: Kube, tmp_path: Path
) -> None:
    with operator(team, tmp_path / "log"):
        cluster = Cluster(team)
        team.apply(agent())
        cluster.finish_job(0, REPORT)
        cluster.until("accepted", lambda: cluster.accepted() == ("True", "Valid"))
        cluster.until("the Job is gone", lambda: not cluster.jobs())
    with operator(team, tmp_path / "log"):
        team.apply(agent(replicas=2))
        cluster.until("scaled", lambda: team.replicas(NAME) == 2)
        assert cluster.jobs() == []
        assert cluster.accepted() == ("True", "Valid")


def test_an_edit_that_its_file_contradicts_is_refused_and_what_runs_goes_on(
    cluster: Cluster,
) -> None:
    kube = cluster.kube
    kube.apply(agent())
    cluster.finish_job(0, REPORT)
    cluster.until("accepted", lambda: cluster.accepted() == ("True", "Valid"))
    cluster.until("the Job is gone", lambda: not cluster.jobs())
    before = kube.get("deployment", NAME)["metadata"]["generation"]

    outputs = [{"name": "embeding", "dataType": "FP32", "dims": [384]}]
    kube.apply(agent(version=2, model={"outputs": outputs}))
    cluster.until("waiting", lambda: cluster.accepted() == ("Unknown", "Inspecting"))
    cluster.finish_job(0, REPORT)
    cluster.until("refused", lambda: cluster.accepted() == ("False", "InvalidSpec"))
    assert kube.conditions(NAME)["Accepted"][2] == (
        "spec.models[0].outputs[0].name: the model file model.onnx has no output embeding. Did "
        "you mean embedding?"
    )
    assert kube.get("deployment", NAME)["metadata"]["generation"] == before

    kube.apply(agent(version=2))
    cluster.until("accepted", lambda: cluster.accepted() == ("True", "Valid"))
    assert cluster.jobs() == []  # the same file, so it is known


def test_a_source_that_cannot_be_read_is_told_and_tried_again(cluster: Cluster) -> None:
    kube = cluster.kube
    kube.apply(agent())
    refused = failed(FetchReason.CREDENTIALS_REJECTED, "HTTP 403 from s3://models: refused")
    first = cluster.finish_job(1, refused)
    cluster.until("told", lambda: cluster.accepted() == ("False", "CredentialsRejected"))
    message = kube.conditions(NAME)["Accepted"][2]
    assert message.startswith("encoder version 1: HTTP 403 from s3://models: refused. Check the")
    assert kube.find("deployment", NAME) is None
    cluster.until("an Event", lambda: "FetchFailed" in dict(kube.events(NAME)))

    def another() -> bool:
        return [job["metadata"]["uid"] for job in cluster.jobs()] not in (
            [],
            [first["metadata"]["uid"]],
        )

    cluster.until("another Job", another, 60)
    cluster.finish_job(0, REPORT)
    cluster.until("accepted", lambda: cluster.accepted() == ("True", "Valid"))


def test_a_job_that_is_no_longer_waited_for_is_deleted(cluster: Cluster) -> None:
    kube = cluster.kube
    kube.apply(agent())
    cluster.until("waiting", lambda: cluster.accepted() == ("Unknown", "Inspecting"))
    (former,) = cluster.jobs()
    kube.apply(agent(version=2))

    def names_of_jobs() -> list[str]:
        return [job["metadata"]["name"] for job in cluster.jobs()]

    cluster.until("the other alone", lambda: former["metadata"]["name"] not in names_of_jobs())
    cluster.until("a Job of the edit", lambda: len(names_of_jobs()) == 1)
    kube.apply(agent(download={"inspect": False}))
    cluster.until("its Deployment", lambda: kube.find("deployment", NAME))
    cluster.until("no Job", lambda: names_of_jobs() == [])


def test_a_job_that_is_not_ours_is_told_and_never_taken_over(cluster: Cluster) -> None:
    (plan,) = inspect_plans(parse_agent(agent()))
    name = names.inspection_job(NAME, plan.digest)
    cluster.kube.run("create", "job", name, "--image=example.com/other")
    cluster.kube.apply(agent())
    words = f"a Job named {name} exists and does not belong to this agent"
    cluster.until("told", lambda: words in str(cluster.kube.conditions(NAME).get("Accepted")))
    assert cluster.accepted() == ("Unknown", "Inspecting")

    cluster.kube.run("delete", "job", name, "--cascade=background")
    cluster.finish_job(0, REPORT)
    cluster.until("accepted", lambda: cluster.accepted() == ("True", "Valid"))


def test_diff_knows_what_was_inspected(cluster: Cluster, tmp_path: Path) -> None:
    cluster.kube.apply(agent())
    cluster.finish_job(0, REPORT)
    cluster.until("accepted", lambda: cluster.accepted() == ("True", "Valid"))
    (tmp_path / "agent.yaml").write_text(json.dumps(agent()))
    same = ran(
        *("diff", "-f", str(tmp_path / "agent.yaml"), "-n", cluster.kube.namespace),
        environment={"KUBECONFIG": str(cluster.kube.kubeconfig)},
        folder=tmp_path,
    )
    assert same == (0, f"{NAME}: nothing changes\n", "")


def test_inspection_can_be_left_out(cluster: Cluster) -> None:
    kube = cluster.kube
    kube.apply(agent(download={"inspect": False}))
    cluster.until("its Deployment", lambda: kube.find("deployment", NAME))
    assert cluster.jobs() == []
