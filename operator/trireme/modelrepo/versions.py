"""Which versions of a model are there, and which of them Triton loads. Pure."""

from collections.abc import Iterable

from trireme.api.models import Model
from trireme.modelrepo.plan import model_config
from trireme.modelrepo.proto import ModelConfig
from trireme.modelrepo.repository import ModelDirectory
from trireme.modelrepo.sources import served_versions


def versions_of(directory: ModelDirectory) -> frozenset[int]:
    """The versions that a directory holds, in files or as mounts."""
    tops = {path.partition("/")[0] for path in directory.files if "/" in path}
    return frozenset({int(top) for top in tops if top.isdecimal()} | set(directory.mounts))


def loaded_versions(model: Model) -> list[int]:
    """The versions that Triton loads of a model of the spec, ascending, each with instances of its
    own; see `versions_loaded_by`.

    Raises json_format.ParseError where `config` is no ModelConfig.
    """
    there = [served.version for served in served_versions(model)]
    return versions_loaded_by(model_config(model), there)


def versions_loaded_by(config: ModelConfig, there: Iterable[int]) -> list[int]:
    """The versions that Triton loads of those that are there, ascending, by a policy.

    Of versions 1, 2 and 3: 3 where there is no policy, 2 and 3 by `latest: 2`, and all of them by a
    policy that chooses none. Source: VersionsToLoad in Triton's model_lifecycle.cc.
    """
    ascending = sorted(there)
    policy = config.version_policy
    match policy.WhichOneof("policy_choice"):
        case "specific":
            return [version for version in ascending if version in policy.specific.versions]
        case "latest":
            return ascending[max(0, len(ascending) - policy.latest.num_versions) :]
        case "all":
            return ascending
        case _:
            return ascending if config.HasField("version_policy") else ascending[-1:]
