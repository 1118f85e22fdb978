"""What is asked of the Job of each model that is optimised, and what its result is served by. Pure.

A plan names ConfigMaps by their content, so that another content is another plan; a URI stands for
what it names, as everywhere.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import yaml

from trireme.api.agent import AgentDeployment
from trireme.api.fetch import Fetch
from trireme.api.models import Model
from trireme.api.optimization import (
    Destination,
    Optimization,
    OptimizationMode,
    OptimizedModel,
)
from trireme.api.optimize import (
    FITTING,
    PROGRAM_SHA256,
    DeliveryPlan,
    OptimizationPlan,
    OptimizedBackend,
    OptimizePlan,
)
from trireme.api.scalars import quantity_value
from trireme.api.sources import ModelVersion
from trireme.modelrepo.backends import backend_of
from trireme.modelrepo.sources import SourceFiles, served_versions
from trireme.resources.fetch import fetch_of

MODEL, SAMPLES = "model", "samples"
"""What is brought: the names of the two in a plan, and of their folders."""


def wanted(agent: AgentDeployment) -> Optimization | None:
    """What an agent's models are optimised by; None where they are not."""
    asked = agent.spec.optimization
    return None if asked is None or asked.mode is OptimizationMode.DISABLED else asked


def optimized_backend(model: Model) -> OptimizedBackend | None:
    """What executes a model, if models of it can be optimised."""
    found = backend_of(model)
    return OptimizedBackend(found) if found in set(OptimizedBackend) else None


def config_maps(agent: AgentDeployment, asked: OptimizedModel) -> dict[str, str]:
    """The ConfigMaps that hold a model or its samples, by which of the two it is."""
    sources = {MODEL: latest(_model(agent, asked)).source, SAMPLES: asked.samples}
    return {what: each.config_map for what, each in sources.items() if each.config_map is not None}


def content_digest(files: SourceFiles) -> str:
    """The sha256 of a ConfigMap's files, by name."""
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    text = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
    return hashlib.sha256(text.encode()).hexdigest()


def optimization_plan(
    agent: AgentDeployment, asked: OptimizedModel, contents: Mapping[str, str]
) -> OptimizationPlan:
    """The plan of one model; `contents` has the digest of each of its ConfigMaps, by which it is.

    The spec has been accepted: the model is there, and is of a backend that can be optimised.
    """
    settings = agent.spec.optimization
    model = _model(agent, asked)
    backend = optimized_backend(model)
    assert settings is not None and backend is not None  # noqa: S101, PT018  # accepted
    version = latest(model)
    sources = {MODEL: version.source, SAMPLES: asked.samples}
    fetches = [
        _fetch(what, fetch_of(model, version.version, source))
        for what, source in sources.items()
        if source.uri is not None
    ]
    size = asked.target.size
    return OptimizationPlan(
        fetches=fetches,
        contents=dict(contents),
        optimize=OptimizePlan(
            model=model.name,
            labels=asked.labels,
            metric=asked.judged_in,
            max_drop=settings.drop_of(asked),
            budget=settings.time_budget,
            techniques=[each for each in settings.techniques if each in FITTING[backend]],
            backend=backend,
            max_batch=model.max_batch_size,
            latency=asked.target.latency,
            size_bytes=None if size is None else int(quantity_value(size)),
            threads=asked.threads,
        ),
        deliver=_delivery(model.name, backend, settings.put_at),
    )


def latest(model: Model) -> ModelVersion:
    """The version that is optimised of several."""
    return max(served_versions(model), key=lambda each: each.version)


def served_entry(destination: Destination, model: str, uri: str, files: Mapping[str, str]) -> str:
    """What a model's entry of spec.models says to serve a result, as YAML: its source.

    A single file is named with its digest, which the fetcher holds it to; several are a folder.
    """
    source: dict[str, Any] = {"uri": uri}
    if len(files) == 1:
        ((file, sha256),) = files.items()
        source = {"uri": f"{uri}{file}", "sha256": sha256}
    if destination.endpoint is not None:
        source["endpoint"] = destination.endpoint
    if destination.region is not None:
        source["region"] = destination.region
    if destination.secret_ref is not None:
        source["secretRef"] = {"name": destination.secret_ref.name}
    return yaml.safe_dump({"name": model, "source": source}, sort_keys=False, width=4096)


def _model(agent: AgentDeployment, asked: OptimizedModel) -> Model:
    return next(model for model in agent.spec.models if model.name == asked.model)


def _fetch(what: str, of_model: Fetch) -> Fetch:
    """What the fetcher is told: of a model as in its pods, of samples without another name."""
    name = {} if what == MODEL else {"file_name": ""}
    return of_model.model_copy(update={"model": what, "version": 1, **name})


def _delivery(model: str, backend: OptimizedBackend, destination: Destination) -> DeliveryPlan:
    return DeliveryPlan(
        model=model,
        file="model.pt" if backend is OptimizedBackend.PYTORCH else "model.onnx",
        program=PROGRAM_SHA256 if backend is OptimizedBackend.PYTHON else None,
        uri=destination.uri,
        endpoint=destination.endpoint,
        region=destination.region,
        credentials=destination.secret_ref.name if destination.secret_ref else None,
    )
