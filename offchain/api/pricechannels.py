"""The channels `market.<symbol>.markPrice` and `market.<symbol>.fundingRate`.

Both tell how something stands: a message is whole, the newest one is all that one needs, and a subscriber starts with
it. What has changed is collected over a second and encoded once for everybody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType

import msgspec
import structlog

from offchain.api import derivatives
from offchain.api.channels import Channel, Sink, Subscription, leave
from offchain.api.present import Presenter
from offchain.api.rates import Rates
from offchain.api.schemas import stream
from offchain.api.state import ApiState
from offchain.domain.mark import Quote
from offchain.domain.market import Market

KINDS = ("markPrice", "fundingRate")

_ENCODER = msgspec.json.Encoder()

log = structlog.get_logger(__name__)

_Data = stream.MarkPrice | stream.FundingRate


class _PriceChannel(Channel):
    """Beside the subscribers the newest message, with which others begin."""

    __slots__ = ("data", "frame", "market")

    def __init__(self, name: str, seq: int, market: Market) -> None:
        super().__init__(name, seq)
        self.market = market
        self.data: _Data | None = None
        self.frame = b""


class PriceChannels:
    """One event loop."""

    def __init__(self, state: ApiState, present: Presenter, rates: Rates) -> None:
        self._state = state
        self._present = present
        self._rates = rates
        self._channels: Mapping[str, dict[int, _PriceChannel]] = MappingProxyType({kind: {} for kind in KINDS})
        self._sent = {kind: state.metrics.socket_messages.labels(kind) for kind in KINDS}

    async def run(self) -> None:
        """Publish what has changed, until canceled."""
        trouble = ""
        while True:
            await asyncio.sleep(self._state.settings.price_flush_ms / 1000)
            try:
                await self.publish()
                trouble = ""
            except Exception as error:
                if trouble != repr(error):
                    log.exception("marks and rates were not published, trying again")
                trouble = repr(error)

    async def publish(self) -> None:
        """Look at every market that has subscribers, and tell what has changed. Raises Unavailable."""
        for kind, channels in self._channels.items():
            for channel, data in await self._look(kind, list(channels.values())):
                if data != channel.data:
                    self._put(channel, data)
                    self._sent[kind].inc(channel.send(channel.last, channel.frame))

    async def subscribe(self, kind: str, sink: Sink, market: Market) -> None:
        """The newest message, then each that differs. Raises Unavailable."""
        channels = self._channels[kind]
        if market.id not in channels:
            created = _PriceChannel(f"market.{market.symbol}.{kind}", self._state.live.tail(), market)
            ((_, data),) = await self._look(kind, [created])
            self._put(created, data)
            channels.setdefault(market.id, created)
        channel = channels[market.id]
        channel.subscriptions[sink] = Subscription(sink, self._state.settings.send_queue, hold=False)
        sink.offer(channel.frame)

    def unsubscribe(self, kind: str, sink: Sink, market: Market) -> None:
        leave(self._channels[kind], market.id, sink)

    def subscriptions(self) -> dict[str, int]:
        """By kind of channel."""
        return {
            kind: sum(len(channel.subscriptions) for channel in channels.values())
            for kind, channels in self._channels.items()
        }

    async def _look(self, kind: str, channels: list[_PriceChannel]) -> list[tuple[_PriceChannel, _Data]]:
        """How each stands now."""
        now_ms = self._state.clock.now_ms()
        if kind == "fundingRate":
            predictions = [await self._rates.predict(channel.market, now_ms) for channel in channels]
            found: list[_Data] = [derivatives.funding_rate(each) for each in predictions]
        else:
            markets = [channel.market for channel in channels]
            quotes = await self._quotes(markets, now_ms) if markets else []
            found = [self._mark(market, quote) for market, quote in zip(markets, quotes, strict=True)]
        return list(zip(channels, found, strict=True))

    async def _quotes(self, markets: list[Market], now_ms: int) -> list[Quote]:
        return await self._state.live.read(lambda core: [core.quote(market.id, now_ms) for market in markets])

    def _mark(self, market: Market, quote: Quote) -> stream.MarkPrice:
        return stream.MarkPrice(
            mark_price=self._present.price_or_none(market, quote.mark),
            index_price=self._present.price_or_none(market, quote.index),
        )

    def _put(self, channel: _PriceChannel, data: _Data) -> None:
        """Make this the channel's newest message."""
        seq, time = self._state.live.tail(), self._state.clock.now_ms()
        message: stream.PriceMessage
        if isinstance(data, stream.MarkPrice):
            message = stream.MarkPriceMessage(
                channel=channel.name, seq=seq, prev_seq=channel.last, time=time, data=data
            )
        else:
            message = stream.FundingRateMessage(
                channel=channel.name, seq=seq, prev_seq=channel.last, time=time, data=data
            )
        channel.data, channel.frame, channel.last = data, _ENCODER.encode(message), seq
