"""Each technique: its result answers in the same shapes, is what it says, and is reproducible."""

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from trireme.errors import InvalidSpec
from trireme.optimizer.candidates import Builder, Built, Refused
from trireme.optimizer.forms import (
    Artefact,
    Compiled,
    Exported,
    Graph,
    Module,
    Script,
    artefact_of,
    form_of,
)
from trireme.optimizer.loading import Original
from trireme.optimizer.memory import Memory, memory_of
from trireme.optimizer.recipes import TECHNIQUES, Recipe, recipe_of, recipes
from trireme.optimizer.runners import answers, runner_of
from trireme.optimizer.samples import Samples
from trireme.optimizer.technique import Workbench
from trireme.optimizer.wishes import Backend

OF_GRAPHS = (
    "dead-branches",
    "fuse",
    "fp16",
    "int8-dynamic",
    "int8-static",
    "int8-inner",
    "int8-weights",
    "int4-weights",
)
OF_MODULES = ("prune-25", "prune-50", "low-rank", "distill", "qat", "bf16", "torchscript", "onnx")


def accuracy(form: object, samples: Samples) -> float:
    run = runner_of(form, ["image"], 1)  # type: ignore[arg-type]
    found = answers(run, samples.inputs, 8)["output_0"]
    return float((found.argmax(1) == samples.labels).mean())


@pytest.mark.parametrize("name", OF_GRAPHS)
def test_of_a_graph_it_answers_nearly_as_before(
    name: str, graph: Graph, bench: Workbench, unseen: Samples
) -> None:
    technique = TECHNIQUES[name]
    assert technique.unfit(graph) is None
    made = technique.apply(graph, bench)
    assert isinstance(made, Graph)
    assert made.content == technique.apply(graph, bench).content
    assert accuracy(made, unseen) >= accuracy(graph, unseen) - 0.03


@pytest.mark.parametrize("name", OF_MODULES)
def test_of_a_module_it_answers_in_the_same_shape(
    name: str, module: Module, bench: Workbench, unseen: Samples
) -> None:
    technique = TECHNIQUES[name]
    before = {key: value.clone() for key, value in module.module.state_dict().items()}
    made = technique.apply(module, bench)
    found = runner_of(made, ["image"], 1)(unseen.batch(5))
    assert {key: (array.shape, array.dtype) for key, array in found.items()} == {
        "output_0": ((5, 10), np.float32)
    }
    after = module.module.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())


@pytest.mark.parametrize("name", ["prune-25", "prune-50", "prune-75"])
def test_pruned_shapes_really_are_smaller(name: str, module: Module, bench: Workbench) -> None:
    share = int(name[-2:]) / 100
    pruned = TECHNIQUES[name].apply(module, bench)
    assert isinstance(pruned, Module)
    first, hidden = pruned.module.first, pruned.module.hidden
    assert first.out_channels == 16 * (1 - share)
    assert hidden.out_features == 64 * (1 - share)
    assert pruned.module.last.out_features == 10


def test_distillation_recovers_what_pruning_lost(
    module: Module, bench: Workbench, unseen: Samples
) -> None:
    pruned = TECHNIQUES["prune-50"].apply(module, bench)
    taught = TECHNIQUES["distill"].apply(pruned, dataclasses.replace(bench, effort=0.5))
    assert accuracy(taught, unseen) > accuracy(pruned, unseen) + 0.2


def test_training_is_reproduced_by_its_seed(module: Module, bench: Workbench) -> None:
    made = [TECHNIQUES["distill"].apply(module, bench) for _ in range(2)]
    states = [form.module.state_dict() for form in made if isinstance(form, Module)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_a_linear_layer_that_is_the_whole_model_is_factored(
    bench: Workbench, unseen: Samples
) -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(64, 128)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(128, 4) @ torch.randn(4, 64))
    made = TECHNIQUES["low-rank"].apply(Module(layer.eval()), bench)
    assert isinstance(made, Module)
    assert [tuple(each.shape) for each in made.module.parameters()] == [(4, 64), (128, 4), (128,)]


class Tokens(torch.nn.Module):
    """A row of features for each of 8 places, as a transformer answers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(8, 32)
        self.last = torch.nn.Linear(32, 16)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.last(self.first(image.flatten(1, 2)).relu())
        return answer


def test_the_width_of_rows_is_kept_and_what_is_within_is_cut(bench: Workbench) -> None:
    pruned = TECHNIQUES["prune-50"].apply(Module(Tokens().eval()), bench)
    assert isinstance(pruned, Module)
    assert pruned.module.first.out_features == 16
    assert pruned.module.last.out_features == 16


def test_pruning_that_removes_nothing_is_no_candidate(bench: Workbench) -> None:
    both = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10), torch.nn.Linear(10, 10))
    with pytest.raises(ValueError, match="no channel could go"):
        TECHNIQUES["prune-50"].apply(Module(both.eval()), bench)


def test_what_the_clock_ended_is_told(original: Original, bench: Workbench) -> None:
    builder = Builder(original, bench.training, bench.scratch, 8, 1, 1)
    recipe = Recipe(("distill", "onnx"))
    hurried, again = (builder.build(recipe, 0.25, 0.0) for _ in range(2))
    assert isinstance(hurried, Built)
    assert isinstance(again, Built)
    assert hurried.is_hurried
    assert again.is_hurried  # also where it was kept
    calm = builder.build(recipe, 0.01, 1e6)
    assert isinstance(calm, Built)
    assert not calm.is_hurried


class Telling(torch.nn.Module):
    """A layer that says whether it is asked as in training."""

    def __init__(self) -> None:
        super().__init__()
        self.last = torch.nn.Linear(64, 10)
        self.told: list[bool] = []

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.told.append(self.training)
        answer: torch.Tensor = self.last(image.flatten(1))
        return answer


def test_dropout_of_every_kind_is_off_while_a_model_is_taught(
    module: Module, bench: Workbench
) -> None:
    """The original answered without it, and without a running mean that moves."""
    pupil = Module(Telling().eval())
    made = TECHNIQUES["distill"].apply(pupil, dataclasses.replace(bench, original=module))
    assert isinstance(made, Module)
    assert set(made.module.told) == {False}


def test_quantisation_aware_weights_lie_on_the_grid(module: Module, bench: Workbench) -> None:
    made = TECHNIQUES["qat"].apply(module, bench)
    assert isinstance(made, Module)
    weight = made.module.hidden.weight
    steps = weight / (weight.abs().amax(1, keepdim=True) / 127)
    assert torch.allclose(steps, steps.round(), atol=1e-3)


def test_the_file_shrinks_with_the_bits(graph: Graph, bench: Workbench) -> None:
    sizes = [
        len(TECHNIQUES[name].apply(graph, bench).content)  # type: ignore[union-attr]
        for name in ("fuse", "fp16", "int8-weights", "int4-weights")
    ]
    assert sizes == sorted(sizes, reverse=True)


def test_a_branch_that_is_never_taken_goes(bench: Workbench) -> None:
    """x + 1 if the stored condition holds, which it does; else x - 1."""
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", 2])
    answer = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch", 2])

    def branch(operator: str) -> onnx.GraphProto:
        inner = onnx.helper.make_tensor_value_info(operator, onnx.TensorProto.FLOAT, None)
        node = onnx.helper.make_node(operator, ["x", "one"], [operator])
        return onnx.helper.make_graph([node], operator, [], [inner])

    decide = onnx.helper.make_node(
        "If", ["taken"], ["y"], then_branch=branch("Add"), else_branch=branch("Sub")
    )
    stored = [
        onnx.numpy_helper.from_array(np.array(True), "taken"),
        onnx.numpy_helper.from_array(np.array(1, np.float32), "one"),
    ]
    body = onnx.helper.make_graph([decide], "branches", [value], [answer], stored)
    model = onnx.helper.make_model(
        body, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10
    )
    made = TECHNIQUES["dead-branches"].apply(Graph(model.SerializeToString()), bench)
    assert isinstance(made, Graph)
    assert [node.op_type for node in onnx.load_from_string(made.content).graph.node] == ["Add"]


@pytest.mark.parametrize(
    ("name", "form", "told"),
    [
        pytest.param("prune-50", "graph", "needs the module itself", id="a graph is not cut"),
        pytest.param("distill", "exported", "needs the module itself", id="nor an archive taught"),
        pytest.param(
            "int8-static", "module", "needs an ONNX graph", id="a module is exported first"
        ),
        pytest.param("onnx", "graph", "is no model of torch", id="a graph is one already"),
    ],
)
def test_what_a_technique_does_not_apply_to_it_says(
    name: str, form: str, told: str, request: pytest.FixtureRequest
) -> None:
    assert told in str(TECHNIQUES[name].unfit(request.getfixturevalue(form)))


@pytest.mark.parametrize("form", ["exported", "script"])
def test_what_cannot_be_trained_is_still_exported_and_quantised(
    form: str, original: Original, bench: Workbench, unseen: Samples, request: pytest.FixtureRequest
) -> None:
    given = dataclasses.replace(original, form=request.getfixturevalue(form))
    builder = Builder(given, bench.training, bench.scratch, 8, 1, 1)
    built = builder.build(Recipe(("onnx", "dead-branches", "int8-static")), 1.0, 10.0)
    assert isinstance(built, Built), str(built)
    assert built.artefact.file == "model.onnx"
    assert accuracy(form_of(built.artefact), unseen) > 0.9


def test_a_failing_step_is_a_reason_and_not_an_end(original: Original, bench: Workbench) -> None:
    builder = Builder(original, bench.training, bench.scratch, 8, 1, 1)
    built = builder.build(Recipe(("int8-static",)), 1.0, 10.0)
    assert built == Refused("int8-static", "needs an ONNX graph")


@pytest.mark.parametrize("backend", list(Backend))
def test_recipes_are_in_the_order_of_stages(backend: Backend, original: Original) -> None:
    found = recipes(original.form, backend, None)
    assert found
    assert len(set(found)) == len(found)
    for recipe in found:
        assert recipe_of(str(recipe)) == recipe


def test_a_user_chooses_among_the_techniques(original: Original) -> None:
    found = recipes(original.form, Backend.ONNXRUNTIME, frozenset({"prune-50", "fuse"}))
    assert [str(recipe) for recipe in found] == [
        "onnx",
        "prune-50 + distill + onnx + dead-branches + fuse",
        "onnx + dead-branches + fuse",
    ]


def test_what_is_chosen_is_all_that_is_tried(script: Script) -> None:
    found = recipes(script, Backend.PYTORCH, frozenset({"torchscript"}))
    assert [str(recipe) for recipe in found] == ["torchscript"]


def test_a_technique_that_a_backend_never_tries_is_refused_with_those_it_does(
    script: Script,
) -> None:
    with pytest.raises(InvalidSpec) as refused:
        recipes(script, Backend.PYTORCH, frozenset({"int8-dynamic"}))
    (fault,) = refused.value.faults
    assert (fault.value, fault.remedy) == (
        "int8-dynamic",
        "Write some of torchscript, aot-inductor",
    )


def test_the_forms_a_server_loads(module: Module, script: Script, bench: Workbench) -> None:
    assert artefact_of(module, bench.scratch) is None
    found = artefact_of(script, bench.scratch)
    assert found is not None
    assert found.file == "model.pt"
    assert artefact_of(Compiled(b"x"), bench.scratch).file == "model.pt2"  # type: ignore[union-attr]
    assert not list(bench.scratch.glob("model.pt"))


def linear() -> Module:
    """The least there is to compile, which takes long enough."""
    return Module(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10)).eval())


@pytest.mark.parametrize("name", ["onnx", "torchscript", "aot-inductor"])
def test_what_is_written_is_loaded_by_another_process_and_answers_as_before(
    name: str,
    bench: Workbench,
    unseen: Samples,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And a compiler leaves nothing but in the scratch folder."""
    module = linear()
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    # What the processor says it can do: torch would compile three programs to try it.
    monkeypatch.setenv("TORCHINDUCTOR_VEC_ISA_OK", "1")
    made = TECHNIQUES[name].apply(module, dataclasses.replace(bench, scratch=tmp_path))
    assert not list(temporary.iterdir())
    artefact = artefact_of(made, tmp_path)
    assert artefact is not None
    run = runner_of(form_of(artefact), ["image"], 1)
    for size in (1, 5):
        found = list(run(unseen.batch(size)).values())
        expected = list(runner_of(module, ["image"], 1)(unseen.batch(size)).values())
        np.testing.assert_allclose(found, expected, atol=1e-4)
    assert isinstance(memory_of(artefact, unseen, 5, 1), Memory)


def test_what_another_process_cannot_load_is_told(unseen: Samples) -> None:
    found = memory_of(Artefact("model.onnx", b"no graph"), unseen, 2, 1)
    assert isinstance(found, Refused)
    assert "a fresh process cannot run it: " in found.reason


def test_a_compiler_is_ended_with_its_share_of_the_budget(bench: Workbench) -> None:
    hurried = dataclasses.replace(bench, compile_seconds=0.1)
    with pytest.raises(TimeoutError, match="not compiled in 0 s"):
        TECHNIQUES["aot-inductor"].apply(linear(), hurried)


def test_forms_are_kept_only_for_recipes_to_come(original: Original, bench: Workbench) -> None:
    builder = Builder(original, bench.training, bench.scratch, 8, 1, 1)
    first, second = (Recipe(("onnx", "dead-branches", tail)) for tail in ("fuse", "fp16"))
    builder.build(first, 0.25, 10.0)
    builder.keep([second], [])
    assert {steps for steps, _ in builder._kept} == {("onnx",), ("onnx", "dead-branches")}
    builder.keep([], [])
    assert not builder._kept


def test_an_archive_of_torch_export_is_no_artefact(exported: Exported, bench: Workbench) -> None:
    assert artefact_of(exported, bench.scratch) is None
