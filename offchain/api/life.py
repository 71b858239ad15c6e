"""What changes while the application runs."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from offchain.api.closing import CloseCode


class Closable(Protocol):
    """An open WebSocket, as far as the end of the application concerns it."""

    def close(self, code: CloseCode) -> None:
        """Begin to close."""
        ...

    async def closed(self) -> None:
        """Return when it is closed."""
        ...


@dataclass(slots=True)
class Life:
    """What changes while the application runs."""

    draining: bool = False
    """new orders and sockets are refused"""
    orders: int = 0
    """orders under way"""
    cancels: int = 0
    """cancels under way"""
    connections: set[Closable] = field(default_factory=set)
    losses: set[asyncio.Task[None]] = field(default_factory=set)
    """lost sockets that the core is being told of"""
    sockets_of: Counter[str] = field(default_factory=Counter)
    """open sockets by address"""
