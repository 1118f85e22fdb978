"""A proxy on loopback, before an API server, whose watches can go silent: connections that stay
open and carry nothing any more, as behind a firewall that has forgotten them.

Clients speak plain HTTP with it, so that it sees which connection is a watch.
"""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import yaml

_PIECE_BYTES = 64 * 1024


class SilentProxy:
    """Numbers connections; of those in `silent`, what the API server says does not arrive."""

    def __init__(self, server: str) -> None:
        self._server = urlsplit(server)
        self._connections = 0
        self._watching: set[int] = set()
        self._silent: set[int] = set()

    @property
    def watches(self) -> int:
        """How many are open."""
        return len(self._watching)

    def silence(self) -> None:
        """All watches that are open, from now on."""
        self._silent = set(self._watching)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self._connections += 1
        number = self._connections
        insecure = ssl._create_unverified_context()  # noqa: S323  # the server's own certificate
        host, port = self._server.hostname, self._server.port
        try:
            upstream, to_upstream = await asyncio.open_connection(host, port, ssl=insecure)
        except BaseException:
            writer.transport.abort()
            raise
        both = [
            asyncio.create_task(self._requests(number, reader, to_upstream)),
            asyncio.create_task(self._answers(number, upstream, writer)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._watching.discard(number)
            for task in both:
                task.cancel()
            for end in (writer, to_upstream):
                end.transport.abort()  # TLS would wait for a last word, and the loop does not

    async def _requests(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while piece := await reader.read(_PIECE_BYTES):
                if b"watch=true" in piece:
                    self._watching.add(number)
                writer.write(piece)
                await writer.drain()

    async def _answers(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while piece := await reader.read(_PIECE_BYTES):
                if number not in self._silent:
                    writer.write(piece)
                    await writer.drain()


@contextmanager
def silent_proxy(kubeconfig: Path, into: Path) -> Iterator[SilentProxy]:
    """A proxy before the server of a kubeconfig; the one that leads through it is written."""
    content = yaml.safe_load(kubeconfig.read_text())
    cluster = content["clusters"][0]["cluster"]
    proxy = SilentProxy(cluster["server"])
    loop, over, listening = asyncio.new_event_loop(), asyncio.Event(), threading.Event()

    async def serve() -> None:
        server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
        cluster["server"] = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        listening.set()
        await over.wait()
        server.close()
        connections = asyncio.all_tasks() - {asyncio.current_task()}
        for each in connections:
            each.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert listening.wait(60)
        into.write_text(yaml.safe_dump(content))
        yield proxy
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()
