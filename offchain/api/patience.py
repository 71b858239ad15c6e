"""Long work on the event loop that lets others have their turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from time import perf_counter
from typing import TypeVar

T = TypeVar("T")

SLICE_SECONDS = 0.001
"""Work in a row: an order that comes meanwhile waits for so long, and one item more. The work is through after as many
turns of the loop as it takes milliseconds."""


async def unhurried(items: Iterable[T]) -> AsyncIterator[T]:
    """`items`, with a turn of the event loop whenever what is done with them has taken SLICE_SECONDS: orders do not
    wait until a long list is through. Whatever may change meanwhile is copied before."""
    started = perf_counter()
    for item in items:
        yield item
        if perf_counter() - started >= SLICE_SECONDS:
            await asyncio.sleep(0)
            started = perf_counter()
