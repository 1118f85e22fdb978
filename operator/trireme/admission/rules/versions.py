"""Faults of which versions of a model there are and which are served. Pure."""

from collections.abc import Iterator

from trireme.admission.places import models
from trireme.admission.rules.config import parsed_config
from trireme.admission.words import listed
from trireme.api.agent import AgentSpec
from trireme.errors import Fault
from trireme.modelrepo.sources import served_versions


def version_is_said_twice(spec: AgentSpec) -> Iterator[Fault]:
    """`version` is that of the one `source`; each of `versions` has its own."""
    for path, model in models(spec):
        if model.versions and model.version != 1:  # which the API server fills in
            yield Fault(
                f"{path}.version",
                model.version,
                "version belongs to source, and each of versions has its own",
                "Remove it",
            )


def version_policy_is_not_one(spec: AgentSpec) -> Iterator[Fault]:
    """Two policies, or none; and `all: false` is none."""
    for path, model in models(spec):
        policy = model.version_policy
        if policy is None:
            continue
        chosen = (policy.latest, policy.specific, policy.all)
        if sum(each is not None for each in chosen) != 1:
            yield Fault(
                f"{path}.versionPolicy",
                None,
                "exactly one of latest, specific and all must be set",
                "Say which versions are served, once",
            )
        elif policy.all is False:
            yield Fault(
                f"{path}.versionPolicy.all",
                policy.all,
                "all: false chooses no version",
                "Write all: true, or name the versions in specific",
            )


def version_is_not_there(spec: AgentSpec) -> Iterator[Fault]:
    """A policy that names a version without files: Triton serves the others, or nothing."""
    for path, model in models(spec):
        there = [served.version for served in served_versions(model)]
        wanted = model.version_policy.specific if model.version_policy else None
        if wanted is None or not there:
            continue
        missing = [version for version in wanted if version not in there]
        if missing or not wanted:
            are = "is" if len(there) == 1 else "are"
            requested = f"versions {listed(map(str, wanted))}" if wanted else "no version"
            yield Fault(
                f"{path}.versionPolicy.specific",
                None,
                f"{requested} requested; {listed(map(str, sorted(there)))} {are} there",
                "Add their sources to versions, or correct the policy",
            )


def version_policy_serves_none(spec: AgentSpec) -> Iterator[Fault]:
    """The latest of no number: Triton loads nothing, and does not even list the model."""
    for path, model in models(spec):
        policy = parsed_config(model).version_policy
        if policy.WhichOneof("policy_choice") == "latest" and not policy.latest.num_versions:
            yield Fault(
                f"{path}.config.version_policy.latest.num_versions",
                0,
                "the latest 0 versions are none",
                "Write 1 or more, or remove version_policy to serve the latest",
            )
