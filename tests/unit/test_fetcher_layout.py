"""From a source's files to a version directory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme.api.fetch import FetchFailed, FetchReason
from trireme.fetcher.layout import arranged, is_archive, unwrapped, version_files

SOURCE = "s3://models/encoder"


@pytest.mark.parametrize(
    ("paths", "file_name", "published"),
    [
        pytest.param(["model.onnx", "a.txt"], "model.onnx", ["a.txt", "model.onnx"], id="named so"),
        pytest.param(["enc.onnx", "a.txt"], "model.onnx", ["a.txt", "model.onnx"], id="renamed"),
        pytest.param(
            ["enc.onnx", "enc.onnx.data", "deep/x.onnx"],
            "model.onnx",
            ["deep/x.onnx", "enc.onnx.data", "model.onnx"],
            id="external weights keep the name that the graph knows them by",
        ),
        pytest.param(["a.xml", "a.bin"], "model.xml", ["model.bin", "model.xml"], id="openvino"),
        pytest.param(["a", "b"], "", ["a", "b"], id="nothing is wanted"),
        pytest.param(
            ["saved_model.pb", "variables/v.index"],
            "model.savedmodel",
            ["model.savedmodel/saved_model.pb", "model.savedmodel/variables/v.index"],
            id="a saved model without its folder",
        ),
        pytest.param(
            ["model.savedmodel/saved_model.pb"],
            "model.savedmodel",
            ["model.savedmodel/saved_model.pb"],
            id="a saved model with its folder",
        ),
    ],
)
def test_files_get_the_names_that_the_backend_looks_for(
    paths: list[str], file_name: str, published: list[str]
) -> None:
    assert sorted(arranged(paths, file_name, False, SOURCE).values()) == published


def test_one_file_is_published_under_the_backends_name_whatever_its_own() -> None:
    assert arranged(["download"], "model.pt", True, SOURCE) == {"download": "model.pt"}
    assert arranged(["net.pb"], "model.graphdef", True, SOURCE) == {"net.pb": "model.graphdef"}


def test_the_one_file_of_a_saved_model_is_put_into_its_folder() -> None:
    assert arranged(["saved_model.pb"], "model.savedmodel", True, SOURCE) == {
        "saved_model.pb": "model.savedmodel/saved_model.pb"
    }


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        pytest.param(["a.onnx", "b.onnx"], "holds a.onnx, b.onnx", id="two candidates"),
        pytest.param(["a.pt"], "holds a.pt", id="of another kind"),
        pytest.param(
            [f"{n:02}.txt" for n in range(13)], "08.txt, 09.txt and 3 more", id="many files"
        ),
        pytest.param(["config.pbtxt", "1/model.onnx"], "or say tree", id="triton's own layout"),
    ],
)
def test_where_there_is_a_doubt_the_message_lists_what_was_found(
    paths: list[str], message: str
) -> None:
    with pytest.raises(FetchFailed) as failed:
        arranged(paths, "model.onnx", False, SOURCE)
    assert failed.value.reason is FetchReason.LAYOUT
    assert f"the backend loads model.onnx, but {SOURCE} " in failed.value.message
    assert failed.value.message.endswith(message)


def test_no_file_at_all() -> None:
    with pytest.raises(FetchFailed) as failed:
        arranged([], "", False, SOURCE)
    assert failed.value.reason is FetchReason.EMPTY


def test_of_a_tree_the_version_is_taken() -> None:
    paths = ["config.pbtxt", "1/model.onnx", "12/model.onnx", "12/deep/w"]
    assert version_files(paths, 12, SOURCE) == {
        "12/model.onnx": "model.onnx",
        "12/deep/w": "deep/w",
    }
    with pytest.raises(FetchFailed, match=r"no version 2, only 1, 12, config\.pbtxt"):
        version_files(paths, 2, SOURCE)


@pytest.mark.parametrize(
    ("paths", "file_name", "short"),
    [
        pytest.param(["r/a", "r/b/c"], "", ["a", "b/c"], id="one folder around all"),
        pytest.param(["r/a", "s/b"], "", ["r/a", "s/b"], id="two folders"),
        pytest.param(["a"], "", ["a"], id="a file"),
        pytest.param(["m.savedmodel/a"], "m.savedmodel", ["m.savedmodel/a"], id="the model itself"),
    ],
)
def test_an_archives_one_folder_is_left_out(
    paths: list[str], file_name: str, short: list[str]
) -> None:
    assert list(unwrapped(paths, file_name).values()) == short


@pytest.mark.parametrize("name", ["a.zip", "A.ZIP", "a.tar", "a.tar.gz", "a.tgz", "a.tar.zst"])
def test_what_is_unpacked(name: str) -> None:
    assert is_archive(name)


@pytest.mark.parametrize("name", ["model.pt", "model.onnx", "a.gz", "zip"])
def test_what_is_not_unpacked(name: str) -> None:
    assert not is_archive(name)


paths = st.lists(
    st.sampled_from(["a.onnx", "b.onnx", "model.onnx", "a.bin", "a.xml", "d/a.onnx", "1/x"]),
    min_size=1,
    unique=True,
)


@given(paths, st.sampled_from(["", "model.onnx", "model.xml", "model.pt"]))
def test_every_file_is_published_once_and_the_backend_finds_its_own(
    found: list[str], file_name: str
) -> None:
    try:
        published = arranged(found, file_name, False, SOURCE)
    except FetchFailed:
        return
    assert list(published) == found
    assert len(set(published.values())) == len(found)
    assert not file_name or file_name in published.values()
