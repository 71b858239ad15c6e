"""Long work on the event loop that lets others have their turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

T = TypeVar("T")

SLICE = 50
"""items in a row: a millisecond's work, where an item takes twenty microseconds to be put into words and encoded"""


async def unhurried(items: Iterable[T], in_a_row: int | None = None) -> AsyncIterator[T]:
    """`items`, with a turn of the event loop after as many `in_a_row`, SLICE if that is None: orders do not wait until
    a long list is through. Whatever may change meanwhile is copied before."""
    size = in_a_row or SLICE
    for number, item in enumerate(items, 1):
        yield item
        if number % size == 0:
            await asyncio.sleep(0)
