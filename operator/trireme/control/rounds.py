"""Rounds over all agents, of which one that takes longer holds up no other."""

import asyncio
from collections.abc import Callable, Coroutine


async def keep_beginning(
    begin: Callable[[], Coroutine[None, None, None]], interval_seconds: float
) -> None:
    """Begin a round every so many seconds, for ever, whether the one before has ended or not."""
    async with asyncio.TaskGroup() as rounds:
        while True:
            rounds.create_task(begin())
            await asyncio.sleep(interval_seconds)
