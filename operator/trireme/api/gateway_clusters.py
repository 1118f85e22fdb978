"""The gateway's clusters of inference: one of each protocol and track."""

from enum import StrEnum

from trireme.api import names

CLUSTER_LABEL = "envoy_cluster_name"  # of Envoy's metrics
TRACKS = (names.TRACK_STABLE, names.TRACK_CANARY)


class Protocol(StrEnum):
    """What clients speak: the middle of a cluster's name."""

    HTTP = "http"
    GRPC = "grpc"


def inference_cluster(protocol: Protocol, track: str) -> str:
    """The cluster that a track's requests for inference go to: `inference_http_canary`."""
    suffix = "" if track == names.TRACK_STABLE else f"_{track}"
    return f"inference_{protocol}{suffix}"


def inference_clusters(protocol: Protocol) -> tuple[str, ...]:
    """Those of both tracks: the demand of one agent, whoever answers it."""
    return tuple(inference_cluster(protocol, track) for track in TRACKS)
