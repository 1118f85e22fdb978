"""Serves model.onnx, which lies beside this file, by onnxruntime in Triton's Python backend.

Written by `trireme optimize`. The server's Python needs onnxruntime, and numpy below 2 where the
server is older than 25.01. The requests of a batch are executed as one.
"""

import json
import os
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # from 1.29 on it tells its makers of each model
import onnxruntime


class TritonPythonModel:
    """One instance: a session of its own."""

    def initialize(self, args):
        """Load the model; a fault in it is the server's to tell."""
        parameters = json.loads(args["model_config"])["parameters"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(parameters["threads"]["string_value"])
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            str(Path(__file__).with_name("model.onnx")), options, providers=["CPUExecutionProvider"]
        )
        self.inputs = [each.name for each in self.session.get_inputs()]
        self.outputs = [each.name for each in self.session.get_outputs()]

    def execute(self, requests):
        """Answer all requests by one call of the session."""
        parts = [
            [pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs]
            for request in requests
        ]
        sizes = [len(part[0]) for part in parts]
        together = [np.concatenate(each) for each in zip(*parts, strict=True)]
        answers = self.session.run(self.outputs, dict(zip(self.inputs, together, strict=True)))
        ends = np.cumsum(sizes)[:-1]
        dealt = zip(*(np.split(answer, ends) for answer in answers), strict=True)
        return [
            pb_utils.InferenceResponse(
                [
                    pb_utils.Tensor(name, part)
                    for name, part in zip(self.outputs, answer, strict=True)
                ]
            )
            for answer in dealt
        ]
