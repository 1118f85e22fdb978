"""An existing repository becomes an agent, and rendering that agent gives the repository back.

The corpus (tests/data/triton_configs, see its index.tsv for sources and licences) is 210
config.pbtxt files as people and tools have written them.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from strategies import few, specs
from trireme.admission.parse import parse_agent
from trireme.api.agent import AgentSpec
from trireme.cli.manifests import from_yaml, to_yaml
from trireme.modelrepo.imported import Choices, Imported, import_repository
from trireme.modelrepo.plan import plan
from trireme.modelrepo.proto import ModelConfig, text_format
from trireme.modelrepo.render import config_text, render
from trireme.modelrepo.sources import source_files

CORPUS = Path(__file__).parents[1] / "data" / "triton_configs"
CHOICES = Choices("agent", "example.com/triton:26.08-py3", None)


class Files:
    """A repository in memory."""

    def __init__(self, files: Mapping[str, str | bytes], directories: Sequence[str] = ()) -> None:
        self._files = {
            path: content.encode() if isinstance(content, str) else content
            for path, content in files.items()
        }
        parents = {str(p) for path in files for p in Path(path).parents if str(p) != "."}
        self._directories = sorted(parents | set(directories))

    def sizes(self) -> Mapping[str, int]:
        return {path: len(content) for path, content in self._files.items()}

    def directories(self) -> Sequence[str]:
        return self._directories

    def read(self, path: str) -> bytes:
        return self._files[path]


def imported(files: Mapping[str, str | bytes], choices: Choices = CHOICES) -> Imported:
    return import_repository(Files(files), choices)


def applied(found: Imported) -> tuple[AgentSpec, dict[str, Mapping[str, bytes]]]:
    """The spec and the ConfigMaps, as they come back from a file of YAML."""
    assert found.faults == ()
    *config_maps, agent = from_yaml(to_yaml(*found.manifests))
    sources = {each["metadata"]["name"]: source_files(each) for each in config_maps}
    return parse_agent(agent).spec, sources


def written_back(files: Mapping[str, str | bytes]) -> dict[str, bytes]:
    """Every file of the repository that the imported agent is rendered to."""
    spec, sources = applied(imported(files))
    back = {}
    for model in render(spec, sources).models:
        back[f"{model.name}/config.pbtxt"] = config_text(model.config).encode()
        back |= {f"{model.name}/{path}": content for path, content in model.files.items()}
    return back


def model_spec(config: str) -> dict[str, Any]:
    """What the one model of a repository with this config.pbtxt is imported as."""
    found = imported({"m/config.pbtxt": config, "m/1/model.py": ""})
    assert found.faults == ()
    model: dict[str, Any] = found.manifests[-1]["spec"]["models"][0]
    return model


def corpus() -> list[Any]:
    with (CORPUS / "index.tsv").open(encoding="utf-8") as index:
        rows = list(csv.DictReader(index, delimiter="\t"))
    return [pytest.param(row["file"], Path(row["path"]), id=row["file"]) for row in rows]


@pytest.mark.parametrize(("file", "path"), corpus())
def test_a_configuration_comes_back_field_for_field(file: str, path: Path) -> None:
    text = (CORPUS / "valid" / file).read_text(encoding="utf-8")
    original = text_format.Parse(text, ModelConfig())
    name = original.name or path.parent.name or "model"

    spec, _ = applied(imported({f"{name}/config.pbtxt": text, f"{name}/1/model.py": ""}))

    [config] = [text_format.Parse(config_text(each), ModelConfig()) for each in plan(spec)]
    assert config == original


def test_the_corpus_is_whole() -> None:
    assert len(corpus()) == len(list((CORPUS / "valid").iterdir())) == 210


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('name: "m" max_batch_size: 8 # of\n# comments\n', id="comments"),
        pytest.param('name: "m", max_batch_size: 8; backend: "a";', id="commas and semicolons"),
        pytest.param("input < name: 'a' data_type: TYPE_FP32 dims: 1 dims: -1 >", id="angles"),
        pytest.param('name: "m" parameters { key: "a" value { string_value: "\\n\\303\\274\\"" } }',
                     id="escapes"),
        pytest.param('name: "m" parameters: { key: "a", value: { string_value: "a" "b" } }',
                     id="texts that are joined"),
        pytest.param('name: "m" max_batch_size: 0x10', id="a number in hexadecimal"),
        pytest.param('name: "m" default_model_filename: "a.plan" cc_model_filenames '
                     '[{ key: "7.5" value: "b.plan" }]', id="files by compute capability"),
        pytest.param('name: "m" metric_tags { key: "a" value: "b" } runtime: "x.so"',
                     id="fields that have no type here"),
        pytest.param("dynamic_batching { }", id="a batcher that says nothing"),
        pytest.param("dynamic_batching { default_queue_policy { } }", id="a policy of nothing"),
        pytest.param("sequence_batching { direct { } }", id="sequences that say nothing"),
        pytest.param("sequence_batching { }", id="sequences without a strategy"),
        pytest.param("version_policy { }", id="a version policy that says nothing"),
        pytest.param("version_policy { latest { } }", id="the latest, of no number"),
        pytest.param("version_policy { all { } }", id="all versions"),
        pytest.param("version_policy { specific { versions: [ 1, 3 ] } }", id="two versions"),
        pytest.param("model_transaction_policy { }", id="an empty transaction policy"),
        pytest.param("response_cache { enable: false }", id="a cache that is off"),
        pytest.param("optimization { graph { } cuda { } execution_accelerators { } }",
                     id="an optimisation of nothing"),
        pytest.param("optimization { input_pinned_memory { enable: false } }", id="unpinned"),
        pytest.param("instance_group [{ }]", id="a group that says nothing"),
        pytest.param("instance_group [{ kind: KIND_CPU count: 100000 }]", id="too many instances"),
        pytest.param('input [{ name: "a" data_type: TYPE_FP32 dims: [ 1 ] reshape: { } }]',
                     id="a scalar by reshape"),
        pytest.param('input [{ name: "a" }] output [{ name: "b" data_type: TYPE_BF16 }]',
                     id="tensors that say little"),
        pytest.param("parameters { key: 'a' value { } }", id="a parameter without a value"),
        pytest.param('model_metrics { metric_control [{ metric_identifier { family: "a" } }] }',
                     id="another metric"),
        pytest.param('model_warmup [{ inputs { key: "a" value { data_type: TYPE_FP32 } } }]',
                     id="a warm-up without data"),
        pytest.param('model_repository_agents { agents [{ name: "checksum" }] }', id="an agent"),
        pytest.param('batch_input [{ kind: BATCH_ITEM_SHAPE target_name: "a" source_input: "b" }]',
                     id="a batch's input"),
        pytest.param("\ufeffname: 'm'", id="a byte order mark"),
    ],
)  # fmt: skip
def test_an_odd_spelling_comes_back_as_the_same_message(text: str) -> None:
    original = text_format.Parse(text.lstrip("\ufeff"), ModelConfig())
    back = written_back({"m/config.pbtxt": text, "m/1/model.py": ""})["m/config.pbtxt"].decode()
    assert text_format.Parse(back, ModelConfig()) == original


@few
@given(specs)
def test_whatever_is_rendered_is_imported_as_the_same(spec: AgentSpec) -> None:
    for config in plan(spec):
        name = config.name
        files = {f"{name}/config.pbtxt": config_text(config), f"{name}/1/model.py": ""}
        back, _ = applied(imported(files))
        assert list(plan(back)) == [config]


def test_what_has_a_type_is_typed_and_the_rest_is_config() -> None:
    text = """
        name: "m" backend: "onnxruntime" max_batch_size: 4
        input [{ name: "x" data_type: TYPE_FP16 dims: [ -1 ] allow_ragged_batch: true }]
        dynamic_batching { max_queue_delay_microseconds: 1500 }
        model_warmup [{ name: "warmup-0" batch_size: 4
          inputs { key: "x" value { data_type: TYPE_FP16 dims: 1 zero_data: true } } }]
        metric_tags { key: "team" value: "search" }
    """
    assert model_spec(text) == {
        "name": "m",
        "source": {"configMap": "agent-m-1-a461b472"},
        "backend": "onnxruntime",
        "maxBatchSize": 4,
        "inputs": [{"name": "x", "dataType": "FP16", "dims": [-1], "ragged": True}],
        "batching": {"dynamic": {"maxQueueDelay": "1ms500us"}},
        "warmup": [{"batchSize": 4}],
        "config": {"metric_tags": {"team": "search"}},
    }


def test_files_beside_the_versions_come_along() -> None:
    files: dict[str, str | bytes] = {
        "m/config.pbtxt": 'name: "m" backend: "python"',
        "m/1/model.py": "a",
        "m/labels.txt": "cat\ndog\n",
        "m/warmup/raw input": b"\x00\xff",
        "m/warmup/raw": b"\x00\xff",
        "m/.git/x": "no",
    }
    del files["m/warmup/raw input"]
    back = written_back(files)
    assert back["m/labels.txt"] == b"cat\ndog\n"
    assert back["m/warmup/raw"] == b"\x00\xff"
    assert back["m/1/model.py"] == b"a"
    assert "m/.git/x" not in back


def test_several_versions_are_served_each_from_its_own_folder() -> None:
    files = {
        "m/config.pbtxt": "version_policy { all { } }",
        "m/3/model.py": "c",
        "m/1/model.py": "a",
    }
    back = written_back(files)
    assert (back["m/1/model.py"], back["m/3/model.py"]) == (b"a", b"c")


def test_where_the_pods_find_the_files_may_be_said() -> None:
    found = imported(
        {"m/config.pbtxt": "", "m/2/model.onnx": "x"},
        Choices("agent", "example.com/triton:26.08-py3", "s3://bucket/models/"),
    )
    (agent,) = found.manifests
    assert agent["spec"]["models"][0]["source"] == {"uri": "s3://bucket/models/m/2/"}


def test_an_ensemble_is_a_pipeline_beside_its_models() -> None:
    ensemble = """
        platform: "ensemble"
        input [{ name: "x" data_type: TYPE_FP32 dims: 1 }]
        output [{ name: "y" data_type: TYPE_FP32 dims: 1 }]
        ensemble_scheduling { step [{ model_name: "m" model_version: -1
          input_map { key: "a" value: "x" } output_map { key: "b" value: "y" } }] }
    """
    found = imported({"all/config.pbtxt": ensemble, "m/config.pbtxt": "", "m/1/model.py": ""})
    spec = found.manifests[-1]["spec"]
    assert [each["name"] for each in spec["models"]] == ["m"]
    assert spec["pipelines"][0]["steps"] == [
        {"model": "m", "inputs": {"a": "x"}, "outputs": {"b": "y"}}
    ]


def test_a_folder_with_a_configuration_is_one_model() -> None:
    (*_, agent) = imported({"config.pbtxt": "", "1/model.py": ""}).manifests
    assert [each["name"] for each in agent["spec"]["models"]] == ["agent"]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        pytest.param(
            'name: "m"\nmax_batchsize: 3',
            'line 2:1 : Message type "inference.ModelConfig" has no field named "max_batchsize".',
            id="a field that does not exist",
        ),
        pytest.param(
            "input [{ dims: [1,-1,-1 3 ] }]",
            "line 1:25 : 'input [{ dims: [1,-1,-1 3 ] }]': Expected \",\"",
            id="a missing comma",
        ),
        pytest.param(
            "max_batch_size: 99999999999", "out of range: 99999999999", id="a number too large"
        ),
        pytest.param('name: "other"', "it is named other and lies in m", id="two names"),
        pytest.param(b"\xff\xfe", "it is not UTF-8 text", id="no text"),
    ],
)
def test_a_mistake_is_told_with_its_place(config: str | bytes, words: str) -> None:
    found = imported({"m/config.pbtxt": config, "n/config.pbtxt": "", "n/1/model.py": ""})
    (fault,) = found.faults
    assert fault.path == "m/config.pbtxt"
    assert words in str(fault)
    assert found.manifests == ()


def test_every_model_with_a_mistake_is_told_at_once() -> None:
    found = imported({"a/config.pbtxt": "x", "b/config.pbtxt": "", "c/config.pbtxt": "y"})
    assert [fault.path for fault in found.faults] == ["a/config.pbtxt", "c/config.pbtxt"]


def test_an_empty_folder_holds_no_model() -> None:
    (fault,) = imported({}).faults
    assert "there is no model in it" in str(fault)
