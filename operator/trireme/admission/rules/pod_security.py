"""Faults of spec.server.podTemplate against the Pod Security Standards, profile Restricted. Pure.

Trireme's own pods keep that profile (`resources.security`), whether the namespace asks for it or
not, and so does what a user adds to them. What a fragment would change of the computed security
context is `pod_template`'s to refuse. Source: the checks of k8s.io/pod-security-admission.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from trireme.admission.pod_fields import FIELDS
from trireme.admission.rules.pod_template import PATH, containers, mapping, numbered
from trireme.admission.words import below, listed, unless_secret
from trireme.api import names
from trireme.api.agent import AgentSpec
from trireme.errors import Fault

_SHARED_WITH_HOST = ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace")
_VOLUMES = (
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
)
_PROFILES = ("RuntimeDefault", "Localhost")
_SELINUX_TYPES = ("container_t", "container_init_t", "container_kvm_t", "container_engine_t")
_SYSCTLS = (
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
)
_APPARMOR_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"
_APPARMOR_VALUES = ("runtime/default", "localhost/")


@dataclass(frozen=True, slots=True)
class _Limit:
    """What one field of a securityContext may be, where it is set at all."""

    field: tuple[str, ...]
    allows: Callable[[Any], bool]
    remedy: str


def _one_of(*allowed: object) -> Callable[[Any], bool]:
    return lambda value: value in allowed


_PROFILE_REMEDY = f"Remove it, or write one of {listed(_PROFILES)}"
_SELINUX_REMEDY = f"Remove it, or write one of {listed(_SELINUX_TYPES)}"

_LIMITS = (
    _Limit(("appArmorProfile", "type"), _one_of(*_PROFILES), _PROFILE_REMEDY),
    _Limit(("seLinuxOptions", "type"), _one_of("", *_SELINUX_TYPES), _SELINUX_REMEDY),
    _Limit(("seLinuxOptions", "user"), _one_of(""), "Remove it"),
    _Limit(("seLinuxOptions", "role"), _one_of(""), "Remove it"),
    _Limit(("windowsOptions", "hostProcess"), _one_of(False), "Remove it"),
)
"""Of the pod and of its containers. What else the pod has is computed."""

_CONTAINER_LIMITS = (
    _Limit(("privileged",), _one_of(False), "Remove it"),
    _Limit(("runAsNonRoot",), _one_of(True), "Remove it"),
    _Limit(("runAsUser",), lambda value: value != 0, "Remove it, or write another user than 0"),
    _Limit(("procMount",), _one_of("", "Default"), "Remove it"),
    _Limit(("seccompProfile", "type"), _one_of(*_PROFILES), _PROFILE_REMEDY),
    _Limit(
        ("capabilities", "add"),
        lambda value: value in ([], ["NET_BIND_SERVICE"]),
        "Remove it: NET_BIND_SERVICE alone may be added",
    ),
    *_LIMITS,
)


def template_shares_the_host(spec: AgentSpec) -> Iterator[Fault]:
    """The node's namespaces, files and ports."""
    pod = mapping(spec.server.pod_template.get("spec"))
    for field in _SHARED_WITH_HOST:
        if pod.get(field):
            yield Fault(
                below(PATH, "spec", field),
                unless_secret(field, pod[field]),
                f"{field} lets the pod's processes reach beyond their containers",
                "Remove it",
            )
    for path, container in containers(spec):
        for at, port in numbered(container.get("ports")):
            if port.get("hostPort"):
                yield Fault(
                    below(path, "ports", at, "hostPort"),
                    unless_secret("hostPort", port["hostPort"]),
                    "hostPort takes a port of the node",
                    "Remove it: the agent's Service reaches the pod",
                )
        for hook in _hooks(path, container):
            yield from _asks_elsewhere(*hook)


def _hooks(path: str, container: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Whatever of a container makes the kubelet send requests."""
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        yield below(path, probe), mapping(container.get(probe))
    lifecycle = mapping(container.get("lifecycle"))
    for hook in ("postStart", "preStop"):
        yield below(path, "lifecycle", hook), mapping(lifecycle.get(hook))


def _asks_elsewhere(path: str, hook: Mapping[str, Any]) -> Iterator[Fault]:
    for action in ("httpGet", "tcpSocket"):
        host = mapping(hook.get(action)).get("host")
        if host:
            yield Fault(
                below(path, action, "host"),
                unless_secret("host", host),
                "the kubelet would send requests to another host than the pod",
                "Remove it",
            )


def template_mounts_another_volume(spec: AgentSpec) -> Iterator[Fault]:
    """Volumes that the profile does not list, the node's files above all."""
    pod = mapping(spec.server.pod_template.get("spec"))
    for index, volume in numbered(pod.get("volumes")):
        for source in FIELDS["Volume"]:
            if volume.get(source) is not None and source not in ("name", *_VOLUMES):
                yield Fault(
                    below(PATH, "spec", "volumes", index, source),
                    source,
                    f"restricted pod security has no volumes of type {source}",
                    "Use a PersistentVolumeClaim or an emptyDir",
                )


def template_gives_privileges(spec: AgentSpec) -> Iterator[Fault]:
    """Fields of a securityContext that are wider than the profile."""
    pod = mapping(spec.server.pod_template.get("spec"))
    yield from _context_faults(below(PATH, "spec"), pod, _LIMITS)
    for path, container in containers(spec):
        yield from _context_faults(path, container, _CONTAINER_LIMITS)
    sysctls = mapping(pod.get("securityContext")).get("sysctls")
    for at, sysctl in numbered(sysctls):
        if sysctl.get("name") not in _SYSCTLS:
            path = below(PATH, "spec", "securityContext", "sysctls", at, "name")
            remedy = f"Remove it; allowed are {listed(_SYSCTLS)}"
            yield _too_wide(path, "the sysctl", sysctl.get("name"), remedy)


def _context_faults(
    path: str, owner: Mapping[str, Any], limits: tuple[_Limit, ...]
) -> Iterator[Fault]:
    context = mapping(owner.get("securityContext"))
    for limit in limits:
        value = _at(context, limit.field)
        if value is not None and not limit.allows(value):
            here = below(path, "securityContext", *limit.field)
            yield _too_wide(here, ".".join(limit.field), value, limit.remedy)


def _at(context: Mapping[str, Any], field: tuple[str, ...]) -> Any:
    *way, last = field
    for name in way:
        context = mapping(context.get(name))
    return context.get(last)


def _too_wide(path: str, what: str, value: object, remedy: str) -> Fault:
    message = f"{what} is wider than restricted pod security allows"
    return Fault(path, unless_secret(path, value), message, remedy)


def template_confines_by_annotation(spec: AgentSpec) -> Iterator[Fault]:
    """The older spelling of appArmorProfile, which would take its confinement away."""
    metadata = mapping(spec.server.pod_template.get("metadata"))
    for key, value in mapping(metadata.get("annotations")).items():
        if key.startswith(_APPARMOR_ANNOTATION) and not str(value).startswith(_APPARMOR_VALUES):
            path = below(PATH, "metadata", "annotations", key)
            yield _too_wide(path, "the AppArmor profile", value, "Remove it")


def added_container_keeps_privileges(spec: AgentSpec) -> Iterator[Fault]:
    """The profile wants these said of every container; for the server's own Trireme says them."""
    for path, container in containers(spec):
        name = container.get("name")
        if not isinstance(name, str) or name == names.SERVER_CONTAINER:
            continue
        context, here = mapping(container.get("securityContext")), below(path, "securityContext")
        escalation = context.get("allowPrivilegeEscalation")
        if escalation is not False:
            yield Fault(
                below(here, "allowPrivilegeEscalation"),
                unless_secret(here, escalation),
                f"container {name} may gain privileges, which restricted pod security forbids",
                "Write false",
            )
        dropped = mapping(context.get("capabilities")).get("drop")
        if not isinstance(dropped, list) or "ALL" not in dropped:
            yield Fault(
                below(here, "capabilities", "drop"),
                None,
                f"container {name} keeps capabilities, which restricted pod security forbids",
                "Write [ALL]",
            )


def template_has_ephemeral_containers(spec: AgentSpec) -> Iterator[Fault]:
    """Kubernetes adds them to running pods, and takes them in no template."""
    pod = mapping(spec.server.pod_template.get("spec"))
    if pod.get("ephemeralContainers"):
        yield Fault(
            below(PATH, "spec", "ephemeralContainers"),
            None,
            "a template cannot hold ephemeral containers",
            "Remove them, and run kubectl debug when you need one",
        )
