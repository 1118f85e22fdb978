"""How many pods each of several agents may have, which share a budget of GPUs. Pure.

Everybody keeps their min. What is left goes to the highest priority first, and within one priority,
pod by pod, to the agent that gains the most by a GPU: of `need` pods that its load fills, n are
`need / n` full each, so one more takes `need / (n (n + 1))` off. That falls with every pod, so the
gains are shared evenly, and no agent of a priority is left at its min while another has its last.

A pod that runs is not moved for a little: its gain counts for more by a quarter, and what was moved
a short time ago is not moved again (`is_settled`).
"""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from math import inf

from trireme.autoscaler.types import Grant

STAYING = 1.25  # what a running pod's gain counts for, to another's
PATIENCE = timedelta(seconds=60)  # between two rounds that take pods from one for another


@dataclass(frozen=True, slots=True)
class Member:
    """One agent of a budget: it has `current` pods, each of so many `gpus`, wants to have `wanted`,
    and its load fills `need` of them. `least` it has in any case.
    """

    name: str
    least: int
    current: int
    wanted: int
    need: int
    gpus: int
    priority: int

    def gain(self, pods: int) -> float:
        """What one more than so many pods takes off the load of each, by GPU; nothing, where the
        load fills no more.
        """
        if pods >= self.need:
            return 0.0
        return inf if pods == 0 else self.need / (pods * (pods + 1)) / self.gpus


def granted(members: Iterable[Member], gpus: int, *, may_move: bool) -> dict[str, int]:
    """How many pods each member may have, by name.

    More GPUs than there are only where the mins alone need more. Unless pods `may_move`, what runs
    and is wanted stays, whatever another would gain.
    """
    ordered = sorted(members, key=lambda member: member.name)
    pods = {member.name: member.least for member in ordered}
    left = gpus - sum(member.least * member.gpus for member in ordered)
    if not may_move:
        for member in sorted(ordered, key=lambda member: -member.priority):
            stays = min(member.current, member.wanted) - pods[member.name]
            taken = _affordable(stays, member.gpus, left)
            pods[member.name] += taken
            left -= taken * member.gpus
    turns = [
        (_rank(member, pods[member.name]), index)
        for index, member in enumerate(ordered)
        if pods[member.name] < member.wanted
    ]
    heapq.heapify(turns)
    while turns:
        _, index = heapq.heappop(turns)
        member = ordered[index]
        if member.gpus > left and member.gpus:
            continue  # a smaller pod of another may fit
        pods[member.name] += 1
        left -= member.gpus
        if pods[member.name] < member.wanted:
            heapq.heappush(turns, (_rank(member, pods[member.name]), index))
    return pods


def _affordable(pods: int, gpus: int, left: int) -> int:
    return max(0, pods if gpus == 0 else min(pods, left // gpus))


def _rank(member: Member, pods: int) -> tuple[float, ...]:
    """The next pod's turn: the smallest is first. It costs nothing where it has no GPU."""
    if member.gpus == 0:
        return (-inf, 0.0)
    return (-member.priority, -member.gain(pods) * (STAYING if pods < member.current else 1.0))


def moves(members: Iterable[Member], pods: Mapping[str, int]) -> bool:
    """Whether a grant takes pods from one, which it would keep by itself."""
    return any(pods[m.name] < min(m.current, m.wanted) for m in members)


def grants(
    budget: str, members: Iterable[Member], pods: Mapping[str, int], gpus: int
) -> dict[str, Grant]:
    """The same, with the words for it."""
    of_all = list(members)
    given = sum(pods[member.name] * member.gpus for member in of_all)
    least = sum(member.least * member.gpus for member in of_all)
    over = f", and what must be kept needs {least}" if least > gpus else ""
    words = f"GPU budget {budget}: {given} of {gpus} GPUs given{over}"
    return {member.name: Grant(pods[member.name], words) for member in of_all}
