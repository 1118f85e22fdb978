"""What is asked of an agent, seen from outside its pods. Pure.

`scaling.demand` has a query of the user's own, whose one value is the requests a second that arrive
or wait in front of the agent. It alone tells of them while no pod is ready. No value is not zero: a
fleet must not be emptied, nor stay so, because something is not measured.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from trireme.api.conditions import Reason
from trireme.autoscaler.types.memory import Memory
from trireme.autoscaler.types.observation import Observation, Outside
from trireme.autoscaler.types.policy import DemandPolicy
from trireme.autoscaler.types.signals import NoSignals, Signals
from trireme.autoscaler.wording import number

_LEAD_TIMES = 2.0  # a pod that goes and is asked for again costs one: it must be worth that
_LONGEST_QUOTE = 120  # characters of a query in a message


def told(query: str, answer: Sequence[float]) -> Outside | NoSignals:
    """The demand that a query tells of, or why it tells of none."""
    if not answer:
        return NoSignals(
            Reason.NO_SERIES,
            f"{named(query)} has no value, which is not zero: check its metrics, or add or "
            "vector(0) where none means none",
        )
    if len(answer) > 1:
        return NoSignals(
            Reason.NOT_A_NUMBER,
            f"{named(query)} has several values, and one is needed: put sum(...) around it",
        )
    (value,) = answer
    if not math.isfinite(value) or value < 0:
        return NoSignals(Reason.NOT_A_NUMBER, f"{named(query)} is {value:g}, and no demand is")
    return Outside(value)


def named(query: str) -> str:
    """A query as messages name it."""
    text = " ".join(query.split())
    shown = text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}..."
    return f"scaling.demand ({shown})"


def observed(observation: Observation, outside: Outside | NoSignals | None) -> Observation:
    """The observation with the demand outside; where no pod tells of requests, that is the signal,
    and the pods' own are not missed.
    """
    observation = replace(observation, outside=outside)
    if not observation.by_outside:
        return observation
    if isinstance(outside, NoSignals):
        return replace(observation, signals=outside)
    return replace(observation, signals=Signals(observation.now, timedelta(0), ()))


def idle_since(
    observation: Observation, policy: DemandPolicy, memory: Memory, signals: Signals
) -> datetime | None:
    """Since when nothing is asked, neither of the pods nor outside; None where something is."""
    outside = observation.outside
    if not isinstance(outside, Outside) or outside.per_second > policy.activation_per_second:
        return None
    return (memory.idle_since or observation.now) if is_idle(signals) else None


def is_idle(signals: Signals) -> bool:
    """Whether nothing is asked of the pods."""
    return all(m.request_rate_per_second == 0 and m.in_flight == 0 for m in signals.models)


def cooldown(observation: Observation, policy: DemandPolicy, signals: Signals) -> timedelta:
    """For how long nothing must have been asked before the last pod goes."""
    lead = observation.lead_time
    return max(
        policy.cooldown,
        signals.window,
        timedelta(seconds=math.ceil(_LEAD_TIMES * lead.p95_seconds) if lead else 0),
    )


def words(outside: Outside) -> str:
    """`12 req/s outside (scaling.demand)`."""
    return f"{number(outside.per_second)} req/s outside (scaling.demand)"
