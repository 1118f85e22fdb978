"""What a scaling round asks Prometheus: what some agent needs, and nothing that nobody reads."""

from typing import Any

import pytest

from agents import agent_of, model_of
from trireme.api.agent import AgentSpec
from trireme.autoscaler.policy import latencies_of
from trireme.autoscaler.queries import SERVER_LATENCIES, Labels, Query
from trireme.control.sampling import questions
from unit.autoscaling import WINDOW

EVERY = frozenset(Query)


def objective(model: str, percentile: int = 95, target: str = "100ms") -> dict[str, Any]:
    return {"model": model, "latency": {"percentile": percentile, "target": target}}


def spec(*objectives: dict[str, Any], gateway: bool = True) -> AgentSpec:
    told = {"objectives": list(objectives), "gateway": {"enabled": gateway}}
    return agent_of(models=[model_of("a"), model_of("b")], **told).spec


BY_GATEWAY = spec(objective("a"))


@pytest.mark.parametrize(
    ("specs", "asked"),
    [
        pytest.param([], frozenset(), id="no agent"),
        pytest.param([spec()], frozenset(), id="no objective"),
        pytest.param(
            [BY_GATEWAY, BY_GATEWAY, spec()],
            EVERY - SERVER_LATENCIES,
            id="gateways tell all latencies",
        ),
        pytest.param([BY_GATEWAY, spec(objective("a"), gateway=False)], EVERY, id="no gateway"),
        pytest.param(
            [BY_GATEWAY, spec(objective("a"), objective("b"))],
            EVERY,
            id="objectives that a gateway cannot tell apart",
        ),
    ],
)
def test_the_servers_latencies_are_asked_for_where_somebody_reads_them(
    specs: list[AgentSpec], asked: frozenset[Query]
) -> None:
    assert questions(map(latencies_of, specs), WINDOW, Labels()).keys() == asked


def test_every_percentile_and_target_is_asked_for() -> None:
    specs = [spec(objective("a", 95, "100ms")), spec(objective("b", 99, "250ms"))]
    asked = questions(map(latencies_of, specs), WINDOW, Labels())
    for quantile in ("0.95", "0.99"):
        assert f'"quantile", "{quantile}"' in asked[Query.GATEWAY_HISTOGRAM]
    for edge in ("100", "250"):
        assert f"|{edge}|" in f"|{asked[Query.GATEWAY_LATE]}".replace('"', "|")
