"""The operator's key is all the bytes of its file, and there is no other."""

from pathlib import Path

import pytest

from trireme.api.node_cache import NodeCacheKey
from trireme.edge.operator_key import read_node_cache_key, read_operator_key
from trireme.errors import InvalidSettings
from trireme.resources.control import OperatorKey


def test_every_byte_of_the_file_counts(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"\x00" * 31 + b"\n")

    assert read_operator_key(file) == OperatorKey(b"\x00" * 31 + b"\n")
    assert read_node_cache_key(file) == NodeCacheKey(b"\x00" * 31 + b"\n")


def test_without_a_file_it_is_said_how_to_make_one() -> None:
    with pytest.raises(InvalidSettings, match="head -c 32 /dev/urandom"):
        read_operator_key(None)
    with pytest.raises(InvalidSettings, match="TRIREME_NODE_CACHE_KEY_FILE is not set"):
        read_node_cache_key(None)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(None, "No such file", id="no file"),
        pytest.param(b"", "holds 0 bytes", id="an empty file"),
        pytest.param(b"password", "holds 8 bytes, and a key has 32 or more", id="a password"),
    ],
)
def test_what_is_no_key_is_refused_and_not_shown(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(InvalidSettings, match=words) as refusal:
        read_operator_key(file)

    assert "TRIREME_CONTROL_KEY_FILE" in str(refusal.value)
    assert "password" not in str(refusal.value)
