"""Ports and addresses of loopback that are this run's own, for servers that tests start.

A port that was free a moment ago may be taken before a server gets to it: by a connection that goes
out, for which the kernel picks any port of a range, or by another run of the tests. So these ports
lie outside that range, in a block that a run holds by listening on its first port, and each is
handed out once.
"""

import atexit
import functools
import random
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"
LOOPBACK_6 = "::1"

_BLOCK = 1000  # ports, more than a run needs
_BLOCKS = range(10_000, 65_000, _BLOCK)
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """A port that nobody listens on, and that nobody but the caller is told of."""
    for port in _own().ports:
        if (probe := _listening(port)) is not None:
            probe.close()
            return port
    raise AssertionError(f"one run wants more than {_BLOCK} ports")


def own_address(number: int) -> str:
    """An address that no other run uses, for servers whose port is not theirs to choose."""
    return f"127.71.{_own().first // _BLOCK}.{number}"


@dataclass(frozen=True)
class _Block:
    """Ports that are this process' own for as long as it lives, those not handed out yet."""

    first: int
    ports: Iterator[int]


@functools.cache
def _own() -> _Block:
    lowest, highest = map(int, _RANGE.read_text().split())
    outside = [first for first in _BLOCKS if not lowest - _BLOCK < first <= highest]
    # Where the kernel's range leaves none, other runs at least are kept apart.
    for first in random.sample(outside or _BLOCKS, len(outside or _BLOCKS)):
        if (holder := _listening(first)) is not None:
            atexit.register(holder.close)
            return _Block(first, iter(range(first + 1, first + _BLOCK)))
    raise AssertionError("others hold every block of ports")


def _listening(port: int) -> socket.socket | None:
    """A listener on a port; None where another is there."""
    listener = socket.socket()
    try:
        listener.bind((LOOPBACK, port))
        listener.listen()
    except OSError:
        listener.close()
        return None
    return listener
