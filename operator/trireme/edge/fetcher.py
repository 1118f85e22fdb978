"""A pod's fetcher, asked over HTTP how far it is while the pod initialises."""

import aiohttp
from pydantic import ValidationError

from trireme.api.fetch import FetchProgress, progress_url
from trireme.edge.pod_answers import LargeAnswer, read
from trireme.errors import ServerError

_TIMEOUT = aiohttp.ClientTimeout(total=2)
_LONGEST_ANSWER_BYTES = 1024 * 1024  # 256 models take less than a twentieth of it


async def fetch_progress(pod_address: str) -> FetchProgress:
    """How far the fetcher of a pod is. Raises ServerError where it does not answer, or not so."""
    url = progress_url(pod_address)
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.get(url, allow_redirects=False) as answer,
        ):
            text = await read(answer, _LONGEST_ANSWER_BYTES)
        return FetchProgress.model_validate_json(text)
    except (aiohttp.ClientError, TimeoutError, OSError, LargeAnswer) as error:
        raise ServerError(f"{url}: {error}") from error
    except ValidationError as error:  # whose text is as long as there are mistakes
        raise ServerError(f"{url} answers something else than progress") from error
