"""What the pages show to be typed is what there is: commands, options, targets, values, answers."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer
import yaml
from typer.core import TyperGroup

from trireme.cli import app

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "trireme"
PAGES = (ROOT / "README.md", CHART / "README.md", *sorted((ROOT / "docs").glob("*.md")))
VALUES: Mapping[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))


def code(page: Path) -> Iterator[str]:
    """Each line of code of a page, and each piece of code within a line; continued lines as one."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    is_fenced = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            is_fenced = not is_fenced
        elif is_fenced or line.startswith("    "):
            yield line.strip()
        else:
            yield from re.findall(r"`([^`]+)`", line)


LINES = [line for page in PAGES for line in code(page)]
COMMAND = re.compile(r"(?:^|\$ |kubectl |\| )trireme ([a-z][-a-z]*)([^#|>]*)")


def options() -> dict[str, set[str]]:
    """Of each command."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return {
        name: {option for each in command.params for option in each.opts}
        for name, command in group.commands.items()
    }


def test_each_command_of_trireme_is_one_and_has_the_options() -> None:
    known = options()
    shown = set()
    for line in LINES:
        for name, rest in COMMAND.findall(line):
            assert name in known, line
            assert set(re.findall(r"(?<=\s)--?[a-zA-Z][-a-z]*", rest)) <= known[name], line
            shown.add(name)
    assert {"explain", "import", "replay", "simulate", "tune", "optimize"} <= shown


def test_each_target_of_make_is_one() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    shown = {target for line in LINES for target in re.findall(r"^make ([a-z-]+)", line)}
    assert {"demo", "test", "bench", "operator-image"} <= shown <= targets


def test_each_value_that_is_set_is_one_of_the_charts() -> None:
    paths = [path for line in LINES for path in re.findall(r"--set (\S+?)=", line)]
    assert "prometheus.url" in paths
    assert [path for path in paths if not is_value(path)] == []


def test_each_value_in_the_charts_table_is_one() -> None:
    text = (CHART / "README.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE)
    paths = [path for cell in cells for path in re.findall(r"`([^`]+)`", cell)]
    assert "watchNamespaces" in paths
    assert [path for path in paths if not is_value(path)] == []


def is_value(path: str) -> bool:
    """Whether values.yaml has it; below an empty mapping anything may be."""
    found: Any = VALUES
    for part in path.split("."):
        if found == {}:
            return True
        if not isinstance(found, dict) or part not in found:
            return False
        found = found[part]
    return True


def test_the_explanation_that_is_shown_is_one_that_is_given() -> None:
    given = (ROOT / "tests" / "golden" / "explain" / "steady.txt").read_text(encoding="utf-8")
    assert f"```text\n{given}```\n" in (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
