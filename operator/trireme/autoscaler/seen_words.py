"""What was seen when a size was decided on, in words. Pure."""

from datetime import timedelta

from trireme.api.scalars import format_duration
from trireme.autoscaler.proposals import DemandOnPods, Proposal
from trireme.autoscaler.types.capacity import OutOfReach
from trireme.autoscaler.types.observation import Forecast, Observation
from trireme.autoscaler.types.policy import Policy
from trireme.autoscaler.types.signals import Signals, Source
from trireme.autoscaler.wording import number, pod_count

WORTH_TELLING = 10  # requests of a backlog: fewer come and go by chance


def seen_words(proposal: Proposal, observation: Observation, policy: Policy) -> str:
    """What was seen: the break where there is one, else the load against its target."""
    seen, objective = proposal.seen, proposal.objective
    named = f"{seen.model}: " if len(policy.objectives) > 1 else ""
    # Pods may still answer where there are to be none: they count as one.
    pods = max(observation.replicas, 1)
    sustained = _sustained(proposal.demand, pods)
    target = f"{number(objective.latency_target_seconds * 1e3)} ms"
    where = f"on {pod_count(observation.replicas)}{_told_by(observation)}"
    at = f"at {number(seen.request_rate_per_second)} req/s {where}"
    broken = []
    if proposal.breach.latency:
        broken.append(f"{seen.latency} over {target}{_unreachable(proposal.out_of_reach)}")
    if proposal.breach.failures:
        allowed = f"{number(objective.max_failure_ratio * 100)}%"
        broken.append(f"failures {number(seen.failure_ratio * 100)}% over {allowed}")
    if broken:
        return f"{named}{sustained}{' and '.join(broken)} {at}"
    if not seen.request_rate_per_second and not seen.in_flight:
        return f"{named}no requests {where}"
    per_pod = number(seen.in_flight / pods)
    aimed = number(proposal.correction.target.in_flight_per_pod)
    load = sustained or f"{per_pod} in flight per pod of {aimed} aimed at, "
    latency = f"{seen.latency} within {target}" if seen.latency else "no request answered"
    return f"{named}{load}{latency} {at}"


def _told_by(observation: Observation) -> str:
    """Who the figures are from, where it is not Prometheus."""
    signals = observation.signals
    direct = isinstance(signals, Signals) and signals.source is Source.PODS
    return " (read from the pods)" if direct else ""


def _sustained(demand: DemandOnPods | None, pods: int) -> str:
    """What is asked of each pod against what one sustains, and how that is known."""
    if demand is None:
        return ""
    backlog = ""
    if demand.backlog >= WORTH_TELLING:
        backlog = f", a backlog of {number(demand.backlog)} included,"
    corrected, forecast = demand.factor.factor, demand.forecast
    ahead = "" if forecast is None else f"{_expected(forecast)}, "
    by = f", corrected by {number(corrected)}" if corrected != 1 else ""
    return (
        f"{number(demand.per_second / pods)} req/s per pod{backlog} of "
        f"{number(demand.sustained_per_second)} that one sustains "
        f"(learnt: {demand.capacity.learnt}{by}), {ahead}"
    )


def _expected(forecast: Forecast) -> str:
    """`182 req/s expected within 45s (as 5m ago, x 1.1)`."""
    within = format_duration(timedelta(seconds=round(forecast.horizon_seconds)))
    margin = f", x {number(forecast.margin)}" if forecast.margin != 1 else ""
    return (
        f"{number(forecast.per_second)} req/s expected within {within} ({forecast.words}{margin})"
    )


def _unreachable(known: OutOfReach | None) -> str:
    if known is None:
        return ""
    idle = number(known.least_seconds * 1e3)
    return f", which no size keeps (an idle pod takes {idle} ms, learnt: {known.learnt}),"
