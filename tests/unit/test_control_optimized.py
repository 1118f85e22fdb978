"""What a Job that optimises came to, read from its pod's containers."""

import json
import sys
from typing import Any

import pytest
from jsonschema import Draft4Validator  # type: ignore[import-untyped]

from trireme.api.crd import crd
from trireme.api.fetch import (
    FetchFailed,
    FetchFailure,
    FetchReason,
    FetchResult,
    ModelResult,
    termination_message,
)
from trireme.api.optimization import Gain, MissedTarget, TargetName, TriedForm
from trireme.api.optimize import (
    DeliveryResult,
    OptimizeResult,
    delivery_message,
    optimize_message,
)
from trireme.control.optimized import Ended, ended, told_gain

JOB: dict[str, Any] = {"metadata": {"uid": "j-1", "name": "support-optimize-0f"}, "status": {}}
OVER: dict[str, Any] = {**JOB, "status": {"conditions": [{"type": "Failed", "status": "True"}]}}
GAIN = Gain(
    techniques=["dead-branches", "int8-static"],
    throughput_ratio=2.31,
    latency_ratio=0.5,
    size_ratio=0.26,
    score_before=0.97,
    score_after=0.968,
    most_drop=0.0041,
    samples=900,
)
FOUND = OptimizeResult(summary="s", gain=GAIN, file="model.onnx", sha256="a" * 64)
URI = "pvc://results/encoder/0f/1/"
DELIVERED = DeliveryResult(uri=URI, files={"model.onnx": "a" * 64})
NOTHING = OptimizeResult(summary="nothing is cheaper and shown to answer as well")
TRIED = TriedForm(techniques=["fp16"], throughput_ratio=0.8, refused="is slower")


def failure(reason: FetchReason, message: str) -> FetchFailure:
    return FetchFailure.of(FetchFailed(reason, message))


def over(exit_code: int = 0, message: str = "", reason: str = "Completed") -> dict[str, Any]:
    return {"terminated": {"exitCode": exit_code, "message": message, "reason": reason}}


def pod(
    fetch: dict[str, Any] | None = None,
    optimize: dict[str, Any] | None = None,
    deliver: dict[str, Any] | None = None,
    check: dict[str, Any] | None = None,
    **status: Any,
) -> dict[str, Any]:
    waiting: dict[str, Any] = {"waiting": {"reason": "PodInitializing"}}
    return {
        "metadata": {"name": "p"},
        "status": {
            "initContainerStatuses": [
                {"name": "check-destination", "state": check or over()},
                {"name": "fetch", "state": fetch or waiting},
                {"name": "optimize", "state": optimize or waiting},
            ],
            "containerStatuses": [
                {"name": "istio-proxy", "state": {"terminated": {"exitCode": 0}}},
                {"name": "deliver", "state": deliver or waiting},
            ],
            **status,
        },
    }


def finished(found: OptimizeResult, delivered: DeliveryResult) -> dict[str, Any]:
    return pod(
        over(), over(message=optimize_message(found)), over(message=delivery_message(delivered))
    )


@pytest.mark.parametrize(
    "pods",
    [
        pytest.param([], id="no pod yet"),
        pytest.param([pod()], id="it waits for its node"),
        pytest.param([pod(over())], id="the files are there"),
        pytest.param([pod(over(), {"running": {}})], id="it searches"),
        pytest.param([pod(over(), over(message=optimize_message(FOUND)))], id="it is delivered"),
    ],
)
def test_what_is_under_way_is_not_over(pods: list[dict[str, Any]]) -> None:
    assert ended(JOB, pods) is None


def test_a_model_that_is_measured_and_delivered_is_a_result() -> None:
    found = ended(OVER, [finished(FOUND, DELIVERED)])
    assert found is not None
    assert found.optimized is not None
    assert (found.optimized.gain, found.optimized.uri) == (GAIN, URI)
    assert (found.optimized.files, found.optimized.sha256) == (DELIVERED.files, "a" * 64)


@pytest.mark.parametrize("condition", ["FailureTarget", "Failed"])
@pytest.mark.parametrize(
    "pods",
    [
        pytest.param([], id="its pod is deleted"),
        pytest.param([pod()], id="it never got a node"),
        pytest.param([pod(over(), over(137, "", "Error"))], id="it was killed"),
    ],
)
def test_a_job_that_its_deadline_ended_is_told(condition: str, pods: list[dict[str, Any]]) -> None:
    held = {"type": condition, "status": "True", "reason": "DeadlineExceeded"}
    found = ended({**JOB, "status": {"conditions": [held]}}, pods)
    assert found is not None
    assert found.failure is not None
    assert found.failure.startswith("the Job did not end before its deadline")


def test_what_was_delivered_before_the_deadline_is_a_result() -> None:
    held = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}
    found = ended({**JOB, "status": {"conditions": [held]}}, [finished(FOUND, DELIVERED)])
    assert found is not None
    assert found.optimized is not None


HOSTILE = "done\n\x1b[2J\x07 Warning:\u202e run\tthis\r\n\u2028now"


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(OptimizeResult(summary=HOSTILE), id="of a search"),
        pytest.param(OptimizeResult(failure=HOSTILE), id="of a failure"),
    ],
)
def test_the_words_of_what_opened_the_model_are_told_as_its_own(told: OptimizeResult) -> None:
    code = 0 if told.failure is None else 1
    texts = over(code, optimize_message(told)), over(code, delivery_message(DeliveryResult()))
    found = ended(OVER, [pod(over(), *texts)])
    assert found is not None
    words = "the model's container says: done [2J Warning: run this now"
    assert (found.failure or found.summary) == words


def test_what_was_tried_is_told_of_a_result_and_where_nothing_is_gained() -> None:
    for told, delivered in ((FOUND, DELIVERED), (NOTHING, DeliveryResult())):
        tried = told.model_copy(update={"tried": [TRIED, TRIED]})
        found = ended(OVER, [finished(tried, delivered)])
        assert found is not None
        assert found.tried == (TRIED, TRIED)


def test_the_words_of_what_was_tried_hold_nothing_that_a_terminal_obeys() -> None:
    hostile = TRIED.model_copy(update={"refused": HOSTILE})
    told = NOTHING.model_copy(update={"tried": [hostile]})
    found = ended(OVER, [finished(told, DeliveryResult())])
    assert found is not None
    assert found.tried[0].refused == "done [2J Warning: run this now"


def test_what_was_tried_never_makes_a_message_too_long_to_be_read() -> None:
    long = TRIED.model_copy(update={"techniques": ["a" * 64] * 4, "refused": "\x01" * 200})
    told = OptimizeResult(summary="\x01" * 4000, gain=GAIN, tried=[long] * 4)
    message = optimize_message(told)
    assert len(message.encode()) <= 4096
    assert len(OptimizeResult.model_validate_json(message).tried) == 4


def test_nothing_gained_is_no_failure() -> None:
    found = ended(OVER, [finished(NOTHING, DeliveryResult())])
    assert found is not None
    words = f"the model's container says: {NOTHING.summary}"
    assert (found.optimized, found.summary, found.failure) == (None, words, None)


FETCHED = FetchResult(
    models=[
        ModelResult(
            model="samples", version=1, failure=failure(FetchReason.NOT_FOUND, "no such object")
        )
    ]
)


@pytest.mark.parametrize(
    ("pods", "words"),
    [
        pytest.param(
            [pod(over(1, termination_message(FETCHED)))],
            "samples version 1: no such object. Correct the URI",
            id="the samples are not there",
        ),
        pytest.param(
            [
                pod(
                    over(),
                    over(1, optimize_message(OptimizeResult(failure="labels: are float32"))),
                    phase="Failed",
                )
            ],
            "the model's container says: labels: are float32",
            id="the samples cannot be used",
        ),
        pytest.param(
            [pod(over(), over(137, "", "OOMKilled"))],
            "optimize: it was killed at its memory limit. Raise spec.optimization.resources.memory",
            id="out of memory",
        ),
        pytest.param(
            [pod(over(), over(139, "", "Error"))],
            "optimize ended with exit code 139: Error",
            id="a library crashed",
        ),
        pytest.param(
            [
                pod(
                    over(),
                    over(137, "", "Error"),
                    phase="Failed",
                    reason="Evicted",
                    message="The node was low on resource: memory",
                )
            ],
            "the Job's pod has failed: Evicted The node was low on resource: memory",
            id="it was evicted",
        ),
        pytest.param(
            [
                pod(
                    over(),
                    over(message=optimize_message(FOUND)),
                    over(
                        1,
                        delivery_message(
                            DeliveryResult(failure=failure(FetchReason.DISK_FULL, "it is full"))
                        ),
                    ),
                )
            ],
            "it is full. Give the model volume",
            id="the destination is full",
        ),
        pytest.param(
            [
                pod(
                    check=over(
                        1,
                        delivery_message(
                            DeliveryResult(failure=failure(FetchReason.NOT_FOUND, "no such bucket"))
                        ),
                    )
                )
            ],
            "no such bucket. Correct the URI",
            id="there is no destination",
        ),
        pytest.param([], "went before its result was read", id="no pod is left"),
        pytest.param([pod(phase="Failed")], "the Job's pod has failed", id="no reason is told"),
    ],
)
def test_a_failure_is_told_in_its_words(pods: list[dict[str, Any]], words: str) -> None:
    found = ended(OVER, pods)
    assert found is not None
    assert found.failure is not None
    assert words in found.failure


@pytest.mark.parametrize(
    ("told", "delivered"),
    [
        pytest.param(
            optimize_message(FOUND.model_copy(update={"sha256": "b" * 64})),
            delivery_message(DELIVERED),
            id="another digest",
        ),
        pytest.param(
            optimize_message(FOUND.model_copy(update={"file": "model.pt"})),
            delivery_message(DELIVERED),
            id="another file",
        ),
        pytest.param(optimize_message(NOTHING), delivery_message(DELIVERED), id="no gain"),
        pytest.param(
            optimize_message(FOUND), delivery_message(DeliveryResult()), id="nothing delivered"
        ),
        pytest.param("{}" * 9, delivery_message(DELIVERED), id="no JSON"),
        pytest.param(
            optimize_message(FOUND).replace("2.31", "1e999"),
            delivery_message(DELIVERED),
            id="an infinite gain",
        ),
        pytest.param(
            optimize_message(FOUND).replace("model.onnx", "../model.onnx"),
            delivery_message(DELIVERED),
            id="a path",
        ),
        pytest.param(
            optimize_message(FOUND).replace('"summary"', '"apiVersion":"v1","summary"'),
            delivery_message(DELIVERED),
            id="fields that nobody knows",
        ),
        pytest.param(optimize_message(FOUND), "", id="no delivery"),
    ],
)
def test_what_does_not_fit_together_is_no_result(told: str, delivered: str) -> None:
    found = ended(OVER, [pod(over(), over(message=told), over(message=delivered))])
    assert found is not None
    assert found.optimized is None
    assert found.failure


def test_a_gain_is_told_in_one_sentence() -> None:
    assert told_gain(GAIN) == (
        "dead-branches + int8-static: 2.31 times the throughput, 0.50 of the latency, 0.26 of the "
        "size; score 0.97 before and 0.968 after, lower by 0.41% at most by 900 held-out samples"
    )


@pytest.mark.parametrize(
    ("missed", "words"),
    [
        pytest.param(
            MissedTarget(target=TargetName.LATENCY, wanted=0.02, found=0.025),
            "; misses its target: latency 25 ms where 20 ms is wanted, 25% more",
            id="latency",
        ),
        pytest.param(
            MissedTarget(target=TargetName.SIZE, wanted=50 * 2**20, found=1.5 * 2**30),
            "; misses its target: size 1.5 GiB where 50 MiB is wanted, 2,972% more",
            id="size",
        ),
        pytest.param(
            MissedTarget(target=TargetName.SIZE, wanted=5e-324, found=sys.float_info.max),
            "where 4.941e-324 bytes is wanted, inf% more",
            id="figures that no model has",
        ),
    ],
)
def test_a_target_that_is_missed_is_told_with_its_gain(missed: MissedTarget, words: str) -> None:
    assert told_gain(GAIN.model_copy(update={"missed": [missed]})).endswith(words)


@pytest.mark.parametrize("text", ["x" * 20_000, "\u20ac" * 20_000, "\x00" * 20_000])
def test_a_message_fits_what_the_kubelet_keeps(text: str) -> None:
    long = FOUND.model_copy(update={"summary": text, "failure": text})
    told = optimize_message(long)
    assert len(told.encode()) <= 4096
    assert OptimizeResult.model_validate_json(told).gain == GAIN
    refused = DeliveryResult(failure=failure(FetchReason.INTERNAL, text))
    assert len(delivery_message(refused).encode()) <= 4096


SCHEMA = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
TOLD = SCHEMA["properties"]["status"]["properties"]["optimization"]["properties"]["models"]["items"]
LARGEST, SMALLEST = sys.float_info.max, 5e-324


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("techniques", ["x" * 64] * 16, id="techniques"),
        *(
            pytest.param(ratio, value, id=f"{ratio} {value}")
            for ratio in ("throughputRatio", "latencyRatio", "sizeRatio")
            for value in (LARGEST, SMALLEST)
        ),
        *(
            pytest.param(score, value, id=f"{score} {value}")
            for score in ("scoreBefore", "scoreAfter", "mostDrop")
            for value in (LARGEST, -LARGEST)
        ),
        pytest.param("samples", 2**31 - 1, id="samples"),
        pytest.param(
            "missed", [{"target": "size", "wanted": SMALLEST, "found": LARGEST}] * 2, id="missed"
        ),
    ],
)
def test_what_is_accepted_of_a_gain_the_status_takes(field: str, value: Any) -> None:
    told = {**GAIN.model_dump(by_alias=True), field: value}
    found = OptimizeResult.model_validate_json(json.dumps({"gain": told}))
    assert found.gain is not None
    text = found.gain.model_dump(mode="json", by_alias=True)
    Draft4Validator(TOLD["properties"]["gain"]).validate(text)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("techniques", ["x" * 65], id="a long technique"),
        pytest.param("techniques", ["fuse: run this\n"], id="words for a technique"),
        pytest.param("techniques", ["fuse"] * 17, id="many techniques"),
        pytest.param("samples", 2**31, id="more samples than an integer counts"),
        pytest.param("samples", 10**25, id="a number that no machine has"),
        pytest.param("sizeRatio", 0, id="a ratio of nothing"),
        pytest.param(
            "missed", [{"target": "speed", "wanted": 1, "found": 2}], id="a target of no name"
        ),
        pytest.param(
            "missed", [{"target": "size", "wanted": 0, "found": 2}], id="a target of nothing"
        ),
        pytest.param(
            "missed", [{"target": "size", "wanted": 1, "found": 2}] * 3, id="many targets"
        ),
    ],
)
def test_a_gain_that_the_status_would_not_take_is_none(field: str, value: Any) -> None:
    told = json.dumps({"gain": {**GAIN.model_dump(by_alias=True), field: value}})
    found = ended(
        OVER, [pod(over(), over(message=told), over(message=delivery_message(DELIVERED)))]
    )
    assert found == Ended(failure="the Job left no result that can be read")
