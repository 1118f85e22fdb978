"""The Triton Deployment of a set of pods and its pod template. Pure."""

import math
from collections.abc import Iterator
from datetime import timedelta

from trireme.api import kinds, names
from trireme.api.agent import AgentDeployment, AgentSpec
from trireme.api.server import Spread
from trireme.modelrepo.repository import (
    ClaimFolder,
    Fetched,
    ImageFolder,
    ModelDirectory,
    Mounted,
    Repository,
)
from trireme.resources.config_maps import config_volumes
from trireme.resources.control import control_key_source
from trireme.resources.drain import server_drain
from trireme.resources.environment import variable_value
from trireme.resources.fetch import FETCHED_VOLUME, fetch_plan, fetch_pod_parts
from trireme.resources.flags import REPOSITORY, server_arguments
from trireme.resources.metadata import Manifest, child
from trireme.resources.monitoring import SERVER_METRICS_PATH, scrape_annotations
from trireme.resources.options import ResourceOptions
from trireme.resources.pod_sets import PodSet
from trireme.resources.security import SERVER_UID, container_security, pod_security
from trireme.resources.service_accounts import server_account
from trireme.resources.strategic_merge import strategic_merge

_PULL_ALLOWANCE = timedelta(minutes=10)  # for a node to come and an image of 10 to 20 GB to arrive
_REVISIONS = 2  # a rollback is an edit of the agent: old ReplicaSets are only of interest to people

_STARTUP_PERIOD_SECONDS = 1
_TOPOLOGY_KEYS = {
    # Over zones first; within a zone, or where there is but one, over nodes.
    Spread.ZONE: ("topology.kubernetes.io/zone", "kubernetes.io/hostname"),
    Spread.NODE: ("kubernetes.io/hostname",),
    Spread.NONE: (),
}


def longest_start(spec: AgentSpec) -> timedelta:
    """How long a pod may take to be ready, from when it is made, its files' way included."""
    return spec.server.startup_timeout + _PULL_ALLOWANCE + spec.download.timeout


def deployment(
    pods: PodSet,
    repository: Repository,
    options: ResourceOptions,
    *,
    initial_replicas: int | None,
) -> Manifest:
    """The Deployment of a set of pods; without `spec.replicas` where `initial_replicas` is
    None, since the number then belongs to another field manager.
    """
    agent = pods.agent
    fetches = fetch_plan(agent, repository, options) is not None
    deadline = longest_start(agent.spec)
    if not fetches:
        deadline -= agent.spec.download.timeout
    size = {} if initial_replicas is None else {"replicas": initial_replicas}
    return child(
        agent,
        kinds.DEPLOYMENT,
        pods.name,
        labels=pods.labels,
        spec={
            **size,
            "revisionHistoryLimit": _REVISIONS,
            "progressDeadlineSeconds": math.ceil(deadline.total_seconds()),
            "strategy": _strategy(pods),
            "selector": {"matchLabels": pods.selector},
            "template": pod_template(pods, repository, options),
        },
    )


def _strategy(pods: PodSet) -> Manifest:
    """How a new template replaces the old one. A canary never is of two: what is seen of it would
    be of neither.
    """
    if pods.is_canary:
        return {"type": "Recreate"}
    rollout = pods.agent.spec.rollout
    return {
        "type": "RollingUpdate",
        "rollingUpdate": {
            "maxSurge": rollout.max_surge,
            "maxUnavailable": rollout.max_unavailable,
        },
    }


def pod_template(pods: PodSet, repository: Repository, options: ResourceOptions) -> Manifest:
    """The template of a server pod of a set, the user's fragment merged last."""
    template = {
        "metadata": {
            "labels": pods.labels,
            "annotations": {
                names.REPOSITORY_DIGEST: repository.digest,
                **scrape_annotations(options, names.METRICS_PORT, SERVER_METRICS_PATH),
            },
        },
        "spec": _pod(pods, repository, options),
    }
    return strategic_merge(template, pods.agent.spec.server.pod_template)


def _pod(pods: PodSet, repository: Repository, options: ResourceOptions) -> Manifest:
    agent, server = pods.agent, pods.agent.spec.server
    placement = server.placement
    optional = {
        "imagePullSecrets": [{"name": secret.name} for secret in server.image_pull_secrets],
        "nodeSelector": placement.node_selector,
        "tolerations": placement.tolerations,
        "priorityClassName": placement.priority_class_name,
        "topologySpreadConstraints": spread_constraints(
            _TOPOLOGY_KEYS[placement.spread], pods.selector
        ),
    }
    init_containers, fetch_volumes = fetch_pod_parts(agent, repository, options)
    return {
        "serviceAccountName": server_account(agent),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(SERVER_UID),
        "terminationGracePeriodSeconds": server_drain(agent.spec).termination_grace_seconds,
        **{field: value for field, value in optional.items() if value},
        **({"initContainers": init_containers} if init_containers else {}),
        "containers": [_container(agent, repository)],
        "volumes": _unique(
            [
                *_model_volumes(pods, repository),
                *fetch_volumes,
                *_scratch_volumes(agent.spec),
            ]
        ),
    }


def _unique(volumes: list[Manifest]) -> list[Manifest]:
    """Each volume once: a claim may hold a folder of one model and a file of another."""
    return list({volume["name"]: volume for volume in volumes}.values())


def _container(agent: AgentDeployment, repository: Repository) -> Manifest:
    spec, server = agent.spec, agent.spec.server
    return {
        "name": names.SERVER_CONTAINER,
        "image": server.image,
        "imagePullPolicy": server.image_pull_policy.value,
        "args": server_arguments(spec, repository),
        "env": _environment(agent),
        "ports": [
            {"name": "http", "containerPort": names.HTTP_PORT, "protocol": "TCP"},
            {"name": "grpc", "containerPort": names.GRPC_PORT, "protocol": "TCP"},
            {"name": "metrics", "containerPort": names.METRICS_PORT, "protocol": "TCP"},
        ],
        "resources": _resources(spec),
        **_probes(spec),
        **_lifecycle(spec),
        "securityContext": container_security(),
        # A failed load's reason is in Triton's index; a crash's is in the log's last lines.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            *(mount for model in repository.models for mount in _model_mounts(model)),
            {"name": _SHARED_MEMORY, "mountPath": "/dev/shm"},  # noqa: S108  # of the pod
            {"name": _TEMPORARY, "mountPath": "/tmp"},  # noqa: S108  # of the pod
        ],
    }


# ------------------------------------------------------------------------------------- resources


def _resources(spec: AgentSpec) -> Manifest:
    """Requests and limits. The memory limit equals the request, and /dev/shm counts against it, so
    `resources.memory` is all the pod ever takes. No CPU limit: a quota stalls a pod for most of
    each 100 ms period. GPUs are limits, from which Kubernetes makes the requests.
    """
    server = spec.server
    limits = {"memory": server.resources.memory}
    if server.gpus.count:
        limits[server.gpus.resource] = str(server.gpus.count)
    return {
        "requests": {"cpu": server.resources.cpu, "memory": server.resources.memory},
        "limits": limits,
    }


def spread_constraints(topology_keys: tuple[str, ...], selector: dict[str, str]) -> list[Manifest]:
    """Even over each topology as far as possible, each revision's pods counted by themselves, so
    that the last state of a rollout is even too.
    """
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": selector},
            "matchLabelKeys": ["pod-template-hash"],
        }
        for key in topology_keys
    ]


def _environment(agent: AgentDeployment) -> list[Manifest]:
    """Ours, then the user's, who may give one of ours another value, but for the control key."""
    variables: dict[str, Manifest] = {
        # Bytecode would be written into the model's directory, whose time stamp tells Triton that
        # the model changed.
        "PYTHONDONTWRITEBYTECODE": {"value": "1"},
        "HOME": {"value": "/tmp"},  # noqa: S108  # backends cache there, and the root is read-only
        names.CONTROL_VARIABLE: control_key_source(agent),
    }
    for variable in agent.spec.server.env:
        variables[variable.name] = variable_value(variable)
    return [{"name": name, **value} for name, value in variables.items()]


# ---------------------------------------------------------------------------- probes and the end


def _probes(spec: AgentSpec) -> Manifest:
    """Triton opens its HTTP port only when every model is loaded and warmed up, or has failed to.

    Until then the start-up probe has the whole budget, and nothing else may restart the pod. Then
    `ready` is 200 if every model loaded. `live` stays 200 where one failed: such a pod is kept,
    unready, for its reason to be read. A pod under load may answer late: readiness asks often but
    forgives three misses, liveness a minute.
    """
    budget_seconds = spec.server.startup_timeout.total_seconds()
    return {
        "startupProbe": {
            **_get("/v2/health/live"),
            "periodSeconds": _STARTUP_PERIOD_SECONDS,
            "timeoutSeconds": 1,
            # 600 s in steps of 1 s: 600 failures.
            "failureThreshold": max(1, math.ceil(budget_seconds / _STARTUP_PERIOD_SECONDS)),
        },
        "readinessProbe": {
            **_get("/v2/health/ready"),
            "periodSeconds": 2,
            "timeoutSeconds": 2,
            "failureThreshold": 3,
        },
        "livenessProbe": {
            **_get("/v2/health/live"),
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
    }


def _get(path: str) -> Manifest:
    return {"httpGet": {"path": path, "port": "http"}}


def _lifecycle(spec: AgentSpec) -> Manifest:
    seconds = server_drain(spec).pre_stop_seconds
    return {"lifecycle": {"preStop": {"sleep": {"seconds": seconds}}}} if seconds else {}


# --------------------------------------------------------------------------------------- volumes

_SHARED_MEMORY = "shared-memory"
_TEMPORARY = "temporary"


def _scratch_volumes(spec: AgentSpec) -> list[Manifest]:
    size = spec.server.resources.shared_memory
    return [
        {"name": _SHARED_MEMORY, "emptyDir": {"medium": "Memory", "sizeLimit": size}},
        {"name": _TEMPORARY, "emptyDir": {}},
    ]


def _model_volumes(pods: PodSet, repository: Repository) -> Iterator[Manifest]:
    """The ConfigMaps', then each claim and image once, whoever mounts it."""
    yield from config_volumes(pods.agent, repository, pods.track)
    volumes = {
        volume["name"]: volume
        for model in repository.models
        for place in model.mounts.values()
        for volume in _volumes_of(place)
    }
    yield from (volumes[name] for name in sorted(volumes))


def _volumes_of(place: Mounted) -> Iterator[Manifest]:
    if isinstance(place, ClaimFolder):
        yield {
            "name": names.claim_volume(place.claim),
            "persistentVolumeClaim": {"claimName": place.claim, "readOnly": True},
        }
    elif isinstance(place, ImageFolder):
        image = {"reference": place.reference, "pullPolicy": place.pull_policy.value}
        yield {"name": names.image_volume(place.reference), "image": image}


def _mounted_part(model: str, version: int, place: Mounted) -> Manifest:
    """The volume that a version's directory is in, and where in it."""
    match place:
        case ClaimFolder():
            name, path = names.claim_volume(place.claim), place.path
        case ImageFolder():
            name, path = names.image_volume(place.reference), place.path
        case Fetched():
            name, path = FETCHED_VOLUME, f"{model}/{version}"
    return {"name": name, **({"subPath": path} if path else {})}


def _model_mounts(model: ModelDirectory) -> Iterator[Manifest]:
    """What a model's directory holds, each thing a mount of its own: config.pbtxt, then what its
    files lie in, then the directories of versions that are elsewhere.

    A file that is mounted by itself stays as it was when its container began, whatever becomes of
    its ConfigMap; a container that begins later has it as it is then. So what changes in place
    changes no time stamp in a running pod: if one did, Triton would take the whole model for
    changed, and load it anew beside the old one.
    """
    directory = f"{REPOSITORY}/{model.name}"
    yield {
        "name": names.LIVE_VOLUME,
        "mountPath": f"{directory}/config.pbtxt",
        "subPath": names.live_key(model.name),
        "readOnly": True,
    }
    for entry in sorted({path.partition("/")[0] for path in model.files}):
        yield {
            "name": names.volume(model.name),
            "mountPath": f"{directory}/{entry}",
            "subPath": entry,
            "readOnly": True,
        }
    for version, place in model.mounts.items():
        yield {
            **_mounted_part(model.name, version, place),
            "mountPath": f"{directory}/{version}",
            "readOnly": True,
        }
