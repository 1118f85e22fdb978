"""Before a replica is bought: is there a knob that gives the same for nothing? Pure.

The decision itself is asked, with what a pod would sustain with the knob, and all else as it was;
so what is found holds for whatever rule decides. It changes nothing of what is bought: what the
knob gains is known by a model alone, and to try it takes minutes, in which requests would be late.
It is named, and tried once nothing else changes (`trireme.control.adopting`).
"""

from dataclasses import replace

from trireme.api.tuning import Confidence
from trireme.autoscaler.decision import decide
from trireme.autoscaler.types.capacity import Capacity
from trireme.autoscaler.types.decision import Alternative, Decision
from trireme.autoscaler.types.memory import Memory
from trireme.autoscaler.types.observation import KnownKnob, Observation
from trireme.autoscaler.types.policy import Policy
from trireme.autoscaler.wording import Words, number, setting


def arbitrated(
    decision: Decision, observation: Observation, policy: Policy, memory: Memory
) -> Decision:
    """A decision with the knob that would spare the most of what it buys, where one does. Pre: the
    rest is what it was made from.
    """
    if decision.replicas <= decision.current:
        return decision
    found = [
        Alternative(knob, replicas)
        for knob in observation.knobs
        if knob.objective == decision.model
        and (replicas := _with(knob, observation, policy, memory)) < decision.replicas
    ]
    best = min(found, key=lambda each: each.replicas, default=None)
    if best is None:
        return decision
    return replace(
        decision,
        alternative=best,
        message=Words(lambda: f"{decision.message}; {_words(best)}"),
    )


def _with(knob: KnownKnob, observation: Observation, policy: Policy, memory: Memory) -> int:
    """How many replicas there would be if the knob were turned."""
    known = observation.capacities.get(knob.objective)
    if not isinstance(known, Capacity):
        return policy.max_replicas
    turned = replace(known, per_second=(1 + knob.gain) * known.per_second)
    capacities = {**observation.capacities, knob.objective: turned}
    decision, _ = decide(replace(observation, capacities=capacities), policy, memory)
    return decision.replicas


def _words(alternative: Alternative) -> str:
    knob = alternative.knob
    turned = setting(knob.knob, knob.now, knob.to)
    gain = number(knob.gain * 100)
    doubt = f" (confidence {Confidence.LOW})" if knob.is_guess else ""
    return (
        f"{alternative.replicas} would do with {turned} of {knob.model}, by which a pod is "
        f"expected to sustain {gain} % more{doubt}"
    )
