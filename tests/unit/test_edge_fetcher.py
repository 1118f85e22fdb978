"""How far a pod's fetcher is: what answers there may be a stranger's container."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import web

from ports import own_address
from trireme.api import names
from trireme.api.fetch import FetchProgress, ModelProgress
from trireme.edge.fetcher import fetch_progress
from trireme.errors import ServerError

POD, ELSEWHERE = own_address(5), own_address(6)
MANY = FetchProgress(models=[ModelProgress(model=f"m{n}", version=n) for n in range(2_000)])

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def answering(handler: Handler, address: str = POD) -> AsyncIterator[None]:
    application = web.Application()
    application.router.add_get("/", handler)
    runner = web.AppRunner(application, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, address, names.FETCH_PROGRESS_PORT).start()
        yield
    finally:
        await runner.cleanup()


async def in_pieces(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    text = MANY.model_dump_json(by_alias=True).encode()
    for begin in range(0, len(text), 10_000):
        await response.write(text[begin : begin + 10_000])
    return response


async def test_an_answer_that_comes_in_pieces_is_read_whole() -> None:
    async with answering(in_pieces):
        assert await fetch_progress(POD) == MANY


async def without_end(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    with suppress(ConnectionError):
        while True:
            await response.write(bytes(2**20))
    return response


async def of_mistakes(request: web.Request) -> web.Response:
    return web.Response(text='{"models": [' + ",".join(["1"] * 100_000) + "]}")


async def of_nothing(request: web.Request) -> web.Response:
    return web.Response(status=404)


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        pytest.param(without_end, "tells more than", id="without end"),
        pytest.param(of_mistakes, "something else than progress", id="of many mistakes"),
        pytest.param(of_nothing, "something else than progress", id="of another server"),
    ],
)
async def test_an_answer_of_no_fetcher_is_an_error_in_few_words(
    handler: Handler, words: str
) -> None:
    async with answering(handler):
        with pytest.raises(ServerError, match=words) as error:
            await fetch_progress(POD)
    assert len(str(error.value)) < 200


async def test_no_redirect_is_followed() -> None:
    asked: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.json_response({"models": []})

    async def led_on(request: web.Request) -> web.Response:
        raise web.HTTPFound(f"http://{ELSEWHERE}:{names.FETCH_PROGRESS_PORT}/")

    async with answering(elsewhere, ELSEWHERE), answering(led_on):
        with pytest.raises(ServerError):
            await fetch_progress(POD)
    assert asked == []
