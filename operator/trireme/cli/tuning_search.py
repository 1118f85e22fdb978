"""The search of `trireme tune`: measured on a spare server, within the time that is given."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trireme.cli.tuning_options import Subject
from trireme.cli.tuning_progress import Told
from trireme.tuner import settings
from trireme.tuner.ranking import Repeated, best_of, repeated
from trireme.tuner.search import Done, Try, next_step
from trireme.tuner.types import Measured, Space

if TYPE_CHECKING:
    from trireme.edge.spare_server import SpareServer, Trial, Wish


@dataclass(frozen=True, slots=True)
class Tuned:
    """All that was tried, in order; the present configuration is the first."""

    tried: tuple[tuple[Try, "Trial"], ...]
    best: Repeated
    reason: str
    seconds: float

    @property
    def first(self) -> Repeated:
        """The present configuration."""
        return repeated(_counted(self.tried))[0]


async def find_best(
    address: str,
    key: str,
    subject: Subject,
    wish: "Wish",
    data: Path | None,
    sizes: dict[str, tuple[int, ...]],
    measurements: int,
    seconds: float,
    told: Told,
) -> Tuned:
    """Measure what the search asks for, until it is done or the time is spent."""
    from trireme.edge import request_data, triton
    from trireme.edge.spare_server import spare_server

    start = asyncio.get_running_loop().time()
    config = await triton.served_config(address, subject.model.name)
    requests = (
        request_data.read(data, config) if data else request_data.drawn(config, sizes, seed=1)
    )
    async with spare_server(address, key, config, requests, wish) as server:
        return await search(server, subject, wish, measurements, start + seconds, told)


async def search(
    server: "SpareServer",
    subject: Subject,
    wish: "Wish",
    measurements: int,
    until: float,
    told: Told,
) -> Tuned:
    """The same on a server that is ready to be configured, `until` a time of the running loop."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    space = settings.space_of(subject.spec, subject.model)
    start = settings.configuration_of(subject.model, subject.spec.server)
    tried: list[tuple[Try, Trial]] = []
    while True:
        measured = _counted(tried)
        step = await asyncio.to_thread(
            next_step,
            space,
            subject.objective,
            measured,
            start=start,
            most_measurements=min(measurements, _fitting(loop.time(), began, until, len(tried))),
        )
        if isinstance(step, Try) and measured and _is_spent(loop.time(), until, step, tried, wish):
            step = Done(best_of(repeated(measured)), "the time is spent")
        if isinstance(step, Done):
            return Tuned(tuple(tried), step.best, step.reason, loop.time() - began)
        trial = await server.trial(step, told.of(step, len(tried)), until)
        tried.append((step, trial))
        if trial.refused:
            space = _without(space, trial, measured)


def _counted(tried: Sequence[tuple[Try, "Trial"]]) -> list[Measured]:
    """What was measured. What was cut short says less than what a whole measurement said before."""
    counted: list[Measured] = []
    for _, trial in tried:
        before = {one.configuration for one in counted}
        if not (trial.is_cut and trial.measured.configuration in before):
            counted.append(trial.measured)
    return counted


def _fitting(now: float, began: float, until: float, made: int) -> int:
    """How many measurements the time holds in all, by what those that were made took; one more at
    least, of which `_is_spent` judges.
    """
    if not made:
        return 1
    each = (now - began) / made
    return made + max(1, math.floor((until - now) / each))


def _is_spent(
    now: float, until: float, step: Try, tried: Sequence[tuple[Try, "Trial"]], wish: "Wish"
) -> bool:
    """Whether the time was spent within the last measurement, or does not hold the next one."""
    _, last = tried[-1]
    return last.is_cut or now + wish.least_seconds(step.expected_per_second) > until


def _without(space: Space, refused: "Trial", measured: list[Measured]) -> Space:
    served = [one.configuration for one in measured if one.batches]
    return space.without(refused.measured.configuration, served)
