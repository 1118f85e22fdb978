"""`trireme run` against a real API server: children, ownership, faults, repair, leadership.

There are no nodes here, so no pod ever becomes ready: what needs pods is in tests/e2e.
"""

import base64
import json
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from integration.api_server import define_agents
from integration.operator_process import (
    OPERATOR_KEY,
    OTHER_PORT,
    PORT,
    finish_rollout,
    live_configurations,
    operator,
    started,
)
from integration.prometheus_server import prometheus
from kube import Kube, merged, objects
from ports import free_port
from trireme.api.node_cache import NodeCacheKey
from trireme.resources.control import OperatorKey

EXAMPLES = Path(__file__).parents[2] / "examples"
EMPTY = {"apiVersion": "trireme.dev/v1alpha1", "kind": "AgentDeployment"}


def echo(**spec: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    agent, files = objects(EXAMPLES / "echo.yaml")
    return merged(agent, {"spec": spec}), files


def accepted(kube: Kube) -> str:
    return kube.conditions("echo").get("Accepted", ("",))[0]


def test_an_agent_is_accepted_refused_and_accepted_again_and_its_children_stay(
    team: Kube, tmp_path: Path
) -> None:
    agent, files = echo()
    with operator(team, tmp_path / "log"):
        team.apply(files, agent)
        team.until("accepted", lambda: accepted(team) == "True", 60, "echo")
        team.until("its Deployment", lambda: team.replicas("echo") == 1, 60, "echo")
        names = {(o["kind"], o["metadata"]["name"]) for o in team.all("deploy,svc,pdb,sa")}
        for child in (("Deployment", "echo"), ("Deployment", "echo-gateway"), ("Service", "echo")):
            assert child in names
        before = team.get("deployment", "echo")["metadata"]["generation"]

        team.apply(
            merged(
                agent,
                {
                    "spec": {
                        "objectives": [
                            {"model": "duble", "latency": {"percentile": 95, "target": "100ms"}}
                        ]
                    }
                },
            )
        )
        team.until("refused", lambda: accepted(team) == "False", 60, "echo")
        message = team.conditions("echo")["Accepted"][2]
        assert "spec.objectives[0].model" in message
        assert "double" in message
        assert team.get("deployment", "echo")["metadata"]["generation"] == before

        team.apply(agent)
        team.until("accepted again", lambda: accepted(team) == "True", 60, "echo")

        def reasons() -> list[str]:
            return [reason for reason, _ in team.events("echo") if reason != "SignalsLost"]

        told = ["Accepted", "InvalidSpec", "Accepted"]
        team.until("each told once", lambda: reasons() == told, 60, "echo")


def test_the_servers_take_their_control_key_from_a_secret_that_outlives_the_operator(
    team: Kube, tmp_path: Path
) -> None:
    agent, files = echo()
    with operator(team, tmp_path / "one"):
        team.apply(files, agent)
        team.until("its Deployment", lambda: owners(team) == ["trireme-scale"], 60, "echo")
    (secret,) = team.all("secret", "trireme.dev/owner=echo")
    uid = team.get("agd", "echo")["metadata"]["uid"]
    derived = OperatorKey(OPERATOR_KEY).of_agent(uid)
    assert base64.b64decode(secret["data"]["key"]).decode() == derived
    assert secret["immutable"] is True
    assert [owner["uid"] for owner in secret["metadata"]["ownerReferences"]] == [uid]

    (container,) = team.get("deployment", "echo")["spec"]["template"]["spec"]["containers"]
    (variable,) = [v for v in container["env"] if v["name"] == "TRIREME_CONTROL_KEY"]
    source = variable["valueFrom"]["secretKeyRef"]
    assert source == {"name": secret["metadata"]["name"], "key": "key"}
    assert derived not in json.dumps(container)

    with operator(team, tmp_path / "two"):
        team.until("looked at it", lambda: looked_at(PORT, team.namespace), 60, "echo")
    assert team.all("secret", "trireme.dev/owner=echo") == [secret]
    for log in ("one", "two"):
        assert derived not in (tmp_path / log).read_text()


def test_the_pods_take_a_token_of_their_namespace_for_the_caches_of_the_nodes(
    team: Kube, tmp_path: Path
) -> None:
    agent, files = echo(download={"cache": {"node": True}})
    with operator(team, tmp_path / "without"):
        team.apply(files, agent)
        team.until("warned", lambda: "SpecWarning" in dict(team.events("echo")), 60, "echo")
        assert "nodeCache.enabled: true" in dict(team.events("echo"))["SpecWarning"]
    assert len(team.all("secret", "trireme.dev/owner=echo")) == 1

    key = tmp_path / "node-cache-key"
    key.write_bytes(bytes(range(32, 64)))
    access = {
        "TRIREME_NODE_CACHE_URL": "http://cache.trireme:8004",
        "TRIREME_NODE_CACHE_KEY_FILE": str(key),
    }
    token = NodeCacheKey(key.read_bytes()).token(team.namespace)
    with operator(team, tmp_path / "with", **access):
        team.until(
            "two", lambda: len(team.all("secret", "trireme.dev/owner=echo")) == 2, 60, "echo"
        )
    secrets = [secret["data"] for secret in team.all("secret", "trireme.dev/owner=echo")]
    (data,) = [data for data in secrets if "token" in data]
    assert base64.b64decode(data["token"]).decode() == token
    assert token not in (tmp_path / "with").read_text()


def test_without_its_key_the_operator_does_not_start_and_says_what_is_missing(
    team: Kube, tmp_path: Path
) -> None:
    with started(
        team, tmp_path / "log", TRIREME_CONTROL_KEY_FILE=str(tmp_path / "none")
    ) as process:
        assert process.wait(60) == 1
    (line,) = [json.loads(text) for text in (tmp_path / "log").read_text().splitlines()]
    assert "TRIREME_CONTROL_KEY_FILE: " in line["message"]
    assert line["severity"] == "error"


def test_a_missing_config_map_is_named_and_waited_for(team: Kube, tmp_path: Path) -> None:
    agent, files = echo()
    with operator(team, tmp_path / "log"):
        team.apply(agent)
        team.until("refused", lambda: accepted(team) == "False", 60, "echo")
        status, reason, message = team.conditions("echo")["Accepted"]
        assert (status, reason) == ("False", "SourceNotFound")
        assert files["metadata"]["name"] in message
        team.apply(files)
        team.until("accepted", lambda: accepted(team) == "True", 60, "echo")


def test_the_size_has_one_owner_from_the_first_moment_and_a_foreign_one_is_respected(
    team: Kube, tmp_path: Path
) -> None:
    agent, files = echo(scaling={"min": 2, "max": 5})
    with operator(team, tmp_path / "log"):
        team.apply(files, agent)
        team.until("made at its minimum", lambda: team.replicas("echo") == 2, 60, "echo")
        team.until("one owner", lambda: owners(team) == ["trireme-scale"], 60, "echo")
        team.run("scale", "deployment", "echo", "--replicas=4")
        team.until("noticed", lambda: active(team) == "ForeignWriter", 60, "echo")
        team.run("annotate", "agd", "echo", "trireme.dev/command=resume")
        team.until("taken back", lambda: "trireme-scale" in owners(team), 60, "echo")
        team.until("told so", lambda: active(team) == "NoSignals", 60, "echo")
        assert team.replicas("echo") == 4

        def commands() -> bool:
            annotations = team.get("agd", "echo")["metadata"].get("annotations", {})
            return "trireme.dev/command" in annotations

        team.until("the command is taken", lambda: not commands(), 60, "echo")
        team.run("delete", "deployment", "echo")
        team.until("back at its size", lambda: team.replicas("echo") == 4, 60, "echo")


def test_a_schedule_sets_the_bounds_while_its_window_is_open(team: Kube, tmp_path: Path) -> None:
    always = {"schedule": "* * * * *", "timeZone": "Europe/Berlin", "duration": "1h", "min": 3}
    agent, files = echo(scaling={"min": 1, "max": 5, "schedules": [always]})
    with operator(team, tmp_path / "log"):
        team.apply(files, agent)
        team.until("as many as it asks for", lambda: team.replicas("echo") == 3, 60, "echo")

        def told() -> str:
            return dict(team.events("echo")).get("ScaledUp", "")

        words = "1 pod, fewer than scaling.schedules[0].min 3 until "
        team.until("said so", lambda: told().startswith(words), 60, "echo")
        never = {"scaling": {"schedules": [always | {"schedule": "61 * * * *"}]}}
        team.apply(merged(agent, {"spec": never}))
        team.until("refused", lambda: accepted(team) == "False", 60, "echo")
        assert "schedules[0].schedule: its minute" in team.conditions("echo")["Accepted"][2]
        assert team.replicas("echo") == 3


def test_the_pods_of_a_window_are_asked_for_a_lead_time_before_it_opens(
    team: Kube, tmp_path: Path
) -> None:
    opens = datetime.now(UTC) + timedelta(minutes=30)  # noqa: TID251  # the operator's own clock
    soon = {"schedule": f"{opens.minute} {opens.hour} * * *", "duration": "1h", "min": 3}
    agent, files = echo(scaling={"min": 1, "max": 5, "schedules": [soon]})
    team.apply(files, agent)
    stages = {"scheduleSeconds": 2, "pullSeconds": 10, "fetchSeconds": 0, "loadSeconds": 30}
    lead = {"template": "6d5f", "p95Seconds": 2400, "medianSeconds": 42, "samples": 17}
    write_scaling(team, {"leadTime": {**lead, "stages": stages}})
    with operator(team, tmp_path / "log"):
        team.until("as many as it will ask for", lambda: team.replicas("echo") == 3, 60, "echo")
        words = "1 pod, fewer than scaling.schedules[0].min 3 from "
        team.until(
            "said so",
            lambda: dict(team.events("echo")).get("ScaledUp", "").startswith(words),
            60,
            "echo",
        )


def test_an_agent_has_no_pod_while_nobody_asks_and_one_as_soon_as_somebody_does(
    team: Kube, tmp_path: Path
) -> None:
    def asked(query: str) -> dict[str, Any]:
        demand = {"query": query, "cooldownPeriod": "0s"}
        return merged(agent, {"spec": {"scaling": {"min": 0, "demand": demand}}})

    agent, files = echo(gateway={"enabled": False})
    (tmp_path / "prometheus").mkdir()
    with (
        prometheus(tmp_path / "prometheus", ["# TYPE up gauge", "up 1 1767268800"]) as url,
        operator(team, tmp_path / "log", TRIREME_PROMETHEUS_URL=url),
    ):
        team.apply(files, asked("sum(nothing_of_this_name)"))
        team.until("told the loss", lambda: signals(team) == "NoSeries", 60, "echo")
        assert team.replicas("echo") == 1, "what is not known is not zero"

        team.apply(asked("vector(0)"))
        team.until("emptied", lambda: team.replicas("echo") == 0, 60, "echo")
        finish_rollout(team, "echo")
        ready = ("True", "ScaledToZero")
        team.until("is Ready", lambda: team.conditions("echo")["Ready"][:2] == ready, 60, "echo")
        assert team.conditions("echo")["Available"][:2] == ("False", "ScaledToZero")
        assert signals(team) == "Fresh"
        words = (
            "0 req/s outside (scaling.demand) and no pod ready: 1 → 0 (nothing was asked for 0s)"
        )
        team.until(
            "said so", lambda: dict(team.events("echo")).get("ScaledDown") == words, 60, "echo"
        )

        team.apply(asked("sum(nothing_of_this_name)"))
        team.until("told the loss", lambda: signals(team) == "NoSeries", 60, "echo")
        assert team.replicas("echo") == 0

        team.apply(asked("3"))
        team.until("started", lambda: team.replicas("echo") == 1, 60, "echo")
        words = "3 req/s outside (scaling.demand) and no pod ready: 0 → 1"
        team.until(
            "said so", lambda: dict(team.events("echo")).get("ScaledUp") == words, 60, "echo"
        )


def signals(kube: Kube) -> str:
    return kube.conditions("echo").get("SignalsAvailable", ("", ""))[1]


def test_agents_share_a_budget_of_gpus_by_priority(team: Kube, tmp_path: Path) -> None:
    def sharing(budget: dict[str, Any] | None) -> dict[str, Any]:
        scaling = {"min": 0, "demand": {"query": "5"}, "budget": budget}
        one_gpu = {"gpus": {"count": 1}}
        spec = {"gateway": {"enabled": False}, "server": one_gpu, "scaling": scaling}
        return merged(agent, {"spec": spec})

    def why() -> str:
        message = team.conditions("echo").get("AutoscalingActive", ("", "", ""))[2]
        return message.removeprefix("5 req/s outside (scaling.demand) and no pod ready: ")

    agent, files = echo()
    vital = merged(sharing({"name": "team-a", "priority": 100}), {"metadata": {"name": "vital"}})
    (tmp_path / "prometheus").mkdir()
    with (
        prometheus(tmp_path / "prometheus", ["# TYPE up gauge", "up 1 1767268800"]) as url,
        operator(
            team,
            tmp_path / "log",
            TRIREME_PROMETHEUS_URL=url,
            TRIREME_GPU_BUDGETS='[{"name": "team-a", "gpus": 1}]',
        ),
    ):
        team.apply(files, vital, sharing({"name": "team-a"}))
        team.until("none is left", lambda: team.replicas("echo") == 0, 240, "echo")
        team.until("the vital has one", lambda: team.replicas("vital") == 1, 60, "vital")
        words = "0 held, 1 wanted (limited by GPU budget team-a: 1 of 1 GPUs given)"
        team.until("told why", lambda: why() == words, 60, "echo")
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/metrics") as answer:
            assert b'trireme_gpu_budget_gpus{budget="team-a",kind="wanted"} 2.0' in answer.read()

        team.apply(sharing(None))
        team.until("not bounded", lambda: team.replicas("echo") == 1, 60, "echo")


def test_a_hand_edit_is_repaired_and_a_child_no_longer_wanted_is_deleted(
    team: Kube, tmp_path: Path
) -> None:
    agent, files = echo()
    with operator(team, tmp_path / "log"):
        team.apply(files, agent)
        team.until("its Service", lambda: team.find("service", "echo"), 60, "echo")
        team.run("patch", "service", "echo", "-p", '{"spec":{"selector":{"app":"other"}}}')

        def selector() -> dict[str, str]:
            found: dict[str, str] = team.get("service", "echo")["spec"]["selector"]
            return found

        team.until("repaired", lambda: selector().get("trireme.dev/gateway") == "echo", 60, "echo")
        team.apply(merged(agent, {"spec": {"gateway": {"enabled": False}}}))
        gone = lambda: team.find("deployment", "echo-gateway") is None  # noqa: E731
        team.until("the gateway is gone", gone, 60, "echo")
        assert selector().get("trireme.dev/agent") == "echo"


def test_a_deployment_of_the_same_name_that_is_not_ours_is_never_taken_over(
    team: Kube, tmp_path: Path
) -> None:
    team.run("create", "deployment", "echo", "--image=example.com/other")
    agent, files = echo()
    with operator(team, tmp_path / "log"):
        team.apply(files, agent)
        team.until(
            "told",
            lambda: team.conditions("echo").get("Stalled", ("", ""))[1] == "ApplyFailed",
            60,
            "echo",
        )
    containers = team.get("deployment", "echo")["spec"]["template"]["spec"]["containers"]
    assert [c["image"] for c in containers] == ["example.com/other"]


@pytest.mark.parametrize("kind", ["service", "serviceaccount"])
def test_whatever_has_the_name_of_a_child_and_is_not_ours_stops_the_agent_before_it_starts(
    team: Kube, tmp_path: Path, kind: str
) -> None:
    agent, files = echo()
    name = {"service": "echo", "serviceaccount": "echo-gateway"}[kind]
    foreign = {"apiVersion": "v1", "metadata": {"name": name, "labels": {"app": "other"}}}
    if kind == "service":
        team.apply({**foreign, "kind": "Service", "spec": {"ports": [{"port": 80}]}})
    else:
        team.apply({**foreign, "kind": "ServiceAccount"})
    with operator(team, tmp_path / "log"):
        team.apply(files, agent)

        def told() -> bool:
            _, reason, message = team.conditions("echo").get("Stalled", ("", "", ""))
            return reason == "ApplyFailed" and f"named {name} exists" in message

        team.until("told", told, 60, "echo")
        assert team.find("deployment", "echo") is None
        team.run("delete", kind, name)
        team.until("applied", lambda: team.replicas("echo") == 1, 60, "echo")
        assert "DriftRepaired" not in [reason for reason, _ in team.events("echo")]


def test_a_restart_of_the_operator_writes_nothing_where_nothing_changed(
    team: Kube, tmp_path: Path
) -> None:
    agent, files = echo()
    with operator(team, tmp_path / "one"):
        team.apply(files, agent)
        team.until("accepted", lambda: accepted(team) == "True", 60, "echo")
        team.until("its Deployment", lambda: owners(team) == ["trireme-scale"], 60, "echo")
        team.until("decided on", lambda: active(team) == "NoSignals", 60, "echo")
        team.until("looked at it", lambda: looked_at(PORT, team.namespace), 60, "echo")
    versions = [o["metadata"]["resourceVersion"] for o in team.all("agd,deploy,svc,cm,pdb,sa")]
    told = team.events("echo")
    with operator(team, tmp_path / "two"):
        team.until("looked at it", lambda: looked_at(PORT, team.namespace), 60, "echo")
    after = [o["metadata"]["resourceVersion"] for o in team.all("agd,deploy,svc,cm,pdb,sa")]
    assert after == versions
    assert team.events("echo") == told


def test_what_was_learnt_of_a_pod_outlives_the_operator_and_of_another_model_is_an_earlier_one(
    team: Kube, tmp_path: Path
) -> None:
    agent, files = echo()
    with operator(team, tmp_path / "one"):
        team.apply(files, agent)
        team.until("its Deployment", lambda: owners(team) == ["trireme-scale"], 60, "echo")
        team.until("looked at it", lambda: looked_at(PORT, team.namespace), 60, "echo")
    curve = {
        "model": "double",
        "modelDigest": "another",
        "fixedMilliseconds": 6,
        "perRequestMilliseconds": 2,
        "maxBatch": 1,
        "noise": 0,
        "executions": 600,
        "source": "Batches",
        "sustainedPerSecond": 90,
        "factor": 0.8,
    }
    write_curves(team, [curve])
    with operator(team, tmp_path / "two"):
        team.until("told of as earlier", lambda: sources(team) == ["Earlier"], 60, "echo")
    curve["modelDigest"] = curves(team)[0]["modelDigest"]
    write_curves(team, [curve])
    with operator(team, tmp_path / "three"):
        team.until("told of again", lambda: active(team) != "", 60, "echo")
        assert curves(team) == [curve]


def test_how_long_pods_take_to_start_is_measured_and_outlives_the_operator(
    team: Kube, tmp_path: Path
) -> None:
    agent, files = echo()
    lead = f'trireme_agent_lead_time_seconds{{agent="echo",namespace="{team.namespace}"}}'
    with operator(team, tmp_path / "one"):
        team.apply(files, agent)
        team.until("looked at it", lambda: looked_at(PORT, team.namespace), 60, "echo")
        assert lead not in metrics(PORT)
        start_pod(team, "first", loading_seconds=30)
        team.until("measured", lambda: metrics(PORT).get(lead) == 42, 60, "echo")
        stage = lead.replace("lead_time", "start_stage").replace("}", ',stage="load"}')
        assert metrics(PORT)[stage] == 30

    stages = {"scheduleSeconds": 2, "pullSeconds": 10, "fetchSeconds": 0, "loadSeconds": 30}
    told = {"template": "6d5f", "p95Seconds": 62, "medianSeconds": 42, "samples": 17}
    told["stages"] = stages
    write_scaling(team, {"leadTime": told})
    with operator(team, tmp_path / "two"):
        team.until("told of again", lambda: active(team) != "", 60, "echo")
        assert team.get("agd", "echo")["status"]["scaling"]["leadTime"] == told
        team.until("known", lambda: metrics(PORT).get(lead) == 62, 60, "echo")
        start_pod(team, "second", loading_seconds=60)
        team.until("measured", lambda: metrics(PORT).get(lead) == 72, 60, "echo")


def test_the_old_configuration_stays_until_the_rollout_ends_and_is_then_deleted_at_once(
    team: Kube, tmp_path: Path
) -> None:
    agent, files = echo()
    with operator(team, tmp_path / "log", TRIREME_RESYNC_SECONDS="600"):
        team.apply(files, agent)
        team.until("accepted", lambda: accepted(team) == "True", 60, "echo")
        finish_rollout(team, "echo", "echo-gateway")
        team.until("not Reconciling", lambda: reconciling(team) == "False", 60, "echo")
        (old,) = live_configurations(team)

        models = [{**agent["spec"]["models"][0], "maxBatchSize": 16}]
        team.apply(merged(agent, {"spec": {"models": models}}))
        team.until("both are there", lambda: len(live_configurations(team)) == 2, 60, "echo")
        team.until("Reconciling", lambda: reconciling(team) == "True", 60, "echo")
        assert old in live_configurations(team)

        finish_rollout(team, "echo")
        team.until("the old one is gone", lambda: old not in live_configurations(team), 60, "echo")
        assert len(live_configurations(team)) == 1
        reasons = [reason for reason, _ in team.events("echo")]
        assert reasons.count("RolloutStarted") == 1


def test_drift_is_repaired_while_an_edit_is_refused(team: Kube, tmp_path: Path) -> None:
    agent, files = echo()
    with operator(team, tmp_path / "log"):
        team.apply(files, agent)
        team.until("its Deployment", lambda: owners(team) == ["trireme-scale"], 60, "echo")
        wrong = {"objectives": [{"model": "duble", "latency": {"target": "100ms"}}]}
        team.apply(merged(agent, {"spec": wrong}))
        team.until("refused", lambda: accepted(team) == "False", 60, "echo")
        team.run("delete", "deployment", "echo")
        team.until("made again", lambda: team.replicas("echo") == 1, 60, "echo")
        assert accepted(team) == "False"


def test_a_new_operator_repairs_and_scales_by_what_last_ran_while_an_edit_is_refused(
    team: Kube, tmp_path: Path
) -> None:
    agent, files = echo(scaling={"min": 2, "max": 5})
    with operator(team, tmp_path / "one"):
        team.apply(files, agent)
        team.until("its Deployment", lambda: owners(team) == ["trireme-scale"], 60, "echo")
        template = team.get("deployment", "echo")["spec"]["template"]
    wrong = {"objectives": [{"model": "duble", "latency": {"target": "100ms"}}]}
    team.apply(merged(agent, {"spec": wrong}))
    team.run("delete", "deployment", "echo")
    team.run("delete", "configmap", files["metadata"]["name"])
    with operator(team, tmp_path / "two"):
        team.until("refused", lambda: accepted(team) == "False", 60, "echo")
        team.until("made again", lambda: team.replicas("echo") == 2, 60, "echo")
        assert team.get("deployment", "echo")["spec"]["template"] == template
        team.until("decided on", lambda: active(team) == "NoSignals", 60, "echo")
        message = team.conditions("echo")["Accepted"][2]
        assert "duble" in message
        assert files["metadata"]["name"] in message


def test_an_agent_that_was_never_accepted_is_said_not_to_be_scaled(
    team: Kube, tmp_path: Path
) -> None:
    agent, _ = echo()
    with operator(team, tmp_path / "log"):
        team.apply(agent)
        team.until("said so", lambda: active(team) == "NotAccepted", 60, "echo")
        team.until("and waits", lambda: reconciling(team) == "True", 60, "echo")
        assert team.conditions("echo")["Stalled"][0] == "False"


def test_files_hold_every_character_that_a_config_map_can_hold(team: Kube, tmp_path: Path) -> None:
    agent, files = echo()
    odd = "# 🙂 \x7f \x85 \u2028 \ufeff é\n"
    content = odd + files["data"]["model.py"]
    with operator(team, tmp_path / "log"):
        team.apply(merged(files, {"data": {"model.py": content}}), agent)
        team.until("its Deployment", lambda: team.replicas("echo") == 1, 60, "echo")
    maps = [o.get("data", {}) for o in team.all("configmap", "trireme.dev/owner=echo")]
    assert content in [data.get("1_-model.py") for data in maps]


def test_clients_are_led_through_a_new_gateway_only_once_it_is_ready(
    team: Kube, tmp_path: Path
) -> None:
    agent, files = echo(gateway={"enabled": False})
    with operator(team, tmp_path / "log", TRIREME_RESYNC_SECONDS="600"):
        team.apply(files, agent)
        team.until("its Deployment", lambda: owners(team) == ["trireme-scale"], 60, "echo")
        team.apply(merged(agent, {"spec": {"gateway": {"enabled": True}}}))
        team.until("its gateway", lambda: team.find("deployment", "echo-gateway"), 60, "echo")
        team.until("and its record", lambda: gateway_is_recorded(team), 60, "echo")
        assert team.get("service", "echo")["spec"]["selector"] == {"trireme.dev/agent": "echo"}
        finish_rollout(team, "echo-gateway")

        def led_through() -> bool:
            selector = team.get("service", "echo")["spec"]["selector"]
            return bool(selector == {"trireme.dev/gateway": "echo"})

        team.until("led through it", led_through, 60, "echo")


def test_a_field_that_kubernetes_does_not_know_stalls_the_agent(team: Kube, tmp_path: Path) -> None:
    # A field of a later Kubernetes than the API server's, 1.34.
    agent, files = echo()
    later = {"podTemplate": {"spec": {"schedulingGroup": {"podGroupName": "agents"}}}}
    server = merged(agent["spec"]["server"], later)
    with operator(team, tmp_path / "log"):
        team.apply(files, merged(agent, {"spec": {"server": server}}))

        def stalled() -> bool:
            status, reason, message = team.conditions("echo").get("Stalled", ("", "", ""))
            return (status, reason) == ("True", "ApplyFailed") and "schedulingGroup" in message

        team.until("stalled", stalled, 60, "echo")
        team.apply(agent)
        team.until("applied", lambda: team.replicas("echo") == 1, 60, "echo")


def test_a_warning_does_not_stop_an_agent_and_is_told_by_an_event(
    team: Kube, tmp_path: Path
) -> None:
    agent, files = echo()
    models = [{**agent["spec"]["models"][0], "maxBatchSize": 0, "warmup": []}]
    with operator(team, tmp_path / "log"):
        team.apply(files, merged(agent, {"spec": {"models": models}}))
        team.until("accepted", lambda: accepted(team) == "True", 60, "echo")
        assert "batching" in team.conditions("echo")["Accepted"][2]
        told = lambda: [n for r, n in team.events("echo") if r == "SpecWarning"]  # noqa: E731
        team.until("told", told, 60, "echo")
        team.until("its Deployment", lambda: team.replicas("echo") == 1, 60, "echo")


def test_of_two_operators_one_acts_and_the_other_takes_over(team: Kube, tmp_path: Path) -> None:
    default = replace(team, namespace="default")

    def leader() -> str:
        lease = default.find("lease", "trireme-leader") or {"spec": {}}
        return str(lease["spec"].get("holderIdentity") or "")

    patient = {"TRIREME_LEASE_DURATION_SECONDS": "600"}  # nobody waits for it to run out
    with operator(team, tmp_path / "one", "one", PORT, **patient):
        default.until("one leads", lambda: leader() == "one", 60)
        with operator(team, tmp_path / "two", "two", OTHER_PORT):
            default.until("two waits, and is ready", lambda: ready(OTHER_PORT), 60)
            assert leader() == "one"
    # Told to stop, a leader gives the Lease back, so the next one need not wait for it.
    with operator(team, tmp_path / "three", "three", free_port()):
        default.until("three leads", lambda: leader() == "three", 60)


def test_a_leader_whose_lease_is_taken_ends_with_a_failure_and_says_why(
    team: Kube, tmp_path: Path
) -> None:
    default = replace(team, namespace="default")
    hasty = {
        "TRIREME_LEASE_DURATION_SECONDS": "4",
        "TRIREME_LEASE_RENEW_DEADLINE_SECONDS": "3",
        "TRIREME_LEASE_RETRY_PERIOD_SECONDS": "1",
    }
    with started(team, tmp_path / "log", "one", PORT, **hasty) as process:
        log = tmp_path / "log"
        default.until("one leads", lambda: "leading as one" in log.read_text(), 60)
        thief = json.dumps({"spec": {"holderIdentity": "thief", "leaseDurationSeconds": 1}})
        default.run("patch", "lease", "trireme-leader", "--type=merge", "-p", thief)
        assert process.wait(60) == 1
    default.run("delete", "lease", "trireme-leader")  # no other test need wait for it
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert "the Lease was lost" in lines[-1]["message"]
    assert lines[-1]["severity"] == "error"


def test_an_operator_that_is_there_before_its_crd_waits_for_it(team: Kube, tmp_path: Path) -> None:
    definition = "crd/agentdeployments.trireme.dev"
    team.run("delete", definition)
    agent, files = echo()
    with operator(team, tmp_path / "log"):
        try:
            waits = lambda: "CustomResourceDefinition" in (tmp_path / "log").read_text()  # noqa: E731
            team.until("it waits", waits, 60)
        finally:
            define_agents(team)
        team.apply(files, agent)
        team.until("accepted", lambda: accepted(team) == "True", 60, "echo")


def ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def owners(kube: Kube) -> list[str]:
    """The field managers of the Deployment's size."""
    deployment = kube.find("deployment", "echo", with_managers=True)
    if deployment is None:
        return []
    return [
        entry["manager"]
        for entry in deployment["metadata"]["managedFields"]
        if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
    ]


def curves(kube: Kube) -> list[dict[str, Any]]:
    """What the status says was learnt."""
    told: list[dict[str, Any]] = kube.get("agd", "echo")["status"]["scaling"]["curves"]
    return told


def sources(kube: Kube) -> list[str]:
    """What the curves were learnt from."""
    return [curve["source"] for curve in curves(kube)]


def start_pod(kube: Kube, name: str, *, loading_seconds: int) -> None:
    """A server pod that took 12 s to its container, and so long from there to being ready."""
    metadata = kube.get("deployment", "echo")["spec"]["template"]["metadata"]
    labels = {**metadata["labels"], "pod-template-hash": "6d5f"}
    spec = {"containers": [{"name": "triton", "image": "example.com/triton"}]}
    metadata = {**metadata, "labels": labels, "name": name}
    kube.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    created = datetime.fromisoformat(kube.get("pod", name)["metadata"]["creationTimestamp"])

    def at(second: int) -> str:
        return (created + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def condition(kind: str, second: int) -> dict[str, str]:
        return {"type": kind, "status": "True", "lastTransitionTime": at(second)}

    server = {
        **spec["containers"][0],
        "imageID": "",
        "ready": True,
        "started": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": at(12)}},
    }
    status = {
        "phase": "Running",
        "podIP": "127.0.0.99",  # where nothing answers
        "conditions": [condition("PodScheduled", 2), condition("Ready", 12 + loading_seconds)],
        "containerStatuses": [server],
    }
    kube.set_status("pod", name, status)


def write_curves(kube: Kube, told: list[dict[str, Any]]) -> None:
    """Leave a status of the autoscaler's that says nothing else."""
    write_scaling(kube, {"curves": told})


def write_scaling(kube: Kube, told: dict[str, Any]) -> None:
    """Leave a status of the autoscaler's that says this."""
    status = {"scaling": {"desiredReplicas": 1, **told}}
    body = {**EMPTY, "metadata": {"name": "echo"}, "status": status}
    manager = ("--field-manager=trireme-scale-status", "--force-conflicts")
    options = ("--server-side", "--subresource=status", *manager)
    kube.run("apply", *options, "-f", "-", stdin=json.dumps(body))


def active(kube: Kube) -> str:
    return kube.conditions("echo").get("AutoscalingActive", ("", ""))[1]


def reconciling(kube: Kube) -> str:
    return kube.conditions("echo").get("Reconciling", ("",))[0]


def gateway_is_recorded(kube: Kube) -> bool:
    """Whether the pass that made the gateway has come to its end."""
    spec = json.loads(kube.get("configmap", "echo-accepted")["data"]["spec.json"])
    return bool(spec["gateway"]["enabled"])


def looked_at(port: int, namespace: str) -> bool:
    """Whether both loops of an operator have passed over the namespace's agent."""
    seen = metrics(port)
    passes = seen.get('trireme_reconciliations_total{result="done"}', 0)
    rounds = f'trireme_agent_signals_available{{agent="echo",namespace="{namespace}"}}'
    return passes >= 2 and rounds in seen


def metrics(port: int) -> dict[str, float]:
    """The operator's own metrics by series."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return {}
    return {
        series: float(value)
        for series, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")
    }
