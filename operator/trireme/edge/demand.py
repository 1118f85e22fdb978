"""The users' own queries for the demand outside their pods, in every round.

Each is asked by itself: one that fails or is slow is unknown, and no other suffers, least of all
the round of queries that all agents share, which has a connection of its own.
"""

import contextlib
from collections.abc import Iterable, Mapping
from datetime import datetime

from trireme.edge.prometheus import Access, Prometheus
from trireme.edge.turns import Answer, Turns

_AT_A_TIME = 4  # of a Prometheus' 20 (--query.max-concurrency), which has others to serve
_LARGEST_ANSWER = 256 * 2**10  # bytes: one value with its labels is a thousandth of it


class DemandQueries:
    """A few connections to Prometheus that share the queries of a round."""

    def __init__(self, access: Access) -> None:
        self._connections = [Prometheus(access, _LARGEST_ANSWER) for _ in range(_AT_A_TIME)]
        self._turns = Turns(self._connections, access.timeout_seconds)
        self._open = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "DemandQueries":
        for connection in self._connections:
            await self._open.enter_async_context(connection)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def round(self, queries: Iterable[str], now: datetime) -> Mapping[str, Answer]:
        """Answer each query as of `now`, or say why not; all of them within one timeout."""
        return await self._turns.round(queries, now)
