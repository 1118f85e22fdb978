"""What an agent's pods take of their memory, as the cluster's metrics API tells it.

Many clusters have that API, for HorizontalPodAutoscalers and `kubectl top`; Triton itself knows of
the whole node's memory alone. It is asked when more instances are about to be tried, and no more.
"""

import logging
from decimal import DecimalException

from trireme.api import kinds, names
from trireme.api.scalars import quantity_value
from trireme.edge.cluster import Cluster, Object
from trireme.errors import ClusterError

logger = logging.getLogger(__name__)


async def most_used_bytes(cluster: Cluster, agent: Object) -> int | None:
    """The most that the server of a stable pod takes, of the agent with this metadata; None where
    that is not measured.
    """
    selector = f"{names.AGENT}={agent['name']},{names.TRACK}={names.TRACK_STABLE}"
    try:
        pods = await cluster.list(kinds.POD_METRICS, agent["namespace"], selector)
        return max(
            (
                int(quantity_value(container["usage"]["memory"]))
                for pod in pods
                for container in pod["containers"]
                if container["name"] == names.SERVER_CONTAINER
            ),
            default=None,
        )
    except (ClusterError, KeyError, TypeError, DecimalException) as error:
        # There is no such API, it is away, or the operator may not ask it.
        logger.info("%s/%s: no memory is measured: %s", agent["namespace"], agent["name"], error)
        return None
