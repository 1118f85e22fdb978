"""What the operator remembers of its decisions, over HTTP on its pod's loopback.

Nothing of the pod's network reaches it: one comes in by the API server's port-forward, as `trireme
explain` and `trireme replay` do, so that Kubernetes says who may (`pods/portforward` in the
operator's namespace).

    GET /decisions?namespace=NAMESPACE&agent=AGENT    JSON lines, oldest first

404 is of an agent that is not scaled here: there is none, or another replica leads.
"""

import asyncio

from aiohttp import web

from trireme.api import names
from trireme.autoscaler.records import written
from trireme.control.history import History
from trireme.control.queue import Key

LOOPBACK = "127.0.0.1"
_AT_ONCE = 8  # records written before the rounds have their turn again; one takes about a ms


def application(history: History) -> web.Application:
    """The endpoint."""

    async def decisions(request: web.Request) -> web.Response:
        key = Key(request.query.get("namespace", ""), request.query.get("agent", ""))
        records = history.of(key)
        if records is None:
            raise web.HTTPNotFound(text=f"no decision of {key} is known here\n")
        lines = []
        for number, record in enumerate(records, start=1):
            lines.append(f"{written(record).line}\n")
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        return web.Response(text="".join(lines), content_type="application/x-ndjson")

    app = web.Application()
    app.router.add_get(names.DECISIONS_PATH, decisions)
    return app
