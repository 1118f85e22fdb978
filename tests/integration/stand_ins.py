"""Stand-ins for what a model repository needs and the machine has not: backends, files, GPUs.

A backend's stand-in is one in Python (Triton's "Python-based backend") under the backend's own
name, which answers zeros in the shapes that the configuration says. So a configuration keeps its
backend, platform and file names. Instances on GPUs are put on the CPU, programs of models in Python
answer zeros as well, and fields that are newer than the server are left out.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from integration.triton_server import python_backend
from trireme.modelrepo.backends import PLATFORMS
from trireme.modelrepo.plan import ENSEMBLE
from trireme.modelrepo.proto import ModelConfig
from trireme.modelrepo.proto import model_config_pb2 as pb
from trireme.modelrepo.render import config_text
from trireme.modelrepo.repository import ModelDirectory, Repository

ZEROS = '''
import json

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Answers zeros: a variable size is 1, a batch is as large as that of the first input."""

    def initialize(self, args):
        self.config = json.loads(args["model_config"])
        self.decoupled = self.config.get("model_transaction_policy", {}).get("decoupled")

    def execute(self, requests):
        answers = [pb_utils.InferenceResponse(list(self.zeros(request))) for request in requests]
        if not self.decoupled:
            return answers
        for request, answer in zip(requests, answers):
            request.get_response_sender().send(
                answer, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
            )

    def zeros(self, request):
        inputs = request.inputs()
        batch = inputs[0].shape()[:1] if inputs and self.config["max_batch_size"] else []
        for output in self.config["output"]:
            shape = [*batch, *(max(1, int(size)) for size in output["dims"])]
            kind = pb_utils.triton_string_to_numpy(output["data_type"])
            yield pb_utils.Tensor(output["name"], np.zeros(shape, kind))
'''
"""The program of a model in Python, or of a backend."""


def backends(folder: Path, *names: str) -> str:
    """The flag that has a server use the real Python backend, and stand-ins by these names."""
    folder.mkdir()
    (folder / "python").symlink_to(python_backend())
    for name in names:
        (folder / name).mkdir()
        (folder / name / "model.py").write_text(ZEROS)
    return f"--backend-directory={folder}"


def write(repository: Repository, folder: Path) -> None:
    """Write a rendered repository, with a stand-in for each file that it does not hold."""
    for model in repository.models:
        config = _without_gpus(model.config)
        config.ClearField("model_metrics")  # of 24.11 and later
        text = config_text(config).encode()
        programs = dict.fromkeys(_programs(model, config), ZEROS.encode())
        for path, content in {**model.files, **programs, "config.pbtxt": text}.items():
            file = folder / model.name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)


def _without_gpus(config: ModelConfig) -> ModelConfig:
    moved = ModelConfig()
    moved.CopyFrom(config)
    for group in moved.instance_group:
        if group.kind == pb.ModelInstanceGroup.KIND_GPU:
            group.kind = pb.ModelInstanceGroup.KIND_CPU
            group.ClearField("gpus")
    return moved


def backend_of(config: ModelConfig) -> str:
    """What executes a model, as far as its configuration says; nothing executes an ensemble."""
    named: str = config.backend or PLATFORMS.get(config.platform, "")
    return named


def _programs(model: ModelDirectory, config: ModelConfig) -> Iterator[str]:
    """What stands in for a model's program in Python, and for the contents of what is mounted."""
    is_python = config.platform != ENSEMBLE and backend_of(config) in ("", "python")
    program = config.default_model_filename or "model.py"
    for version in model.mounts:
        yield f"{version}/{program if is_python else '.keep'}"
    yield from (path for path in model.files if path.endswith(".py"))


def write_model(
    folder: Path,
    name: str,
    config: str,
    versions: Iterable[str] = ("1",),
    program: str | None = ZEROS,
) -> None:
    """Write a model as somebody wrote it: its config.pbtxt, and its program in each version."""
    (folder / name).mkdir(parents=True)
    (folder / name / "config.pbtxt").write_text(config)
    for version in versions:
        (folder / name / version).mkdir()
        if program is not None:
            (folder / name / version / "model.py").write_text(program)
