"""The archive of the control plane's images is what a container runtime reads."""

import hashlib
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import archive


@pytest.fixture
def written(tmp_path: Path) -> Iterator[tarfile.TarFile]:
    program, extension = tmp_path / "proxy", tmp_path / "libxt.so"
    program.write_bytes(b"program")
    extension.write_bytes(b"extension")
    with tarfile.open(tmp_path / "files.tar", "w") as files:
        files.add(extension, "usr/lib/libxt.so")
    images = [
        archive.Image("localhost/plain:1", program, "/usr/local/bin/plain"),
        archive.Image("localhost/proxy:2", program, "/proxy", files=tmp_path / "files.tar"),
    ]
    archive.write(images, "x86_64", tmp_path / "images.tar")
    with tarfile.open(tmp_path / "images.tar") as container:
        yield container


def _content(container: tarfile.TarFile, name: str) -> bytes:
    member = container.extractfile(name)
    assert member is not None
    with member:
        return member.read()


def test_the_manifest_names_each_image_with_its_parts(written: tarfile.TarFile) -> None:
    assert json.loads(_content(written, "manifest.json")) == [
        {
            "Config": "config-0.json",
            "RepoTags": ["localhost/plain:1"],
            "Layers": ["layer-0.tar"],
        },
        {
            "Config": "config-1.json",
            "RepoTags": ["localhost/proxy:2"],
            "Layers": ["layer-1.tar"],
        },
    ]


def test_the_configuration_knows_the_layer_by_its_hash(written: tarfile.TarFile) -> None:
    config = json.loads(_content(written, "config-0.json"))
    layer = hashlib.sha256(_content(written, "layer-0.tar")).hexdigest()
    assert config["rootfs"] == {"type": "layers", "diff_ids": [f"sha256:{layer}"]}
    assert (config["os"], config["architecture"]) == ("linux", "amd64")
    assert config["config"]["Entrypoint"] == ["/usr/local/bin/plain"]


def test_a_layer_holds_the_program_beside_the_files_it_needs(
    written: tarfile.TarFile, tmp_path: Path
) -> None:
    (tmp_path / "layer.tar").write_bytes(_content(written, "layer-1.tar"))
    with tarfile.open(tmp_path / "layer.tar") as layer:
        assert layer.getnames() == ["usr/lib/libxt.so", "proxy"]
        assert layer.getmember("proxy").mode == 0o755
        assert _content(layer, "usr/lib/libxt.so") == b"extension"
