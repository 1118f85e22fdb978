"""The rendered model repository: what `resources` mounts into a pod.

Pure values. A repository is immutable but for its live part: fields of ModelConfig that Triton
changes in place (`instance_group`, `version_policy`) have a digest of their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from trireme.api.sources import ImagePullPolicy, Source
from trireme.modelrepo.proto import ModelConfig


@dataclass(frozen=True, slots=True)
class ClaimFolder:
    """A folder of a PersistentVolumeClaim; `path` is empty for its root."""

    claim: str
    path: str


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """A folder of an OCI image that the kubelet mounts; `path` is empty for its root."""

    reference: str
    path: str
    pull_policy: ImagePullPolicy


@dataclass(frozen=True, slots=True)
class Fetched:
    """What the fetcher brings into the pod before the server starts."""

    source: Source


Mounted = ClaimFolder | ImageFolder | Fetched
"""What is mounted as one version's directory."""


@dataclass(frozen=True, slots=True)
class ModelDirectory:
    """One model's directory.

    `config` is complete, and nobody changes it: `render.config_text` makes config.pbtxt of it.
    `files` maps a path below the directory (`1/model.py`, `1/.keep`, `labels.txt`) to its content,
    without config.pbtxt. `mounts` maps a version to what is its directory instead of files.
    """

    name: str
    config: ModelConfig
    files: Mapping[str, bytes]
    mounts: Mapping[int, Mounted]


@dataclass(frozen=True, slots=True)
class Repository:
    """All directories, in the order of the spec, and two digests (sha256, hex).

    `digest` covers all that makes a new pod template: files, mounts, and the configurations without
    their live fields. `live_digest` covers the complete configurations.
    """

    models: tuple[ModelDirectory, ...]
    digest: str
    live_digest: str
