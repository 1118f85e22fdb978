"""A Triton server that is not live: it is given one configuration of a model after another, and
each is measured by the load that it sustains.

What it was configured by before is set again at the end.
"""

import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count

from trireme.autoscaler.capacity import ModelStatistics
from trireme.autoscaler.service_curve import BatchTotals
from trireme.edge import triton
from trireme.edge.request_load import Bounds, Send, Tensors, idle_seconds, search, sender
from trireme.errors import ServerError, ServerRefused
from trireme.modelrepo.proto import ModelConfig
from trireme.tuner.rate_search import FAR, NEAR, Plan, Probe
from trireme.tuner.search import Try
from trireme.tuner.settings import configured
from trireme.tuner.types import Configuration, Measured, Objective

_LOAD_SECONDS = 600.0  # of a model with a new configuration
_START = 0.5  # of the rate that requests one after the other make, with each instance
_BELOW = 0.9  # of what is expected, so that the first probe is likely kept


@dataclass(frozen=True, slots=True)
class Trial:
    """A configuration, and all that was offered to it; `refused` has Triton's words where it would
    not serve it. One that `is_cut` may sustain more: the time was spent before its end.
    """

    measured: Measured
    probes: tuple[Probe, ...] = ()
    refused: str = ""
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Wish:
    """What a configuration is to keep."""

    objective: Objective
    max_failure_ratio: float
    bounds: Bounds

    def plan(self, guess_per_second: float, step: float) -> Plan:
        """The search of a rate, from a guess in such steps."""
        return Plan(self.objective, self.max_failure_ratio, guess_per_second, step)

    def least_seconds(self, expected_per_second: float | None) -> float:
        """How long a measurement takes where its first guess is right, without the loading."""
        rate = expected_per_second or math.inf
        probes = self.plan(rate, NEAR if expected_per_second else FAR).least_probes
        limit = self.objective.limit_seconds
        return probes * self.bounds.seconds(rate, limit) + self.bounds.request_seconds

    @property
    def most_seconds(self) -> float:
        """How long a measurement takes at most, without the loading."""
        slowest = self.bounds.requests / self.bounds.most_seconds
        each = self.bounds.longest_seconds(slowest, self.objective.limit_seconds)
        return self.plan(slowest, FAR).most_probes * each


class SpareServer:
    """One model of a server. Between two trials it is configured as the last one."""

    def __init__(
        self, address: str, control_key: str, config: ModelConfig, send: Send, wish: Wish
    ) -> None:
        self._address = address
        self._control_key = control_key
        self._config = config
        self._send = send
        self._wish = wish
        self._seeds = count(1)

    async def trial(
        self, step: Try, told: Callable[[Probe], None], until: float = math.inf
    ) -> Trial:
        """Configure and measure; each probe is `told`, and none begins that may not have ended
        `until`, by the event loop's clock. Raises ServerError.
        """
        try:
            await self.configure(step.configuration)
        except ServerRefused as error:
            return Trial(Measured(step.configuration, 0.0), refused=str(error))
        idle = await idle_seconds(self._send)
        expected = step.expected_per_second
        plan = self._wish.plan(
            _BELOW * expected if expected else _START * step.configuration.instances / idle,
            NEAR if expected else FAR,
        )
        return await self.measured(step.configuration, plan, told, until)

    async def configure(self, configuration: Configuration) -> None:
        """Have the model served so. Raises ServerRefused, and ServerError."""
        await self._set(configured(self._config, configuration))

    async def measured(
        self, now: Configuration, plan: Plan, told: Callable[[Probe], None], until: float
    ) -> Trial:
        """What the present configuration sustains by a plan. Raises ServerError."""
        before = await self._statistics()
        found = await search(self._send, plan, self._wish.bounds, self._seeds, until, told)
        executed: BatchTotals = {}
        if found.probes:
            since = (await self._statistics()).since(before)
            if since is None or not since.batches:
                raise ServerError(
                    f"{self._address}: its statistics do not tell batch sizes apart, or began anew"
                )
            executed = since.batches
        measured = Measured(now, plan.kept(found.probes), executed)
        return Trial(measured, found.probes, is_cut=found.is_cut)

    async def restore(self) -> None:
        """Have the model served as it was. Raises ServerError."""
        await self._set(self._config)

    async def _set(self, config: ModelConfig) -> None:
        await triton.load_model(self._address, self._control_key, config, _LOAD_SECONDS)
        served = await triton.served_config(self._address, config.name)
        if served.max_batch_size != config.max_batch_size:
            raise ServerRefused(
                f"{self._address}: it was loaded, but by a largest batch of "
                f"{served.max_batch_size}: the model's file fixes it"
            )

    async def _statistics(self) -> ModelStatistics:
        return (await triton.statistics(self._address))[self._config.name]


@asynccontextmanager
async def spare_server(
    address: str,
    control_key: str,
    config: ModelConfig,
    requests: Sequence[Tensors],
    wish: Wish,
) -> AsyncIterator[SpareServer]:
    """A server to try configurations on, which is as it was afterwards, whatever happens."""
    async with sender(address, config.name, requests, wish.bounds) as send:
        server = SpareServer(address, control_key, config, send, wish)
        try:
            yield server
        finally:
            await server.restore()
