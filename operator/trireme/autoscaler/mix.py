"""The cheapest mix of pods of several node classes that carries what is needed. Pure.

A branch and bound over the number of pods of each class. Classes are few, and what a need costs at
least if pods could be divided is near to what it costs, so that few mixes are looked at, and the
answer is exact. It is not where there would be too many (`MOST_VISITED`), since other agents wait
meanwhile: then the best of those looked at is taken. That carries the needs, and may be a little
dearer; where none of them does, it is as if none did.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

_SLACK = 1e-9  # of a need: sums of floats are not exact
_FEW = 8  # pods of each class beside those of the best: such mixes are tried first
MOST_VISITED = 10_000
"""Mixes looked at, begun ones included: some 50 ms. Of random fleets of up to three classes
and three needs none takes more than 1,200, of five classes one in ten does."""
_VISITED_FOR_SHARE = 2_000  # for each of the halvings, all of which some 200 ms
_HALVINGS = 20  # of the share of a need that can be carried, where not all can: to a millionth


@dataclass(frozen=True, slots=True)
class Offer:
    """Pods of one class: the price of one, how much of each need it carries, its GPUs, how many
    there are, and how many there must and may be.
    """

    price: float
    carries: tuple[float, ...]
    current: int
    least: int
    most: int
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """How many pods all classes must and may have together, and GPUs, None for any number."""

    least: int
    most: int
    gpus: int | None = None


@dataclass(frozen=True, slots=True)
class Mix:
    """So many pods of each class; `share` of the needs is what they carry at least, 1 for all."""

    pods: tuple[int, ...]
    share: float = 1.0


def cost(offers: Sequence[Offer], pods: Sequence[int]) -> Fraction:
    """What a mix costs, as an exact sum: 0.1 and 0.2 are 0.3."""
    return sum((_exact(o.price) * n for o, n in zip(offers, pods, strict=True)), Fraction(0))


def carried(offers: Sequence[Offer], pods: Sequence[int], need: int) -> float:
    """How much of one need a mix carries."""
    return sum(offer.carries[need] * n for offer, n in zip(offers, pods, strict=True))


def cheapest(
    offers: Sequence[Offer],
    needs: Sequence[float],
    limits: Limits,
    most_visited: int = MOST_VISITED,
) -> tuple[int, ...] | None:
    """The cheapest mix that carries every need; of equal ones that with the fewest changes, then
    the first in the order of the classes. None where there is none.
    """
    return _Search(offers, needs, limits, most_visited).best()


def nearest(offers: Sequence[Offer], needs: Sequence[float], limits: Limits) -> Mix | None:
    """The cheapest mix that carries every need, or, where none does, the largest share of them.
    None where the limits leave no mix at all.
    """
    found = cheapest(offers, needs, limits)
    if found is not None:
        return Mix(found)
    found = cheapest(offers, [0.0] * len(needs), limits)
    if found is None:
        return None
    best, over = Mix(found, 0.0), 1.0
    for _ in range(_HALVINGS):
        share = (best.share + over) / 2
        part = [share * need for need in needs]
        found = cheapest(offers, part, limits, _VISITED_FOR_SHARE)
        if found is None:
            over = share
        else:
            best = Mix(found, share)
    return best


def _exact(price: float) -> Fraction:
    """A price as it was written: 0.1, not the float nearest to it."""
    return Fraction(str(price))


class _Search:
    """Numbers of pods are tried class by class, those that carry the least for their price first:
    of the last, the best, as many are taken as the others leave to it. A good mix is mostly of that
    one; with one of those in hand, few others are worth a try.
    """

    def __init__(
        self,
        offers: Sequence[Offer],
        needs: Sequence[float],
        limits: Limits,
        visits_left: int,
    ) -> None:
        scale = math.lcm(*(_exact(offer.price).denominator for offer in offers), 1)
        self._prices = [int(_exact(offer.price) * scale) for offer in offers]
        self._needs = [need * (1 - _SLACK) for need in needs]
        self._limits = limits
        useful = [self._useful(offer) for offer in offers]
        self._offers = [
            replace(o, most=min(o.most, m)) for o, m in zip(offers, useful, strict=True)
        ]
        rates = range(len(self._needs))
        self._order = sorted(
            range(len(offers)),
            key=lambda k: (
                self._offers[k].most > 0,
                -max((self._unit(k, j) for j in rates), default=float(self._prices[k])),
            ),
        )
        self._by_unit = [
            sorted(
                (k for k in self._order if offers[k].carries[j] > 0), key=lambda k: self._unit(k, j)
            )
            for j in rates
        ]
        self._place = {k: place for place, k in enumerate(self._order)}
        self._pods = [0] * len(offers)
        self._beside = _FEW
        self._visits_left = visits_left
        self._found: tuple[int, int, tuple[int, ...]] | None = None

    def _useful(self, offer: Offer) -> int:
        """More of a class than carry all by themselves are of no use."""
        alone = [
            math.ceil(min(need / each, offer.most))
            for need, each in zip(self._needs, offer.carries, strict=True)
            if each > 0
        ]
        return max([offer.least, self._limits.least, *alone])

    def _unit(self, k: int, need: int) -> float:
        """What it costs to have a class carry one of a need."""
        each = self._offers[k].carries[need]
        return self._prices[k] / each if each > 0 else math.inf

    def best(self) -> tuple[int, ...] | None:
        if any(offer.least > offer.most for offer in self._offers) or not self._offers:
            return None
        for beside in (_FEW, self._limits.most):
            self._beside = beside
            self._try(0, 0, 0, 0, 0, list(self._needs))
        return self._found[2] if self._found else None

    def _try(
        self, place: int, total: int, gpus: int, price: int, changes: int, left: list[float]
    ) -> None:
        self._visits_left -= 1
        if self._visits_left < 0 or not self._may_be_better(
            place, total, gpus, price, changes, left
        ):
            return
        if place == len(self._order):
            key = (price, changes, tuple(self._pods))
            if self._found is None or key < self._found:
                self._found = key
            return
        k = self._order[place]
        offer = self._offers[k]
        last = min(offer.most, self._limits.most - total)
        first, last = offer.least, min(last, offer.least + self._beside)
        if place == len(self._order) - 1:
            first = max(first, self._limits.least - total, self._rest(k, left))
            last = min(
                first, offer.most
            )  # a price is more than nothing, so more would only cost more
        for pods in range(first, last + 1):
            self._pods[k] = pods
            self._try(
                place + 1,
                total + pods,
                gpus + pods * offer.gpus,
                price + pods * self._prices[k],
                changes + abs(pods - offer.current),
                [need - pods * each for need, each in zip(left, offer.carries, strict=True)],
            )
        self._pods[k] = 0

    def _rest(self, k: int, left: Sequence[float]) -> int:
        """How many pods of the last class carry what is left; more than it may have, if none do."""
        most = 0
        for need, each in zip(left, self._offers[k].carries, strict=True):
            if need > 0:
                beyond = self._offers[k].most + 1
                most = max(most, math.ceil(min(need / each, beyond)) if each > 0 else beyond)
        return most

    def _may_be_better(
        self, place: int, total: int, gpus: int, price: int, changes: int, left: Sequence[float]
    ) -> bool:
        if total > self._limits.most:
            return False
        if self._limits.gpus is not None and gpus > self._limits.gpus:
            return False
        bound = price
        for need in range(len(left)):
            more = self._least_price(place, need, left[need])
            if more is None:
                return False
            bound = max(bound, price + more)
        if self._found is None:
            return True
        return (bound, changes) <= self._found[:2]

    def _least_price(self, place: int, need: int, left: float) -> int | None:
        """What the classes from a place on ask at least for the rest of a need; None where they
        cannot carry it.
        """
        price = 0.0
        for k in self._by_unit[need]:
            if left <= 0:
                break
            if self._place[k] >= place:
                offer = self._offers[k]
                taken = min(left, offer.most * offer.carries[need])
                price += taken * self._unit(k, need)
                left -= taken
        if left > _SLACK * abs(self._needs[need]):
            return None
        return math.ceil(price * (1 - _SLACK))
