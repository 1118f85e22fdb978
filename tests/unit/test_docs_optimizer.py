"""What docs/optimizer.md shows is what Trireme takes."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from agents import agent_of, model_of
from trireme.admission.check import check
from trireme.optimizer.sample_files import read_samples

TEXT = (Path(__file__).parents[2] / "docs" / "optimizer.md").read_text(encoding="utf-8")


def shown(kind: str) -> str:
    """The one block of a kind."""
    (found,) = re.findall(rf"```{kind}\n(.*?)```", TEXT, re.DOTALL)
    return str(found)


def test_the_recorded_request_is_two_samples(tmp_path: Path) -> None:
    file = tmp_path / "requests.jsonl"
    file.write_text(shown("json") * 10, encoding="utf-8")
    found = read_samples(file).inputs["x"]
    assert found.shape == (20, 3)
    np.testing.assert_array_equal(found[:2], np.float32([[0.1, 0.2, 0.3], [1, 2, 3]]))
    assert json.loads(shown("json"))["inputs"][0]["shape"] == [2, 3]


def test_the_spec_has_no_fault() -> None:
    optimization: dict[str, Any] = yaml.safe_load(shown("yaml"))["spec"]["optimization"]
    source = {"uri": "pvc://models/encoder/1/"}
    model = model_of("encoder", source=source, backend="onnxruntime", maxBatchSize=8)
    spec = agent_of(model="encoder", models=[model], optimization=optimization).spec
    assert check(spec) == ()
    assert spec.optimization is not None
    assert spec.optimization.models[0].target.size == "50Mi"
