"""What a spec asks of the scaling decision. Pure."""

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

from trireme.api.agent import AgentSpec
from trireme.api.models import Model
from trireme.api.node_classes import by_class
from trireme.api.objectives import Objective
from trireme.autoscaler.calls import Call, calls
from trireme.autoscaler.signals import is_by_gateway
from trireme.autoscaler.types.policy import DemandPolicy, NodeClass, ObjectivePolicy, Policy
from trireme.autoscaler.types.serving import ServedPipeline, ServedStep, Serving
from trireme.modelrepo.fields import DYNAMIC_BATCHING
from trireme.modelrepo.instances import instances_per_pod
from trireme.modelrepo.proto import ModelConfig, json_format
from trireme.modelrepo.proto import model_config_pb2 as pb

ANY_NUMBER = 10_000  # pods of a node class: as many as the API takes for an agent
_LARGEST_BATCH = 2**14  # reckoned with: of each step of a pipeline a table of batches is made
_MOST_INSTANCES = 2**10  # reckoned with: of each it is kept when it is free


class Latencies(NamedTuple):
    """What objectives have a round ask of latencies: percentiles with their targets, and whether it
    is the gateway that answers. Of many agents most ask the same; a tuple is compared in no time.
    """

    asked: frozenset[tuple[int, timedelta]]
    by_gateway: bool


def latencies_of(spec: AgentSpec) -> Latencies:
    """Read what a spec's objectives ask of latencies."""
    asked = frozenset((o.latency.percentile, o.latency.target) for o in spec.objectives)
    return Latencies(asked, is_by_gateway(spec.objectives, has_gateway=spec.gateway.enabled))


def policy_of(spec: AgentSpec) -> Policy:
    """Read a spec that has been accepted: every objective names a model or pipeline of it."""
    demand, servers = spec.scaling.demand, by_class(spec.server)
    return Policy(
        mode=spec.scaling.mode,
        replicas=spec.replicas,
        min_replicas=spec.scaling.min,
        max_replicas=spec.scaling.max,
        tolerance=spec.scaling.tolerance,
        behavior=spec.scaling.behavior,
        paused=spec.scaling.paused,
        objectives=tuple(_objective_policy(spec, objective) for objective in spec.objectives),
        demand=None
        if demand is None
        else DemandPolicy(demand.activation_threshold, demand.cooldown_period),
        classes=tuple(
            NodeClass(
                each.name,
                each.price,
                each.min,
                ANY_NUMBER if each.max is None else each.max,
                servers[each.name].gpus.count,
            )
            for each in spec.server.node_classes
        ),
    )


def _objective_policy(spec: AgentSpec, objective: Objective) -> ObjectivePolicy:
    told = spec.scaling.target.in_flight
    called = calls(spec, objective.model)
    names = {call.model for call in called}
    models = [model for model in spec.models if model.name in names]
    # Of several node classes the pods of the narrowest.
    instances = {
        model.name: min(instances_per_pod(model, s) for s in by_class(spec.server).values())
        for model in models
    }
    # The requests that a full pod executes at once: a start, to be corrected by what is seen.
    starts = {m.name: float(instances[m.name] * max(1, m.max_batch_size)) for m in models}
    return ObjectivePolicy(
        model=objective.model,
        percentile=objective.latency.percentile,
        latency_target_seconds=objective.latency.target.total_seconds(),
        max_failure_ratio=objective.errors.max_ratio,
        # Which step of a pipeline is the slowest is measured (`fitted_to`). Until something is,
        # the widest is taken for it: it leaves a target that was learnt in a former life as it is.
        start_in_flight_per_pod=told or max(starts.values()),
        fixed_target=told is not None,
        start_of_step=starts if objective.model not in starts else {},
        serving=_serving(objective, called, models, instances) if told is None else None,
        gateways=_choosing(spec, instances) if told is None else 0,
    )


def _choosing(spec: AgentSpec, instances: Mapping[str, int]) -> int:
    """The gateways that choose between pods that are alike by what one model has to do. Of several
    models they count the requests together, and what their choice is worth is not known; nor is it
    of several instances, which make queues alike themselves.
    """
    is_one = len(spec.models) == 1 and not spec.pipelines and not spec.server.node_classes
    is_chosen = spec.gateway.enabled and is_one and set(instances.values()) == {1}
    return spec.gateway.replicas if is_chosen else 0


def _serving(
    objective: Objective,
    called: Sequence[Call],
    models: Sequence[Model],
    instances: Mapping[str, int],
) -> Serving | ServedPipeline | None:
    """How one pod serves an objective's model or pipeline; None where the queueing model does not
    hold for it, or for a step of it.
    """
    found = {m.name: _serving_of(m, instances[m.name]) for m in models}
    by_model = {name: serving for name, serving in found.items() if serving is not None}
    if len(by_model) < len(found):
        return None
    if objective.model in by_model:
        return by_model[objective.model]
    return ServedPipeline(tuple(ServedStep(c.model, by_model[c.model], c.after) for c in called))


def unmodelled(model: Model) -> str:
    """Why the queueing model does not hold for a model, so that nothing is learnt of it; empty
    where it does.
    """
    if model.decoupled or "model_transaction_policy" in model.config:
        return "its requests have several answers"
    if "sequence_batching" in model.config or (model.batching and model.batching.sequence):
        return "its requests come in sequences"
    batching = _dynamic_batching(model)
    if batching is not None:
        queue = batching.default_queue_policy
        delays = queue.timeout_action == pb.ModelQueuePolicy.DELAY
        if delays and queue.default_timeout_microseconds > 0:
            return "its queue puts back what waited for too long"
    return ""


def _serving_of(model: Model, instances: int) -> Serving | None:
    """How one pod serves a model; None of what the queueing model does not hold for."""
    if unmodelled(model):
        return None
    batching = _dynamic_batching(model)
    instances = min(instances, _MOST_INSTANCES)
    if batching is None:
        return Serving(instances, 1)
    timeout_seconds = batching.default_queue_policy.default_timeout_microseconds / 1e6
    return Serving(
        instances,
        min(max(1, model.max_batch_size), _LARGEST_BATCH),
        timeout_seconds or math.inf,
        batching.priority_levels > 1,
        batching.max_queue_delay_microseconds > 0,
    )


def _dynamic_batching(model: Model) -> pb.ModelDynamicBatching | None:
    """The batcher, as the typed field or `config` says it."""
    config = ModelConfig()
    if "dynamic_batching" in model.config:
        json_format.ParseDict({"dynamic_batching": model.config["dynamic_batching"]}, config)
        return config.dynamic_batching
    if model.batching is None or model.batching.dynamic is None:
        return None
    DYNAMIC_BATCHING.write(model.batching.dynamic, config.dynamic_batching)
    return config.dynamic_batching
