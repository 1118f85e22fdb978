"""What an agent's own file answers of the questions of `trireme simulate`.

It is what `kubectl get agd NAME -o yaml` prints: the spec says what is to be kept, and by how many
pods, the status what was learnt of them.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TextIO

import typer

from trireme.api.agent import AgentDeployment
from trireme.api.node_classes import by_class
from trireme.api.scaling import Paused, ScalingMode, ScalingTarget, Schedule
from trireme.api.scaling_status import (
    CurveStatus,
    LeadTimeStatus,
    PipelineCapacityStatus,
    ScalingStatus,
)
from trireme.autoscaler.capacity import (
    MOST_CALLS,
    LearntCurve,
    calls_per_request,
    pod_shape,
    step_shapes,
)
from trireme.autoscaler.memory import curves_from_status
from trireme.autoscaler.policy import policy_of
from trireme.autoscaler.types.policy import DemandPolicy, ObjectivePolicy
from trireme.autoscaler.types.serving import ServedPipeline, Serving
from trireme.cli.specs import examine_file
from trireme.modelrepo.instances import instances_per_pod
from trireme.simulator.class_fleet import PodClass
from trireme.simulator.fluid import LeadTime
from trireme.simulator.policy import Bounds
from trireme.simulator.scenario import Objective, Rules
from trireme.simulator.served import PipelinePod, ServingPod

_OPTION = "-f"
_HOW = "write what `kubectl get agd NAME -o yaml` prints"
_P95_DEVIATIONS = 1.645  # of the normal distribution


@dataclass(frozen=True, slots=True)
class SimulatedAgent:
    """An agent, one of its objectives, and how a pod serves its model."""

    agent: AgentDeployment
    status: ScalingStatus
    asked: ObjectivePolicy
    serving: Serving | ServedPipeline
    demand: DemandPolicy | None

    @property
    def name(self) -> str:
        """`shop/support-agent`."""
        return f"{self.agent.metadata.namespace}/{self.agent.metadata.name}"

    @property
    def objective(self) -> Objective:
        """What is to be kept."""
        return Objective(self.asked.percentile, self.asked.latency_target_seconds)

    @property
    def bounds(self) -> Bounds:
        """Of the fleet, where no schedule says others."""
        return Bounds(self.agent.spec.scaling.min, self.agent.spec.scaling.max)

    @property
    def schedules(self) -> tuple[Schedule, ...]:
        """Other bounds at certain times."""
        return tuple(self.agent.spec.scaling.schedules)

    @property
    def budget(self) -> str | None:
        """The GPU budget that it shares; one of which its pods take nothing has no effect."""
        share = self.agent.spec.scaling.budget
        return None if share is None or self.gpus == {0} else share.name

    @property
    def gpus(self) -> frozenset[int]:
        """Of a pod; several numbers where its node classes have not all as many."""
        servers = by_class(self.agent.spec.server).values()
        return frozenset(each.gpus.count for each in servers)

    @property
    def rules(self) -> Rules:
        """What the spec asks of Trireme beside."""
        scaling = self.agent.spec.scaling
        return Rules(
            scaling.behavior,
            scaling.tolerance,
            self.asked.max_failure_ratio,
            scaling.target.in_flight,
            self.demand,
        )

    def otherwise(self) -> Iterator[str]:
        """What the file says that is simulated otherwise, each with how."""
        scaling = self.agent.spec.scaling
        if scaling.mode is not ScalingMode.AUTOMATIC:
            yield f"scaling.mode {scaling.mode}, as Automatic"
        if scaling.paused is not Paused.NONE:
            yield f"scaling.paused {scaling.paused}, as None"
        for model, serving in _by_model(self.asked, self.serving).items():
            if not serving.is_in_order:
                yield f"the time-out or the priorities of {model}'s queue, as one in order"
            if serving.is_delayed:
                yield f"the maxQueueDelay of {model}, as none"

    @property
    def has_several_objectives(self) -> bool:
        """Whether requests to other models come to the same gateway."""
        return len(self.agent.spec.objectives) > 1

    @property
    def has_classes(self) -> bool:
        """Whether its pods are of several node classes."""
        return bool(self.agent.spec.server.node_classes)

    def pod(self) -> ServingPod:
        """What a pod does, as was learnt. Refuses a file that does not tell."""
        status = self.status
        return self._pod(status.curves, status.pipelines, self.serving, "", "--curve")

    def lead_time(self) -> LeadTime:
        """How long one takes to start, as was measured. Refuses a file that does not tell."""
        return _lead_time(self.status.lead_time, "", "--lead-time")

    def classes(self) -> tuple[PodClass, ...]:
        """The node classes, as they were learnt. Refuses a file that does not tell of each."""
        servers = by_class(self.agent.spec.server)
        learnt = {each.name: each for each in self.status.node_classes}
        found = []
        for each in self.agent.spec.server.node_classes:
            told, of = learnt.get(each.name), f" of class {each.name}"
            server = servers[each.name]
            instances = {m.name: instances_per_pod(m, server) for m in self.agent.spec.models}
            serving = _with_instances(self.asked.model, self.serving, instances)
            curves, pipelines = (told.curves, told.pipelines) if told else ([], [])
            found.append(
                PodClass(
                    each.name,
                    each.price,
                    self._pod(curves, pipelines, serving, of, "--node-class"),
                    _lead_time(told.lead_time if told else None, of, "--node-class"),
                    each.min,
                    each.max,
                    server.gpus.count,
                )
            )
        return tuple(found)

    def _pod(
        self,
        curves: Sequence[CurveStatus],
        pipelines: Sequence[PipelineCapacityStatus],
        serving: Serving | ServedPipeline,
        of: str,
        instead: str,
    ) -> ServingPod:
        status = ScalingStatus(desired_replicas=0, curves=[*curves])
        digests = {each.model: each.model_digest for each in curves}
        told = curves_from_status(status, digests)
        known: dict[str, LearntCurve] = {}
        for model in _by_model(self.asked, serving):
            if model not in told:
                raise _unknown(f"no curve of {model}{of}", "is learnt", instead)
            known[model] = told[model][0]
        if isinstance(serving, Serving):
            return pod_shape(known[self.asked.model], serving)
        return self._pipeline(known, pipelines, serving)

    def _pipeline(
        self,
        curves: Mapping[str, LearntCurve],
        pipelines: Sequence[PipelineCapacityStatus],
        served: ServedPipeline,
    ) -> PipelinePod:
        """As the operator has it, but for queues that reject or prefer some."""
        name = self.asked.model
        counted = [each.steps for each in pipelines if each.model == name]
        before = {step.model: step.per_request for step in counted[0]} if counted else None
        calls = calls_per_request((), name, served, before)
        if max(calls.values()) > MOST_CALLS:
            often = max(calls, key=lambda model: calls[model])
            raise typer.BadParameter(
                f"{often} is called {calls[often]:g} times for each request to {name}, mostly by "
                f"others: what a pod does of {name} follows from them; say --curve, --slo and "
                "--lead-time",
                param_hint=_OPTION,
            )
        in_order = ServedPipeline(
            tuple(replace(step, serving=_in_order(step.serving)) for step in served.steps)
        )
        models = tuple(step.model for step in served.steps)
        return PipelinePod(tuple(step_shapes(curves, calls, in_order)), models)


def read(file: TextIO, model: str | None) -> SimulatedAgent:
    """The agent of a file, by the objective of that model where it has several.

    A file that cannot be used is told and ended with 1, one that says too little is refused.
    """
    examined = examine_file(file)
    faults = [f"{one.name}: {fault}" for one in examined for fault in one.faults]
    if faults:
        for fault in faults:
            typer.echo(fault, err=True)
        raise typer.Exit(1)
    if len(examined) > 1:
        names = ", ".join(one.name for one in examined)
        raise typer.BadParameter(
            f"the agents {names} are in it, and are not simulated together: write one",
            param_hint=_OPTION,
        )
    (one,) = examined
    assert one.agent is not None  # noqa: S101  # one that could not be read has a fault
    spec = one.agent.spec
    # A target that was set by hand is followed as such; how a pod serves is asked all the same.
    free = spec.scaling.model_copy(update={"target": ScalingTarget()})
    policy = policy_of(spec.model_copy(update={"scaling": free}))
    asked = _objective(policy.objectives, model)
    if asked.serving is None:
        raise typer.BadParameter(
            f"what a pod does of {asked.model} is no curve, since it, or a step of it, has no "
            "queue that could be simulated: leave it out, and say --curve, --slo and --lead-time",
            param_hint=_OPTION,
        )
    told = one.agent.status.scaling or ScalingStatus(desired_replicas=0)
    return SimulatedAgent(one.agent, told, asked, asked.serving, policy.demand)


def _by_model(asked: ObjectivePolicy, serving: Serving | ServedPipeline) -> Mapping[str, Serving]:
    return replace(asked, serving=serving).served_models


def _with_instances(
    model: str, serving: Serving | ServedPipeline, instances: Mapping[str, int]
) -> Serving | ServedPipeline:
    """The same in pods that have so many of each model."""
    if isinstance(serving, Serving):
        return replace(serving, instances=instances[model])
    return ServedPipeline(
        tuple(
            replace(step, serving=replace(step.serving, instances=instances[step.model]))
            for step in serving.steps
        )
    )


def _in_order(serving: Serving) -> Serving:
    return replace(serving, timeout_seconds=math.inf, has_priorities=False)


def _objective(objectives: Sequence[ObjectivePolicy], model: str | None) -> ObjectivePolicy:
    named = [each for each in objectives if model in (None, each.model)]
    if len(named) == 1:
        return named[0]
    models = ", ".join(each.model for each in objectives)
    if not objectives:
        raise typer.BadParameter("the agent has no objective: give it one", param_hint=_OPTION)
    said = "say which" if model is None else f"{model!r} is none of them"
    raise typer.BadParameter(f"the agent has objectives of {models}: {said}", param_hint="--model")


def _lead_time(told: LeadTimeStatus | None, of: str, instead: str) -> LeadTime:
    """The lognormal distribution that has the median and the p95 that were measured."""
    if told is None:
        raise _unknown(f"no lead time{of}", "was measured", instead)
    if not told.median_seconds:
        return LeadTime(told.p95_seconds)
    deviation = math.log(max(told.p95_seconds / told.median_seconds, 1.0)) / _P95_DEVIATIONS
    mean = told.median_seconds * math.exp(deviation**2 / 2)
    return LeadTime(mean, math.sqrt(math.expm1(deviation**2)))


def _unknown(what: str, until: str, instead: str) -> typer.BadParameter:
    return typer.BadParameter(
        f"its status has {what}: {_HOW} once one {until}, or say {instead}", param_hint=_OPTION
    )
