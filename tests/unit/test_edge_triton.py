"""What a Triton server says of its models, asked with the key of its control interface."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import web

from ports import LOOPBACK, LOOPBACK_6, free_port
from trireme.api.addresses import host_port
from trireme.edge.pod_answers import LARGEST_BYTES
from trireme.edge.triton import (
    ModelState,
    load_model,
    repository_index,
    served_config,
    serves,
    statistics,
)
from trireme.errors import ServerError, ServerRefused
from trireme.modelrepo.proto import ModelConfig

KEY = "0" * 64
INDEX = [{"name": "double", "version": "1", "state": "UNAVAILABLE", "reason": "no such module"}]


async def index(request: web.Request) -> web.Response:
    """As Triton answers (seen with 24.10)."""
    if request.headers.get("trireme-control-key") != KEY:
        words = "This API is restricted, expecting header 'trireme-control-key'"
        return web.json_response({"error": words}, status=403)
    return web.json_response(INDEX)


@pytest.fixture
async def server() -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_post("/v2/repository/index", index)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    yield f"{host}:{port}"
    await runner.cleanup()


async def test_the_index_is_asked_for_with_the_key(server: str) -> None:
    assert await repository_index(server, KEY) == (
        ModelState("double", False, "no such module", 1),
    )


async def test_a_server_of_an_ipv6_pod_is_asked() -> None:
    port = free_port()
    application = web.Application()
    application.router.add_post("/v2/repository/index", index)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK_6, port).start()
    try:
        (state,) = await repository_index(host_port(LOOPBACK_6, port), KEY)
    finally:
        await runner.cleanup()
    assert state.name == "double"


async def test_a_server_with_another_key_is_an_error_that_says_so_and_shows_no_key(
    server: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(ServerError, match="restricted"):
        await repository_index(server, "1" * 64)

    assert "refuses its control key" in caplog.text
    assert "1" * 64 not in caplog.text


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({"models": []}, id="of another shape"),
        pytest.param([{"state": "READY"}], id="without a name"),
        pytest.param([{"name": "double", "version": 1}], id="with a number for a version"),
        pytest.param(1, id="not even several"),
    ],
)
async def test_what_is_no_index_is_an_error(
    server: str, answer: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image of the user's own may answer anything."""
    monkeypatch.setitem(globals(), "INDEX", answer)
    with pytest.raises(ServerError, match="an index that cannot be read"):
        await repository_index(server, KEY)


async def test_no_server_is_an_error() -> None:
    with pytest.raises(ServerError):
        await repository_index(f"{LOOPBACK}:{free_port()}", KEY)


# ------------------------------------------- what no Triton answers, and a stranger's image may


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def answering(handler: Handler) -> AsyncIterator[str]:
    """The address of a server that answers whatever it is asked so."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        host, port = runner.addresses[0]
        yield f"{host}:{port}"
    finally:
        await runner.cleanup()


async def _everything(address: str) -> list[ServerError]:
    """What comes of each question that the operator has."""
    questions = (
        repository_index(address, KEY),
        served_config(address, "double"),
        statistics(address),
        load_model(address, KEY, ModelConfig(name="double"), 5),
    )
    found = await asyncio.gather(*questions, return_exceptions=True)
    assert all(isinstance(each, ServerError) for each in found), found
    return [each for each in found if isinstance(each, ServerError)]


async def test_no_redirect_is_followed_and_the_key_is_shown_to_nobody_else() -> None:
    elsewhere: list[str] = []

    async def other(request: web.Request) -> web.Response:
        elsewhere.append(request.path)
        return web.json_response(INDEX)

    async with answering(other) as there:

        async def led_on(request: web.Request) -> web.Response:
            raise web.HTTPTemporaryRedirect(f"http://{there}{request.path}")

        async with answering(led_on) as address:
            assert all("[307]" in str(error) for error in await _everything(address))
            assert not await serves(address, "double")
    assert elsewhere == []


async def test_an_answer_without_end_is_read_up_to_a_bound() -> None:
    async def without_end(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=500 if "load" in request.path else 200)
        await response.prepare(request)
        with suppress(ConnectionError):
            while True:
                await response.write(bytes(2**20))
        return response

    async with answering(without_end) as address:
        told = [str(error) for error in await _everything(address)]
    assert all(f"tells more than {LARGEST_BYTES} bytes" in each for each in told)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("null", id="nothing"),
        pytest.param("[1]", id="a number in a list"),
        pytest.param('["double"]', id="text in a list"),
        pytest.param('[{"state": "READY"}]', id="a model without a name"),
        pytest.param('[{"name": "double", "version": 1}]', id="a version that is a number"),
        pytest.param('{"model_stats": [{"name": "double"}]}', id="statistics without a part"),
        pytest.param('{"model_stats": 1}', id="statistics that are a number"),
        pytest.param("[" * 100_000, id="nested without end"),
        pytest.param('{"a":' * 100_000, id="mappings nested without end"),
        pytest.param("<html>", id="no JSON"),
    ],
)
async def test_an_answer_of_another_shape_is_an_error_of_the_servers(body: str) -> None:
    async def misshapen(request: web.Request) -> web.Response:
        return web.Response(text=body, content_type="application/json")

    async with answering(misshapen) as address:
        for question in (repository_index(address, KEY), statistics(address)):
            with pytest.raises(ServerError):
                await question


@pytest.mark.parametrize("status", [200, 400])
async def test_of_a_servers_own_words_only_so_many_are_kept(status: int) -> None:
    words = "no" * 1_000_000

    async def wordy(request: web.Request) -> web.Response:
        index = [{"name": "double", "version": "1", "state": "UNAVAILABLE", "reason": words}]
        return web.json_response(index if status == 200 else {"error": words}, status=status)

    async with answering(wordy) as address:
        if status == 200:
            (model,) = await repository_index(address, KEY)
            told = model.reason
        else:
            with pytest.raises(ServerRefused) as error:
                await repository_index(address, KEY)
            told = str(error.value)
    assert len(told) < 5_000
