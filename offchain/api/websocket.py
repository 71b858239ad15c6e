"""WebSocket connections: operations from the client, a bounded queue of messages to it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import structlog
from aiohttp import WSMsgType, web

from offchain.api.access import HEADER, Scope, identify, identity_of, own_account
from offchain.api.admin.socket import AdminSession
from offchain.api.closing import CloseCode
from offchain.api.connection import CLOSE_SECONDS, Connection
from offchain.api.desk import REFUSALS, rejection_of
from offchain.api.keys import CATALOGUE, CREDENTIALS, DESK, HUB, LIFE, LIMITS, OUTBOX, STATE
from offchain.api.limits import exhausted
from offchain.api.operations import after_of, channels_of, only, request_id_of, token_of
from offchain.api.order_entry import TRADING, OrderEntry
from offchain.api.present import hex_of
from offchain.api.pricechannels import KINDS as PRICE_KINDS
from offchain.api.problems import ApiCode, ProblemError
from offchain.api.schemas import control
from offchain.domain.market import Kind, Market
from offchain.domain.order import Address
from offchain.intake import IntakeCode, decode_object, parse_address

Target = Market | Address | None
"""What a channel is about: a market, an account, or everything (None)."""
RESUMABLE = ("depth", "trader")
"""kinds of channels that go on after a message"""

_ENCODER = msgspec.json.Encoder()

log = structlog.get_logger(__name__)


class Session:
    """The operations of one connection."""

    def __init__(self, connection: Connection, app: web.Application) -> None:
        state = app[STATE]
        self._budget = app[LIMITS].socket()
        self._refused = 0
        self._monotonic = state.monotonic
        self._metrics = state.metrics
        self._connection = connection
        self._credentials = app[CREDENTIALS]
        self._hub = app[HUB]
        self._catalogue = app[CATALOGUE]
        self._clock = state.clock
        self._settings = state.settings
        self._channels: dict[str, tuple[str, Target]] = {}
        self._admin = AdminSession(connection, app, self._end_admin)
        self._entry = OrderEntry(app[DESK], connection.require, state.settings.max_pending, self._send, self._refuse)
        self._desk, self._life = app[DESK], app[LIFE]

    async def handle(self, text: str) -> None:
        """Do what one message asks. Raises ConnectionError if the connection closes meanwhile."""
        request_id: str | int | None = None
        try:
            message = decode_object(text.encode())
            request_id = request_id_of(message)
            operation = message.get("op")
            if operation in TRADING:
                self._trade(request_id, message)
                return
            self._charge(message)
            if operation == "ping":
                only(message, "op", "id")
                self._send(control.Pong(op="pong", id=request_id, time=self._clock.now_ms()))
            elif operation == "subscribe":
                only(message, "op", "id", "channels", "after")
                await self._subscribe(request_id, channels_of(message), after_of(message))
            elif operation == "unsubscribe":
                only(message, "op", "id", "channels")
                self._unsubscribe(request_id, channels_of(message))
            elif operation == "signIn":
                only(message, "op", "id", "token")
                await self._sign_in(request_id, token_of(message))
            else:
                detail = f"op must be signIn, subscribe, unsubscribe, {', '.join(TRADING)} or ping"
                raise ProblemError(ApiCode.UNKNOWN_OPERATION, detail, "op")
        except REFUSALS as refusal:
            self._refuse(request_id, refusal)

    def _trade(self, request_id: str | int | None, message: Mapping[str, Any]) -> None:
        """Orders and cancels are charged to the account that signed them, and to the socket if they are refused at
        once: who sends what nobody signed, or goes on beyond the account's budget, uses up that of the socket."""
        try:
            self._entry.begin(request_id, message)
        except REFUSALS:
            self._charge(message)
            raise

    async def _sign_in(self, request_id: str | int | None, token: str) -> None:
        """As the trader, or the administrator, whose token it is: only the latter's are JSON Web Tokens."""
        if token.count(".") == 2:
            self._send(await self._admin.sign_in(request_id, token))
            return
        identity = identity_of(self._credentials, token, self._clock.now_ms(), "token")
        self._connection.sign_in(identity)
        self._send(
            control.SignedIn(
                op="signedIn",
                id=request_id,
                account=hex_of(identity.account),
                scopes=sorted(identity.scopes),
                expires_at=identity.expires_ms,
            )
        )

    # -----------------------------------------------------------------------------------------------------------------
    # Channels
    # -----------------------------------------------------------------------------------------------------------------

    def _charge(self, message: Mapping[str, Any]) -> None:
        """Raises ProblemError if the socket has asked too much; a socket that goes on regardless is closed."""
        if self._budget is None:
            return
        names = message.get("channels")
        use = self._budget.take("", self._monotonic(), len(names) if isinstance(names, list) and names else 1)
        if use.is_allowed:
            self._refused = 0
            return
        self._metrics.rate_limited.labels(use.policy.name).inc()
        self._refused += 1
        if self._refused > use.policy.quota:
            self._connection.close(CloseCode.RATE_LIMITED)
            raise ConnectionError("rate limited")
        raise ProblemError(ApiCode.RATE_LIMITED, exhausted(use, "this socket"))

    def leave(self) -> None:
        """Give up all subscriptions, and let the core know if the loss of this socket cancels orders."""
        for name in list(self._channels):
            self._drop(name)
        self._admin.close()
        if self._entry.watched is not None:
            losing = asyncio.create_task(self._desk.lose(self._entry.watched))
            self._life.losses.add(losing)
            losing.add_done_callback(self._life.losses.discard)

    def _end_admin(self, why: ProblemError) -> None:
        """The administrator's token has ended."""
        for name in [name for name, (kind, _) in self._channels.items() if kind == "admin"]:
            self._drop(name)
        self._refuse(None, why)

    async def _subscribe(self, request_id: str | int | None, names: list[str], after: int | None) -> None:
        wanted = {name: self._resolve(name) for name in names}
        new = [name for name in wanted if name not in self._channels]
        limit = self._settings.max_subscriptions
        if len(self._channels) + len(new) > limit:
            detail = f"a socket may have {limit} subscriptions"
            raise ProblemError(ApiCode.TOO_MANY_SUBSCRIPTIONS, detail, "channels")
        if after is not None and any(kind not in RESUMABLE for kind, _ in wanted.values()):
            raise ProblemError(IntakeCode.INVALID_VALUE, "after is for depth and trader channels", "after")
        self._send(control.Subscribed(op="subscribed", id=request_id, channels=list(wanted), seq=self._hub.seq))
        for name, (kind, target) in wanted.items():
            self._drop(name)
            self._channels[name] = (kind, target)
            try:
                await self._join(kind, target, after)
            except BaseException:
                del self._channels[name]
                raise

    async def _join(self, kind: str, target: Target, after: int | None) -> None:
        if kind == "admin" or target is None:
            await self._admin.join(target if isinstance(target, Market) else None)
        elif isinstance(target, bytes):
            await self._hub.subscribe_trader(self._connection, target, after)
        elif kind == "depth":
            self._hub.subscribe_depth(self._connection, target, after)
        elif kind in PRICE_KINDS:
            await self._hub.prices.subscribe(kind, self._connection, target)
        else:
            self._hub.subscribe_trades(self._connection, target)

    def _unsubscribe(self, request_id: str | int | None, names: list[str]) -> None:
        for name in names:
            if name not in self._channels:
                raise ProblemError(ApiCode.UNKNOWN_CHANNEL, f"{name[:100]!r} is not subscribed", "channels")
        for name in names:
            self._drop(name)
        self._send(control.Subscribed(op="unsubscribed", id=request_id, channels=names, seq=self._hub.seq))

    def _drop(self, name: str) -> None:
        kind, target = self._channels.pop(name, ("", b""))
        if kind == "admin" or target is None:
            self._admin.leave(target if isinstance(target, Market) else None)
        elif isinstance(target, Market) and kind in PRICE_KINDS:
            self._hub.prices.unsubscribe(kind, self._connection, target)
        elif isinstance(target, Market):
            leave = self._hub.unsubscribe_depth if kind == "depth" else self._hub.unsubscribe_trades
            leave(self._connection, target)
        elif kind:
            self._hub.unsubscribe_trader(self._connection, target)

    def _resolve(self, name: str) -> tuple[str, Target]:
        scope, _, rest = name.partition(".")
        if scope == "admin":
            return scope, self._admin.resolve(name)
        if scope == "trader":
            parse_address(rest, "channels")
            return scope, own_account(self._connection.require(Scope.READ), rest, "channels")
        symbol, _, kind = rest.rpartition(".")
        market = self._catalogue.find(symbol)
        if scope != "market" or kind not in ("depth", "trade", *PRICE_KINDS) or market is None:
            known = "market.<symbol>.<depth|trade|markPrice|fundingRate>, trader.<address>, admin.<symbol>, admin.*"
            detail = f"{name[:100]!r} is no channel; there are {known}"
            raise ProblemError(ApiCode.UNKNOWN_CHANNEL, detail, "channels")
        if kind == "fundingRate" and market.kind != Kind.PERP:
            detail = f"{market.symbol} has no funding; perpetuals have"
            raise ProblemError(ApiCode.UNKNOWN_CHANNEL, detail, "channels")
        return kind, market

    def _send(self, message: msgspec.Struct) -> None:
        self._connection.offer(_ENCODER.encode(message))

    def _refuse(self, request_id: str | int | None, refusal: Exception) -> None:
        rejection = rejection_of(refusal)
        self._metrics.refusals.labels(rejection.code).inc()
        self._send(
            control.StreamError(
                op="error",
                id=request_id,
                code=rejection.code,
                param=rejection.param or None,
                detail=rejection.detail,
                order_id=refusal.order_id if isinstance(refusal, ProblemError) else None,
            )
        )


# ---------------------------------------------------------------------------------------------------------------------
# Route
# ---------------------------------------------------------------------------------------------------------------------


async def websocket(request: web.Request) -> web.WebSocketResponse:
    """GET /v1/ws"""
    state, life = request.app[STATE], request.app[LIFE]
    settings = state.settings
    socket = web.WebSocketResponse(
        timeout=CLOSE_SECONDS,
        heartbeat=settings.heartbeat_seconds,
        compress=False,
        max_msg_size=settings.max_message_bytes,
    )
    if not socket.can_prepare(request):
        raise ProblemError(ApiCode.UPGRADE_REQUIRED, "send a WebSocket upgrade request")
    if life.draining:
        raise ProblemError(ApiCode.SHUTTING_DOWN, "the service is shutting down; connect again")
    if len(life.connections) >= settings.max_sockets:
        raise ProblemError(ApiCode.OVERLOADED, f"{settings.max_sockets} sockets are connected")
    address = request.app[LIMITS].address_of(request)
    if 0 < settings.max_sockets_per_address <= life.sockets_of[address]:
        detail = f"{settings.max_sockets_per_address} sockets of this address are connected"
        raise ProblemError(ApiCode.TOO_MANY_SOCKETS, detail)
    identity = identify(request) if HEADER in request.headers else None
    credentials = request.app[CREDENTIALS]
    connection = Connection(
        socket, request.transport, settings.send_queue, state.metrics, credentials, state.clock, request.app[OUTBOX]
    )
    life.connections.add(connection)
    life.sockets_of[address] += 1
    session = Session(connection, request.app)
    try:
        await socket.prepare(request)
        if identity is not None:
            connection.sign_in(identity)
        state.metrics.answered("GET", "/v1/ws", 101, None)
        await _serve(socket, connection, session)
    finally:
        session.leave()
        connection.forget_identity()
        life.connections.discard(connection)
        life.sockets_of[address] -= 1
        if not life.sockets_of[address]:
            del life.sockets_of[address]
    return socket


async def _serve(socket: web.WebSocketResponse, connection: Connection, session: Session) -> None:
    try:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await session.handle(message.data)
            elif message.type is WSMsgType.BINARY:
                connection.close(CloseCode.TEXT_ONLY)
    except ConnectionError as gone:
        log.debug("socket closed", reason=str(gone))
    finally:
        await connection.closed()
