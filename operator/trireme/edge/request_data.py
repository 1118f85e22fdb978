"""What requests to a model hold: the user's own samples from a file, or random tensors in the
shapes that its configuration says.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient.utils import triton_to_np_dtype

from trireme.edge.request_load import Tensors
from trireme.errors import InvalidSamples
from trireme.modelrepo.proto import ModelConfig
from trireme.modelrepo.proto import model_config_pb2 as pb

RANDOM = 16  # requests that are drawn, and then sent in turn
_MOST = 1000  # samples of a file that are used
_STRING = "BYTES"


def drawn(config: ModelConfig, sizes: Mapping[str, tuple[int, ...]], seed: int) -> list[Tensors]:
    """Random requests of one row each. `sizes` are an input's own, for those that vary."""
    draw = np.random.default_rng(seed)
    return [
        {
            each.name: (_kind(each), _drawn(_kind(each), _shape(config, each, sizes), draw))
            for each in _required(config)
        }
        for _ in range(RANDOM)
    ]


def _drawn(kind: str, shape: tuple[int, ...], draw: np.random.Generator) -> NDArray[np.generic]:
    """Normal numbers, small whole ones from 0 to 9, which indices may be, or their digits."""
    if kind == _STRING:
        return draw.integers(0, 10, shape).astype("S").astype(np.object_)
    as_numpy = _numpy(kind)
    if np.issubdtype(as_numpy, np.floating):
        return draw.standard_normal(shape).astype(as_numpy)
    return draw.integers(0, 10, shape).astype(as_numpy)


def _shape(
    config: ModelConfig, tensor: pb.ModelInput, sizes: Mapping[str, tuple[int, ...]]
) -> tuple[int, ...]:
    dims = tuple(tensor.dims)
    told = sizes.get(tensor.name)
    if told is not None and not _fits(dims, told):
        raise InvalidSamples(f"--shape {tensor.name}: {told} is not of the model's {list(dims)}")
    shape = told or tuple(max(1, size) for size in dims)
    return (1, *shape) if config.max_batch_size else shape


def read(path: Path, config: ModelConfig) -> list[Tensors]:
    """The samples of a file, one a request: arrays by input of an .npz, whose first dimension
    counts the samples, or a list of objects by input of a .json.

    Raises InvalidSamples.
    """
    try:
        if path.suffix == ".npz":
            samples = _of_arrays(path)
        elif path.suffix == ".json":
            samples = _of_objects(json.loads(path.read_text()))
        else:
            raise InvalidSamples(f"{path}: give an .npz or a .json file")
        rows = [
            _row(config, dict(sample)) for _, sample in zip(range(_MOST), samples, strict=False)
        ]
    except (OSError, ValueError, TypeError) as error:
        raise InvalidSamples(f"{path}: {error}") from error
    if not rows:
        raise InvalidSamples(f"{path}: there is no sample in it")
    return rows


def _of_arrays(path: Path) -> Iterator[dict[str, Any]]:
    with np.load(path, allow_pickle=False) as arrays:  # a pickle would be code
        by_name = {name: arrays[name] for name in arrays.files}
    counts = {len(array) for array in by_name.values()}
    if len(counts) > 1:
        raise InvalidSamples(f"{path}: the arrays hold different numbers of samples: {counts}")
    for number in range(counts.pop() if counts else 0):
        yield {name: array[number] for name, array in by_name.items()}


def _of_objects(read: Any) -> Iterator[dict[str, Any]]:
    listed = read.get("data") if isinstance(read, dict) else read
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise ValueError('a list of objects is expected, such as [{"x": [1, 2]}]')
    yield from listed


def _row(config: ModelConfig, sample: dict[str, Any]) -> Tensors:
    known = {each.name: each for each in config.input}
    required = {each.name for each in _required(config)}
    if missing := required - sample.keys():
        raise ValueError(f"input {sorted(missing)[0]} is missing")
    if unknown := sample.keys() - known.keys():
        raise ValueError(f"the model has no input {sorted(unknown)[0]}: it has {sorted(known)}")
    return {name: _tensor(config, known[name], value) for name, value in sample.items()}


def _tensor(config: ModelConfig, known: pb.ModelInput, value: Any) -> tuple[str, NDArray[Any]]:
    kind, dims = _kind(known), tuple(known.dims)
    if kind == _STRING:
        text = np.array(value, np.object_)
        flat: list[Any] = text.ravel().tolist()
        encoded = [each.encode() if isinstance(each, str) else each for each in flat]
        array = np.array(encoded, np.object_).reshape(text.shape)
    else:
        array = np.asarray(value).astype(_numpy(kind))
    if not _fits(dims, array.shape) and -1 not in dims:
        array = array.reshape(dims)  # JSON may list it flat
    if not _fits(dims, array.shape):
        raise ValueError(f"{known.name}: shape {list(array.shape)} is not of {list(dims)}")
    return kind, array[None] if config.max_batch_size else array


def _fits(dims: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    return len(dims) == len(shape) and all(
        said in (-1, size) for said, size in zip(dims, shape, strict=True)
    )


def _required(config: ModelConfig) -> list[pb.ModelInput]:
    return [each for each in config.input if not each.optional]


def _kind(tensor: pb.ModelInput) -> str:
    kind = pb.DataType.Name(tensor.data_type).removeprefix("TYPE_")
    return _STRING if kind == "STRING" else kind


def _numpy(kind: str) -> Any:
    found = triton_to_np_dtype(kind)
    if found is None or kind == "BF16":
        raise InvalidSamples(f"an input of type {kind} cannot be made here: give a file")
    return found
