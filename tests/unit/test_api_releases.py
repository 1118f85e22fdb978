"""Releases are read from tags, ordered, and know their features."""

from itertools import pairwise, product

import pytest

from trireme.api.releases import (
    Feature,
    Release,
    first_release_to_read,
    onnx_runtime_of,
    release_of,
    supports,
)
from trireme.api.server import Server


@pytest.mark.parametrize(
    ("image", "release"),
    [
        ("nvcr.io/nvidia/tritonserver:26.08-py3", "26.08"),
        ("trireme/triton:24.10-cpu", "24.10"),
        ("registry.example:5000/triton:25.01", "25.01"),
        ("triton:25.01-py3@sha256:0123", "25.01"),
        ("triton:latest", None),
        ("triton:25.13-py3", None),
        ("triton:25.011", None),
        ("triton:v25.01", None),
        ("triton@sha256:0123", None),
        ("registry.example:5000/triton", None),
    ],
)
def test_a_release_is_read_from_the_beginning_of_a_tag(image: str, release: str | None) -> None:
    found = release_of(Server(image=image))
    assert (str(found) if found else None) == release


def test_a_given_release_goes_before_the_tag() -> None:
    assert release_of(Server(image="triton:24.10-py3", release="26.08")) == Release(26, 8)


def test_releases_are_ordered_by_time() -> None:
    assert Release(24, 12) < Release(25, 1) < Release(25, 11)


@pytest.mark.parametrize(
    ("feature", "first"),
    [
        (Feature.CACHE_CONFIG, "23.03"),
        (Feature.MODEL_NAMESPACING, "23.03"),
        (Feature.STEP_NAMESPACE, "23.03"),
        (Feature.GRPC_RESTRICTION, "23.04"),
        (Feature.LATENCY_SUMMARIES, "23.05"),
        (Feature.OLDEST_ORDERING, "23.08"),
        (Feature.PENDING_GAUGE, "23.09"),
        (Feature.HTTP_RESTRICTION, "23.11"),
        (Feature.ITERATIVE_SEQUENCES, "23.11"),
        (Feature.SHARED_STATE_BUFFER, "23.11"),
        (Feature.GROWABLE_STATE, "23.11"),
        (Feature.RUNTIME, "24.01"),
        (Feature.FAILURE_REASONS, "24.07"),
        (Feature.NON_LINEAR_FORMATS, "24.08"),
        (Feature.MODEL_METRICS, "24.11"),
        (Feature.DECOUPLED_LATENCY_HISTOGRAM, "24.11"),
        (Feature.GRACEFUL_GRPC_SHUTDOWN, "25.05"),
        (Feature.ENSEMBLE_MAX_INFLIGHT_REQUESTS, "25.11"),
        (Feature.LATENCY_HISTOGRAM, "26.01"),
    ],
)
def test_a_feature_is_there_from_its_first_release_on(feature: Feature, first: str) -> None:
    release = Release.parse(first)
    assert release is not None
    assert supports(release, feature)
    assert not supports(Release(release.year, release.month - 1), feature)


def test_every_feature_is_in_the_table_above_and_has_a_name() -> None:
    assert len(Feature) == 19  # two of one release are two, and each is in the table
    assert all(feature.what for feature in Feature)


def test_an_unknown_release_is_trusted_with_nothing() -> None:
    assert not any(supports(None, feature) for feature in Feature)


def test_a_later_release_reads_at_least_what_an_earlier_one_does() -> None:
    months = [Release(year, month) for year in (24, 25, 26) for month in range(1, 13)]
    known = [runtime for release in months if (runtime := onnx_runtime_of(release))]
    assert len(known) == 32  # 24.01 to 26.08
    for earlier, later in pairwise(known):
        assert (earlier.ir_version, earlier.opset) <= (later.ir_version, later.opset)


@pytest.mark.parametrize(
    ("release", "version"),
    [
        (Release(23, 1), "1.17"),
        (Release(24, 4), "1.17"),
        (Release(24, 10), "1.19"),
        (Release(26, 8), "1.28"),
        (Release(26, 9), None),
        (None, None),
    ],
)
def test_the_onnx_runtime_of_a_release_is_that_of_tritons_own_table(
    release: Release | None, version: str | None
) -> None:
    runtime = onnx_runtime_of(release)
    assert (runtime and runtime.version) == version


def test_the_first_release_that_reads_a_file_reads_it() -> None:
    for ir_version, opset in product(range(3, 15), range(7, 28)):
        first = first_release_to_read(ir_version, opset)
        runtime = onnx_runtime_of(first)
        if runtime is not None:
            assert (runtime.ir_version >= ir_version, runtime.opset >= opset) == (True, True)
        else:
            assert ir_version > 13 or opset > 26
