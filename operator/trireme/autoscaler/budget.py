"""How many pods each of several agents may have, which share a budget of GPUs. Pure.

First, what each is to have (`granted`). Everybody keeps their min, and the pods of a rollout, and
of a canary as long as it has them (`canary_room`), which come on top of a size, are kept, too. What
is left goes to the highest priority first, and within one priority, pod by pod, to the agent that
gains the most by a GPU: of `need` pods that its load fills, n are `need / n` full each, so one more
takes `need / (n (n + 1))` off. That falls with every pod, so the gains are shared evenly, and no
agent of a priority is left at its min while another has its last.

A pod that runs is not moved for a little: its gain counts for more by a quarter, and what was moved
a short time ago is not moved again (`may_move`).

Then, what of it may be used now (`usable`). A pod that is told to end has its GPUs until it has
ended. Who is to grow gets what is free, the same first as before. What is to be had together fits
into the budget, so all of it can be used as soon as those pods are gone.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from math import inf

from trireme.autoscaler.types.observation import Grant
from trireme.autoscaler.values import frozen

STAYING = 1.25  # what a running pod's gain counts for, to another's
PATIENCE = timedelta(seconds=60)  # between two rounds that take pods from one for another
_NAMED = 2  # holders of GPUs in a message, which a status keeps


@frozen
class Held:
    """The GPUs that pods of an agent have beyond its size: those that end, those of a rollout that
    is not through, those that a canary has or is to have, and those of an agent that nobody has
    looked at yet.
    """

    ending: int = 0
    rollout: int = 0
    canary: int = 0
    unread: int = 0

    @property
    def staying(self) -> int:
        """What does not end by itself."""
        return self.rollout + self.canary + self.unread


@frozen
class Member:
    """One agent of a budget: it has `current` pods, each of so many `gpus`, wants to have `wanted`,
    and its load fills `need` of them. `least` it has in any case. `held` comes on top, and so do
    the GPUs that its `canary` needs for its step.
    """

    name: str
    least: int
    current: int
    wanted: int
    need: int
    gpus: int
    priority: int
    held: Held = Held()
    canary: int = 0

    def gain(self, pods: int) -> float:
        """What one more than so many pods takes off the load of each, by GPU; nothing, where the
        load fills no more.
        """
        if pods >= self.need:
            return 0.0
        return inf if pods == 0 else self.need / (pods * (pods + 1)) / self.gpus

    @property
    def kept_gpus(self) -> int:
        """What it has in any case."""
        return self.least * self.gpus + self.held.staying


def holder(name: str, held: Held) -> Member:
    """An agent that is given nothing, and whose pods have GPUs."""
    return Member(name, 0, 0, 0, 0, 1, 0, held)


def granted(members: Iterable[Member], gpus: int, *, may_move: bool) -> dict[str, int]:
    """How many pods each member is to have, by name.

    More GPUs than there are only where what is kept needs more. Unless pods `may_move`, what runs
    and is wanted is kept, too, whatever another would gain.
    """
    ordered = sorted(members, key=lambda member: member.name)
    pods = {member.name: member.least for member in ordered}
    if not may_move:
        pods |= {m.name: max(m.least, min(m.current, m.wanted)) for m in ordered}
    left = gpus - sum(pods[m.name] * m.gpus + m.held.staying for m in ordered)
    return _by_turns(ordered, pods, {m.name: m.wanted for m in ordered}, left)


def usable(members: Iterable[Member], pods: Mapping[str, int], gpus: int) -> dict[str, int]:
    """How many of the pods that each member is to have may be there now, by name.

    Nobody waits for a min, nor with what runs.
    """
    ordered = sorted(members, key=lambda member: member.name)
    now = {m.name: min(pods[m.name], max(m.least, m.current)) for m in ordered}
    return _by_turns(ordered, now, pods, gpus - taken(ordered, now))


def taken(members: Iterable[Member], now: Mapping[str, int]) -> int:
    """The GPUs that are not free, where so many pods of each are to be there now."""
    return sum(
        max(now[m.name], m.current) * m.gpus + m.held.staying + m.held.ending for m in members
    )


def _by_turns(
    ordered: Sequence[Member], first: Mapping[str, int], most: Mapping[str, int], left: int
) -> dict[str, int]:
    """From so many pods on one more after the other, to whom it is worth the most, while there are
    GPUs left.
    """
    pods = dict(first)
    turns = [
        (_rank(member, pods[member.name]), index)
        for index, member in enumerate(ordered)
        if pods[member.name] < most[member.name]
    ]
    heapq.heapify(turns)
    while turns:
        _, index = heapq.heappop(turns)
        member = ordered[index]
        if member.gpus > left and member.gpus:
            continue  # a smaller pod of another may fit
        pods[member.name] += 1
        left -= member.gpus
        if pods[member.name] < most[member.name]:
            heapq.heappush(turns, (_rank(member, pods[member.name]), index))
    return pods


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
    """What may be there now, with the words for it."""
    of_all = list(members)
    given = sum(pods[member.name] * member.gpus for member in of_all)
    kept = sum(member.kept_gpus for member in of_all)
    over = f", and what must be kept needs {kept}" if kept > gpus else ""
    words = f"GPU budget {budget}: {given} of {gpus} GPUs given{_held_words(of_all, pods)}{over}"
    return {member.name: Grant(pods[member.name], words) for member in of_all}


def _held_words(members: Iterable[Member], pods: Mapping[str, int]) -> str:
    """`, 2 are held by pods of team/b that end, 1 by the canary of team/c`."""
    told = [each for member in members for each in _holdings(member, pods[member.name])]
    holders = iter(sorted(told, key=lambda each: (-each[0], each[1])))
    found = [f"{gpus} by {words}" for gpus, words in islice(holders, _NAMED)]
    others = sum(gpus for gpus, _ in holders)
    if others:
        found.append(f"{others} by others")
    if not found:
        return ""
    count, _, rest = found[0].partition(" ")
    found[0] = f"{count} {'is' if count == '1' else 'are'} held {rest}"
    return f", {', '.join(found)}"


def _holdings(member: Member, pods: int) -> Iterator[tuple[int, str]]:
    """The GPUs beyond a size, and whose they are. What a grant takes ends."""
    ending = member.held.ending + max(0, member.current - pods) * member.gpus
    if ending:
        yield ending, f"pods of {member.name} that end"
    if member.held.rollout:
        yield member.held.rollout, f"the rollout of {member.name}"
    if member.held.canary:
        yield member.held.canary, f"the canary of {member.name}"
    if member.held.unread:
        yield member.held.unread, f"{member.name}, which is not looked at yet"
