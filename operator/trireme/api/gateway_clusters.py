"""The gateway's clusters of pods: one of each purpose, protocol and track."""

from enum import StrEnum

from trireme.api import names

CLUSTER_LABEL = "envoy_cluster_name"  # of Envoy's metrics
TRACKS = (names.TRACK_STABLE, names.TRACK_CANARY)


class Protocol(StrEnum):
    """What clients speak: the middle of a cluster's name."""

    HTTP = "http"
    GRPC = "grpc"


class Purpose(StrEnum):
    """What requests are for: the first part of a cluster's name."""

    INFERENCE = "inference"
    STREAM = "stream"
    MANAGEMENT = "management"

    @property
    def is_shared(self) -> bool:
        """Whether a canary gets a share of these requests."""
        return self is not Purpose.MANAGEMENT


def cluster_name(purpose: Purpose, protocol: Protocol, track: str = names.TRACK_STABLE) -> str:
    """The cluster that a track's requests go to: `inference_http`, `inference_http_canary`."""
    suffix = "" if track == names.TRACK_STABLE else f"_{track}"
    return f"{purpose}_{protocol}{suffix}"


def inference_cluster(protocol: Protocol, track: str) -> str:
    """The cluster that a track's requests for inference go to."""
    return cluster_name(Purpose.INFERENCE, protocol, track)


def inference_clusters(protocol: Protocol) -> tuple[str, ...]:
    """Those of both tracks: the demand of one agent, whoever answers it."""
    return tuple(inference_cluster(protocol, track) for track in TRACKS)
