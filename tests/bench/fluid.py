"""The fluid model beside discrete events, on windows of simulated days.

Needs no cluster: `python -m bench.fluid TRACE.csv ...`. Of each trace, windows of five minutes are
drawn from runs of three policies; the same pods serve the same rates event by event.
"""

import sys
from pathlib import Path
from statistics import fmean

import numpy as np

from bench.table import table
from fluid_windows import RUN_IN_SECONDS, WINDOW_SECONDS, Compared, compared
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


def run(traces: list[Path]) -> str:
    """The errors over all windows, and the worst of them."""
    found = [each for trace in traces for each in _windows(trace)]
    rows = []
    for policy in (*POLICIES, "all"):
        some = [each for each in found if policy in (each.policy, "all")]
        p95s = [abs(each.p95_error) for each in some]
        lates = [abs(each.late_error) for each in some]
        rows.append(
            (
                policy,
                len(some),
                f"{fmean(p95s):.1%} ({np.median(p95s):.1%}, {max(p95s):.1%})",
                f"{sum(error <= 0.02 for error in p95s)}",
                f"{fmean(lates):.2%} ({np.median(lates):.2%}, {max(lates):.2%})",
                f"{sum(error <= 0.005 for error in lates)}",
            )
        )
    header = (
        "policy",
        "windows",
        "p95: mean (median, largest) error",
        "within 2 %",
        "late share: points",
        "within 0.5",
    )
    worst = sorted(found, key=lambda each: -abs(each.late_error))[:8]
    details = "\n".join(f"  {each}" for each in worst)
    return f"{table('The fluid model beside discrete events', header, rows)}\nworst:\n{details}"


def _windows(trace: Path) -> list[Compared]:
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
            found.append(
                compared(policy, outcome.requests_by_second[span], outcome.ready[span], on, start)
            )
    return found


if __name__ == "__main__":
    print(run([Path(name) for name in sys.argv[1:]]))
