"""What an agent last ran by, kept in the cluster: its spec, and where its models' files are. Pure.

So is what its canary runs by.

An edit may be refused, and the ConfigMaps that models came from may change or go, while the
operator is started anew: then this is what goes on being scaled and repaired.
"""

import json
from collections.abc import Mapping
from typing import Any

from trireme.api import kinds, names
from trireme.api.agent import AgentDeployment
from trireme.api.models import Model
from trireme.api.pipelines import Pipeline
from trireme.modelrepo.repository import Repository
from trireme.modelrepo.sources import (
    CONFIG_MAP_LIMIT_BYTES,
    SourceFiles,
    config_map_names,
    served_versions,
    source_files,
)
from trireme.resources.config_maps import file_path, files_name
from trireme.resources.metadata import Manifest, child

_SPEC = "spec.json"
_FILES = "files.json"


def accepted_record(
    agent: AgentDeployment, repository: Repository, rolled_back: str = ""
) -> tuple[Manifest, ...]:
    """The ConfigMap of the record; none of a spec that is too large for one. `rolled_back` is the
    digest of the candidate that is not tried again.
    """
    annotations = {names.ROLLED_BACK: rolled_back} if rolled_back else {}
    return _record(agent, repository, names.accepted_record(agent.metadata.name), annotations)


def candidate_record(agent: AgentDeployment, repository: Repository) -> tuple[Manifest, ...]:
    """The same of what a canary runs by."""
    return _record(agent, repository, names.candidate_record(agent.metadata.name), {})


def _record(
    agent: AgentDeployment, repository: Repository, name: str, annotations: Mapping[str, str]
) -> tuple[Manifest, ...]:
    """`files.json` maps each model or pipeline with files from ConfigMaps to the immutable one that
    holds a copy.
    """
    spec = agent.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    copied = {owner.name for owner in _owners(agent) if _has_config_maps(owner)}
    copies = {
        directory.name: files_name(agent, directory)
        for directory in repository.models
        if directory.name in copied
    }
    data = {_SPEC: _text(spec), _FILES: _text(copies)}
    if sum(len(text.encode()) for text in data.values()) > CONFIG_MAP_LIMIT_BYTES:
        return ()
    return (child(agent, kinds.CONFIG_MAP, name, annotations=annotations, data=data),)


def recorded_spec(record: Manifest) -> dict[str, Any]:
    """The spec of a record, as YAML would hold it. Raises KeyError or ValueError for no record."""
    spec: dict[str, Any] = json.loads(record["data"][_SPEC])
    return spec


def rollback_of(record: Manifest) -> str:
    """The digest of the candidate that is not tried again; empty where there is none."""
    digest: str = record["metadata"].get("annotations", {}).get(names.ROLLED_BACK, "")
    return digest


def recorded_copies(record: Manifest) -> dict[str, str]:
    """By model, the ConfigMap with its files. Raises KeyError or ValueError for no record."""
    copies: dict[str, str] = json.loads(record["data"][_FILES])
    return copies


def recorded_sources(
    agent: AgentDeployment, copies: Mapping[str, Manifest]
) -> Mapping[str, SourceFiles]:
    """The files of each ConfigMap that the models were made from, out of the copies by model.

    Raises KeyError where a file is missing.
    """
    sources: dict[str, dict[str, bytes]] = {name: {} for name in config_map_names(agent.spec)}
    for owner in _owners(agent):
        if owner.name not in copies:
            continue
        copied = {file_path(key): data for key, data in source_files(copies[owner.name]).items()}
        for file in owner.files:
            sources[file.config_map][file.key] = copied[file.path]
        for served in served_versions(owner) if isinstance(owner, Model) else ():
            folder = f"{served.version}/"
            if served.source.config_map is not None:
                sources[served.source.config_map] |= {
                    path.removeprefix(folder): data
                    for path, data in copied.items()
                    if path.startswith(folder)
                }
    return sources


def _has_config_maps(owner: Model | Pipeline) -> bool:
    versions = served_versions(owner) if isinstance(owner, Model) else ()
    return bool(owner.files) or any(served.source.config_map for served in versions)


def _owners(agent: AgentDeployment) -> tuple[Model | Pipeline, ...]:
    """What has a directory, in the order of the repository."""
    return (*agent.spec.models, *agent.spec.pipelines)


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
