"""The figures of `trireme explain -o json`. Pure."""

from typing import Any

from trireme.autoscaler.explain_known import Agent, Told
from trireme.autoscaler.explain_start import stages
from trireme.autoscaler.records import Record
from trireme.autoscaler.thresholds import Threshold, Thresholds
from trireme.autoscaler.types.capacity import Capacity
from trireme.autoscaler.wording import rounded


def facts(agent: Agent, told: Told, found: Thresholds, record: Record | None) -> dict[str, Any]:
    """The same for programs, in the names and units of the status."""
    load, policy = told.load, told.policy
    factors = {f.model: f.factor for f in told.memory.factors}
    return {
        "namespace": agent.namespace,
        "agent": agent.name,
        "mode": policy.mode if policy else None,
        "replicas": told.replicas,
        "readyReplicas": told.ready,
        "readyWithCanary": told.with_canary,
        "proposedReplicas": told.proposed,
        "minReplicas": policy.min_replicas if policy else None,
        "maxReplicas": policy.max_replicas if policy else None,
        "grant": told.grant
        and {
            "gpus" if told.by_class else "replicas": told.grant.replicas,
            "by": told.grant.words,
            "binding": told.binding,
        },
        "reason": told.reason,
        "message": told.message,
        "observed": load
        and {
            "time": load.at.isoformat(),
            "model": load.model,
            "requestRatePerSecond": rounded(load.rate_per_second),
            "inFlight": rounded(load.in_flight),
            "latency": load.latency or None,
            "failureRatio": rounded(load.failure_ratio),
        },
        "sustained": [
            {
                "model": model,
                "perSecond": rounded(known.per_second * factors.get(model, 1.0)),
                "factor": rounded(factors.get(model, 1.0)),
            }
            for model, known in sorted(told.capacities.items())
            if isinstance(known, Capacity)
        ],
        "unanswered": agent.status.scaling
        and agent.status.scaling.unanswered
        and agent.status.scaling.unanswered.model_dump(mode="json", by_alias=True),
        "tuning": agent.status.tuning
        and agent.status.tuning.model_dump(mode="json", by_alias=True),
        "adopted": [each.model_dump(mode="json", by_alias=True) for each in agent.status.adopted],
        "leadTime": told.lead_time
        and {
            "p95Seconds": rounded(told.lead_time.p95_seconds),
            "medianSeconds": rounded(told.lead_time.median_seconds),
            "samples": told.lead_time.samples,
            "stages": stages(agent.status),
        },
        "forecasts": [
            {
                "model": model,
                "perSecond": rounded(forecast.per_second),
                "margin": forecast.margin,
                "basis": forecast.words,
                "withinSeconds": rounded(forecast.horizon_seconds),
                "lateRatio": rounded(forecast.late_share),
            }
            for model, forecast in sorted(told.forecasts.items())
        ],
        "more": _threshold(found.more),
        "fewer": _threshold(found.fewer),
        "source": "Status" if record is None else "Record",
        "decidedAt": record.decision.at.isoformat() if record else None,
        "inputDigest": record.input_digest if record else None,
    }


def _threshold(threshold: Threshold | None) -> dict[str, Any] | None:
    if threshold is None:
        return None
    return {
        "model": threshold.model,
        "requestRatePerSecond": rounded(threshold.request_rate_per_second),
        "inFlight": rounded(threshold.in_flight),
        "replicas": threshold.wanted,
    }
