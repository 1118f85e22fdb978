"""Planned configurations and the user's files as a repository, with its digests.

Pure and deterministic: the same spec and files give the same bytes, in whatever order mappings
were filled.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

from trireme.api.agent import AgentSpec
from trireme.api.models import Model
from trireme.api.pipelines import Pipeline
from trireme.api.server import Server
from trireme.api.sources import ModelFile
from trireme.modelrepo.plan import LIVE_FIELDS, plan
from trireme.modelrepo.proto import ModelConfig, text_format
from trireme.modelrepo.repository import ModelDirectory, Repository
from trireme.modelrepo.sources import mounted, served_versions

_KEEP = "1/.keep"  # git's custom for a directory that must exist: Triton wants a version's


def render(spec: AgentSpec, sources: Mapping[str, Mapping[str, bytes]]) -> Repository:
    """The whole repository of a spec that `admission` accepted.

    `sources` maps the name of each ConfigMap that a model names to its files. Raises KeyError
    where one is missing.
    """
    configs = plan(spec)
    directories = (
        *(
            _model_directory(model, config, sources)
            for model, config in zip(spec.models, configs, strict=False)
        ),
        *(
            _pipeline_directory(pipeline, config, sources)
            for pipeline, config in zip(spec.pipelines, configs[len(spec.models) :], strict=True)
        ),
    )
    return Repository(
        models=directories,
        digest=_digest(sorted(_directory_digest(each).encode() for each in directories)),
        live_digest=_digest(sorted(_wire(config) for config in configs)),
    )


def config_text(config: ModelConfig) -> str:
    """A config.pbtxt.

    The protobuf's text leaves out zeros, but Triton's own examples and people who read the file
    expect `max_batch_size: 0` to be said.
    """
    text: str = text_format.MessageToString(config)
    return text if config.max_batch_size else f"max_batch_size: 0\n{text}"


def _model_directory(
    model: Model, config: ModelConfig, sources: Mapping[str, Mapping[str, bytes]]
) -> ModelDirectory:
    files = _beside_versions(model.files, sources)
    mounts = {}
    for served in served_versions(model):
        if served.source.config_map is not None:
            content = sources[served.source.config_map]
            files |= {f"{served.version}/{key}": data for key, data in content.items()}
        elif (place := mounted(served.source)) is not None:
            mounts[served.version] = place
    ordered = {path: files[path] for path in sorted(files)}
    return ModelDirectory(model.name, config, ordered, mounts)


def _pipeline_directory(
    pipeline: Pipeline, config: ModelConfig, sources: Mapping[str, Mapping[str, bytes]]
) -> ModelDirectory:
    files = {_KEEP: b"", **_beside_versions(pipeline.files, sources)}
    return ModelDirectory(pipeline.name, config, files, {})


def _beside_versions(
    files: Sequence[ModelFile], sources: Mapping[str, Mapping[str, bytes]]
) -> dict[str, bytes]:
    return {file.path: sources[file.config_map][file.key] for file in files}


def _directory_digest(directory: ModelDirectory) -> str:
    """Of all in one directory that cannot change in place."""
    fixed = ModelConfig()
    fixed.CopyFrom(directory.config)
    for field in LIVE_FIELDS:
        fixed.ClearField(field)
    return _digest_with(directory, fixed)


def model_digest(directory: ModelDirectory) -> str:
    """Of all in one directory."""
    return _digest_with(directory, directory.config)


def uncounted_digest(directory: ModelDirectory, server: Server) -> str:
    """Of all in one directory but how many instances its groups have, and of the pods that serve
    it: what a batch takes follows from it and from their number. No group is one of Triton's own.
    """
    config = ModelConfig()
    config.CopyFrom(directory.config)
    if not config.instance_group:
        config.instance_group.add()
    for group in config.instance_group:
        group.ClearField("count")
    pods = server.model_dump(
        mode="json", by_alias=True, exclude_defaults=True, exclude={"node_classes"}
    )
    parts = (_digest_with(directory, config), json.dumps(pods, sort_keys=True))
    return _digest(part.encode() for part in parts)


def _digest_with(directory: ModelDirectory, config: ModelConfig) -> str:
    files = (part for path, data in directory.files.items() for part in (path.encode(), data))
    mounts = (
        part.encode()
        for version, place in sorted(directory.mounts.items())
        for part in (str(version), repr(place))
    )
    return _digest(
        [directory.name.encode(), _wire(config), _digest(files).encode(), _digest(mounts).encode()]
    )


def _wire(config: ModelConfig) -> bytes:
    """The binary form, which unlike the text does not change with the protobuf library."""
    wire: bytes = config.SerializeToString(deterministic=True)
    return wire


def _digest(parts: Iterable[bytes]) -> str:
    """SHA-256, hex, over parts each led by its length in 8 bytes, so that ("ab", "c") and
    ("a", "bc") differ.
    """
    sha = hashlib.sha256()
    for part in parts:
        sha.update(len(part).to_bytes(8, "big"))
        sha.update(part)
    return sha.hexdigest()
