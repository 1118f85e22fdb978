"""`trireme deliver` to object storage, as a process and to a real S3 endpoint."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.fetching import noise, sha256
from integration.s3_server import BUCKET, KEYS, S3Server, s3_server
from integration.trireme_process import ran
from trireme.api.fetch import FetchReason
from trireme.api.optimize import (
    RESULT_FILE,
    DeliveryPlan,
    DeliveryResult,
    OptimizeResult,
    optimize_message,
)
from unit.test_fetcher_deliver import GAIN

MODEL = noise(300_000)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


def delivered(folder: Path, plan: DeliveryPlan, *options: str) -> DeliveryResult:
    """What one run of the program leaves."""
    version = folder / "made" / "model_repository" / "encoder" / "1"
    version.mkdir(parents=True, exist_ok=True)
    (version / "model.onnx").write_bytes(MODEL)
    (folder / "made" / "report.json").write_text("{}", encoding="utf-8")
    told = OptimizeResult(gain=GAIN, file="model.onnx", sha256=sha256(MODEL))
    (folder / "made" / RESULT_FILE).write_text(optimize_message(told), encoding="utf-8")
    secret = folder / "credentials" / "keys"
    secret.mkdir(parents=True, exist_ok=True)
    for name, value in KEYS.items():
        (secret / name).write_text(value, encoding="utf-8")
    (folder / "plan.json").write_text(plan.model_dump_json(by_alias=True), encoding="utf-8")
    done = ran(
        "deliver",
        f"--plan={folder / 'plan.json'}",
        f"--from={folder / 'made'}",
        f"--credentials={folder / 'credentials'}",
        f"--claims={folder / 'claims'}",
        f"--result={folder / 'result'}",
        *options,
        environment=os.environ,
        folder=folder,
    )
    found = DeliveryResult.model_validate_json((folder / "result").read_bytes())
    assert (done.status == 0) is (found.failure is None), done.errors
    told = "".join((done.output, done.errors, json.dumps(found.model_dump())))
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in told
    return found


def test_a_model_is_an_object_that_was_read_again(s3: S3Server, tmp_path: Path) -> None:
    plan = DeliveryPlan(
        model="encoder",
        file="model.onnx",
        uri=f"s3://{BUCKET}/optimised/",
        endpoint=s3.url,
        credentials="keys",
    )
    found = delivered(tmp_path, plan)
    assert found.files == {"model.onnx": sha256(MODEL)}
    assert found.uri is not None
    assert found.uri.startswith(f"s3://{BUCKET}/optimised/encoder/")
    prefix = found.uri.removeprefix(f"s3://{BUCKET}/").removesuffix("1/")
    body = s3.client.get_object(Bucket=BUCKET, Key=f"{prefix}1/model.onnx")["Body"].read()
    assert body == MODEL
    assert s3.client.get_object(Bucket=BUCKET, Key=f"{prefix}report.json")["Body"].read() == b"{}"


def test_a_destination_is_written_to_and_read_before_a_search(s3: S3Server, tmp_path: Path) -> None:
    plan = DeliveryPlan(
        model="ranker",
        file="model.onnx",
        uri=f"s3://{BUCKET}/optimised/",
        endpoint=s3.url,
        credentials="keys",
    )
    assert delivered(tmp_path, plan, "--check") == DeliveryResult()
    found = s3.client.list_objects_v2(Bucket=BUCKET, Prefix="optimised/ranker/")["Contents"]
    assert [each["Key"] for each in found] == ["optimised/ranker/check/check"]


@pytest.mark.parametrize("options", [[], ["--check"]])
def test_a_bucket_that_is_not_there_is_told(
    s3: S3Server, tmp_path: Path, options: list[str]
) -> None:
    plan = DeliveryPlan(
        model="encoder",
        file="model.onnx",
        uri="s3://others/optimised/",
        endpoint=s3.url,
        credentials="keys",
    )
    failure = delivered(tmp_path, plan, *options).failure
    assert failure is not None
    assert failure.reason is FetchReason.NOT_FOUND
