"""docs/metrics.md has every metric there is, as the programs themselves describe it."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from trireme.comparer import metrics as comparer
from trireme.control.agent_metrics import AgentMetrics
from trireme.control.history import History
from trireme.control.store import Store
from trireme.edge import metrics as operator

TEXT = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")


def operators() -> CollectorRegistry:
    """All that the leader tells."""
    registry = operator.Metrics().registry
    registry.register(AgentMetrics(Store(), History(), lambda: datetime(2026, 1, 1, tzinfo=UTC)))
    return registry


def table(registry: CollectorRegistry) -> list[str]:
    """A row for each metric, by name. Its labels are told by no public attribute."""
    rows = []
    for collector in registry._collector_to_names:
        for each in collector.describe():
            name = each.name + ("_total" if each.type == "counter" else "")
            labelled = each if isinstance(collector, AgentMetrics) else collector
            labels = ", ".join(f"`{label}`" for label in labelled._labelnames)
            rows.append(f"| `{name}` | {each.type} | {labels} | {each.documentation} |")
    return sorted(rows)


@pytest.mark.parametrize(
    ("title", "registry"),
    [
        pytest.param("Of the operator and its agents", operators(), id="the operator"),
        pytest.param("Of a comparer", comparer.Metrics().registry, id="the comparer"),
    ],
)
def test_every_metric_is_in_the_table(title: str, registry: CollectorRegistry) -> None:
    section = TEXT.partition(f"## {title}\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `.*$", section, re.MULTILINE) == table(registry)
