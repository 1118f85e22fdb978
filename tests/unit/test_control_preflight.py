"""What a Job that inspects came to, read from it and its pods."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from trireme.admission.inspection.model_file import Inspection
from trireme.admission.inspection.report import to_report
from trireme.api import names
from trireme.api.conditions import ConditionType
from trireme.api.fetch import (
    FetchFailed,
    FetchFailure,
    FetchReason,
    FetchResult,
    ModelResult,
    termination_message,
)
from trireme.api.status import AgentStatus, Condition, ModelStatus
from trireme.control.events import Story, transitions
from trireme.control.jobs import jobs_with_pods
from trireme.control.preflight import described, ended, overdue

JOB: dict[str, Any] = {"metadata": {"uid": "j-1", "name": "support-inspect-0f"}, "status": {}}
REPORT = to_report(Inspection(total_bytes=7, not_inspected="an archive"))
FAILED = termination_message(
    FetchResult(
        models=[
            ModelResult(
                model="encoder",
                version=1,
                failure=FetchFailure.of(FetchFailed(FetchReason.UNREACHABLE, "no address")),
            )
        ]
    )
)


def over(status: str = "True", kind: str = "Failed") -> dict[str, Any]:
    return {**JOB, "status": {"conditions": [{"type": kind, "status": status}]}}


def pod(uid: str = "j-1", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "p",
            "labels": {"trireme.dev/inspection": "0f"},
            "ownerReferences": [{"uid": uid, "kind": "Job", "name": "support-inspect-0f"}],
        },
        "status": status,
    }


def terminated(exit_code: int, message: str = "", reason: str = "Completed") -> dict[str, Any]:
    state = {"terminated": {"exitCode": exit_code, "message": message, "reason": reason}}
    return pod(containerStatuses=[{"name": "inspect", "state": state}])


@pytest.mark.parametrize(
    ("job", "pods"),
    [
        pytest.param(JOB, [], id="no pod yet"),
        pytest.param(JOB, [pod(phase="Pending")], id="pending"),
        pytest.param(
            JOB,
            [pod(containerStatuses=[{"name": "inspect", "state": {"running": {}}}])],
            id="running",
        ),
        pytest.param(
            JOB,
            [pod(containerStatuses=[{"name": "istio-proxy", "state": {"terminated": {}}}])],
            id="another container is over",
        ),
        pytest.param(over("False"), [], id="a condition that does not hold"),
    ],
)
def test_what_is_under_way_is_not_over(job: dict[str, Any], pods: list[dict[str, Any]]) -> None:
    assert ended(job, pods) is None


def test_a_report_is_taken_from_the_container() -> None:
    found = ended(JOB, [terminated(0, REPORT)])
    assert found is not None
    assert (found.report, found.failure) == (REPORT, None)


@pytest.mark.parametrize(
    ("job", "pods", "reason", "words"),
    [
        pytest.param(
            JOB,
            [terminated(1, FAILED)],
            FetchReason.UNREACHABLE,
            "encoder version 1: no address. Check the host name",
            id="the source does not answer",
        ),
        pytest.param(
            JOB,
            [terminated(137, "", "OOMKilled")],
            FetchReason.OUT_OF_MEMORY,
            "inspect: it was killed at its memory limit. Raise spec.download.memory",
            id="out of memory",
        ),
        pytest.param(
            JOB, [terminated(0, "junk")], FetchReason.INTERNAL, "no result", id="no report"
        ),
        pytest.param(
            JOB,
            [pod(phase="Failed", reason="DeadlineExceeded", message="Pod was active too long")],
            FetchReason.INTERNAL,
            "DeadlineExceeded Pod was active too long",
            id="it took too long",
        ),
        pytest.param(over(), [], FetchReason.INTERNAL, "pod is gone", id="no pod is left"),
    ],
)
def test_a_failure_is_told_in_its_words(
    job: dict[str, Any], pods: list[dict[str, Any]], reason: FetchReason, words: str
) -> None:
    found = ended(job, pods)
    assert found is not None
    assert found.failure is not None
    assert found.failure.reason is reason
    assert words in found.failure.message


NO_NODE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/3 nodes are available",
}


@pytest.mark.parametrize(
    ("pods", "minutes", "words"),
    [
        pytest.param([], 4, "", id="not for long"),
        pytest.param([], 6, "it has no pod; kubectl describe job", id="a quota, or a policy"),
        pytest.param([pod(conditions=[NO_NODE])], 6, "0/3 nodes are available", id="no node"),
        pytest.param(
            [
                pod(
                    containerStatuses=[
                        {"name": "inspect", "state": {"waiting": {"reason": "ImagePullBackOff"}}}
                    ]
                )
            ],
            6,
            "inspect: ImagePullBackOff",
            id="no image",
        ),
        pytest.param([pod(phase="Running")], 6, "it runs", id="it takes its time"),
    ],
)
def test_a_job_that_waits_for_long_says_what_for(
    pods: list[dict[str, Any]], minutes: int, words: str
) -> None:
    made = datetime(2026, 11, 1, tzinfo=UTC)
    metadata = {**JOB["metadata"], "creationTimestamp": "2026-11-01T00:00:00Z"}
    told = overdue({**JOB, "metadata": metadata}, pods, made + timedelta(minutes=minutes))
    assert words in told
    assert bool(told) is bool(words)


@pytest.mark.parametrize(
    ("status", "reason", "events"),
    [
        pytest.param("Unknown", "Inspecting", [], id="that it is inspected is no Event"),
        pytest.param("False", "CredentialsRejected", ["FetchFailed"], id="a download failed"),
        pytest.param("False", "InvalidSpec", ["InvalidSpec"], id="the file contradicts"),
    ],
)
def test_what_an_inspection_comes_to_is_an_event(
    status: str, reason: str, events: list[str]
) -> None:
    def condition(kind: ConditionType) -> Condition:
        return Condition(
            type=kind, status=status, reason=reason, message="m", last_transition_time="t"
        )

    after = [condition(kind) for kind in ConditionType]
    told = [each.reason for each in transitions(AgentStatus(), after, Story("", ""))]
    assert [each for each in told if each in ("FetchFailed", "InvalidSpec")][:1] == events


def test_a_refused_edit_leaves_what_was_known_of_the_models() -> None:
    before = [ModelStatus(name="encoder", ready_pods=1, inspected="ONNX, 1 B")]
    now = [ModelStatus(name="encoder", ready_pods=2), ModelStatus(name="ranker", ready_pods=2)]
    assert [each.inspected for each in described(now, None, before)] == ["ONNX, 1 B", ""]


def test_a_job_that_is_no_inspection_is_not_found_by_a_pod_that_says_it_is_its_own() -> None:
    others = pod()
    others["metadata"]["ownerReferences"] = [{"uid": "j-2", "kind": "Job", "name": "payroll"}]
    begin = names.inspection_job("support", "")
    assert jobs_with_pods([pod(), others], names.INSPECTION, begin) == {"support-inspect-0f"}
