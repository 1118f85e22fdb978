"""What is told of models that are being fetched, and of those that cannot be."""

from datetime import UTC, datetime
from typing import Any

import pytest

from trireme.api.conditions import ConditionType, EventReason, Reason
from trireme.api.fetch import (
    FetchFailure,
    FetchPhase,
    FetchProgress,
    FetchReason,
    FetchResult,
    ModelProgress,
    ModelResult,
    termination_message,
)
from trireme.api.status import AgentStatus
from trireme.control import events, status
from trireme.control.fetching import failure, progress_by_model, progress_words
from trireme.control.observed import DeploymentView, server_pods
from trireme.control.status import Observed, Verdict

WRONG_SUM = FetchFailure(
    reason=FetchReason.CHECKSUM, message="model.onnx is not what sha256 says", remedy="Correct it"
)
ACCEPTED = Verdict(True, Reason.VALID, "the spec has no faults")


def ended(result: FetchResult | str, code: int = 1) -> dict[str, Any]:
    text = result if isinstance(result, str) else termination_message(result)
    return {"terminated": {"exitCode": code, "message": text}}


def killed() -> dict[str, Any]:
    return {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}


def result(*failures: FetchFailure | None) -> FetchResult:
    models = [
        ModelResult(model=f"m{index}", version=1, failure=each)
        for index, each in enumerate(failures)
    ]
    return FetchResult(models=models)


def progress(model: str, phase: FetchPhase, done: int = 0, total: int = 0) -> FetchProgress:
    one = ModelProgress(model=model, version=1, phase=phase, bytes_done=done, bytes_total=total)
    return FetchProgress(models=[one])


WRONG_END = ended(result(WRONG_SUM))


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        pytest.param({}, None, id="no fetcher"),
        pytest.param({"state": {"running": {}}}, None, id="the first run"),
        pytest.param({"state": ended(result(None), 0)}, None, id="a good end"),
        pytest.param({"state": ended("Killed", 137)}, None, id="an end without words"),
        pytest.param(
            {"name": "fetch", "lastState": killed()},
            (
                FetchReason.OUT_OF_MEMORY,
                "fetch: it was killed at its memory limit. Raise spec.download.memory",
            ),
            id="out of memory",
        ),
        pytest.param(
            {"name": "fetch", "state": killed(), "resources": {"limits": {"memory": "512Mi"}}},
            (
                FetchReason.OUT_OF_MEMORY,
                "fetch: it was killed at its memory limit of 512Mi. Raise spec.download.memory",
            ),
            id="out of memory, where the kubelet tells the limit",
        ),
        pytest.param(
            {"state": ended(result(None, WRONG_SUM))},
            (
                FetchReason.CHECKSUM,
                "m1 version 1: model.onnx is not what sha256 says. Correct it",
            ),
            id="a failure",
        ),
        pytest.param(
            {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": WRONG_END},
            (
                FetchReason.CHECKSUM,
                "m0 version 1: model.onnx is not what sha256 says. Correct it",
            ),
            id="a failure that is waited after",
        ),
    ],
)
def test_why_a_fetcher_failed_is_read_from_what_its_container_left(
    container: dict[str, Any], expected: tuple[FetchReason, str] | None
) -> None:
    assert failure(container) == expected


@pytest.mark.parametrize(
    ("phase", "done", "total", "told"),
    [
        pytest.param(
            FetchPhase.DOWNLOADING, 3_149_999_999, 7_400_000_000, "3.1 of 7.4 GB", id="GB"
        ),
        pytest.param(FetchPhase.COPYING, 999_999, 1_000_000, "0.9 of 1.0 MB", id="MB"),
        pytest.param(FetchPhase.DOWNLOADING, 12, 40, "12 of 40 B", id="bytes"),
        pytest.param(FetchPhase.LISTING, 0, 0, "asking what there is", id="listing"),
        pytest.param(FetchPhase.EXTRACTING, 9, 9, "being unpacked", id="unpacking"),
        pytest.param(FetchPhase.DOWNLOADING, 0, 0, "beginning", id="size unknown"),
    ],
)
def test_how_far_a_model_is(phase: FetchPhase, done: int, total: int, told: str) -> None:
    assert progress_by_model([progress("encoder", phase, done, total)]) == {"encoder": told}


def test_the_pod_that_has_least_is_told_and_what_is_done_is_not() -> None:
    fetches = [
        progress("encoder", FetchPhase.DOWNLOADING, 9_000_000, 10_000_000),
        progress("encoder", FetchPhase.DOWNLOADING, 4_000_000, 10_000_000),
        progress("policy", FetchPhase.DONE, 1, 1),
    ]
    assert progress_words(fetches) == "encoder: 4.0 of 10.0 MB"


def pod(fetcher: dict[str, Any]) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "a",
            "uid": "a",
            "creationTimestamp": "2026-11-01T00:00:00Z",
            "labels": {"trireme.dev/agent": "agent"},
        },
        "status": {"podIP": "10.0.0.1", "initContainerStatuses": [{"name": "fetch", **fetcher}]},
    }


def observed(fetcher: dict[str, Any], *fetches: FetchProgress) -> Observed:
    deployment = DeploymentView(1, 1, 0, True, False, None, None)
    return Observed(
        server=deployment,
        gateway=None,
        gateway_wanted=False,
        pods=server_pods([pod(fetcher)]),
        gateway_pods=(),
        models={},
        fetches=tuple(fetches),
    )


def test_while_files_are_brought_the_condition_tells_how_far_they_are() -> None:
    seen = observed(
        {"state": {"running": {}}},
        progress("encoder", FetchPhase.DOWNLOADING, 3_100_000_000, 7_400_000_000),
    )
    assert seen.pods[0].fetching
    found = status.findings(1, AgentStatus(), ACCEPTED, seen)[ConditionType.MODELS_READY]
    assert (found.reason, found.message) == (Reason.FETCHING, "encoder: 3.1 of 7.4 GB")
    (model,) = status.model_statuses(["encoder"], seen.pods, {}, seen.fetches)
    assert model.message == "fetching: 3.1 of 7.4 GB"


@pytest.mark.parametrize(
    ("reason", "stalled"),
    [
        pytest.param(FetchReason.CHECKSUM, True, id="one that only a person can end"),
        pytest.param(FetchReason.UNREACHABLE, False, id="one that may end by itself"),
    ],
)
def test_a_failure_is_the_conditions_reason(reason: FetchReason, stalled: bool) -> None:
    why = FetchFailure(reason=reason, message="it is so", remedy=reason.remedy)
    seen = observed({"state": ended(result(why))})
    found = status.findings(1, AgentStatus(), ACCEPTED, seen)
    assert found[ConditionType.MODELS_READY].reason is reason
    assert found[ConditionType.READY].reason is reason
    assert reason.remedy in found[ConditionType.MODELS_READY].message
    assert found[ConditionType.STALLED].status is stalled


def test_a_failure_is_told_by_one_event() -> None:
    seen = observed({"state": ended(result(WRONG_SUM))})
    found = status.findings(1, AgentStatus(), ACCEPTED, seen)
    conditions = status.dated(found, [], 1, datetime(2026, 1, 1, tzinfo=UTC))
    told = events.transitions(AgentStatus(), conditions, events.Story("d"))
    assert [event.reason for event in told if event.warning] == [EventReason.FETCH_FAILED]
    again = events.transitions(AgentStatus(conditions=conditions), conditions, events.Story("d"))
    assert [event for event in again if event.warning] == []
