"""The users' own queries for the demand outside their pods, in every round.

Each is asked by itself: one that fails or is slow is unknown, and no other suffers, least of all
the round of queries that all agents share, which has a connection of its own.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping
from datetime import datetime

from trireme.autoscaler.samples import Series
from trireme.edge.prometheus import Access, Prometheus
from trireme.errors import SignalsUnavailable

_AT_A_TIME = 4  # of a Prometheus' 20 (--query.max-concurrency), which has others to serve


class DemandQueries:
    """A few connections to Prometheus that share the queries of a round."""

    def __init__(self, access: Access) -> None:
        self._limit_seconds = access.timeout_seconds
        self._connections = [Prometheus(access) for _ in range(_AT_A_TIME)]
        self._open = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "DemandQueries":
        for connection in self._connections:
            await self._open.enter_async_context(connection)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def round(
        self, queries: Iterable[str], now: datetime
    ) -> Mapping[str, tuple[Series, ...] | SignalsUnavailable]:
        """Answer each query as of `now`, or say why not; all of them within one timeout."""
        deadline = time.monotonic() + self._limit_seconds
        waiting = sorted(set(queries), reverse=True)
        answers: dict[str, tuple[Series, ...] | SignalsUnavailable] = {}

        async def work(connection: Prometheus) -> None:
            while waiting:
                query = waiting.pop()
                try:
                    answers[query] = await connection.ask(query, now, deadline)
                except SignalsUnavailable as error:
                    answers[query] = error

        await asyncio.gather(*map(work, self._connections))
        return answers
