"""What the Jobs that inspect models and those that optimise them have in common. Pure.

Their pods are of the agent: its ServiceAccount, its pull secrets, what its user writes on pods for
workload identities and proxies; and none has a token of the API.
"""

from collections.abc import Mapping
from typing import Any

from trireme.api import kinds
from trireme.api.agent import AgentDeployment
from trireme.resources.metadata import Manifest, child, owner_labels
from trireme.resources.options import ResourceOptions
from trireme.resources.security import SERVER_UID, pod_security
from trireme.resources.service_accounts import server_account, service_accounts

_KEPT_SECONDS = 3600  # what is over, for people to read; the operator has taken its result by then


def job(
    agent: AgentDeployment,
    name: str,
    *,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    pod: Manifest,
    **more: Any,
) -> Manifest:
    """A Job, with `more` of its spec. It does not try again: the operator does, later each time."""
    return child(
        agent,
        kinds.JOB,
        name,
        labels=labels,
        spec={
            "backoffLimit": 0,
            **more,
            "ttlSecondsAfterFinished": _KEPT_SECONDS,
            "template": {
                "metadata": {
                    "labels": {**_of_user(agent, "labels"), **owner_labels(agent), **labels},
                    "annotations": {**users_annotations(agent), **annotations},
                },
                "spec": pod,
            },
        },
    )


def pod_of_job(agent: AgentDeployment, **placement: Any) -> Manifest:
    """What such a pod's spec begins with; of the `placement` what is not empty."""
    server = agent.spec.server
    optional = {
        "imagePullSecrets": [{"name": secret.name} for secret in server.image_pull_secrets],
        **placement,
        "tolerations": server.placement.tolerations,
    }
    return {
        "restartPolicy": "Never",
        "serviceAccountName": server_account(agent),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(SERVER_UID),
        **{field: value for field, value in optional.items() if value},
    }


def accounts_of_jobs(agent: AgentDeployment) -> tuple[Manifest, ...]:
    """The ServiceAccount of these pods, if it is ours to make: no server may be there yet."""
    account = server_account(agent)
    return tuple(m for m in service_accounts(agent) if m["metadata"]["name"] == account)


def own_image(options: ResourceOptions) -> Manifest:
    """Of a container that runs the operator's own program."""
    return {
        "image": options.operator_image,
        "imagePullPolicy": options.operator_image_pull_policy,
    }


def users_annotations(agent: AgentDeployment) -> Mapping[str, str]:
    """What the user writes on pods, which webhooks look for."""
    return _of_user(agent, "annotations")


def _of_user(agent: AgentDeployment, field: str) -> Mapping[str, str]:
    metadata = agent.spec.server.pod_template.get("metadata") or {}
    found: Mapping[str, str] = metadata.get(field) or {}
    return found
