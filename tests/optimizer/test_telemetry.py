"""onnxruntime tells its makers nothing: neither where a model is optimised nor where it is served.

Both are processes of their own here, begun without the switch, as a user's or a server's is.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest

from trireme.optimizer.forms import Artefact, Graph
from trireme.optimizer.serving import files_of
from trireme.optimizer.wishes import Backend

SWITCH = "ORT_DISABLE_TELEMETRY"

# What onnxruntime's own code, which is C++, finds in its environment when it is first imported.
LOOK = """
import ctypes, json, sys
getenv = ctypes.CDLL(None).getenv
getenv.restype = ctypes.c_char_p
found = []

def look(event, arguments):
    if event == "import" and arguments[0] == "onnxruntime":
        found.append((getenv(b"ORT_DISABLE_TELEMETRY") or b"").decode())

sys.addaudithook(look)
folder = sys.argv[1]
"""

OPTIMISING = """
from pathlib import Path
import numpy as np
import trireme.optimizer.job
from trireme.optimizer.forms import Artefact, Graph
from trireme.optimizer.memory import memory_of
from trireme.optimizer.runners import runner_of
from trireme.optimizer.samples import Samples

content = Path(folder, "model.onnx").read_bytes()
samples = Samples({"image": np.zeros((4, 1, 8, 8), np.float32)})
runner_of(Graph(content), ["image"], 1)(samples.inputs)
memory_of(Artefact("model.onnx", content), samples, 2, 1)
"""

SERVING = """
import types
from pathlib import Path

sys.modules["triton_python_backend_utils"] = types.ModuleType("triton_python_backend_utils")
file = Path(folder, "model.py")
program = {"__file__": str(file), "__name__": "model"}
exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), program)
config = {"parameters": {"threads": {"string_value": "1"}}}
program["TritonPythonModel"]().initialize({"model_config": json.dumps(config)})
"""


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(OPTIMISING, id="the optimiser, and the process that it measures memory by"),
        pytest.param(SERVING, id="the generated model.py"),
    ],
)
def test_the_switch_is_set_before_onnxruntime_begins(
    program: str, graph: Graph, tmp_path: Path
) -> None:
    for name, content in files_of(Artefact("model.onnx", graph.content), Backend.PYTHON).items():
        (tmp_path / name).write_bytes(content)
    cache = tmp_path / "cache"  # where it would keep an identifier of this machine
    environment = {name: value for name, value in os.environ.items() if name != SWITCH}
    script = f"{LOOK}{program}\nprint(json.dumps(found))"
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env={**environment, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == ["1"]
    assert not (cache / "Microsoft").exists()


def test_the_switch_is_the_one_that_this_version_documents() -> None:
    notes = Path(onnxruntime.__file__).with_name("Privacy.md").read_text(encoding="utf-8")
    assert f"Set `{SWITCH}=1` before ONNX Runtime initializes" in notes
