"""What pods take of their memory, by what the cluster's metrics API answers."""

from typing import Any

import pytest

from trireme.api import kinds
from trireme.control.memory_use import most_used_bytes
from trireme.edge.cluster import Cluster, Object
from trireme.errors import ClusterError

AGENT = {"namespace": "team", "name": "echo"}


class Metrics(Cluster):
    """The metrics API, as far as it is asked here."""

    def __init__(self, *answers: Object, refusal: int = 0) -> None:
        self._answers, self._refusal = answers, refusal

    async def list(self, *arguments: Any) -> list[Object]:
        selector = "trireme.dev/agent=echo,trireme.dev/track=stable"
        assert arguments == (kinds.POD_METRICS, "team", selector)
        if self._refusal:
            raise ClusterError(self._refusal, "no")
        return [*self._answers]


def pod(**used: Any) -> Object:
    return {"containers": [{"name": name, "usage": {"memory": m}} for name, m in used.items()]}


@pytest.mark.parametrize(
    ("metrics", "used"),
    [
        pytest.param(
            Metrics(pod(triton="700Mi"), pod(triton="716801Ki", other="9Gi"), pod(triton="1Mi")),
            716801 * 1024,
            id="the most that a server takes",
        ),
        pytest.param(Metrics(), None, id="nothing is measured yet"),
        pytest.param(Metrics(pod(other="9Gi")), None, id="nothing of a server is"),
        pytest.param(Metrics(refusal=404), None, id="there is no such API"),
        pytest.param(Metrics(refusal=403), None, id="the operator may not ask"),
        pytest.param(Metrics(refusal=503), None, id="it is away"),
        pytest.param(Metrics(pod(triton="many")), None, id="an answer that is none"),
        pytest.param(Metrics({"containers": None}), None, id="nor this"),
    ],
)
async def test_what_is_not_measured_is_not_known(metrics: Metrics, used: int | None) -> None:
    assert await most_used_bytes(metrics, AGENT) == used
