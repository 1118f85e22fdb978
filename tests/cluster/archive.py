"""Write container images as a docker-archive, without an engine.

The archive is a tar of `manifest.json`, a configuration for each image and the layers; a
layer is itself a tar, known by the hash of its bytes.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Image:
    """An image of one layer: one program, over files that it may need."""

    name: str  # with its tag
    program: Path
    path: str  # where the program lies in the image; also its entrypoint
    files: Path | None = None  # a tar of what lies beside the program


def write(images: Sequence[Image], machine: str, into: Path) -> None:
    """Write these images, for a machine as `platform.machine()` names it, to one archive."""
    with tarfile.open(into, "w") as archive:
        manifest = []
        for position, image in enumerate(images):
            layer_name, config_name = f"layer-{position}.tar", f"config-{position}.json"
            layer_file = into.with_name(layer_name)
            _write_layer(image, layer_file)
            config = _configuration(image, _ARCHITECTURES[machine], _sha256(layer_file))
            archive.add(layer_file, layer_name)
            layer_file.unlink()
            _add(archive, config_name, json.dumps(config).encode())
            manifest.append(
                {"Config": config_name, "RepoTags": [image.name], "Layers": [layer_name]}
            )
        _add(archive, "manifest.json", json.dumps(manifest).encode())


def _write_layer(image: Image, layer_file: Path) -> None:
    with tarfile.open(layer_file, "w") as layer:
        if image.files is not None:
            with tarfile.open(image.files) as files:
                for member in files:
                    layer.addfile(member, files.extractfile(member) if member.isfile() else None)
        program = layer.gettarinfo(image.program, image.path.lstrip("/"))
        program.mode, program.uid, program.gid = 0o755, 0, 0
        program.uname = program.gname = ""
        program.mtime = 0
        with image.program.open("rb") as content:
            layer.addfile(program, content)


def _configuration(image: Image, architecture: str, layer_digest: str) -> dict[str, object]:
    return {
        "architecture": architecture,
        "os": "linux",
        "config": {
            "Entrypoint": [image.path],
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
    }


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
