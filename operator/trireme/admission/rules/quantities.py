"""Every quantity of a spec with the bounds it must keep, as one table. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from trireme.api.agent import AgentSpec
from trireme.api.scalars import quantity_value
from trireme.errors import Fault


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is measured: the least and the most that is ever meant, and how it is written."""

    least: str
    most: str
    remedy: str


_CPU = _Kind("1m", "1024", "Write cores, such as 4, or thousandths of one, such as 500m")
_FILE = _Kind("1Ki", "64Ti", "Write bytes with a unit, such as 512Ki or 50Mi; m is a thousandth")
_MEMORY = _Kind("1Mi", "64Ti", "Write bytes with a unit, such as 512Mi or 16Gi; m is a thousandth")


def _bounded(spec: AgentSpec) -> Iterator[tuple[str, str, _Kind]]:
    server, gateway = spec.server.resources, spec.gateway.resources
    yield "spec.server.resources.cpu", server.cpu, _CPU
    yield "spec.server.resources.memory", server.memory, _MEMORY
    yield "spec.server.resources.sharedMemory", server.shared_memory, _MEMORY
    yield "spec.server.resources.responseCache", server.response_cache, _MEMORY
    download = spec.download
    yield "spec.download.cpu", download.cpu, _CPU
    yield "spec.download.memory", download.memory, _MEMORY
    if download.storage is not None:
        yield "spec.download.storage", download.storage, _MEMORY
    if download.cache is not None:
        yield "spec.download.cache.size", download.cache.size, _MEMORY
    if (optimization := spec.optimization) is not None:
        of_job, path = optimization.resources, "spec.optimization.resources"
        yield f"{path}.cpu", of_job.cpu, _CPU
        yield f"{path}.memory", of_job.memory, _MEMORY
        yield f"{path}.storage", of_job.storage, _MEMORY
        for index, asked in enumerate(optimization.models):
            if asked.target.size is not None:
                yield f"spec.optimization.models[{index}].target.size", asked.target.size, _FILE
    yield "spec.gateway.resources.cpu", gateway.cpu, _CPU
    yield "spec.gateway.resources.memory", gateway.memory, _MEMORY
    limits = spec.tuning.limits
    if limits.instance_memory is not None:
        yield "spec.tuning.limits.instanceMemory", limits.instance_memory, _MEMORY
    if limits.memory is not None:
        yield "spec.tuning.limits.memory", limits.memory, _MEMORY


def quantity_is_out_of_bounds(spec: AgentSpec) -> Iterator[Fault]:
    """Mostly a wrong unit: 400m of memory is less than a byte, and 1Gi of CPU a billion cores."""
    for path, text, kind in _bounded(spec):
        if not quantity_value(kind.least) <= quantity_value(text) <= quantity_value(kind.most):
            yield Fault(path, text, f"{text} is not from {kind.least} to {kind.most}", kind.remedy)
