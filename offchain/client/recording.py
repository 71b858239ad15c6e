"""One account's order flow, recorded live from its channel.

The channel tells that an order is there, `GET /v1/orders/{id}` what it says. Times are those of the news, not of the
exchange. What the engine refused without taking the order, and which orders were sent together, the channel does not
tell.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from offchain.api.schemas.http import MarketInfo, OrderInfo
from offchain.api.schemas.stream import CancelAfterMessage, OpenOrder, OrderChange, OrderMessage, TraderSnapshot
from offchain.client.client import Client
from offchain.client.desk import ENDED
from offchain.client.errors import ApiError
from offchain.client.stream import Message
from offchain.flow import (
    Cancel,
    CancelAfter,
    FlowFull,
    FlowWriter,
    Header,
    ListedMarket,
    Operation,
    Place,
    Reference,
    Replace,
    Terms,
)
from offchain.flow.schema import FORMAT, LONGEST_DEADLINE_SECONDS, VERSION

PAUSES = (0.1, 0.5, 1.0, 2.0)
"""seconds before an order that is not known yet is asked for again"""

MAX_REMEMBERED = 100_000
"""orders; those that came first are forgotten first"""


@dataclass(frozen=True)
class Live:
    """What became a file."""

    operations: int
    left_out: int
    """cancels of orders that had been placed before"""
    detached: int
    """orders that replaced one which had been placed before; they are placed as new ones"""
    is_full: bool
    """the file has reached its bounds; what came later is not in it"""


class LiveRecorder:
    """Writes what the messages of an account's channel tell to a file."""

    def __init__(self, client: Client, writer: FlowWriter, name: str, fee_bps: int, now_ms: Callable[[], int]) -> None:
        """`now_ms` is the exchange's clock in Unix milliseconds, which began with the file."""
        self._client = client
        self._writer = writer
        self._name = name
        self._fee_bps = fee_bps
        self._now_ms = now_ms
        self._started_ms = now_ms()
        self._time = 0
        self._places: dict[str, Reference | None] = {}
        """where in the file an order is; None: it was there before"""
        self._working: dict[tuple[str, int], str] = {}
        """by market and nonce key, the order that a new one would replace"""
        self._keys: dict[str, tuple[str, int]] = {}
        self.left_out = 0
        self.detached = 0

    async def hear(self, message: Message) -> None:
        """Take the next message. Raises ApiError, FlowFull."""
        match message:
            case TraderSnapshot():
                for order in message.data.orders:
                    if order.order_id in self._places:
                        continue
                    if message.resync:  # too much was missed to be told one by one
                        await self._placed(order)
                        continue
                    self._remember(order.order_id, None)
                    self._open((order.market, int(order.nonce) >> 32), order.order_id)
            case OrderMessage():
                await self._changed(message.data)
            case CancelAfterMessage():
                self._deadline(message.data.cancels_at)

    async def _changed(self, change: OrderChange) -> None:
        if change.order_id not in self._places:
            await self._placed(change)
        if change.status not in ENDED:
            return
        if change.status == "canceled" and change.code == "user":
            place = self._places[change.order_id]
            if place is None:
                self.left_out += 1
            else:
                self._write(Cancel(t=self._now(), trader=self._name, cancels=place))
        # A replaced order ends before the news of its successor come.
        if change.code != "replaced":
            self._ended(change.order_id)

    async def _placed(self, change: OrderChange | OpenOrder) -> None:
        t = self._now()
        info = await self._ask(change.order_id)
        key = (info.market, int(info.nonce) >> 32)
        replaced = self._working.get(key)
        place = None if replaced is None else self._places.get(replaced)
        if replaced is not None and place is None:
            self.detached += 1
        terms = terms_of(info, self._fee_bps, place)
        kind = Place if place is None else Replace
        line = self._write(kind(t=t, trader=self._name, order=terms))
        self._remember(change.order_id, Reference(line))
        if change.status not in ENDED:
            if replaced is not None:
                self._keys.pop(replaced, None)
            self._open(key, change.order_id)

    async def _ask(self, order_id: str) -> OrderInfo:
        """What the order says; the news may be ahead of the views."""
        for pause in PAUSES:
            try:
                return await self._client.order(order_id)
            except ApiError as error:
                if error.code != "unknownOrder":
                    raise
            await asyncio.sleep(pause)
        return await self._client.order(order_id)

    def _deadline(self, cancels_at: int | None) -> None:
        now_ms = self._now_ms()
        if cancels_at is not None and cancels_at <= now_ms:
            return
        seconds = 0 if cancels_at is None else min(-(-(cancels_at - now_ms) // 1000), LONGEST_DEADLINE_SECONDS)
        self._write(CancelAfter(t=self._now(), trader=self._name, seconds=seconds))

    def _now(self) -> int:
        """Milliseconds since the start, never less than before."""
        self._time = max(self._time, self._now_ms() - self._started_ms)
        return self._time

    def _write(self, operation: Operation) -> int:
        return self._writer.append(operation)

    def _remember(self, order_id: str, place: Reference | None) -> None:
        self._places[order_id] = place
        if len(self._places) > MAX_REMEMBERED:
            oldest = next(iter(self._places))
            del self._places[oldest]
            self._ended(oldest)

    def _open(self, key: tuple[str, int], order_id: str) -> None:
        self._working[key] = order_id
        self._keys[order_id] = key

    def _ended(self, order_id: str) -> None:
        key = self._keys.pop(order_id, None)
        if key is not None and self._working.get(key) == order_id:
            del self._working[key]


def header_of(markets: list[MarketInfo], started_ms: int) -> Header:
    """The first line, with these markets."""
    listed = [ListedMarket(market.symbol, market.tick_size, market.lot_size) for market in markets]
    return Header(FORMAT, VERSION, started_ms, listed)


def terms_of(info: OrderInfo, fee_bps: int, replaces: Reference | None) -> Terms:
    """What an order says, without what belongs to its account."""
    trigger = info.trigger
    return Terms(
        market=info.market,
        side=info.side,  # type: ignore[arg-type]  # the exchange's own words
        type=info.type,  # type: ignore[arg-type]
        time_in_force=info.time_in_force,  # type: ignore[arg-type]
        price=info.price,
        quantity=info.quantity,
        expires_in=None if info.expiry is None else max(0, info.expiry - info.created_at // 1000),
        max_fee_bps=None if info.max_fee_bps == fee_bps else info.max_fee_bps,
        conversion_limit=info.conversion_limit,
        reduce_only=info.reduce_only,
        post_only=info.post_only,
        self_trade_prevention=info.self_trade_prevention,  # type: ignore[arg-type]
        client_order_id=info.client_order_id,
        trigger=None if trigger is None else trigger.type,  # type: ignore[arg-type]
        trigger_price=None if trigger is None else trigger.price,
        trigger_by="last" if trigger is None else trigger.by,  # type: ignore[arg-type]
        replaces=replaces,
    )


async def record_live(client: Client, path: Path, name: str, stop: asyncio.Event, told: Callable[[], None]) -> Live:
    """Record the client's account to a new file until `stop` is set. `told` is called once it has begun.

    Raises ApiError, OSError.
    """
    markets = await client.markets()
    asked = time.monotonic()
    server_ms = await client.server_time()

    def now_ms() -> int:
        return server_ms + int(1000 * (time.monotonic() - asked))

    with FlowWriter(path, header_of(markets.markets, server_ms)) as writer:
        recorder = LiveRecorder(client, writer, name, markets.fee_bps, now_ms)
        listening = asyncio.create_task(_listen(client, recorder, told))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((listening, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        is_full = False
        if listening.done():
            try:
                listening.result()
            except FlowFull:
                is_full = True
        else:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        return Live(writer.operations, recorder.left_out, recorder.detached, is_full)


async def _listen(client: Client, recorder: LiveRecorder, told: Callable[[], None]) -> None:
    is_first = True
    async with client.subscribe(client.trader_channel) as stream:
        async for message in stream:
            await recorder.hear(message)
            if is_first:
                told()
            is_first = False
