"""The gateway's Deployment and the ConfigMap of its configuration. Pure.

The configuration's text is made once an agent (`envoy.configuration_text`) and handed to both.
"""

import hashlib
import math

from trireme.api import kinds, names
from trireme.api.agent import AgentDeployment, AgentSpec
from trireme.api.scalars import quantity_value
from trireme.api.sources import ImagePullPolicy
from trireme.resources.drain import gateway_drain
from trireme.resources.envoy import READY_PATH
from trireme.resources.envoy_clusters import ADMIN_PORT
from trireme.resources.envoy_routes import CLIENT_PREFIX, ROUTES_DIRECTORY
from trireme.resources.gateway_canary import has_routes_of_its_own
from trireme.resources.metadata import Manifest, child, gateway_labels, gateway_selector
from trireme.resources.monitoring import GATEWAY_METRICS_PATH, scrape_annotations
from trireme.resources.options import ResourceOptions
from trireme.resources.security import container_security, pod_security
from trireme.resources.server import spread_constraints

_UID = 65532  # nobody's in particular: Envoy needs no user of its own image
_REVISIONS = 2
_FILE = "envoy.json"
_DIRECTORY = "/etc/envoy"
_VOLUME = "configuration"
_ROUTES_VOLUME = "routes"
_FEWEST_WORKERS = 2  # so that one busy worker is not the whole gateway


def config_map(agent: AgentDeployment, text: str) -> Manifest:
    """The configuration, immutable and named by its digest: a new one is a rollout."""
    return child(
        agent,
        kinds.CONFIG_MAP,
        names.gateway_config(agent.metadata.name, _digest(text)),
        immutable=True,
        data={_FILE: text},
    )


def deployment(agent: AgentDeployment, options: ResourceOptions, text: str) -> Manifest:
    """The gateway's Deployment: a pod goes only once its successor is ready."""
    return child(
        agent,
        kinds.DEPLOYMENT,
        names.gateway(agent.metadata.name),
        labels=gateway_labels(agent),
        spec={
            "replicas": agent.spec.gateway.replicas,
            "revisionHistoryLimit": _REVISIONS,
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
            },
            "selector": {"matchLabels": gateway_selector(agent)},
            "template": pod_template(agent, options, text),
        },
    )


def pod_template(agent: AgentDeployment, options: ResourceOptions, text: str) -> Manifest:
    """The gateway's pods: each runs by the configuration of this text."""
    digest = _digest(text)
    server = agent.spec.server
    optional = {
        "imagePullSecrets": [{"name": secret.name} for secret in server.image_pull_secrets],
        # Every request passes here: what may displace other pods for the servers may do so too.
        "priorityClassName": server.placement.priority_class_name,
    }
    return {
        "metadata": {
            "labels": gateway_labels(agent),
            "annotations": {
                names.CONFIG_DIGEST: digest,
                **scrape_annotations(options, names.GATEWAY_METRICS_PORT, GATEWAY_METRICS_PATH),
            },
        },
        "spec": {
            "serviceAccountName": names.gateway(agent.metadata.name),
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": pod_security(_UID),
            "terminationGracePeriodSeconds": gateway_drain(agent.spec).termination_grace_seconds,
            **{field: value for field, value in optional.items() if value},
            "topologySpreadConstraints": spread_constraints(
                ("kubernetes.io/hostname",), gateway_selector(agent)
            ),
            "containers": [_container(agent.spec, options)],
            "volumes": [
                {
                    "name": _VOLUME,
                    "configMap": {"name": names.gateway_config(agent.metadata.name, digest)},
                },
                *_routes_volumes(agent),
            ],
        },
    }


def _routes_volumes(agent: AgentDeployment) -> list[Manifest]:
    if not has_routes_of_its_own(agent.spec):
        return []
    routes = {"name": names.gateway_routes(agent.metadata.name)}
    return [{"name": _ROUTES_VOLUME, "configMap": routes}]


def _mounts(spec: AgentSpec) -> list[Manifest]:
    mounts = [{"name": _VOLUME, "mountPath": _DIRECTORY, "readOnly": True}]
    if has_routes_of_its_own(spec):
        # As a whole: a single file of it would stay as it was.
        mounts.append({"name": _ROUTES_VOLUME, "mountPath": ROUTES_DIRECTORY, "readOnly": True})
    return mounts


def _container(spec: AgentSpec, options: ResourceOptions) -> Manifest:
    resources = spec.gateway.resources
    return {
        "name": names.GATEWAY_CONTAINER,
        "image": spec.gateway.image or options.gateway_image,
        "imagePullPolicy": ImagePullPolicy.IF_NOT_PRESENT.value,
        "command": ["envoy"],  # past an entry point that would want to be root
        "args": gateway_arguments(spec),
        "ports": [
            {"name": "http", "containerPort": names.HTTP_PORT, "protocol": "TCP"},
            {"name": "grpc", "containerPort": names.GRPC_PORT, "protocol": "TCP"},
            {"name": "metrics", "containerPort": names.GATEWAY_METRICS_PORT, "protocol": "TCP"},
        ],
        "resources": {
            "requests": {"cpu": resources.cpu, "memory": resources.memory},
            "limits": {"memory": resources.memory},
        },
        "startupProbe": {**_ready_probe(), "periodSeconds": 1, "failureThreshold": 60},
        "readinessProbe": {**_ready_probe(), "periodSeconds": 2, "failureThreshold": 2},
        "livenessProbe": {**_ready_probe(), "periodSeconds": 10, "failureThreshold": 6},
        "lifecycle": {"preStop": {"exec": {"command": ["bash", "-c", drain_script(spec)]}}},
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": _mounts(spec),
    }


def gateway_arguments(spec: AgentSpec) -> list[str]:
    """Envoy's flags; its parser wants each value as an argument of its own.

    Draining is immediate: from its first moment each answer tells its client to close the
    connection. A gradual one tells more and more of them, and so might never tell a connection
    that asks seldom.
    """
    cores = math.ceil(quantity_value(spec.gateway.resources.cpu))
    return [
        *("--config-path", f"{_DIRECTORY}/{_FILE}"),
        # By the request: by default there is a worker for each of the node's cores.
        *("--concurrency", str(max(_FEWEST_WORKERS, cores))),
        "--disable-hot-restart",  # a new pod takes over, not a new process
        *("--drain-time-s", str(gateway_drain(spec).drain_seconds)),
        *("--drain-strategy", "immediate"),
        *("--log-level", "warning"),
    ]


def drain_script(spec: AgentSpec) -> str:
    """What bash does before Envoy is told to end, since Envoy ends at once then.

    Tell the listeners to drain, go on for the drain time, then wait until no request is in flight;
    the grace period bounds that. Asked through bash's own /dev/tcp: Envoy's image has no curl.
    """
    headers = r"Host: admin\r\nConnection: close\r\nContent-Length: 0"
    return f"""\
admin() {{
  exec 3<>/dev/tcp/127.0.0.1/{ADMIN_PORT} || return
  printf '%s HTTP/1.1\\r\\n{headers}\\r\\n\\r\\n' "$*" >&3
  cat <&3
}}
admin POST '/drain_listeners?graceful&inboundonly' >/dev/null
sleep {gateway_drain(spec).drain_seconds}
while admin GET '/stats?filter={CLIENT_PREFIX}_.*downstream_rq_active' | grep -q ': [1-9]'; do
  sleep 1
done
"""


def _ready_probe() -> Manifest:
    return {"httpGet": {"path": READY_PATH, "port": "metrics"}, "timeoutSeconds": 2}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
