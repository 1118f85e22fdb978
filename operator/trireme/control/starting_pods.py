"""What pods say that are starting: Triton of the models that it loads, fetchers of what they bring.

Both are asked as they are, in every pass, all at once and for a moment only: a node that is lost
must not keep a worker from other agents. A pod that does not answer is no news, and is left alone
for a while where it did not even refuse to.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from trireme.api import names
from trireme.api.fetch import FetchProgress
from trireme.control import status
from trireme.control.observed import PodView
from trireme.edge import triton
from trireme.edge.fetcher import fetch_progress
from trireme.errors import ServerError
from trireme.modelrepo.repository import Repository

T = TypeVar("T")

_SECONDS = 1.5  # of a pass, for all of its pods; they answer within milliseconds
_LEFT_ALONE = timedelta(seconds=20)  # so that even 40 agents on lost nodes leave workers free
_SERVERS_ASKED = 8  # of each track: they load the same
_FETCHERS_ASKED = 4  # they bring the same


@dataclass(frozen=True, slots=True)
class Told:
    """What was answered: by pod what Triton lists, and what fetchers are at."""

    servers: Mapping[str, tuple[triton.ModelState, ...]]
    fetches: tuple[FetchProgress, ...]

    def models(
        self, pods: Iterable[PodView], repository: Repository | None
    ) -> dict[str, tuple[triton.ModelState, ...]]:
        """What Triton says in some of the pods, also by leaving a model of their repository out."""
        return {
            pod.name: status.with_unlisted(self.servers[pod.name], _held(pod, repository))
            for pod in pods
            if pod.name in self.servers
        }


async def ask(
    stable: Iterable[PodView],
    canary: Iterable[PodView],
    control_key: str,
    silent: dict[str, datetime],
    now: datetime,
) -> Told:
    """Ask the servers that run but are not ready, the youngest of each track, since those on lost
    nodes are older; and a few fetchers of the stable pods. In `silent`, by uid, is until when a pod
    that let the time pass is not asked again.
    """
    for uid in [uid for uid, until in silent.items() if until <= now]:
        del silent[uid]

    async def listed(pod: PodView) -> tuple[triton.ModelState, ...]:
        return await triton.repository_index(pod.at(names.HTTP_PORT), control_key)

    async def fetched(pod: PodView) -> FetchProgress:
        return await fetch_progress(pod.address or "")

    async def answer(ask_one: Callable[[PodView], Awaitable[T]], pod: PodView) -> T | None:
        try:
            async with asyncio.timeout(_SECONDS):
                return await ask_one(pod)
        except ServerError:
            return None  # Triton opens its port only after the first loads: nothing is known yet
        except TimeoutError:
            silent[pod.uid] = now + _LEFT_ALONE
            return None

    stable = [pod for pod in stable if _can_be_asked(pod, silent)]
    asked = [*_starting(stable), *_starting(pod for pod in canary if _can_be_asked(pod, silent))]
    fetching = [pod for pod in stable if pod.fetching][:_FETCHERS_ASKED]
    servers, fetches = await asyncio.gather(
        asyncio.gather(*(answer(listed, pod) for pod in asked)),
        asyncio.gather(*(answer(fetched, pod) for pod in fetching)),
    )
    return Told(
        {p.name: each for p, each in zip(asked, servers, strict=True) if each is not None},
        tuple(each for each in fetches if each is not None),
    )


def _can_be_asked(pod: PodView, silent: Mapping[str, datetime]) -> bool:
    return bool(pod.address) and not pod.terminating and pod.uid not in silent


def _starting(pods: Iterable[PodView]) -> list[PodView]:
    starting = [pod for pod in pods if pod.running and pod.ready_since is None]
    return sorted(starting, key=lambda pod: pod.created, reverse=True)[:_SERVERS_ASKED]


def _held(pod: PodView, repository: Repository | None) -> tuple[str, ...]:
    """The models of a pod's repository; none of one that is not known here, of before an edit."""
    if repository is None or pod.repository_digest != repository.digest:
        return ()
    return tuple(model.name for model in repository.models)
