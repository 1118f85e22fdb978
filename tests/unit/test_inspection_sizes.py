"""What is said of a pod's memory and start-up time by the sizes of its models' files."""

import pytest

from trireme.admission.inspection.model_file import Format, Inspection, ModelFile
from trireme.admission.inspection.sizes import sizes_against
from trireme.api.server import Server

GIB = 1024**3


def server(memory: str, gpus: int = 0, startup: str = "10m") -> Server:
    return Server.model_validate(
        {
            "image": "tritonserver:26.08-py3",
            "gpus": {"count": gpus},
            "resources": {"memory": memory},
            "startupTimeout": startup,
        }
    )


def inspection(size: int, kind: Format = Format.ONNX) -> Inspection:
    file = ModelFile(name="model", format=kind, size_bytes=size)
    return Inspection(file=file, total_bytes=size)


@pytest.mark.parametrize(
    ("pod", "sizes", "kind", "faults", "warnings"),
    [
        pytest.param(server("4Gi"), [GIB, GIB], Format.ONNX, 0, 0, id="fits"),
        pytest.param(server("1Gi"), [GIB, GIB], Format.ONNX, 1, 0, id="too little on a CPU"),
        pytest.param(server("1Gi"), [GIB, GIB], Format.OPENVINO, 0, 1, id="may be mapped"),
        pytest.param(server("1Gi", 1), [GIB, GIB], Format.ONNX, 0, 0, id="one after another"),
        pytest.param(server("1Gi", 1), [2 * GIB], Format.TENSORRT, 0, 1, id="on its way to a GPU"),
        pytest.param(server("1Ti", 1, "1s"), [9 * GIB], Format.ONNX, 0, 1, id="too short a start"),
        pytest.param(server("1Gi"), [], Format.ONNX, 0, 0, id="nothing"),
    ],
)
def test_sizes_are_held_against_the_pod(
    pod: Server, sizes: list[int], kind: Format, faults: int, warnings: int
) -> None:
    result = sizes_against(pod, [inspection(size, kind) for size in sizes])
    assert (len(result.faults), len(result.warnings)) == (faults, warnings)


def test_the_fault_says_how_much_is_needed() -> None:
    (fault,) = sizes_against(server("2Gi"), [inspection(2 * GIB + 1)]).faults
    assert str(fault) == (
        "spec.server.resources.memory: the models' weights are in memory at least once: 2.01 GiB, "
        "and a pod has 2Gi. Set memory to more than 2.01 GiB; each further instance may need as "
        "much again"
    )
