"""One WebSocket: who has signed in on it, and a bounded queue of messages to it."""

from __future__ import annotations

import asyncio

import structlog
from aiohttp import web

from offchain.api.access import Identity, check_scope
from offchain.api.closing import CloseCode
from offchain.api.credentials import Credentials
from offchain.api.outbox import Outbox
from offchain.api.problems import ApiCode, ProblemError
from offchain.api.traderfeed import REPLAY_PAGE
from offchain.metrics import CoreMetrics
from offchain.ports import Clock

CLOSE_SECONDS = 2.0
"""time for a peer to read our close frame"""

CLOSE_POLLS = 40

WRITE_BUFFER = 65_536
"""bytes that may wait in a socket's transport before further messages wait in its queue"""

WRITE_PAUSE = 0.01
"""seconds until that is looked at again"""

ROOM_SECONDS = 30.0
"""time for a peer to make room for a replay"""

log = structlog.get_logger(__name__)


def text_frame(text: bytes) -> bytes:
    """A frame of a server (RFC 6455): not masked, not compressed."""
    size = len(text)
    if size < 126:
        return bytes((0x81, size)) + text
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + text
    return b"\x81\x7f" + size.to_bytes(8, "big") + text


class Connection:
    """One socket. `offer` never waits; a socket that does not keep up is closed."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        limit: int,
        metrics: CoreMetrics,
        credentials: Credentials,
        clock: Clock,
        outbox: Outbox,
    ) -> None:
        self._metrics = metrics
        self._credentials = credentials
        self._clock = clock
        self._identity: Identity | None = None
        self._socket = socket
        self._transport = transport
        self._limit = limit
        self._outbox = outbox
        self._loop = asyncio.get_running_loop()
        self._queue: list[bytes] = []
        self._is_due = False
        """whether what is queued will be written"""
        self._roomy = asyncio.Event()
        self._closer: asyncio.Task[None] | None = None

    # -----------------------------------------------------------------------------------------------------------------
    # Who
    # -----------------------------------------------------------------------------------------------------------------

    @property
    def identity(self) -> Identity | None:
        """Who has signed in on this socket; None before. When their token ends, the socket is closed."""
        return self._identity

    def require(self, scope: str) -> Identity:
        """Who has signed in, if their token has the scope. Raises ProblemError."""
        identity = self._identity
        if identity is None:
            raise ProblemError(ApiCode.AUTHENTICATION_REQUIRED, "sign in first: signIn with a token", "op")
        if not self._credentials.is_good(identity, self._clock.now_ms()):
            raise ProblemError(ApiCode.INVALID_TOKEN, "the token with which this socket has signed in has ended")
        return check_scope(identity, scope)

    def sign_in(self, identity: Identity) -> None:
        """Speak for `identity` from now on. Raises ProblemError for another account than before."""
        if self._identity is not None and self._identity.account != identity.account:
            detail = "this socket has signed in for another account; use another socket"
            raise ProblemError(ApiCode.NOT_YOUR_ACCOUNT, detail, "token")
        self.forget_identity()
        self._identity = identity
        self._credentials.watch(identity, self._sign_out)

    def forget_identity(self) -> None:
        if self._identity is not None:
            self._credentials.unwatch(self._identity, self._sign_out)

    def _sign_out(self) -> None:
        self.close(CloseCode.SIGNED_OUT)

    # -----------------------------------------------------------------------------------------------------------------
    # Messages
    # -----------------------------------------------------------------------------------------------------------------

    def offer(self, frame: bytes) -> None:
        if self._closer is not None:
            return
        if len(self._queue) >= self._limit:
            self.overflow()
            return
        self._queue.append(frame)
        if not self._is_due:
            self._is_due = True
            self._outbox.add(self._write)

    async def room(self) -> None:
        """Wait until a page of messages fits. Raises ConnectionError if the connection closes first."""
        while len(self._queue) > max(0, self._limit - REPLAY_PAGE) and self._closer is None:
            self._roomy.clear()
            try:
                async with asyncio.timeout(ROOM_SECONDS):
                    await self._roomy.wait()
            except TimeoutError:
                self.overflow()
        if self._closer is not None:
            raise ConnectionError("the connection is closing")

    def overflow(self) -> None:
        self.close(CloseCode.SLOW_CONSUMER)

    def close(self, code: CloseCode) -> None:
        """Close once; what is still queued is dropped."""
        if self._closer is None:
            self._metrics.sockets_closed.labels(int(code)).inc()
            self._metrics.messages_dropped.inc(len(self._queue))
            self._queue.clear()
            self._closer = asyncio.create_task(self._close(code))
            self._roomy.set()

    async def closed(self) -> None:
        """Wait until a close that has begun is through."""
        if self._closer is not None:
            await self._closer

    def _write(self) -> None:
        """Hand everything that is queued to the transport at once, unless the peer lags behind."""
        self._is_due = False
        transport = self._transport
        if transport is None or transport.is_closing() or not self._queue:
            return
        if transport.get_write_buffer_size() > WRITE_BUFFER:
            self._is_due = True
            self._loop.call_later(WRITE_PAUSE, self._write)
            return
        transport.write(b"".join(map(text_frame, self._queue)))
        self._queue.clear()
        self._roomy.set()

    async def _close(self, code: CloseCode) -> None:
        await self._socket.close(code=code, message=code.reason.encode(), drain=False)
        if self._transport is None:
            return
        # The close frame waits behind what is buffered; a peer that does not read would keep that for ever.
        for _ in range(CLOSE_POLLS):
            if not self._transport.get_write_buffer_size():
                return
            await asyncio.sleep(CLOSE_SECONDS / CLOSE_POLLS)
        self._transport.abort()
