"""Which sockets have something to write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

Write = Callable[[], None]

log = structlog.get_logger(__name__)


class Outbox:
    """Lets sockets write once for everything that a piece of work has for them: at its end if it says so (`flush`), or
    else in the loop's next turn."""

    def __init__(self) -> None:
        self._due: list[Write] = []
        self._is_called = False

    def add(self, write: Write) -> None:
        """Have `write` called soon; a socket adds itself once until then."""
        self._due.append(write)
        if not self._is_called:
            self._is_called = True
            asyncio.get_running_loop().call_soon(self._call)

    def flush(self) -> None:
        """Let all that wait write now."""
        due, self._due = self._due, []
        for write in due:
            try:
                write()
            except Exception:
                # One broken socket must not keep the others waiting for ever.
                log.exception("socket could not be written to")

    def _call(self) -> None:
        self._is_called = False
        self.flush()
