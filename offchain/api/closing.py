"""Why the service closes a socket; `docs/API.md` explains each with its cure."""

from __future__ import annotations

from enum import IntEnum


class CloseCode(IntEnum):
    """Codes of WebSocket close frames: below 4000 those of RFC 6455, from 4000 on our own."""

    SHUTTING_DOWN = 1001
    TEXT_ONLY = 1003
    MESSAGE_TOO_LARGE = 1009
    """sent by aiohttp itself, with a reason of its own"""
    SIGNED_OUT = 4001
    SLOW_CONSUMER = 4008
    RATE_LIMITED = 4029

    @property
    def reason(self) -> str:
        return self.name.lower().replace("_", " ")
