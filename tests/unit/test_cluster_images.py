"""The images that the launcher builds are those of their Dockerfiles."""

import re

import pytest

from cluster.images import KNOWN, Image


@pytest.mark.parametrize("image", KNOWN.values(), ids=lambda image: image.name)
def test_a_dockerfile_names_the_image_that_it_is_built_on(image: Image) -> None:
    first = re.search(r"^ARG BASE=(.+)$", (image.folder / "Dockerfile").read_text(), re.MULTILINE)
    assert first is not None
    assert first[1] == image.base
    tags = {known.tag for known in KNOWN.values()} | {"trireme/base:bookworm"}
    assert image.base in tags
