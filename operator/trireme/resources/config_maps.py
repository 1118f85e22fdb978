"""The ConfigMaps that hold a model repository. Pure.

Immutable ones, named by their content, hold each model's files; one mutable one per repository
digest holds every config.pbtxt, since a few of its fields change in place (`repository.py`). A
canary has one of its own.
A volume of each goes into the pods, and what it holds is mounted piece by piece (`server`).
"""

import base64
import hashlib
import re
from collections.abc import Iterator

from trireme.api import kinds, names
from trireme.api.agent import AgentDeployment
from trireme.modelrepo.render import config_text
from trireme.modelrepo.repository import ModelDirectory, Repository
from trireme.resources.metadata import Manifest, child


def config_maps(
    agent: AgentDeployment, repository: Repository, track: str = names.TRACK_STABLE
) -> tuple[Manifest, ...]:
    """The files of each model that has any, then the configurations of all."""
    files = (_files(agent, model) for model in repository.models if model.files)
    return (*files, _configurations(agent, repository, track))


def config_volumes(
    agent: AgentDeployment, repository: Repository, track: str = names.TRACK_STABLE
) -> Iterator[Manifest]:
    """The pod's volumes of these ConfigMaps: all configurations, then each model's files at their
    paths.
    """
    live = {"name": _live_name(agent, repository, track)}
    yield {"name": names.LIVE_VOLUME, "configMap": live}
    for model in repository.models:
        if model.files:
            items = [{"key": file_key(path), "path": path} for path in sorted(model.files)]
            files = {"name": files_name(agent, model), "items": items}
            yield {"name": names.volume(model.name), "configMap": files}


def file_key(path: str) -> str:
    """The ConfigMap key of a file: `1/model.py` becomes `1_-model.py`.

    A key holds no slash. `/` is written `_-` and `_` is written `__`, so that no two paths share
    a key.
    """
    return path.replace("_", "__").replace("/", "_-")


def file_path(key: str) -> str:
    """The inverse of `file_key`: `1_-model.py` is `1/model.py`."""
    return re.sub("_(.)", lambda escaped: "/" if escaped[1] == "-" else "_", key)


def _files(agent: AgentDeployment, model: ModelDirectory) -> Manifest:
    text: dict[str, str] = {}
    binary: dict[str, str] = {}
    for path, content in sorted(model.files.items()):
        try:
            text[file_key(path)] = content.decode()
        except UnicodeDecodeError:
            binary[file_key(path)] = base64.b64encode(content).decode()
    contents = {
        **({"data": text} if text else {}),
        **({"binaryData": binary} if binary else {}),
    }
    return child(agent, kinds.CONFIG_MAP, files_name(agent, model), immutable=True, **contents)


def _configurations(agent: AgentDeployment, repository: Repository, track: str) -> Manifest:
    return child(
        agent,
        kinds.CONFIG_MAP,
        _live_name(agent, repository, track),
        annotations={
            names.REPOSITORY_DIGEST: repository.digest,
            names.LIVE_DIGEST: repository.live_digest,
        },
        data={names.live_key(model.name): config_text(model.config) for model in repository.models},
    )


def _live_name(agent: AgentDeployment, repository: Repository, track: str) -> str:
    """A canary's configurations are its own: it may differ by what changes in place alone."""
    if track == names.TRACK_CANARY:
        return names.canary_live_config(agent.metadata.name, repository.live_digest)
    return names.live_config(agent.metadata.name, repository.digest)


def files_name(agent: AgentDeployment, model: ModelDirectory) -> str:
    """The ConfigMap of a model's files.

    Named by the model's name too, since two names may share the prefix that a name shows.
    """
    sha = hashlib.sha256()
    for part in (model.name.encode(), *(p for f in sorted(model.files.items()) for p in _parts(f))):
        sha.update(len(part).to_bytes(8, "big"))
        sha.update(part)
    return names.model_files(agent.metadata.name, model.name, sha.hexdigest())


def _parts(file: tuple[str, bytes]) -> tuple[bytes, bytes]:
    path, content = file
    return path.encode(), content
