"""Specs that nobody means: what one agent costs does not grow as its author likes, since all agents
of a cluster share the operator.
"""

import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from specs import valid_body
from trireme.admission.check import MOST_OF_A_RULE, check
from trireme.admission.examine import Examined, examine
from trireme.admission.parse import parse_agent
from trireme.errors import InvalidSpec

PYTHON = {"model.py": b"class TritonPythonModel:\n    def execute(self, requests): ...\n"}
MEBIBYTE = 2**20


@contextmanager
def processor_seconds(most: float) -> Iterator[None]:
    """What is done takes this process so long at most, however busy the machine is."""
    began = time.process_time()
    yield
    assert time.process_time() - began < most


def judged(edits: dict[str, Any], files: dict[str, bytes] | None = None) -> Examined:
    spec = parse_agent(valid_body(edits)).spec
    return examine(spec, {"encoder-files": files or PYTHON, "scorer-files": PYTHON})


def containers(count: int) -> dict[str, Any]:
    """So many mistakes in a pod template."""
    return {"spec.server.podTemplate": {"spec": {"containers": [{"imagee": 1}] * count}}}


def test_of_a_hundred_thousand_mistakes_a_hundred_are_told() -> None:
    with processor_seconds(60):
        faults = judged(containers(100_000)).faults
    told = [fault for fault in faults if fault.message.endswith("has no field imagee")]
    assert len(told) == MOST_OF_A_RULE


def test_of_many_faults_the_text_has_the_first_and_how_many_more_there_are() -> None:
    faults = check(parse_agent(valid_body(containers(100))).spec)
    assert len(faults) == 200  # each container also has no name
    lines = str(InvalidSpec((*faults, *faults))).splitlines()
    assert (lines[0], lines[-1]) == (str(faults[0]), "and 200 faults more")


@pytest.mark.parametrize("mark", ["{{", "${"])
def test_text_of_marks_that_open_and_never_close_is_read_once(mark: str) -> None:
    long = mark * 32_000
    with processor_seconds(5):
        found = judged({"spec.models.0.parameters": {f"key{n}": long for n in range(8)}})
    assert found.faults == ()


def test_thousands_of_names_are_not_told_with_each_fault() -> None:
    names = [f"{number:04}" for number in range(1000)]
    steps = [
        {
            "model": "encoder",
            "inputs": {name: f"{'unlike' * 4}{step}{name}" for name in names},
            "outputs": {name: f"{step}{name}" for name in names},
        }
        for step in range(8)
    ]
    tracemalloc.start()
    try:
        with processor_seconds(30):
            found = judged({"spec.pipelines.0.steps": steps})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert any("no step and no input" in fault.message for fault in found.faults)
    assert peak < 64 * MEBIBYTE


def test_a_config_of_fields_that_do_not_exist_is_given_up_early() -> None:
    fields = {f"field{number}": number for number in range(50_000)}
    with processor_seconds(10):
        found = judged({"spec.models.0.config": {"optimization": fields}})
    assert 0 < len(found.faults) <= MOST_OF_A_RULE


def test_one_config_map_of_many_versions_is_read_once() -> None:
    versions = [{"version": n, "source": {"configMap": "encoder-files"}} for n in range(1, 17)]
    found = judged({"spec.models.0.versions": versions, "spec.models.0.source": None})
    read = [each for (model, _), each in found.inspections.items() if model == "encoder"]
    assert len(read) == 16
    assert all(each is read[0] for each in read)


def test_what_is_nested_beyond_all_use_is_refused_before_anything_walks_it() -> None:
    nested: dict[str, Any] = {}
    for _ in range(5_000):
        nested = {"a": nested}
    body = valid_body()
    body["spec"]["server"]["podTemplate"] = nested
    with pytest.raises(InvalidSpec, match="nested more than 64 levels deep"):
        parse_agent(body)
