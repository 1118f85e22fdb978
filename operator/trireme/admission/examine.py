"""A spec as it will be served: judged together with its files, and completed from them.

Pure: a ConfigMap's files come in as bytes, and what was read of files elsewhere as inspections;
nothing of them is executed.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from trireme.admission.check import MOST_OF_A_RULE, check, in_each_class, warnings
from trireme.admission.inspection.compare import Comparison, compare
from trireme.admission.inspection.complete import complete
from trireme.admission.inspection.directory import inspect
from trireme.admission.inspection.model_file import Inspection
from trireme.admission.inspection.reader import BytesReader, Reader
from trireme.admission.inspection.sizes import sizes_against
from trireme.admission.inspection.tensors import sides
from trireme.admission.sources import check_sources, configurations_are_too_large
from trireme.api.agent import AgentSpec
from trireme.api.models import Model
from trireme.api.releases import release_of
from trireme.api.sources import Source
from trireme.errors import Fault
from trireme.modelrepo.backends import backend_of, loaded_files
from trireme.modelrepo.sources import located_versions, served_versions

Inspections = Mapping[tuple[str, int], Inspection]
"""What was read of models' files, by model and version."""

_FILE_BY_CAPABILITY = "cc_model_filenames"  # of the GPU that Triton finds, unknown here


@dataclass(frozen=True, slots=True)
class Examined:
    """`spec` is what is served: the user's, with the inputs and outputs that it leaves out as the
    files have them. With any of the faults it is not rolled out; warnings are hardly meant.
    `inspections` is what was read of the files, the ConfigMaps' and those that came in.
    """

    spec: AgentSpec
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]
    inspections: Inspections = field(default_factory=dict)


def examine(
    spec: AgentSpec,
    sources: Mapping[str, Mapping[str, bytes] | None],
    inspections: Inspections | None = None,
) -> Examined:
    """All that can be told of a spec before a pod starts.

    `sources` maps the name of a ConfigMap to its files, None where it does not exist; a name that
    it does not hold is not looked into (`trireme validate` knows only the file it is given). The
    same holds for versions that `inspections` does not know. A file that says little is no fault:
    what it leaves out is left to Triton. The size of the configurations is only known of a spec
    that has no other fault.
    """
    known = {**_of_config_maps(spec, sources), **(inspections or {})}
    completed, unsaid = _completed(spec, known)
    compared = list(_compared(spec, known))
    newest = [each for _, each in _newest(spec, known)]

    def sizes(of_class: AgentSpec) -> Comparison:
        return sizes_against(of_class.server, newest)

    faults = (
        *check(completed),
        *check_sources(spec, sources),
        *(fault for one in compared for fault in one.faults),
        *in_each_class(spec, lambda of_class: sizes(of_class).faults),
    )
    warned = (
        *warnings(completed),
        *(warning for one in compared for warning in one.warnings),
        *unsaid,
        *in_each_class(spec, lambda of_class: sizes(of_class).warnings),
    )
    faults = faults or tuple(configurations_are_too_large(completed))
    return Examined(completed, faults, warned, known)


def inspect_version(model: Model, files: Mapping[str, Reader]) -> Inspection:
    """What the files of one version directory say, by their paths in it."""
    backend, wanted, by_capability = _wanted(model, files)
    if by_capability:
        total = sum(reader.size for reader in files.values())
        why = f"which file is loaded depends on the GPU: {_FILE_BY_CAPABILITY}"
        return Inspection(total_bytes=total, not_inspected=why)
    return inspect(files, backend, wanted[0] if len(wanted) == 1 else None)


def _wanted(model: Model, files: Iterable[str]) -> tuple[str, tuple[str, ...], bool]:
    """What of a model decides how its files are read: the backend, the names of what that loads,
    and whether only the GPU tells which.
    """
    names = tuple(files)
    by_capability = _FILE_BY_CAPABILITY in model.config
    return backend_of(model, names), loaded_files(model, names), by_capability


def _of_config_maps(
    spec: AgentSpec, sources: Mapping[str, Mapping[str, bytes] | None]
) -> dict[tuple[str, int], Inspection]:
    found = {}
    known: dict[tuple[object, ...], Inspection] = {}
    for _, model, served in located_versions(spec):
        source = served.source.config_map or ""
        files = sources.get(source)
        if files:
            # Of one ConfigMap once, however many models and versions name it.
            asked = (source, *_wanted(model, files))
            if asked not in known:
                readers = {name: BytesReader(content) for name, content in files.items()}
                known[asked] = inspect_version(model, readers)
            found[model.name, served.version] = known[asked]
    return found


def _newest(spec: AgentSpec, known: Inspections) -> Iterator[tuple[int, Inspection]]:
    """The highest version of each model, which is loaded whatever the version policy, as far as it
    is known; with the model's place.
    """
    for index, model in enumerate(spec.models):
        highest = max((served.version for served in served_versions(model)), default=0)
        if (model.name, highest) in known:
            yield index, known[model.name, highest]


def _completed(spec: AgentSpec, known: Inspections) -> tuple[AgentSpec, list[Fault]]:
    """The spec with what the files say, and what they say and no spec can."""
    models, unsaid = list(spec.models), []
    for index, inspection in _newest(spec, known):
        model, file = _with_backend(spec.models[index], inspection), inspection.file
        if file is None:
            continue
        path = f"spec.models[{index}]"
        filled = complete(model, file, path)
        tensors = {"inputs": list(filled.inputs), "outputs": list(filled.outputs)}
        models[index] = spec.models[index].model_copy(update=tensors)
        said = {f"{path}.{side.field}" for side in sides(model, file) if side.found}
        unsaid += [fault for fault in filled.faults if fault.path in said]
    return spec.model_copy(update={"models": models}), unsaid


def _compared(spec: AgentSpec, known: Inspections) -> Iterator[Comparison]:
    """Each version; no more of them once there are so many faults that nobody reads the rest."""
    release, told = release_of(spec.server), 0
    for source_path, model, served in located_versions(spec):
        inspection = known.get((model.name, served.version))
        if inspection is None or told >= MOST_OF_A_RULE:
            continue
        path = source_path.partition("]")[0] + "]"
        found = compare(_with_backend(model, inspection), inspection, path, release)
        told += len(found.faults)
        place = f"{source_path}.{_field(served.source)}"
        yield Comparison(
            tuple(_placed(fault, path, place) for fault in found.faults),
            tuple(_placed(warning, path, place) for warning in found.warnings),
        )


def _with_backend(model: Model, inspection: Inspection) -> Model:
    """The model with the backend that Triton takes for it, where the spec leaves it out."""
    names = [inspection.file.name] if inspection.file else []
    return model.model_copy(update={"backend": backend_of(model, names)})


def _placed(fault: Fault, path: str, place: str) -> Fault:
    """What is wrong with the files themselves, at the very source that they come from."""
    return replace(fault, path=place) if fault.path == f"{path}.source" else fault


def _field(source: Source) -> str:
    return "configMap" if source.config_map else "image" if source.image else "uri"
