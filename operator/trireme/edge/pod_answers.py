"""What a pod answers over HTTP is a stranger's word: who writes an agent chooses its images.

So it is read up to a bound, which no answer of the programs that belong there comes near. No
redirect of it is followed either: it would have the operator ask, by its own network and with the
key that it shows, what the pod itself may not reach.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from trireme.errors import TriremeError

LARGEST_BYTES = 4 * 2**20
"""The metrics of 100 models with histograms are about a tenth of it."""


class LargeAnswer(TriremeError):
    """An answer has more bytes than may be."""


async def read(answer: aiohttp.ClientResponse, most_bytes: int = LARGEST_BYTES) -> bytes:
    """All of an answer's body. Raises LargeAnswer where that is more, the rest of it unread."""
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > most_bytes:
            raise LargeAnswer(f"it tells more than {most_bytes} bytes")
    return bytes(body)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was read, as far as tritonclient looks at one."""

    status: int
    body: bytes

    async def read(self) -> bytes:
        """The body."""
        return self.body


class WarySession:
    """What tritonclient uses of aiohttp's session, in its place."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def get(self, url: str, headers: Mapping[str, str] | None) -> Answer:
        """The answer to a GET. Raises LargeAnswer, and what aiohttp does."""
        return await self._asked("GET", url, headers)

    async def post(self, url: str, data: bytes, headers: Mapping[str, str] | None) -> Answer:
        """The answer to a POST. Raises the same."""
        return await self._asked("POST", url, headers, data)

    async def close(self) -> None:
        """Give the connection back."""
        await self._session.close()

    async def _asked(
        self, method: str, url: str, headers: Mapping[str, str] | None, data: bytes | None = None
    ) -> Answer:
        asked = self._session.request(
            method, url, data=data, headers=headers, allow_redirects=False
        )
        async with asked as answer:
            return Answer(answer.status, await read(answer))
