"""The Jobs that inspect models' files before pods are made of them, and what keeps the results.

Pure. A Job is named by what it inspects. Its pod has what the server pods' init container has
(`fetch`): the image, the Secrets, the identity, no token of the API; and no GPU. Its plan is an
annotation, which it reads as a file.
"""

import json
from collections.abc import Mapping

from trireme.api import kinds, names
from trireme.api.agent import AgentDeployment
from trireme.api.inspect import InspectPlan
from trireme.modelrepo.backends import backend_of
from trireme.modelrepo.repository import Fetched
from trireme.modelrepo.sources import located_versions, mounted
from trireme.resources.fetch import (
    compute,
    environment,
    fetch_of,
    source_mounts,
    source_volumes,
)
from trireme.resources.jobs import accounts_of_jobs, job, own_image, pod_of_job
from trireme.resources.metadata import Manifest, child
from trireme.resources.options import ResourceOptions
from trireme.resources.security import container_security

_PLAN_VOLUME = "inspection-plan"
_PLAN_FOLDER = "/etc/trireme/inspect"
_PLAN_FILE = "plan.json"

_LONGEST_RUN_SECONDS = 600  # from the kubelet's start on: a pod that waits for a node may wait
_REPORTS = "reports.json"


def inspect_plans(agent: AgentDeployment) -> tuple[InspectPlan, ...]:
    """What is to be inspected of an agent, in the order of the spec: all that is fetched."""
    if not agent.spec.download.inspect:
        return ()
    return tuple(
        InspectPlan(fetch=fetch_of(model, served.version, served.source), backend=backend_of(model))
        for _, model, served in located_versions(agent.spec)
        if isinstance(mounted(served.source), Fetched)
    )


def inspection_objects(
    agent: AgentDeployment, plan: InspectPlan, options: ResourceOptions
) -> tuple[Manifest, ...]:
    """What is created to inspect one version: the pods' ServiceAccount, if it is ours, and the Job.

    One that exists is left as it is.
    """
    return (*accounts_of_jobs(agent), _job(agent, plan, options))


def inspected_record(agent: AgentDeployment, reports: Mapping[str, str]) -> Manifest:
    """The ConfigMap that keeps reports, by the digest of what was inspected."""
    text = json.dumps(reports, sort_keys=True, ensure_ascii=False)
    name = names.inspected_record(agent.metadata.name)
    return child(agent, kinds.CONFIG_MAP, name, data={_REPORTS: text})


def recorded_reports(record: Manifest) -> dict[str, str]:
    """The reports of such a ConfigMap; none of one that is not as it was made."""
    try:
        found = json.loads(record["data"][_REPORTS])
        return {str(digest): str(report) for digest, report in found.items()}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _job(agent: AgentDeployment, plan: InspectPlan, options: ResourceOptions) -> Manifest:
    labels = {
        names.COMPONENT: names.COMPONENT_INSPECTION,
        names.INSPECTION: names.job_label(plan.digest),
    }
    text = plan.model_dump_json(by_alias=True, exclude_none=True)
    return job(
        agent,
        names.inspection_job(agent.metadata.name, plan.digest),
        labels=labels,
        annotations={names.INSPECTION_PLAN: text},
        pod=_pod(agent, plan, options),
    )


def _pod(agent: AgentDeployment, plan: InspectPlan, options: ResourceOptions) -> Manifest:
    plan_field = {"fieldPath": f"metadata.annotations['{names.INSPECTION_PLAN}']"}
    plan_items = [{"path": _PLAN_FILE, "fieldRef": plan_field}]
    return {
        **pod_of_job(agent),
        "activeDeadlineSeconds": _LONGEST_RUN_SECONDS,
        "containers": [
            {
                "name": names.INSPECTION_CONTAINER,
                **own_image(options),
                "args": ["inspect", f"--plan={_PLAN_FOLDER}/{_PLAN_FILE}"],
                "env": environment(agent),
                "resources": compute(agent),
                "securityContext": container_security(),
                "volumeMounts": [
                    {"name": _PLAN_VOLUME, "mountPath": _PLAN_FOLDER, "readOnly": True},
                    *source_mounts([plan.fetch]),
                ],
            }
        ],
        "volumes": [
            {"name": _PLAN_VOLUME, "downwardAPI": {"items": plan_items}},
            *source_volumes([plan.fetch]),
        ],
    }
