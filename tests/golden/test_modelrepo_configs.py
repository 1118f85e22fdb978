"""Every config.pbtxt of the examples, and of one spec that uses every field, as golden files.

Triton's own protobuf parses each of them; it refuses fields it does not know.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from manifests import EXAMPLES, read_manifests
from trireme.admission.examine import examine
from trireme.admission.parse import parse_agent
from trireme.modelrepo.proto import ModelConfig, text_format
from trireme.modelrepo.render import config_text, render

EVERYTHING = Path(__file__).parent / "modelrepo" / "everything.yaml"
FILES = [*sorted(EXAMPLES.glob("*.yaml")), EVERYTHING]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_configurations_are_as_the_golden_files_have_them(
    file: Path, golden: Callable[[str, str], None]
) -> None:
    manifests = read_manifests(file)
    for body in manifests.agents:
        agent = parse_agent(body)
        assert examine(agent.spec, manifests.sources).faults == ()
        repository = render(agent.spec, manifests.sources)
        assert render(agent.spec, manifests.sources) == repository
        for model in repository.models:
            text = config_text(model.config)
            assert text_format.Parse(text, ModelConfig()) == model.config
            golden(f"modelrepo/{agent.metadata.name}/{model.name}/config.pbtxt", text)


def test_no_golden_file_is_left_over() -> None:
    """A model that left an example takes its golden file along."""
    rendered = {
        f"{body['metadata']['name']}/{owner['name']}"
        for file in FILES
        for body in read_manifests(file).agents
        for owner in (*body["spec"]["models"], *body["spec"].get("pipelines", []))
    }
    root = EVERYTHING.parent
    found = {path.parent.relative_to(root).as_posix() for path in root.glob("*/*/config.pbtxt")}
    assert found == rendered
