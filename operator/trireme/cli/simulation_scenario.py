"""The parts of a scenario of `trireme simulate`: from options, else an agent's file, else usual."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import typer

from trireme.api.scaling import OutsideDemand, Schedule
from trireme.autoscaler.queueing import PodShape
from trireme.autoscaler.types.policy import DemandPolicy
from trireme.cli.simulated_agent import SimulatedAgent
from trireme.cli.simulation_options import curve_of, gpus_for, lead_time_of
from trireme.simulator.class_fleet import PodClass
from trireme.simulator.fluid import LeadTime
from trireme.simulator.hours import Hours
from trireme.simulator.policy import Bounds
from trireme.simulator.scenario import Rules
from trireme.simulator.served import ServingPod
from trireme.simulator.traces import Traffic

OVER_PEAK = 2  # times the replicas of the highest rate are the most, unless said
_ROUNDING = (
    1e-9  # of a pod: 20 times what one sustains takes 20 of them, whatever the last bit says
)
_USUAL_DEMAND = OutsideDemand(query="vector(0)")  # of which only the defaults count


def required(text: str | None, option: str, instead: str = "") -> str:
    """What must be said where no agent's file tells it."""
    if text is None:
        raise typer.BadParameter(
            f"say it, {instead}or an agent that tells it, with -f", param_hint=option
        )
    return text


def pod_from(
    curve: str | None, told: SimulatedAgent | None, instances: int, noise: float
) -> ServingPod:
    """The pod of an option, else the agent's."""
    if curve is None and told is not None:
        return told.pod()
    text = required(curve, "--curve", "or --node-class, ")
    return PodShape(curve_of("--curve", text), instances, noise)


def lead_time_from(text: str | None, told: SimulatedAgent | None, variation: float) -> LeadTime:
    """The lead time of an option, else the agent's."""
    if text is None and told is not None:
        return told.lead_time()
    return lead_time_of("--lead-time", required(text, "--lead-time"), variation)


def bounds_from(
    least: int | None,
    most: int | None,
    told: SimulatedAgent | None,
    traffic: Traffic,
    least_of_pod: float,
) -> Bounds:
    """Those of options, else the agent's, else from one pod to twice the peak's."""
    if least is None:
        least = told.bounds.least if told else 1
    if most is None and told is not None:
        most = told.bounds.most
    if most is None:
        peak = float(traffic.rate_per_second.max())
        most = OVER_PEAK * math.ceil(peak / least_of_pod - _ROUNDING)
    if least > most:
        raise typer.BadParameter(
            f"{least} is more than --max-replicas {most}: lower it, or raise that",
            param_hint="--min-replicas",
        )
    return Bounds(least, most)


def schedules_from(
    least: int | None, most: int | None, told: SimulatedAgent | None
) -> tuple[Schedule, ...]:
    """The agent's, but for the bounds in whose place an option is said."""
    said = [name for name, bound in (("min", least), ("max", most)) if bound is not None]
    schedules = [
        each.model_copy(update=dict.fromkeys(said)) for each in (told.schedules if told else ())
    ]
    largest = max((each.min for each in schedules if each.min is not None), default=0)
    if most is not None and largest > most:
        raise typer.BadParameter(
            f"{most} is less than the min of one of scaling.schedules, {largest}: raise it, or say "
            "--min-replicas, too",
            param_hint="--max-replicas",
        )
    return tuple(each for each in schedules if each.min is not None or each.max is not None)


def hours_from(begins: datetime | None, traffic: Traffic, schedules: tuple[Schedule, ...]) -> Hours:
    """When the traffic comes, and the agent's schedules."""
    if begins is not None:
        begins += timedelta(seconds=traffic.start_seconds)
    if schedules and begins is None:
        raise typer.BadParameter(
            "the agent has scaling.schedules: say when the traffic begins, such as "
            "2026-03-02T06:00:00Z",
            param_hint="--start",
        )
    return Hours(begins, schedules)


def rules_from(told: SimulatedAgent | None, bounds: Bounds) -> Rules:
    """The agent's; without a pod something must tell of requests, whoever says that none may be."""
    rules = told.rules if told else Rules()
    if bounds.least > 0 or rules.demand is not None:
        return rules
    usual = _USUAL_DEMAND
    demand = DemandPolicy(usual.activation_threshold, usual.cooldown_period)
    return replace(rules, demand=demand)


def room_from(
    gpus: int | None, told: SimulatedAgent | None, classes: Sequence[PodClass], least: int
) -> int | None:
    """The pods that a GPU budget has room for; of node classes its GPUs."""
    if told is None:
        if gpus is not None:
            raise typer.BadParameter(
                "what a pod takes of it is in an agent's file: say -f, or --max-replicas",
                param_hint="--gpu-budget",
            )
        return None
    if gpus is None and told.budget is None:
        return None
    of_pods = {each.gpus for each in classes} or told.gpus
    instead = "leave it, and scaling.budget of the file, out, and say --max-replicas"
    if of_pods == {0}:
        raise typer.BadParameter(
            f"its pods have no GPU, or none that is told: {instead}", param_hint="--gpu-budget"
        )
    if not classes and len(of_pods) > 1:
        raise typer.BadParameter(
            f"the pods of its node classes have not all as many GPUs: {instead}",
            param_hint="--gpu-budget",
        )
    there = gpus_for(gpus, told.budget, min(of_pods), least)
    return there if classes else there // min(of_pods)
