"""Administrators over a socket: they sign in with their token, and see the state of the exchange until it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from offchain.api.admin.access import identify, require
from offchain.api.admin.settings import Role
from offchain.api.admin.tokens import Administrator
from offchain.api.channels import Sink
from offchain.api.keys import CATALOGUE, HUB, STATE
from offchain.api.problems import ApiCode, ProblemError
from offchain.api.schemas import control
from offchain.domain.market import Market
from offchain.intake import shown

Ended = Callable[[ProblemError], None]
"""Called when the token ends, after the channels were left."""


class AdminSession:
    """The administrator behind one socket, if there is one."""

    def __init__(self, sink: Sink, app: web.Application, ended: Ended) -> None:
        self._sink = sink
        self._app = app
        self._ended = ended
        self._administrator: Administrator | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def sign_in(self, request_id: str | int | None, token: str) -> control.AdminSignedIn:
        """Believe a token from now until it ends. Raises ProblemError."""
        administrator = await identify(self._app, token, "token")
        require(administrator, Role.VIEWER)
        self._administrator = administrator
        self._wait_for_end(administrator)
        return control.AdminSignedIn(
            op="signedIn",
            id=request_id,
            subject=administrator.subject,
            roles=sorted(administrator.roles),
            expires_at=administrator.expires_ms,
        )

    def resolve(self, name: str) -> Market | None:
        """The market of `admin.<symbol>`, None of `admin.*`. Raises ProblemError if there is none, or nobody has
        signed in."""
        symbol = name.removeprefix("admin.")
        market = self._app[CATALOGUE].find(symbol)
        if market is None and symbol != "*":
            detail = f"{shown(name)!r} is no channel: there is no such market"
            raise ProblemError(ApiCode.UNKNOWN_CHANNEL, detail, "channels")
        if self._administrator is None:
            detail = f"{shown(name)!r} is for administrators: sign in first"
            raise ProblemError(ApiCode.AUTHENTICATION_REQUIRED, detail, "channels")
        return market

    async def join(self, market: Market | None) -> None:
        """Raises Unavailable."""
        await self._app[HUB].subscribe_admin(self._sink, market)

    def leave(self, market: Market | None) -> None:
        self._app[HUB].unsubscribe_admin(self._sink, market)

    def close(self) -> None:
        """The socket is gone."""
        self._administrator = None
        if self._timer is not None:
            self._timer.cancel()

    def _wait_for_end(self, administrator: Administrator) -> None:
        if self._timer is not None:
            self._timer.cancel()
        seconds = (administrator.expires_ms - self._app[STATE].clock.now_ms()) / 1000
        self._timer = asyncio.get_running_loop().call_later(max(0.0, seconds), self._end)

    def _end(self) -> None:
        self._administrator = None
        detail = "the administrator's token has expired, and its channels have ended; sign in and subscribe again"
        self._ended(ProblemError(ApiCode.INVALID_TOKEN, detail, "token"))
