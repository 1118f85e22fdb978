"""The result as a model of an AgentDeployment: its complete configuration, and its files.

Three backends can serve an ONNX file: onnxruntime, onnxruntime with TensorRT on GPUs, and the
Python backend by a generated model.py, where a server has no other. The pytorch backend serves
TorchScript and compiled archives.
"""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import numpy as np
import onnx

from trireme.api.acceleration import Acceleration, Accelerator
from trireme.api.batching import Batching, DynamicBatching
from trireme.api.fields import Dimension
from trireme.api.instances import InstanceGroup, InstanceKind
from trireme.api.models import Model
from trireme.api.sources import Source
from trireme.api.tensors import DataType, ModelInput, ModelOutput
from trireme.api.warmup import Warmup
from trireme.modelrepo.plan import model_config
from trireme.modelrepo.render import config_text
from trireme.optimizer.forms import Artefact, Signature, TensorSpec
from trireme.optimizer.wishes import Backend

_DATA_TYPES = {
    "bool": DataType.BOOL,
    "uint8": DataType.UINT8,
    "uint16": DataType.UINT16,
    "uint32": DataType.UINT32,
    "uint64": DataType.UINT64,
    "int8": DataType.INT8,
    "int16": DataType.INT16,
    "int32": DataType.INT32,
    "int64": DataType.INT64,
    "float16": DataType.FP16,
    "float32": DataType.FP32,
    "float64": DataType.FP64,
}
_OF_CPUS = ("DynamicQuantizeLinear", "MatMulInteger", "ConvInteger", "QLinearConv", "QLinearMatMul")
GENERATED = Path(__file__).with_name("served_model.py")


def model_of(
    name: str,
    artefact: Artefact,
    signature: Signature,
    backend: Backend,
    max_batch: int,
    threads: int,
    uri: str,
) -> Model:
    """The model as it is written into a spec."""
    is_torch = backend is Backend.PYTORCH
    return Model(
        name=name,
        source=Source(uri=uri),
        backend="" if artefact.file == "model.pt2" else backend.value,
        platform="torch_aoti" if artefact.file == "model.pt2" else "",
        max_batch_size=max_batch,
        inputs=[
            ModelInput(name=f"{each.name}__{number}" if is_torch else each.name, **_tensor(each))
            for number, each in enumerate(signature.inputs)
        ],
        outputs=[
            ModelOutput(name=f"OUTPUT__{number}" if is_torch else each.name, **_tensor(each))
            for number, each in enumerate(signature.outputs)
        ],
        batching=Batching(dynamic=DynamicBatching(max_queue_delay=timedelta(0))),
        instances=[InstanceGroup(kind=InstanceKind.CPU, count=1)],
        warmup=[Warmup(batch_size=size) for size in sorted({1, max_batch})],
        parameters=_parameters(backend, threads),
    )


def on_tensorrt(model: Model) -> Model:
    """The same on GPUs, by onnxruntime with TensorRT in half precision."""
    return model.model_copy(
        update={
            "backend": Backend.ONNXRUNTIME.value,
            "instances": [InstanceGroup(kind=InstanceKind.GPU, count=1)],
            "parameters": {},
            "acceleration": Acceleration(
                gpu=[Accelerator(name="tensorrt", parameters={"precision_mode": "FP16"})]
            ),
        }
    )


def suits_tensorrt(content: bytes) -> bool:
    """Whether TensorRT can take an ONNX graph: it knows ONNX' own operators alone, and of integer
    arithmetic only what is written as QuantizeLinear with signed bytes.
    """
    graph = onnx.load_from_string(content).graph
    unsigned = {each.name for each in graph.initializer if each.data_type == onnx.TensorProto.UINT8}
    return not any(
        node.domain not in ("", "ai.onnx")
        or node.op_type in _OF_CPUS
        or (node.op_type in ("QuantizeLinear", "DequantizeLinear") and unsigned & set(node.input))
        for node in graph.node
    )


def files_of(artefact: Artefact, backend: Backend) -> Mapping[str, bytes]:
    """The files of the version directory."""
    files = {artefact.file: artefact.content}
    if backend is Backend.PYTHON:
        files["model.py"] = GENERATED.read_bytes()
    return files


def config_of(model: Model) -> str:
    """Its config.pbtxt."""
    return config_text(model_config(model))


def _tensor(spec: TensorSpec) -> dict[str, DataType | list[Dimension] | None]:
    """Triton has no shape without dimensions: one number a request is [1], reshaped to nothing."""
    dims = [int(size) for size in spec.dims]
    return {
        "data_type": _DATA_TYPES[np.dtype(spec.data_type).name],
        "dims": dims or [1],
        "reshape": None if dims else [],
    }


def _parameters(backend: Backend, threads: int) -> dict[str, str]:
    """As the backends spell their threads; each instance has so many."""
    match backend:
        case Backend.ONNXRUNTIME:
            return {"intra_op_thread_count": str(threads), "inter_op_thread_count": "1"}
        case Backend.PYTHON:
            return {"threads": str(threads)}
        case Backend.PYTORCH:
            return {"INTRA_OP_THREAD_COUNT": str(threads), "INTER_OP_THREAD_COUNT": "1"}
