"""What brings models' files into a server pod: its init container, what that is told, its volumes.

Pure. The plan is JSON in a ConfigMap named by its digest; `api.fetch` is what it says. Credentials
are Secrets mounted as files, so they are in no argument, no variable and no ConfigMap.
"""

import hashlib
from collections.abc import Iterator, Sequence

from trireme.api import kinds, names
from trireme.api.agent import AgentDeployment
from trireme.api.fetch import Fetch, FetchCache, FetchNodeCache, FetchPlan
from trireme.api.models import Model
from trireme.api.node_cache import ROOT
from trireme.api.scalars import quantity_value
from trireme.api.sources import Source
from trireme.errors import Fault
from trireme.modelrepo.backends import loaded_files
from trireme.modelrepo.repository import Fetched, Repository
from trireme.modelrepo.sources import claim_of
from trireme.resources.environment import variable_value
from trireme.resources.metadata import Manifest, child
from trireme.resources.options import ResourceOptions
from trireme.resources.security import container_security

FETCHED_VOLUME = "fetched"
_PLAN_VOLUME = "fetch-plan"
_CACHE_VOLUME = "cache"
_NODE_CACHE_VOLUME = "node-cache"
_TEMPORARY_VOLUME = "fetch-temporary"

_ROOT = "/fetched"
_PLAN_FOLDER = "/etc/trireme/fetch"
_PLAN_FILE = "plan.json"
CREDENTIALS = "/credentials"
CLAIMS = "/claims"
_CACHE = "/cache"
_NODE_CACHE = "/etc/trireme/node-cache"


def fetch_plan(
    agent: AgentDeployment, repository: Repository, options: ResourceOptions
) -> FetchPlan | None:
    """Everything a pod of this repository fetches; None where that is nothing."""
    models = {model.name: model for model in agent.spec.models}
    fetches = [
        fetch_of(models[directory.name], version, place.source)
        for directory in repository.models
        for version, place in sorted(directory.mounts.items())
        if isinstance(place, Fetched)
    ]
    if not fetches:
        return None
    storage = agent.spec.download.storage
    limit = None if storage is None else int(quantity_value(storage))
    return FetchPlan(fetches=fetches, cache=_planned_cache(agent, options), limit_bytes=limit)


def _planned_cache(
    agent: AgentDeployment, options: ResourceOptions
) -> FetchCache | FetchNodeCache | None:
    cache = agent.spec.download.cache
    if cache is None:
        return None
    if not cache.node:
        return FetchCache(path=_CACHE, limit_bytes=int(quantity_value(cache.size)))
    if not options.node_cache_url:
        return None  # node_cache.missing_node_cache tells
    namespace = agent.metadata.namespace
    return FetchNodeCache(url=f"{options.node_cache_url}{ROOT}/{namespace}")


def fetch_objects(
    agent: AgentDeployment, repository: Repository, options: ResourceOptions
) -> tuple[Manifest, ...]:
    """What the init container needs to be there: its plan, and the cache's claim if one is made."""
    plan = fetch_plan(agent, repository, options)
    if plan is None:
        return ()
    name = _plan_name(agent, plan)
    config_map = child(
        agent, kinds.CONFIG_MAP, name, immutable=True, data={_PLAN_FILE: _text(plan)}
    )
    cache = agent.spec.download.cache
    if cache is None or cache.storage_class_name is None:
        return (config_map,)
    claim = child(
        agent,
        kinds.PERSISTENT_VOLUME_CLAIM,
        names.cache_claim(agent.metadata.name),
        spec={
            "accessModes": ["ReadWriteMany"],  # pods of several nodes share it
            "storageClassName": cache.storage_class_name,
            "resources": {"requests": {"storage": cache.size}},
        },
    )
    return (claim, config_map)


def claim_stays(claim: Manifest, live: Manifest, refusal: str) -> Fault:
    """That the cache's claim stays as it is, since the API refuses what the spec asks of it."""
    asked, has = claim["spec"], live["spec"]
    field, wanted, present = "size", *(_requested(spec) for spec in (asked, has))
    if asked["storageClassName"] != has.get("storageClassName"):
        field = "storageClassName"
        wanted, present = asked["storageClassName"], has.get("storageClassName")
    name = claim["metadata"]["name"]
    first, *_ = refusal.splitlines() or [""]
    return Fault(
        f"spec.download.cache.{field}",
        wanted,
        f"the claim {name} keeps {present}, and is used as it is: {first}",
        f"Write {present} again; or leave cache out, delete the claim once no pod has it "
        f"(kubectl delete pvc {name}), and have another one made",
    )


def _requested(spec: Manifest) -> str:
    size: str = spec["resources"]["requests"]["storage"]
    return size


def fetch_pod_parts(
    agent: AgentDeployment, repository: Repository, options: ResourceOptions
) -> tuple[list[Manifest], list[Manifest]]:
    """The init containers and the volumes of a server pod; both empty where nothing is fetched."""
    plan = fetch_plan(agent, repository, options)
    if plan is None:
        return [], []
    return [_container(agent, plan, options)], list(_volumes(agent, plan))


def fetch_of(model: Model, version: int, source: Source) -> Fetch:
    """What the fetcher is told of one version."""
    wanted = loaded_files(model)
    file_name = wanted[0] if len(wanted) == 1 else ""  # one of several names (fil) keeps its own
    return Fetch(
        model=model.name,
        version=version,
        uri=source.uri or "",
        sha256=source.sha256,
        endpoint=source.endpoint,
        region=source.region,
        credentials=source.secret_ref.name if source.secret_ref else None,
        file_name=file_name,
    )


def _text(plan: FetchPlan) -> str:
    return plan.model_dump_json(by_alias=True, exclude_none=True)


def _plan_name(agent: AgentDeployment, plan: FetchPlan) -> str:
    digest = hashlib.sha256(_text(plan).encode()).hexdigest()
    return names.fetch_plan(agent.metadata.name, digest)


def _container(agent: AgentDeployment, plan: FetchPlan, options: ResourceOptions) -> Manifest:
    return {
        "name": names.FETCH_CONTAINER,
        "image": options.fetcher_image or options.operator_image,
        "imagePullPolicy": options.operator_image_pull_policy,
        "args": ["fetch", f"--plan={_PLAN_FOLDER}/{_PLAN_FILE}", f"--root={_ROOT}"],
        "env": environment(agent),
        "ports": [
            {
                "name": "progress",
                "containerPort": names.FETCH_PROGRESS_PORT,
                "protocol": "TCP",
            }
        ],
        "resources": compute(agent),
        "securityContext": container_security(),
        "volumeMounts": list(_mounts(plan)),
    }


def environment(agent: AgentDeployment) -> list[Manifest]:
    """The variables of what reads models' sources."""
    home = {"name": "HOME", "value": "/tmp"}  # noqa: S108  # of the pod
    return [home, *({"name": v.name, **variable_value(v)} for v in agent.spec.download.env)]


def compute(agent: AgentDeployment) -> Manifest:
    """What a container that reads models' sources asks for."""
    download = agent.spec.download
    return {
        "requests": {"cpu": download.cpu, "memory": download.memory},
        "limits": {"memory": download.memory},
    }


def _mounts(plan: FetchPlan) -> Iterator[Manifest]:
    yield {"name": FETCHED_VOLUME, "mountPath": _ROOT}
    yield {"name": _PLAN_VOLUME, "mountPath": _PLAN_FOLDER, "readOnly": True}
    if isinstance(plan.cache, FetchCache):
        yield {"name": _CACHE_VOLUME, "mountPath": _CACHE}
    elif plan.cache is not None:
        yield {"name": _NODE_CACHE_VOLUME, "mountPath": _NODE_CACHE, "readOnly": True}
    yield from source_mounts(plan.fetches)


def source_mounts(fetches: Sequence[Fetch]) -> Iterator[Manifest]:
    """Where what sources are reached by is mounted: Secrets and claims; and a place for libraries'
    temporary files.
    """
    yield {"name": _TEMPORARY_VOLUME, "mountPath": "/tmp"}  # noqa: S108  # of the pod
    for secret in _secrets(fetches):
        path = f"{CREDENTIALS}/{secret}"
        yield {"name": names.secret_volume(secret), "mountPath": path, "readOnly": True}
    for claim in _claims(fetches):
        path = f"{CLAIMS}/{claim}"
        yield {"name": names.claim_volume(claim), "mountPath": path, "readOnly": True}


def _volumes(agent: AgentDeployment, plan: FetchPlan) -> Iterator[Manifest]:
    storage = agent.spec.download.storage
    yield {"name": FETCHED_VOLUME, "emptyDir": {"sizeLimit": storage} if storage else {}}
    yield {"name": _PLAN_VOLUME, "configMap": {"name": _plan_name(agent, plan)}}
    cache = agent.spec.download.cache
    if cache is not None and isinstance(plan.cache, FetchCache):
        claim = cache.claim_name or names.cache_claim(agent.metadata.name)
        yield {"name": _CACHE_VOLUME, "persistentVolumeClaim": {"claimName": claim}}
    elif plan.cache is not None:
        secret = names.node_cache_secret(agent.metadata.name, agent.metadata.uid)
        yield {"name": _NODE_CACHE_VOLUME, "secret": secret_source(secret)}
    yield from source_volumes(plan.fetches)


def source_volumes(fetches: Sequence[Fetch]) -> Iterator[Manifest]:
    """The volumes of `source_mounts`."""
    yield {"name": _TEMPORARY_VOLUME, "emptyDir": {}}
    for secret in _secrets(fetches):
        yield {
            "name": names.secret_volume(secret),
            "secret": secret_source(secret),
        }
    for claim in _claims(fetches):
        yield {
            "name": names.claim_volume(claim),
            "persistentVolumeClaim": {"claimName": claim, "readOnly": True},
        }


def secret_source(secret: str) -> Manifest:
    """Where there is none, the fetcher says so; the kubelet would only wait."""
    return {"secretName": secret, "defaultMode": 0o440, "optional": True}


def _secrets(fetches: Sequence[Fetch]) -> list[str]:
    return sorted({fetch.credentials for fetch in fetches if fetch.credentials is not None})


def _claims(fetches: Sequence[Fetch]) -> list[str]:
    claims = (claim_of(fetch.uri) for fetch in fetches)
    return sorted({claim for claim in claims if claim is not None})
