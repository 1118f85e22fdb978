"""Each technique: its result answers in the same shapes, is what it says, and is reproducible."""

import dataclasses

import numpy as np
import onnx
import pytest
import torch

from trireme.optimizer.candidates import Builder, Built, Refused
from trireme.optimizer.forms import Compiled, Exported, Graph, Module, Script, artefact_of
from trireme.optimizer.loading import Original
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
    found = answers(run, samples.inputs)["output_0"]
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
    artefact = artefact_of(built.form, bench.scratch)
    assert artefact is not None
    assert artefact.file == "model.onnx"
    assert accuracy(built.form, unseen) > 0.9


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


def test_the_forms_a_server_loads(module: Module, script: Script, bench: Workbench) -> None:
    assert artefact_of(module, bench.scratch) is None
    found = artefact_of(script, bench.scratch)
    assert found is not None
    assert found.file == "model.pt"
    assert artefact_of(Compiled(b"x"), bench.scratch).file == "model.pt2"  # type: ignore[union-attr]
    assert not list(bench.scratch.glob("model.pt"))


def test_an_archive_of_torch_export_is_no_artefact(exported: Exported, bench: Workbench) -> None:
    assert artefact_of(exported, bench.scratch) is None
