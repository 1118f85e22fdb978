"""Which backend executes a model, and what it loads: as far as a spec says it. Pure.

Source: AutoCompleteBackendFields and GetBackendTypeFromPlatform in Triton's model_config_utils.cc,
names in its constants.h.
"""

from collections.abc import Iterable, Mapping

from trireme.api.models import Model
from trireme.api.sources import Source
from trireme.modelrepo.sources import served_versions

CANONICAL_FILES: Mapping[str, tuple[str, ...]] = {
    "python": ("model.py",),
    "onnxruntime": ("model.onnx",),
    "pytorch": ("model.pt",),
    "tensorrt": ("model.plan",),
    "openvino": ("model.xml",),
    "tensorflow": ("model.savedmodel", "model.graphdef"),
    "fil": ("xgboost.model", "xgboost.json", "xgboost.ubj", "model.txt", "checkpoint.tl"),
}
"""What each backend loads from the version directory, unless `default_model_filename` says.

The fil backend chooses among its own by the parameter model_type; Triton itself does not know it by
their names.
"""

_BY_PLATFORM = {
    "torch_aoti": "model.pt2",  # PyTorch's own compiled programs
    "tensorflow_graphdef": "model.graphdef",
    "tensorflow_savedmodel": "model.savedmodel",
}
"""What is loaded, where the platform says more of it than the backend."""

PLATFORMS = {
    "libtorch": "pytorch",
    "onnxruntime_onnx": "onnxruntime",
    "pytorch_libtorch": "pytorch",
    "torch_aoti": "pytorch",
    "tensorflow_graphdef": "tensorflow",
    "tensorflow_savedmodel": "tensorflow",
    "tensorrt_plan": "tensorrt",
}
"""The backend that each platform stands for."""

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
_BY_FILE = {
    **{
        file: backend
        for backend, files in CANONICAL_FILES.items()
        if backend != "fil"
        for file in files
    },
    **{file: PLATFORMS[platform] for platform, file in _BY_PLATFORM.items()},
}
_BY_SUFFIX = {file.rpartition(".")[2]: backend for file, backend in _BY_FILE.items()}


def backend_of(model: Model, files: Iterable[str] = ()) -> str:
    """The backend Triton takes for a model whose version directory holds these files beside those
    that the spec names; empty where nothing says it.
    """
    chosen = chosen_file(model)
    known = [chosen] if chosen else [*files, *named_files(model)]
    by_file = (_BY_FILE[file] for file in known if file in _BY_FILE)
    return model.backend or PLATFORMS.get(model.platform) or next(by_file, "")


def chosen_file(model: Model) -> str:
    """The file that `default_model_filename` names; empty where it does not."""
    chosen = model.config.get("default_model_filename")
    return chosen if isinstance(chosen, str) else ""


def loaded_files(model: Model, files: Iterable[str] = ()) -> tuple[str, ...]:
    """What the backend looks for in a version directory that holds these files, any of which it
    loads; empty where nothing says it.
    """
    chosen = chosen_file(model)
    if chosen:
        return (chosen,)
    if model.platform in _BY_PLATFORM:
        return (_BY_PLATFORM[model.platform],)
    return CANONICAL_FILES.get(backend_of(model, files), ())


def named_files(model: Model) -> list[str]:
    """The names of the files that the spec itself tells: those that its URIs end in."""
    files = (file_of(served.source) for served in served_versions(model))
    return [file for file in files if file]


def file_of(source: Source) -> str:
    """The one file that a URI names; empty for folders, archives, images and ConfigMaps."""
    scheme, _, rest = (source.uri or "").partition("://")
    inside = rest.partition("?")[0].partition("#")[0].partition("/")[2]
    name = inside.rpartition("/")[2]
    is_repository = scheme == "oci" or (scheme == "hf" and inside.count("/") == 0)
    return "" if is_repository or name.endswith(_ARCHIVES) else name


def likely_backend(files: Iterable[str]) -> str:
    """The backend that files of these kinds are usually for: `diabetes.onnx` is for onnxruntime."""
    suffixes = (file.rpartition(".")[2] for file in files if "." in file)
    return next((_BY_SUFFIX[suffix] for suffix in suffixes if suffix in _BY_SUFFIX), "")
