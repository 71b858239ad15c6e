"""Subscriptions that outlive connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec

from offchain.api.schemas.stream import (
    DepthMessage,
    DepthSnapshot,
    DepthUpdate,
    PriceMessage,
    ResumedMessage,
    ResyncMessage,
    TraderMessage,
    TraderSnapshot,
    TradesMessage,
)
from offchain.client.auth import Authenticator
from offchain.client.book import OrderBook
from offchain.client.errors import ApiError, BookDiverged
from offchain.client.transport import Transport

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
HEARTBEAT_SECONDS = 20.0
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
RETRYABLE = frozenset({"unavailable"})
"""codes of refused operations that are tried again on a new connection"""

Message = DepthMessage | TradesMessage | PriceMessage | TraderMessage


class _Envelope(msgspec.Struct, frozen=True):
    channel: str = ""
    channels: list[str] = []
    op: str = ""
    seq: int = 0
    code: str = ""
    param: str | None = None
    detail: str = ""


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_DEPTH = msgspec.json.Decoder(DepthMessage)
_TRADES = msgspec.json.Decoder(TradesMessage)
_PRICES = msgspec.json.Decoder(PriceMessage)
_TRADER = msgspec.json.Decoder(TraderMessage)


class _Lost(Exception):
    """The connection is of no use any more; another one continues."""


class Stream:
    """The messages of some channels, in order and each once, with the books that follow from them.

    A lost connection is replaced. Books and trader channels then go on where they were, or start again from a snapshot
    if too much was missed; trade channels report by a `ResyncMessage` that trades may be missing; marks and rates begin
    with the newest. Iterating raises ApiError if the exchange refuses a subscription.
    """

    def __init__(
        self, transport: Transport, auth: Authenticator, channels: Sequence[str], observe: Callable[[Any], None]
    ) -> None:
        if not channels:
            raise ValueError("name at least one channel")
        self._transport = transport
        self._auth = auth
        self._is_private = any(channel.startswith("trader.") for channel in channels)
        self._refused: str | None = None
        """the token that the exchange knows no more"""
        self._observe = observe
        self._have: dict[str, int] = dict.fromkeys(channels, 0)
        self._decoders = {channel: _decoder(channel) for channel in channels}
        self._token: str | None = None
        self._mending: set[str] = set()
        """channels whose messages do not count until a first one comes"""
        self._resuming: set[str] = set()
        """those of them whose books take what they missed"""
        self._connections = 0
        self._messages = self._run()
        self.books: dict[str, OrderBook] = {}
        """by market symbol, for each depth channel"""
        for channel in channels:
            if channel.endswith(".depth"):
                self.books[_symbol(channel)] = OrderBook()

    def __aiter__(self) -> AsyncIterator[Message]:
        return self._messages

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Leave; a task that iterates meanwhile must be canceled first."""
        await self._messages.aclose()

    async def _run(self) -> AsyncGenerator[Message, None]:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                async with self._transport.session.ws_connect(
                    self._transport.address("/v1/ws"), heartbeat=HEARTBEAT_SECONDS, max_msg_size=MAX_MESSAGE_BYTES
                ) as socket:
                    self._connections += 1
                    if self._is_private:
                        await self._sign_in(socket)
                    for channel in self._have:
                        await self._subscribe(socket, channel)
                    async for message in self._receive(socket):
                        pause = FIRST_PAUSE_SECONDS
                        yield message
            except (aiohttp.ClientError, TimeoutError, ConnectionError, _Lost):
                pass  # whatever it was, a new connection is the answer
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _sign_in(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            self._token = await self._auth.token(self._refused)
        except ApiError as error:
            if error.retryable:
                raise _Lost from error
            raise
        await socket.send_str(msgspec.json.encode({"op": "signIn", "token": self._token}).decode())

    async def _subscribe(self, socket: aiohttp.ClientWebSocketResponse, channel: str) -> None:
        """Go on after the last message where the channel can; a book that diverged has none."""
        self._mending.add(channel)
        self._resuming.discard(channel)
        operation: dict[str, Any] = {"op": "subscribe", "channels": [channel]}
        if channel.startswith("trader.") and self._have[channel]:
            operation["after"] = self._have[channel]
        if channel.endswith(".depth") and (seq := self.books[_symbol(channel)].seq):
            operation["after"] = seq
            self._resuming.add(channel)
        await socket.send_str(msgspec.json.encode(operation).decode())

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse) -> AsyncIterator[Message]:
        async for frame in socket:
            if frame.type is not aiohttp.WSMsgType.TEXT:
                continue
            envelope = _ENVELOPE.decode(frame.data)
            if envelope.op == "error":
                if envelope.code == "invalidToken":
                    self._refused = self._token
                    raise _Lost
                if envelope.code in RETRYABLE:
                    raise _Lost
                raise ApiError(0, envelope.code, envelope.detail, param=envelope.param)
            if envelope.op == "subscribed":
                for channel in filter(_is_trades, envelope.channels):
                    self._mending.discard(channel)
                    self._have[channel] = envelope.seq
                    if self._connections > 1:
                        yield ResyncMessage(channel=channel, seq=envelope.seq)
            decoder = self._decoders.get(envelope.channel)
            if decoder is None:
                continue
            message: Message = decoder.decode(frame.data)
            if await self._accept(socket, message):
                self._observe(message)
                yield message

    async def _accept(self, socket: aiohttp.ClientWebSocketResponse, message: Message) -> bool:
        """Whether `message` is news; a gap is mended by subscribing again."""
        channel = message.channel
        have = self._have[channel]
        if isinstance(message, PriceMessage):
            self._have[channel] = message.seq
            return True
        if isinstance(message, DepthSnapshot | TraderSnapshot | ResyncMessage | ResumedMessage):
            self._mending.discard(channel)
            self._resuming.discard(channel)
        elif message.seq <= have:
            return False
        elif message.prev_seq > have:
            if channel not in self._mending:
                await self._subscribe(socket, channel)
            return False
        if isinstance(message, DepthSnapshot | DepthUpdate):
            if channel in self._mending and channel not in self._resuming:
                return False
            try:
                self.books[_symbol(channel)].apply(message)
            except BookDiverged:
                self.books[_symbol(channel)].forget()
                await self._subscribe(socket, channel)
                return False
        self._have[channel] = message.seq
        return True


def _decoder(channel: str) -> msgspec.json.Decoder[Any]:
    if channel.startswith("trader."):
        return _TRADER
    if channel.endswith((".markPrice", ".fundingRate")):
        return _PRICES
    return _DEPTH if channel.endswith(".depth") else _TRADES


def _symbol(channel: str) -> str:
    return channel.removeprefix("market.").rpartition(".")[0]


def _is_trades(channel: str) -> bool:
    return channel.endswith(".trade")
