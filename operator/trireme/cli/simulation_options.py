"""What the options of `trireme simulate` say, read and judged one by one."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import typer

from trireme.api import names
from trireme.api.scalars import format_duration, parse_duration, parse_ratio
from trireme.autoscaler.queueing import PodShape
from trireme.autoscaler.service_curve import ServiceCurve
from trireme.cli.simulation_tables import MOMENT
from trireme.errors import UnattainableObjective
from trireme.simulator.class_fleet import PodClass
from trireme.simulator.contenders import CONTENDERS, OF_ONE_MODEL
from trireme.simulator.failures import Failures
from trireme.simulator.fluid import LeadTime
from trireme.simulator.scenario import Objective, sustained
from trireme.simulator.served import PipelinePod, ServingPod
from trireme.simulator.shapes import Shape

T = TypeVar("T")

NAMES = ", ".join(CONTENDERS)
LONGEST_LEAD_SECONDS = 3600
_SLO = re.compile(r"p([1-9][0-9]?)=(.+)")
_DEATHS, _OUTAGES = re.compile(r"deaths=(\d{1,3}(?:\.\d+)?)"), re.compile(r"outages=(\d{1,3})x(.+)")
_LONGEST_OUTAGE_SECONDS = 86400
_MOST_BATCH = 1024
_MOST_DEATHS = 60  # of a pod an hour: one a minute, before most have served for long
_SHAPE = "--shape"
_SHORTEST_SHAPE_SECONDS, _LONGEST_SHAPE_SECONDS = 1200, 31 * 86400
_CLASS, _BUDGET = "--node-class", "--gpu-budget"
_CLASS_EXAMPLE = "l4,0.28,12ms,4ms,16,90s"
_NAME = re.compile(names.NODE_CLASS_PATTERN)
_PRICE = re.compile(r"\d{1,6}(\.\d{1,6})?")
_FIRST_YEAR, _LAST_YEAR = 1970, 9990


def names_of(text: str) -> list[str]:
    """The policies."""
    told = list(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in told:
        if name not in CONTENDERS:
            raise typer.BadParameter(
                f"there is no policy {name!r}: write some of {NAMES}", param_hint="--policies"
            )
    return told


def refuse_of_pipelines(pods: Sequence[ServingPod], policies: Sequence[str], events: bool) -> None:
    """What is simulated of one model only is not passed over where there are several."""
    if not any(isinstance(pod, PipelinePod) for pod in pods):
        return
    if by_queue := sorted(OF_ONE_MODEL.intersection(policies)):
        raise typer.BadParameter(
            f"{by_queue[0]} goes by one model's queue, and a pipeline has several: leave it out",
            param_hint="--policies",
        )
    if events:
        raise typer.BadParameter(
            "requests are served one by one of one model, and this is a pipeline: leave it out",
            param_hint="--events",
        )


def gpus_for(gpus: int | None, budget: str | None, of_pod: int, least: int) -> int:
    """The GPUs of a budget, which must do for the fewest pods, of so many GPUs each at least."""
    if gpus is None:
        raise typer.BadParameter(
            f"scaling.budget is {budget}, and how many GPUs that has is in the operator's "
            "settings: say how many of them this agent may have",
            param_hint=_BUDGET,
        )
    fewest = max(least, 1)
    if gpus < fewest * of_pod:
        raise typer.BadParameter(
            f"{gpus} is less than the fewest pods take, {fewest} of {of_pod} GPUs each: raise it, "
            "or lower scaling.min",
            param_hint=_BUDGET,
        )
    return gpus


def _is_class(name: str) -> bool:
    """Whether a node class of an agent may be called so."""
    is_short = len(name) <= names.NODE_CLASS_MAX_LENGTH
    return bool(is_short and _NAME.fullmatch(name)) and name not in names.RESERVED_CLASSES


def curve_of(option: str, text: str) -> ServiceCurve:
    """What a batch takes, and the largest one."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 3:
        raise typer.BadParameter(
            f"{text!r} is not two durations and a batch size: write 6ms,2ms,16", param_hint=option
        )
    fixed, each = (seconds_of(option, part) for part in parts[:2])
    if not (parts[2].isdecimal() and 1 <= int(parts[2]) <= _MOST_BATCH):
        raise typer.BadParameter(
            f"{parts[2]!r} is not a batch size from 1 to {_MOST_BATCH}: write 6ms,2ms,16",
            param_hint=option,
        )
    if fixed + each == 0:
        raise typer.BadParameter(f"{text!r} takes no time: write 6ms,2ms,16", param_hint=option)
    return ServiceCurve(fixed, each, int(parts[2]))


def lead_time_of(option: str, text: str, variation: float) -> LeadTime:
    """From the order of a pod to its first answer."""
    return LeadTime(seconds_of(option, text, LONGEST_LEAD_SECONDS), variation)


def classes_of(
    texts: Sequence[str], instances: int, noise: float, lead_variation: float
) -> tuple[PodClass, ...]:
    """The node classes, each its name, its price, its curve and its lead time."""
    found: dict[str, PodClass] = {}
    for text in texts:
        parts = [part.strip() for part in text.split(",")]
        if len(parts) != 6:
            raise typer.BadParameter(
                f"{text!r} is not a name, a price, a curve and a lead time: write {_CLASS_EXAMPLE}",
                param_hint=_CLASS,
            )
        name, price, lead = parts[0], parts[1], parts[5]
        if not _is_class(name) or name in found:
            wrong = "is there twice" if name in found else "is no name of a class"
            most = names.NODE_CLASS_MAX_LENGTH
            raise typer.BadParameter(
                f"{name!r} {wrong}: write up to {most} small letters and digits, each name once, "
                f"none of them {', '.join(sorted(names.RESERVED_CLASSES))}",
                param_hint=_CLASS,
            )
        if not _PRICE.fullmatch(price) or float(price) == 0:
            raise typer.BadParameter(
                f"{price!r} is not the price of a pod for an hour: write 0.28", param_hint=_CLASS
            )
        pod = PodShape(curve_of(_CLASS, ",".join(parts[2:5])), instances, noise)
        lead_time = lead_time_of(_CLASS, lead, lead_variation)
        found[name] = PodClass(name, float(price), pod, lead_time)
    return tuple(found.values())


def least_sustained(objective: Objective, pods: Sequence[tuple[str, ServingPod]]) -> float:
    """What a pod of the slowest sort sustains, each named by the option that says its curve."""
    limit = format_duration(timedelta(seconds=objective.limit_seconds))
    slo = f"p{objective.percentile}={limit}"
    rates = []
    for option, pod in pods:
        try:
            rates.append(sustained(pod, objective))
        except UnattainableObjective as error:
            raise typer.BadParameter(
                f"{slo} cannot be kept: {error} with this {option}; raise the limit, or lower "
                f"{option}",
                param_hint="--slo",
            ) from error
    return min(rates)


def objective_of(text: str) -> Objective:
    """So many percent within a limit."""
    match = _SLO.fullmatch(text.strip())
    if match is None:
        raise typer.BadParameter(
            f"{text!r} is not a percentile from p1 to p99 and a duration: write p95=100ms",
            param_hint="--slo",
        )
    return Objective(int(match[1]), seconds_of("--slo", match[2]))


def shape_of(text: str) -> tuple[Shape, int]:
    """`burst=2h`: a shape, and for how many seconds."""
    name, _, length = text.partition("=")
    if name not in set(Shape):
        raise typer.BadParameter(
            f"there is no shape {name!r}: write one of {', '.join(Shape)}", param_hint=_SHAPE
        )
    seconds = int(seconds_of(_SHAPE, length or "1h", _LONGEST_SHAPE_SECONDS))
    if seconds < _SHORTEST_SHAPE_SECONDS:
        raise typer.BadParameter(f"{length} is too short: write 20m or more", param_hint=_SHAPE)
    return Shape(name), seconds


def failures_of(text: str) -> Failures:
    """`deaths=0.02,outages=3x10m`, either or both."""
    found = Failures()
    for part in filter(None, (part.strip() for part in text.split(","))):
        if match := _DEATHS.fullmatch(part):
            if float(match[1]) > _MOST_DEATHS:
                raise typer.BadParameter(
                    f"{part!r} is more than one death a minute: write deaths={_MOST_DEATHS} or "
                    "less, of each pod an hour",
                    param_hint="--failures",
                )
            found = replace(found, deaths_per_pod_hour=float(match[1]))
        elif match := _OUTAGES.fullmatch(part):
            seconds = int(seconds_of("--failures", match[2], _LONGEST_OUTAGE_SECONDS))
            found = replace(found, outages=int(match[1]), outage_seconds=seconds)
        else:
            raise typer.BadParameter(
                f"{part!r} is no failure: write deaths=0.02 or outages=3x10m",
                param_hint="--failures",
            )
    return found


def seconds_of(option: str, text: str, most: float | None = None) -> float:
    """A duration."""
    seconds = parsed(option, text, parse_duration).total_seconds()
    if most is not None and seconds > most:
        raise typer.BadParameter(
            f"{text!r} is too long: write {most:g}s or less", param_hint=option
        )
    return seconds


def ratio_of(option: str, text: str) -> float:
    """A percentage, as a share."""
    return parsed(option, text, parse_ratio)


def parsed(option: str, text: str, parser: Callable[[object], T]) -> T:
    """Whatever a parser makes of an option's text."""
    try:
        return parser(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def moment(option: str, told: datetime) -> datetime:
    """In UTC; all that is reckoned from it is a date, too."""
    if not _FIRST_YEAR <= told.year <= _LAST_YEAR:
        raise typer.BadParameter(
            f"{told:{MOMENT}} is not in the years {_FIRST_YEAR} to {_LAST_YEAR}: write one of them",
            param_hint=option,
        )
    return told.replace(tzinfo=UTC)
