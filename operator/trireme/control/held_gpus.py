"""The GPUs that pods have, above all beyond their agent's size, as the API server tells it. Pure.

A pod has its GPUs until it has ended, so a smaller size frees none yet. A pod whose node is gone
never ends: nobody is left who would say so. Its `deletionTimestamp` is the time by which it is to
have ended, so a while after that it counts no more.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from trireme.api import names
from trireme.api.node_classes import by_class
from trireme.api.rollout import RolloutPhase
from trireme.autoscaler.budget import Held
from trireme.control.agent_state import Accepted
from trireme.control.observed import PodView, class_of, deployment_view
from trireme.control.store import AgentView

OVERDUE = timedelta(minutes=1)
"""A kubelet that runs takes a pod away seconds after its time, and one that does not is known to be
gone by then (kube-controller-manager --node-monitor-grace-period: 50 s)."""


def gpus_of_pod(accepted: Accepted, node_class: str) -> int:
    """Of a class that the spec does not have any more, as many as the server's: mostly they are."""
    of_class = (p.agent.spec for p in accepted.pod_sets if p.node_class == node_class)
    return next(of_class, accepted.agent.spec).server.gpus.count


def of_pods(pods: Iterable[PodView], resource: str, now: datetime) -> int:
    """What pods have, and have not had to give back by now."""
    return sum(
        pod.devices.get(resource, 0)
        for pod in pods
        if pod.ends_by is None or now < pod.ends_by + OVERDUE
    )


def beyond_size(
    agent: str, view: AgentView, accepted: Accepted, resource: str, now: datetime
) -> Held:
    """What the pods of an agent have beyond what its size stands for."""
    ending = of_pods((pod for pod in view.server_pods if pod.terminating), resource, now)
    stable = [pod for pod in view.stable_pods if not pod.terminating]
    servers, rollout = view.servers, 0
    for name, live in servers.views.items():
        node_class = class_of(servers.bodies[name])
        pods = [pod for pod in stable if pod.labels.get(names.NODE_CLASS, "") == node_class]
        size = live.replicas * gpus_of_pod(accepted, node_class)
        beyond = max(0, of_pods(pods, resource, now) - size)
        if not beyond:
            continue
        if len({pod.template for pod in pods}) > 1:
            rollout += beyond
        else:
            ending += beyond  # the size is smaller since a moment ago
    return Held(ending, rollout, _canary(agent, view, accepted, resource, now))


def gpus_of_canary_pod(agent: str, view: AgentView, accepted: Accepted, resource: str) -> int:
    """Of these GPUs; where the candidate is not known yet, as many as a stable pod has."""
    canary = view.canary
    deployment = view.deployment(names.canary(agent))
    if canary is not None:
        server, node_class = canary.candidate.agent.spec.server, canary.node_class
    else:
        server = accepted.agent.spec.server
        node_class = class_of(deployment) if deployment is not None else ""
    gpus = by_class(server).get(node_class, server).gpus
    return gpus.count if gpus.resource == resource else 0


def told_size(agent: str, view: AgentView) -> int:
    """The pods that a canary was told to have."""
    deployment = view.deployment(names.canary(agent))
    return deployment_view(deployment).replicas if deployment is not None else 0


def canary_size(agent: str, view: AgentView) -> int:
    """The pods that a canary is to have, whether or not it was told so yet."""
    size, canary = told_size(agent, view), view.canary
    is_on = canary is not None and canary.phase is RolloutPhase.PROGRESSING
    return max(size, canary.replicas) if canary is not None and is_on else size


def _canary(agent: str, view: AgentView, accepted: Accepted, resource: str, now: datetime) -> int:
    """What a canary's pods have, or are to have."""
    there = of_pods((pod for pod in view.canary_pods if not pod.terminating), resource, now)
    size = canary_size(agent, view)
    if not size:
        return there
    return max(there, size * gpus_of_canary_pod(agent, view, accepted, resource))
