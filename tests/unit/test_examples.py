"""Every example is accepted as it stands, without a warning; and its Python is valid."""

import re
from pathlib import Path

import pytest

from manifests import EXAMPLES, read_manifests
from trireme.admission.examine import examine
from trireme.admission.parse import parse_agent


def test_the_page_of_examples_tells_of_each() -> None:
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| \[(\S+\.yaml)\]\(\1\) \|", page, re.MULTILINE)
    assert sorted(told) == sorted(file.name for file in EXAMPLES.glob("*.yaml"))


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda file: file.stem)
def test_an_example_has_no_fault_and_no_warning(file: Path) -> None:
    manifests = read_manifests(file)
    assert manifests.agents
    for body in manifests.agents:
        spec = parse_agent(body).spec
        examined = examine(spec, manifests.sources)
        assert (examined.faults, examined.warnings) == ((), ())
