import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Scores tokens by their mean."""

    def execute(self, requests):
        responses = []
        for request in requests:
            tokens = pb_utils.get_input_tensor_by_name(request, "tokens").as_numpy()
            score = tokens.mean(axis=1, keepdims=True, dtype=np.float32)
            output = pb_utils.Tensor("score", score)
            responses.append(pb_utils.InferenceResponse(output_tensors=[output]))
        return responses
