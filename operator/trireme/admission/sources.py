"""The ConfigMaps that models are made of: whether they are there, fit, and hold what is named.

Pure: a ConfigMap's files come in as bytes. What they say is `examine`'s.
"""

from collections.abc import Iterator, Mapping
from itertools import islice

from trireme.admission.check import MOST_OF_A_RULE
from trireme.admission.places import Owner, models, owners
from trireme.admission.rules.models import backend_fault
from trireme.admission.words import did_you_mean
from trireme.api.agent import AgentSpec
from trireme.api.models import Model
from trireme.errors import Fault
from trireme.modelrepo.backends import backend_of, chosen_file
from trireme.modelrepo.plan import plan
from trireme.modelrepo.render import config_text
from trireme.modelrepo.sources import CONFIG_MAP_LIMIT_BYTES, located_versions, served_versions

AGENT_LIMIT_BYTES = 16 * 1024 * 1024
"""What the files of an agent may sum up to that come from ConfigMaps: they are kept in memory for
as long as it runs.
"""

_USE_A_CLAIM = "Put the files on a PersistentVolumeClaim: source.uri pvc://CLAIM/FOLDER/"


class SourceNotFound(Fault):
    """A ConfigMap does not exist (yet): the one fault that may end without a change of the spec."""


def check_sources(
    spec: AgentSpec, sources: Mapping[str, Mapping[str, bytes] | None]
) -> tuple[Fault, ...]:
    """The faults of the ConfigMaps that a spec names.

    `sources` maps a name to the ConfigMap's files, None where it does not exist; a name that it
    does not hold is not checked (`trireme validate` knows only the file it is given).
    """
    of_versions = (
        fault
        for path, _, served in located_versions(spec)
        if (name := served.source.config_map) is not None and name in sources
        for fault in _map_faults(f"{path}.configMap", name, sources[name])
    )
    parts = (
        of_versions,
        _files_are_too_large(spec, sources),
        _backend_is_missing(spec, sources),
        _small_file_faults(spec, sources),
    )
    return tuple(fault for part in parts for fault in islice(part, MOST_OF_A_RULE))


def _map_faults(path: str, name: str, files: Mapping[str, bytes] | None) -> Iterator[Fault]:
    if files is None:
        yield _not_found(path, name)
    elif not files:
        yield Fault(path, name, f"ConfigMap {name} holds no files", "Add the model's files as keys")


def _not_found(path: str, name: str) -> SourceNotFound:
    return SourceNotFound(
        path,
        name,
        f"there is no ConfigMap {name} in this namespace",
        f"Create it: kubectl create configmap {name} --from-file=FOLDER",
    )


def _small_file_faults(
    spec: AgentSpec, sources: Mapping[str, Mapping[str, bytes] | None]
) -> Iterator[Fault]:
    """Of the files beside the versions, each of which is one key of a ConfigMap."""
    for path, owner in owners(spec):
        for index, file in enumerate(owner.files):
            if file.config_map not in sources:
                continue
            files = sources[file.config_map]
            if files is None:
                yield _not_found(f"{path}.files[{index}].configMap", file.config_map)
            elif file.key not in files:
                yield Fault(
                    f"{path}.files[{index}].key",
                    file.key,
                    f"ConfigMap {file.config_map} has no key {file.key}",
                    did_you_mean(file.key, files, otherwise="Its keys are"),
                )


def _backend_is_missing(
    spec: AgentSpec, sources: Mapping[str, Mapping[str, bytes] | None]
) -> Iterator[Fault]:
    """Triton knows the backend of a model that does not say it by the name of its file."""
    for path, model in models(spec):
        names = (served.source.config_map for served in served_versions(model))
        files = sorted({file for name in names if name for file in sources.get(name) or ()})
        is_said = model.platform or chosen_file(model) or backend_of(model, files)
        if files and not is_said:
            yield backend_fault(path, model.name, files)


def _files_are_too_large(
    spec: AgentSpec, sources: Mapping[str, Mapping[str, bytes] | None]
) -> Iterator[Fault]:
    """One ConfigMap holds all that is copied of a model or pipeline, of every version."""
    of_agent = 0
    for path, owner in owners(spec):
        size = 0
        for place, name, length in _lengths(spec, path, owner, sources):
            size += length
            if size > CONFIG_MAP_LIMIT_BYTES:
                what = "model" if isinstance(owner, Model) else "pipeline"
                told = f"the files of {what} {owner.name} are {_mebibytes(size)}"
                yield Fault(place, name, f"{told}, a ConfigMap holds 1 MiB", _USE_A_CLAIM)
                break
        of_agent += size
    if of_agent > AGENT_LIMIT_BYTES:
        yield too_much_for_an_agent(of_agent)


def _lengths(
    spec: AgentSpec,
    path: str,
    owner: Owner,
    sources: Mapping[str, Mapping[str, bytes] | None],
) -> Iterator[tuple[str, str, int]]:
    """Where files are named that are copied, of which ConfigMap, and how many bytes they are."""
    for place, model, served in located_versions(spec):
        if model is owner and (name := served.source.config_map) is not None:
            yield f"{place}.configMap", name, sum(map(len, (sources.get(name) or {}).values()))
    for index, file in enumerate(owner.files):
        content = (sources.get(file.config_map) or {}).get(file.key, b"")
        yield f"{path}.files[{index}].configMap", file.config_map, len(content)


def too_much_for_an_agent(size: int) -> Fault:
    """The fault of files from ConfigMaps that are too many together."""
    return Fault(
        "spec.models",
        None,
        f"the files from ConfigMaps are {_mebibytes(size)}, and those of an agent may be "
        f"{AGENT_LIMIT_BYTES // 1024**2} MiB",
        _USE_A_CLAIM,
    )


def configurations_are_too_large(spec: AgentSpec) -> Iterator[Fault]:
    """All config.pbtxt of one agent share one ConfigMap."""
    size = sum(len(config_text(config).encode()) for config in plan(spec))
    if size > CONFIG_MAP_LIMIT_BYTES:
        yield Fault(
            "spec.models",
            None,
            f"the configurations of all models are {_mebibytes(size)}, a ConfigMap holds 1 MiB",
            "Move long parameters into files, or split the agent in two",
        )


def _mebibytes(size: int) -> str:
    """To two places, rounded up so that what is over the limit never reads 1.00: 1,048,577 bytes
    are 1.01 MiB.
    """
    hundredths = -(-size * 100 // (1024 * 1024))
    return f"{hundredths // 100}.{hundredths % 100:02} MiB"
