"""How many GPUs a canary may have now, of those that agents share in a budget. Pure.

A canary's pods are beside those that its agent needs, so they have no rank: a canary gets what all
members leave, once it is free, and what its step needs at once or no more than it has. While it has
pods they count as held. One that another's needed pod would have to wait for gives all of them
back, since what is left of it could not carry its share; as other pods, no more often than every
`PATIENCE`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from trireme.autoscaler.budget import Member, granted, taken


@dataclass(frozen=True, slots=True)
class Room:
    """The GPUs that a canary may have, and what it waits for; empty where it needs no more."""

    gpus: int
    words: str = ""


def kept(members: Iterable[Member], gpus: int, *, may_move: bool) -> list[Member]:
    """The members once canaries have given back what is needed of theirs. All of it is needed by
    somebody who can have it: what is short anyway is no canary's doing.
    """
    ordered = _in_turn(members)
    if not may_move or not any(member.held.canary for member in ordered):
        return ordered
    left = {member.name: 0 for member in ordered}
    alone = granted(_with(ordered, left), gpus, may_move=True)
    for member in ordered:
        tried = {**left, member.name: member.held.canary}
        if member.held.canary and _is_beside_need(_with(ordered, tried), alone, gpus):
            left = tried
    return [_giving_back(member, left[member.name]) for member in ordered]


def rooms(
    budget: str,
    members: Iterable[Member],
    pods: Mapping[str, int],
    now: Mapping[str, int],
    gpus: int,
) -> dict[str, Room]:
    """What each canary may have, where the members are to have `pods`, and have them `now`."""
    ordered = _in_turn(members)
    planned = sum(pods[m.name] * m.gpus + m.held.staying for m in ordered)
    left = max(0, gpus - max(planned, taken(ordered, now)))
    found = {}
    for member in ordered:
        has = member.held.canary
        more = max(0, member.canary - has)
        if more <= left:
            found[member.name] = Room(has + more)
            left -= more
        else:
            needs = f"{more} more" if has else f"{more}"
            free = f"{left} {'is' if left == 1 else 'are'} free"
            found[member.name] = Room(has, f"GPUs of budget {budget}: needs {needs}, {free}")
    return found


def _in_turn(members: Iterable[Member]) -> list[Member]:
    """Whose canary comes first."""
    return sorted(members, key=lambda member: (-member.priority, member.name))


def _with(members: Sequence[Member], canaries: Mapping[str, int]) -> list[Member]:
    return [replace(m, held=replace(m.held, canary=canaries[m.name])) for m in members]


def _giving_back(member: Member, kept_gpus: int) -> Member:
    held = member.held
    ending = held.ending + held.canary - kept_gpus
    return replace(member, held=replace(held, ending=ending, canary=kept_gpus))


def _is_beside_need(members: Sequence[Member], alone: Mapping[str, int], gpus: int) -> bool:
    """Whether these canaries take no needed pod from those who had it without them."""
    pods = granted(members, gpus, may_move=True)
    is_needed = all(pods[m.name] >= min(alone[m.name], m.wanted, m.need) for m in members)
    return is_needed and sum(pods[m.name] * m.gpus + m.held.staying for m in members) <= gpus
