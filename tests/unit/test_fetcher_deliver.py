"""What was made of a model is brought to a claim, and what may be hostile in it is not."""

import hashlib
from pathlib import Path

import pytest

from trireme.api.fetch import FetchReason
from trireme.api.optimize import DeliveryPlan, DeliveryResult
from trireme.fetcher.deliver import Mounts, run
from trireme.fetcher.manifest import Entry, digest
from trireme.fetcher.retries import Backoff

ONCE = Backoff(attempts=1)
PLAN = DeliveryPlan(model="encoder", uri="pvc://results/optimised/")


class Place:
    """A pod's volumes."""

    def __init__(self, folder: Path) -> None:
        self.made, self.claims = folder / "made", folder / "claims"
        self.version = self.made / "model_repository" / "encoder" / "1"
        self.version.mkdir(parents=True)
        (self.claims / "results").mkdir(parents=True)
        self.result = folder / "result"

    def deliver(self, plan: DeliveryPlan = PLAN) -> DeliveryResult:
        mounts = Mounts(self.made, self.made.parent / "credentials", self.claims, self.result)
        good = run(plan, mounts, ONCE)
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
    place.version.rmdir()
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
    (place.version / name).write_bytes(b"")
    failure = place.deliver().failure
    assert failure is not None
    assert failure.reason is FetchReason.UNSAFE_PATH


def test_a_link_is_not_followed(place: Place, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret", encoding="utf-8")
    (place.version / "model.onnx").symlink_to(tmp_path / "token")
    failure = place.deliver().failure
    assert failure is not None
    assert failure.reason is FetchReason.UNSAFE_PATH
    (place.version / "model.onnx").unlink()
    (place.version / "model.onnx").write_bytes(b"onnx")
    (place.made / "report.json").symlink_to(tmp_path / "token")
    assert place.deliver().failure is None
    assert "report.json" not in {each.name for each in place.claims.rglob("*")}


def test_many_files_are_not_delivered(place: Place) -> None:
    for number in range(9):
        (place.version / f"part-{number}").write_bytes(b"")
    failure = place.deliver().failure
    assert failure is not None
    assert "9 files" in failure.message


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        pytest.param("pvc://others/a/", FetchReason.NOT_FOUND, id="a claim that is not mounted"),
        pytest.param("https://example.com/a/", FetchReason.UNSUPPORTED, id="a web server"),
    ],
)
def test_what_cannot_be_written_to_is_told(place: Place, uri: str, reason: FetchReason) -> None:
    (place.version / "model.onnx").write_bytes(b"onnx")
    failure = place.deliver(DeliveryPlan(model="encoder", uri=uri)).failure
    assert failure is not None
    assert failure.reason is reason


def test_a_file_at_the_destination_that_is_not_ours_is_told(place: Place) -> None:
    (place.version / "model.onnx").write_bytes(b"onnx")
    found = place.deliver()
    assert found.uri is not None
    folder = place.claims / found.uri.removeprefix("pvc://")
    (folder / "other.onnx").write_bytes(b"?")
    failure = place.deliver().failure
    assert failure is not None
    assert failure.reason is FetchReason.CHECKSUM
