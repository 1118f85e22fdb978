"""A model repository as an AgentDeployment that serves it unchanged: `render` backwards. Pure.

Layout: docs/user_guide/model_repository.md of Triton. A directory of the repository is a model;
its directories whose names are whole numbers without a leading zero are versions; all else in it,
but config.pbtxt, are files that versions share.
"""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from trireme.api import kinds, names
from trireme.errors import Fault
from trireme.modelrepo.locations import NoPlace, version_uri
from trireme.modelrepo.proto import ModelConfig
from trireme.modelrepo.proto import model_config_pb2 as pb
from trireme.modelrepo.read import (
    UnreadableConfig,
    is_ensemble,
    parse_config,
    read_model,
    read_pipeline,
)
from trireme.modelrepo.sources import CONFIG_MAP_LIMIT_BYTES

CONFIG_FILE = "config.pbtxt"

_VERSION = re.compile(r"[1-9][0-9]*")
_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_FILE_PATH = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")
_GPU_BACKENDS = ("tensorrt", "tensorrt_plan", "tensorrtllm")


class Tree(Protocol):
    """The files of a repository, wherever it lies."""

    def sizes(self) -> Mapping[str, int]:
        """The size of each file in bytes, by its path below the repository."""

    def directories(self) -> Sequence[str]:
        """The directories, those without files too, by their paths below the repository."""

    def read(self, path: str) -> bytes:
        """A file's content."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What a repository does not say: the agent's name, the image, and where the pods will find the
    files. `location` is a URI that ends in a slash; None puts small files into ConfigMaps.
    `endpoint` and `region` are the location's, if it is S3's.
    """

    name: str
    image: str
    location: str | None
    endpoint: str | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """The manifests to apply, and what in them was inferred: a field's path and how."""

    manifests: tuple[Mapping[str, Any], ...]
    inferred: tuple[tuple[str, str], ...]
    faults: tuple[Fault, ...]


def import_repository(tree: Tree, choices: Choices) -> Imported:
    """The AgentDeployment of a repository, and the ConfigMaps of its small files.

    A mistake in one model does not hide those of others: all are in `faults`, each by its path in
    the repository, and there are no manifests then.
    """
    reading = _Reading(tree, choices)
    for directory in _model_directories(tree):
        reading.add(directory)
    if not reading.models and not reading.pipelines and not reading.faults:
        reading.faults.append(
            Fault("", None, "there is no model in it", f"Name the folder above MODEL/{CONFIG_FILE}")
        )
    if reading.faults:
        return Imported((), (), tuple(reading.faults))
    return Imported((*reading.config_maps, reading.agent()), tuple(reading.inferred), ())


def _model_directories(tree: Tree) -> list[str]:
    """The repository's models; of a folder that is itself a model, the folder."""
    if CONFIG_FILE in tree.sizes():
        return [""]
    tops = {path.partition("/")[0] for path in tree.directories()}
    tops |= {path.partition("/")[0] for path in tree.sizes() if "/" in path}
    return sorted(top for top in tops if not top.startswith("."))


class _Reading:
    """What was read so far."""

    def __init__(self, tree: Tree, choices: Choices) -> None:
        self._tree = tree
        self._choices = choices
        self._gpus = 0
        self.models: list[dict[str, Any]] = []
        self.pipelines: list[dict[str, Any]] = []
        self.config_maps: list[dict[str, Any]] = []
        self.inferred: list[tuple[str, str]] = []
        self.faults: list[Fault] = []

    def add(self, directory: str) -> None:
        """Read one model's directory; the empty one is the whole tree."""
        prefix = f"{directory}/" if directory else ""
        sizes = {
            path.removeprefix(prefix): size
            for path, size in self._tree.sizes().items()
            if path.startswith(prefix)
        }
        try:
            config = self._config(prefix, sizes)
            name = config.name or directory or self._choices.name
            if not re.fullmatch(names.MODEL_NAME_PATTERN, name):
                raise UnreadableConfig(
                    f"{name!r} cannot be a model's name: letters, digits, dots, hyphens and "
                    "underscores can"
                )
            if directory and config.name and config.name != directory:
                raise UnreadableConfig(
                    f"it is named {config.name} and lies in {directory}: Triton wants one name"
                )
            if is_ensemble(config):
                self._add_pipeline(prefix, name, config, sizes)
            else:
                self._add_model(prefix, name, config, sizes)
        except UnreadableConfig as error:
            fault = Fault(f"{prefix}{CONFIG_FILE}", None, str(error), "Correct the file")
            self.faults.append(fault)
        except NoPlace as error:
            self.faults.append(Fault(directory, None, str(error), error.remedy))

    def _config(self, prefix: str, sizes: Mapping[str, int]) -> ModelConfig:
        if CONFIG_FILE not in sizes:
            return ModelConfig()
        if sizes[CONFIG_FILE] > CONFIG_MAP_LIMIT_BYTES:
            raise UnreadableConfig("it is larger than 1 MiB, which a ConfigMap does not hold")
        try:
            return parse_config(self._tree.read(prefix + CONFIG_FILE).decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise UnreadableConfig(f"it is not UTF-8 text: {error}") from None

    def _add_pipeline(
        self, prefix: str, name: str, config: ModelConfig, sizes: Mapping[str, int]
    ) -> None:
        path = f"spec.pipelines[{len(self.pipelines)}]"
        values = read_pipeline(config, name)
        files = self._shared_files(
            prefix, name, path, sizes, versions=_versions(prefix, self._tree)
        )
        self.pipelines.append({**values, **files})

    def _add_model(
        self, prefix: str, name: str, config: ModelConfig, sizes: Mapping[str, int]
    ) -> None:
        path = f"spec.models[{len(self.models)}]"
        values = read_model(config, name)
        versions = _versions(prefix, self._tree)
        files = self._shared_files(prefix, name, path, sizes, versions)
        if CONFIG_FILE not in sizes:
            self.inferred.append(
                (path, f"{prefix} has no {CONFIG_FILE}: Triton completes it from the model's file")
            )
        if not versions:
            self.inferred.append((f"{path}.version", f"{prefix} has no version directory"))
            versions = [1]
        sources = {
            version: self._source(prefix, name, f"{path}.source", version, sizes)
            for version in versions
        }
        self._gpus = max(self._gpus, _gpus_needed(config))
        self.models.append({"name": name, **_served(sources), **values, **files})

    def _source(
        self, prefix: str, name: str, path: str, version: int, sizes: Mapping[str, int]
    ) -> dict[str, str]:
        """Where one version's files come from."""
        folder = f"{version}/"
        found = {key: size for key, size in sizes.items() if key.startswith(folder)}
        if self._choices.location is not None:
            reached = {"endpoint": self._choices.endpoint, "region": self._choices.region}
            files = [key.removeprefix(folder) for key in found]
            directory = prefix.removesuffix("/")
            return {
                "uri": version_uri(self._choices.location, directory, version, files),
                **{field: value for field, value in reached.items() if value is not None},
            }
        keys = [key.removeprefix(folder) for key in found]
        is_small = sum(found.values()) <= CONFIG_MAP_LIMIT_BYTES
        if found and is_small and all(_KEY.fullmatch(key) for key in keys):
            config_map = self._config_map(
                f"{name}-{version}", {k: prefix + folder + k for k in keys}
            )
            return {"configMap": config_map}
        uri = f"pvc://models/{self._choices.name}/{name}/{folder}"
        what = f"the files of {prefix}{folder}" if found else "the model's files"
        self.inferred.append((path, f"put {what} there, or name another place with --at"))
        return {"uri": uri}

    def _shared_files(
        self,
        prefix: str,
        name: str,
        path: str,
        sizes: Mapping[str, int],
        versions: Sequence[int],
    ) -> dict[str, Any]:
        """The `files` of a model: what is beside its versions and its configuration."""
        folders = tuple(f"{version}/" for version in versions)
        shared = {
            key: size
            for key, size in sizes.items()
            if key != CONFIG_FILE and not key.startswith(folders) and not _is_hidden(key)
        }
        if not shared:
            return {}
        unnamable = [key for key in shared if not _FILE_PATH.fullmatch(key)]
        if unnamable or sum(shared.values()) > CONFIG_MAP_LIMIT_BYTES:
            what = unnamable[0] if unnamable else "together more than 1 MiB, a ConfigMap's limit"
            self.inferred.append(
                (f"{path}.files", f"files beside the versions of {name} are left out: {what}")
            )
            return {}
        keys = {key: re.sub(r"[^-._a-zA-Z0-9]", "_", key.replace("/", ".")) for key in shared}
        if len(set(keys.values())) < len(keys):
            keys = {key: f"{index}.{safe}" for index, (key, safe) in enumerate(keys.items())}
        config_map = self._config_map(f"{name}-files", {keys[key]: prefix + key for key in shared})
        return {
            "files": [
                {"path": key, "configMap": config_map, "key": keys[key]} for key in sorted(shared)
            ]
        }

    def _config_map(self, suffix: str, files: Mapping[str, str]) -> str:
        """Add a ConfigMap of files of the tree; its name."""
        text: dict[str, str] = {}
        binary: dict[str, str] = {}
        for key, path in sorted(files.items()):
            content = self._tree.read(path)
            try:
                text[key] = content.decode()
            except UnicodeDecodeError:
                binary[key] = base64.b64encode(content).decode()
        name = names.imported_config_map(self._choices.name, suffix)
        self.config_maps.append(
            {
                "apiVersion": kinds.CONFIG_MAP.api_version,
                "kind": kinds.CONFIG_MAP.name,
                "metadata": {"name": name},
                **({"data": text} if text else {}),
                **({"binaryData": binary} if binary else {}),
            }
        )
        return name

    def agent(self) -> dict[str, Any]:
        """The AgentDeployment of all that was read."""
        gpus = self._gpus
        why = "some model may run on GPUs" if gpus else "every model says that it runs on CPU"
        inferred = (
            ("metadata.name", "from the repository's own name; --name chooses another"),
            ("spec.server.image", "a repository names none; --image chooses another"),
            ("spec.server.gpus.count", why),
            (
                "spec.scaling.mode",
                "a repository names no objective: write spec.objectives and remove scaling and "
                "replicas, and the number of pods follows the latency",
            ),
        )
        self.inferred[:0] = inferred
        spec: dict[str, Any] = {
            "server": {"image": self._choices.image, "gpus": {"count": gpus}},
            "models": self.models,
            **({"pipelines": self.pipelines} if self.pipelines else {}),
            "replicas": 1,
            "scaling": {"mode": "Fixed"},
        }
        return {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {"name": self._choices.name},
            "spec": spec,
        }


def _versions(prefix: str, tree: Tree) -> list[int]:
    paths = (*tree.directories(), *(path for path in tree.sizes()))
    inner = (path.removeprefix(prefix).split("/") for path in paths if path.startswith(prefix))
    names_found = {parts[0] for parts in inner if _VERSION.fullmatch(parts[0])}
    return sorted(int(name) for name in names_found)


def _served(sources: Mapping[int, dict[str, str]]) -> dict[str, Any]:
    if len(sources) > 1:
        return {
            "versions": [{"version": each, "source": sources[each]} for each in sorted(sources)]
        }
    [(version, source)] = sources.items()
    return {"source": source, **({"version": version} if version != 1 else {})}


def _gpus_needed(config: ModelConfig) -> int:
    """How many GPUs a pod needs for a model: those it names, or one where it is not said to run on
    CPU alone.
    """
    cpu = pb.ModelInstanceGroup.KIND_CPU
    groups: Sequence[pb.ModelInstanceGroup] = config.instance_group
    is_on_cpu = bool(groups) and all(group.kind == cpu for group in groups)
    needs_one = not is_on_cpu or bool({config.backend, config.platform} & set(_GPU_BACKENDS))
    named = (int(gpu) + 1 for group in groups for gpu in group.gpus)
    return max(int(needs_one), *named, 0)


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))


def commented(inferred: Sequence[tuple[str, str]], origin: str) -> Iterator[str]:
    """The lines of a comment that tells what was inferred."""
    yield f"Imported from {origin}. What it does not say was inferred:"
    yield from (f"  {path}: {how}" for path, how in inferred)
