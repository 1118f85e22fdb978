"""The cheapest mix of pods of several node classes that carries what is needed. Pure.

What it would cost if pods could be divided is known at once (`dual_simplex`), and how much more
each number of pods of a class costs at least. Mixes are tried outward from there, and nearly all
are ruled out by that bound: of ordinary fleets the best is found. Where many mixes are about as
good as the best, the search ends after so many tries, with the best of those that it has seen.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from trireme.autoscaler.dual_simplex import Row, solve

_SLACK = 1e-9  # of a need: sums of floats are not exact
_TRIES = 300  # numbers of pods of a class: some 3 ms
_WHOLE = 0.5  # costs are whole numbers: one that is not less by so much is no better
_SHARE_WORTH = 1e4  # a share of the needs counts so much more than all that the pods may cost


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


def possible(offers: Sequence[Offer], limits: Limits) -> tuple[int, ...]:
    """A mix within the limits, of as many pods as there must be or can be. Mins of classes that
    there is no room for give way, those of the dearest first.
    """
    pods = [min(offer.least, offer.most) for offer in offers]
    for k in sorted(range(len(offers)), key=lambda k: -offers[k].price):
        beyond, gpus = sum(pods) - limits.most, offers[k].gpus
        if limits.gpus is not None and gpus:
            beyond = max(beyond, math.ceil((_gpus(offers, pods) - limits.gpus) / gpus))
        pods[k] -= min(max(beyond, 0), pods[k])
    for k in sorted(range(len(offers)), key=lambda k: (offers[k].gpus, offers[k].price)):
        more, gpus = min(offers[k].most - pods[k], limits.least - sum(pods)), offers[k].gpus
        if limits.gpus is not None and gpus:
            more = min(more, (limits.gpus - _gpus(offers, pods)) // gpus)
        pods[k] += max(more, 0)
    return tuple(pods)


def _gpus(offers: Sequence[Offer], pods: Sequence[int]) -> int:
    return sum(offer.gpus * n for offer, n in zip(offers, pods, strict=True))


def nearest(offers: Sequence[Offer], needs: Sequence[float], limits: Limits) -> Mix:
    """The cheapest mix that carries every need, or, where none does, the largest share of them; of
    equal ones that with the fewest changes. Mins give way to the limits (`possible`).
    """
    return _Search(offers, needs, limits).best()


def _exact(price: float) -> Fraction:
    """A price as it was written: 0.1, not the float nearest to it."""
    return Fraction(str(price))


@dataclass(frozen=True, slots=True)
class _Class:
    """An offer in the units of the search: `carries` are shares of the needs, and `price` is such a
    whole number that all changes together are less than the smallest difference of prices.
    """

    price: int
    carries: tuple[float, ...]
    current: int
    least: int
    most: int
    gpus: int

    def cost(self, pods: int) -> int:
        """What so many pods cost, and how many are changes."""
        return self.price * pods + abs(pods - self.current)

    @property
    def bend(self) -> int:
        """The number of pods from which on more are changes."""
        return min(max(self.current, self.least), self.most)


def _classes(offers: Sequence[Offer], needs: Sequence[float], first: Sequence[int]) -> list[_Class]:
    """The offers without mins that a possible mix does not have, and without pods that are of no
    use: more of a class than carry all by themselves.
    """
    asked = [j for j, need in enumerate(needs) if need > 0]
    scale = math.lcm(*(_exact(offer.price).denominator for offer in offers), 1)
    found = []
    for offer, pods in zip(offers, first, strict=True):
        carries = tuple(offer.carries[j] / needs[j] for j in asked)
        alone = [math.ceil(min(1 / each, offer.most)) for each in carries if each > 0]
        price = int(_exact(offer.price) * scale)
        most = min(offer.most, max([sum(first), *alone]))
        least = min(offer.least, pods)
        found.append(_Class(price, carries, offer.current, least, most, offer.gpus))
    changes = 1 + sum(max(each.current, each.most) for each in found)
    return [replace(each, price=each.price * changes) for each in found]


class _Bound:
    """What a mix costs at least (`least`), what each number of pods of a class adds to that, and
    the mix `at` that would cost no more, if pods could be divided.

    A share of the needs that is not carried costs `worth`.
    """

    def __init__(self, classes: Sequence[_Class], limits: Limits, worth: float) -> None:
        self._classes = classes
        needs = len(classes[0].carries)
        multiples = [[each.carries[j] for each in classes] for j in range(needs)]
        multiples += [[1.0] * len(classes), [-1.0] * len(classes)]
        constants = [0.0] * needs + [-float(limits.least), float(limits.most)]
        if limits.gpus is not None:
            multiples.append([-float(each.gpus) for each in classes])
            constants.append(float(limits.gpus))
        self.at, weights = self._divided(multiples, constants, worth)
        self._slopes = [
            sum(w * multiple[k] for w, multiple in zip(weights, multiples, strict=True))
            for k in range(len(classes))
        ]
        self._lowest = [
            min(self._net(k, n) for n in (each.least, each.bend, each.most))
            for k, each in enumerate(classes)
        ]
        self.least = (
            sum(self._lowest)
            - sum(w * constant for w, constant in zip(weights, constants, strict=True))
            + min(sum(weights[:needs]), worth)
        )

    def _divided(
        self, multiples: Sequence[Sequence[float]], constants: Sequence[float], worth: float
    ) -> tuple[list[float], tuple[float, ...]]:
        """The mix of divided pods, and what one of each constant is worth there.

        The pods of a class beyond its least are two columns, those that it has and more.
        """
        parts = [
            (k, each.price + more, width)
            for k, each in enumerate(self._classes)
            for more, width in ((-1, each.bend - each.least), (1, each.most - each.bend))
            if width
        ]
        needs = len(self._classes[0].carries)
        rows = [
            Row(
                constant + sum(m * c.least for m, c in zip(multiple, self._classes, strict=True)),
                [*(multiple[k] for k, _, _ in parts), -1.0 if j < needs else 0.0],
            )
            for j, (multiple, constant) in enumerate(zip(multiples, constants, strict=True))
        ]
        costs = [*(float(price) for _, price, _ in parts), -worth]
        widths = [*(float(width) for _, _, width in parts), 1.0]
        solution = solve(costs, widths, rows)
        at = [float(each.least) for each in self._classes]
        for (k, _, _), more in zip(parts, solution.columns[:-1], strict=True):
            at[k] += more
        return at, solution.multipliers

    def _net(self, k: int, pods: int) -> float:
        return self._classes[k].cost(pods) - self._slopes[k] * pods

    def beyond(self, k: int, pods: int) -> float:
        """What so many pods of a class cost at least beyond the best."""
        return self._net(k, pods) - self._lowest[k]


@dataclass(frozen=True, slots=True)
class _Some:
    """What the classes that are decided on have together."""

    pods: int
    gpus: int
    cost: int
    carried: tuple[float, ...]

    def and_also(self, each: _Class, pods: int) -> "_Some":
        """The same with so many pods of another class."""
        carried = tuple(
            [have + pods * one for have, one in zip(self.carried, each.carries, strict=True)]
        )
        return _Some(
            self.pods + pods, self.gpus + pods * each.gpus, self.cost + each.cost(pods), carried
        )


class _Search:
    """Numbers of pods are tried class by class, outward from those of the bound; of the last class,
    the one that costs the least to vary, as many are taken as the others leave to it.
    """

    def __init__(self, offers: Sequence[Offer], needs: Sequence[float], limits: Limits) -> None:
        first = possible(offers, limits)
        self._limits = replace(limits, least=sum(first))
        classes = _classes(offers, needs, first)
        self._worth = _SHARE_WORTH * (1 + sum(each.cost(each.most) for each in classes))
        self._bound = bound = _Bound(classes, self._limits, self._worth)
        self._order = sorted(
            range(len(classes)),
            key=lambda k: -bound.beyond(k, classes[k].least) - bound.beyond(k, classes[k].most),
        )
        self._classes = [classes[k] for k in self._order]
        self._left = _TRIES
        self._least_cost, self._best = math.inf, Mix(first)
        self._none = mix = _Some(0, 0, 0, (0.0,) * len(classes[0].carries))
        self._pods = [first[k] for k in self._order]
        for each, pods in zip(self._classes, self._pods, strict=True):
            mix = mix.and_also(each, pods)
        self._take(mix)

    def best(self) -> Mix:
        """The best mix of those that were tried."""
        self._try(0, self._none, self._bound.least)
        return self._best

    def _try(self, place: int, before: _Some, bound: float) -> None:
        """All numbers of the class at a place, after those of the classes before it."""
        each = self._classes[place]
        fewest, most = self._range(place, before)
        if fewest > most:
            return
        if place == len(self._classes) - 1:
            self._pods[place] = pods = _enough(each, before, fewest, most)
            self._take(before.and_also(each, pods))
            return
        for pods, beyond in self._outward(place, fewest, most):
            if self._left <= 0 or bound + beyond >= self._least_cost - _WHOLE:
                return
            self._left -= 1
            self._pods[place] = pods
            self._try(place + 1, before.and_also(each, pods), bound + beyond)

    def _range(self, place: int, before: _Some) -> tuple[int, int]:
        """How many pods a class may have beside those before it, and what others must have."""
        each, limits, later = self._classes[place], self._limits, self._classes[place + 1 :]
        most = limits.most - before.pods - sum([other.least for other in later])
        if limits.gpus is not None and each.gpus:
            left = limits.gpus - before.gpus - sum([other.least * other.gpus for other in later])
            most = min(most, left // each.gpus)
        fewest = limits.least - before.pods - sum([other.most for other in later])
        return max(each.least, fewest), min(each.most, most)

    def _outward(self, place: int, fewest: int, most: int) -> Iterator[tuple[int, float]]:
        """The numbers by what they cost at least beyond the best, with that: to either side from
        where the best is.
        """
        k, bound = self._order[place], self._bound
        low = min(max(math.floor(bound.at[k] + _SLACK), fewest), most)
        high = low + 1
        of_low, of_high = bound.beyond(k, low), bound.beyond(k, high)
        while low >= fewest or high <= most:
            if high > most or (low >= fewest and of_low <= of_high):
                yield low, of_low
                low -= 1
                of_low = bound.beyond(k, low)
            else:
                yield high, of_high
                high += 1
                of_high = bound.beyond(k, high)

    def _take(self, mix: _Some) -> None:
        """Keep the mix that is at hand, if it is the best so far."""
        share = min(mix.carried, default=1.0)
        share = 1.0 if share >= 1 - _SLACK else share
        with_share = mix.cost + self._worth * (1 - share)
        if with_share < self._least_cost:
            pods = dict(zip(self._order, self._pods, strict=True))
            self._least_cost = with_share
            self._best = Mix(tuple(pods[k] for k in range(len(pods))), share)


def _enough(each: _Class, before: _Some, fewest: int, most: int) -> int:
    """How many pods of the last class carry all that it can add to the others."""
    of_each = [*zip(before.carried, each.carries, strict=True)]
    share = min(min([have + one * most for have, one in of_each], default=1.0), 1.0) - _SLACK
    lacking = [math.ceil((share - have) / one) for have, one in of_each if one > 0]
    return min(max([fewest, *lacking]), most)
