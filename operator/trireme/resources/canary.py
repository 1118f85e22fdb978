"""What a canary is made of, beside the objects of the stable pods. Pure."""

import hashlib
import json
from collections.abc import Collection

from trireme.api import names
from trireme.api.agent import AgentDeployment
from trireme.modelrepo.repository import Repository
from trireme.resources import (
    comparer,
    config_maps,
    fetch,
    record,
    server,
    service_accounts,
    services,
)
from trireme.resources.change import Running
from trireme.resources.metadata import Manifest
from trireme.resources.options import ResourceOptions
from trireme.resources.pod_sets import canary_set, pod_sets

_NO_OPTIONS = ResourceOptions(gateway_image="")
"""What the operator is set to is no part of what a spec makes of pods."""


def pods_digest(
    agent: AgentDeployment, repository: Repository, classes: Collection[str] | None = None
) -> str:
    """Of what an agent's pods are made of, those of some node classes or all, what changes in place
    left out: specs of the same digest replace no pod of each other. It is of what this version of
    the operator makes of them, so it is not for keeping.
    """
    templates = {
        pods.name: server.pod_template(pods, repository, _NO_OPTIONS)
        for pods in pod_sets(agent)
        if classes is None or pods.node_class in classes
    }
    return _digest(templates)


def run_alike(one: Running, other: Running) -> bool:
    """Whether neither replaces a pod of the other, of the same agent; pods of a class that comes or
    goes are no change of others. As long as no edit is made they are equal, and no template needs
    to be made of them.
    """
    is_of_same_files = one.repository.digest == other.repository.digest
    if is_of_same_files and one.agent.spec == other.agent.spec:
        return True
    classes = ({pods.node_class for pods in pod_sets(each.agent)} for each in (one, other))
    stays = set.intersection(*classes)
    return bool(stays) and pods_digest(*one, stays) == pods_digest(*other, stays)


def serve_alike(one: Running, other: Running) -> bool:
    """Whether the pods of both run the same, what changes in place included."""
    return one.repository.live_digest == other.repository.live_digest and run_alike(one, other)


def candidate_digest(agent: AgentDeployment, repository: Repository) -> str:
    """Tells one candidate from another, by what changes in place too: a candidate that was taken
    back may be mended by that.

    It is of what the user wrote of the pods, since it is kept: another version of the operator, or
    other settings, make other pods of the same candidate. What has its default is left out, so that
    a field which is new makes no difference, and what a node class costs and how many it may have.
    """
    spec = agent.spec
    of_no_pod = {"node_classes": {"__all__": {"price", "min", "max"}}}
    written = [
        spec.server.model_dump(
            mode="json", by_alias=True, exclude_defaults=True, exclude=of_no_pod
        ),
        spec.download.model_dump(mode="json", by_alias=True, exclude_defaults=True),
    ]
    # How long the gateway lets a request run is how long a pod may take to end.
    longest = spec.gateway.request_timeout if spec.gateway.enabled else None
    return _digest(repository.digest, repository.live_digest, written, str(longest))


def canary_objects(
    agent: AgentDeployment,
    repository: Repository,
    options: ResourceOptions,
    *,
    digest: str,
    initial_replicas: int | None,
    is_reachable: bool,
    node_class: str = "",
) -> tuple[Manifest, ...]:
    """The objects of a canary of this agent, some of which the stable pods may have too.

    `digest` is the candidate's, and its pods are as those of `node_class`. `initial_replicas` is
    None where its Deployment exists: the number then belongs to another field manager. Without a
    gateway its pods are reached by the Service that clients use.
    """
    through_gateway = agent.spec.gateway.enabled
    pods = canary_set(agent, node_class)
    deployment = server.deployment(pods, repository, options, initial_replicas=initial_replicas)
    of_class = {names.NODE_CLASS: node_class} if node_class else {}
    deployment["metadata"]["labels"] |= of_class
    # So each candidate has pods of its own, also one that differs by what changes in place.
    template = deployment["spec"]["template"]["metadata"]
    template["labels"] |= {names.CANDIDATE: names.candidate_label(digest), **of_class}
    return (
        *config_maps.config_maps(agent, repository, pods.track),
        *fetch.fetch_objects(agent, repository, options),
        *service_accounts.service_accounts(agent),
        *record.candidate_record(agent, repository),
        *([services.canary_service(agent)] if through_gateway and is_reachable else []),
        *(comparer.comparer_objects(agent, options) if is_reachable else ()),
        deployment,
    )


def _digest(*parts: object) -> str:
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
