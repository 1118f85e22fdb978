"""The share of the requests that a canary gets: the ConfigMap of the gateway's routes. Pure.

It is one that changes in place: the kubelet brings it to the gateway's pods, and Envoy follows, so
no pod is replaced for it. That takes about a minute, and meanwhile they go by the share of before.
So a canary that begins is not let in while some may still give it what the one before it had.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from trireme.api import kinds, names
from trireme.api.agent import AgentDeployment
from trireme.resources.envoy_routes import route_files
from trireme.resources.metadata import Manifest, child

FOLLOWED = timedelta(minutes=2)
"""By when every gateway pod goes by what the ConfigMap says: the kubelet looks at a pod's volumes
every 60 s, up to 90 with its jitter, and not at each at the same time."""


@dataclass(frozen=True, slots=True)
class Share:
    """What the ConfigMap says: the canary's part of the requests, from 0 to 1, and when it last
    became less; None where it never did. `mirrors`: requests are copied where the spec asks for it;
    the ConfigMap does not say so beside the routes.
    """

    weight: float = 0.0
    lowered: datetime | None = None
    mirrors: bool = True

    def then(self, weight: float, now: datetime, *, mirrors: bool = True) -> "Share":
        """The share that follows."""
        return Share(weight, now if weight < self.weight else self.lowered, mirrors)

    def follows_in(self, now: datetime) -> timedelta:
        """How long until no gateway pod goes by a larger one any more."""
        if self.lowered is None:
            return timedelta(0)
        return max(timedelta(0), self.lowered + FOLLOWED - now)


def config_map(agent: AgentDeployment, share: Share) -> Manifest:
    """The routes with a share."""
    lowered = {names.LOWERED: share.lowered.isoformat()} if share.lowered else {}
    return child(
        agent,
        kinds.CONFIG_MAP,
        names.gateway_routes(agent.metadata.name),
        annotations={names.SHARE: f"{share.weight:g}", **lowered},
        data=route_files(agent.spec, share.weight, mirrors=share.mirrors),
    )


def share_of(config_map: Manifest | None) -> Share:
    """What a ConfigMap says, or where there is none, or it is somebody's own work, nothing."""
    annotations = config_map["metadata"].get("annotations", {}) if config_map else {}
    lowered = annotations.get(names.LOWERED)
    try:
        return Share(
            float(annotations.get(names.SHARE, 0.0)),
            datetime.fromisoformat(lowered) if lowered else None,
        )
    except ValueError:
        return Share()
