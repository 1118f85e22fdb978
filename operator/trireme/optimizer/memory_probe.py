"""The process that `memory` starts: loads a model, runs a batch, says its memory as JSON.

A program of its own that imports nothing of this package, so that an ONNX model is not charged
with torch.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

_PEAK = re.compile(r"^VmHWM:\s*(\d+) kB", re.MULTILINE)


def _peak_bytes() -> int:
    match = _PEAK.search(Path("/proc/self/status").read_text(encoding="utf-8"))
    return int(match[1]) * 1024 if match else 0


def _onnx(threads: int) -> Callable[[str, list[object]], None]:
    import onnxruntime

    def run(model: str, inputs: list[object]) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        names = (each.name for each in session.get_inputs())
        session.run(None, dict(zip(names, inputs, strict=True)))

    return run


def _torch(threads: int) -> Callable[[str, list[object]], None]:
    import torch

    torch.set_num_threads(threads)

    def run(model: str, inputs: list[object]) -> None:
        load = torch._inductor.aoti_load_package if model.endswith(".pt2") else torch.jit.load
        loaded = load(model)
        with torch.inference_mode():
            loaded(*(torch.from_numpy(each) for each in inputs))

    return run


def main(model: str, inputs: str, threads: int) -> None:
    """Print what the process has before and at most after."""
    with np.load(inputs, allow_pickle=False) as stored:
        batch = [stored[name] for name in stored]
    run = (_onnx if model.endswith(".onnx") else _torch)(threads)
    before = _peak_bytes()
    run(model, batch)
    print(json.dumps({"before": before, "peak": _peak_bytes()}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
