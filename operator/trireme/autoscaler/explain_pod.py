"""What `trireme explain` says of what a pod can do, and of how that is known. Pure."""

import math
from collections.abc import Iterator
from datetime import datetime

from trireme.api.scaling_status import CurveStatus, PipelineCapacityStatus
from trireme.api.status import AgentStatus
from trireme.autoscaler.capacity import APART, LEAST_EXECUTIONS, due_seconds
from trireme.autoscaler.explain_known import Told
from trireme.autoscaler.factor import initial as initial_factor
from trireme.autoscaler.memory import curves_from_status
from trireme.autoscaler.targets import initial as initial_target
from trireme.autoscaler.types.capacity import Capacity, OutOfReach
from trireme.autoscaler.types.policy import ObjectivePolicy
from trireme.autoscaler.wording import age, lasting, number, pod_count


def pod(told: Told, status: AgentStatus, now: datetime) -> Iterator[str]:
    """What one pod can do, and how that is known."""
    if told.policy is None or not told.policy.mode.is_decided_by_trireme:
        return
    several = len(told.policy.objectives) > 1
    for objective in told.policy.objectives:
        named = f"{objective.model}: " if several else ""
        yield f"{named}{_sustains(objective, told, status)}"
        if due := _due(objective, told, status):
            yield f"{named}{due}"
    unanswered = status.scaling.unanswered if status.scaling else None
    if unanswered is not None:
        since = age(now - datetime.fromisoformat(unanswered.since))
        yield (
            f"No look at its server has succeeded for {since}, and nothing is learnt of it: "
            f"{unanswered.message}."
        )


def _sustains(objective: ObjectivePolicy, told: Told, status: AgentStatus) -> str:
    aimed = number(initial_target(objective, told.memory).in_flight_per_pod)
    meanwhile = f"requests in flight decide, {aimed} for each pod"
    slo = f"p{objective.percentile} within {milliseconds(objective)}"
    curves = {curve.model: curve for curve in status.scaling.curves} if status.scaling else {}
    curve = curves.get(objective.model)
    stands_on = ""
    if curve is not None:
        varies = f", whose times vary by {number(curve.noise * 100)} %" if curve.noise else ""
        stands_on = f", from {curve.executions} batches{varies}"
    match told.capacities.get(objective.model):
        case _ if objective.fixed_target:
            return f"It is to hold {aimed} requests in flight: scaling.target.inFlight says so."
        case Capacity(per_second, learnt):
            factor = initial_factor(objective.model, told.memory).factor
            return (
                f"It sustains {number(per_second * factor)} requests/s with {slo}. That is learnt"
                f"{stands_on}: {learnt}. {_confidence(per_second, factor)}"
            )
        case OutOfReach(least_seconds, learnt):
            idle = number(least_seconds * 1e3)
            return (
                f"None keeps {slo}, however many there are: an idle one takes {idle} ms. That is "
                f"learnt{stands_on}: {learnt}. So {meanwhile}."
            )
        case _:
            pass
    if objective.serving is None:
        why = "of sequences, delayed queues and several answers to a request no rate is learnt"
    elif curve is not None:
        why = "its curve is known, and the rate that follows is not computed yet"
    elif status.scaling and status.scaling.unanswered:
        why = "its server cannot be asked what it executes"
    else:
        why = (
            f"to learn it takes {LEAST_EXECUTIONS} batches, the largest {number(APART)} times the "
            "smallest"
        )
    return f"What it sustains is not known ({why}); {meanwhile}."


def _due(objective: ObjectivePolicy, told: Told, status: AgentStatus) -> str | None:
    """Which latency follows from what was learnt at the load that was seen; None where none does,
    and where it has no end.
    """
    load = told.load
    curves = status.scaling.curves if status.scaling else []
    learnt, _ = curves_from_status(
        status.scaling, {each.model: each.model_digest for each in curves}
    ).get(objective.model, (None, None))
    if load is None or load.model != objective.model or learnt is None or told.by_class:
        return None
    due = due_seconds(learnt, objective, told.ready, load.rate_per_second)
    if due is None or math.isinf(due):
        return None
    if told.beside_canary:
        return "Which latency is due is not told while a canary answers a part of the requests."
    each = f"{number(load.rate_per_second / told.ready)} requests/s"
    chosen = told.ready > 1 and objective.gateways
    by = ", each sent by the gateway to the less busy of two" if chosen else ""
    return (
        f"At {each} for each of {pod_count(told.ready)}{by}, p{objective.percentile} of "
        f"{number(due * 1e3)} ms is due by that."
    )


def _confidence(per_second: float, factor: float) -> str:
    if factor == 1:
        return "Nothing that was seen since contradicts it."
    less = "less" if factor < 1 else "more"
    return (
        f"What was seen since says {less}: the curve's {number(per_second)} are multiplied by "
        f"{number(factor)}."
    )


def classes(told: Told, status: AgentStatus) -> Iterator[str]:
    """What each node class has and can do, by the status."""
    prices = {each.name: each.price for each in told.policy.classes} if told.policy else {}
    for each in status.scaling.node_classes if status.scaling else ():
        learnt: list[CurveStatus | PipelineCapacityStatus] = [*each.curves, *each.pipelines]
        rates = [
            number(known.sustained_per_second * known.factor)
            for known in learnt
            if known.sustained_per_second is not None
        ]
        can = f", each of {' or '.join(rates)} requests/s" if rates else ""
        price = f" at {number(prices[each.name])}" if each.name in prices else ""
        lead = f", ready in {lasting(each.lead_time.p95_seconds)}" if each.lead_time else ""
        name = each.name or "without a class"
        yield f"{each.ready_replicas} of {each.desired_replicas} {name}{price}{can}{lead}."


def milliseconds(objective: ObjectivePolicy) -> str:
    """`100 ms`: the latency that an objective allows."""
    return f"{number(objective.latency_target_seconds * 1e3)} ms"
