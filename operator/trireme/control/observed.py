"""Reading Deployments and pods: from the API's dicts to the few facts that decisions need. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from trireme.api import kinds, names
from trireme.api.addresses import host_port
from trireme.api.conditions import Reason
from trireme.api.fetch import FetchReason
from trireme.api.scalars import quantity_value
from trireme.autoscaler.lead_time import Times
from trireme.control.fetching import failure

Object = Mapping[str, Any]

# The kubelet's waiting reasons that only a change by somebody can end.
_IMAGE_REASONS = frozenset(
    {"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull"}
)
_OURS = frozenset({names.SCALE_MANAGER, names.TEMPLATE_MANAGER})
_ENDED_PHASES = frozenset({"Failed", "Succeeded"})
_TEMPLATE_HASH = "pod-template-hash"  # the Deployment's controller labels each pod with it
_LOOPS = "CrashLoopBackOff"
_CRASH_REASONS = frozenset({_LOOPS, "CreateContainerConfigError", "RunContainerError"})


@dataclass(frozen=True, slots=True)
class Trouble:
    """What keeps a pod from starting, in the scheduler's, the kubelet's or the fetcher's words."""

    reason: Reason | FetchReason
    message: str


@dataclass(frozen=True, slots=True)
class PodView:
    """One pod. `ready_since` is None while it is not ready, `address` until it has an IP.
    `unready_since` is None while it is ready, and until the kubelet has looked.

    `fetching` says that its models' files are being brought; `running` that the server's container
    runs, so that Triton may be asked; `started` that its start-up probe has succeeded, so that what
    keeps it from being ready is not the start.
    `server_id` names the server's container, another one after each restart; there were `restarts`,
    the last container `ended` so, and `loops` says that the kubelet waits longer before each next
    one. `repository_digest` is of the repository that it serves.
    `template` tells the pod templates of its Deployment apart, `labels` the sets of an agent's
    pods. `times` says how its start went, once it is ready; None where a container was restarted.
    `ends_by` is when it is to have ended at the latest, None of one that is not told to end.
    `devices` are how many it has of each sort, such as `nvidia.com/gpu`.
    """

    name: str
    address: str | None
    ready_since: datetime | None
    fetching: bool
    running: bool
    started: bool
    ends_by: datetime | None
    trouble: Trouble | None
    uid: str
    created: datetime
    template: str
    server_id: str = ""
    restarts: int = 0
    ended: str = ""
    loops: bool = False
    unready_since: datetime | None = None
    repository_digest: str = ""
    times: Times | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    devices: Mapping[str, int] = field(default_factory=dict)

    def at(self, port: int) -> str:
        """Its address with a port. Pre: it has an address, as one that runs has."""
        return host_port(self.address or "", port)

    @property
    def terminating(self) -> bool:
        """Whether it is told to end."""
        return self.ends_by is not None

    @property
    def stuck(self) -> bool:
        """Whether it is neither ready nor on its way to be."""
        waiting = self.ready_since is None and not self.terminating
        return waiting and (self.started or self.trouble is not None)


@dataclass(frozen=True, slots=True)
class DeploymentView:
    """One Deployment. `replicas` is spec.replicas; `rolled_out` says that no pod of an earlier
    template is left and that all wanted ones are ready; `only_latest` says the first half alone.
    `refused` pods cannot be made: a quota or an admission policy is against it.
    """

    replicas: int
    existing: int
    ready: int
    only_latest: bool
    rolled_out: bool
    failure: str | None
    replicas_manager: str | None
    refused: int = 0


def parse_time(text: str) -> datetime:
    """A Kubernetes time stamp, as an aware datetime."""
    return datetime.fromisoformat(text)


def server_pods(pods: Iterable[Object]) -> tuple[PodView, ...]:
    """The server pods among an agent's pods (the gateway's have no agent label)."""
    return _labelled(pods, names.AGENT)


def gateway_pods(pods: Iterable[Object]) -> tuple[PodView, ...]:
    """The gateway's pods among an agent's pods."""
    return _labelled(pods, names.GATEWAY)


def comparer_pods(pods: Iterable[Object]) -> tuple[PodView, ...]:
    """The pods among an agent's that compare mirrored answers."""
    return tuple(
        pod
        for pod in _labelled(pods, names.COMPONENT)
        if pod.labels[names.COMPONENT] == names.COMPONENT_COMPARER
    )


def _labelled(pods: Iterable[Object], label: str) -> tuple[PodView, ...]:
    """Pods that have ended, such as evicted ones, stay for people to read and are no pods here."""
    return tuple(
        _pod_view(pod)
        for pod in pods
        if label in pod["metadata"].get("labels", {})
        and pod.get("status", {}).get("phase") not in _ENDED_PHASES
    )


def _pod_view(pod: Object) -> PodView:
    status = pod.get("status", {})
    conditions = {c["type"]: c for c in status.get("conditions", [])}
    ready = conditions.get("Ready", {})
    ends_by = pod["metadata"].get("deletionTimestamp")
    is_ready = ready.get("status") == "True" and ends_by is None
    containers = status.get("containerStatuses", [])
    server: Object = next((c for c in containers if c["name"] == names.SERVER_CONTAINER), {})
    created = parse_time(pod["metadata"]["creationTimestamp"])
    ready_since = parse_time(ready["lastTransitionTime"]) if is_ready else None
    is_unready = ready.get("status") == "False"
    return PodView(
        name=pod["metadata"]["name"],
        address=status.get("podIP"),
        ready_since=ready_since,
        fetching="running" in _fetcher(status).get("state", {}),
        running="running" in server.get("state", {}),
        started=bool(containers) and all(c.get("started") for c in containers),
        ends_by=parse_time(ends_by) if ends_by is not None else None,
        trouble=None if is_ready or ends_by is not None else _trouble(conditions, status),
        uid=pod["metadata"]["uid"],
        created=created,
        template=pod["metadata"]["labels"].get(_TEMPLATE_HASH, ""),
        server_id=server.get("containerID", ""),
        restarts=server.get("restartCount", 0),
        ended=_end(server.get("lastState", {}).get("terminated", {})),
        loops=server.get("state", {}).get("waiting", {}).get("reason") == _LOOPS,
        unready_since=parse_time(ready["lastTransitionTime"]) if is_unready else None,
        repository_digest=pod["metadata"].get("annotations", {}).get(names.REPOSITORY_DIGEST, ""),
        times=_times(created, conditions, server, status, ready_since),
        labels=pod["metadata"]["labels"],
        devices=_devices(pod),
    )


def _devices(pod: Object) -> Mapping[str, int]:
    """What all containers have together of each sort of devices."""
    found: Counter[str] = Counter()
    for container in pod.get("spec", {}).get("containers", ()):
        found.update({k: int(quantity_value(n)) for k, n in _device_limits(container).items()})
    return found


def _device_limits(container: Object) -> dict[str, str]:
    """Of all resources only devices have the name of a vendor before theirs."""
    limits = container.get("resources", {}).get("limits", {})
    return {name: amount for name, amount in limits.items() if "/" in name}


def _times(
    created: datetime,
    conditions: Mapping[str, Object],
    server: Object,
    status: Object,
    ready: datetime | None,
) -> Times | None:
    """How a start went that needed no container twice."""
    fetcher = _fetcher(status)
    scheduled = conditions.get("PodScheduled", {}).get("lastTransitionTime")
    started = server.get("state", {}).get("running", {}).get("startedAt")
    if ready is None or scheduled is None or started is None:
        return None
    if server.get("restartCount", 0) or fetcher.get("restartCount", 0):
        return None
    fetched = fetcher.get("state", {}).get("terminated", {})
    begun, ended = fetched.get("startedAt"), fetched.get("finishedAt")
    initialised = _initialised(status)
    return Times(
        created=created,
        scheduled=parse_time(scheduled),
        started=parse_time(started),
        ready=ready,
        fetching=parse_time(ended) - parse_time(begun) if begun and ended else timedelta(0),
        image=parse_time(started) - initialised if initialised is not None else None,
    )


def _initialised(status: Object) -> datetime | None:
    """When the last init container ended; None where there was none, or one that stays."""
    containers = status.get("initContainerStatuses", [])
    ends = [c.get("state", {}).get("terminated", {}).get("finishedAt") for c in containers]
    return max(map(parse_time, ends)) if ends and all(ends) else None


def _fetcher(status: Object) -> Object:
    containers = status.get("initContainerStatuses", [])
    return next((c for c in containers if c["name"] == names.FETCH_CONTAINER), {})


def _end(terminated: Object) -> str:
    """How a container ended; empty of one that did not."""
    return (
        f"{terminated.get('reason', '')}, exit code {terminated['exitCode']}" if terminated else ""
    )


def trouble(pod: Object) -> Trouble | None:
    """What keeps a pod from starting, if something does."""
    status = pod.get("status", {})
    return _trouble({c["type"]: c for c in status.get("conditions", [])}, status)


def _trouble(conditions: Mapping[str, Object], status: Object) -> Trouble | None:
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        return Trouble(Reason.UNSCHEDULABLE, scheduled.get("message", "no node fits"))
    if (failed := failure(_fetcher(status))) is not None:
        return Trouble(*failed)
    for container in (
        *status.get("initContainerStatuses", []),
        *status.get("containerStatuses", []),
    ):
        waiting = container.get("state", {}).get("waiting", {})
        reason = waiting.get("reason", "")
        words = f"{container['name']}: {reason}: {waiting.get('message', '')}".rstrip(": ")
        if reason in _IMAGE_REASONS:
            return Trouble(Reason.IMAGE_PULL_FAILED, words)
        if reason in _CRASH_REASONS:
            ended = container.get("lastState", {}).get("terminated", {})
            code = f"; last exit code {ended['exitCode']}" if "exitCode" in ended else ""
            return Trouble(Reason.CONTAINER_FAILED, words + code)
    return None


def deployment_view(deployment: Object) -> DeploymentView:
    """The facts of one Deployment, as its controller last reported them."""
    spec, status = deployment["spec"], deployment.get("status", {})
    replicas = spec.get("replicas", 1)
    existing = status.get("replicas", 0)
    updated = status.get("updatedReplicas", 0)
    current = status.get("observedGeneration", -1) >= deployment["metadata"].get("generation", 0)
    only_latest = current and updated == existing
    progressing: Object = next(
        (c for c in status.get("conditions", []) if c["type"] == "Progressing"), {}
    )
    stuck = current and progressing.get("reason") == "ProgressDeadlineExceeded"
    is_refused = any(
        c["type"] == "ReplicaFailure" and c.get("status") == "True"
        for c in status.get("conditions", [])
    )
    return DeploymentView(
        replicas=replicas,
        existing=existing,
        ready=status.get("readyReplicas", 0),
        only_latest=only_latest,
        rolled_out=only_latest
        and existing == replicas
        and status.get("availableReplicas", 0) >= replicas,
        failure=progressing.get("message", "the rollout does not advance") if stuck else None,
        replicas_manager=_replicas_manager(deployment),
        refused=max(0, replicas - existing) if is_refused else 0,
    )


def class_of(body: Object) -> str:
    """The node class of server pods or of their Deployment; empty where there is none."""
    name: str = body["metadata"].get("labels", {}).get(names.NODE_CLASS, "")
    return name


def owned_by(body: Object, uid: str) -> bool:
    """Whether an object belongs to the agent with this uid."""
    return any(o.get("uid") == uid for o in body["metadata"].get("ownerReferences", []))


def is_server_set(body: Object, uid: str) -> bool:
    """Whether a child is a Deployment of server pods of the agent with this uid. Somebody may have
    copied one with all its labels: the owner tells, and the name, which is made from the labels.
    """
    labels = body["metadata"].get("labels", {})
    if body["kind"] != kinds.DEPLOYMENT.name or names.AGENT not in labels:
        return False
    name = names.server_set(labels.get(names.OWNER, ""), class_of(body))
    return bool(body["metadata"]["name"] == name) and owned_by(body, uid)


def together(deployments: Iterable[DeploymentView]) -> DeploymentView | None:
    """Several Deployments as if they were one; None of none. Of several who set their sizes, one
    that is not Trireme is named.
    """
    views = [*deployments]
    if len(views) <= 1:
        return views[0] if views else None
    managers = [view.replicas_manager for view in views]
    foreign = (manager for manager in managers if manager not in {None, *_OURS})
    return DeploymentView(
        replicas=sum(view.replicas for view in views),
        existing=sum(view.existing for view in views),
        ready=sum(view.ready for view in views),
        only_latest=all(view.only_latest for view in views),
        rolled_out=all(view.rolled_out for view in views),
        failure=next((view.failure for view in views if view.failure is not None), None),
        replicas_manager=next(foreign, managers[0]),
        refused=sum(view.refused for view in views),
    )


def pods_known(deployment: DeploymentView | None, pods: Iterable[PodView]) -> bool:
    """Whether the watch of pods has told of all that the Deployment counts as ready.

    It has not for a moment after a start of the operator, since each kind is watched by itself.
    """
    known = sum(not pod.terminating for pod in pods)
    return deployment is None or known >= deployment.ready


_INTENT = ("uid", "labels", "annotations", "ownerReferences", "deletionTimestamp")
_KEPT_FIELDS = frozenset({"replicas", "selector"})
_OWN = f"{names.GROUP}/"  # annotations begin so


def kept(body: Object) -> dict[str, Any]:
    """A child or pod without what nobody reads: most of its size.

    Identity, ownership, size, selector, a pod's devices and status stay; the rest of a spec, a
    ConfigMap's data, annotations of others (of a pod an agent's author may write 256 KiB) and the
    managedFields that do not name the size go.
    """
    metadata = dict(body["metadata"])
    annotations = metadata.pop("annotations", None) or {}
    if own := {key: each for key, each in annotations.items() if key.startswith(_OWN)}:
        metadata["annotations"] = own
    owners = [entry for entry in metadata.pop("managedFields", []) if _owns_replicas(entry)]
    if owners:
        metadata["managedFields"] = owners
    spec = {key: value for key, value in body.get("spec", {}).items() if key in _KEPT_FIELDS}
    containers = body.get("spec", {}).get("containers", ())
    limits = [found for container in containers if (found := _device_limits(container))]
    if limits:
        spec["containers"] = [{"resources": {"limits": each}} for each in limits]
    identity = {key: body[key] for key in ("apiVersion", "kind") if key in body}
    return {**identity, "metadata": metadata, "spec": spec, "status": body.get("status", {})}


def intent(body: Object) -> tuple[object, ...]:
    """What of a child as it is kept, or of an agent, is another where more than its status changed.

    `metadata.generation` counts changes of the spec; kinds without one (ConfigMaps, Services'
    older versions) are told apart by resourceVersion.
    """
    metadata = body["metadata"]
    version = metadata.get("generation") or metadata.get("resourceVersion")
    return version, *(metadata.get(part) for part in _INTENT)


def _owns_replicas(managed_fields_entry: Object) -> bool:
    return "f:replicas" in managed_fields_entry.get("fieldsV1", {}).get("f:spec", {})


def _replicas_manager(deployment: Object) -> str | None:
    """The field manager that owns spec.replicas, ours first where several do."""
    owners = [
        entry["manager"]
        for entry in deployment["metadata"].get("managedFields", [])
        if _owns_replicas(entry)
    ]
    ours = [owner for owner in owners if owner in _OURS]
    return next(iter(ours or owners), None)
