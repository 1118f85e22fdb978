"""What the fetcher is told and answers."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from trireme.api.fetch import (
    Fetch,
    FetchFailure,
    FetchPlan,
    FetchReason,
    FetchResult,
    ModelResult,
    termination_message,
)


def failed(message: str, model: str = "m") -> ModelResult:
    failure = FetchFailure(reason=FetchReason.NOT_FOUND, message=message, remedy="Upload it")
    return ModelResult(model=model, version=1, failure=failure)


def test_every_reason_has_a_remedy_of_its_own() -> None:
    remedies = [reason.remedy for reason in FetchReason]
    assert len(set(remedies)) == len(remedies)


def test_reasons_are_words_that_alerts_may_match() -> None:
    assert {reason.name: reason.value for reason in FetchReason} == {
        "UNSUPPORTED": "UnsupportedSource",
        "CREDENTIALS_REJECTED": "CredentialsRejected",
        "CREDENTIALS_INVALID": "CredentialsInvalid",
        "VOLUME_REFUSED": "VolumeRefused",
        "NOT_FOUND": "SourceNotFound",
        "EMPTY": "SourceEmpty",
        "CHANGED": "SourceChanged",
        "UNREACHABLE": "SourceUnreachable",
        "UNTRUSTED": "CertificateUntrusted",
        "SERVER_ERROR": "SourceServerError",
        "STALLED": "DownloadStalled",
        "TRUNCATED": "DownloadTruncated",
        "CHECKSUM": "ChecksumMismatch",
        "TOO_LARGE": "SourceTooLarge",
        "DISK_FULL": "VolumeFull",
        "ARCHIVE_UNSAFE": "ArchiveUnsafe",
        "ARCHIVE_DAMAGED": "ArchiveDamaged",
        "UNSAFE_PATH": "UnsafePath",
        "LAYOUT": "LayoutUnusable",
        "OUT_OF_MEMORY": "FetcherOutOfMemory",
        "INTERNAL": "FetcherFailed",
    }


def test_a_short_result_is_told_whole() -> None:
    result = FetchResult(
        models=[ModelResult(model="m", version=1, digest="d", bytes=3), failed("x")]
    )
    assert FetchResult.model_validate_json(termination_message(result)) == result


def test_a_long_message_is_cut_and_its_reason_and_remedy_are_not() -> None:
    told = FetchResult.model_validate_json(
        termination_message(FetchResult(models=[failed("x" * 10_000)]))
    )
    (model,) = told.models
    assert model.failure is not None
    assert model.failure.message.endswith("...")
    assert (model.failure.reason, model.failure.remedy) == (FetchReason.NOT_FOUND, "Upload it")


def test_where_not_all_fit_failures_stay() -> None:
    good = [ModelResult(model=f"good-{n}", version=1, digest="d" * 64) for n in range(60)]
    told = FetchResult.model_validate_json(
        termination_message(FetchResult(models=[failed("no", "bad"), *good]))
    )
    assert told.models[0].model == "bad"
    assert told.omitted == 61 - len(told.models) > 0


results = st.builds(
    FetchResult,
    models=st.lists(
        st.builds(
            ModelResult,
            model=st.text(max_size=128),
            version=st.integers(0, 2**63 - 1),
            digest=st.none() | st.text(alphabet="0123456789abcdef", min_size=64, max_size=64),
            note=st.none() | st.text(max_size=3000),
            failure=st.none()
            | st.builds(
                FetchFailure,
                reason=st.sampled_from(FetchReason),
                message=st.text(max_size=5000),
                remedy=st.text(max_size=200),
            ),
        ),
        max_size=40,
    ),
)


@given(results)
def test_a_termination_message_always_fits_and_is_always_a_result(result: FetchResult) -> None:
    message = termination_message(result)
    assert len(message.encode()) <= 4096
    told = FetchResult.model_validate_json(message)
    assert len(told.models) + told.omitted == len(result.models)


def test_a_plan_is_read_as_it_is_written() -> None:
    plan = FetchPlan(fetches=[Fetch(model="m", version=1, uri="s3://b/m", file_name="model.onnx")])
    text = plan.model_dump_json(by_alias=True)
    assert json.loads(text)["fetches"][0]["fileName"] == "model.onnx"
    assert FetchPlan.model_validate_json(text) == plan


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"sha256": "ABC"}, id="a digest that is none"),
        pytest.param({"credentials": "../etc"}, id="a Secret's name that leads out"),
        pytest.param({"fileName": "../model.onnx"}, id="a file name that is a path"),
        pytest.param({"fileName": ".."}, id="a file name that is a folder's parent"),
        pytest.param({"model": "../m"}, id="a model's name that leads out"),
        pytest.param({"version": -1}, id="a negative version"),
        pytest.param({"secret": "x"}, id="a field that there is not"),
    ],
)
def test_a_plan_with_something_else_is_refused(wrong: dict[str, object]) -> None:
    fetch = {"model": "m", "version": 1, "uri": "s3://b/m", **wrong}
    with pytest.raises(ValidationError):
        FetchPlan.model_validate({"fetches": [fetch]})


def test_a_version_planned_twice_is_refused() -> None:
    fetch = Fetch(model="m", version=1, uri="s3://b/m")
    with pytest.raises(ValidationError, match="planned twice: m version 1"):
        FetchPlan(fetches=[fetch, fetch])
