"""Channels of administrators: the state of the markets, and of the exchange, as it changes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from offchain.api.admin import present
from offchain.api.channels import Channel, Sink, Subscription, leave
from offchain.api.present import Presenter
from offchain.api.schemas import admin
from offchain.api.state import Live
from offchain.catalogue import Catalogue, Listing, listing_of
from offchain.domain.core import Core
from offchain.domain.events import ExchangeUpdate, MarketUpdate
from offchain.domain.market import Market

ALL = 0
"""The key of `admin.*`; others are ids of markets."""

_ENCODER = msgspec.json.Encoder()


def name_of(market: Market | None) -> str:
    return "admin.*" if market is None else f"admin.{market.symbol}"


class AdminFeed:
    """Messages to whoever has signed in as an administrator. One event loop."""

    def __init__(self, live: Live, catalogue: Catalogue, queue_limit: int) -> None:
        self._live = live
        self._present = Presenter(catalogue)
        self._queue_limit = queue_limit
        self._channels: dict[int, tuple[Market | None, Channel]] = {}

    def subscriptions(self) -> int:
        return sum(len(channel.subscriptions) for _, channel in self._channels.values())

    # -----------------------------------------------------------------------------------------------------------------
    # Subscribing
    # -----------------------------------------------------------------------------------------------------------------

    async def subscribe(self, sink: Sink, market: Market | None, seq: int) -> None:
        """A snapshot, then changes, of a market or, without one, of all. `seq`: what the stream has seen.

        Raises Unavailable.
        """
        key = ALL if market is None else market.id
        if key not in self._channels:
            self._channels[key] = market, Channel(name_of(market), seq)
        _, channel = self._channels[key]
        subscription = channel.subscriptions[sink] = Subscription(sink, self._queue_limit, hold=True)
        try:
            at, exchange, listings = await self._live.read(lambda core: self._look(core, market))
        except BaseException:
            self.unsubscribe(sink, market)
            raise
        sink.offer(self._snapshot(channel.name, at, exchange, listings, resync=False))
        subscription.release(at)

    def unsubscribe(self, sink: Sink, market: Market | None) -> None:
        key = ALL if market is None else market.id
        if key in self._channels:
            channels = {key: self._channels[key][1]}
            leave(channels, key, sink)
            if not channels:
                del self._channels[key]

    def _look(self, core: Core, market: Market | None) -> tuple[int, ExchangeUpdate | None, list[Listing]]:
        markets = core.markets.values() if market is None else [market]
        return self._live.tail(), core.exchange_update(), [listing_of(core, each) for each in markets]

    def _snapshot(
        self, name: str, seq: int, exchange: ExchangeUpdate | None, listings: Sequence[Listing], *, resync: bool
    ) -> bytes:
        state = admin.AdminState(
            settings=None if exchange is None else present.settings(exchange),
            markets=[present.market_state(self._present, listing) for listing in listings],
        )
        return _ENCODER.encode(admin.AdminSnapshot(channel=name, seq=seq, data=state, resync=resync))

    # -----------------------------------------------------------------------------------------------------------------
    # What happens
    # -----------------------------------------------------------------------------------------------------------------

    def apply(self, event: MarketUpdate | ExchangeUpdate, seq: int) -> int:
        """Tell whom it concerns, after the catalogue knows it; how many messages that were."""
        if isinstance(event, ExchangeUpdate):
            return sum(self._send(key, seq, None, present.settings(event)) for key in self._channels)
        limits = (event.quantity_limit, event.opening_margin_bps)
        listing = Listing(event.market, event.status, event.halted, event.reason, *limits)
        state = present.market_state(self._present, listing)
        return sum(self._send(key, seq, state, None) for key in (ALL, event.market.id) if key in self._channels)

    def _send(self, key: int, seq: int, market: admin.MarketState | None, settings: admin.Settings | None) -> int:
        _, channel = self._channels[key]
        message = admin.StateChange(
            channel=channel.name, seq=seq, prev_seq=channel.last, market=market, settings=settings
        )
        return channel.send(seq, _ENCODER.encode(message))

    def resync(self, seq: int, exchange: ExchangeUpdate | None, listings: Sequence[Listing]) -> None:
        """Records were missed: everybody starts anew from the core's state at `seq`."""
        for market, channel in self._channels.values():
            shown = listings if market is None else [each for each in listings if each.market.id == market.id]
            channel.send(seq, self._snapshot(channel.name, seq, exchange, shown, resync=True))
