"""Samples from files: .npz, .npy, Parquet, recorded requests, or a directory of any but Parquet.

Every array's first dimension counts the samples. Nothing is unpickled.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from trireme.errors import Fault, InvalidSpec
from trireme.optimizer.recorded import Unusable, read_requests
from trireme.optimizer.samples import Array, Arrays, Samples, sort_of

LEAST = 20
"""Fewer samples are refused: no split of them says anything of a model."""

_SINGLE = "input"  # the name of an array in a .npy file, which has none
_ARRAYS, _REQUESTS = (".npz", ".npy"), (".jsonl", ".json")
_KNOWN = ".npz, .npy, .jsonl or .json"


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
    if place.suffix in _ARRAYS:
        return _numpy(field, place)
    if place.suffix in _REQUESTS:
        return _recorded(field, [place])
    if place.suffix == ".parquet":
        return _parquet(field, place)
    raise _invalid(
        field,
        str(place),
        "is of no known kind",
        f"Give {_KNOWN}, .parquet, or a directory of any but the last",
    )


def _directory(field: str, place: Path) -> Arrays:
    """The files of a directory one after another, in the order of their names; those that hold
    nothing, as loggers' files of answers alone, are left out. Beside arrays JSON is no samples, but
    what is said of them.
    """
    files = sorted(place.iterdir())
    if arrays := [file for file in files if file.suffix in _ARRAYS]:
        return _together(field, {file: part for file in arrays if (part := _numpy(field, file))})
    if requests := [file for file in files if file.suffix in _REQUESTS]:
        return _recorded(field, requests)
    raise _invalid(field, str(place), f"holds no {_KNOWN} file", "Put the samples there")


def _together(field: str, parts: Mapping[Path, Arrays]) -> Arrays:
    """The arrays of several files, which must be of one type and shape."""
    if not parts:
        return {}
    first, arrays = next(iter(parts.items()))
    for file, part in parts.items():
        if part.keys() != arrays.keys():
            raise _invalid(
                field,
                str(file),
                f"holds {', '.join(part)}, and {first.name} holds {', '.join(arrays)}",
                "Write the same arrays into every file",
            )
        differ = [name for name in arrays if sort_of(part[name]) != sort_of(arrays[name])]
        if differ:
            raise InvalidSpec(
                [
                    _fault(
                        field,
                        str(file),
                        f"holds {name} as {sort_of(part[name])}, and {first.name} as "
                        f"{sort_of(arrays[name])}",
                        "Write an array by the same type and shape into every file",
                    )
                    for name in differ
                ]
            )
    return {name: np.concatenate([part[name] for part in parts.values()]) for name in arrays}


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


def _recorded(field: str, files: Sequence[Path]) -> Arrays:
    try:
        return read_requests(files)
    except Unusable as error:
        raise _invalid(field, str(error.file), error.message, error.remedy) from error


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
