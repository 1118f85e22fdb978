"""Faults of spec.objectives, spec.replicas and spec.scaling. Pure.

Some of these the API server refuses by CEL, in the same words; a file it has never seen, and an
older CustomResourceDefinition, are why they are here too.
"""

from collections.abc import Iterator

from trireme.admission.rules.pipelines import decoupled_names
from trireme.admission.words import did_you_mean
from trireme.api.agent import AgentSpec
from trireme.api.scaling import Scaling, ScalingMode
from trireme.errors import Fault


def objective_names_unknown_model(spec: AgentSpec) -> Iterator[Fault]:
    """Neither a model nor a pipeline of this spec."""
    known = [*(model.name for model in spec.models), *(line.name for line in spec.pipelines)]
    for index, objective in enumerate(spec.objectives):
        if objective.model not in known:
            yield Fault(
                f"spec.objectives[{index}].model",
                objective.model,
                f"there is no model or pipeline {objective.model}",
                did_you_mean(objective.model, known, otherwise="There are"),
            )


def automatic_without_objective(spec: AgentSpec) -> Iterator[Fault]:
    """Nothing says what the fleet is to keep."""
    if spec.scaling.mode is ScalingMode.AUTOMATIC and not spec.objectives:
        yield Fault(
            "spec.objectives",
            None,
            "mode Automatic needs at least one objective",
            "Add one, or set scaling.mode to Fixed and replicas to a number",
        )


def automatic_with_replicas(spec: AgentSpec) -> Iterator[Fault]:
    """Two would decide."""
    if spec.scaling.mode is ScalingMode.AUTOMATIC and spec.replicas is not None:
        yield Fault(
            "spec.replicas",
            spec.replicas,
            "replicas must not be set in mode Automatic: set scaling.min and scaling.max",
            "Remove replicas, or set scaling.mode to Fixed",
        )


def replicas_missing(spec: AgentSpec) -> Iterator[Fault]:
    """Nobody would decide, or nothing could: without a value /scale answers with an error."""
    if spec.scaling.mode is not ScalingMode.AUTOMATIC and spec.replicas is None:
        yield Fault(
            "spec.replicas",
            None,
            "replicas is required in every mode but Automatic; in External it is the size to start "
            "with, which the autoscaler then changes",
            "Set it to a number",
        )


def fewest_exceeds_most(spec: AgentSpec) -> Iterator[Fault]:
    """Bounds that no number lies within."""
    if spec.scaling.min > spec.scaling.max:
        yield Fault(
            "spec.scaling.min",
            spec.scaling.min,
            "min must not be greater than max",
            f"Write {spec.scaling.max} or less, or raise max",
        )


def none_without_demand(spec: AgentSpec) -> Iterator[Fault]:
    """From no pods nothing would ever be started: only pods tell of requests."""
    scaling = spec.scaling
    if scaling.demand is not None:
        return
    least = {"spec.scaling.min": scaling.min}
    least |= {
        f"spec.scaling.schedules[{index}].min": schedule.min
        for index, schedule in enumerate(scaling.schedules)
        if schedule.min is not None
    }
    for path, replicas in least.items():
        if replicas == 0:
            yield Fault(
                path,
                replicas,
                "min 0 needs scaling.demand: without a pod nothing else tells of requests",
                "Write 1, or set scaling.demand.query to PromQL that gives the requests a second "
                "in front of the agent",
            )


def demand_query_is_blank(spec: AgentSpec) -> Iterator[Fault]:
    """Prometheus would refuse it in every round."""
    demand = spec.scaling.demand
    if demand is not None and not demand.query.strip():
        yield Fault(
            "spec.scaling.demand.query",
            demand.query,
            "a query of spaces asks for nothing",
            "Write PromQL that gives the requests a second in front of the agent",
        )


def setting_of_another_mode(spec: AgentSpec) -> Iterator[Fault]:
    """Somebody else decides on the size, and nobody reads it. The API server writes out defaults:
    what equals them is nothing that a user has set.
    """
    if spec.scaling.mode.is_decided_by_trireme:
        return
    unset = Scaling()
    for field in ("min", "max", "demand", "target", "tolerance", "behavior", "paused"):
        if getattr(spec.scaling, field) != getattr(unset, field):
            yield Fault(
                f"spec.scaling.{field}",
                None,
                f"{field} has no effect in mode {spec.scaling.mode}",
                "Set scaling.mode to Automatic, or remove it",
            )


def objective_is_of_streams(spec: AgentSpec) -> Iterator[Fault]:
    """The gateway measures what is answered once. Of several objectives Triton's own figures are
    read, which know of streams.
    """
    is_sized = spec.scaling.mode.is_decided_by_trireme and spec.scaling.target.in_flight is None
    if not is_sized or not spec.gateway.enabled or len(spec.objectives) != 1:
        return
    (objective,) = spec.objectives
    if objective.model in decoupled_names(spec):
        yield Fault(
            "spec.objectives[0].latency",
            None,
            f"{objective.model} may answer several times, so it is asked by streams, of which the "
            "gateway tells neither latency nor failures: the number of pods goes by what is in "
            "flight, and by /generate where clients use that",
            "Set scaling.target.inFlight to what a pod is to have at a time; or without a gateway, "
            "from 24.11 on, Triton itself tells how long a first answer takes",
        )


def budget_without_gpus(spec: AgentSpec) -> Iterator[Fault]:
    """Its pods take nothing of what is shared."""
    if spec.scaling.budget is not None and spec.server.gpus.count == 0:
        yield Fault(
            "spec.scaling.budget",
            None,
            "budget has no effect where a pod has no GPU",
            "Set server.gpus.count to 1 or more, or remove budget",
        )
