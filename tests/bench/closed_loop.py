"""Policies in the loop: over a fluid fleet, as `trireme simulate` has it, and request by request.

Needs no cluster: `python -m bench.closed_loop`. What a policy orders changes what it sees next, so
that errors of the fluid model could grow; `bench.fluid` holds it against events on given fleets.
The same requests of each second come to both, and once more others, drawn anew. A balancer that
looks at pods shortens the tail of the events, and not that of the fluid.
"""

from dataclasses import replace

import numpy as np

from bench.table import table
from trireme.autoscaler.queueing import PodShape
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.simulator.comparison import Optimum, Score, score
from trireme.simulator.fluid import LeadTime
from trireme.simulator.pods import Balancer
from trireme.simulator.policy import Bounds
from trireme.simulator.scenario import Objective, Scenario, with_peak
from trireme.simulator.shapes import Shape, made

POD = PodShape(ServiceCurve(0.020, 0.010, 8))
OBJECTIVE = Objective(95, 0.25)
POLICIES = ("trireme", "hpa-rps", "hpa-p95", "kpa")
SHAPES = (Shape.WAVE, Shape.BURST)
HOUR, PEAK, MOST = 3600, 5, 10
ANEW = 1000  # a seed of other requests


def run() -> str:
    """GPU-hours and late requests, by shape, balancer and policy."""
    rows = [
        (str(shape), str(balancer), policy, *_row(shape, balancer, policy))
        for shape in SHAPES
        for balancer in (Balancer.RANDOM, Balancer.POWER_OF_TWO)
        for policy in POLICIES
    ]
    header = (
        "traffic",
        "balancer",
        "policy",
        "GPU-hours: fluid",
        "by events",
        "drawn anew",
        "late: fluid",
        "by events",
        "drawn anew",
    )
    return table("Policies in the loop, over a fluid fleet and request by request", header, rows)


def _row(shape: Shape, balancer: Balancer, policy: str) -> tuple[str, ...]:
    traffic = with_peak(made(shape, HOUR), POD, OBJECTIVE, PEAK)
    on = Scenario(traffic, POD, OBJECTIVE, LeadTime(30), Bounds(1, MOST), 1, balancer)
    by_events = replace(on, by_events=True)
    found = [_score(each, policy) for each in (on, by_events, replace(by_events, seed=ANEW))]
    return (
        *(f"{each.gpu_hours:.2f}" for each in found),
        *(f"{each.outcome.late_share:.2%}" for each in found),
    )


def _score(on: Scenario, policy: str) -> Score:
    """From the pods that the first second needs; what a clairvoyant pays is not asked."""
    first = int(np.ceil(on.traffic.rate_per_second[0] / on.sustained_per_second))
    return score(on, Optimum(1.0, None, np.array([first])), policy, 1.0, lambda what, share: None)


if __name__ == "__main__":
    print(run())
