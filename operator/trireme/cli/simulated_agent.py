"""What an agent's own file answers of the questions of `trireme simulate`.

It is what `kubectl get agd NAME -o yaml` prints: the spec says what is to be kept, and by how many
pods, the status what was learnt of them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TextIO

import typer

from trireme.api.models import Model
from trireme.api.node_classes import by_class
from trireme.api.types import (
    AgentDeployment,
    AgentSpec,
    CurveStatus,
    LeadTimeStatus,
    ScalingStatus,
    ScalingTarget,
)
from trireme.autoscaler.capacity import pod_shape
from trireme.autoscaler.memory import curves_from_status
from trireme.autoscaler.policy import policy_of
from trireme.autoscaler.queueing import PodShape
from trireme.autoscaler.types import ObjectivePolicy, Serving
from trireme.cli.specs import examine_file
from trireme.modelrepo.instances import instances_per_pod
from trireme.simulator.class_fleet import PodClass
from trireme.simulator.fluid import LeadTime
from trireme.simulator.policy import Bounds
from trireme.simulator.scenario import Objective, Rules

_OPTION = "-f"
_HOW = "write what `kubectl get agd NAME -o yaml` prints"
_P95_DEVIATIONS = 1.645  # of the normal distribution


@dataclass(frozen=True, slots=True)
class SimulatedAgent:
    """An agent, one of its objectives, and how a pod serves its model."""

    agent: AgentDeployment
    status: ScalingStatus
    asked: ObjectivePolicy
    serving: Serving

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
        """Of the fleet; the last pod stays, since nothing outside the pods is simulated."""
        scaling = self.agent.spec.scaling
        return Bounds(max(scaling.min, 1), scaling.max)

    @property
    def rules(self) -> Rules:
        """What the spec asks of Trireme beside."""
        scaling = self.agent.spec.scaling
        return Rules(
            scaling.behavior,
            scaling.tolerance,
            self.asked.max_failure_ratio,
            scaling.target.in_flight,
        )

    @property
    def has_several_objectives(self) -> bool:
        """Whether requests to other models come to the same gateway."""
        return len(self.agent.spec.objectives) > 1

    @property
    def has_classes(self) -> bool:
        """Whether its pods are of several node classes."""
        return bool(self.agent.spec.server.node_classes)

    def pod(self) -> PodShape:
        """What a pod does, as was learnt. Refuses a file that does not tell."""
        return self._pod(self.status.curves, self.serving, "", "--curve")

    def lead_time(self) -> LeadTime:
        """How long one takes to start, as was measured. Refuses a file that does not tell."""
        return _lead_time(self.status.lead_time, "", "--lead-time")

    def classes(self) -> tuple[PodClass, ...]:
        """The node classes, as they were learnt. Refuses a file that does not tell of each."""
        servers, model = by_class(self.agent.spec.server), _model(self.agent.spec, self.asked.model)
        learnt = {each.name: each for each in self.status.node_classes}
        found = []
        for each in self.agent.spec.server.node_classes:
            told, of = learnt.get(each.name), f" of class {each.name}"
            serving = replace(self.serving, instances=instances_per_pod(model, servers[each.name]))
            found.append(
                PodClass(
                    each.name,
                    each.price,
                    self._pod(told.curves if told else (), serving, of, "--node-class"),
                    _lead_time(told.lead_time if told else None, of, "--node-class"),
                    each.min,
                    each.max,
                )
            )
        return tuple(found)

    def _pod(
        self, curves: Sequence[CurveStatus], serving: Serving, of: str, instead: str
    ) -> PodShape:
        status = ScalingStatus(desired_replicas=0, curves=[*curves])
        digests = {each.model: each.model_digest for each in curves}
        known = curves_from_status(status, digests).get(self.asked.model)
        if known is None:
            raise _unknown(f"no curve of {self.asked.model}{of}", "is learnt", instead)
        return pod_shape(known[0], serving)


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
        raise typer.BadParameter(f"the agents {names} are in it: write one", param_hint=_OPTION)
    (one,) = examined
    assert one.agent is not None  # noqa: S101  # one that could not be read has a fault
    spec = one.agent.spec
    # A target that was set by hand is followed as such; how a pod serves is asked all the same.
    free = spec.scaling.model_copy(update={"target": ScalingTarget()})
    asked = _objective(policy_of(spec.model_copy(update={"scaling": free})).objectives, model)
    if not isinstance(asked.serving, Serving):
        raise typer.BadParameter(
            f"what a pod does of {asked.model} is no curve, since it is a pipeline or has no queue "
            "that could be simulated: leave it out, and say --curve, --slo and --lead-time",
            param_hint=_OPTION,
        )
    told = one.agent.status.scaling or ScalingStatus(desired_replicas=0)
    return SimulatedAgent(one.agent, told, asked, asked.serving)


def _objective(objectives: Sequence[ObjectivePolicy], model: str | None) -> ObjectivePolicy:
    named = [each for each in objectives if model in (None, each.model)]
    if len(named) == 1:
        return named[0]
    models = ", ".join(each.model for each in objectives)
    if not objectives:
        raise typer.BadParameter("the agent has no objective: give it one", param_hint=_OPTION)
    said = "say which" if model is None else f"{model!r} is none of them"
    raise typer.BadParameter(f"the agent has objectives of {models}: {said}", param_hint="--model")


def _model(spec: AgentSpec, name: str) -> Model:
    return next(each for each in spec.models if each.name == name)


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
