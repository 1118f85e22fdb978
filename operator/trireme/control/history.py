"""The decisions that the operator remembers of its agents, to be read by whoever asks why.

Of each agent the latest decision, whatever it says; and of all agents together the most recent ones
that say something else than the decision before them, and those that were told. Values are kept as
they are and written as JSON only when asked for: most never are.

The memory is bounded, however many agents there are and however restless one of them is: at most
`MOST_PER_AGENT` of one agent and `MOST` of all, of `MOST_BYTES` together. A decision's bytes are
estimated from above, by how much its memory holds. With 10,000 agents the latest decisions come to
some 30 MB more.
"""

from collections import OrderedDict, deque
from collections.abc import Sized
from dataclasses import fields

from trireme.autoscaler.records import Record
from trireme.control.queue import Key

MOST_PER_AGENT = 128
MOST = 8_192
MOST_BYTES = 64 * 2**20
_BYTES = 4_096  # of a record with one objective and nothing remembered
_BYTES_PER_ITEM = 256  # of each thing that its memory holds


class History:
    """Records of decisions, the oldest of them forgotten first."""

    def __init__(self) -> None:
        self._latest: dict[Key, Record] = {}
        self._kept: OrderedDict[int, tuple[Key, Record]] = OrderedDict()
        self._of_agent: dict[Key, deque[int]] = {}
        self._bytes = 0
        self._next = 0

    def add(self, record: Record) -> None:
        """The decision of a round; it is kept if it says something new."""
        key = Key(record.namespace, record.agent)
        before = self._latest.get(key)
        self._latest[key] = record
        if before is None or _says(before) != _says(record):
            self._keep(key, record)

    def keep(self, record: Record) -> None:
        """The decision of this round was told: it is kept, whatever it says."""
        key = Key(record.namespace, record.agent)
        numbers = self._of_agent.get(key)
        if not numbers or self._kept[numbers[-1]][1] is not record:
            self._keep(key, record)

    def forget(self, key: Key) -> None:
        """The agent is gone."""
        self._latest.pop(key, None)
        for number in tuple(self._of_agent.get(key, ())):
            self._drop(number)

    def latest(self, key: Key) -> Record | None:
        """The last decision of one agent; None of one that is not known."""
        return self._latest.get(key)

    def of(self, key: Key) -> list[Record] | None:
        """What is remembered of one agent, oldest first; None of one that is not known."""
        latest = self._latest.get(key)
        if latest is None:
            return None
        kept = [self._kept[number][1] for number in self._of_agent.get(key, ())]
        return kept if kept and kept[-1] is latest else [*kept, latest]

    def _keep(self, key: Key, record: Record) -> None:
        numbers = self._of_agent.setdefault(key, deque())
        numbers.append(self._next)
        self._kept[self._next] = key, record
        self._next += 1
        self._bytes += estimated_bytes(record)
        if len(numbers) > MOST_PER_AGENT:
            self._drop(numbers[0])
        while len(self._kept) > MOST or self._bytes > MOST_BYTES:
            self._drop(next(iter(self._kept)))

    def _drop(self, number: int) -> None:
        """Forget the oldest record of its agent."""
        key, record = self._kept.pop(number)
        self._bytes -= estimated_bytes(record)
        numbers = self._of_agent[key]
        numbers.popleft()
        if not numbers:
            del self._of_agent[key]


def estimated_bytes(record: Record) -> int:
    """More than a record takes, as if it shared nothing with others."""
    inputs = record.inputs
    parts = [getattr(inputs.memory, field.name) for field in fields(inputs.memory)]
    remembered = sum(len(part) for part in parts if isinstance(part, Sized))
    return _BYTES + _BYTES_PER_ITEM * (remembered + 8 * len(inputs.policy.objectives))


def _says(record: Record) -> tuple[int, int | None, str]:
    decision = record.decision
    return decision.replicas, decision.proposed, decision.reason
