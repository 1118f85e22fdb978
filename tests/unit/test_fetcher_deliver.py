"""What was made of a model is brought to a claim, and what may be hostile in it is not."""

import hashlib
import os
from pathlib import Path

import pytest

import trireme
from trireme.api.fetch import FetchFailure, FetchReason
from trireme.api.optimization import Gain
from trireme.api.optimize import (
    PROGRAM_SHA256,
    RESULT_FILE,
    DeliveryPlan,
    DeliveryResult,
    OptimizeResult,
    optimize_message,
)
from trireme.fetcher.deliver import Mounts, run
from trireme.fetcher.manifest import Entry, digest
from trireme.fetcher.retries import Backoff

ONCE = Backoff(attempts=1)
PLAN = DeliveryPlan(model="encoder", file="model.onnx", uri="pvc://results/optimised/")
PROGRAM = Path(trireme.__file__).parent / "optimizer" / "served_model.py"
GAIN = Gain(
    techniques=["int8-static"],
    throughput_ratio=2.3,
    latency_ratio=0.5,
    size_ratio=0.26,
    score_before=0.97,
    score_after=0.968,
    most_drop=0.0041,
    samples=900,
)


class Place:
    """A pod's volumes."""

    def __init__(self, folder: Path) -> None:
        self.made, self.claims = folder / "made", folder / "claims"
        self.version = self.made / "model_repository" / "encoder" / "1"
        self.version.mkdir(parents=True)
        (self.claims / "results").mkdir(parents=True)
        self.result = folder / "result"
        self.tell(b"onnx")

    def tell(self, content: bytes, file: str = "model.onnx") -> None:
        """What the search says that it has made."""
        sha256 = hashlib.sha256(content).hexdigest()
        found = OptimizeResult(gain=GAIN, file=file, sha256=sha256)
        (self.made / RESULT_FILE).write_text(optimize_message(found), encoding="utf-8")

    def refused(self, plan: DeliveryPlan = PLAN) -> FetchFailure:
        """Why nothing is delivered; and nothing has been."""
        failure = self.deliver(plan).failure
        assert failure is not None
        assert list((self.claims / "results").rglob("*")) == []
        return failure

    def deliver(self, plan: DeliveryPlan = PLAN, only_check: bool = False) -> DeliveryResult:
        mounts = Mounts(self.made, self.made.parent / "credentials", self.claims, self.result)
        good = run(plan, mounts, ONCE, only_check=only_check)
        found = DeliveryResult.model_validate_json(self.result.read_text(encoding="utf-8"))
        assert good is (found.failure is None)
        return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_model_is_put_into_a_folder_that_is_named_by_its_content(place: Place) -> None:
    (place.version / "model.onnx").write_bytes(b"onnx")
    (place.made / "report.json").write_text("{}", encoding="utf-8")
    (place.made / "configurations").mkdir()
    (place.made / "configurations" / "python.pbtxt").write_text("name", encoding="utf-8")
    (place.made / "model.yaml").write_text("not for the destination", encoding="utf-8")
    sha256 = hashlib.sha256(b"onnx").hexdigest()
    name = digest([Entry("model.onnx", sha256)])[:16]

    found = place.deliver()

    assert found.uri == f"pvc://results/optimised/encoder/{name}/1/"
    assert found.files == {"model.onnx": sha256}
    folder = place.claims / "results" / "optimised" / "encoder" / name
    files = {each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file()}
    assert files == {"1/model.onnx", "report.json", "configurations/python.pbtxt"}
    assert (folder / "1" / "model.onnx").read_bytes() == b"onnx"
    assert place.deliver() == found  # once more, as after a pod that was lost


def test_where_nothing_was_gained_nothing_is_delivered(place: Place) -> None:
    (place.version / "model.onnx").write_bytes(b"onnx")
    (place.made / RESULT_FILE).write_text(optimize_message(OptimizeResult()), encoding="utf-8")
    assert place.deliver() == DeliveryResult()
    assert list((place.claims / "results").iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("a b", id="a space"),
        pytest.param(".hidden", id="a hidden file"),
        pytest.param("x" * 65, id="a long name"),
    ],
)
def test_files_with_strange_names_are_not_delivered(place: Place, name: str) -> None:
    (place.version / "model.onnx").write_bytes(b"onnx")
    (place.version / name).write_bytes(b"")
    assert place.refused().reason is FetchReason.UNSAFE_PATH


@pytest.mark.parametrize(
    "link",
    [
        pytest.param("model_repository", id="the repository"),
        pytest.param("model_repository/encoder", id="the model"),
        pytest.param("model_repository/encoder/1", id="the version"),
        pytest.param("model_repository/encoder/1/model.onnx", id="the file"),
        pytest.param("configurations", id="the configurations"),
        pytest.param("configurations/python.pbtxt", id="a configuration"),
        pytest.param("report.json", id="the report"),
        pytest.param("result.json", id="what is said of it"),
    ],
)
def test_no_link_is_followed_though_what_it_names_would_be_taken(place: Place, link: str) -> None:
    (place.version / "model.onnx").write_bytes(b"onnx")
    (place.made / "configurations").mkdir()
    for name in ("configurations/python.pbtxt", "report.json"):
        (place.made / name).write_text("{}", encoding="utf-8")
    path = place.made / link
    moved = place.made.parent / "credentials"
    path.rename(moved)
    path.symlink_to(moved)
    failure = place.refused()
    assert failure.reason is FetchReason.UNSAFE_PATH
    assert repr(path.name) in failure.message
    path.unlink()
    moved.rename(path)
    assert place.deliver().failure is None


@pytest.mark.parametrize("name", ["model_repository/encoder/1/model.onnx", "report.json"])
def test_what_is_no_plain_file_is_neither_waited_for_nor_taken(place: Place, name: str) -> None:
    (place.version / "model.onnx").write_bytes(b"onnx")
    (place.made / name).unlink(missing_ok=True)
    os.mkfifo(place.made / name)
    assert place.refused().reason is FetchReason.UNSAFE_PATH


def test_many_files_are_not_delivered(place: Place) -> None:
    for number in range(9):
        (place.version / f"part-{number}").write_bytes(b"")
    assert "more than 8 files" in place.refused().message


@pytest.mark.parametrize(
    ("told", "files"),
    [
        pytest.param("model.onnx", {"model.onnx": b"other"}, id="another content"),
        pytest.param("model.pt", {"model.pt": b"onnx"}, id="a file that the backend loads not"),
        pytest.param("other.onnx", {"model.onnx": b"onnx"}, id="another file was measured"),
        pytest.param("model.onnx", {"model.onnx": b"onnx", "model.py": b""}, id="a program"),
        pytest.param("model.onnx", {}, id="no file"),
    ],
)
def test_what_was_not_measured_is_not_delivered(
    place: Place, told: str, files: dict[str, bytes]
) -> None:
    place.tell(b"onnx", told)
    for name, content in files.items():
        (place.version / name).write_bytes(content)
    assert place.refused().reason is FetchReason.CHECKSUM


@pytest.mark.parametrize("text", ["", "{", "x" * 5000])
def test_what_cannot_be_read_of_a_result_is_told(place: Place, text: str) -> None:
    (place.made / RESULT_FILE).write_text(text, encoding="utf-8")
    assert "no result.json that can be read" in place.refused().message


def test_of_programs_the_generated_one_alone_is_delivered(place: Place) -> None:
    plan = PLAN.model_copy(update={"program": PROGRAM_SHA256})
    (place.version / "model.onnx").write_bytes(b"onnx")
    assert place.refused(plan).reason is FetchReason.CHECKSUM
    (place.version / "model.py").write_bytes(PROGRAM.read_bytes() + b"import os\n")
    assert place.refused(plan).reason is FetchReason.CHECKSUM
    (place.version / "model.py").write_bytes(PROGRAM.read_bytes())
    assert place.deliver(plan).files["model.py"] == PROGRAM_SHA256


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        pytest.param("pvc://others/a/", FetchReason.NOT_FOUND, id="a claim that is not mounted"),
        pytest.param("https://example.com/a/", FetchReason.UNSUPPORTED, id="a web server"),
    ],
)
def test_what_cannot_be_written_to_is_told(place: Place, uri: str, reason: FetchReason) -> None:
    (place.version / "model.onnx").write_bytes(b"onnx")
    assert place.refused(PLAN.model_copy(update={"uri": uri})).reason is reason


def test_a_file_at_the_destination_that_is_not_ours_is_told(place: Place) -> None:
    (place.version / "model.onnx").write_bytes(b"onnx")
    found = place.deliver()
    assert found.uri is not None
    folder = place.claims / found.uri.removeprefix("pvc://")
    (folder / "other.onnx").write_bytes(b"?")
    failure = place.deliver().failure
    assert failure is not None
    assert failure.reason is FetchReason.CHECKSUM


def test_a_destination_is_checked_before_there_is_anything_to_deliver(place: Place) -> None:
    (place.made / RESULT_FILE).unlink()
    assert place.deliver(only_check=True) == DeliveryResult()
    assert place.deliver(only_check=True) == DeliveryResult()
    failure = place.deliver(PLAN.model_copy(update={"uri": "pvc://others/a/"}), True).failure
    assert failure is not None
    assert failure.reason is FetchReason.NOT_FOUND
