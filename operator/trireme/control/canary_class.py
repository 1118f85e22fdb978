"""Of which node class a canary's pods are, and what the stable pods are worth beside them. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from trireme.autoscaler.types.capacity import Capacity, OutOfReach
from trireme.control.agent_state import Accepted
from trireme.control.observed import class_of
from trireme.control.store import AgentView

_Known = Mapping[str, Capacity | OutOfReach]


@dataclass(frozen=True, slots=True)
class StablePods:
    """The stable pods that are ready, and those that are wanted, as so many of a canary's class."""

    ready: int
    wanted: int


def class_to_try(view: AgentView, candidate: Accepted) -> str | None:
    """The class that most of the ready stable pods are of, so that a canary's are compared with
    pods on the same hardware; the first of the spec among equals. None where none is ready of a
    class that the candidate has. Without classes it is "".
    """
    ready = {
        class_of(body): view.servers.views[name].ready for name, body in view.servers.bodies.items()
    }
    classes = [pods.node_class for pods in candidate.pod_sets]
    found = max(classes, key=lambda name: ready.get(name, 0))
    return found if ready.get(found) else None


def stable_pods(view: AgentView, node_class: str) -> StablePods:
    """As many of a class as sustain what the stable ones do: 4 that sustain a third each of one of
    its are 2. Where that is not known of both, all count alike.
    """
    servers = view.servers
    known = {
        class_of(body): learning.capacities if (learning := view.learning.get(name)) else {}
        for name, body in servers.bodies.items()
    }
    worth = {name: _worth(of_class, known.get(node_class, {})) for name, of_class in known.items()}
    ready = wanted = 0.0
    for name, live in servers.views.items():
        of_one = worth[class_of(servers.bodies[name])]
        ready += live.ready * of_one
        wanted += live.replicas * of_one
    return StablePods(_whole(ready), _whole(wanted))


def _worth(of_class: _Known, of_canary: _Known) -> float:
    """What a pod sustains, in pods of the canary's class; of several objectives the most."""
    shares = [
        mine.per_second / its.per_second
        for model, mine in of_class.items()
        if isinstance(mine, Capacity) and isinstance(its := of_canary.get(model), Capacity)
    ]
    return max(shares, default=1.0)


def _whole(pods: float) -> int:
    return math.ceil(pods - 1e-9)  # a rounding error of shares is no pod
