"""What compares mirrored answers while a canary runs: one pod, and what finds it. Pure.

Whatever becomes of it, no request waits for it.
"""

from math import ceil

from trireme.api import kinds, names
from trireme.api.agent import AgentDeployment
from trireme.api.rollout import ComparedOutput, Comparison, Mirror
from trireme.api.scalars import quantity_value
from trireme.resources.gateway_canary import mirror_of
from trireme.resources.metadata import Manifest, child, owner_labels
from trireme.resources.monitoring import scrape_annotations
from trireme.resources.options import ResourceOptions
from trireme.resources.security import container_security, pod_security
from trireme.resources.services import headless_service, service_host

_UID = 65532  # nobody's in particular
_METRICS_PATH = "/metrics"
_GRACE_SECONDS = 15  # it gives what is in flight 10
_LONGEST_ANSWER_SECONDS = 60  # where the gateway ends no request
_CPU = "50m"
_MEBIBYTE = 2**20
_BASE_MEBIBYTES = 192  # the program with nothing to do takes about half
_HELD_PER_COPY = 4  # a request, an answer of either track, and one more to a difference
_HELD_DECODED = 16  # two answers in JSON: a number of 4 characters is an object of 32 bytes


def comparer_objects(agent: AgentDeployment, options: ResourceOptions) -> tuple[Manifest, ...]:
    """Its account, Service and Deployment; none of an agent that mirrors nothing."""
    mirror = mirror_of(agent.spec)
    if mirror is None:
        return ()
    name = names.comparer(agent.metadata.name)
    return (
        child(agent, kinds.SERVICE_ACCOUNT, name, automountServiceAccountToken=False),
        headless_service(agent, name, _selector(agent)),
        child(
            agent,
            kinds.DEPLOYMENT,
            name,
            labels=_labels(agent),
            spec={
                "replicas": 1,  # in-flight bounds and rates of lines are of one
                "revisionHistoryLimit": 0,
                "strategy": {"type": "Recreate"},
                "selector": {"matchLabels": _selector(agent)},
                "template": _pod_template(agent, options, mirror),
            },
        ),
    )


def _selector(agent: AgentDeployment) -> dict[str, str]:
    return {names.OWNER: agent.metadata.name, names.COMPONENT: names.COMPONENT_COMPARER}


def _labels(agent: AgentDeployment) -> dict[str, str]:
    return {**owner_labels(agent), **_selector(agent)}


def _pod_template(agent: AgentDeployment, options: ResourceOptions, mirror: Mirror) -> Manifest:
    secrets = [{"name": secret.name} for secret in agent.spec.server.image_pull_secrets]
    return {
        "metadata": {
            "labels": _labels(agent),
            "annotations": scrape_annotations(options, names.COMPARER_METRICS_PORT, _METRICS_PATH),
        },
        "spec": {
            "serviceAccountName": names.comparer(agent.metadata.name),
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": pod_security(_UID),
            "terminationGracePeriodSeconds": _GRACE_SECONDS,
            **({"imagePullSecrets": secrets} if secrets else {}),
            "containers": [_container(agent, options, mirror)],
        },
    }


def _container(agent: AgentDeployment, options: ResourceOptions, mirror: Mirror) -> Manifest:
    memory = f"{_memory_mebibytes(mirror)}Mi"
    return {
        "name": names.COMPARER_CONTAINER,
        "image": options.operator_image,
        "imagePullPolicy": options.operator_image_pull_policy,
        "args": _arguments(agent, options, mirror),
        "ports": [
            {"name": "http", "containerPort": names.HTTP_PORT, "protocol": "TCP"},
            {"name": "grpc", "containerPort": names.GRPC_PORT, "protocol": "TCP"},
            {"name": "metrics", "containerPort": names.COMPARER_METRICS_PORT, "protocol": "TCP"},
        ],
        "resources": {
            "requests": {"cpu": _CPU, "memory": memory},
            "limits": {"memory": memory},
        },
        "readinessProbe": {
            "httpGet": {"path": "/readyz", "port": "metrics"},
            "periodSeconds": 2,
            "timeoutSeconds": 2,
        },
        "livenessProbe": {
            "httpGet": {"path": "/healthz", "port": "metrics"},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _arguments(agent: AgentDeployment, options: ResourceOptions, mirror: Mirror) -> list[str]:
    name = agent.metadata.name
    timeout = agent.spec.gateway.request_timeout.total_seconds() or _LONGEST_ANSWER_SECONDS
    return [
        "compare",
        f"--stable={service_host(agent, options, names.pods_service(name))}",
        f"--canary={service_host(agent, options, names.canary(name))}",
        f"--max-in-flight={mirror.max_in_flight}",
        f"--max-bytes={int(quantity_value(mirror.max_size))}",
        f"--timeout-seconds={timeout:g}",
        f"--absolute={mirror.tolerance.absolute:g}",
        f"--relative={mirror.tolerance.relative:g}",
        *(f"--ignore-output={output}" for output in mirror.ignore_outputs),
        *map(_compared, mirror.outputs),
    ]


def _compared(output: ComparedOutput) -> str:
    if output.by is Comparison.CLASS:
        return f"--by-class={output.name}"
    return f"--by-direction={output.name}={output.min_cosine:g}"


def _memory_mebibytes(mirror: Mirror) -> int:
    """8 copies of 4 MiB: 192 + (4 x 8 + 16) x 4 = 384."""
    held = _HELD_PER_COPY * mirror.max_in_flight + _HELD_DECODED
    return _BASE_MEBIBYTES + ceil(held * quantity_value(mirror.max_size) / _MEBIBYTE)
