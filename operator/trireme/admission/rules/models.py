"""Faults of what models and pipelines are called and what executes them. Pure."""

import re
from collections.abc import Iterator

from trireme.admission.places import models, owners, repeated
from trireme.admission.words import below, listed, some
from trireme.api.agent import AgentSpec
from trireme.errors import Fault
from trireme.modelrepo.backends import (
    CANONICAL_FILES,
    PLATFORMS,
    backend_of,
    chosen_file,
    likely_backend,
    named_files,
)
from trireme.modelrepo.plan import ENSEMBLE
from trireme.modelrepo.sources import served_versions

_PYTORCH_NAME = re.compile(r".+__[0-9]+")


def there_is_no_model(spec: AgentSpec) -> Iterator[Fault]:
    """Pipelines alone call nothing."""
    if not spec.models:
        yield Fault("spec.models", [], "models must not be empty", "Add the models of the agent")


def name_repeats(spec: AgentSpec) -> Iterator[Fault]:
    """The API server holds this for each list; a file on disk it has never seen."""
    yield from repeated("spec.models", "name", (model.name for model in spec.models))
    yield from repeated("spec.pipelines", "name", (line.name for line in spec.pipelines))
    yield from repeated("spec.objectives", "model", (each.model for each in spec.objectives))
    yield from repeated("spec.server.env", "name", (each.name for each in spec.server.env))
    if (asked := spec.optimization) is not None:
        named = (each.model for each in asked.models)
        yield from repeated("spec.optimization.models", "model", named)
    for path, model in models(spec):
        versions = (each.version for each in model.versions)
        yield from repeated(f"{path}.versions", "version", versions)
    for path, owner in owners(spec):
        yield from repeated(f"{path}.files", "path", (each.path for each in owner.files))


def pipeline_is_named_like_a_model(spec: AgentSpec) -> Iterator[Fault]:
    """Both are folders of one repository."""
    named = {model.name: index for index, model in enumerate(spec.models)}
    for index, pipeline in enumerate(spec.pipelines):
        if pipeline.name in named:
            yield Fault(
                f"spec.pipelines[{index}].name",
                pipeline.name,
                f"{pipeline.name} is already the name of spec.models[{named[pipeline.name]}]",
                "Give the pipeline a name of its own",
            )


def platform_is_unknown(spec: AgentSpec) -> Iterator[Fault]:
    """Triton takes a platform alone only where it stands for a backend."""
    for path, model in models(spec):
        if model.platform == ENSEMBLE:
            yield Fault(
                f"{path}.platform",
                model.platform,
                "a model cannot be an ensemble",
                "Describe it in spec.pipelines",
            )
        elif model.platform and not model.backend and model.platform not in PLATFORMS:
            yield Fault(
                f"{path}.platform",
                model.platform,
                f"there is no platform {model.platform}",
                f"Set backend instead; the platforms are {', '.join(PLATFORMS)}",
            )


def platform_contradicts_backend(spec: AgentSpec) -> Iterator[Fault]:
    """Each platform is one backend's."""
    for path, model in models(spec):
        own = PLATFORMS.get(model.platform)
        if own is not None and model.backend not in ("", own):
            yield Fault(
                f"{path}.platform",
                model.platform,
                f"platform {model.platform} is backend {own}'s, and backend is {model.backend}",
                "Remove platform",
            )


def backend_is_missing(spec: AgentSpec) -> Iterator[Fault]:
    """Nothing says what executes the model, and Triton does not know it by the files' names.

    What a ConfigMap holds is judged with its files (`admission.sources`).
    """
    for path, model in models(spec):
        chosen = chosen_file(model)
        files = [chosen] if chosen else named_files(model)
        all_known = chosen or len(files) == len(served_versions(model))
        if files and all_known and not backend_of(model) and not model.platform:
            yield backend_fault(path, model.name, files)


def tensorflow_format_is_not_said(spec: AgentSpec) -> Iterator[Fault]:
    """Without a platform, Triton tells a SavedModel from a GraphDef by the name, and takes no other
    name.

    Names without an ending may be those of folders, which are seen when they are inspected.
    """
    canonical = CANONICAL_FILES["tensorflow"]
    for path, model in models(spec):
        if model.backend != "tensorflow" or model.platform:
            continue
        chosen = chosen_file(model)
        named = [chosen] if chosen else [file for file in named_files(model) if "." in file]
        others = sorted(set(named) - set(canonical))
        if others:
            yield Fault(
                f"{path}.platform",
                None,
                "it is required: backend tensorflow knows what it loads by the name "
                f"{' or '.join(canonical)}, and not by {listed(others)}",
                "Set platform: tensorflow_savedmodel, or tensorflow_graphdef",
            )


def backend_fault(path: str, model: str, files: list[str]) -> Fault:
    """The fault of a model at `path` whose files say no backend."""
    likely = likely_backend(files)
    backends = "python, onnxruntime, pytorch, tensorrt, openvino, fil, ..."
    return Fault(
        f"{path}.backend",
        None,
        f"it is required: nothing says what executes model {model}, and Triton knows no backend by "
        f"{some(sorted(files))}",
        f"Add it: {likely}, as the file's ending says" if likely else f"Add it: {backends}",
    )


# ------------------------------------------------------------------------------------- warnings


def backend_is_left_to_triton(spec: AgentSpec) -> Iterator[Fault]:
    """Files that are not seen before the pods start may have any name."""
    for path, model in models(spec):
        sources = [served.source for served in served_versions(model)]
        is_unseen = any(each.config_map is None for each in sources)
        if is_unseen and not named_files(model) and not backend_of(model) and not model.platform:
            yield Fault(
                f"{path}.backend",
                None,
                f"nothing says what executes model {model.name}: Triton will look for a file such "
                "as model.onnx or model.py, and Trireme cannot check it before the pods start",
                "Add it: python, onnxruntime, pytorch, tensorrt, openvino, fil, ...",
            )


def pytorch_name_breaks_convention(spec: AgentSpec) -> Iterator[Fault]:
    """TorchScript files name no tensors: the backend finds them by the index in the name.

    A dictionary-typed input and a forward() argument's own name are also allowed, hence a warning.
    """
    for path, model in models(spec):
        if backend_of(model) != "pytorch":
            continue
        for field, tensors in (("inputs", model.inputs), ("outputs", model.outputs)):
            for at, tensor in enumerate(tensors):
                if not _PYTORCH_NAME.fullmatch(tensor.name):
                    yield Fault(
                        f"{path}.{field}[{at}].name",
                        tensor.name,
                        f"{tensor.name} is not of the form NAME__INDEX that the pytorch backend "
                        "reads",
                        f"Write {tensor.name}__{at}",
                    )


def parameter_is_empty(spec: AgentSpec) -> Iterator[Fault]:
    """Backends that read numbers or JSON fail on it without naming the key."""
    for path, model in models(spec):
        for key, value in model.parameters.items():
            if not value.strip():
                yield Fault(
                    below(f"{path}.parameters", key),
                    value,
                    f"parameter {key} is empty",
                    "Give it a value, or remove it",
                )
