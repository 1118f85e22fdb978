"""Faults of spec.rollout, and what is odd in it. Pure."""

from collections.abc import Iterator
from itertools import pairwise

from trireme.admission.places import models, owners
from trireme.admission.rules.pipelines import decoupled_names
from trireme.admission.words import did_you_mean, listed
from trireme.api.agent import AgentSpec
from trireme.api.releases import Feature, release_of, supports
from trireme.api.rollout import Canary, CanaryLimits, RolloutStrategy
from trireme.api.scalars import quantity_value
from trireme.api.scaling import ScalingMode
from trireme.errors import Fault

_LEAST_COPY_BYTES = 2**10
_LARGEST_COPY_BYTES = 64 * 2**20


def _is_canary(spec: AgentSpec) -> bool:
    return spec.rollout.strategy is RolloutStrategy.CANARY


def rollout_cannot_move(spec: AgentSpec) -> Iterator[Fault]:
    """Neither one more pod nor one fewer."""
    if spec.rollout.max_surge + spec.rollout.max_unavailable == 0:
        yield Fault(
            "spec.rollout",
            None,
            "one of maxSurge and maxUnavailable must be 1 or more",
            "Set maxSurge to 1, or maxUnavailable to 1 where there is no spare GPU",
        )


def step_gives_no_requests(spec: AgentSpec) -> Iterator[Fault]:
    """Nothing would be seen in it, and it would last until its deadline."""
    for index, step in enumerate(spec.rollout.canary.steps):
        if step.weight == 0:
            yield Fault(
                f"spec.rollout.canary.steps[{index}].weight",
                step.weight,
                "a canary without requests shows nothing",
                "Write a share such as 5%, or remove the step",
            )


def steps_do_not_rise(spec: AgentSpec) -> Iterator[Fault]:
    """A smaller share than the step before says nothing that this one did not."""
    steps = spec.rollout.canary.steps
    for index, (before, step) in enumerate(pairwise(steps), start=1):
        if step.weight <= before.weight:
            yield Fault(
                f"spec.rollout.canary.steps[{index}].weight",
                step.weight,
                f"it must be more than the {before.weight:g} of the step before",
                "Write the steps in the order of their weights",
            )


def step_outlasts_its_deadline(spec: AgentSpec) -> Iterator[Fault]:
    """It would be taken back undecided, whatever it shows."""
    canary = spec.rollout.canary
    for index, step in enumerate(canary.steps):
        if step.pause >= canary.deadline:
            yield Fault(
                f"spec.rollout.canary.steps[{index}].pause",
                f"{step.pause.total_seconds():g}s",
                f"a step ends by its deadline, {canary.deadline.total_seconds():g}s, at the latest",
                "Shorten the pause, or raise canary.deadline",
            )


def canary_is_never_taken_back(spec: AgentSpec) -> Iterator[Fault]:
    """Nothing could be shown with such certainty."""
    canary = spec.rollout.canary
    if canary.false_alarm_rate == 0:
        yield Fault(
            "spec.rollout.canary.falseAlarmRate",
            canary.false_alarm_rate,
            "at 0% no canary is ever taken back for being worse: what is seen is never certain",
            "Write a share such as 1%",
        )


def canary_without_pods(spec: AgentSpec) -> Iterator[Fault]:
    """Nothing to compare with: the change is made at once."""
    fixed = spec.scaling.mode is not ScalingMode.AUTOMATIC
    if _is_canary(spec) and fixed and spec.replicas == 0:
        yield Fault(
            "spec.rollout.strategy",
            spec.rollout.strategy.value,
            "with replicas 0 there are no pods that a canary is compared with: changes are rolled "
            "out without one",
            "Set replicas to 1 or more, or strategy to RollingUpdate",
        )


def canary_is_judged_by_little(spec: AgentSpec) -> Iterator[Fault]:
    """What nobody measures takes no canary back."""
    if not _is_canary(spec):
        return
    has_histogram = supports(release_of(spec.server), Feature.LATENCY_HISTOGRAM)
    if spec.server.node_classes and not (has_histogram and spec.objectives):
        yield Fault(
            "spec.rollout.strategy",
            spec.rollout.strategy.value,
            "the canary is judged by failures alone: it is compared with pods of its own node "
            "class, of which the gateway tells no latency, and Triton from 26.01 on, of models "
            "with an objective",
            "Take an image of 26.01 or later, and add an objective",
        )
    elif not spec.gateway.enabled and not has_histogram:
        yield Fault(
            "spec.rollout.strategy",
            spec.rollout.strategy.value,
            "the canary is judged by failures alone: without a gateway, this release measures no "
            "latency that can be compared",
            "Set gateway.enabled to true, or take an image of 26.01 or later",
        )
    elif not spec.objectives:
        yield Fault(
            "spec.rollout.strategy",
            spec.rollout.strategy.value,
            "without an objective the canary's latency is judged by the stable pods' usual one "
            "alone",
            "Add an objective with the latency that must be kept",
        )


def canary_is_asked_by_streams(spec: AgentSpec) -> Iterator[Fault]:
    """The gateway sees little of them."""
    if not _is_canary(spec) or not spec.gateway.enabled:
        return
    if (asked := _asked(spec)) and asked <= decoupled_names(spec):
        yield Fault(
            "spec.rollout.strategy",
            spec.rollout.strategy.value,
            f"{listed(sorted(asked))} may answer several times, and of streams a canary is judged "
            "by how they end: neither latencies nor what goes wrong within one is seen",
            "Look at what clients see, and end a canary by hand where that is needed: kubectl "
            "trireme abort",
        )


def mirror_compares_nothing(spec: AgentSpec) -> Iterator[Fault]:
    """Neither streams nor sequences are, and what is not compared promotes nothing."""
    if not _is_canary(spec) or spec.rollout.canary.mirror is None:
        return
    sequences = {
        model.name for _, model in models(spec) if model.batching and model.batching.sequence
    }
    if (asked := _asked(spec)) and asked <= decoupled_names(spec) | sequences:
        yield Fault(
            "spec.rollout.canary.mirror",
            None,
            "streams and sequences are never compared, and with a mirror no canary is promoted of "
            f"which nothing was: {listed(sorted(asked))} have no other requests",
            "Leave mirror out",
        )


def mirrored_output_is_unknown(spec: AgentSpec) -> Iterator[Fault]:
    """It would be compared number by number, or at all, which takes a canary back."""
    mirror = spec.rollout.canary.mirror
    if not _is_canary(spec) or mirror is None or not all(each.outputs for _, each in owners(spec)):
        return
    known = sorted({output.name for _, owner in owners(spec) for output in owner.outputs})
    named = {f"ignoreOutputs[{index}]": name for index, name in enumerate(mirror.ignore_outputs)}
    named |= {f"outputs[{index}].name": each.name for index, each in enumerate(mirror.outputs)}
    for place, name in named.items():
        if name not in known:
            yield Fault(
                f"spec.rollout.canary.mirror.{place}",
                name,
                f"no model has an output {name}",
                did_you_mean(name, known, otherwise="There are"),
            )


def _asked(spec: AgentSpec) -> set[str]:
    """What clients ask, as far as a spec tells: what has an objective, else every model."""
    return {each.model for each in spec.objectives} or {model.name for model in spec.models}


def canary_of_another_strategy(spec: AgentSpec) -> Iterator[Fault]:
    """No canary is tried."""
    if not _is_canary(spec) and spec.rollout.canary != Canary():
        yield Fault(
            "spec.rollout.canary",
            None,
            f"canary has no effect in strategy {spec.rollout.strategy}",
            "Set rollout.strategy to Canary, or remove it",
        )


def limit_allows_everything(spec: AgentSpec) -> Iterator[Fault]:
    """No share is larger than all."""
    limits = spec.rollout.canary.limits
    for field in CanaryLimits.model_fields:
        if _is_canary(spec) and getattr(limits, field) >= 1:
            yield Fault(
                f"spec.rollout.canary.limits.{field}",
                getattr(limits, field),
                "at 100% no canary is taken back for it, however bad",
                "Write a smaller share, unless that is meant",
            )


def mirror_copies_nothing(spec: AgentSpec) -> Iterator[Fault]:
    """Pods would be made that compare nothing."""
    mirror = spec.rollout.canary.mirror
    if mirror is not None and mirror.share == 0:
        yield Fault(
            "spec.rollout.canary.mirror.share",
            mirror.share,
            "a share of nothing compares nothing",
            "Write a share such as 10%, or leave mirror out",
        )


def mirror_without_gateway(spec: AgentSpec) -> Iterator[Fault]:
    """It is the gateway that copies."""
    if spec.rollout.canary.mirror is not None and not spec.gateway.enabled:
        yield Fault(
            "spec.rollout.canary.mirror",
            None,
            "requests are copied by the gateway, which this agent does not have",
            "Set gateway.enabled to true, or leave mirror out",
        )


def mirror_takes_no_size(spec: AgentSpec) -> Iterator[Fault]:
    """A copy is held in memory, which is asked for by these sizes."""
    mirror = spec.rollout.canary.mirror
    if mirror is None:
        return
    size = quantity_value(mirror.max_size)
    if not _LEAST_COPY_BYTES <= size <= _LARGEST_COPY_BYTES:
        yield Fault(
            "spec.rollout.canary.mirror.maxSize",
            mirror.max_size,
            "it must be from 1Ki to 64Mi: each copy in flight is held in memory several times",
            "Write a size such as 4Mi",
        )
