"""The pod template of the Triton servers, and the Deployment around it."""

from typing import Any

import pytest

from agents import agent_of, directory_of, model_of, pods_of, repository_of
from trireme.api.agent import AgentDeployment
from trireme.api.flags import RESERVED, flag_name
from trireme.modelrepo.plan import plan
from trireme.modelrepo.repository import ClaimFolder, Repository
from trireme.resources.control import OperatorKey, control_secret
from trireme.resources.options import Discovery, ResourceOptions
from trireme.resources.server import deployment, pod_template

OPTIONS = ResourceOptions(gateway_image="registry.example/envoy:v1.36.2")
IMAGE = "registry.example/triton:24.10-py3"


def template(agent: AgentDeployment, **options: Any) -> dict[str, Any]:
    found = ResourceOptions(OPTIONS.gateway_image, **options) if options else OPTIONS
    return pod_template(pods_of(agent), repository_of(), found)


def container(agent: AgentDeployment) -> dict[str, Any]:
    found: dict[str, Any] = template(agent)["spec"]["containers"][0]
    return found


def server(**fields: Any) -> dict[str, Any]:
    return {"image": IMAGE, "gpus": {"count": 0}, **fields}


def test_replicas_are_there_only_for_a_new_deployment() -> None:
    new = deployment(pods_of(agent_of()), repository_of(), OPTIONS, initial_replicas=5)
    running = deployment(pods_of(agent_of()), repository_of(), OPTIONS, initial_replicas=None)

    assert new["spec"]["replicas"] == 5
    assert "replicas" not in running["spec"]


def test_the_selector_includes_the_track_and_never_a_digest() -> None:
    made = deployment(pods_of(agent_of()), repository_of(), OPTIONS, initial_replicas=None)

    assert made["spec"]["selector"]["matchLabels"] == {
        "trireme.dev/agent": "echo",
        "trireme.dev/track": "stable",
    }


def test_a_new_repository_is_a_new_template() -> None:
    annotations = template(agent_of())["metadata"]["annotations"]

    assert annotations["trireme.dev/repository-digest"] == "a" * 64


@pytest.mark.parametrize("counts", [(1, 8), (9, 16)], ids=str)
def test_what_changes_in_place_is_no_new_template(counts: tuple[int, int]) -> None:
    def made(count: int) -> dict[str, Any]:
        agent = agent_of(models=[model_of("double", instances=[{"kind": "CPU", "count": count}])])
        (config,) = plan(agent.spec)
        repository = Repository((directory_of(config=config),), "a" * 64, str(count))
        return pod_template(pods_of(agent), repository, OPTIONS)

    templates = [made(count) for count in counts]

    assert templates[0] == templates[1]


def test_the_start_up_probe_has_the_whole_load_budget_and_liveness_waits_for_it() -> None:
    probes = container(agent_of(server=server(startupTimeout="15m")))

    startup = probes["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] == 15 * 60
    assert startup["httpGet"]["path"] == "/v2/health/live"
    assert probes["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"


def test_without_a_drain_time_there_is_no_sleep() -> None:
    assert "lifecycle" not in container(agent_of(server=server(drainTime="0s")))
    assert container(agent_of())["lifecycle"] == {"preStop": {"sleep": {"seconds": 10}}}


def test_the_memory_limit_is_the_request_and_there_is_no_cpu_limit() -> None:
    wanted = {"cpu": "4", "memory": "16Gi", "sharedMemory": "1Gi"}

    agent = agent_of(server=server(resources=wanted))

    assert container(agent)["resources"] == {
        "requests": {"cpu": "4", "memory": "16Gi"},
        "limits": {"memory": "16Gi"},
    }
    volumes = {v["name"]: v for v in template(agent)["spec"]["volumes"]}
    assert volumes["shared-memory"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "1Gi"}


def test_gpus_are_limits_under_the_resource_name_the_user_gives() -> None:
    agent = agent_of(server=server(gpus={"count": 2, "resource": "nvidia.com/mig-1g.10gb"}))

    assert container(agent)["resources"]["limits"]["nvidia.com/mig-1g.10gb"] == "2"


def test_a_variable_of_the_users_takes_the_place_of_ours() -> None:
    env = [{"name": "HOME", "value": "/data"}, {"name": "LEVEL", "value": "1"}]

    found = container(agent_of(server=server(env=env)))["env"]

    assert {"name": "HOME", "value": "/data"} in found
    assert [variable["name"] for variable in found].count("HOME") == 1
    assert found[-1] == {"name": "LEVEL", "value": "1"}


def test_nothing_runs_as_root_and_nothing_may_become_it() -> None:
    spec = template(agent_of())["spec"]

    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for each in spec["containers"]:
        assert each["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_a_claim_is_mounted_read_only_at_the_version_directory() -> None:
    claim = ClaimFolder("models", "encoder/3")
    model = directory_of("encoder", files={}, mounts={3: claim})

    spec = pod_template(pods_of(agent_of(model="encoder")), repository_of(model), OPTIONS)["spec"]

    config, version, *_ = spec["containers"][0]["volumeMounts"]
    assert (config["mountPath"], config["readOnly"]) == ("/models/encoder/config.pbtxt", True)
    assert version["mountPath"] == "/models/encoder/3"
    assert (version["subPath"], version["readOnly"]) == ("encoder/3", True)


def test_each_thing_in_a_models_directory_is_a_mount_of_its_own() -> None:
    """None of which follows its ConfigMap: Triton would see a model that changed."""
    files = {"1/model.py": b"a", "1/words": b"b", "labels.txt": b"c"}

    spec = pod_template(pods_of(agent_of()), repository_of(directory_of(files=files)), OPTIONS)[
        "spec"
    ]

    mounts = [m for m in spec["containers"][0]["volumeMounts"] if "/models" in m["mountPath"]]
    assert [(m["mountPath"], m["subPath"]) for m in mounts] == [
        ("/models/double/config.pbtxt", "double.pbtxt"),
        ("/models/double/1", "1"),
        ("/models/double/labels.txt", "labels.txt"),
    ]


def test_a_claim_of_two_models_is_one_volume() -> None:
    models = [
        directory_of(name, files={}, mounts={1: ClaimFolder("models", name)})
        for name in ("one", "two")
    ]

    spec = pod_template(pods_of(agent_of()), repository_of(*models), OPTIONS)["spec"]

    claims = [v for v in spec["volumes"] if "persistentVolumeClaim" in v]
    assert len(claims) == 1


@pytest.mark.parametrize(
    ("release", "flag"),
    [
        pytest.param("22.12", None, id="nothing before summaries existed"),
        pytest.param("23.05", "--metrics-config=summary_latencies=true", id="first summaries"),
        pytest.param("25.12", "--metrics-config=summary_latencies=true", id="last summaries"),
        pytest.param("26.01", "--metrics-config=histogram_latencies=true", id="first histogram"),
    ],
)
def test_the_release_decides_how_latency_is_told(release: str, flag: str | None) -> None:
    arguments = container(agent_of(server=server(release=release)))["args"]

    assert [a for a in arguments if a.startswith("--metrics-config")] == ([flag] if flag else [])


@pytest.mark.parametrize(
    ("release", "flags"),
    [
        pytest.param("23.03", [], id="none before there was one"),
        pytest.param("23.04", ["--grpc-restricted-protocol"], id="gRPC first"),
        pytest.param("23.11", ["--http-restricted-api", "--grpc-restricted-protocol"], id="both"),
    ],
)
def test_the_control_interface_is_closed_as_far_as_the_release_can(
    release: str, flags: list[str]
) -> None:
    arguments = container(agent_of(server=server(release=release)))["args"]

    rule = "model-repository,shared-memory,logging,trace:trireme-control-key=$(TRIREME_CONTROL_KEY)"
    assert [a for a in arguments if "restricted" in a] == [f"{flag}={rule}" for flag in flags]


def test_the_key_is_in_the_pod_by_reference_only() -> None:
    agent = agent_of()
    secret = control_secret(agent, OperatorKey(bytes(32)))

    (variable,) = [v for v in container(agent)["env"] if v["name"] == "TRIREME_CONTROL_KEY"]

    source = {"name": secret["metadata"]["name"], "key": "key"}
    assert variable == {"name": "TRIREME_CONTROL_KEY", "valueFrom": {"secretKeyRef": source}}
    assert list(secret["stringData"]) == ["key"]


def test_the_users_flags_come_last() -> None:
    arguments = container(agent_of(server=server(args=["--http-thread-count=16"])))["args"]

    assert arguments[0] == "tritonserver"
    assert arguments[-1] == "--http-thread-count=16"


def test_a_user_may_set_none_of_the_flags_that_trireme_sets() -> None:
    _program, *flags = container(agent_of())["args"]

    assert {flag_name(flag) for flag in flags} <= set(RESERVED)


@pytest.mark.parametrize(
    ("spread", "keys"),
    [
        pytest.param(
            "Zone", ["topology.kubernetes.io/zone", "kubernetes.io/hostname"], id="zones, nodes"
        ),
        pytest.param("Node", ["kubernetes.io/hostname"], id="nodes"),
    ],
)
def test_pods_of_one_revision_are_spread(spread: str, keys: list[str]) -> None:
    found = template(agent_of(server=server(placement={"spread": spread})))["spec"]

    constraints = found["topologySpreadConstraints"]
    assert [constraint["topologyKey"] for constraint in constraints] == keys
    assert all(c["matchLabelKeys"] == ["pod-template-hash"] for c in constraints)
    assert all(c["whenUnsatisfiable"] == "ScheduleAnyway" for c in constraints)


def test_spread_none_leaves_it_to_the_scheduler() -> None:
    found = template(agent_of(server=server(placement={"spread": "None"})))["spec"]

    assert "topologySpreadConstraints" not in found


@pytest.mark.parametrize(
    ("discovery", "scraped"),
    [(Discovery.ANNOTATIONS, True), (Discovery.POD_MONITOR, False), (Discovery.NONE, False)],
)
def test_scrape_annotations_are_there_where_they_are_the_way(
    discovery: Discovery, scraped: bool
) -> None:
    annotations = template(agent_of(), discovery=discovery)["metadata"]["annotations"]

    assert ("prometheus.io/scrape" in annotations) is scraped


def test_the_users_fragment_is_merged_last() -> None:
    fragment = {"spec": {"schedulerName": "volcano", "containers": [{"name": "agent-log"}]}}

    spec = template(agent_of(server=server(podTemplate=fragment)))["spec"]

    assert spec["schedulerName"] == "volcano"
    assert [c["name"] for c in spec["containers"]] == ["triton", "agent-log"]
