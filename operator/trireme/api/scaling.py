"""How many pods there may be, and how fast their number may change."""

from datetime import timedelta
from enum import StrEnum

from pydantic import ConfigDict, Field

from trireme.api.scalars import Duration, Ratio
from trireme.api.schema import ApiModel, cel


class ScalingMode(StrEnum):
    """Who decides the number of replicas."""

    AUTOMATIC = "Automatic"  # Trireme, from the objectives
    FIXED = "Fixed"  # the user, in spec.replicas
    EXTERNAL = "External"  # a HorizontalPodAutoscaler or KEDA, through /scale
    SHADOW = "Shadow"  # the user, in spec.replicas; Trireme reports what it would do

    @property
    def is_decided_by_trireme(self) -> bool:
        """Whether Trireme decides by the objectives, be it only to report."""
        return self in (ScalingMode.AUTOMATIC, ScalingMode.SHADOW)


class ScalingTarget(ApiModel):
    """What one pod should hold, where the user knows better than Trireme."""

    in_flight: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Requests in flight per pod to aim at, whatever is learnt; absent, Trireme "
        "learns the rate that a pod sustains, and until then starts from instances times max batch "
        "size and corrects it by what it sees.",
    )


class PolicyType(StrEnum):
    """What a rate policy's value counts."""

    PODS = "Pods"
    PERCENT = "Percent"


class RatePolicy(ApiModel):
    """At most so much change in so much time."""

    type: PolicyType = Field(description="Pods or Percent.")
    value: int = Field(ge=1, le=10_000, description="How many pods, or how many percent.")
    period: Duration = Field(description="In how much time, from 1s to 30m.")


class SelectPolicy(StrEnum):
    """Which of several rate policies binds."""

    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


class ScalingRules(ApiModel):
    """How fast the fleet may change in one direction."""

    stabilization_window: Duration | None = Field(
        None,
        description="How long proposals are remembered; the most cautious of them is taken. Left "
        "out: growing 0s; shrinking the lead time, 60s at least, where demand is forecast, else "
        "300s.",
    )
    select_policy: SelectPolicy = Field(
        SelectPolicy.MAX, description="Which policy binds: Max, Min, or Disabled for no change."
    )
    policies: list[RatePolicy] = Field(
        min_length=1, max_length=16, description="Rate policies, as in HorizontalPodAutoscaler v2."
    )


_UP = ScalingRules(
    policies=[
        RatePolicy(type=PolicyType.PODS, value=4, period=timedelta(seconds=15)),
        RatePolicy(type=PolicyType.PERCENT, value=100, period=timedelta(seconds=15)),
    ],
)


_DOWN = ScalingRules(
    policies=[RatePolicy(type=PolicyType.PERCENT, value=100, period=timedelta(seconds=15))],
)


class Behavior(ApiModel):
    """How fast the fleet may grow and shrink; rates as in HorizontalPodAutoscaler v2."""

    up: ScalingRules = Field(_UP, description="Growing.")
    down: ScalingRules = Field(_DOWN, description="Shrinking.")


class Paused(StrEnum):
    """Which decisions are taken but not carried out."""

    NONE = "None"
    ALL = "All"
    SCALE_IN = "ScaleIn"
    SCALE_OUT = "ScaleOut"


class Schedule(ApiModel):
    """Bounds that hold in windows of time; named as in CronJob, and in Argo CD's sync windows.

    Of windows that are open together the largest min and the largest max hold; a bound that none
    sets is that of scaling.
    """

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("has(self.min) || has(self.max)", "one of min and max must be set"),
            (
                "!has(self.min) || !has(self.max) || self.min <= self.max",
                "min must not be greater than max",
            ),
        )
    )

    schedule: str = Field(
        min_length=1,
        max_length=256,
        description="When the window opens: minute, hour, day of month, month and day of week, "
        "such as 0 8 * * 1-5.",
    )
    time_zone: str = Field(
        "UTC",
        max_length=64,
        description="Whose clock that is, by its name in the time zone database: Europe/Berlin.",
    )
    duration: Duration = Field(
        description="How long the window stays open, from 1m to 744h; time that passes, whatever "
        "the clock shows."
    )
    min: int | None = Field(
        None,
        ge=0,
        le=10_000,
        description="Fewest pods while it is open; they are started a lead time before. 0 needs "
        "scaling.demand.",
    )
    max: int | None = Field(None, ge=1, le=10_000, description="Most pods while it is open.")


class OutsideDemand(ApiModel):
    """What is asked of the agent, seen from outside its pods: without a pod nothing else tells.

    Named as in KEDA's Prometheus trigger. It has no `threshold`: what a pod sustains is learnt.
    """

    query: str = Field(
        min_length=1,
        max_length=4096,
        description="PromQL whose one value is the requests a second that arrive or wait in front "
        'of the agent, such as sum(rate(requests_total{service="support"}[1m])). No value is not '
        "zero: then nothing is changed.",
    )
    activation_threshold: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="Requests a second above which pods are started from none.",
    )
    cooldown_period: Duration = Field(
        timedelta(minutes=5),
        description="How long nothing must have been asked before the last pod goes, from 0s to "
        "24h; two lead times, if those are longer.",
    )


class BudgetShare(ApiModel):
    """Part in a budget of GPUs, which the operator's settings define."""

    name: str = Field(
        min_length=1, max_length=63, description="One of the chart's gpuBudgets, by its name."
    )
    priority: int = Field(
        0,
        ge=-1_000_000_000,
        le=1_000_000_000,
        description="Who has more pods than their min first: the larger, as in PriorityClass.",
    )


class Scaling(ApiModel):
    """How the number of pods is decided."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("self.min <= self.max", "min must not be greater than max"),
            (
                "has(self.demand) || self.min > 0",
                "min 0 needs scaling.demand: without a pod nothing else tells of requests",
            ),
            (
                "has(self.demand) || !has(self.schedules) || "
                "self.schedules.all(s, !has(s.min) || s.min > 0)",
                "min 0 needs scaling.demand: without a pod nothing else tells of requests",
            ),
        )
    )

    mode: ScalingMode = Field(
        ScalingMode.AUTOMATIC,
        description="Automatic: Trireme decides from the objectives. Fixed: spec.replicas. "
        "External: an autoscaler writes /scale. Shadow: spec.replicas, and Trireme only reports "
        "what it would do.",
    )
    min: int = Field(
        1, ge=0, le=10_000, description="Fewest pods in mode Automatic. 0 needs demand."
    )
    max: int = Field(10, ge=1, le=10_000, description="Most pods in mode Automatic.")
    schedules: list[Schedule] = Field(
        [], max_length=32, description="Other bounds at certain times."
    )
    demand: OutsideDemand | None = Field(
        None, description="What is asked of the agent, seen from outside its pods."
    )
    budget: BudgetShare | None = Field(None, description="GPUs that are shared with other agents.")
    target: ScalingTarget = Field(ScalingTarget(), description="What one pod should hold.")
    tolerance: Ratio | None = Field(
        None,
        description="A proposal this close to the present size changes nothing, such as 10%. Left "
        "out: 0% where demand is forecast, else 10%.",
    )
    behavior: Behavior = Field(Behavior(), description="How fast the fleet may change.")
    paused: Paused = Field(
        Paused.NONE,
        description="None, All, ScaleIn or ScaleOut: decisions that are taken but not carried out.",
    )
