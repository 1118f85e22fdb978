"""Foreseeing what will be asked of the agents, beside the scaling rounds.

Each round adds what it saw to the past of each objective whose pods' capacity is known, and asks
what to be ready for. What came before this process is read once from Prometheus, one agent at a
time, and tested in a thread: the rounds go on meanwhile by what they saw themselves. While
Prometheus does not answer one, the others are not asked for either.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from trireme.api.agent import AgentSpec
from trireme.autoscaler.classes import counted
from trireme.autoscaler.demand import Demand
from trireme.autoscaler.history import KEPT_BINS, KEPT_STEPS, STEP_SECONDS, STEPS_PER_BIN
from trireme.autoscaler.past_demand import by_gateway, by_servers, demand_queries
from trireme.autoscaler.queries import Labels, window
from trireme.autoscaler.signals import is_by_gateway
from trireme.autoscaler.stabiliser import SHRINKING
from trireme.autoscaler.types.memory import Memory
from trireme.autoscaler.types.observation import Forecast, Observation
from trireme.autoscaler.types.policy import Policy
from trireme.autoscaler.types.signals import Signals
from trireme.control.agent_state import Foresight
from trireme.control.queue import Key
from trireme.control.store import Store
from trireme.edge.prometheus import Prometheus
from trireme.errors import SignalsUnanswered, SignalsUnavailable

logger = logging.getLogger(__name__)

_TICK_SECONDS = 5.0
_AGAIN = timedelta(minutes=1)  # after a Prometheus that does not answer
_LATER = timedelta(minutes=10)  # after one that knows nothing
_STEP = timedelta(seconds=STEP_SECONDS)
_BIN = STEPS_PER_BIN * _STEP


def foresee(
    foresights: dict[str, Foresight], observation: Observation, policy: Policy, memory: Memory
) -> dict[str, Forecast]:
    """Add what a round saw to the past of each objective, and tell what to be ready for. Of those
    that nothing was seen of, such as without a pod, nothing is told.
    """
    for gone in foresights.keys() - {objective.model for objective in policy.objectives}:
        del foresights[gone]
    signals = observation.signals
    if not isinstance(signals, Signals):
        return {}
    forecasts = {}
    seen = {each.model for each in signals.models}
    for objective in policy.objectives:
        model = objective.model
        if model not in seen:
            continue
        known = foresights.get(model)
        if known is None:
            known = Foresight(Demand.unknown(signals.at), recall_due=signals.at)
            foresights[model] = known
        fleet = counted(observation, policy, model)
        known.demand, known.terms, forecast = known.demand.seen(
            signals,
            objective,
            fleet.policy,
            memory,
            capacity=fleet.capacity,
            lead_time=observation.lead_time,
            ready=fleet.ready,
        )
        if forecast is not None:
            if known.recall_due is not None:  # what held the fleet may be in a past not read yet
                held = max(forecast.hold_seconds, SHRINKING.total_seconds())
                forecast = replace(forecast, hold_seconds=held)
            forecasts[model] = forecast
    return forecasts


class Recaller:
    """Reads what came before this process, once for each objective that is forecast."""

    def __init__(
        self,
        *,
        store: Store,
        prometheus: Prometheus,
        labels: Labels,
        scrape_interval: Callable[[], timedelta | None],
        clock: Callable[[], datetime],
    ) -> None:
        self._scrape_interval = scrape_interval
        self._store = store
        self._prometheus = prometheus
        self._labels = labels
        self._clock = clock

    async def recall(self) -> None:
        """Look for agents whose past is not read yet, for ever."""
        while True:
            await self.round()
            await asyncio.sleep(_TICK_SECONDS)

    async def round(self) -> None:
        """Read the pasts that are due, one after the other, those that have waited for longest
        first: who keeps failing does not come before the others. The first that Prometheus does not
        answer is the last of a round.
        """
        for key, model, known in self._due():
            try:
                await self._recall(key, model, known)
            except SignalsUnanswered as error:
                logger.debug("%s: %s", key, error)
                return
            except SignalsUnavailable as error:
                logger.debug("%s: %s", key, error)
            except Exception:
                logger.exception("%s: its past cannot be recalled", key)

    def _due(self) -> list[tuple[Key, str, Foresight]]:
        """The pasts that are to be read now, by agent and objective."""
        now = self._clock()
        due = [
            (known.recall_due, (key, model, known))
            for key in self._store.agents()
            for model, known in self._store.view(key).foresights.items()
            if known.terms is not None and known.recall_due is not None and now >= known.recall_due
        ]
        return [of_one for _, of_one in sorted(due, key=lambda each: each[0])]

    async def _recall(self, key: Key, model: str, known: Foresight) -> None:
        view, now = self._store.view(key), self._clock()
        if view.accepted is None or view.foresights.get(model) is not known or known.terms is None:
            return  # others were read before it, and it went meanwhile
        spec = view.accepted.agent.spec
        known.recall_due = now + _AGAIN
        hours = await self._rates(key, spec, model, now - KEPT_STEPS * _STEP, now, _STEP)
        week = await self._rates(key, spec, model, now - KEPT_BINS * _BIN, now, _BIN)
        known.recall_due = now + _LATER
        if hours:
            seen = known.demand.history.known
            known.demand = await asyncio.to_thread(
                Demand.recalled, week, {**hours, **seen}, known.terms, now
            )
            known.recall_due = None

    async def _rates(
        self,
        key: Key,
        spec: AgentSpec,
        model: str,
        begin: datetime,
        end: datetime,
        step: timedelta,
    ) -> Mapping[int, float]:
        """Requests per second by Unix seconds, as the rounds would have seen them."""
        asked = demand_queries(window(self._scrape_interval()), self._labels, *key)
        whole = _on_steps(begin, step), _on_steps(end, step)
        answers = {
            name: await self._prometheus.past(name, query, *whole, step)
            for name, query in asked.items()
        }
        if is_by_gateway(spec.objectives, has_gateway=spec.gateway.enabled):
            return by_gateway(answers, model)
        return by_servers(answers, model)


def _on_steps(moment: datetime, step: timedelta) -> datetime:
    """The last whole step: Prometheus answers from where it is asked on."""
    seconds = step.total_seconds()
    return datetime.fromtimestamp(moment.timestamp() // seconds * seconds, moment.tzinfo)
