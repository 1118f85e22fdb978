"""The chart's dashboard: its queries by Prometheus' own parser, of metrics that there are."""

import json
import re
import subprocess
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml

import helm
from integration.prometheus_server import program
from trireme.control.agent_metrics import AgentMetrics
from trireme.control.history import History
from trireme.control.store import Store
from trireme.edge.metrics import Metrics

FILE = helm.CHART / "files" / "dashboard.json"
DASHBOARD: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
PANELS = DASHBOARD["panels"]
QUERIES = [target["expr"] for panel in PANELS for target in panel.get("targets", [])]


def test_prometheus_reads_every_query(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:query:{number}", "expr": re.sub(r"\$\w+", "a", query)}
        for number, query in enumerate(QUERIES)
    ]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    told = subprocess.run(
        [program("promtool"), "check", "rules", file], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stdout + told.stderr


def test_every_query_is_of_metrics_that_there_are() -> None:
    registry = Metrics().registry
    registry.register(AgentMetrics(Store(), History(), lambda: datetime(2026, 1, 1, tzinfo=UTC)))
    variables = [variable["query"] for variable in DASHBOARD["templating"]["list"]]
    asked = [query["query"] for query in variables if isinstance(query, dict)]
    for query in [*QUERIES, *asked]:
        metrics = re.findall(r"\btrireme_\w+", query)
        assert metrics, query
        for metric in metrics:
            assert metric in registry._names_to_collectors, metric


def test_no_panel_lies_on_another() -> None:
    for one, other in combinations([panel["gridPos"] for panel in PANELS], 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)
    ids = [panel["id"] for panel in PANELS]
    assert len(ids) == len(set(ids))


def test_the_chart_makes_a_config_map_of_it_where_it_is_wanted() -> None:
    assert not helm.render()["dashboard.yaml"].strip()
    folder = {"grafana_folder": "Inference"}
    values = {"dashboard": {"enabled": True, "annotations": folder}}
    made = yaml.safe_load(helm.render(values)["dashboard.yaml"])
    assert made["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert made["metadata"]["annotations"] == folder
    assert [json.loads(text) for text in made["data"].values()] == [DASHBOARD]
