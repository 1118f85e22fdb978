"""The tuner's search beside an exhaustive grid, on simulated pods of machines that are drawn.

Needs no cluster: `python -m bench.tuner_search [FIRST] [LAST]`, by the machines' numbers. Some four
seconds of a processor each. The first of them are what tests/unit/test_tuner_search.py tests.
"""

import sys
from collections.abc import Sequence
from statistics import fmean

from bench.table import table
from tuned import LEAST_SHARE, TENTH, Outcome, drawn, outcome

TIGHT = 2.0  # times what the largest batch takes that is worth it


def run(numbers: Sequence[int]) -> str:
    """How often it finds enough, with loose objectives and with tight ones."""
    found = {number: outcome(*drawn(number)) for number in numbers}
    for number, each in found.items():
        if each.share < LEAST_SHARE:
            print(_told(number, each), flush=True)
    slacks = {number: _slack(number, each) for number, each in found.items()}
    parts = {
        "all": list(found),
        f"limit above {TIGHT:g} full batches": [n for n in found if slacks[n] > TIGHT],
        "below": [n for n in found if slacks[n] <= TIGHT],
    }
    header = (
        "objectives",
        "machines",
        f"{LEAST_SHARE:.0%} of the best found",
        "least share",
        f"mean measurements, of {TENTH}",
    )
    rows = (_row(name, [found[n] for n in part]) for name, part in parts.items() if part)
    return table("The tuner's search on simulated pods", header, rows)


def _slack(number: int, each: Outcome) -> float:
    """How many times what a largest batch takes that is worth it is the objective's limit."""
    machine, objective = drawn(number)
    best = max([each.done.best, *each.better], key=lambda one: one.per_second)
    full = machine.pod(best.configuration).curve.full_batch_seconds
    return objective.limit_seconds / full


def _row(name: str, outcomes: Sequence[Outcome]) -> tuple[object, ...]:
    enough = sum(each.share >= LEAST_SHARE for each in outcomes)
    return (
        name,
        len(outcomes),
        f"{enough} ({enough / len(outcomes):.1%})",
        f"{min(each.share for each in outcomes):.0%}",
        f"{fmean(len(each.tried) for each in outcomes):.1f}",
    )


def _told(number: int, each: Outcome) -> str:
    machine, objective = drawn(number)
    chosen, best = each.done.best, max(each.better, key=lambda one: one.per_second)
    return (
        f"{number}: {chosen.configuration} sustain {chosen.per_second:.0f}/s, {best.configuration} "
        f"{best.per_second:.0f}/s; {objective}, {machine}; {len(each.tried)} tried: "
        f"{each.done.reason}"
    )


if __name__ == "__main__":
    bounds = [int(argument) for argument in sys.argv[1:]]
    first, last = bounds if len(bounds) == 2 else (0, 99)
    print(run(range(first, last + 1)))
