"""What an agent must keep: latencies and shares of errors."""

from pydantic import Field

from trireme.api.fields import ModelName
from trireme.api.scalars import Duration, Ratio
from trireme.api.schema import ApiModel


class LatencyObjective(ApiModel):
    """A bound on a percentile of server-side latency."""

    percentile: int = Field(95, ge=50, le=99, description="The percentile that must hold.")
    target: Duration = Field(description="The bound, such as 100ms.")


class ErrorObjective(ApiModel):
    """A bound on failed requests."""

    max_ratio: Ratio = Field(
        0.001, description="Failed or rejected requests among all, such as 0.1%."
    )


class Objective(ApiModel):
    """What one model or pipeline must keep."""

    model: ModelName = Field(description="A model or pipeline.")
    latency: LatencyObjective = Field(description="The bound on latency.")
    errors: ErrorObjective = Field(ErrorObjective(), description="The bound on failures.")
