"""`trireme fetch` as the init container runs it."""

import http.client
import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from integration.fetching import SECONDS, Pod, noise, sha256
from integration.file_server import file_server
from ports import free_port
from trireme.api.fetch import FetchPlan, FetchReason, FetchResult
from trireme.cli import app
from trireme.fetcher.program import Mounts, run
from trireme.fetcher.progress import Progress, served

MODEL = noise(100_000)


def mounts(folder: Path) -> Mounts:
    (folder / "models").mkdir(exist_ok=True)
    return Mounts(
        root=folder / "models",
        credentials=folder / "secrets",
        claims=folder / "claims",
        cache=None,
        cache_token=folder / "token",
        result=folder / "result",
    )


def plan(*fetches: dict[str, object], **fields: object) -> FetchPlan:
    named = [{"model": f"m{n}", "version": 1, **fetch} for n, fetch in enumerate(fetches)]
    return FetchPlan.model_validate({"fetches": named, **fields})


def test_one_model_that_fails_does_not_keep_the_others_away_and_all_is_told(tmp_path: Path) -> None:
    with file_server({"/m.onnx": MODEL}) as server:
        wanted = plan({"uri": f"{server.url}/none"}, {"uri": f"{server.url}/m.onnx"}, {"uri": "x"})
        result = run(wanted, mounts(tmp_path), 0)
    told = FetchResult.model_validate_json((tmp_path / "result").read_text())
    assert told == result
    assert not result.good
    reasons = [model.failure and model.failure.reason for model in result.models]
    assert reasons == [FetchReason.NOT_FOUND, None, FetchReason.UNSUPPORTED]
    assert (tmp_path / "models/m1/1/m.onnx").read_bytes() == MODEL


def test_a_secret_that_stands_in_a_message_is_not_told(tmp_path: Path) -> None:
    folder = tmp_path / "secrets" / "web"
    folder.mkdir(parents=True)
    (folder / "token").write_text("s3cr3t-token")

    with file_server({}) as server:
        result = run(
            plan({"uri": f"{server.url}/s3cr3t-token/m", "credentials": "web"}),
            mounts(tmp_path),
            0,
        )
    assert result.models[0].failure is not None
    assert "s3cr3t" not in (tmp_path / "result").read_text()


def test_the_limit_counts_all_models_together(tmp_path: Path) -> None:
    with file_server({"/m": MODEL}) as server:
        wanted = plan(*[{"uri": f"{server.url}/m"}] * 2, limitBytes=150_000)
        result = run(wanted, mounts(tmp_path), 0)
    failures = [model.failure and model.failure.reason for model in result.models]
    assert failures == [None, FetchReason.TOO_LARGE]


def test_started_again_it_answers_the_same_and_asks_nobody(tmp_path: Path) -> None:
    with file_server({"/m": MODEL}) as server:
        wanted = plan({"uri": f"{server.url}/m", "sha256": sha256(MODEL)})
        first = run(wanted, mounts(tmp_path), 0)
        asked = len(server.requests)
        assert run(wanted, mounts(tmp_path), 0) == first
        assert len(server.requests) == asked
        (tmp_path / "models/m0/1/m").write_bytes(b"half")
        run(wanted, mounts(tmp_path), 0)
    assert (tmp_path / "models/m0/1/m").read_bytes() == MODEL


def test_another_plan_replaces_what_was_published(tmp_path: Path) -> None:
    with file_server({"/m": MODEL, "/n": MODEL[::-1]}) as server:
        run(plan({"uri": f"{server.url}/m"}), mounts(tmp_path), 0)
        run(plan({"uri": f"{server.url}/n"}), mounts(tmp_path), 0)
    published = {f.name: f.read_bytes() for f in (tmp_path / "models/m0/1").iterdir()}
    assert published == {"n": MODEL[::-1]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("rubbish", "Invalid JSON", id="no JSON"),
        pytest.param(
            '{"fetches": [{"model": "m"}]}', "fetches.0.version: Field required", id="cut"
        ),
        pytest.param(None, "No such file", id="no plan"),
    ],
)
def test_a_plan_that_is_none_is_wrong_usage(tmp_path: Path, text: str | None, words: str) -> None:
    if text is not None:
        (tmp_path / "plan.json").write_text(text)
    result = CliRunner().invoke(
        app, ["fetch", f"--plan={tmp_path}/plan.json", f"--root={tmp_path}"]
    )
    assert result.exit_code == 2
    assert words in result.stderr


def test_a_volume_that_is_not_mounted_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"fetches": []}')
    arguments = ["fetch", f"--plan={tmp_path}/plan.json", f"--root={tmp_path}/none"]
    assert CliRunner().invoke(app, arguments).exit_code == 2


def test_a_fault_is_exit_status_1_and_success_is_0(tmp_path: Path) -> None:
    pod = Pod(tmp_path)
    with file_server({"/m": MODEL}) as server:
        assert pod.process(f"{server.url}/none").wait(SECONDS) == 1
        assert pod.process(f"{server.url}/m").wait(SECONDS) == 0


def test_the_progress_port_answers_get_and_nothing_else() -> None:
    progress = Progress(plan({"uri": "s3://b/m"}).fetches)
    progress.trackers[0].expect(7_400_000_000, 3_100_000_000)
    with served(progress, 0) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/")
        told = json.load(connection.getresponse())
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("POST", "/", body=b"x")
        assert connection.getresponse().status == 501
    assert told == {
        "models": [
            {
                "model": "m0",
                "version": 1,
                "phase": "Waiting",
                "bytesDone": 3_100_000_000,
                "bytesTotal": 7_400_000_000,
            }
        ]
    }


def test_a_port_that_is_taken_costs_the_progress_alone(tmp_path: Path) -> None:
    port = free_port()
    with socket.socket() as taken, file_server({"/m": MODEL}) as server:
        taken.bind(("0.0.0.0", port))  # noqa: S104  # as the fetcher does
        taken.listen()
        assert run(plan({"uri": f"{server.url}/m"}), mounts(tmp_path), port).good
