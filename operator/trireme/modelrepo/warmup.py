"""A model's warm-up requests: which say little, and become complete by the model's inputs. Pure."""

from collections.abc import Sequence

from trireme.api.tensors import DataType, ModelInput
from trireme.api.warmup import Warmup, WarmupData, WarmupInput
from trireme.modelrepo.fields import DATA_TYPE
from trireme.modelrepo.proto import model_config_pb2 as pb


def warmup_request(index: int, entry: Warmup, inputs: Sequence[ModelInput]) -> pb.ModelWarmup:
    """The request of one entry: every input that requests must hold, and what it names itself."""
    own = {tensor.name: tensor for tensor in inputs}
    named = [tensor.name for tensor in inputs if not tensor.optional or tensor.name in entry.inputs]
    further = [name for name in entry.inputs if name not in own]
    return pb.ModelWarmup(
        name=entry.name or f"warmup-{index}",
        batch_size=entry.batch_size,
        count=entry.count or 0,
        inputs={
            name: _input(entry, entry.inputs.get(name, WarmupInput()), own.get(name))
            for name in (*named, *further)
        },
    )


def read_warmup(
    index: int, request: pb.ModelWarmup, inputs: Sequence[ModelInput]
) -> dict[str, object]:
    """The shortest values of an entry that becomes this request, for a model with these inputs."""
    own = {tensor.name: tensor for tensor in inputs}
    special = {
        name: _shortest(_read_input(each), own.get(name), each)
        for name, each in sorted(request.inputs.items())
    }
    return {
        "name": request.name if request.name not in ("", f"warmup-{index}") else None,
        "batch_size": request.batch_size,
        "count": request.count or None,
        "inputs": {
            name: each
            for name, each in special.items()
            if each != WarmupInput() or name not in own or own[name].optional
        },
    }


def _input(entry: Warmup, special: WarmupInput, own: ModelInput | None) -> pb.ModelWarmup.Input:
    """Zero or random values, or a file's; text can only be zero (empty)."""
    data_type = special.data_type or (own.data_type if own else None)
    variable = own.dims if own else []
    request = pb.ModelWarmup.Input(
        data_type=DATA_TYPE.to_proto(data_type) if data_type else pb.TYPE_INVALID,
        dims=special.dims if special.dims is not None else [max(1, size) for size in variable],
    )
    data = special.data or entry.data
    if special.file is not None:
        request.input_data_file = special.file
    elif data is WarmupData.RANDOM and (special.data or data_type is not DataType.STRING):
        request.random_data = True
    else:
        request.zero_data = True
    return request


def _read_input(request: pb.ModelWarmup.Input) -> WarmupInput:
    data = WarmupData.RANDOM if request.HasField("random_data") else WarmupData.ZERO
    is_file = request.HasField("input_data_file")
    return WarmupInput(
        data_type=DATA_TYPE.from_proto(request.data_type),
        dims=list(request.dims),
        data=None if is_file else data,
        file=request.input_data_file if is_file else None,
    )


def _shortest(
    special: WarmupInput, own: ModelInput | None, request: pb.ModelWarmup.Input
) -> WarmupInput:
    """Without what goes without saying: what may be left out and still becomes the same request."""
    for field in ("data_type", "dims", "data"):
        without = special.model_copy(update={field: None})
        if _input(Warmup(), without, own) == request:
            special = without
    return special
