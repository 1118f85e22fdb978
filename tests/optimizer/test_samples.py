"""Reading samples, and telling what is wrong with them."""

from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from trireme.errors import InvalidSpec
from trireme.optimizer.sample_files import read_samples
from trireme.optimizer.samples import split

X = np.arange(60, dtype=np.float32).reshape(30, 2)
Y = np.arange(30)


def npz(folder: Path) -> None:
    np.savez(folder / "all.npz", x=X, y=Y)


def parquet_file(folder: Path) -> None:
    table = pyarrow.table({"x": X.tolist(), "y": Y})
    parquet.write_table(table, folder / "all.parquet")


def directory(folder: Path) -> None:
    (folder / "parts").mkdir()
    (folder / "parts" / "about.json").write_text('{"rows": 6}')  # of the arrays, as exports have it
    np.savez(folder / "parts" / "a.npz", x=X[:10], y=Y[:10])
    np.savez(folder / "parts" / "b.npz", x=X[10:], y=Y[10:])


@pytest.mark.parametrize(
    ("write", "name"),
    [
        pytest.param(npz, "all.npz", id="an npz file"),
        pytest.param(parquet_file, "all.parquet", id="a parquet file"),
        pytest.param(directory, "parts", id="a directory, in the order of names"),
    ],
)
def test_every_kind_of_file_gives_the_same_samples(
    write: Callable[[Path], None], name: str, tmp_path: Path
) -> None:
    write(tmp_path)
    samples = read_samples(tmp_path / name, "y")
    assert list(samples.inputs) == ["x"]
    np.testing.assert_array_equal(samples.inputs["x"], X)
    np.testing.assert_array_equal(samples.labels, Y)


def test_labels_may_be_a_file_of_their_own(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    samples = read_samples(tmp_path / "x.npy", str(tmp_path / "y.npy"))
    np.testing.assert_array_equal(samples.labels, Y)


def nothing(_: Path) -> None:
    """Writes no file."""


def pickled(folder: Path) -> None:
    np.save(folder / "bad.npy", np.array([{"a": 1}] * 30), allow_pickle=True)


def not_numpy(folder: Path) -> None:
    (folder / "bad.npz").write_bytes(b"PK not a zip")


def huge(folder: Path) -> None:
    """A header that promises more than any memory holds."""
    np.save(folder / "bad.npy", X)
    content = (folder / "bad.npy").read_bytes()
    (folder / "bad.npy").write_bytes(content.replace(b"(30, 2)", b"(9" + b"9" * 15 + b",)"))


def header(folder: Path) -> None:
    np.save(folder / "bad.npy", X)
    content = (folder / "bad.npy").read_bytes()
    (folder / "bad.npy").write_bytes(content.replace(b"'descr'", b"'d\xff\0cr'"))


def odd_members(folder: Path) -> None:
    with ZipFile(folder / "bad.npz", "w") as archive:
        archive.writestr("readme.txt", "no array")


def encrypted(folder: Path) -> None:
    """The flag that says so, in both headers of its member."""
    np.savez(folder / "bad.npz", x=X)
    content = bytearray((folder / "bad.npz").read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + place] |= 1
    (folder / "bad.npz").write_bytes(content)


def uneven(folder: Path) -> None:
    np.savez(folder / "bad.npz", x=X, y=Y[:20])


def nan(folder: Path) -> None:
    np.savez(folder / "bad.npz", x=np.where(X == 3, np.nan, X))


def few(folder: Path) -> None:
    np.savez(folder / "bad.npz", x=X[:4])


def words(folder: Path) -> None:
    parquet.write_table(pyarrow.table({"x": ["a"] * 30}), folder / "bad.parquet")


def ragged(folder: Path) -> None:
    parquet.write_table(pyarrow.table({"x": [[1.0]] * 29 + [[1.0, 2.0]]}), folder / "bad.parquet")


def empty_folder(folder: Path) -> None:
    (folder / "bad").mkdir()


def misfits(folder: Path) -> None:
    (folder / "bad").mkdir()
    np.savez(folder / "bad" / "a.npz", x=X)
    np.savez(folder / "bad" / "b.npz", z=X)


def of_another_type(folder: Path) -> None:
    (folder / "bad").mkdir()
    np.savez(folder / "bad" / "a.npz", x=X, y=Y)
    np.savez(folder / "bad" / "b.npz", x=X.astype(np.float64), y=Y)


def of_another_shape(folder: Path) -> None:
    (folder / "bad").mkdir()
    np.savez(folder / "bad" / "a.npz", x=X, y=Y)
    np.savez(folder / "bad" / "b.npz", x=X[:, :1], y=Y)


@pytest.mark.parametrize(
    ("write", "name", "labels", "told"),
    [
        pytest.param(nothing, "no.npz", None, "does not exist", id="no file"),
        pytest.param(
            nothing, "", None, "no .npz, .npy, .jsonl or .json file", id="a folder without samples"
        ),
        pytest.param(pickled, "bad.npy", None, "without arrays of objects", id="pickled objects"),
        pytest.param(not_numpy, "bad.npz", None, "cannot be read", id="a broken archive"),
        pytest.param(huge, "bad.npy", None, "cannot be read", id="more than there is"),
        pytest.param(header, "bad.npy", None, "cannot be read", id="a broken header"),
        pytest.param(odd_members, "bad.npz", None, "members that are no arrays", id="other files"),
        pytest.param(encrypted, "bad.npz", None, "encrypted", id="a locked archive"),
        pytest.param(uneven, "bad.npz", None, "different lengths: x 30, y 20", id="lengths"),
        pytest.param(nan, "bad.npz", None, "samples.x: holds NaN", id="not a number"),
        pytest.param(few, "bad.npz", None, "holds 4 samples", id="too few"),
        pytest.param(words, "bad.parquet", None, "samples.x: is no column of numbers", id="text"),
        pytest.param(ragged, "bad.parquet", None, "equally long lists", id="uneven lists"),
        pytest.param(
            empty_folder, "bad", None, "no .npz, .npy, .jsonl or .json file", id="an empty folder"
        ),
        pytest.param(misfits, "bad", None, "b.npz", id="files with different arrays"),
        pytest.param(
            of_another_type,
            "bad",
            "y",
            "holds x as float64 [2], and a.npz as float32 [2]",
            id="files with different types",
        ),
        pytest.param(
            of_another_shape,
            "bad",
            "y",
            "holds x as float32 [1], and a.npz as float32 [2]",
            id="files with different shapes",
        ),
        pytest.param(npz, "all.npz", "z", "Name one of x, y", id="labels that are not there"),
    ],
)
def test_a_fault_names_its_field_and_a_remedy(
    write: Callable[[Path], None], name: str, labels: str | None, told: str, tmp_path: Path
) -> None:
    write(tmp_path)
    with pytest.raises(InvalidSpec) as raised:
        read_samples(tmp_path / name, labels)
    assert told in str(raised.value)
    assert all(fault.path.startswith("optimization.") for fault in raised.value.faults)
    assert all(fault.remedy for fault in raised.value.faults)


def test_the_order_of_bytes_is_no_other_type(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", X)
    np.save(tmp_path / "b.npy", X.astype(">f4"))
    np.testing.assert_array_equal(read_samples(tmp_path).inputs["input"], np.concatenate([X, X]))


def test_the_parts_share_no_sample_and_follow_from_the_seed(tmp_path: Path) -> None:
    npz(tmp_path)
    samples = read_samples(tmp_path / "all.npz", "y")
    folds = split(samples, 5)
    parts = [folds.training.labels, folds.selection.labels, folds.held_out.labels]
    assert sorted(np.concatenate([part for part in parts if part is not None])) == list(Y)
    assert [len(part) for part in parts if part is not None] == [9, 6, 15]
    np.testing.assert_array_equal(split(samples, 5).held_out.labels, folds.held_out.labels)
    assert not np.array_equal(split(samples, 6).held_out.inputs["x"], folds.held_out.inputs["x"])


def test_a_batch_larger_than_the_samples_repeats_them(tmp_path: Path) -> None:
    npz(tmp_path)
    samples = read_samples(tmp_path / "all.npz", "y")
    np.testing.assert_array_equal(samples.batch(31)["x"][30], X[0])
