"""What pods say that are starting: Triton of the models that it loads, fetchers of what they bring.

Both are asked as they are, in every pass; a server that does not answer is no news.
"""

import asyncio
from collections.abc import Iterable

from trireme.api import names
from trireme.api.fetch import FetchProgress
from trireme.control import status
from trireme.control.observed import PodView
from trireme.edge import triton
from trireme.edge.fetcher import fetch_progress
from trireme.errors import ServerError
from trireme.modelrepo.repository import Repository

_FETCHERS_ASKED = 4


async def ask_servers(
    pods: tuple[PodView, ...], control_key: str, repository: Repository | None
) -> dict[str, tuple[triton.ModelState, ...]]:
    """What Triton says in the pods that run but are not ready, also by leaving a model out."""
    starting = [p for p in pods if p.running and p.address and p.ready_since is None]
    answers = await asyncio.gather(*(_ask_server(pod, control_key) for pod in starting))
    return {
        pod.name: status.with_unlisted(listed, _held(pod, repository))
        for pod, listed in zip(starting, answers, strict=True)
        if listed is not None
    }


async def _ask_server(pod: PodView, control_key: str) -> tuple[triton.ModelState, ...] | None:
    if pod.terminating:
        return None
    try:
        return await triton.repository_index(f"{pod.address}:{names.HTTP_PORT}", control_key)
    except ServerError:
        return None  # it opens its port only after the first loads: nothing is known yet


def _held(pod: PodView, repository: Repository | None) -> tuple[str, ...]:
    """The models of a pod's repository; none of one that is not known here, of before an edit."""
    if repository is None or pod.repository_digest != repository.digest:
        return ()
    return tuple(model.name for model in repository.models)


async def ask_fetchers(pods: Iterable[PodView]) -> tuple[FetchProgress, ...]:
    """How far the fetchers are that answer, of a few pods: they all bring the same."""
    addresses = [p.address for p in pods if p.fetching and p.address and not p.terminating]
    answers = await asyncio.gather(*map(_ask_fetcher, addresses[:_FETCHERS_ASKED]))
    return tuple(answer for answer in answers if answer is not None)


async def _ask_fetcher(address: str) -> FetchProgress | None:
    try:
        return await fetch_progress(address)
    except ServerError:
        return None  # it only just began, or has just ended
