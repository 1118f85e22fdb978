"""Which configuration to measure next, or that none is worth it any more.

Pure. Optimism under uncertainty: the next one is that which may sustain the most by all that is
known, with what is not known taken at its best. It is either as good, or teaches why it is not: a
larger batch whether its times are still on the line, another number of instances what they cost
each other. Once none may beat the best by more than the margin, the best is found.

Batches grow by four times the largest that was seen at most, since beyond that a line's word is
worth little. What lies beyond is reached step by step, where it may be worth it. Where a largest
batch was never filled, still larger ones are nothing else, and are not tried.

A queue delay comes last, since all it can do is to keep several instances out of step.

Where the first keeps the objective at no rate, the quickest is measured next: the smallest batches,
in as few instances as there may be. If that does not either, nothing does.

A few of the measurements are kept for those that are made again before the best is named, as are
all that are left once no other is worth one (`ranking`). Should the best turn out to have been
luck, others may be worth a try after all.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from trireme.tuner.prediction import Model, model_of
from trireme.tuner.ranking import LEAST_TIMES, Repeated, best_of, repeated, to_repeat
from trireme.tuner.types import Configuration, Measured, Objective, Space, View

MARGIN = 0.03  # how much more another may sustain than what is chosen, by what is known
JUMP = 4  # times the largest batch seen
ROOMY = 4.0  # full batches within the limit: more than 95 % of the capacity are sustained then
NEAR = 0.98  # of the highest hope: such are alike, and the likelier one goes first


@dataclass(frozen=True, slots=True)
class Try:
    """Measure this one: it is expected to sustain so much, and hoped to sustain `most`. Both are
    None of the first, of which nothing is known; of one that is measured again the former is what
    it was seen to sustain, and the latter None.
    """

    configuration: Configuration
    expected_per_second: float | None = None
    most_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The best of what was measured, and why no other is tried."""

    best: Repeated
    reason: str


def next_step(
    space: Space,
    objective: Objective,
    measured: Sequence[Measured],
    *,
    start: Configuration,
    most_measurements: int,
    margin: float = MARGIN,
) -> Try | Done:
    """What to do after what was measured. The first is `start`, with the least queue delay."""
    if not measured:
        return Try(replace(start, queue_delay_seconds=space.least_queue_delay_seconds))
    found = repeated(measured)
    left = most_measurements - len(measured)
    again = to_repeat(found) if left > 0 else None
    is_for_others = len(found) < most_measurements - _kept(most_measurements)
    reason = "no other could be measured twice within what is allowed"
    if is_for_others or (left >= LEAST_TIMES and again is None):
        other = _other(space, objective, found, start, margin)
        if isinstance(other, str):
            reason = other
        elif left > 0:
            return other
    if again is not None:
        return Try(again.configuration, again.per_second)
    return Done(best_of(found), reason)


def _kept(measurements: int) -> int:
    """How many are kept for those that are made again. Where another may sustain more it is worth
    more to measure that, so that these are few: an eighth, one at least, of one or two none.
    """
    return max(1, measurements // 8) if measurements > LEAST_TIMES else 0


def _other(
    space: Space,
    objective: Objective,
    measured: Sequence[Measured],
    start: Configuration,
    margin: float,
) -> Try | str:
    """A configuration that was not measured and is worth it, or why none is."""
    best = max(measured, key=lambda one: one.per_second)
    model = model_of(objective, measured)
    if model is None:
        return "nothing was executed, so that nothing is learnt"
    tried = {one.configuration for one in measured}
    untried = [
        each
        for each in space.configurations()
        if each not in tried and not any(_is_no_other(each, one) for one in measured)
    ]
    if not best.per_second:
        quickest = min(space.configurations(), default=start)
        if quickest in untried:
            return Try(quickest)
        return "not even the smallest batches in the fewest instances keep it"
    least = (1 + margin) * best.per_second
    hopes = _highest(model, untried, least) or _highest(model, _delayed(model, space, tried), least)
    if not hopes:
        beaten = f"none that is left may sustain {margin * 100:g} % more"
        return beaten if untried else "all that differ were measured"
    chosen = _chosen(model, hopes)
    reached = _reached(chosen.configuration, model, untried)
    if reached == chosen.configuration:
        return chosen
    expected = model.per_second(reached, View.EXPECTED)
    return Try(reached, expected, model.per_second(reached, View.MOST))


def _delayed(model: Model, space: Space, tried: Collection[Configuration]) -> list[Configuration]:
    """Those with a queue delay: of several instances, where the objective leaves no room for a long
    queue, and none twice for a delay that is nearly the same.
    """
    before = {(one.max_batch, one.instances) for one in tried if one.queue_delay_seconds}
    found = (
        model.delayed(each)
        for each in space.configurations()
        if each.instances > 1
        and (each.max_batch, each.instances) not in before
        and model.batches_within_limit(each) < ROOMY
    )
    return [each for each in found if each is not None and space.allows(each)]


def _highest(
    model: Model, untried: Iterable[Configuration], least: float
) -> list[tuple[float, Configuration]]:
    """The untried that may sustain more than `least`, as far as they are near the highest hope;
    what a bound excludes is not computed.
    """
    bounds = sorted(((model.bound(each), each) for each in untried), reverse=True)
    highest, hopes = least, list[tuple[float, Configuration]]()
    for bound, configuration in bounds:
        if bound <= max(least, NEAR * highest):
            break
        hope = model.per_second(configuration, View.MOST)
        if hope > least:
            hopes.append((hope, configuration))
            highest = max(highest, hope)
    return [(hope, each) for hope, each in hopes if hope >= NEAR * highest]


def _chosen(model: Model, hopes: Iterable[tuple[float, Configuration]]) -> Try:
    """Of those that are alike the likeliest; of those the one with fewer instances."""
    tries = [Try(each, model.per_second(each, View.EXPECTED), hope) for hope, each in hopes]
    return max(
        tries,
        key=lambda one: (
            round(one.expected_per_second or 0.0, 3),
            -one.configuration.instances,
            -one.configuration.max_batch,
        ),
    )


def _reached(
    wanted: Configuration, model: Model, untried: Iterable[Configuration]
) -> Configuration:
    """The wanted one, or the untried one with the largest batch on the way to it."""
    largest = model.times.largest
    most = JUMP * largest
    if wanted.max_batch <= most:
        return wanted
    nearer = (
        each
        for each in untried
        if each.instances == wanted.instances and largest < each.max_batch <= most
    )
    return max(nearer, default=wanted)


def _is_no_other(each: Configuration, one: Measured) -> bool:
    """Whether it would do just what one did that never filled its largest batch: it differs in that
    alone, and has room for all batches that were seen.
    """
    seen, tried = max(one.batches, default=0), one.configuration
    alike = replace(each, max_batch=tried.max_batch) == tried
    return alike and 0 < seen < tried.max_batch and seen <= each.max_batch
