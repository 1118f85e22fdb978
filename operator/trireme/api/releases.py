"""Triton releases: how one is read from a server, and what exists from which one on.

Pure. The one table of its kind: admission refuses by it, resources chooses flags by it and the
autoscaler chooses its latency source by it. A release is the year and month of NVIDIA's monthly
container (26.08), not the server's own number (2.72).
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Self

from trireme.api.server import Server

_RELEASE = re.compile(r"([0-9]{2})\.(0[1-9]|1[0-2])(?=$|[-_])")
_TAG = re.compile(r":([^:/@]+)(?:@.*)?$")


@dataclass(frozen=True, slots=True, order=True)
class Release:
    """One monthly release, ordered by time."""

    year: int
    month: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read `26.08` or a tag that begins with it (`26.08-py3`); None for any other text."""
        match = _RELEASE.match(text)
        return cls(int(match[1]), int(match[2])) if match else None

    def __str__(self) -> str:
        return f"{self.year:02}.{self.month:02}"


class Feature(Enum):
    """What some releases have and earlier ones have not: the first release, and its name there.

    Sources: Triton's release notes and the history of its core repository; for fields of
    ModelConfig the descriptors in the Python clients of the release and of the one before it.
    """

    CACHE_CONFIG = Release(23, 3), "--cache-config"
    MODEL_NAMESPACING = Release(23, 3), "--model-namespacing"
    STEP_NAMESPACE = Release(23, 3), "model_namespace"
    GRPC_RESTRICTION = Release(23, 4), "--grpc-restricted-protocol"
    LATENCY_SUMMARIES = Release(23, 5), "nv_inference_*_summary_us"
    OLDEST_ORDERING = Release(23, 8), "preserve_ordering of oldest"
    PENDING_GAUGE = Release(23, 9), "nv_inference_pending_request_count"
    HTTP_RESTRICTION = Release(23, 11), "--http-restricted-api"
    ITERATIVE_SEQUENCES = Release(23, 11), "iterative_sequence"
    SHARED_STATE_BUFFER = Release(23, 11), "use_same_buffer_for_input_output"
    GROWABLE_STATE = Release(23, 11), "use_growable_memory"
    RUNTIME = Release(24, 1), "runtime"
    FAILURE_REASONS = Release(24, 7), "the label reason of nv_inference_request_failure"
    NON_LINEAR_FORMATS = Release(24, 8), "is_non_linear_format_io"
    MODEL_METRICS = Release(24, 11), "model_metrics"
    # Of decoupled models only.
    DECOUPLED_LATENCY_HISTOGRAM = Release(24, 11), "nv_inference_first_response_histogram_ms"
    # Earlier: NOT_FOUND for calls after SIGTERM.
    GRACEFUL_GRPC_SHUTDOWN = Release(25, 5), "a graceful end of gRPC"
    ENSEMBLE_MAX_INFLIGHT_REQUESTS = Release(25, 11), "max_inflight_requests"
    LATENCY_HISTOGRAM = Release(26, 1), "nv_inference_first_response_histogram_ms of every model"

    def __init__(self, first: Release, what: str) -> None:
        self.first = first
        self.what = what


@dataclass(frozen=True, slots=True)
class OnnxRuntime:
    """What an ONNX Runtime reads at most: the version of the format, and of its operators."""

    version: str
    ir_version: int
    opset: int


_ONNX_RUNTIMES = {
    Release(24, 4): OnnxRuntime("1.17", ir_version=9, opset=20),
    Release(24, 5): OnnxRuntime("1.18", ir_version=10, opset=21),
    Release(24, 9): OnnxRuntime("1.19", ir_version=10, opset=21),
    Release(24, 12): OnnxRuntime("1.20", ir_version=10, opset=21),
    Release(25, 3): OnnxRuntime("1.21", ir_version=10, opset=22),
    Release(25, 5): OnnxRuntime("1.22", ir_version=10, opset=22),
    Release(25, 8): OnnxRuntime("1.23", ir_version=11, opset=23),
    Release(26, 2): OnnxRuntime("1.24", ir_version=13, opset=25),
    Release(26, 7): OnnxRuntime("1.27", ir_version=13, opset=26),
    Release(26, 8): OnnxRuntime("1.28", ir_version=13, opset=26),
}
"""The ONNX Runtime from each release on. Earlier ones read no more than that of 24.04.

Sources: the table "ONNX Runtime Versions" of Triton's docs/introduction/compatibility.md, up to
26.08; what each reads was measured, with the onnxruntime packages of the same minor version.
"""
_LAST_ONNX_RUNTIME = max(_ONNX_RUNTIMES)

_TENSORRT_10 = Release(24, 5)
"""The first release with TensorRT 10; earlier ones have 8 (24.04-trtllm: 9).

Sources: the same file, and the release notes of NVIDIA's containers 24.04 and 24.05.
"""


def onnx_runtime_of(release: Release | None) -> OnnxRuntime | None:
    """The ONNX Runtime of a release; None for one that is not known (yet)."""
    if release is None or release > _LAST_ONNX_RUNTIME:
        return None
    known = [first for first in _ONNX_RUNTIMES if first <= release]
    return _ONNX_RUNTIMES[max(known, default=min(_ONNX_RUNTIMES))]


def first_release_to_read(ir_version: int, opset: int) -> Release | None:
    """The first release that reads an ONNX file of these versions; None where none is known."""
    return min(
        (
            release
            for release, runtime in _ONNX_RUNTIMES.items()
            if runtime.ir_version >= ir_version and runtime.opset >= opset
        ),
        default=None,
    )


def reads_plans_of(release: Release | None, tensorrt_major: int) -> bool | None:
    """Whether a release may read plans that a TensorRT of this major version built.

    Plans are bound to the very version, unless they were built to be compatible within a major
    one. None where it is not known.
    """
    if release is None or (release >= _TENSORRT_10 and tensorrt_major > 10):
        return None
    return (tensorrt_major >= 10) == (release >= _TENSORRT_10)


def tag_release(image: str) -> Release | None:
    """The release an image's tag begins with (`…/tritonserver:26.08-py3`), if it does."""
    tag = _TAG.search(image)
    return Release.parse(tag[1]) if tag else None


def release_of(server: Server) -> Release | None:
    """The release a server runs: `release` where it is given, else what the tag says."""
    if server.release is not None:
        return Release.parse(server.release)
    return tag_release(server.image)


def supports(release: Release | None, feature: Feature) -> bool:
    """Whether a release has a feature; an unknown release has none that could be missing."""
    return release is not None and release >= feature.first
