"""A Triton server that is not live: it is given one configuration of a model after another, and
each is measured by the load that it sustains.

What it was configured by before is set again at the end.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from trireme.edge import triton
from trireme.edge.request_load import Bounds, Send, Tensors, idle_seconds, offer, sender
from trireme.errors import ServerError, ServerRefused
from trireme.modelrepo.proto import ModelConfig
from trireme.tuner.rate_search import FAR, NEAR, Plan, Probe
from trireme.tuner.search import Try
from trireme.tuner.settings import configured
from trireme.tuner.types import Measured, Objective

_LOAD_SECONDS = 600.0  # of a model with a new configuration
_START = 0.5  # of the rate that requests one after the other make, with each instance
_BELOW = 0.9  # of what is expected, so that the first probe is likely kept


@dataclass(frozen=True, slots=True)
class Trial:
    """A configuration, and all that was offered to it; `refused` has Triton's words where it would
    not serve it.
    """

    measured: Measured
    probes: tuple[Probe, ...] = ()
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a configuration is to keep."""

    objective: Objective
    max_failure_ratio: float
    bounds: Bounds


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
        self._seed = 0

    async def trial(self, step: Try, told: Callable[[Probe], None]) -> Trial:
        """Configure and measure; each probe is `told`. Raises ServerError."""
        try:
            await self._set(configured(self._config, step.configuration))
        except ServerRefused as error:
            return Trial(Measured(step.configuration, 0.0), refused=str(error))
        return await self._measured(step, told)

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

    async def _measured(self, step: Try, told: Callable[[Probe], None]) -> Trial:
        wish, configuration = self._wish, step.configuration
        idle = await idle_seconds(self._send)
        expected = step.expected_per_second
        plan = Plan(
            wish.objective,
            wish.max_failure_ratio,
            _BELOW * expected if expected else _START * configuration.instances / idle,
            NEAR if expected else FAR,
        )
        model = self._config.name
        before = (await triton.statistics(self._address))[model]
        probes: list[Probe] = []
        while (rate := plan.next_rate(probes)) is not None:
            self._seed += 1
            limit = wish.objective.limit_seconds
            probes.append(await offer(self._send, rate, limit, wish.bounds, self._seed))
            told(probes[-1])
        executed = (await triton.statistics(self._address))[model].since(before)
        if executed is None or not executed.batches:
            raise ServerError(
                f"{self._address}: its statistics do not tell batch sizes apart, or began anew"
            )
        return Trial(Measured(configuration, plan.kept(probes), executed.batches), tuple(probes))


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
