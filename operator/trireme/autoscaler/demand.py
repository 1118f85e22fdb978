"""What will be asked of an agent within one lead time, learnt from its own past. Pure.

The rates that each round sees are kept (`history`), ways to foresee them are tried on what they
would have foreseen (`forecasters`, `back_test`), and the best of them says what to be ready for.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Self

import numpy as np

from trireme.autoscaler import factor
from trireme.autoscaler.back_test import BackTest
from trireme.autoscaler.forecasters import FORECASTERS
from trireme.autoscaler.history import STEP_SECONDS, RateHistory
from trireme.autoscaler.stabiliser import SHRINKING
from trireme.autoscaler.types.capacity import Capacity, OutOfReach
from trireme.autoscaler.types.memory import Memory
from trireme.autoscaler.types.observation import Forecast, LeadTime
from trireme.autoscaler.types.policy import ObjectivePolicy, Policy
from trireme.autoscaler.types.signals import Signals
from trireme.autoscaler.values import frozen

ROUND_SECONDS = 5.0
"""By which a rate lags behind the middle of its window: half a scrape interval and half a round."""
_WORDS = tuple(map(str, FORECASTERS))
SHORTEST_HOLD_SECONDS = 60.0
"""A replica is held for the lead time, which is the price of another start (2-competitive, as in
ski rental), and for a minute at least: shorter turns are noise."""
USUAL_LEAD_SECONDS = 60.0
"""Until a start was measured: of the base models of GenTD26 p99 is 52 s (Alibaba, measured)."""


@frozen
class Terms:
    """What the past is tested on: what a replica sustains, how long one takes to start, the window
    of the rates, the bounds of the fleet, and the share of requests that may be late.
    """

    sustained_per_second: float
    lead_seconds: float
    window_seconds: float
    least: int
    most: int
    allowed_late: float

    @property
    def horizon_steps(self) -> int:
        """How far is looked ahead, from the middle of the window that rates are of: a lead time of
        30 s, half a window of 30 s and 5 s are 4 steps of 15 s.
        """
        ahead = self.lead_seconds + self.window_seconds / 2 + ROUND_SECONDS
        return math.ceil(ahead / STEP_SECONDS)

    @property
    def hold_seconds(self) -> float:
        """How long a replica is held that is not wanted."""
        return max(self.lead_seconds, SHORTEST_HOLD_SECONDS)


def terms_of(
    objective: ObjectivePolicy,
    capacity: Capacity | OutOfReach | None,
    lead_time: LeadTime | None,
    window: timedelta,
    policy: Policy,
    memory: Memory,
) -> Terms | None:
    """The terms of an objective; None where what a pod sustains is not known."""
    if not isinstance(capacity, Capacity):
        return None
    return Terms(
        sustained_per_second=factor.initial(objective.model, memory).factor * capacity.per_second,
        lead_seconds=lead_time.p95_seconds if lead_time else USUAL_LEAD_SECONDS,
        window_seconds=window.total_seconds(),
        least=policy.min_replicas,
        most=policy.max_replicas,
        allowed_late=1 - objective.percentile / 100,
    )


def hold(objectives: Sequence[ObjectivePolicy], forecasts: Mapping[str, Forecast]) -> timedelta:
    """For how long a size must not have been wanted before the fleet shrinks to it, where the spec
    does not say: as the forecasts say, if there is one of each objective.
    """
    longest = 0.0
    for each in objectives:
        forecast = forecasts.get(each.model)
        if forecast is None:
            return SHRINKING
        longest = max(longest, forecast.hold_seconds)
    return timedelta(seconds=longest) if objectives else SHRINKING


@frozen
class Demand:
    """The past of one objective's requests, and how the forecasters did on it until the step that
    was tested last.
    """

    history: RateHistory
    test: BackTest | None = None
    tested_step: int | None = None

    @classmethod
    def unknown(cls, now: datetime) -> Self:
        """Nothing was seen yet."""
        return cls(RateHistory.empty(now))

    @classmethod
    def recalled(
        cls, week: Mapping[int, float], hours: Mapping[int, float], terms: Terms, now: datetime
    ) -> Self:
        """What others saw before: rates by Unix seconds, of a week at long steps and of the last
        hours at steps of 15 s; these are tested. What is missing stays unknown.
        """
        first = min(hours, default=int(now.timestamp()))
        before = {second: rate for second, rate in week.items() if second < first}
        demand = cls(RateHistory.recalled(before, first))
        for second, rate in sorted(hours.items()):
            demand = demand.after(datetime.fromtimestamp(second, UTC), rate, None, 0, terms)
        return demand

    def after(
        self,
        now: datetime,
        rate_per_second: float,
        late_share: float | None,
        ready: int,
        terms: Terms | None,
    ) -> Self:
        """With the rate of a round, and the share of late requests that `ready` replicas had;
        tested once a step. `terms` is None where what a replica sustains is not known: then nothing
        is.
        """
        history = self.history.after(now, rate_per_second)
        if terms is None or self.tested_step == history.newest:
            return type(self)(history, self.test, self.tested_step)
        is_next = self.tested_step == history.newest - 1
        test = self._tested(history, rate_per_second, late_share, ready, terms, is_next=is_next)
        return type(self)(history, test, history.newest)

    def seen(
        self,
        signals: Signals,
        objective: ObjectivePolicy,
        policy: Policy,
        memory: Memory,
        *,
        capacity: Capacity | OutOfReach | None,
        lead_time: LeadTime | None,
        ready: int,
    ) -> tuple[Self, Terms | None, Forecast | None]:
        """With what a round saw of an objective, `ready` pods serving it: the terms that hold now,
        and what to be ready for. Nothing is foreseen where a target is set by hand, or a pod's
        `capacity` is not known.

        Pre: the signals hold the objective's model.
        """
        model = objective.model
        seen = next(each for each in signals.models if each.model == model)
        known = None if objective.fixed_target else capacity
        terms = terms_of(objective, known, lead_time, signals.window, policy, memory)
        after = self.after(signals.at, seen.request_rate_per_second, seen.late_share, ready, terms)
        return after, terms, after.forecast(terms) if terms else None

    def _tested(
        self,
        history: RateHistory,
        rate_per_second: float,
        late_share: float | None,
        ready: int,
        terms: Terms,
        *,
        is_next: bool,
    ) -> BackTest:
        unit, horizon = terms.sustained_per_second, terms.horizon_steps
        needed = rate_per_second / unit
        test = self.test or BackTest.begin(len(FORECASTERS), needed)
        return test.after(
            needed,
            np.array([each.highest(history, horizon) for each in FORECASTERS]) / unit,
            lead_steps=math.ceil(terms.lead_seconds / STEP_SECONDS),
            hold_steps=math.ceil(terms.hold_seconds / STEP_SECONDS),
            least=terms.least,
            most=terms.most,
            allowed_late=terms.allowed_late,
            late_share=late_share,
            ready=ready,
            is_next=is_next,
        )

    def forecast(self, terms: Terms) -> Forecast | None:
        """What to be ready for; None before anything was tested."""
        if self.test is None:
            return None
        which = self.test.forecaster
        highest = FORECASTERS[which].highest(self.history, terms.horizon_steps)
        if math.isnan(highest):  # what it goes by has just left the past that is kept
            which, highest = 0, self.history.last
        return Forecast(
            per_second=highest,
            margin=self.test.margin,
            words=_WORDS[which],
            horizon_seconds=terms.lead_seconds,
            hold_seconds=terms.hold_seconds,
            late_share=self.test.late_share(terms.allowed_late),
        )
