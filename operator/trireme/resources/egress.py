"""Which ports, of which addresses, what reads or writes models has to reach. Pure.

A NetworkPolicy knows addresses of networks and labels of pods, and no names: of a source that is
named it can only hold the port.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

from trireme.resources.metadata import Manifest

_DNS = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]
_DEFAULT_PORTS = {"http": 80, "https": 443}
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_OF_VOLUMES = "pvc"  # mounted by the node, so no traffic of the pod's

Place = tuple[str | None, int]
"""An address of the network, None for any, and a port."""


def place_of(uri: str, endpoint: str | None = None) -> Place | None:
    """Where a source or a destination is reached; None for a volume."""
    if uri.startswith(f"{_OF_VOLUMES}://"):
        return None
    return _place(endpoint or uri)


def proxy_places(variables: Iterable[tuple[str, str]]) -> list[Place]:
    """Where the proxies are that variables of the environment name."""
    named = (value for name, value in variables if name.upper() in _PROXIES and value)
    return [_place(value if "://" in value else f"http://{value}") for value in named]


def egress_rules(places: Sequence[Place]) -> list[Manifest]:
    """The `egress` of a NetworkPolicy: these places, and DNS to find them by; of none, nothing."""
    if not places:
        return []
    return [{"ports": _DNS}, *(_rule(place) for place in sorted(set(places), key=_order))]


def _rule(place: Place) -> Manifest:
    address, port = place
    rule: dict[str, Any] = {"ports": [{"port": port, "protocol": "TCP"}]}
    if address is not None:
        bits = ipaddress.ip_address(address).max_prefixlen
        rule["to"] = [{"ipBlock": {"cidr": f"{address}/{bits}"}}]
    return rule


def _order(place: Place) -> tuple[str, int]:
    return place[0] or "", place[1]


def _place(text: str) -> Place:
    """Buckets, hubs and registries are reached by TLS where nothing else is said."""
    address = urlsplit(text)
    default = _DEFAULT_PORTS.get(address.scheme, 443)
    if address.scheme not in ("http", "https", "oci"):
        return None, default  # the place is a bucket, or a hub's owner
    try:
        port = address.port or default
    except ValueError:  # no number: nothing can be reached there
        port = default
    try:
        return str(ipaddress.ip_address(address.hostname or "")), port
    except ValueError:
        return None, port
