"""y = 2 x, holding the instance for 40 ms + 10 ms for each request of the batch."""

import time

import torch
import triton_python_backend_utils as pb_utils

SECONDS_PER_EXECUTION = 0.040
SECONDS_PER_ROW = 0.010


class TritonPythonModel:
    def initialize(self, args):
        torch.set_num_threads(1)
        self.weight = 2 * torch.eye(16)

    def execute(self, requests):
        inputs = [
            torch.from_numpy(pb_utils.get_input_tensor_by_name(request, "x").as_numpy())
            for request in requests
        ]
        rows = [len(tensor) for tensor in inputs]
        time.sleep(SECONDS_PER_EXECUTION + SECONDS_PER_ROW * sum(rows))
        outputs = torch.split(torch.cat(inputs) @ self.weight, rows)
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor("y", output.numpy())])
            for output in outputs
        ]
