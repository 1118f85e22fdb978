"""The metrics that a pod tells of itself, over HTTP in Prometheus' text format.

What a pod answers is a stranger's word (`pod_answers`): it is bounded in time and size, and it is
parsed in a thread, by the parser of Prometheus' own client. Of its lines only those of
metrics that are wanted are looked at: a Triton of many models tells thousands.
"""

import asyncio
from collections.abc import Iterator

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from trireme.api.addresses import host_port
from trireme.autoscaler.direct import Sample
from trireme.edge.pod_answers import LargeAnswer, read
from trireme.errors import ServerError

# In all less than the time between two readings. A connection is there within milliseconds, or by a
# second attempt of the kernel's, after 1 s; or the port is dropped, and others wait for the place.
_TIMEOUT = aiohttp.ClientTimeout(total=3, sock_connect=1.5)
_AT_ONCE = 32


class PodMetrics:
    """Reads pods' metrics, a bounded number at a time; close it, or use it in an `async with`."""

    def __init__(self) -> None:
        # A connection each: a Triton that ends waits for connections that are kept.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_AT_ONCE, force_close=True), timeout=_TIMEOUT
        )
        self._reading = asyncio.Semaphore(_AT_ONCE)

    async def __aenter__(self) -> "PodMetrics":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def read(
        self, address: str, port: int, path: str, wanted: frozenset[str]
    ) -> tuple[Sample, ...]:
        """The samples of the wanted metrics; ServerError where the pod does not tell them."""
        url = f"http://{host_port(address, port)}{path}"
        async with self._reading:
            try:
                text = await self._text(url)
                return await asyncio.to_thread(lambda: tuple(_samples(text, wanted)))
            except LargeAnswer as error:
                raise ServerError(f"{url}: {error}") from error
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise ServerError(f"{url} does not answer: {error!r}") from error
            except (ValueError, KeyError, IndexError) as error:
                raise ServerError(f"{url} tells no metrics that can be read: {error!r}") from error

    async def _text(self, url: str) -> str:
        headers = {"Accept": "text/plain;version=0.0.4", "Accept-Encoding": "identity"}
        async with self._session.get(url, headers=headers, allow_redirects=False) as answer:
            if answer.status != 200:
                raise ServerError(f"{url} answers {answer.status}")
            return (await read(answer)).decode()


def _samples(text: str, wanted: frozenset[str]) -> Iterator[Sample]:
    """The samples of the wanted metrics; a time stamp that a line may have is left out, since the
    pod's clock is not ours.
    """
    lines = "\n".join(line for line in text.split("\n") if _metric(line) in wanted)
    for family in text_string_to_metric_families(f"{lines}\n"):
        for sample in family.samples:
            yield Sample(sample.name, tuple(sorted(sample.labels.items())), float(sample.value))


def _metric(line: str) -> str:
    return line.partition("{")[0].partition(" ")[0]
