"""What handlers find in the application."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from aiohttp import web

from offchain.api.answers import AnswerStore
from offchain.api.breaker import Breaker
from offchain.api.closing import CloseCode
from offchain.api.limits import Limits, Use
from offchain.api.present import Presenter
from offchain.api.readback import Readback
from offchain.api.state import ApiState
from offchain.api.stream import Hub
from offchain.catalogue import Catalogue
from offchain.intake import Intake
from offchain.metrics import CoreMetrics


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
    sockets_of: Counter[str] = field(default_factory=Counter)
    """open sockets by address"""


STATE = web.AppKey("state", ApiState)
BREAKER = web.AppKey("breaker", Breaker)
CATALOGUE = web.AppKey("catalogue", Catalogue)
IDEMPOTENCY = web.AppKey("idempotency", AnswerStore)
INTAKE = web.AppKey("intake", Intake)
PRESENT = web.AppKey("present", Presenter)
READBACK = web.AppKey("readback", Readback)
HUB = web.AppKey("hub", Hub)
LIFE = web.AppKey("life", Life)
LIMITS = web.AppKey("limits", Limits)
METRICS = web.AppKey("metrics", CoreMetrics)

REQUEST_ID = web.RequestKey("request_id", str)
USES: web.RequestKey[list[Use]] = web.RequestKey("uses", list)
"""budgets that the request was charged to"""
