"""How busy the machine is while something is measured, and with what.

The cluster's processes are in process namespaces of their own, so what is in ours, and is not the
benchmark itself, is others' work. (Linux; on a machine with other containers those count as the
cluster's.)
"""

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MOST_BUSY = 0.70  # of the processors: beyond it requests wait for them and not for the model
MOST_OTHERS = 0.10  # beyond it the machine is not quiet

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_IDLE, _IO_WAIT, _STEAL, _GUEST = 3, 4, 7, 8  # columns of /proc/stat: proc(5)
_OWN_TIMES = slice(11, 15)  # of /proc/PID/stat behind the name: user, system, and of ended children


@dataclass(frozen=True, slots=True)
class Usage:
    """Shares of all processors: what they did, and what of that was neither the cluster's nor
    ours. Steal, which the machine's host took, counts as others'.
    """

    busy: float
    others: float


class Watch:
    """What `watched` hands out: `usage` is there once it has ended."""

    usage: Usage


@contextmanager
def watched() -> Iterator[Watch]:
    """Watch the machine while the body runs."""
    watch, before = Watch(), _Clock.now()
    yield watch
    watch.usage = _Clock.now().since(before)


@dataclass(frozen=True, slots=True)
class _Clock:
    """Seconds so far: of all processors, and of what they did."""

    total: float
    busy: float
    cluster: float
    own: float

    @classmethod
    def now(cls) -> "_Clock":
        first = (_PROC / "stat").read_text().splitlines()[0].split()[1:]
        columns = [int(column) / _TICKS for column in first]
        spent = sum(columns[:_GUEST])  # guests are in the users' time already
        usages = (resource.getrusage(who) for who in _OURS)
        return cls(
            total=time.monotonic() * (os.cpu_count() or 1),
            busy=spent - columns[_IDLE] - columns[_IO_WAIT],
            cluster=sum(map(_seconds, _elsewhere())),
            own=sum(usage.ru_utime + usage.ru_stime for usage in usages),
        )

    def since(self, before: "_Clock") -> Usage:
        total, busy = self.total - before.total, self.busy - before.busy
        known = self.cluster - before.cluster + self.own - before.own
        return Usage(busy / total, max(busy - known, 0.0) / total)


_OURS = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def _elsewhere() -> Iterator[Path]:
    """The processes of other namespaces."""
    ours = (_PROC / "self" / "ns" / "pid").readlink()
    for process in _PROC.glob("[0-9]*"):
        try:
            if (process / "ns" / "pid").readlink() != ours:
                yield process
        except OSError:
            continue  # it has ended, or is not ours to see


def _seconds(process: Path) -> float:
    """A process' time, and that of its children that ended: they hand it on, so none is lost."""
    try:
        text = (process / "stat").read_text()
    except OSError:
        return 0.0
    times = text.rpartition(")")[2].split()[_OWN_TIMES]
    return sum(map(int, times)) / _TICKS
