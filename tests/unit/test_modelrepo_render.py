"""What a repository's two digests and its directories depend on, and what not."""

from typing import Any

import pytest

from specs import valid_body
from trireme.admission.parse import parse_agent
from trireme.modelrepo.render import config_text, model_digest, render, uncounted_digest
from trireme.modelrepo.repository import ClaimFolder, Repository

FILES = {"encoder-files": {"model.py": b"a"}, "scorer-files": {"model.py": b"b"}}


def rendered(
    edits: dict[str, Any] | None = None, sources: dict[str, dict[str, bytes]] | None = None
) -> Repository:
    return render(parse_agent(valid_body(edits)).spec, sources or FILES)


def test_files_of_a_config_map_are_in_the_version_directory() -> None:
    encoder = rendered({"spec.models.0.version": 7}).models[0]
    assert (encoder.files, encoder.mounts) == ({"7/model.py": b"a"}, {})


def test_a_claim_takes_the_place_of_files() -> None:
    source = {"uri": "pvc://models/encoder/3/"}
    encoder = rendered({"spec.models.0.source": source}).models[0]
    assert encoder.files == {}
    assert encoder.mounts == {1: ClaimFolder("models", "encoder/3")}


def test_a_pipeline_has_an_empty_version_directory_and_asks_for_the_latest_steps() -> None:
    repository = rendered()
    assert repository.models[2].files == {"1/.keep": b""}
    config = repository.models[2].config
    assert config.platform == "ensemble"
    assert [step.model_version for step in config.ensemble_scheduling.step] == [-1, -1]
    assert not config.instance_group


def test_a_model_without_batches_says_so_explicitly() -> None:
    edits = {"spec.models.0.maxBatchSize": 0, "spec.models.0.outputs.0.dims": [-1, 16]}
    encoder = rendered({**edits, "spec.pipelines": []}).models[0]
    assert config_text(encoder.config).startswith("max_batch_size: 0\n")


def test_what_the_spec_leaves_to_triton_is_left_out() -> None:
    config = rendered().models[0].config
    assert not config.instance_group
    assert not config.HasField("version_policy")


def test_instance_groups_may_be_given_in_config() -> None:
    free = {"instance_group": [{"count": 3, "kind": "KIND_CPU"}]}
    [group] = rendered({"spec.models.0.config": free}).models[0].config.instance_group
    assert group.count == 3


def test_warm_up_holds_every_required_input_at_a_definite_shape() -> None:
    entries = [
        {"batchSize": 2, "data": "Random", "inputs": {"ids": {"dims": [128]}}},
        {"batchSize": 1, "count": 3},
    ]
    encoder = rendered({"spec.models.0.warmup": entries}).models[0]
    first, second = encoder.config.model_warmup
    assert (first.name, first.batch_size, first.count) == ("warmup-0", 2, 0)
    assert (second.name, second.batch_size, second.count) == ("warmup-1", 1, 3)
    assert set(first.inputs) == set(second.inputs) == {"ids"}  # mask is optional
    assert (list(first.inputs["ids"].dims), first.inputs["ids"].random_data) == ([128], True)
    assert (list(second.inputs["ids"].dims), second.inputs["ids"].zero_data) == ([1], True)


def test_text_is_warmed_up_empty_even_where_random_data_is_asked_for() -> None:
    edits = {
        "spec.models.0.inputs.0.dataType": "STRING",
        "spec.models.0.warmup": [{"data": "Random"}],
        "spec.pipelines": [],
    }
    [entry] = rendered(edits).models[0].config.model_warmup
    assert entry.inputs["ids"].zero_data
    assert not entry.inputs["ids"].random_data


def test_nothing_changes_without_a_change() -> None:
    assert rendered() == rendered()


@pytest.mark.parametrize(
    "edits",
    [
        pytest.param({"spec.models.0.instances": [{"count": 2}]}, id="instances"),
        pytest.param(
            {"spec.models.0.config": {"instance_group": [{"count": 2}]}}, id="free instances"
        ),
    ],
)
def test_what_triton_changes_in_place_is_in_the_live_digest_only(edits: dict[str, Any]) -> None:
    assert rendered(edits).digest == rendered().digest
    assert rendered(edits).live_digest != rendered().live_digest


@pytest.mark.parametrize(
    "edits",
    [
        pytest.param({"spec.models.0.maxBatchSize": 16}, id="the batch size"),
        pytest.param({"spec.models.0.parameters": {"a": "b"}}, id="a parameter"),
        pytest.param({"spec.models.0.warmup": [{}]}, id="a warm-up"),
        pytest.param({"spec.models.0.version": 2}, id="the version directory"),
        pytest.param({"spec.models.0.source": {"uri": "pvc://a"}}, id="the source"),
        pytest.param({"spec.pipelines": []}, id="a pipeline less"),
    ],
)
def test_what_needs_new_pods_is_in_the_digest(edits: dict[str, Any]) -> None:
    assert rendered(edits).digest != rendered().digest


def test_what_triton_changes_in_place_is_in_the_digest_of_its_model() -> None:
    def digests(edits: dict[str, Any]) -> list[str]:
        return [model_digest(directory) for directory in rendered(edits).models]

    encoder, *others = digests({})
    for edits in ({"spec.models.0.instances": [{"count": 2}]}, {"spec.models.0.maxBatchSize": 16}):
        changed, *same = digests(edits)
        assert changed != encoder
        assert same == others


@pytest.mark.parametrize(
    ("edits", "is_same"),
    [
        pytest.param({"spec.models.0.instances": [{"count": 2}]}, True, id="their number"),
        pytest.param({"spec.models.0.instances": [{"kind": "CPU"}]}, False, id="their kind"),
        pytest.param({"spec.models.0.instances": [{}, {}]}, False, id="more groups"),
        pytest.param({"spec.models.0.instances": [{"passive": True}]}, False, id="passive ones"),
        pytest.param({"spec.models.0.versionPolicy": {"latest": 2}}, False, id="the versions"),
        pytest.param({"spec.models.0.maxBatchSize": 16}, False, id="the batch size"),
        pytest.param({"spec.server.resources": {"memory": "9Gi"}}, False, id="their memory"),
        pytest.param({"spec.server.env": [{"name": "A", "value": "1"}]}, False, id="their env"),
        pytest.param(
            {"spec.server.placement": {"nodeSelector": {"a": "b"}}}, False, id="their nodes"
        ),
        pytest.param({"spec.scaling": {"min": 2, "max": 9}}, True, id="how many pods there are"),
    ],
)
def test_what_but_the_number_of_instances_makes_batches_take_their_time_is_in_one_digest(
    edits: dict[str, Any], is_same: bool
) -> None:
    def digest(edits: dict[str, Any]) -> str:
        spec = parse_agent(valid_body(edits)).spec
        return uncounted_digest(render(spec, FILES).models[0], spec.server)

    assert (digest(edits) == digest({})) is is_same


def test_files_and_their_names_are_in_the_digest() -> None:
    other_content = {**FILES, "encoder-files": {"model.py": b"c"}}
    other_name = {**FILES, "encoder-files": {"model2.py": b"a"}}
    digests = {rendered(sources=each).digest for each in (FILES, other_content, other_name)}
    assert len(digests) == 3


def test_a_claim_and_its_path_are_in_the_digest() -> None:
    def digest(claim: str, path: str) -> str:
        source = {"uri": f"pvc://{claim}/{path}"}
        return rendered({"spec.models.0.source": source}).digest

    assert len({digest("ab", "c/"), digest("a", "bc/"), digest("ab", "")}) == 3


def test_the_order_of_models_is_in_no_digest() -> None:
    """A list map may be reordered by whoever applies it."""
    body = valid_body()
    body["spec"]["models"].reverse()
    reordered = render(parse_agent(body).spec, FILES)
    assert (reordered.digest, reordered.live_digest) == (rendered().digest, rendered().live_digest)


def test_a_missing_source_is_an_error_of_the_caller() -> None:
    with pytest.raises(KeyError):
        rendered(sources={"encoder-files": {"model.py": b"a"}})
