"""Which versions a policy has served, as Triton chooses them."""

from typing import Any

import pytest

from agents import directory_of
from trireme.modelrepo.proto import ModelConfig, json_format
from trireme.modelrepo.repository import ClaimFolder
from trireme.modelrepo.versions import versions_loaded_by, versions_of


@pytest.mark.parametrize(
    ("policy", "served"),
    [
        pytest.param(None, {10}, id="no policy: the highest, as a number"),
        pytest.param({}, {1, 9, 10}, id="a policy that chooses none: all"),
        pytest.param({"latest": {"num_versions": 2}}, {9, 10}, id="the two highest"),
        pytest.param({"latest": {"num_versions": 9}}, {1, 9, 10}, id="more than there are"),
        pytest.param({"all": {}}, {1, 9, 10}, id="all"),
        pytest.param({"specific": {"versions": [1, 7]}}, {1}, id="one of two is there"),
    ],
)
def test_a_policy_has_versions_served(policy: dict[str, Any] | None, served: set[int]) -> None:
    fields = {} if policy is None else {"version_policy": policy}
    config = json_format.ParseDict(fields, ModelConfig())
    assert versions_loaded_by(config, {1, 9, 10}) == sorted(served)


def test_versions_are_folders_of_files_and_mounts() -> None:
    files = {"1/model.py": b"", "labels.txt": b"", "warmup/raw": b""}
    directory = directory_of(files=files, mounts={3: ClaimFolder("models", "")})
    assert versions_of(directory) == {1, 3}
