"""What a podTemplate adds keeps the restricted pod security standard, as Trireme's own pods do."""

from typing import Any

import pytest

from specs import valid_body
from trireme.admission.check import check
from trireme.admission.parse import parse_agent

POD = "spec.server.podTemplate.spec"
RESTRICTED: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}


def refused(template: dict[str, Any]) -> list[str]:
    """Each refused path."""
    body = valid_body({"spec.server.podTemplate": template})
    return [fault.path for fault in check(parse_agent(body).spec)]


def server(**fields: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "triton", **fields}]}}


def added(context: dict[str, Any] | None, field: str = "containers") -> dict[str, Any]:
    container = {"name": "side", "image": "example.com/side:1", "securityContext": context}
    return {"spec": {field: [container]}}


@pytest.mark.parametrize(
    ("template", "path"),
    [
        pytest.param({"spec": {"hostNetwork": True}}, "hostNetwork", id="its network"),
        pytest.param({"spec": {"hostPID": True}}, "hostPID", id="its processes"),
        pytest.param({"spec": {"hostIPC": True}}, "hostIPC", id="its shared memory"),
        pytest.param(
            {"spec": {"volumes": [{"name": "all", "hostPath": {"path": "/"}}]}},
            "volumes[0].hostPath",
            id="its files",
        ),
        pytest.param(
            server(ports=[{"containerPort": 9000, "hostPort": 9000}]),
            "containers[0].ports[0].hostPort",
            id="its ports",
        ),
        pytest.param(
            server(lifecycle={"postStart": {"httpGet": {"host": "10.0.0.1", "port": 80}}}),
            "containers[0].lifecycle.postStart.httpGet.host",
            id="the kubelet's way to other hosts",
        ),
    ],
)
def test_nothing_of_the_node_is_shared(template: dict[str, Any], path: str) -> None:
    assert refused(template) == [f"{POD}.{path}"]


@pytest.mark.parametrize(
    ("context", "field"),
    [
        pytest.param({"privileged": True}, "privileged", id="privileged"),
        pytest.param({"runAsUser": 0}, "runAsUser", id="root"),
        pytest.param({"runAsNonRoot": False}, "runAsNonRoot", id="possibly root"),
        pytest.param({"procMount": "Unmasked"}, "procMount", id="the whole of /proc"),
        pytest.param(
            {"seccompProfile": {"type": "Unconfined"}}, "seccompProfile.type", id="no seccomp"
        ),
        pytest.param(
            {"appArmorProfile": {"type": "Unconfined"}}, "appArmorProfile.type", id="no AppArmor"
        ),
        pytest.param(
            {"seLinuxOptions": {"type": "spc_t"}}, "seLinuxOptions.type", id="an SELinux type"
        ),
        pytest.param(
            {"seLinuxOptions": {"user": "root"}}, "seLinuxOptions.user", id="an SELinux user"
        ),
        pytest.param(
            {"seLinuxOptions": {"role": "system_r"}}, "seLinuxOptions.role", id="an SELinux role"
        ),
        pytest.param(
            {"windowsOptions": {"hostProcess": True}},
            "windowsOptions.hostProcess",
            id="a process of the host",
        ),
        pytest.param(
            {"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}},
            "capabilities.add",
            id="a capability",
        ),
        pytest.param(
            {"allowPrivilegeEscalation": True}, "allowPrivilegeEscalation", id="a way to gain some"
        ),
        pytest.param(
            {"capabilities": {"drop": ["NET_RAW"]}}, "capabilities.drop", id="keeping capabilities"
        ),
    ],
)
@pytest.mark.parametrize("containers", ["containers", "initContainers"])
def test_a_container_that_is_added_gains_no_privileges(
    context: dict[str, Any], field: str, containers: str
) -> None:
    template = added({**RESTRICTED, **context}, containers)
    assert refused(template) == [f"{POD}.{containers}[0].securityContext.{field}"]


def test_a_container_that_is_added_says_that_it_is_restricted() -> None:
    for context in (None, {}):
        assert refused(added(context)) == [
            f"{POD}.containers[0].securityContext.allowPrivilegeEscalation",
            f"{POD}.containers[0].securityContext.capabilities.drop",
        ]
    assert refused(added(RESTRICTED)) == []


@pytest.mark.parametrize(
    "context",
    [
        {"seccompProfile": {"type": "Localhost", "localhostProfile": "triton.json"}},
        {"seLinuxOptions": {"type": "container_t", "level": "s0:c1,c2"}},
        {"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}},
        {"runAsUser": 1234, "runAsNonRoot": True, "readOnlyRootFilesystem": True},
        {"procMount": "Default", "privileged": False},
    ],
)
def test_what_the_standard_allows_is_allowed(context: dict[str, Any]) -> None:
    assert refused(added({**RESTRICTED, **context})) == []


@pytest.mark.parametrize(
    ("context", "field"),
    [
        pytest.param(
            {"seccompProfile": {"type": "Unconfined"}}, "seccompProfile.type", id="no seccomp"
        ),
        pytest.param({"privileged": True}, "privileged", id="privileged"),
        pytest.param({"runAsUser": 0}, "runAsUser", id="root"),
        pytest.param(
            {"capabilities": {"add": ["SYS_ADMIN"]}}, "capabilities.add", id="a capability"
        ),
        pytest.param(
            {"capabilities": {"drop": []}}, "capabilities.drop", id="keeping capabilities"
        ),
        pytest.param({"capabilities": None}, "capabilities", id="keeping them by null"),
        pytest.param(
            {"allowPrivilegeEscalation": True}, "allowPrivilegeEscalation", id="a way to gain some"
        ),
    ],
)
def test_the_servers_container_gains_no_privileges(context: dict[str, Any], field: str) -> None:
    path = f"{POD}.containers[0].securityContext.{field}"
    assert refused(server(securityContext=context)) == [path]


@pytest.mark.parametrize(
    ("context", "field"),
    [
        pytest.param(
            {"seccompProfile": {"type": "Unconfined"}}, "seccompProfile.type", id="no seccomp"
        ),
        pytest.param({"seccompProfile": None}, "seccompProfile", id="no seccomp by null"),
        pytest.param({"runAsNonRoot": False}, "runAsNonRoot", id="possibly root"),
        pytest.param({"runAsUser": 0}, "runAsUser", id="root"),
        pytest.param(
            {"appArmorProfile": {"type": "Unconfined"}}, "appArmorProfile.type", id="no AppArmor"
        ),
        pytest.param(
            {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}, "sysctls[0].name", id="a sysctl"
        ),
    ],
)
def test_the_pod_gains_no_privileges(context: dict[str, Any], field: str) -> None:
    path = f"{POD}.securityContext.{field}"
    assert refused({"spec": {"securityContext": context}}) == [path]


def test_a_harmless_sysctl_is_allowed() -> None:
    sysctls = [{"name": "net.ipv4.tcp_keepalive_time", "value": "60"}]
    assert refused({"spec": {"securityContext": {"sysctls": sysctls}}}) == []


def test_the_older_spelling_of_an_apparmor_profile_is_no_way_round() -> None:
    key = "container.apparmor.security.beta.kubernetes.io/triton"
    path = f"spec.server.podTemplate.metadata.annotations[{key}]"
    assert refused({"metadata": {"annotations": {key: "unconfined"}}}) == [path]
    assert refused({"metadata": {"annotations": {key: "runtime/default"}}}) == []


def test_ephemeral_containers_are_no_way_round() -> None:
    template = added({"privileged": True}, "ephemeralContainers")
    assert refused(template) == [f"{POD}.ephemeralContainers"]
