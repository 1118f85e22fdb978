"""The calls that a request to a pipeline makes, and which wait for which."""

from typing import Any

import pytest

from agents import agent_of, model_of
from trireme.autoscaler.calls import Call, calls


def pipeline(name: str, *steps: tuple[str, str, str]) -> dict[str, Any]:
    """From tensor `in`; steps are a model, the tensors it is fed, and the one it makes."""
    tensor = {"dataType": "FP32", "dims": [1]}
    return {
        "name": name,
        "inputs": [{"name": "in", **tensor}],
        "outputs": [{"name": "out", **tensor}],
        "steps": [
            {
                "model": model,
                "inputs": {f"x{at}": t for at, t in enumerate(fed.split())},
                "outputs": {"y": made},
            }
            for model, fed, made in steps
        ],
    }


SERIES = pipeline("line", ("a", "in", "t"), ("b", "t", "out"))


@pytest.mark.parametrize(
    ("pipelines", "of", "found"),
    [
        pytest.param([], "a", (Call("a"),), id="a model calls itself"),
        pytest.param([SERIES], "line", (Call("a"), Call("b", (0,))), id="one after another"),
        pytest.param(
            [pipeline("line", ("b", "t", "out"), ("a", "in", "t"))],
            "line",
            (Call("a"), Call("b", (0,))),
            id="in whatever order they are written",
        ),
        pytest.param(
            [pipeline("line", ("a", "in", "t"), ("b", "in", "u"), ("c", "t u in", "out"))],
            "line",
            (Call("a"), Call("b"), Call("c", (0, 1))),
            id="two at once, and one that waits for both",
        ),
        pytest.param(
            [pipeline("line", ("a", "in", "t"), ("a", "t", "out"))],
            "line",
            (Call("a"), Call("a", (0,))),
            id="a model twice",
        ),
        pytest.param(
            [SERIES, pipeline("outer", ("c", "in", "t"), ("line", "t", "u"), ("c", "u", "out"))],
            "outer",
            (Call("c"), Call("a", (0,)), Call("b", (1,)), Call("c", (2,))),
            id="a pipeline within another is its steps",
        ),
    ],
)
def test_calls_and_what_they_wait_for(
    pipelines: list[dict[str, Any]], of: str, found: tuple[Call, ...]
) -> None:
    models = [model_of(name) for name in "abc"]
    assert calls(agent_of(models=models, pipelines=pipelines, objectives=[]).spec, of) == found
