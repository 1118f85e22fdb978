"""Specs are judged in a thread, one at a time.

A spec may name many files and hold many mistakes: to judge it may take a minute of a processor, and
to read one model's program 130 MB. Meanwhile rounds go on, and the Lease is renewed.
"""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from trireme.admission.examine import Examined, Inspections, examine
from trireme.api.agent import AgentSpec

_ONE = ThreadPoolExecutor(max_workers=1, thread_name_prefix="examine")


async def examined(
    spec: AgentSpec,
    sources: Mapping[str, Mapping[str, bytes] | None],
    inspections: Inspections | None = None,
) -> Examined:
    """What `examine` tells of a spec and its files."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_ONE, examine, spec, sources, inspections)
