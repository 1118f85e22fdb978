"""What the sizes of model files say of the memory and the start-up time that a pod needs. Pure."""

from collections.abc import Sequence
from datetime import timedelta

from trireme.admission.inspection.compare import Comparison
from trireme.admission.inspection.model_file import Format, Inspection
from trireme.api.scalars import format_duration, quantity_value
from trireme.api.server import Server
from trireme.autoscaler.wording import gibibytes
from trireme.errors import Fault

_HELD_WHOLE = frozenset({Format.ONNX, Format.TORCH_SCRIPT})
"""Formats whose weights, on a CPU, are in memory at least once, at the size they have in the file.

Others may be mapped and given back (OpenVINO, ONNX's external data), are text of trees, or are read
as a model.py likes.
"""

_FASTEST_READ_BYTES_PER_SECOND = 8 * 1024**3
"""More than what a local NVMe disk reads, so that what takes longer than that, does so anywhere."""


def sizes_against(server: Server, inspections: Sequence[Inspection]) -> Comparison:
    """Faults and warnings of a pod that holds all these models.

    On a CPU, a memory limit below the weights that must be held is a fault. Else, weights that
    exceed it are a warning: on a GPU they pass through the pod's memory while they are loaded (the
    TensorRT backend reads a plan whole), model after model, so that the largest counts.
    """
    limit = int(quantity_value(server.resources.memory))
    files = [each.file for each in inspections if each.file]
    held = sum(file.size_bytes for file in files if file.format in _HELD_WHOLE)
    total = sum(each.total_bytes for each in inspections)
    largest = max((each.total_bytes for each in inspections), default=0)
    faults, warnings = [], []
    if not server.gpus.count and held > limit:
        faults.append(_memory(server, held, "the models' weights are in memory at least once"))
    elif not server.gpus.count and total > limit:
        warnings.append(_memory(server, total, "the models' files may all be in memory"))
    elif server.gpus.count and largest > limit:
        warnings.append(
            _memory(server, largest, "on its way to the GPU, the largest model passes through it")
        )
    least = timedelta(seconds=total / _FASTEST_READ_BYTES_PER_SECOND)
    if least > server.startup_timeout:
        warnings.append(
            Fault(
                "spec.server.startupTimeout",
                format_duration(server.startup_timeout),
                f"reading {gibibytes(total)} of models takes longer than "
                f"{format_duration(server.startup_timeout)}, even at 8 GiB a second",
                "Raise startupTimeout: ten times that, from a network volume",
            )
        )
    return Comparison(tuple(faults), tuple(warnings))


def _memory(server: Server, needed_bytes: int, why: str) -> Fault:
    memory = server.resources.memory
    return Fault(
        "spec.server.resources.memory",
        memory,
        f"{why}: {gibibytes(needed_bytes)}, and a pod has {memory}",
        f"Set memory to more than {gibibytes(needed_bytes)}; each further instance may need as "
        "much again",
    )
