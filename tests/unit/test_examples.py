"""Every example is accepted as it stands, without a warning; and its Python is valid."""

from pathlib import Path

import pytest

from manifests import EXAMPLES, read_manifests
from trireme.admission.examine import examine
from trireme.admission.parse import parse_agent


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda file: file.stem)
def test_an_example_has_no_fault_and_no_warning(file: Path) -> None:
    manifests = read_manifests(file)
    assert manifests.agents
    for body in manifests.agents:
        spec = parse_agent(body).spec
        examined = examine(spec, manifests.sources)
        assert (examined.faults, examined.warnings) == ((), ())
