"""docs/runbook.md tells of every word that a condition or an Event can have for its reason."""

import re
from pathlib import Path

import pytest

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


def test_every_place_that_is_linked_to_is_there() -> None:
    for page in ("runbook.md", "metrics.md", "operations.md"):
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
