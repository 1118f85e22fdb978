"""Faults of what models are optimised by. Pure."""

from collections.abc import Iterable, Iterator, Sequence

from trireme.admission.words import listed
from trireme.api.agent import AgentSpec
from trireme.api.models import Model
from trireme.api.optimization import (
    DESTINATION_MISSING,
    LARGEST_BATCH,
    MODELS_MISSING,
    OptimizationMode,
    OptimizedModel,
    Technique,
)
from trireme.api.optimize import FITTING, OptimizedBackend
from trireme.api.rollout import Comparison, MirrorTolerance, RolloutStrategy
from trireme.api.scalars import quantity_value
from trireme.api.tensors import DataType
from trireme.errors import Fault
from trireme.modelrepo.backends import backend_of
from trireme.resources.optimization_plans import latest, optimized_backend

_PATH = "spec.optimization"
_WITHOUT_LABELS = ("cosine", "mean-error", "max-error")
_REALS = frozenset({DataType.FP16, DataType.BF16, DataType.FP32, DataType.FP64})


def _asked(spec: AgentSpec) -> Iterator[tuple[str, OptimizedModel]]:
    if spec.optimization is not None:
        for index, each in enumerate(spec.optimization.models):
            yield f"{_PATH}.models[{index}]", each


def _known(spec: AgentSpec) -> Iterator[tuple[str, OptimizedModel, Model]]:
    """Those whose model is there, and says where its files are."""
    models = {model.name: model for model in spec.models if model.source or model.versions}
    for path, each in _asked(spec):
        if each.model in models:
            yield path, each, models[each.model]


def _is_applied(spec: AgentSpec) -> bool:
    return spec.optimization is not None and spec.optimization.mode is OptimizationMode.APPLY


def result_is_applied_untried(spec: AgentSpec) -> Iterator[Fault]:
    """What is shown on samples is to be shown on real requests before all pods have it."""
    if _is_applied(spec) and spec.rollout.strategy is not RolloutStrategy.CANARY:
        yield Fault(
            f"{_PATH}.mode",
            "Apply",
            "optimization.mode Apply tries each model on a canary: set rollout.strategy to Canary",
            "Or use Recommend",
        )


def result_takes_the_place_of_no_version(spec: AgentSpec) -> Iterator[Fault]:
    """Of several versions clients may ask for each, and a result is of the latest one."""
    several = {model.name for model in spec.models if model.versions}
    for path, each in _asked(spec):
        if _is_applied(spec) and each.model in several:
            yield Fault(
                f"{path}.model",
                each.model,
                f"mode Apply puts the result in the place of source, and {each.model} has versions",
                "Serve one version by source, or use Recommend",
            )


def model_is_not_there(spec: AgentSpec) -> Iterator[Fault]:
    """A pipeline is no file that could be smaller; its steps' models are."""
    pipelines = {pipeline.name for pipeline in spec.pipelines}
    models = [model.name for model in spec.models]
    for path, each in _asked(spec):
        if each.model not in models:
            what = "is a pipeline" if each.model in pipelines else "is no model of this agent"
            yield Fault(
                f"{path}.model",
                each.model,
                f"{each.model} {what}",
                f"Name one of spec.models: {listed(models)}",
            )


def backend_is_not_optimised(spec: AgentSpec) -> Iterator[Fault]:
    """The result is executed by what executes the model."""
    for path, each, model in _known(spec):
        if optimized_backend(model) is None:
            backend = backend_of(model)
            told = f"is executed by {backend}" if backend else "does not say what executes it"
            yield Fault(
                f"{path}.model",
                each.model,
                f"model {each.model} {told}, and what can be optimised is for "
                f"{listed(list(OptimizedBackend))}",
                "Leave it out" if backend else "Set its backend",
            )


def model_has_no_batches(spec: AgentSpec) -> Iterator[Fault]:
    """The optimiser leaves the batch open, and measures batches of all sizes."""
    for path, each, model in _known(spec):
        if not 1 <= model.max_batch_size <= LARGEST_BATCH:
            yield Fault(
                f"{path}.model",
                each.model,
                f"model {each.model} has maxBatchSize {model.max_batch_size}, and the optimiser "
                f"needs one from 1 to {LARGEST_BATCH}",
                "Set the model's maxBatchSize, or leave it out here",
            )


def files_are_in_an_image(spec: AgentSpec) -> Iterator[Fault]:
    """The Job fetches what a URI names, and mounts ConfigMaps."""
    for path, each, model in _known(spec):
        if latest(model).source.image is not None:
            yield Fault(
                f"{path}.model",
                each.model,
                f"model {each.model} is in an image, which the optimiser does not read",
                "Name its files by a uri: oci:// fetches an artefact of a registry",
            )
    for path, each in _asked(spec):
        if each.samples.image is not None:
            yield Fault(
                f"{path}.samples.image",
                None,
                "samples in an image are not read",
                "Name them by uri or configMap",
            )


def metric_has_no_labels(spec: AgentSpec) -> Iterator[Fault]:
    """Nothing says what is right."""
    for path, each in _asked(spec):
        if each.metric not in (None, *_WITHOUT_LABELS) and each.labels is None:
            yield Fault(
                f"{path}.metric",
                each.metric,
                f"metric {each.metric} needs labels, and there are none",
                f"Set labels, or take {' or '.join(_WITHOUT_LABELS)}",
            )


def threads_exceed_the_job(spec: AgentSpec) -> Iterator[Fault]:
    """More threads than processors are measured as they wait for each other."""
    if spec.optimization is None:
        return
    cpu = spec.optimization.resources.cpu
    for path, each in _asked(spec):
        if each.threads > quantity_value(cpu):
            yield Fault(
                f"{path}.threads",
                each.threads,
                f"{each.threads} threads are more than the Job's cpu, {cpu}",
                f"Raise {_PATH}.resources.cpu, or take fewer",
            )


def technique_fits_no_model(spec: AgentSpec) -> Iterator[Fault]:
    """It would never be tried."""
    backends = _backends(spec)
    for index, technique in enumerate(_techniques(spec)):
        if backends and not any(technique in FITTING[each] for each in backends):
            yield Fault(
                f"{_PATH}.techniques[{index}]",
                technique.value,
                f"it is not for models of {listed(sorted(set(backends)))}",
                _fitting(backends),
            )


def model_has_no_technique(spec: AgentSpec) -> Iterator[Fault]:
    """Its Job would have nothing to try."""
    chosen = set(_techniques(spec))
    backends = _backends(spec)
    if chosen.isdisjoint(technique for each in backends for technique in FITTING[each]):
        return  # each of them has a fault of its own
    for path, each, model in _known(spec):
        backend = optimized_backend(model)
        if backend is None or not chosen or _alone(backend) & chosen:
            continue
        yield Fault(
            f"{path}.model",
            each.model,
            f"none of {_PATH}.techniques alone makes a model of {backend} cheaper",
            _fitting([backend]),
        )


def _backends(spec: AgentSpec) -> Sequence[OptimizedBackend]:
    return [found for _, _, model in _known(spec) if (found := optimized_backend(model))]


def _techniques(spec: AgentSpec) -> Sequence[Technique]:
    return spec.optimization.techniques if spec.optimization is not None else ()


def _alone(backend: OptimizedBackend) -> set[Technique]:
    """What gains something by itself: dead branches are cut off before something else is done."""
    return set(FITTING[backend]) - {Technique.DEAD_BRANCHES}


def _fitting(backends: Iterable[OptimizedBackend]) -> str:
    told = [f"{listed(list(FITTING[each]))} for {each}" for each in sorted(set(backends))]
    return f"Write some of {', of '.join(told)}, or leave techniques out"


def optimization_is_half_told(spec: AgentSpec) -> Iterator[Fault]:
    """Nobody knows of what models, or where to."""
    asked = spec.optimization
    if asked is None or asked.mode is OptimizationMode.DISABLED:
        return
    if asked.destination is None:
        yield Fault(
            f"{_PATH}.destination",
            None,
            DESTINATION_MISSING,
            "Add where optimised models are put, such as {uri: s3://models/optimised/}",
        )
    if not asked.models:
        yield Fault(
            f"{_PATH}.models",
            None,
            MODELS_MISSING,
            "Add a model and its samples, such as "
            "[{model: encoder, samples: {uri: s3://models/samples.npz}}]",
        )


# ------------------------------------------------------------------------------------- warnings


def pods_have_gpus(spec: AgentSpec) -> Iterator[Fault]:
    """What is measured on a processor says little of a GPU."""
    if spec.optimization is not None and spec.server.gpus.count > 0:
        yield Fault(
            _PATH,
            None,
            "models are optimised and measured on CPU, and these pods have GPUs",
            "Have a measurement of your own before you take a result over",
        )


def optimised_answers_are_compared_by_number(spec: AgentSpec) -> Iterator[Fault]:
    """The gate asks whether answers are as good; a mirror, whether they are the same."""
    mirror = spec.rollout.canary.mirror
    if not _is_applied(spec) or mirror is None or mirror.tolerance != MirrorTolerance():
        return
    told = {*mirror.ignore_outputs, *(each.name for each in mirror.outputs)}
    for _, asked, model in _known(spec):
        outputs = [each for each in model.outputs if each.data_type in _REALS]
        if plain := [each.name for each in outputs if each.name not in told]:
            yield Fault(
                "spec.rollout.canary.mirror.outputs",
                None,
                f"a model of lower precision answers with other numbers: an optimised {model.name} "
                f"may be taken back for {listed(plain)}, though its {asked.judged_in} is kept",
                _compared_by_meaning(asked.judged_in, plain[0]),
            )


def _compared_by_meaning(metric: str, output: str) -> str:
    """How what the metric judges is compared, too."""
    if metric.endswith("-error"):
        return "Set mirror.tolerance to what numbers may differ by"
    by = Comparison.DIRECTION if metric == "cosine" else Comparison.CLASS
    return f"Add {{name: {output}, by: {by}}}, or set mirror.tolerance to what may differ"
