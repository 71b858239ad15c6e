"""Reading one's own writes: waiting until the views include what was executed before a request."""

from __future__ import annotations

import asyncio
import time

from offchain.ports import Views

POLL_SECONDS = 0.01


class Readback:
    """Knows how far the views are. Many waiting requests share one poll."""

    def __init__(self, views: Views) -> None:
        self._views = views
        self._applied = 0
        self._poll = asyncio.Lock()

    async def reach(self, seq: int, timeout_ms: int) -> bool:
        """Wait until the views include event `seq`, at most `timeout_ms`; whether they do."""
        deadline = time.monotonic() + timeout_ms / 1000
        while self._applied < seq:
            async with self._poll:
                if self._applied < seq:
                    self._applied = await self._views.applied()
            if self._applied >= seq:
                break
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(POLL_SECONDS)
        return True
