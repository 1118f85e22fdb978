"""Faults of spec.scaling.schedules. Pure."""

from collections.abc import Iterator

from trireme.admission.words import nearest
from trireme.api.agent import AgentSpec
from trireme.api.scaling import ScalingMode, Schedule
from trireme.autoscaler.schedules import cron_fault, time_zones
from trireme.errors import Fault


def schedule_is_no_cron_expression(spec: AgentSpec) -> Iterator[Fault]:
    """It would never open a window, or nobody knows when."""
    for place, schedule in _places(spec):
        if (wrong := cron_fault(schedule.schedule)) is not None:
            yield Fault(
                f"{place}.schedule",
                schedule.schedule,
                wrong,
                "Write minute (0-59), hour (0-23), day of month (1-31), month (1-12) and day of "
                "week (0-7, Sunday is 0 and 7), such as 0 8 * * 1-5",
            )


def time_zone_is_unknown(spec: AgentSpec) -> Iterator[Fault]:
    """No clock goes by that name. `Local` is none either: it would be the operator's."""
    for place, schedule in _places(spec):
        if schedule.time_zone not in time_zones():
            near = nearest(schedule.time_zone, _time_zones_to_propose())
            yield Fault(
                f"{place}.timeZone",
                schedule.time_zone,
                "there is no such time zone",
                f"Did you mean {near}?"
                if near
                else "Write UTC, or a place as the time zone database names it: Europe/Berlin",
            )


def _time_zones_to_propose() -> list[str]:
    """UTC and places: EST is spelled nearly as CEST, and Etc/GMT+1 lies on the other side."""
    places = (name for name in time_zones() if "/" in name and not name.startswith("Etc/"))
    return ["UTC", *sorted(places)]


def schedule_sets_no_bound(spec: AgentSpec) -> Iterator[Fault]:
    """Its windows would change nothing."""
    for place, schedule in _places(spec):
        if schedule.min is None and schedule.max is None:
            yield Fault(place, None, "one of min and max must be set", "Set min, max or both")


def schedule_leaves_no_size(spec: AgentSpec) -> Iterator[Fault]:
    """Bounds that no number lies within, while its window is open alone."""
    scaling = spec.scaling
    for place, schedule in _places(spec):
        least, most = schedule.min, schedule.max
        if least is not None and most is not None:
            if least > most:
                yield Fault(
                    f"{place}.min",
                    least,
                    "min must not be greater than max",
                    f"Write {most} or less, or raise max",
                )
        elif least is not None and least > scaling.max:
            yield Fault(
                f"{place}.min",
                least,
                f"min must not be greater than scaling.max {scaling.max}, which holds where the "
                "schedule sets no max",
                f"Write {scaling.max} or less, set a max beside it, or raise scaling.max",
            )
        elif most is not None and most < scaling.min:
            yield Fault(
                f"{place}.max",
                most,
                f"max must not be less than scaling.min {scaling.min}, which holds where the "
                "schedule sets no min",
                f"Write {scaling.min} or more, set a min beside it, or lower scaling.min",
            )


def schedules_of_another_mode(spec: AgentSpec) -> Iterator[Fault]:
    """Somebody else decides on the size, and no bound is kept."""
    mode = spec.scaling.mode
    if spec.scaling.schedules and mode in (ScalingMode.FIXED, ScalingMode.EXTERNAL):
        yield Fault(
            "spec.scaling.schedules",
            None,
            f"schedules have no effect in mode {mode}",
            "Set scaling.mode to Automatic, or remove them",
        )


def _places(spec: AgentSpec) -> Iterator[tuple[str, Schedule]]:
    for index, schedule in enumerate(spec.scaling.schedules):
        yield f"spec.scaling.schedules[{index}]", schedule
