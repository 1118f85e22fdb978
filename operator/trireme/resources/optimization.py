"""The Job that optimises one model, and what its pod may reach.

Pure. Four containers, one after the other, so that what opens the model, which may be hostile,
has no credentials and writes nowhere but into the pod: `check-destination` has the destination's
Secret or claim, `fetch` those of the sources, `optimize` the files alone, `deliver` the destination
again. The network is the pod's,
so one NetworkPolicy holds for all; none has a token of the API.
"""

from collections.abc import Iterator, Mapping

from trireme.api import kinds, names
from trireme.api.agent import AgentDeployment
from trireme.api.fetch import FetchPlan
from trireme.api.optimization import Optimization, OptimizationResources, OptimizedModel
from trireme.api.optimize import OptimizationPlan
from trireme.api.scalars import quantity_value
from trireme.api.schema import ApiModel
from trireme.modelrepo.sources import claim_of
from trireme.resources.egress import egress_rules, place_of, proxy_places
from trireme.resources.fetch import (
    CLAIMS,
    CREDENTIALS,
    compute,
    environment,
    secret_source,
    source_mounts,
    source_volumes,
)
from trireme.resources.jobs import (
    accounts_of_jobs,
    job,
    own_image,
    pod_of_job,
    users_annotations,
)
from trireme.resources.metadata import Manifest, child
from trireme.resources.optimization_plans import MODEL, SAMPLES, config_maps, latest, wanted
from trireme.resources.options import ResourceOptions
from trireme.resources.security import container_security

_PLANS_VOLUME, _FETCHED_VOLUME, _RESULT_VOLUME = "plans", "fetched", "result"
_SCRATCH_VOLUME = "scratch"
_PLANS = "/etc/trireme/optimization"
_FETCHED, _RESULT = "/fetched", "/result"
_FILES = {MODEL: "/model", SAMPLES: "/samples"}

_BESIDE_THE_SEARCH_SECONDS = 1800
"""For a node, reading, the last measurement and the delivery: the search itself is bounded by its
budget, and takes half as long again where the machine is busy (docs/optimizer.md); twice is far
more.
"""
_SKIPPED_CONTAINERS = {
    "eks.amazonaws.com/skip-containers": ",",
    "azure.workload.identity/skip-containers": ";",
}
"""Annotations of a pod with the separator of their names, as the READMEs of
aws/amazon-eks-pod-identity-webhook and Azure/azure-workload-identity have them.
"""


def optimization_policies(agent: AgentDeployment) -> tuple[Manifest, ...]:
    """The NetworkPolicy of all pods that optimise an agent's models: nobody reaches them, and they
    reach the ports of their sources and of the destination.
    """
    if (asked := wanted(agent)) is None:
        return ()
    models = {model.name: model for model in agent.spec.models}
    sources = [
        source
        for each in asked.models
        for source in (latest(models[each.model]).source, each.samples)
    ]
    named = [(source.uri, source.endpoint) for source in sources if source.uri is not None]
    named.append((asked.put_at.uri, asked.put_at.endpoint))
    places = [place for uri, endpoint in named if (place := place_of(uri, endpoint)) is not None]
    if places:
        variables = ((each.name, each.value or "") for each in agent.spec.download.env)
        places += proxy_places(variables)
    selector = {names.COMPONENT: names.COMPONENT_OPTIMIZATION, names.OWNER: agent.metadata.name}
    policy = child(
        agent,
        kinds.NETWORK_POLICY,
        names.optimization_policy(agent.metadata.name),
        labels={names.COMPONENT: names.COMPONENT_OPTIMIZATION},
        spec={
            "podSelector": {"matchLabels": selector},
            "policyTypes": ["Ingress", "Egress"],
            "egress": egress_rules(places),
        },
    )
    return (policy,)


def optimization_objects(
    agent: AgentDeployment,
    asked: OptimizedModel,
    plan: OptimizationPlan,
    options: ResourceOptions,
) -> tuple[Manifest, ...]:
    """What is created to optimise one model: the pods' ServiceAccount, if it is ours, and the Job.

    One that exists is left as it is.
    """
    return (*accounts_of_jobs(agent), _job(agent, asked, plan, options))


def _job(
    agent: AgentDeployment,
    asked: OptimizedModel,
    plan: OptimizationPlan,
    options: ResourceOptions,
) -> Manifest:
    labels = {
        names.COMPONENT: names.COMPONENT_OPTIMIZATION,
        names.OPTIMIZATION: names.job_label(plan.digest),
    }
    return job(
        agent,
        names.optimization_job(agent.metadata.name, plan.digest),
        labels=labels,
        annotations={
            **_without_an_identity(users_annotations(agent)),
            **{name: _text(part) for name, (_, part) in _plans(agent, plan).items()},
        },
        pod=_pod(agent, asked, plan, options),
        # The Job's, not the pod's: that begins only when a node is found.
        activeDeadlineSeconds=_deadline_seconds(agent),
    )


def _without_an_identity(annotations: Mapping[str, str]) -> dict[str, str]:
    """Annotations by which webhooks that put an identity's token into all containers leave out the
    one that opens the model, with those that the user leaves out.
    """
    return {
        name: separator.join(
            filter(None, (annotations.get(name, "").strip(separator), names.OPTIMIZE_CONTAINER))
        )
        for name, separator in _SKIPPED_CONTAINERS.items()
    }


def _plans(agent: AgentDeployment, plan: OptimizationPlan) -> dict[str, tuple[str, ApiModel]]:
    """What each container is told, by the annotation, with the file that it is there."""
    storage = _resources(agent).storage
    fetch = FetchPlan(fetches=plan.fetches, limit_bytes=int(quantity_value(storage)))
    plans: dict[str, tuple[str, ApiModel]] = {
        names.OPTIMIZE_PLAN: ("optimize.json", plan.optimize),
        names.DELIVERY_PLAN: ("deliver.json", plan.deliver),
    }
    return {names.FETCH_PLAN: ("fetch.json", fetch), **plans} if plan.fetches else plans


def _text(plan: ApiModel) -> str:
    return plan.model_dump_json(by_alias=True, exclude_none=True)


def _pod(
    agent: AgentDeployment,
    asked: OptimizedModel,
    plan: OptimizationPlan,
    options: ResourceOptions,
) -> Manifest:
    fetching = [_fetching(agent, plan, options)] if plan.fetches else []
    return {
        # What is measured is to hold for the nodes that serve.
        **pod_of_job(agent, nodeSelector=agent.spec.server.placement.node_selector),
        "initContainers": [
            _checking(agent, plan, options),
            *fetching,
            _optimizing(agent, plan, options),
        ],
        "containers": [_delivering(agent, plan, options)],
        "volumes": list(_volumes(agent, asked, plan)),
    }


def _fetching(agent: AgentDeployment, plan: OptimizationPlan, options: ResourceOptions) -> Manifest:
    return {
        "name": names.FETCH_CONTAINER,
        **own_image(options),
        "args": ["fetch", f"--plan={_PLANS}/fetch.json", f"--root={_FETCHED}"],
        "env": environment(agent),
        "resources": compute(agent),
        "securityContext": container_security(),
        "volumeMounts": [
            _PLANS_MOUNT,
            {"name": _FETCHED_VOLUME, "mountPath": _FETCHED},
            *source_mounts(plan.fetches),
        ],
    }


def _optimizing(
    agent: AgentDeployment, plan: OptimizationPlan, options: ResourceOptions
) -> Manifest:
    resources = _resources(agent)
    amounts = {"cpu": resources.cpu, "memory": resources.memory}
    mounts = (
        {"name": each, "mountPath": path, "readOnly": True}
        if each in plan.contents
        else {
            "name": _FETCHED_VOLUME,
            "mountPath": path,
            "subPath": f"{each}/1",
            "readOnly": True,
        }
        for each, path in _FILES.items()
    )
    return {
        "name": names.OPTIMIZE_CONTAINER,
        "image": options.optimizer_image,
        "imagePullPolicy": options.optimizer_image_pull_policy,
        "args": [
            "optimize-job",
            f"--plan={_PLANS}/optimize.json",
            f"--model={_FILES[MODEL]}",
            f"--samples={_FILES[SAMPLES]}",
            f"--into={_RESULT}",
        ],
        "env": [{"name": "HOME", "value": "/tmp"}],  # noqa: S108  # of the pod
        "resources": {"requests": amounts, "limits": amounts},
        "securityContext": container_security(),
        "volumeMounts": [
            _PLANS_MOUNT,
            *mounts,
            {"name": _RESULT_VOLUME, "mountPath": _RESULT},
            {"name": _SCRATCH_VOLUME, "mountPath": "/tmp"},  # noqa: S108  # of the pod
        ],
    }


def _checking(agent: AgentDeployment, plan: OptimizationPlan, options: ResourceOptions) -> Manifest:
    """A destination that cannot be written to is told before the search, not after it."""
    of_destination = _with_the_destination(agent, plan, options)
    return {
        "name": names.DESTINATION_CONTAINER,
        **of_destination,
        "args": [*of_destination["args"], "--check"],
    }


def _delivering(
    agent: AgentDeployment, plan: OptimizationPlan, options: ResourceOptions
) -> Manifest:
    of_destination = _with_the_destination(agent, plan, options)
    result = {"name": _RESULT_VOLUME, "mountPath": _RESULT, "readOnly": True}
    return {
        "name": names.DELIVERY_CONTAINER,
        **of_destination,
        "args": [*of_destination["args"], f"--from={_RESULT}"],
        "volumeMounts": [*of_destination["volumeMounts"], result],
    }


def _with_the_destination(
    agent: AgentDeployment, plan: OptimizationPlan, options: ResourceOptions
) -> Manifest:
    """What the two containers are that have the destination."""
    claim, secret = claim_of(plan.deliver.uri), plan.deliver.credentials
    optional: list[Manifest] = []
    if claim is not None:
        optional.append({"name": names.claim_volume(claim), "mountPath": f"{CLAIMS}/{claim}"})
    if secret is not None:
        path, name = f"{CREDENTIALS}/{secret}", names.secret_volume(secret)
        optional.append({"name": name, "mountPath": path, "readOnly": True})
    return {
        **own_image(options),
        "args": ["deliver", f"--plan={_PLANS}/deliver.json"],
        "env": environment(agent),
        "resources": compute(agent),
        "securityContext": container_security(),
        "volumeMounts": [_PLANS_MOUNT, *optional],
    }


_PLANS_MOUNT = {"name": _PLANS_VOLUME, "mountPath": _PLANS, "readOnly": True}


def _volumes(
    agent: AgentDeployment, asked: OptimizedModel, plan: OptimizationPlan
) -> Iterator[Manifest]:
    items = [
        {"path": file, "fieldRef": {"fieldPath": f"metadata.annotations['{annotation}']"}}
        for annotation, (file, _) in _plans(agent, plan).items()
    ]
    yield {"name": _PLANS_VOLUME, "downwardAPI": {"items": items}}
    empty = {"emptyDir": {"sizeLimit": _resources(agent).storage}}
    for name in (_FETCHED_VOLUME, _RESULT_VOLUME, _SCRATCH_VOLUME):
        if name != _FETCHED_VOLUME or plan.fetches:
            yield {"name": name, **empty}
    for what, config_map in config_maps(agent, asked).items():
        yield {"name": what, "configMap": {"name": config_map}}
    yield from _places(plan)


def _places(plan: OptimizationPlan) -> Iterator[Manifest]:
    """Secrets and claims of the sources and the destination, each once: the kubelet does not mount
    one claim as two volumes of a pod.
    """
    claim, secret = claim_of(plan.deliver.uri), plan.deliver.credentials
    found = {each["name"]: each for each in source_volumes(plan.fetches)} if plan.fetches else {}
    if claim is not None:
        name = names.claim_volume(claim)
        found[name] = {"name": name, "persistentVolumeClaim": {"claimName": claim}}
    if secret is not None:
        name = names.secret_volume(secret)
        found[name] = {"name": name, "secret": secret_source(secret)}
    yield from found.values()


def _deadline_seconds(agent: AgentDeployment) -> int:
    limit = 2 * _settings(agent).time_budget + agent.spec.download.timeout
    return int(limit.total_seconds()) + _BESIDE_THE_SEARCH_SECONDS


def _resources(agent: AgentDeployment) -> OptimizationResources:
    return _settings(agent).resources


def _settings(agent: AgentDeployment) -> Optimization:
    assert agent.spec.optimization is not None  # noqa: S101  # who calls this has it
    return agent.spec.optimization
