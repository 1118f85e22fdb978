"""Sample inputs and their labels, from files: .npz, .npy, Parquet, or a directory of the first two.

Every array's first dimension counts the samples. Nothing is unpickled.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trireme.errors import Fault, InvalidSpec

Array = npt.NDArray[np.generic]
Arrays = Mapping[str, Array]

LEAST = 20
"""Fewer samples are refused: no split of them says anything of a model."""

_TRAINING, _SELECTION = 0.3, 0.2  # the rest, half of all, is what the gate judges by
_SINGLE = "input"  # the name of an array in a .npy file, which has none


@dataclass(frozen=True, slots=True)
class Samples:
    """Inputs by name, and the labels if there are any; as many of each."""

    inputs: Arrays
    labels: Array | None = None

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def take(self, chosen: npt.NDArray[np.int64] | slice) -> "Samples":
        """Some of the samples."""
        labels = None if self.labels is None else self.labels[chosen]
        return Samples({name: array[chosen] for name, array in self.inputs.items()}, labels)

    def batch(self, size: int) -> Arrays:
        """A batch of a size, of the first samples, over and over where there are fewer."""
        chosen = np.arange(size) % len(self)
        return {name: array[chosen] for name, array in self.inputs.items()}


@dataclass(frozen=True, slots=True)
class Folds:
    """Samples in three parts that share none: what techniques learn by, what candidates are chosen
    by, and what the gate judges by, which nothing before it has seen.
    """

    training: Samples
    selection: Samples
    held_out: Samples


def split(samples: Samples, seed: int) -> Folds:
    """Deal the samples out by a seed."""
    order = np.random.default_rng(seed).permutation(len(samples))
    first = round(_TRAINING * len(samples))
    second = first + round(_SELECTION * len(samples))
    return Folds(
        samples.take(order[:first]),
        samples.take(order[first:second]),
        samples.take(order[second:]),
    )


# --------------------------------------------------------------------------------------- reading


def read_samples(place: Path, labels: str | None = None) -> Samples:
    """The samples in a file or a directory.

    `labels` is the name of an array or column in there, or else a file of its own. Raises
    InvalidSpec, with every fault that can be told at once.
    """
    inputs = dict(_read("samples", place))
    found = None
    if labels is not None:
        found = inputs.pop(labels) if labels in inputs else _labels(labels, inputs)
    counts = {name: len(array) for name, array in inputs.items()}
    if found is not None:
        counts["labels"] = len(found)
    _check(place, inputs, counts)
    return Samples(inputs, found)


def _labels(labels: str, inputs: Arrays) -> Array:
    place = Path(labels)
    if not place.exists():
        raise _invalid(
            "labels",
            labels,
            "is neither an array of the samples nor a file",
            f"Name one of {', '.join(inputs)}, or a .npy or .npz file",
        )
    arrays = _read("labels", place)
    if len(arrays) != 1:
        raise _invalid(
            "labels", labels, f"holds {len(arrays)} arrays", "Give a file that holds one"
        )
    return next(iter(arrays.values()))


def _check(place: Path, inputs: Arrays, counts: Mapping[str, int]) -> None:
    faults = []
    if not inputs:
        faults.append(_fault("samples", str(place), "holds no inputs", "Add an array for each"))
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        faults.append(
            _fault(
                "samples",
                str(place),
                f"holds arrays of different lengths: {told}",
                "Make the first dimension of all the number of samples",
            )
        )
    elif counts and min(counts.values()) < LEAST:
        faults.append(
            _fault(
                "samples",
                str(place),
                f"holds {min(counts.values())} samples",
                f"Give {LEAST} or more; a gate needs some hundreds",
            )
        )
    for name, array in inputs.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            faults.append(
                _fault(f"samples.{name}", None, "holds NaN or infinity", "Leave these samples out")
            )
    if faults:
        raise InvalidSpec(faults)


def _read(field: str, place: Path) -> Arrays:
    if not place.exists():
        raise _invalid(field, str(place), "does not exist", "Give a file or a directory")
    if place.is_dir():
        return _directory(field, place)
    match place.suffix:
        case ".npz" | ".npy":
            return _numpy(field, place)
        case ".parquet":
            return _parquet(field, place)
        case _:
            raise _invalid(
                field,
                str(place),
                "is of no known kind",
                "Give .npz, .npy, .parquet, or a directory of the first two",
            )


def _directory(field: str, place: Path) -> Arrays:
    """The files of a directory one after another, in the order of their names."""
    files = sorted(file for file in place.iterdir() if file.suffix in (".npz", ".npy"))
    if not files:
        raise _invalid(field, str(place), "holds no .npz or .npy file", "Put the samples there")
    parts = [_numpy(field, file) for file in files]
    for file, part in zip(files, parts, strict=True):
        if part.keys() != parts[0].keys():
            raise _invalid(
                field,
                str(file),
                f"holds {', '.join(part)}, and {files[0].name} holds {', '.join(parts[0])}",
                "Write the same arrays into every file",
            )
    try:
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    except ValueError as error:
        raise _invalid(
            field, str(place), f"its files do not fit together: {error}", "Make shapes equal"
        ) from error


def _numpy(field: str, file: Path) -> Arrays:
    try:
        with file.open("rb") as opened:  # numpy leaves it open where it fails
            loaded = np.load(opened, allow_pickle=False)
            arrays = {_SINGLE: loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
        if not all(isinstance(array, np.ndarray) for array in arrays.values()):
            raise ValueError("it has members that are no arrays")
    except Exception as error:  # of a broken header or member numpy raises what it meets
        raise _invalid(
            field,
            str(file),
            f"cannot be read: {error}",
            "Write it by numpy.savez, without arrays of objects",
        ) from error
    if any(array.ndim == 0 for array in arrays.values()):
        raise _invalid(field, str(file), "holds a single number", "Make one row for each sample")
    return arrays


def _parquet(field: str, file: Path) -> Arrays:
    """Columns are arrays: numbers, or lists of numbers that are equally long in every row."""
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(file)
    except (pyarrow.ArrowException, OSError) as error:
        raise _invalid(
            field, str(file), f"cannot be read: {error}", "Write it as Parquet anew"
        ) from error
    arrays = {}
    for name in table.column_names:
        try:
            arrays[name] = np.asarray(_rows(table.column(name).to_pylist()))
        except ValueError as error:
            raise _invalid(
                f"{field}.{name}",
                None,
                f"is no column of numbers or of equally long lists: {error}",
                "Leave it out, or make its rows alike",
            ) from error
    return arrays


def _rows(values: Iterable[object]) -> Array:
    rows: Array = np.array(list(values))
    if rows.dtype.kind not in "biuf":
        raise ValueError(f"its rows are {rows.dtype}")
    return rows.astype(np.float32) if rows.dtype == np.float64 else rows


def _fault(field: str, value: object, message: str, remedy: str) -> Fault:
    return Fault(f"optimization.{field}", value, message, remedy)


def _invalid(field: str, value: object, message: str, remedy: str) -> InvalidSpec:
    return InvalidSpec([_fault(field, value, message, remedy)])
