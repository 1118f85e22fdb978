"""docs/runbook.md tells of every word that a condition or an Event can have for its reason."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from manifests import EXAMPLES, read_manifests
from trireme.admission.examine import examine
from trireme.admission.parse import parse_agent
from trireme.api.conditions import EventReason, Reason
from trireme.api.fetch import FetchReason

DOCS = Path(__file__).parents[2] / "docs"


def told(page: str, title: str) -> list[str]:
    """The words in the first column of the tables of a section."""
    text = (DOCS / page).read_text(encoding="utf-8")
    section = re.split(r"^## ", text.partition(f"## {title}\n")[2], flags=re.MULTILINE)[0]
    cells = re.findall(r"^\| (`.*?`) \|", section, re.MULTILINE)
    return [word for cell in cells for word in re.findall(r"`(\w+)`", cell)]


@pytest.mark.parametrize(
    ("page", "title", "words"),
    [
        pytest.param("runbook.md", "Reasons of conditions", Reason, id="conditions"),
        pytest.param("runbook.md", "Events", EventReason, id="Events"),
        pytest.param("sources.md", "Failures", FetchReason, id="what fetching fails by"),
    ],
)
def test_each_reason_has_one_row(
    page: str, title: str, words: type[Reason] | type[EventReason] | type[FetchReason]
) -> None:
    assert sorted(told(page, title)) == sorted(words)


def test_what_is_patched_by_hand_leaves_an_agent_without_a_fault() -> None:
    text = (DOCS / "runbook.md").read_text(encoding="utf-8").partition("## Levers\n")[2]
    patches = [json.loads(each) for each in re.findall(r"[`'](\{\"spec\".*?\})[`']", text)]
    assert len(patches) == 4
    manifests = read_manifests(EXAMPLES / "echo.yaml")
    (agent,) = manifests.agents
    for patch in patches:
        spec = parse_agent(merged(agent, patch)).spec
        assert examine(spec, manifests.sources).faults == (), patch


def merged(body: Any, patch: Any) -> Any:
    """RFC 7386, as `kubectl patch --type=merge` has it."""
    if not isinstance(patch, dict):
        return patch
    rest = {key: value for key, value in body.items() if key not in patch}
    return rest | {
        key: merged(body.get(key, {}), value) for key, value in patch.items() if value is not None
    }


def test_every_place_that_is_linked_to_is_there() -> None:
    for page in (file.name for file in DOCS.glob("*.md")):
        text = (DOCS / page).read_text(encoding="utf-8")
        for file, anchor in re.findall(r"\]\(([\w./-]*)(?:#([\w-]+))?\)", text):
            target = DOCS / (file or page)
            assert target.exists(), f"{page}: {file}"
            if anchor:
                titles = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
                anchors = {
                    re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles
                }
                assert anchor in anchors, f"{page}: {file}#{anchor}"
