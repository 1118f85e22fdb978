"""Faults of spec.server.nodeClasses. Pure.

What a class says of its pods is judged with all other rules, once for each class (`check`).
"""

from collections.abc import Iterator

from trireme.admission.places import repeated
from trireme.api import names
from trireme.api.agent import AgentSpec
from trireme.api.node_classes import by_class
from trireme.api.optimization import OptimizationMode
from trireme.api.scaling import Scaling, ScalingMode, Schedule
from trireme.api.tuning import TuningMode
from trireme.errors import Fault

_PATH = "spec.server.nodeClasses"


def class_name_repeats(spec: AgentSpec) -> Iterator[Fault]:
    """A class is known by its name."""
    yield from repeated(_PATH, "name", (each.name for each in spec.server.node_classes))


def class_name_is_taken(spec: AgentSpec) -> Iterator[Fault]:
    """Its Deployment would be called as another of the agent's."""
    for index, each in enumerate(spec.server.node_classes):
        if each.name in names.RESERVED_CLASSES:
            yield Fault(
                f"{_PATH}[{index}].name",
                each.name,
                f"{each.name} is the name of other pods of an agent",
                "Name the class by its nodes, such as a100 or spot",
            )


def class_bounds_exclude_each_other(spec: AgentSpec) -> Iterator[Fault]:
    """Of one class, and of all together with those of the agent, at any time."""
    classes = spec.server.node_classes
    for index, each in enumerate(classes):
        if each.max is not None and each.min > each.max:
            yield Fault(
                f"{_PATH}[{index}].min",
                each.min,
                "min must not be greater than max",
                "Lower min, or raise max",
            )
    least = sum(each.min for each in classes)
    told = [each.max for each in classes if each.max is not None]
    for place, bounds in _bounds(spec):
        if bounds.max is not None and least > bounds.max:
            yield Fault(
                _PATH,
                least,
                f"the classes have {least} pods at least, more than {place}.max {bounds.max}",
                f"Lower the classes' min, or raise {place}.max",
            )
        if bounds.min is None:
            continue
        if classes and len(told) == len(classes) and sum(told) < bounds.min:
            yield Fault(
                _PATH,
                sum(told),
                f"the classes have {sum(told)} pods at most, fewer than {place}.min {bounds.min}",
                f"Raise the classes' max, or lower {place}.min",
            )
        if bounds.min == 0 and least > 0:
            yield Fault(
                _PATH,
                least,
                f"{place}.min 0 asks for no pods at times, and the classes have {least} at least",
                f"Remove the classes' min, or raise {place}.min",
            )


def _bounds(spec: AgentSpec) -> Iterator[tuple[str, Scaling | Schedule]]:
    """The bounds of all classes together, and those of schedules."""
    yield "scaling", spec.scaling
    for index, schedule in enumerate(spec.scaling.schedules):
        yield f"scaling.schedules[{index}]", schedule


def class_is_none_of_its_own(spec: AgentSpec) -> Iterator[Fault]:
    """The scheduler would not tell their nodes apart, and their prices would mean nothing."""
    seen: dict[str, int] = {}
    servers = by_class(spec.server)
    for index, each in enumerate(spec.server.node_classes):
        text = servers[each.name].model_dump_json(include={"gpus", "resources", "placement"})
        if text in seen:
            other = spec.server.node_classes[seen[text]].name
            if other != each.name:
                yield Fault(
                    f"{_PATH}[{index}]",
                    each.name,
                    f"the pods of {each.name} are those of {other}: nothing but the price differs",
                    "Give it a placement.nodeSelector that only its nodes have",
                )
        seen.setdefault(text, index)


def classes_of_another_mode(spec: AgentSpec) -> Iterator[Fault]:
    """Who decides on one number says nothing of the classes."""
    mode = spec.scaling.mode
    if spec.server.node_classes and mode is not ScalingMode.AUTOMATIC:
        yield Fault(
            "spec.scaling.mode",
            str(mode),
            f"mode {mode} says how many pods there are, and not of which class",
            "Set it to Automatic, with scaling.paused All to see what Trireme would do; or remove "
            "server.nodeClasses",
        )


def setting_is_applied_to_classes(spec: AgentSpec) -> Iterator[Fault]:
    """What it gains is learnt of pods that are all alike."""
    if not spec.server.node_classes:
        return
    modes = {
        "spec.tuning.mode": spec.tuning.mode,
        "spec.optimization.mode": spec.optimization and spec.optimization.mode,
    }
    for path, mode in modes.items():
        if mode in (TuningMode.APPLY, OptimizationMode.APPLY):
            yield Fault(
                path,
                "Apply",
                "a setting is tried and learnt of on pods of one kind, and these are of several "
                "node classes",
                "Use Recommend, or make an agent of each class",
            )
