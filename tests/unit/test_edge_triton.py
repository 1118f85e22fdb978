"""What a Triton server says of its models, asked with the key of its control interface."""

import logging
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from trireme.edge.triton import ModelState, repository_index
from trireme.errors import ServerError

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


async def test_a_server_with_another_key_is_an_error_that_says_so_and_shows_no_key(
    server: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(ServerError, match="restricted"):
        await repository_index(server, "1" * 64)

    assert "refuses its control key" in caplog.text
    assert "1" * 64 not in caplog.text


async def test_no_server_is_an_error(unused_tcp_port: int) -> None:
    with pytest.raises(ServerError):
        await repository_index(f"127.0.0.1:{unused_tcp_port}", KEY)
