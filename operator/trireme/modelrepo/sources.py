"""Where the files of a spec's models come from, read out of it. Pure."""

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from trireme.api.agent import AgentSpec
from trireme.api.models import Model
from trireme.api.pipelines import Pipeline
from trireme.api.sources import ModelVersion, Source
from trireme.modelrepo.repository import ClaimFolder, Fetched, ImageFolder, Mounted

SourceFiles = Mapping[str, bytes]
"""A ConfigMap's files: key to content."""

CONFIG_MAP_LIMIT_BYTES = 1024 * 1024
"""What the API server lets the data of one ConfigMap sum up to (MaxSecretSize in Kubernetes)."""

_CLAIM = "pvc://"


def source_files(config_map: Mapping[str, Any]) -> SourceFiles:
    """The files of a ConfigMap manifest, from `data` (text) and `binaryData` (base64)."""
    text = {key: value.encode() for key, value in (config_map.get("data") or {}).items()}
    binary = {
        key: base64.b64decode(value) for key, value in (config_map.get("binaryData") or {}).items()
    }
    return {**text, **binary}


def served_versions(model: Model) -> tuple[ModelVersion, ...]:
    """Every version of a model with its source, whichever way the spec says it."""
    if model.source is None:
        return tuple(model.versions)
    return (ModelVersion(version=model.version, source=model.source),)


def located_versions(spec: AgentSpec) -> Iterator[tuple[str, Model, ModelVersion]]:
    """Every version of every model, with the path of its source in the spec."""
    for index, model in enumerate(spec.models):
        for at, served in enumerate(served_versions(model)):
            inner = "" if model.source is not None else f".versions[{at}]"
            yield f"spec.models[{index}]{inner}.source", model, served


def config_map_names(spec: AgentSpec) -> list[str]:
    """The ConfigMaps that models and pipelines name, each once, sorted."""
    versions = (served.source.config_map for _, _, served in located_versions(spec))
    owners: tuple[Model | Pipeline, ...] = (*spec.models, *spec.pipelines)
    files = (file.config_map for owner in owners for file in owner.files)
    return sorted({name for name in (*versions, *files) if name is not None})


def mounted(source: Source) -> Mounted | None:
    """What is mounted as the version's directory; None where its files are a ConfigMap's."""
    if source.image is not None:
        image = source.image
        return ImageFolder(image.reference, image.path, image.pull_policy)
    if source.uri is None:
        return None
    return _claim_folder(source.uri) or Fetched(source)


def claim_of(uri: str) -> str | None:
    """The claim that a URI of scheme pvc names; None for every other."""
    return uri.removeprefix(_CLAIM).partition("/")[0] if uri.startswith(_CLAIM) else None


def _claim_folder(uri: str) -> ClaimFolder | None:
    """The folder of a claim that is mounted as it is: `pvc://models/encoder/3/`, or a whole claim,
    `pvc://models`. None for a file of a claim, and for every other URI.
    """
    if not uri.startswith(_CLAIM):
        return None
    claim, _, path = uri.removeprefix(_CLAIM).partition("/")
    is_folder = not path or path.endswith("/")
    return ClaimFolder(claim, path.rstrip("/")) if is_folder else None
