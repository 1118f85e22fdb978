"""Makes the small real model files beside it, each with the library that makes them in earnest.

Run by hand, in an environment of its own, since the libraries are large and no test needs them:

    python -m venv /tmp/makers
    /tmp/makers/bin/pip install torch tensorflow-cpu xgboost-cpu lightgbm scikit-learn openvino
    /tmp/makers/bin/python tests/data/models/make.py torch tensorflow xgboost lightgbm openvino

The files here were made with torch 2.15.0 (old_torch: torch 2.5.1 and numpy 1.26), tensorflow-cpu
2.21.0, xgboost-cpu 3.2.0, lightgbm 4.7.0 and openvino 2026.4.1. There is no TensorRT plan: building
one needs a GPU. ONNX files are built by the tests themselves. What torch writes
holds the path of this script, so it was copied to /models and run there.
"""

import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent


def make_torch() -> None:
    """TorchScript (scripted, traced), exported programs, and what is mistaken for them."""
    import torch
    from torch import nn

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(16, 4)

        def forward(self, input_ids: torch.Tensor, scale: float = 1.0):
            hidden = self.embed(input_ids) * scale
            return hidden, hidden.mean(1)

    class Detector(nn.Module):
        def forward(self, images: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            return {"boxes": images["left"]}

    torch.jit.script(Encoder()).save(HERE / "scripted.pt")
    torch.jit.script(Detector()).save(HERE / "scripted_dict.pt")
    torch.jit.trace(nn.Linear(3, 2), torch.zeros(1, 3)).save(HERE / "traced.pt")
    torch.save(nn.Linear(3, 2).state_dict(), HERE / "weights.pt")
    torch.save(
        nn.Linear(3, 2).state_dict(), HERE / "legacy.pt", _use_new_zipfile_serialization=False
    )
    torch.save(nn.Linear(3, 2), HERE / "pickled_module.pt")
    _export(HERE / "exported.pt2")


def make_old_torch() -> None:
    """An exported program in the layout before torch 2.8."""
    _export(HERE / "exported_by_torch_2_5.pt2")


def _export(path: Path) -> None:
    import torch
    from torch import nn

    class Exported(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 2)

        def forward(self, features, mask):
            return self.linear(features), mask.sum()

    batch = torch.export.Dim("batch", min=2, max=64)
    program = torch.export.export(
        Exported(),
        (torch.zeros(4, 3), torch.zeros(4, 7, dtype=torch.int64)),
        dynamic_shapes={"features": {0: batch}, "mask": {0: batch}},
    )
    torch.export.save(program, path)


def make_tensorflow() -> None:
    """A SavedModel's protobuf; its variables are of no interest."""
    import tensorflow as tf

    class Module(tf.Module):
        @tf.function(
            input_signature=[
                tf.TensorSpec([None, 3], tf.float32, name="features"),
                tf.TensorSpec([None], tf.string, name="labels"),
            ]
        )
        def serve(self, features, labels):
            return {"scores": tf.reduce_sum(features, axis=1), "labels": labels}

    target = HERE / "saved"
    module = Module()
    tf.saved_model.save(module, target, signatures={"serving_default": module.serve})
    shutil.copy(target / "saved_model.pb", HERE / "saved_model.pb")
    shutil.rmtree(target)


def make_xgboost() -> None:
    """A forest over 4 features and 3 classes, in both formats, and a regression."""
    import numpy
    import xgboost

    chance = numpy.random.default_rng(0)
    data = xgboost.DMatrix(chance.random((30, 4)), label=numpy.arange(30) % 3)
    classes = xgboost.train(
        {"objective": "multi:softprob", "num_class": 3, "max_depth": 2}, data, 2
    )
    classes.save_model(HERE / "xgboost.json")
    classes.save_model(HERE / "xgboost.ubj")
    xgboost.train({"max_depth": 2}, data, 2).save_model(HERE / "xgboost_regression.json")


def make_lightgbm() -> None:
    """The same data as text."""
    import lightgbm
    import numpy

    chance = numpy.random.default_rng(0)
    data = lightgbm.Dataset(
        chance.random((300, 4)), label=numpy.arange(300) % 3, params={"verbose": -1}
    )
    parameters = {"objective": "multiclass", "num_class": 3, "num_leaves": 4, "verbose": -1}
    lightgbm.train(parameters, data, 2).save_model(HERE / "lightgbm.txt")


def make_openvino() -> None:
    """An IR; its weights are of no interest."""
    import numpy
    import openvino
    from openvino import opset13 as op

    features = op.parameter([-1, 3], numpy.float32, name="features")
    features.output(0).set_names({"features"})
    weights = op.constant(numpy.ones((3, 2), numpy.float32))
    scores = op.matmul(features, weights, False, False)
    scores.output(0).set_names({"scores"})
    best = op.topk(scores, op.constant(1), 1, "max", "value", index_element_type="i64")
    best.output(1).set_names({"best", "class"})
    model = openvino.Model([scores.output(0), best.output(1)], [features], "scorer")
    openvino.save_model(model, HERE / "openvino.xml", compress_to_fp16=False)
    (HERE / "openvino.bin").unlink()


if __name__ == "__main__":
    for each in sys.argv[1:]:
        globals()[f"make_{each}"]()
