"""What each part of an Envoy configuration is written with. Pure."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from trireme.api import names
from trireme.api.gateway_clusters import Protocol

TYPES = "type.googleapis.com/envoy.extensions"
TRITON_PORTS: Mapping[Protocol, int] = {
    Protocol.HTTP: names.HTTP_PORT,
    Protocol.GRPC: names.GRPC_PORT,
}
"""Of a server, and of the gateway in its place."""


def address(host: str, port: int) -> Mapping[str, Any]:
    """An address and a port."""
    return {"socket_address": {"address": host, "port_value": port}}


def duration(length: timedelta) -> str:
    """As protobuf's JSON writes it: `60s`, `0.5s`."""
    return f"{length.total_seconds():g}s"
