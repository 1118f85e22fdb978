"""Which of many queries is asked next, over a few connections and within one time limit.

The queries are strangers to each other, and a slow one must not keep others from being asked:

* Those that were quick the last time come first. The others have one connection while these wait,
  and all of them afterwards.
* Of the same sort, the one that was asked the longest ago is next: where there is no time for all,
  each has its turn in one of the next rounds.
* One that runs out of time is asked again after a pause that grows: until then it is as unknown as
  it was, and holds up nobody.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from trireme.api.backoff import doubled
from trireme.errors import SignalsUnavailable

logger = logging.getLogger(__name__)

Answer = tuple[float, ...] | SignalsUnavailable

_QUICK_SHARE = 1 / 8  # of the time limit, at most: four connections then answer 32 within it
_FIRST_PAUSE = timedelta(seconds=10)  # two rounds
_LONGEST_PAUSE = timedelta(seconds=40)  # so long a Prometheus that hung may be back unnoticed


class Connection(Protocol):
    """Asks one query at a time."""

    async def ask(self, query: str, now: datetime, deadline: float) -> tuple[float, ...]:
        """Answer by the `deadline`, by the event loop's clock, or raise SignalsUnavailable."""
        ...


@dataclass(slots=True)
class _Past:
    """How one query went: `turn` orders queries by when they were asked last, or came to wait.

    Of one that ran out of time, `timeouts` counts how often in a row, and `error` is what is said
    until it is `due` again.
    """

    turn: int
    quick: bool = False
    timeouts: int = 0
    error: SignalsUnavailable | None = None
    due: datetime | None = None

    def paused(self, now: datetime) -> SignalsUnavailable | None:
        """What is said of it while it is not asked."""
        return self.error if self.due is not None and now < self.due else None


class Turns:
    """Asks the queries of each round, and remembers how they went for the next one."""

    def __init__(self, connections: Sequence[Connection], limit_seconds: float) -> None:
        self._connections = connections
        self._limit_seconds = limit_seconds
        self._past: dict[str, _Past] = {}
        self._turn = 0

    async def round(self, queries: Iterable[str], now: datetime) -> Mapping[str, Answer]:
        """Answer each query as of `now`, or say why not; all of them within the limit."""
        self._past = {q: self._past.get(q) or self._new() for q in sorted(set(queries))}
        answers: dict[str, Answer] = {}
        for query, past in self._past.items():
            if (error := past.paused(now)) is not None:
                answers[query] = error
        waiting = sorted(self._past.keys() - answers.keys(), key=lambda q: self._past[q].turn)
        quick = deque(query for query in waiting if self._past[query].quick)
        others = deque(query for query in waiting if not self._past[query].quick)
        deadline = asyncio.get_running_loop().time() + self._limit_seconds

        async def work(connection: Connection, first: deque[str], then: deque[str]) -> None:
            while queue := first or then:
                query = queue.popleft()
                answers[query] = await self._asked(connection, query, now, deadline)

        one, *rest = self._connections
        await asyncio.gather(
            work(one, others, quick), *(work(each, quick, others) for each in rest)
        )
        return answers

    def _new(self) -> _Past:
        self._turn += 1
        return _Past(self._turn)

    async def _asked(
        self, connection: Connection, query: str, now: datetime, deadline: float
    ) -> Answer:
        """The answer, or why there is none: what fails for one query stops no other."""
        past, clock = self._past[query], asyncio.get_running_loop().time
        began, quick_seconds = clock(), _QUICK_SHARE * self._limit_seconds
        answer: Answer
        try:
            answer = await connection.ask(query, now, deadline)
        except SignalsUnavailable as error:
            answer = error
        except Exception:
            logger.exception("a query of scaling.demand failed: %s", query)
            answer = SignalsUnavailable("the query cannot be asked: the operator's log says why")
        failure = answer if isinstance(answer, SignalsUnavailable) else None
        if failure is not None and deadline - began < quick_seconds:
            return failure  # it had no turn: it is before the others in the next round
        self._turn += 1
        past.turn, past.quick = self._turn, clock() - began <= quick_seconds
        if failure is not None and not past.quick:
            past.error = failure
            past.timeouts += 1
            past.due = now + doubled(_FIRST_PAUSE, _LONGEST_PAUSE, past.timeouts)
        else:
            past.error, past.due, past.timeouts = None, None, 0
        return answer
