"""The chart's alerts by the real promtool: over which samples each fires, and over which not."""

import re
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

import helm
from integration.prometheus_server import program
from trireme.api.conditions import ConditionType, Reason
from trireme.control.agent_metrics import AgentMetrics
from trireme.control.history import History
from trireme.control.store import Store
from trireme.edge.metrics import Metrics

RULES = helm.CHART / "files" / "alerts.yaml"
TEXT = RULES.read_text(encoding="utf-8")
RUNBOOK = (Path(__file__).parents[2] / "docs" / "runbook.md").read_text(encoding="utf-8")
GROUPS = yaml.safe_load(TEXT)["groups"]
ALERTS = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}


@dataclass(frozen=True)
class Case:
    """Samples of each minute; when to look; whom the alert speaks of then, in its summary."""

    alert: str
    samples: dict[str, str]
    minute: int
    firing: dict[str, str] | None = None
    summary: str = ""


def condition(type: str, status: str, reason: str) -> str:
    labels = f'namespace="team",agent="echo",type="{type}",status="{status}",reason="{reason}"'
    return f"trireme_agent_condition{{{labels}}}"


def of_model(metric: str) -> str:
    return f'trireme_agent_{metric}{{namespace="team",agent="echo",model="m"}}'


LEADER = 'trireme_leader{pod="a"}'
WAITING = 'trireme_leader{pod="b"}'
RETRIES = 'trireme_reconciliations_total{pod="a",result="retry"}'
DONE = 'trireme_reconciliations_total{pod="a",result="done"}'
FAST = 'trireme_autoscale_round_seconds_bucket{pod="a",le="5.0"}'
ALL = 'trireme_autoscale_round_seconds_bucket{pod="a",le="+Inf"}'
MOST = 'trireme_autoscale_round_seconds_bucket{pod="a",le="7.5"}'
FAILURES = 'trireme_prometheus_failures_total{pod="a"}'
LOST = 'trireme_events_lost_total{pod="a",type="Warning",cause="limit"}'
AVAILABLE = condition("Available", "True", "PodsReady")
UNAVAILABLE = condition("Available", "False", "NoPodsReady")
DIRECT = 'trireme_agent_signals_read_directly{namespace="team",agent="echo"}'
ECHO = {"namespace": "team", "agent": "echo"}
MODEL = {**ECHO, "model": "m"}

CASES = [
    pytest.param(
        Case(
            "TriremeNoLeader",
            {WAITING: "0x20"},
            6,
            {},
            "No Trireme operator acts, or none is scraped; agents serve on, and are not scaled or "
            "repaired.",
        ),
        id="nobody leads",
    ),
    pytest.param(Case("TriremeNoLeader", {WAITING: "0x20"}, 4), id="another takes over"),
    pytest.param(
        Case("TriremeNoLeader", {WAITING: "0x20", LEADER: "1x20"}, 20), id="somebody leads"
    ),
    pytest.param(
        Case(
            "TriremePassesFail",
            {RETRIES: "0+1x30", DONE: "0+9x30"},
            20,
            {"result": "retry"},
            'Passes over agents have ended in "retry" for 15 minutes.',
        ),
        id="a pass fails each minute",
    ),
    pytest.param(
        Case("TriremePassesFail", {RETRIES: "0 3x30", DONE: "0+9x30"}, 20), id="some failed once"
    ),
    pytest.param(
        Case(
            "TriremeRoundsSlow",
            {FAST: "0+2x30", MOST: "0+4x30", ALL: "0+4x30"},
            25,
            {},
            "One scaling round in ten takes longer than 7s.",
        ),
        id="half of the rounds take longer than the time between them",
    ),
    pytest.param(
        Case("TriremeRoundsSlow", {FAST: "0+39x30", MOST: "0+40x30", ALL: "0+40x30"}, 25),
        id="a round in forty does",
    ),
    pytest.param(
        Case(
            "TriremePrometheusFails",
            {FAILURES: "0+12x30"},
            15,
            {},
            "Prometheus has failed to answer scaling rounds for 10 minutes.",
        ),
        id="no round is answered",
    ),
    pytest.param(
        Case("TriremePrometheusFails", {FAILURES: "0 12x30"}, 15), id="a minute of rounds is not"
    ),
    pytest.param(
        Case(
            "TriremeEventsLost",
            {LOST: "0 0 0 4x30"},
            5,
            {"type": "Warning", "cause": "limit"},
            "Events of type Warning were not posted, cause: limit.",
        ),
        id="warnings are lost",
    ),
    pytest.param(Case("TriremeEventsLost", {LOST: "0x30"}, 20), id="no Event is lost"),
    pytest.param(
        Case(
            "TriremeAgentUnavailable",
            {AVAILABLE: "1x9 stale", UNAVAILABLE: "_x9 1x20"},
            16,
            ECHO,
            "No pod of team/echo answers.",
        ),
        id="an agent's pods are gone",
    ),
    pytest.param(
        Case("TriremeAgentUnavailable", {UNAVAILABLE: "1x40"}, 30), id="a new agent loads models"
    ),
    pytest.param(
        Case(
            "TriremeAgentUnavailable",
            {AVAILABLE: "1x9 stale", condition("Available", "False", "ScaledToZero"): "_x9 1x20"},
            20,
        ),
        id="an agent is to have no pod",
    ),
    pytest.param(
        Case(
            "TriremeAgentStalled",
            {condition("Stalled", "True", "InvalidSpec"): "1x20"},
            6,
            {**ECHO, "reason": "InvalidSpec"},
            "team/echo needs a change by somebody: InvalidSpec.",
        ),
        id="a spec is refused",
    ),
    pytest.param(
        Case("TriremeAgentStalled", {condition("Stalled", "False", "Valid"): "1x20"}, 20),
        id="nothing is stalled",
    ),
    pytest.param(
        Case(
            "TriremeAgentNotReady",
            {
                condition("Ready", "False", "RollingOut"): "1x14 stale",
                condition("Ready", "False", "ImagePullFailed"): "_x14 1x40",
            },
            32,
            ECHO,
            "team/echo has not been rolled out and available for 30 minutes.",
        ),
        id="a rollout does not end, for one reason after the other",
    ),
    pytest.param(
        Case("TriremeAgentNotReady", {condition("Ready", "False", "TryingCanary"): "1x90"}, 90),
        id="a canary is tried for long",
    ),
    pytest.param(
        Case(
            "TriremeAgentSignalsLost",
            {condition("SignalsAvailable", "False", "NoSeries"): "1x20"},
            11,
            ECHO,
            "team/echo is held at its size: its scaling signals are missing.",
        ),
        id="nothing tells of an agent",
    ),
    pytest.param(
        Case(
            "TriremeAgentSignalsLost",
            {condition("SignalsAvailable", "False", "NoPods"): "1x20"},
            20,
        ),
        id="there is no pod to tell of",
    ),
    pytest.param(
        Case(
            "TriremeAgentReadDirectly",
            {DIRECT: "1x40"},
            31,
            ECHO,
            "Prometheus has not covered the pods of team/echo for 30 minutes.",
        ),
        id="pods are read directly",
    ),
    pytest.param(
        Case("TriremeAgentReadDirectly", {DIRECT: "0x40"}, 40), id="Prometheus tells of the pods"
    ),
    pytest.param(
        Case(
            "TriremeAgentLatencyMissed",
            {
                of_model("latency_seconds"): "0.3x20",
                of_model("latency_objective_seconds"): "0.2x20",
            },
            11,
            MODEL,
            "m of team/echo has been over its latency objective for 10 minutes: at 150% of it.",
        ),
        id="a latency is over its objective",
    ),
    pytest.param(
        Case(
            "TriremeAgentLatencyMissed",
            {
                of_model("latency_seconds"): "0.3x8 0.1 0.3x20",
                of_model("latency_objective_seconds"): "0.2x30",
            },
            15,
        ),
        id="a latency is within its objective now and then",
    ),
    pytest.param(
        Case("TriremeAgentLatencyMissed", {of_model("latency_objective_seconds"): "0.2x20"}, 20),
        id="a latency is not known",
    ),
    pytest.param(
        Case(
            "TriremeAgentFailures",
            {of_model("failure_ratio"): "0.05x20", of_model("failure_ratio_objective"): "0.01x20"},
            11,
            MODEL,
            "m of team/echo fails 5% of its requests.",
        ),
        id="too many requests fail",
    ),
    pytest.param(
        Case(
            "TriremeAgentFailures",
            {of_model("failure_ratio"): "0.01x20", of_model("failure_ratio_objective"): "0.01x20"},
            20,
        ),
        id="as many fail as may",
    ),
    pytest.param(
        Case(
            "TriremeAgentForeignWriter",
            {condition("AutoscalingActive", "False", "ForeignWriter"): "1x20"},
            16,
            ECHO,
            "Somebody else set the size of team/echo; Trireme does not scale it.",
        ),
        id="somebody set a size",
    ),
    pytest.param(
        Case(
            "TriremeAgentForeignWriter",
            {condition("AutoscalingActive", "True", "WithinTarget"): "1x20"},
            20,
        ),
        id="Trireme scales",
    ),
]


@pytest.mark.parametrize("case", CASES)
def test_an_alert_fires_when_it_should_and_only_then(case: Case, tmp_path: Path) -> None:
    runbook = f"docs/runbook.md#{case.alert.lower()}"
    severity = ALERTS[case.alert]["labels"]
    firing = (
        []
        if case.firing is None
        else [
            {
                "exp_labels": {**case.firing, **severity},
                "exp_annotations": {"summary": case.summary, "runbook": runbook},
            }
        ]
    )
    test: dict[str, Any] = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": s, "values": v} for s, v in case.samples.items()],
                "alert_rule_test": [
                    {
                        "eval_time": f"{case.minute}m",
                        "alertname": case.alert,
                        "exp_alerts": firing,
                    }
                ],
            }
        ],
    }
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump(test), encoding="utf-8")
    told = subprocess.run(
        [program("promtool"), "test", "rules", file], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stdout + told.stderr


def test_each_alert_is_tried_both_ways() -> None:
    tried = {(case.alert, case.firing is not None) for (case,) in (each.values for each in CASES)}
    assert tried == {(alert, fires) for alert in ALERTS for fires in (True, False)}


def test_alerts_speak_of_metrics_and_words_that_there_are() -> None:
    registry = Metrics().registry
    registry.register(AgentMetrics(Store(), History(), lambda: datetime(2026, 1, 1, tzinfo=UTC)))
    for rule in ALERTS.values():
        for metric in re.findall(r"\btrireme_\w+", rule["expr"]):
            assert metric in registry._names_to_collectors, metric
        for word in re.findall(r'\btype="(\w+)"', rule["expr"]):
            assert word in set(ConditionType), word
        for words in re.findall(r'\breason[!=~]+"([\w|]+)"', rule["expr"]):
            assert set(words.split("|")) <= set(Reason), words


def test_each_alert_has_its_place_in_the_runbook() -> None:
    assert re.findall(r"^### (Trireme\w+)$", RUNBOOK, re.MULTILINE) == list(ALERTS)


def test_promtool_finds_nothing_to_say_of_the_rules() -> None:
    command = [program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", RULES]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr


def test_the_chart_makes_a_rule_of_the_file_where_it_is_wanted() -> None:
    assert not helm.render()["alerts.yaml"].strip()
    labels = {"release": "prometheus"}
    rule = yaml.safe_load(
        helm.render({"alerts": {"enabled": True, "labels": labels}})["alerts.yaml"]
    )
    assert rule["kind"] == "PrometheusRule"
    assert rule["metadata"]["labels"]["release"] == "prometheus"
    assert rule["spec"]["groups"] == GROUPS


def test_the_rule_has_ones_own_labels_and_links_and_leaves_alerts_out() -> None:
    url = "https://wiki.example/runbook.md"
    own = {"ruleLabels": {"team": "a", "severity": "page"}, "runbookURL": url}
    alerts = {"enabled": True, "disabled": ["TriremeEventsLost"], **own}
    rule = yaml.safe_load(helm.render({"alerts": alerts})["alerts.yaml"])
    rules = {each["alert"]: each for group in rule["spec"]["groups"] for each in group["rules"]}
    assert list(rules) == [alert for alert in ALERTS if alert != "TriremeEventsLost"]
    for alert, each in rules.items():
        assert each["labels"] == {"team": "a", **ALERTS[alert]["labels"]}
        assert each["annotations"]["runbook_url"] == f"{url}#{alert.lower()}"
        assert each["expr"] == ALERTS[alert]["expr"]


def test_rounds_are_slow_by_the_time_that_is_between_them() -> None:
    values = {"alerts": {"enabled": True}, "autoscaleIntervalSeconds": 2.5}
    groups = yaml.safe_load(helm.render(values)["alerts.yaml"])["spec"]["groups"]
    expressions = [rule["expr"] for group in groups for rule in group["rules"]]
    assert ALERTS["TriremeRoundsSlow"]["expr"].removesuffix(" > 5") + " > 2.5" in expressions


def test_an_alert_that_is_none_cannot_be_left_out() -> None:
    with pytest.raises(helm_python.HelmError, match=r"alerts\.disabled has TriremeNoLeaders"):
        helm.render({"alerts": {"enabled": True, "disabled": ["TriremeNoLeaders"]}})
