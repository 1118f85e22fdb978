"""Which pods get a second's requests. Pure."""

import math
from dataclasses import dataclass

from trireme.simulator.pods import Balancer

ALIKE = 1e-3  # pods whose requests in flight differ by less, relatively, are taken as alike


@dataclass(slots=True)
class Alike:
    """Ready pods that hold the same, each `in_flight` requests."""

    pods: int
    in_flight: float


def shares(alike: list[Alike], rate: float, balancer: Balancer) -> list[float]:
    """What each pod gets of a second's requests. Pre: those with the least to do are first."""
    if len(alike) == 1:
        return [rate / alike[0].pods]
    pods = sum(each.pods for each in alike)
    if balancer in (Balancer.RANDOM, Balancer.ROUND_ROBIN):
        return [rate / pods] * len(alike)
    level = _level(alike, rate)
    spare = [max(level - each.in_flight, 0.0) for each in alike]
    if balancer is Balancer.LEAST_OUTSTANDING:
        return spare
    # Of two pods taken at random both are at least as busy as these with the square of the chance
    # that one is; and nobody is sent more than what makes it the busiest.
    sent_each, carried, others = [], 0.0, pods
    for each, most in zip(alike[:-1], spare, strict=False):
        chance = (others**2 - (others - each.pods) ** 2) / pods**2
        others -= each.pods
        sent = rate * chance + carried
        kept = min(sent, each.pods * most)
        carried = sent - kept
        sent_each.append(kept / each.pods)
    last = rate * (others / pods) ** 2 + carried
    return [*sent_each, last / alike[-1].pods]


def _level(alike: list[Alike], rate: float) -> float:
    """What the emptiest pods hold when all that comes has gone to whoever held the least."""
    pods, held, level = 0, rate, math.inf
    for each in alike:
        if level <= each.in_flight:
            break
        pods, held = pods + each.pods, held + each.pods * each.in_flight
        level = held / pods
    return level


def drained(stopping: list[Alike], capacity_per_second: float) -> tuple[list[Alike], float, float]:
    """A second of pods that stop: those that have more to do, what all of them answered, and the
    pod-seconds that they took.
    """
    answered = taken = 0.0
    for each in stopping:
        served = min(each.in_flight, capacity_per_second)
        each.in_flight -= served
        answered += each.pods * served
        taken += each.pods * served / capacity_per_second
    return [each for each in stopping if each.in_flight > 0], answered, taken


def joined_alike(alike: list[Alike]) -> list[Alike]:
    """The least busy first; those that hold nearly the same together. No request is lost."""
    alike = sorted(alike, key=lambda each: each.in_flight)
    joined = alike[:1]
    for each in alike[1:]:
        last = joined[-1]
        if abs(each.in_flight - last.in_flight) <= ALIKE * last.in_flight:
            pods = last.pods + each.pods
            held = last.pods * last.in_flight + each.pods * each.in_flight
            joined[-1] = Alike(pods, held / pods)
        else:
            joined.append(each)
    return joined
