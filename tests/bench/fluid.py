"""The fluid model beside discrete events, on windows of simulated days.

Needs no cluster: `python -m bench.fluid TRACE.csv ...`. Of each trace, windows of five minutes are
drawn from runs of three policies; the same pods serve the same rates event by event.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

import numpy as np

from bench.table import table
from fluid_windows import RUN_IN_SECONDS, WINDOW_SECONDS, Measured, by_events, by_fluid
from trireme.autoscaler.queueing import PodShape
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.simulator.comparison import optimum_of, score
from trireme.simulator.fluid import LeadTime
from trireme.simulator.pods import Balancer
from trireme.simulator.policy import Bounds
from trireme.simulator.scenario import Objective, Scenario, with_peak
from trireme.simulator.traces import parse, traffic_of, window

CURVE = ServiceCurve(0.006, 0.002, 16)
OBJECTIVE = Objective(95, 0.1)
POLICIES = ("hpa-rps", "hpa-p95", "kpa")
LEAD_SECONDS = 60
WINDOWS = 6  # of each run
LONGEST_SECONDS = 86400


@dataclass(frozen=True, slots=True)
class Window:
    """One window by the fluid model, by events, and by events drawn anew."""

    policy: str
    fluid: Measured
    events: Measured
    again: Measured


def run(traces: list[Path]) -> str:
    """The errors by policy; the last row is what two draws of the events differ by."""
    found = [each for trace in traces for each in _windows(trace)]
    rows = [
        _row(policy, [(each.fluid, each.events) for each in found if each.policy == policy])
        for policy in POLICIES
    ]
    rows.append(_row("all", [(each.fluid, each.events) for each in found]))
    rows.append(_row("events, drawn anew", [(each.again, each.events) for each in found]))
    header = (
        "policy",
        "windows",
        "p95: mean (median, largest) error",
        "within 2 %",
        "late share: mean (median, largest) points",
        "within 0.5",
    )
    return table("The fluid model beside discrete events", header, rows)


def _row(name: str, pairs: list[tuple[Measured, Measured]]) -> tuple[object, ...]:
    p95s = [one.p95_error(truth) for one, truth in pairs]
    lates = [one.late_error(truth) * 100 for one, truth in pairs]
    return (
        name,
        len(pairs),
        f"{fmean(p95s):.1%} ({median(p95s):.1%}, {max(p95s):.1%})",
        sum(error <= 0.02 for error in p95s),
        f"{fmean(lates):.2f} ({median(lates):.2f}, {max(lates):.2f})",
        sum(error <= 0.5 for error in lates),
    )


def _windows(trace: Path) -> list[Window]:
    pod = PodShape(CURVE)
    with trace.open(encoding="utf-8") as lines:
        traffic = window(traffic_of(parse(lines, trace.name)), LONGEST_SECONDS, seed=1)
    traffic = with_peak(traffic, pod, OBJECTIVE, 20)
    lead, bounds = LeadTime(LEAD_SECONDS), Bounds(1, 40)
    on = Scenario(traffic, pod, OBJECTIVE, lead, bounds, seed=1, balancer=Balancer.RANDOM)
    optimum = optimum_of(on, lambda what, share: None)
    generator = np.random.default_rng(1)
    found = []
    for policy in POLICIES:
        outcome = score(on, optimum, policy, 1.0, lambda what, share: None).outcome
        length = RUN_IN_SECONDS + WINDOW_SECONDS
        for start in generator.integers(len(outcome.ready) - length, size=WINDOWS).tolist():
            span = slice(start, start + length)
            rate, ready = outcome.requests_by_second[span], outcome.ready[span]
            found.append(
                Window(
                    policy,
                    by_fluid(rate, ready, on, start),
                    by_events(rate, ready, on, start),
                    by_events(rate, ready, on, start + 1_000_000),
                )
            )
    return found


if __name__ == "__main__":
    print(run([Path(name) for name in sys.argv[1:]]))
