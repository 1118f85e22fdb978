"""/healthz, /readyz and /metrics of the operator itself.

A replica that waits for the Lease is healthy and ready: it is there to take over. A leader is
healthy while its autoscaling loop turns: a round that fails is no turn, and one of many that fails
is no illness. A watch that is lost for good ends the process.
"""

import asyncio
import time
from dataclasses import dataclass, field

from aiohttp import web

from trireme.edge.metrics import Metrics

_LONGEST_ROUND_SECONDS = 60.0  # a leader without a round that succeeds for this long is stuck


@dataclass(slots=True)
class Health:
    """What the probes ask for. `beat` is called after a round of the autoscaling loop."""

    serving: bool = False
    leading: bool = False
    _last_beat: float = field(default_factory=time.monotonic)

    def lead(self) -> None:
        """This replica begins to act."""
        self.leading = True
        self.beat()

    def beat(self) -> None:
        """The loop has turned once more."""
        self._last_beat = time.monotonic()

    @property
    def alive(self) -> bool:
        """Whether the process does what it should."""
        return not self.leading or time.monotonic() - self._last_beat < _LONGEST_ROUND_SECONDS

    @property
    def ready(self) -> bool:
        """Whether it has come up."""
        return self.serving and self.alive


def application(health: Health, metrics: Metrics) -> web.Application:
    """The three endpoints."""

    def probe(answer: bool) -> web.Response:
        return web.Response(text="ok" if answer else "not ok", status=200 if answer else 503)

    async def healthz(_: web.Request) -> web.Response:
        return probe(health.alive)

    async def readyz(_: web.Request) -> web.Response:
        return probe(health.ready)

    async def exposition(_: web.Request) -> web.Response:
        text = await asyncio.to_thread(metrics.text)  # of many agents a second: the rounds go on
        return web.Response(body=text, content_type="text/plain", charset="utf-8")

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", exposition)
    return app


async def serve(app: web.Application, port: int, host: str | None = None) -> web.AppRunner:
    """Listen on one address, or on every one of the pod; the caller cleans the runner up."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
