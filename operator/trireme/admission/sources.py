"""The ConfigMaps that models are made of: whether they are there, fit, and hold what is named.

Pure: a ConfigMap's files come in as bytes. What they say is `examine`'s.
"""

from collections.abc import Iterator, Mapping

from trireme.admission.places import models, owners
from trireme.admission.rules.models import backend_fault
from trireme.admission.words import did_you_mean
from trireme.api.models import Model
from trireme.api.types import AgentSpec
from trireme.errors import Fault
from trireme.modelrepo.backends import backend_of, chosen_file
from trireme.modelrepo.plan import plan
from trireme.modelrepo.render import config_text
from trireme.modelrepo.sources import CONFIG_MAP_LIMIT_BYTES, located_versions, served_versions

_USE_A_CLAIM = "Put the files on a PersistentVolumeClaim: source.uri pvc://CLAIM/FOLDER/"


class SourceNotFound(Fault):
    """A ConfigMap does not exist (yet): the one fault that may end without a change of the spec."""


def check_sources(
    spec: AgentSpec, sources: Mapping[str, Mapping[str, bytes] | None]
) -> tuple[Fault, ...]:
    """Every fault of the ConfigMaps that a spec names.

    `sources` maps a name to the ConfigMap's files, None where it does not exist; a name that it
    does not hold is not checked (`trireme validate` knows only the file it is given).
    """
    of_versions = (
        fault
        for path, model, served in located_versions(spec)
        if (name := served.source.config_map) is not None and name in sources
        for fault in _model_faults(f"{path}.configMap", model, name, sources[name])
    )
    return (*of_versions, *_backend_is_missing(spec, sources), *_small_file_faults(spec, sources))


def _model_faults(
    path: str, model: Model, name: str, files: Mapping[str, bytes] | None
) -> Iterator[Fault]:
    if files is None:
        yield _not_found(path, name)
    elif not files:
        yield Fault(path, name, f"ConfigMap {name} holds no files", "Add the model's files as keys")
    else:
        yield from _files_are_too_large(path, model, name, files)


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
    path: str, model: Model, name: str, files: Mapping[str, bytes]
) -> Iterator[Fault]:
    size = sum(map(len, files.values()))
    if size > CONFIG_MAP_LIMIT_BYTES:
        yield Fault(
            path,
            name,
            f"the files of model {model.name} are {_mebibytes(size)}, a ConfigMap holds 1 MiB",
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
