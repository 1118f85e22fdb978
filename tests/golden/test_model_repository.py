"""model_repository/ is what the examples render to: `make generate` writes it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from trireme.cli import app

ROOT = Path(__file__).parents[2]
RENDERED = sorted(path.name for path in (ROOT / "model_repository").iterdir())


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_examples_that_run_without_a_gpu_are_there() -> None:
    assert RENDERED == ["demo-agent", "echo", "pipeline"]


@pytest.mark.parametrize("name", RENDERED)
def test_the_repository_is_what_its_example_renders_to(name: str, tmp_path: Path) -> None:
    example = str(ROOT / "examples" / f"{name}.yaml")
    command = ["render", "-f", example, "--repository", str(tmp_path / name)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert files(tmp_path / name) == files(ROOT / "model_repository" / name)
