"""The ConfigMaps that hold a model repository."""

import base64
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import agent_of, directory_of, repository_of
from trireme.modelrepo.proto import ModelConfig
from trireme.modelrepo.repository import ClaimFolder
from trireme.resources.config_maps import config_maps, config_volumes, file_key, file_path


def test_a_model_has_an_immutable_map_and_all_share_a_mutable_one() -> None:
    model = directory_of(config=ModelConfig(name="double"))
    files, live = config_maps(agent_of(), repository_of(model))

    assert files["immutable"] is True
    assert files["data"] == {"1_-model.py": "# answers y = 2x\n"}
    assert "immutable" not in live
    assert live["data"] == {"double.pbtxt": 'max_batch_size: 0\nname: "double"\n'}


@pytest.mark.parametrize(
    ("field", "maps"),
    [
        pytest.param("digest", 2, id="pods of the old template never see the new ones"),
        pytest.param("live_digest", 1, id="what changes in place changes in it"),
    ],
)
def test_the_configurations_have_a_map_for_each_template(field: str, maps: int) -> None:
    before = repository_of()
    after = replace(before, **{field: "c" * 64})
    names = {config_maps(agent_of(), r)[-1]["metadata"]["name"] for r in (before, after)}
    assert len(names) == maps


def test_a_file_that_is_not_text_is_kept_to_the_byte() -> None:
    weights = b"\x00\xff\xfe"
    model = directory_of(files={"1/model.onnx": weights, "1/labels.txt": b"cat\n"})

    files, _ = config_maps(agent_of(), repository_of(model))

    assert base64.b64decode(files["binaryData"]["1_-model.onnx"]) == weights
    assert files["data"] == {"1_-labels.txt": "cat\n"}


def test_a_model_on_a_claim_has_no_map_of_its_own() -> None:
    model = directory_of(files={}, mounts={1: ClaimFolder("models", "")})

    (live,) = config_maps(agent_of(), repository_of(model))

    assert live["metadata"]["name"].startswith("echo-live-")


def test_a_name_changes_with_a_file_and_only_then() -> None:
    def name(**fields: Any) -> str:
        model = directory_of(**fields)
        found: str = config_maps(agent_of(), repository_of(model))[0]["metadata"]["name"]
        return found

    assert name() == name(config=ModelConfig(name="other"))
    assert name() != name(files={"1/model.py": b"# another\n"})


def test_models_whose_names_look_alike_do_not_share_a_map() -> None:
    models = [directory_of("encoder-small"), directory_of("encoder-large")]

    first, second, _ = config_maps(agent_of(), repository_of(*models))

    assert first["metadata"]["name"] != second["metadata"]["name"]


def test_a_volume_puts_every_file_where_the_repository_has_it() -> None:
    model = directory_of(files={"1/model.py": b"a", "1/helper_x.py": b"b"})

    live, files = config_volumes(agent_of(), repository_of(model))

    assert files["configMap"]["items"] == [
        {"key": "1_-helper__x.py", "path": "1/helper_x.py"},
        {"key": "1_-model.py", "path": "1/model.py"},
    ]
    assert live["configMap"]["name"] == "echo-live-aaaaaaaa"


PATHS = st.lists(st.text("ab_-.", min_size=1, max_size=4), min_size=1, max_size=3).map("/".join)


@given(PATHS)
def test_a_path_is_read_back_from_its_key(path: str) -> None:
    assert file_path(file_key(path)) == path


@given(PATHS, PATHS)
def test_no_two_paths_share_a_key(one: str, other: str) -> None:
    assert (file_key(one) == file_key(other)) == (one == other)
    assert "/" not in file_key(one)
