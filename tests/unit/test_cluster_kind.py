"""What kind is asked for."""

import json
from pathlib import Path
from typing import Any

import pytest

from cluster import kind
from cluster.node_image import NodeImage

_NODE_FILES = Path(kind.__file__).with_name("node")


def _asked(*, built_here: bool = True, nodes: int = 1) -> Any:
    image = NodeImage("trireme/node:v1", is_built_here=built_here)
    return json.loads(json.dumps(kind.configuration(image, nodes)))


@pytest.mark.parametrize("nodes", [1, 3])
def test_one_node_is_the_control_plane_and_the_rest_are_workers(nodes: int) -> None:
    roles = [node["role"] for node in _asked(nodes=nodes)["nodes"]]
    assert roles == ["control-plane"] + ["worker"] * (nodes - 1)


def test_only_a_node_built_here_is_told_of_its_own_images() -> None:
    cluster_patch = json.loads(_asked()["kubeadmConfigPatches"][0])
    assert cluster_patch["imageRepository"] == "localhost/trireme"
    assert _asked(built_here=False)["kubeadmConfigPatches"] == []


def test_the_node_and_kind_agree_on_the_pods_network() -> None:
    network = _asked()["networking"]["podSubnet"]
    assert f"POD_NETWORK={network}" in (_NODE_FILES / "entrypoint").read_text()
