"""The hub: committed records in, messages to subscribers out.

It follows the feed and holds one view per market. Depth is collected over a short time and encoded once for everybody;
trades go out once per record; a trader's own events are never merged and can be replayed after a lost connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from typing import Any

import msgspec
import structlog

from offchain.api.admin.stream import AdminFeed
from offchain.api.channels import Channel, Sink, Subscription, leave
from offchain.api.credentials import Credentials
from offchain.api.livestate import Seed, read_seed
from offchain.api.marketview import MarketView, ViewBroken
from offchain.api.outbox import Outbox
from offchain.api.present import Presenter, hex_of
from offchain.api.pricechannels import PriceChannels
from offchain.api.rates import Rates
from offchain.api.readback import Readback
from offchain.api.schemas import stream
from offchain.api.schemas.http import Book, PublicTrade
from offchain.api.state import ApiState
from offchain.api.traderfeed import TraderFeed
from offchain.catalogue import Catalogue, Listing
from offchain.domain.events import (
    ApiKeyUpdate,
    AssetListed,
    BalanceUpdate,
    Configured,
    DelegateUpdate,
    Event,
    ExchangeUpdate,
    FeeUpdate,
    MarketUpdate,
    OrderUpdate,
    Trade,
    TradeBusted,
)
from offchain.domain.market import Market
from offchain.domain.order import Address, Side
from offchain.ports import Record

RESTART_SECONDS = 1.0

_ENCODER = msgspec.json.Encoder()

log = structlog.get_logger(__name__)


class Hub:
    """Everything that subscribers see comes from here. One event loop."""

    def __init__(
        self,
        state: ApiState,
        catalogue: Catalogue,
        readback: Readback,
        credentials: Credentials,
        rates: Rates,
        outbox: Outbox,
    ) -> None:
        self._state = state
        self._catalogue = catalogue
        self._credentials = credentials
        self._outbox = outbox
        self._present = Presenter(catalogue)
        self.prices = PriceChannels(state, self._present, rates)
        self._views: dict[int, MarketView] = {}
        self._depth: dict[int, Channel] = {}
        self._trades: dict[int, Channel] = {}
        self._traders = TraderFeed(state, catalogue, self._present, readback, lambda: self._seq)
        self._admin = AdminFeed(state.live, catalogue, state.settings.send_queue)
        self._seq = 0
        self._time_ms = 0
        self._moved = asyncio.Event()
        """set whenever `seq` has grown"""
        self._tasks: set[asyncio.Task[None]] = set()
        self._resyncs = state.metrics.resyncs
        sent = state.metrics.socket_messages
        self._depth_sent, self._trade_sent, self._admin_sent = map(sent.labels, ("depth", "trade", "admin"))
        self.failure = ""
        """why the stream does not follow the exchange now; "" while it does"""

    # -----------------------------------------------------------------------------------------------------------------
    # Life
    # -----------------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Follow the feed from now on; returns when the views stand. Raises Unavailable."""
        records = self._state.feed.subscribe()  # before the first fill, so that nothing falls between
        await self._fill()
        self._spawn(self._run(records))
        self._spawn(self._flush())
        self._spawn(self.prices.run())

    async def stop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def seq(self) -> int:
        """Last event taken in."""
        return self._seq

    async def reach(self, seq: int, timeout_ms: int) -> bool:
        """Wait until event `seq` has been taken in, at most `timeout_ms`; whether it has."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_ms / 1000):
                while self._seq < seq:
                    self._moved.clear()
                    await self._moved.wait()
        return self._seq >= seq

    def subscriptions(self) -> dict[str, int]:
        """Subscriptions by kind of channel."""
        return {
            "depth": sum(len(channel.subscriptions) for channel in self._depth.values()),
            "trade": sum(len(channel.subscriptions) for channel in self._trades.values()),
            "trader": self._traders.subscriptions(),
            "admin": self._admin.subscriptions(),
            **self.prices.subscriptions(),
        }

    def view(self, market: int) -> MarketView:
        """Raises KeyError for an unknown market."""
        return self._views[market]

    async def deep_book(self, market: int, depth: int) -> Book:
        """More levels than are published. Raises KeyError for an unknown market."""
        return await self._views[market].deep_book(depth, self._seq, self._time_ms)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, records: AsyncIterator[Record]) -> None:
        while True:
            try:
                await self._follow(records)
                self.failure = "the feed has ended"
            except Exception as error:
                self.failure = f"the stream failed: {error!r}"
                log.exception("stream failed, starting again")
            await asyncio.sleep(RESTART_SECONDS)
            records = self._state.feed.subscribe()

    async def _follow(self, records: AsyncIterator[Record]) -> None:
        if self.failure:
            await self._fill()
            self.failure = ""
        async for record in records:
            if record.last <= self._seq:
                continue
            if record.first != self._seq + 1:
                log.warning("stream missed records", after=self._seq, next=record.first)
                await self._fill()
                continue
            try:
                self._take(record)
            except ViewBroken:
                log.exception("market view broken, filling it again")
                await self._fill()

    async def _flush(self) -> None:
        interval = self._state.settings.depth_flush_ms / 1000
        while True:
            await asyncio.sleep(interval)
            for market, view in self._views.items():
                frame = view.flush(self._seq, self._time_ms)
                channel = self._depth.get(market)
                if frame is not None and channel is not None:
                    self._depth_sent.inc(channel.send(view.seq, frame))

    # -----------------------------------------------------------------------------------------------------------------
    # Records
    # -----------------------------------------------------------------------------------------------------------------

    def _take(self, record: Record) -> None:
        """Raises ViewBroken."""
        seq, is_watched = record.first, self._traders.is_watched
        trades: dict[int, list[PublicTrade]] = {}
        for events in record.events:
            for event in events:
                # By frequency: most events are of orders and balances.
                if isinstance(event, OrderUpdate):
                    if event.depth_change:
                        self._views[event.market].change(event.side, event.price, event.depth_change)
                elif isinstance(event, Trade):
                    if event.market in self._trades:
                        trades.setdefault(event.market, []).append(self._present.public_trade(event, seq))
                elif not isinstance(event, BalanceUpdate):
                    self._take_rare(event, seq, record.time_ms)
                if is_watched:
                    self._traders.tell(event, seq)
                seq += 1
        self._seq = record.last
        self._moved.set()
        self._time_ms = record.time_ms
        log.debug("published", first=record.first, last=record.last)
        for market, made in trades.items():
            channel = self._trades[market]
            message = stream.TradeMessage(channel=channel.name, seq=made[-1].seq, prev_seq=channel.last, data=made)
            self._trade_sent.inc(channel.send(made[-1].seq, _ENCODER.encode(message)))
        self._outbox.flush()

    def _take_rare(self, event: Event, seq: int, time_ms: int) -> None:
        match event:
            case TradeBusted():
                self._bust(event, seq)
            case AssetListed() | Configured() | FeeUpdate():
                self._catalogue.apply((event,))
            case DelegateUpdate():
                self._catalogue.apply((event,))
                self._credentials.apply(event)
            case ApiKeyUpdate():
                self._credentials.apply(event)
            case MarketUpdate():
                self._catalogue.apply((event,))
                self._view_of(event.market, seq, time_ms)
                self._admin_sent.inc(self._admin.apply(event, seq))
            case ExchangeUpdate():
                self._admin_sent.inc(self._admin.apply(event, seq))

    def _bust(self, event: TradeBusted, seq: int) -> None:
        channel = self._trades.get(event.market)
        if channel is not None:
            data = stream.BustedTrade(trade_id=hex_of(event.id), reason=event.reason)
            message = stream.BustMessage(channel=channel.name, seq=seq, prev_seq=channel.last, data=data)
            self._trade_sent.inc(channel.send(seq, _ENCODER.encode(message)))

    def _view_of(self, market: Market, seq: int, time_ms: int) -> MarketView:
        view = self._views.get(market.id)
        if view is None:
            view = self._views[market.id] = self._empty_view(market, seq, time_ms)
        return view

    def _empty_view(self, market: Market, seq: int, time_ms: int) -> MarketView:
        settings = self._state.settings
        return MarketView(market, settings.depth_levels, seq, time_ms, settings.depth_ring, settings.depth_ring_bytes)

    # -----------------------------------------------------------------------------------------------------------------
    # Starting, and starting again after a gap
    # -----------------------------------------------------------------------------------------------------------------

    async def _fill(self) -> None:
        """Make everything stand at the core's state of now; subscribers are brought along."""
        seed = await read_seed(self._state.live)
        missed_after, self._seq = self._seq, seed.seq
        self._time_ms = self._state.clock.now_ms()
        self._learn(seed)
        self._moved.set()
        if missed_after:
            self._resyncs.inc()
        for market, channel in self._depth.items():
            channel.send(seed.seq, self._views[market].snapshot(resync=True))
        for channel in self._trades.values():
            channel.send(seed.seq, _ENCODER.encode(stream.ResyncMessage(channel=channel.name, seq=seed.seq)))
        self._admin.resync(seed.seq, seed.exchange, seed.listings)
        for refill in self._traders.resync(missed_after):
            self._spawn(refill)

    def _learn(self, seed: Seed) -> None:
        if seed.configuration is not None:
            configured = seed.configuration
            self._catalogue.configure(configured.chain_id, configured.engine, configured.fee_bps)
            self._catalogue.set_fee(seed.fee_bps, seed.fees)
        self._catalogue.set_delegates(seed.delegates)
        self._credentials.learn(seed.api_keys, seed.delegates)
        for asset in seed.assets:
            self._catalogue.list_asset(asset)
        views = {}
        for listing, (bids, asks) in zip(seed.listings, seed.books, strict=True):
            self._catalogue.list_market(listing)
            views[listing.market.id] = self._filled_view(listing, seed.seq, bids, asks)
        self._views = views

    def _filled_view(
        self, listing: Listing, seq: int, bids: list[tuple[int, int]], asks: list[tuple[int, int]]
    ) -> MarketView:
        view = self._empty_view(listing.market, seq, self._time_ms)
        view.fill(Side.BUY, bids)
        view.fill(Side.SELL, asks)
        view.flush(seq, self._time_ms)
        return view

    # -----------------------------------------------------------------------------------------------------------------
    # Subscribing
    # -----------------------------------------------------------------------------------------------------------------

    def subscribe_depth(self, sink: Sink, market: Market, after: int | None = None) -> None:
        """The published book, or what it misses that followed the message `after`; then its updates."""
        view = self._views[market.id]
        channel = self._depth.get(market.id)
        if channel is None:
            channel = self._depth[market.id] = Channel(self.depth_name(market), view.seq)
        channel.subscriptions[sink] = self._subscription(sink, hold=False)
        missed = None if after is None else view.missed(after)
        # More than half of what may wait for a socket is a heavier load than the whole book.
        if missed is None or 2 * len(missed) > self._state.settings.send_queue:
            sink.offer(view.snapshot(resync=after is not None))
            return
        for frame in missed:
            sink.offer(frame)
        sink.offer(_ENCODER.encode(stream.ResumedMessage(channel=channel.name, seq=view.seq)))

    def subscribe_trades(self, sink: Sink, market: Market) -> None:
        """Trades from now on."""
        channel = self._trades.get(market.id)
        if channel is None:
            channel = self._trades[market.id] = Channel(self.trade_name(market), self._seq)
        channel.subscriptions[sink] = self._subscription(sink, hold=False)

    async def subscribe_trader(self, sink: Sink, account: Address, after: int | None) -> None:
        """A snapshot of orders and balances, or the events after `after`, however many; then everything as it happens.

        Raises ProblemError if the views do not catch up in time, Unavailable, ConnectionError.
        """
        await self._traders.subscribe(sink, account, after)

    def unsubscribe_depth(self, sink: Sink, market: Market) -> None:
        leave(self._depth, market.id, sink)

    def unsubscribe_trades(self, sink: Sink, market: Market) -> None:
        leave(self._trades, market.id, sink)

    def unsubscribe_trader(self, sink: Sink, account: Address) -> None:
        self._traders.unsubscribe(sink, account)

    async def subscribe_admin(self, sink: Sink, market: Market | None) -> None:
        """The state of a market, or of all; then its changes. Raises Unavailable."""
        await self._admin.subscribe(sink, market, self._seq)

    def unsubscribe_admin(self, sink: Sink, market: Market | None) -> None:
        self._admin.unsubscribe(sink, market)

    def _subscription(self, sink: Sink, *, hold: bool) -> Subscription:
        return Subscription(sink, self._state.settings.send_queue, hold=hold)

    @staticmethod
    def depth_name(market: Market) -> str:
        return f"market.{market.symbol}.depth"

    @staticmethod
    def trade_name(market: Market) -> str:
        return f"market.{market.symbol}.trade"
