"""Users' own queries against a real Prometheus."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from integration.prometheus_server import prometheus
from trireme.api.conditions import Reason
from trireme.autoscaler import outside
from trireme.autoscaler.types.observation import Outside
from trireme.autoscaler.types.signals import NoSignals
from trireme.edge.demand import DemandQueries
from trireme.edge.prometheus import Access
from trireme.errors import SignalsUnavailable

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
WAITING = [
    f'waiting{{queue="{queue}"}} {count} {NOW.timestamp():.0f}'
    for queue, count in (("a", 3), ("b", 4), ("c", 5))
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory: Path = tmp_path_factory.mktemp("prometheus")
    with prometheus(directory, ["# TYPE waiting gauge", *WAITING]) as url:
        yield url


async def test_every_query_has_an_answer_or_a_reason_of_its_own(server: str) -> None:
    told = {
        "sum(waiting) / 30": Outside(0.4),
        'waiting{queue="a"}': Outside(3),
        "scalar(sum(waiting))": Outside(12),
        "2.5": Outside(2.5),
        "waiting": Reason.NOT_A_NUMBER,
        "sum(waiting_elsewhere)": Reason.NO_SERIES,
        "sum(waiting_elsewhere) or vector(0)": Outside(0),
        "0 / 0": Reason.NOT_A_NUMBER,
    }
    refused = {"sum(waiting": "unclosed left parenthesis", "waiting[5m]": "instant vector"}
    async with DemandQueries(Access(server, timeout_seconds=30)) as demand:
        answers = await demand.round([*told, *refused], NOW)
    assert answers.keys() == told.keys() | refused.keys()
    for query, expected in told.items():
        answer = answers[query]
        assert not isinstance(answer, SignalsUnavailable)
        found = outside.told(query, answer)
        assert (found.reason if isinstance(found, NoSignals) else found) == expected, query
    for query, words in refused.items():
        assert isinstance(answers[query], SignalsUnavailable)
        assert f"the query {query}" in str(answers[query])
        assert words in str(answers[query])


async def test_nothing_is_asked_where_no_agent_has_a_query() -> None:
    async with DemandQueries(Access("http://127.0.0.1:1", timeout_seconds=5)) as demand:
        assert await demand.round([], NOW) == {}
