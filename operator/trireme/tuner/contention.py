"""What several instances of a model in one pod cost each other.

Pure. A batch takes 1 + sigma (k - 1) times as long where k instances run: sigma is 0 where they
share nothing, 1 where they share all and k do no more than one, and more where they hinder each
other. It is not known at first, and is learnt from each number of instances that was measured; near
one of them it is believed to be much the same, and farther off less.

Whatever sigma is, an instance more never adds more than the one before it did, so that what k do
together is no more than the straight line through two smaller numbers, or two larger ones, says.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from trireme.tuner.batch_times import BatchTimes, Totals, merged
from trireme.tuner.types import Ratios, View

PRIOR = {View.MOST: 0.0, View.EXPECTED: 0.5, View.LEAST: 1.5}
MOST_SIGMA = 3.0  # beyond it two numbers of instances that were measured tell no sigma


@dataclass(frozen=True, slots=True)
class Contention:
    """How many times as long as with `fewest` instances a batch takes, by number of instances."""

    fewest: int
    measured: Ratios

    def times(self, instances: int, view: View) -> float:
        """How many times as long it takes with so many."""
        if instances in self.measured:
            return self.measured[instances]
        more = instances > self.fewest
        sigma = self._sigma(instances, view if more else _OPPOSITE[view])
        times = _grown(sigma, instances) / _grown(sigma, self.fewest)
        if view is View.MOST:
            times = max(times, instances / self._most_together(instances))
        return times

    def _sigma(self, instances: int, view: View) -> float:
        """Sigma at a number of instances; the `view` for MOST is the least it may be."""
        known = {k: _sigma_of(ratio, self.fewest, k) for k, ratio in self.measured.items()}
        known.pop(self.fewest, None)
        if view is View.MOST:  # there may be room for just so many
            known = {k: sigma for k, sigma in known.items() if k < instances}
        if not known:
            return PRIOR[view]
        nearest = min(known, key=lambda k: (abs(math.log2(k / instances)), k))
        doubt = min(1.0, abs(math.log2(nearest / instances)))
        match view:
            case View.MOST:
                return known[nearest] * (1 - doubt / 2)
            case View.LEAST:
                return known[nearest] * (1 + doubt) + doubt / 4
            case View.EXPECTED:
                return known[nearest]

    def _most_together(self, instances: int) -> float:
        """The most that so many do together, by what was measured, where one of the fewest does 1;
        one of still fewer may do more. With none nothing is done: that is a point, too.
        """
        done = {0: 0.0, **{k: k / ratio for k, ratio in sorted(self.measured.items())}}
        bounds = [float(instances) if instances > self.fewest else math.inf]
        for two in (
            [k for k in done if k < instances][-2:],
            [k for k in done if k > instances][:2],
        ):
            if len(two) == 2:
                near, far = sorted(two, key=lambda k: abs(k - instances))
                slope = (done[far] - done[near]) / (far - near)
                bounds.append(done[near] + slope * (instances - near))
        return max(min(bounds), 1e-9)


_OPPOSITE = {View.MOST: View.LEAST, View.EXPECTED: View.EXPECTED, View.LEAST: View.MOST}


def _grown(sigma: float, instances: int) -> float:
    return 1 + sigma * (instances - 1)


def _sigma_of(ratio: float, fewest: int, instances: int) -> float:
    """The sigma by which a batch takes `ratio` times as long with more instances."""
    rest = (instances - 1) - ratio * (fewest - 1)
    if rest <= 0:
        return MOST_SIGMA
    return min(max((ratio - 1) / rest, 0.0), MOST_SIGMA)


def learnt(by_instances: Mapping[int, Totals]) -> tuple[BatchTimes, Contention]:
    """What a batch takes with the fewest instances that were measured, and how many times as long
    with others. Pre: something was executed with each.
    """
    fewest = min(by_instances)
    together = dict(by_instances[fewest])
    ratios = {fewest: 1.0}
    for instances in sorted(by_instances)[1:]:
        totals = by_instances[instances]
        ratios[instances] = ratio = _ratio(BatchTimes.of(together), totals)
        new = {
            size: (executions, seconds / ratio)
            for size, (executions, seconds) in totals.items()
            if size not in together
        }
        together = merged(together, new)
    return BatchTimes.of(together), Contention(fewest, ratios)


def _ratio(before: BatchTimes, totals: Totals) -> float:
    """How many times as long batches took as before, by the sizes that were seen before: of larger
    ones it is not known which part is theirs. Where all were larger, it has to do.
    """
    seen = {size: total for size, total in totals.items() if size <= before.largest}
    seen = seen or dict(totals)
    weight = sum(n for n, _ in seen.values())
    logs = (n * math.log(seconds / before.seconds(size)) for size, (n, seconds) in seen.items())
    return math.exp(sum(logs) / weight)
