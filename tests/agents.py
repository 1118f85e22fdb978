"""A small accepted agent, and repositories made by hand, for tests of what stands on them."""

from typing import Any

from trireme.api.agent import AgentDeployment
from trireme.api.models import Model
from trireme.modelrepo.plan import model_config
from trireme.modelrepo.repository import ModelDirectory, Repository
from trireme.resources.pod_sets import PodSet, pod_sets


def agent_of(name: str = "echo", model: str = "double", **spec: Any) -> AgentDeployment:
    """An agent of one Python model on CPU; `spec` takes the place of whole top-level fields."""
    body = {
        "server": {"image": "registry.example/triton:24.10-py3", "gpus": {"count": 0}},
        "models": [model_of(model)],
        "objectives": [{"model": model, "latency": {"target": "100ms"}}],
    }
    return AgentDeployment.model_validate(
        {"metadata": {"name": name, "uid": "0f5e"}, "spec": {**body, **spec}}
    )


def pods_of(agent: AgentDeployment) -> PodSet:
    """The one set of an agent's server pods."""
    (pods,) = pod_sets(agent)
    return pods


def model_of(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "source": {"configMap": "files"},
        "backend": "python",
        "inputs": [{"name": "x", "dataType": "FP32", "dims": [-1]}],
        "outputs": [{"name": "y", "dataType": "FP32", "dims": [-1]}],
        **fields,
    }


def repository_of(*models: ModelDirectory) -> Repository:
    """A repository with digests that are easy to recognise; by default of the model `double`."""
    return Repository(models or (directory_of(),), digest="a" * 64, live_digest="b" * 64)


def directory_of(name: str = "double", **fields: Any) -> ModelDirectory:
    return ModelDirectory(
        **{
            "name": name,
            "config": model_config(Model.model_validate(model_of(name))),
            "files": {"1/model.py": b"# answers y = 2x\n"},
            "mounts": {},
            **fields,
        }
    )
