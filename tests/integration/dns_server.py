"""A name server on loopback that answers every A question with the addresses it is given, or with
those that it is given for a name.

Answers carry a long time to live, as a cluster's cache may give it.
"""

import asyncio
import ipaddress
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

_HEADER = struct.Struct("!HHHHHH")
_TTL_SECONDS = 30  # kubeadm's CoreDNS
_TYPE_A, _CLASS_IN = 1, 1
_NO_SUCH_NAME = 3  # as a cluster's DNS says of a headless Service without pods, or of none
_ANSWER_FLAGS = 0x8180  # an answer, recursion asked for and available, no error


@dataclass
class NameServer(asyncio.DatagramProtocol):
    """`addresses`, and those `of` a name, may change at any time; a name without any does not
    exist. `questions` are the names asked, dots and all.
    """

    addresses: list[str]
    of: dict[str, list[str]] = field(default_factory=dict)
    questions: list[str] = field(default_factory=list)
    port: int = 0
    _transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, client: tuple[str, int]) -> None:
        identity = _HEADER.unpack_from(data)[0]
        name, end = _name(data, _HEADER.size)
        kind = struct.unpack_from("!H", data, end)[0]
        self.questions.append(name)
        found = self.of.get(name, self.addresses) if kind == _TYPE_A else []
        answers = b"".join(
            struct.pack("!HHHLH", 0xC000 | _HEADER.size, _TYPE_A, _CLASS_IN, _TTL_SECONDS, 4)
            + ipaddress.IPv4Address(address).packed
            for address in found
        )
        unknown = name in self.of and not self.of[name]
        flags = _ANSWER_FLAGS | (_NO_SUCH_NAME if unknown else 0)
        header = _HEADER.pack(identity, flags, 1, len(found), 0, 0)
        assert self._transport is not None
        self._transport.sendto(header + data[_HEADER.size : end + 4] + answers, client)


def _name(data: bytes, at: int) -> tuple[str, int]:
    """The name that begins there, and where it ends."""
    labels = []
    while length := data[at]:
        labels.append(data[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels) + ".", at + 1


@asynccontextmanager
async def running_name_server(*addresses: str) -> AsyncIterator[NameServer]:
    server = NameServer(list(addresses))
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: server, local_addr=("127.0.0.1", 0)
    )
    try:
        yield server
    finally:
        transport.close()
