"""The spec as Triton's own ModelConfig protobufs: what every config.pbtxt will say. Pure.

What the spec leaves out, config.pbtxt leaves out: which of Triton's defaults then holds is the
same for a model that was written here and for one that was imported.
"""

from datetime import timedelta

from trireme.api.agent import AgentSpec
from trireme.api.models import Model
from trireme.api.pipelines import Pipeline
from trireme.api.releases import Feature, release_of, supports
from trireme.modelrepo.fields import MODEL, PIPELINE
from trireme.modelrepo.histogram import latency_edges_milliseconds, latency_metrics
from trireme.modelrepo.proto import ModelConfig, json_format
from trireme.modelrepo.warmup import warmup_request

ENSEMBLE = "ensemble"

LIVE_FIELDS = ("instance_group", "version_policy")
"""What Triton changes in place, without loading the model again."""


def plan(spec: AgentSpec) -> tuple[ModelConfig, ...]:
    """Every ModelConfig, in the order of the spec: models, then pipelines.

    Raises json_format.ParseError where a `config` is no ModelConfig (`admission` refuses that with
    the path of the field).
    """
    models = (model_config(model) for model in spec.models)
    pipelines = (pipeline_config(pipeline) for pipeline in spec.pipelines)
    configs = (*models, *pipelines)
    if supports(release_of(spec.server), Feature.LATENCY_HISTOGRAM):
        _measure_objectives(spec, configs)
    return configs


def model_config(model: Model) -> ModelConfig:
    """One model's configuration: the typed fields, then those of its `config`."""
    return json_format.ParseDict(model.config, typed_model_config(model))


def pipeline_config(pipeline: Pipeline) -> ModelConfig:
    """One pipeline's configuration: an ensemble, which has no instances of its own."""
    return json_format.ParseDict(pipeline.config, typed_pipeline_config(pipeline))


def typed_model_config(model: Model) -> ModelConfig:
    """What a model's typed fields say."""
    config = ModelConfig()
    MODEL.write(model, config)
    config.model_warmup.extend(
        warmup_request(index, entry, model.inputs) for index, entry in enumerate(model.warmup)
    )
    if model.latency_buckets:
        edges = [edge / timedelta(milliseconds=1) for edge in model.latency_buckets]
        config.model_metrics.CopyFrom(latency_metrics(edges))
    return config


def typed_pipeline_config(pipeline: Pipeline) -> ModelConfig:
    """What a pipeline's typed fields say."""
    config = ModelConfig(platform=ENSEMBLE)
    PIPELINE.write(pipeline, config)
    return config


def is_complete(config: ModelConfig) -> bool:
    """Whether a configuration leaves nothing to Triton's own completion: what executes the model,
    and name, type and shape of its inputs and outputs.
    """
    tensors = [*config.input, *config.output]
    is_named = bool(config.backend or config.platform)
    whole = all(tensor.data_type and tensor.dims for tensor in tensors)
    return is_named and bool(config.input) and bool(config.output) and whole


def _measure_objectives(spec: AgentSpec, configs: tuple[ModelConfig, ...]) -> None:
    """Give each model with an objective a latency histogram with an edge at the target, where the
    user has not chosen edges.
    """
    targets: dict[str, list[timedelta]] = {}
    for objective in spec.objectives:
        targets.setdefault(objective.model, []).append(objective.latency.target)
    names = [*(m.name for m in spec.models), *(p.name for p in spec.pipelines)]
    for name, config in zip(names, configs, strict=True):
        if name in targets and not config.HasField("model_metrics"):
            edges = latency_edges_milliseconds(targets[name])
            config.model_metrics.CopyFrom(latency_metrics(edges))
