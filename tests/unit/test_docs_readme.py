"""What README shows of an agent is a part of the example that it names."""

import re
from pathlib import Path
from typing import Any

import yaml

from manifests import EXAMPLES, read_manifests

TEXT = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def is_part(part: Any, whole: Any) -> bool:
    """Whether all that one says the other says too; of lists, entry by entry."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            key in whole and is_part(value, whole[key]) for key, value in part.items()
        )
    if isinstance(part, list):
        return len(part) == len(whole) and all(map(is_part, part, whole))
    return bool(part == whole)


def test_the_agent_shown_is_the_example_without_some_fields() -> None:
    (shown,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    (agent,) = read_manifests(EXAMPLES / "echo.yaml").agents
    assert is_part(yaml.safe_load(shown), agent)


def test_installing_comes_before_using() -> None:
    titles = re.findall(r"^## (.+)$", TEXT, re.MULTILINE)
    assert titles.index("Install it on your cluster") < titles.index("Use it")


def test_every_page_that_is_linked_to_is_there() -> None:
    for file in re.findall(r"\]\(([\w./-]+)", TEXT):
        if not file.startswith("http"):
            assert (EXAMPLES.parent / file).exists(), file
