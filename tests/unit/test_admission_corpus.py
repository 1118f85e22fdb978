"""What is said of 210 configurations that people and Triton's own tests have written.

Triton's tests of bad configurations are among them (qa/L0_model_config): each is refused for what
it is a test of. All others are accepted, but for files that are not beside them here and models
that are not in the same repository.
"""

from collections.abc import Callable
from pathlib import Path

from trireme.admission.check import check, warnings
from trireme.admission.parse import parse_agent
from trireme.edge.local_tree import LocalTree
from trireme.modelrepo.imported import Choices, import_repository
from trireme.modelrepo.read import parse_config

CORPUS = Path(__file__).parents[1] / "data/triton_configs/valid"
CHOICES = Choices("agent", "example.com/triton:26.08-py3", None)


def told(file: Path, repository: Path) -> list[str]:
    """Every fault of an agent that serves this configuration alone, under its own name."""
    text = file.read_text(encoding="utf-8")
    model = repository / (parse_config(text).name or "model")
    (model / "1").mkdir(parents=True)
    (model / "1/model.py").touch()
    (model / "config.pbtxt").write_text(text, encoding="utf-8")
    *_, agent = import_repository(LocalTree(repository), CHOICES).manifests
    spec = parse_agent(agent).spec
    assert all(map(str, warnings(spec)))
    return [str(fault) for fault in check(spec)]


def test_what_is_refused_of_the_corpus_is_as_the_golden_file_has_it(
    golden: Callable[[str, str], None], tmp_path: Path
) -> None:
    files = sorted(CORPUS.iterdir())
    refused = {file.name: told(file, tmp_path / file.name) for file in files}
    lines = (line for name, faults in refused.items() if faults for line in (name, *faults, ""))
    golden("admission/corpus.txt", "\n".join(lines))
