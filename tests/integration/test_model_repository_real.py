"""A real Triton loads what Trireme renders, and refuses what Trireme refuses.

Each of the 210 configurations of the corpus (tests/data/triton_configs) is imported with its
neighbours of the same repository, rendered, and given to one server, which has every repository as
a namespace of its own, and stand-ins for backends and files (`stand_ins`). 169 of them load; the
others are in REFUSED, in Triton's words, and each has a fault in Trireme's.
"""

import asyncio
import csv
import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from integration.stand_ins import ZEROS, backend_of, backends, write
from integration.triton_server import TritonServer, triton
from manifests import EXAMPLES, read_manifests
from trireme.admission.check import check
from trireme.admission.parse import parse_agent
from trireme.api.agent import AgentSpec
from trireme.edge.local_tree import LocalTree
from trireme.edge.triton import ModelState, repository_index
from trireme.modelrepo.imported import Choices, import_repository
from trireme.modelrepo.proto import ModelConfig, text_format
from trireme.modelrepo.render import render
from trireme.modelrepo.repository import Repository
from trireme.modelrepo.sources import source_files
from trireme.resources.flags import server_arguments

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "tests/data/triton_configs"
REPOSITORIES = ROOT / "model_repository"
IMAGE = "example.com/triton:24.10-py3"
LOADED = 169
_RESHAPED = (
    "reshape_elementcount3",
    "reshape_nobatch_variable0",
    "reshape_nobatch_variable1",
    "reshape_nobatch_variable3",
    "reshape_variable2",
)
REFUSED = {
    # Triton's own tests of what it refuses.
    "expects 1 source input, got 0": (
        *(f"batch_input_less_source{number}" for number in range(4)),
        "batch_output_less_source",
    ),
    "expects 1 source input, got 2": ("batch_input_many_source1", "batch_output_many_source"),
    "target output name 'OUTPUT' can only be specified once": ("batch_output_duplicated_target",),
    "unexpected platform type 'onnxruntime'": (  # before it sees what they are named for
        "control_kind_end_multiple",
        "control_kind_start_multiple",
        "control_tensor_multiple",
        "control_tensor_no_value",
        "default_priority_level0",
        "default_priority_level1",
    ),
    "has different size for dims and reshape": _RESHAPED,
    "has different number of variable-size dimensions": ("reshape_variable4",),
    "cannot have empty reshape for non-batching model": ("reshape_nobatch_empty0",),
    "reshape dimensions must be integer >= 1": (
        "reshape_nobatch_zerodims1",
        "reshape_zerodims0",
        "reshape_zerodims1",
    ),
    "dimension must be integer >= 1": ("zerodims_output1",),
    "must specify 'data_type'": ("missing_datatype",),
    "does not currently support model decoupled_cache with 'decoupled'": ("decoupled_cache",),
    # Ensembles whose models are made by a script, or lie elsewhere.
    "contains models that are not available or ambiguous": (
        "batch_to_nobatch_nobatch_float32_float32_float32",
        "ensemble",  # of two repositories
        "ensemble",
        "ensemble_identity_2_float32",
        "ensemble_model",
        "fan_repeat",
        "mix_nobatch_batch_float32_float32_float32",
        "mix_platform_float32_float32_float32",
        "nobatch_to_batch_nobatch_float32_float32_float32",
        "simple_addsub",
        "simple_ensemble",  # of two repositories
        "simple_ensemble",
        "simple_subadd",
    ),
    # An ensemble that the author left for Triton to find in the model's program.
    "Could not determine backend for model '1'": ("1",),
}
FOUND_ELSEWHERE = ("ensemble_add_sub_int32_int32_int32", "repeat_square", "sequence_repeat")
"""Ensembles that lack models, for which Triton takes another namespace's of the name."""
LEFT_TO_TRITON = ("missing_datatype",)
"""What a backend may complete, which a stand-in does not: a warning of Trireme's."""


@dataclass(frozen=True)
class Found:
    """A repository of the corpus, imported and rendered; the models that Trireme refuses."""

    spec: AgentSpec
    rendered: Repository
    refused: frozenset[str]

    @property
    def is_complete(self) -> bool:
        """Whether Trireme has Triton complete nothing."""
        return "--disable-auto-complete-config" in server_arguments(self.spec, self.rendered)


def repositories() -> Iterator[dict[str, str]]:
    """The texts of the corpus by their models' names, as they lay side by side.

    Alternatives for one name are repositories of their own.
    """
    found: defaultdict[tuple[Path, int], dict[str, str]] = defaultdict(dict)
    taken: Counter[tuple[Path, str]] = Counter()
    with (CORPUS / "index.tsv").open(encoding="utf-8") as index:
        for row in csv.DictReader(index, delimiter="\t"):
            path = Path(row["repository"], row["path"])
            text = (CORPUS / "valid" / row["file"]).read_text(encoding="utf-8")
            said = text_format.Parse(text, ModelConfig()).name
            name = said or (path.parent.name if path.name == "config.pbtxt" else path.stem)
            found[path.parents[1], taken[path.parents[1], name]][name] = text
            taken[path.parents[1], name] += 1
    return iter(found.values())


def imported(texts: Mapping[str, str], folder: Path) -> Found:
    """What becomes of one repository, whose models' own files are somewhere else."""
    for name, text in texts.items():
        (folder / name / "1").mkdir(parents=True)
        (folder / name / "config.pbtxt").write_text(text, encoding="utf-8")
        for output in text_format.Parse(text, ModelConfig()).output:
            if output.label_filename:
                (folder / name / output.label_filename).write_text("cat\ndog\n")
    found = import_repository(LocalTree(folder), Choices("agent", IMAGE, "pvc://models/"))
    assert found.faults == ()
    *config_maps, agent = found.manifests
    spec = parse_agent(agent).spec
    sources = {each["metadata"]["name"]: source_files(each) for each in config_maps}
    return Found(spec, render(spec, sources), frozenset(refused(spec)))


def refused(spec: AgentSpec) -> Iterator[str]:
    owners = {"models": spec.models, "pipelines": spec.pipelines}
    for fault in check(spec):
        if place := re.match(r"spec\.(models|pipelines)\[(\d+)\]", fault.path):
            yield owners[place[1]][int(place[2])].name


@dataclass(frozen=True)
class Served:
    """What became of all that was given to servers: the index, and the lines of their logs."""

    found: Sequence[Found]
    index: Sequence[ModelState]
    log: Sequence[str]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """The corpus as two servers have it: one that completes configurations, and one that need not,
    since Trireme calls those of its repositories complete.
    """
    folder = tmp_path_factory.mktemp("corpus")
    found = [imported(texts, folder / str(at)) for at, texts in enumerate(repositories())]
    index: list[ModelState] = []
    log: list[str] = []
    for completes in (False, True):
        chosen = [each for each in found if each.is_complete is not completes]
        (folder / f"{completes}").mkdir()
        with serving(chosen, folder / f"{completes}", completes=completes) as server:
            index += asyncio.run(repository_index(server.address, ""))
        log += server.log.read_text(errors="replace").splitlines()
    return Served(found, index, log)


@contextmanager
def serving(chosen: Sequence[Found], folder: Path, *, completes: bool) -> Iterator[TritonServer]:
    """A server of several rendered repositories, each a namespace, all with stand-ins."""
    places = [folder / f"models-{at}" for at in range(len(chosen))]
    for place, each in zip(places, chosen, strict=True):
        write(each.rendered, place)
    needed = {backend_of(m.config) for each in chosen for m in each.rendered.models}
    asked = {flag for each in chosen for flag in server_arguments(each.spec, each.rendered)}
    flags = (
        *(flag for flag in asked if flag.startswith(("--cache-config=", "--rate-limit="))),
        "--model-namespacing=true",
        backends(folder / "backends", *(needed - {"", "python"})),
        *(f"--model-repository={place}" for place in places[1:]),
    )
    with triton(places[0], folder, *flags, completes=completes) as server:
        yield server


def test_triton_loads_all_but_a_few_of_the_corpus(corpus: Served) -> None:
    named = Counter(name for names in REFUSED.values() for name in names)
    assert Counter(model.name for model in corpus.index if not model.ready) == named
    assert (sum(model.ready for model in corpus.index), len(corpus.index)) == (LOADED, 210)


@pytest.mark.parametrize("words", REFUSED)
def test_what_triton_refuses_it_refuses_in_these_words(corpus: Served, words: str) -> None:
    about = "\n".join(line for line in corpus.log if words in line)
    for name in REFUSED[words]:
        assert name in about


def test_trireme_refuses_what_triton_does(corpus: Served) -> None:
    triton = Counter(model.name for model in corpus.index if not model.ready)
    trireme = Counter(name for found in corpus.found for name in found.refused)
    assert trireme - triton == Counter(FOUND_ELSEWHERE)
    assert triton - trireme == Counter(LEFT_TO_TRITON)


GOLDEN = (*sorted(EXAMPLES.glob("*.yaml")), ROOT / "tests/golden/modelrepo/everything.yaml")


async def test_triton_loads_the_golden_configurations(tmp_path: Path) -> None:
    found = []
    for manifests in map(read_manifests, GOLDEN):
        for spec in (parse_agent(body).spec for body in manifests.agents):
            assert check(spec) == ()
            found.append(Found(spec, render(spec, manifests.sources), frozenset()))
    with serving(found, tmp_path, completes=False) as server:
        index = await repository_index(server.address, "")
    assert [model.reason for model in index if not model.ready] == []
    assert Counter(m.name for m in index) == Counter(
        model.name for each in found for model in each.rendered.models
    )


def _stand_in_for_torch(repository: Path) -> None:
    """Torch is too large for what is to be shown."""
    for program in repository.glob("*/1/model.py"):
        if "import torch" in program.read_text():
            program.write_text(ZEROS)


@pytest.mark.parametrize("name", sorted(path.name for path in REPOSITORIES.iterdir()))
async def test_triton_loads_the_rendered_examples_as_they_are(name: str, tmp_path: Path) -> None:
    shutil.copytree(REPOSITORIES / name, tmp_path / "models")
    _stand_in_for_torch(tmp_path / "models")
    with triton(tmp_path / "models", tmp_path) as server:
        index = await repository_index(server.address, "")
    assert index
    assert [model.reason for model in index if not model.ready] == []
