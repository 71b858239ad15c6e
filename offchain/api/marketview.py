"""The published book of one market: what WebSocket messages and `GET /v1/orderbook` show.

The view follows committed events and is published at each flush, so that everybody who looks sees the same book.
"""

from __future__ import annotations

from collections import deque

import msgspec

from offchain.api.patience import unhurried
from offchain.api.publishedside import PublishedSide
from offchain.api.schemas.http import CHECKSUM_LEVELS, Book, Level, checksum
from offchain.api.schemas.stream import Depth, DepthSnapshot, DepthUpdate
from offchain.domain.market import Market
from offchain.domain.order import Side

DEPTH_RING, DEPTH_RING_BYTES = 1_024, 524_288

_ENCODER = msgspec.json.Encoder()


class ViewBroken(Exception):
    """A change does not fit the book that the view holds; the view must be filled again from the core."""


class _Ring:
    """The latest updates, each with the `seq` that it follows."""

    def __init__(self, messages: int, size: int) -> None:
        self._kept: deque[tuple[int, bytes]] = deque(maxlen=messages)
        self._free = size

    def add(self, previous: int, frame: bytes) -> None:
        if len(self._kept) == self._kept.maxlen:
            self._drop()
        self._kept.append((previous, frame))
        self._free -= len(frame)
        while self._free < 0 and self._kept:
            self._drop()

    def after(self, seq: int) -> list[bytes] | None:
        """Those that follow the message `seq`; None unless the one after it is kept."""
        missed = []
        for previous, frame in reversed(self._kept):
            missed.append(frame)
            if previous <= seq:
                return missed[::-1] if previous == seq else None
        return None

    def _drop(self) -> None:
        self._free += len(self._kept.popleft()[1])


class MarketView:
    """Levels by price as they are (`change`), and as last published (`flush`)."""

    def __init__(
        self,
        market: Market,
        depth_levels: int,
        seq: int,
        time_ms: int,
        ring: int = DEPTH_RING,
        ring_bytes: int = DEPTH_RING_BYTES,
    ) -> None:
        """An empty book as of event `seq`; at most `depth_levels` price levels per side are published, and of the
        updates at most the latest `ring` are kept, or as many as have `ring_bytes`."""
        self.market = market
        self.channel = f"market.{market.symbol}.depth"
        self.seq = seq
        """last event that the published book includes"""
        self._time_ms = time_ms
        self._depth_levels = depth_levels
        self._dirty = False
        self._sides = tuple(PublishedSide(market, side, depth_levels) for side in (Side.BUY, Side.SELL))
        self._snapshots: dict[bool, bytes] = {}
        """encoded, by whether they say `resync`"""
        self._ring = _Ring(ring, ring_bytes)

    def fill(self, side: int, levels: list[tuple[int, int]]) -> None:
        """Start from these (price, lots), which are then published with `flush`."""
        for price, lots in levels:
            self.change(side, price, lots)

    def change(self, side: int, price: int, lots: int) -> None:
        """Add `lots`, which may be negative, to the level at `price` (micro-USDC per lot). Raises ViewBroken."""
        size = self._sides[side].change(price, lots)
        if size < 0:
            raise ViewBroken(f"{self.market.symbol}: {size} lots at {price} on side {side}")
        self._dirty = True

    def flush(self, seq: int, time_ms: int) -> bytes | None:
        """Publish the book as of event `seq`; the encoded update, None if nothing that is published changed."""
        if not self._dirty:
            return None
        self._dirty = False
        bids, asks = (side.publish() for side in self._sides)
        if not bids and not asks:
            return None
        previous, self.seq, self._time_ms = self.seq, seq, time_ms
        self._snapshots.clear()
        depth = Depth(bids=bids, asks=asks, checksum=self.checksum())
        update = DepthUpdate(channel=self.channel, seq=seq, prev_seq=previous, time=time_ms, data=depth)
        frame = _ENCODER.encode(update)
        self._ring.add(previous, frame)
        return frame

    def missed(self, after: int) -> list[bytes] | None:
        """The encoded updates that follow the message `after`; None if they are not kept, or it is none of ours."""
        return [] if after == self.seq else self._ring.after(after)

    def snapshot(self, *, resync: bool = False) -> bytes:
        """The encoded published book."""
        if resync not in self._snapshots:
            self._snapshots[resync] = self._encode_snapshot(resync)
        return self._snapshots[resync]

    def book(self, depth: int) -> Book:
        """The best `depth` levels per side of the published book."""
        return Book(
            market=self.market.symbol,
            seq=self.seq,
            time=self._time_ms,
            bids=self._sides[Side.BUY].levels(depth),
            asks=self._sides[Side.SELL].levels(depth),
            checksum=self.checksum(),
        )

    async def deep_book(self, depth: int, seq: int, time_ms: int) -> Book:
        """The best `depth` levels per side as they are, however many are published; `seq` is the last event that the
        view was told of. Others have their turn meanwhile."""
        # Copied before others may change them.
        copies = [(side, side.present(depth)) for side in self._sides]
        bids, asks = [await self._written(side, copy) for side, copy in copies]
        best = checksum(bids[:CHECKSUM_LEVELS], asks[:CHECKSUM_LEVELS])
        return Book(market=self.market.symbol, seq=seq, time=time_ms, bids=bids, asks=asks, checksum=best)

    async def _written(self, side: PublishedSide, copy: list[tuple[int, int]]) -> list[Level]:
        return [side.level(price, lots) async for price, lots in unhurried(copy)]

    def checksum(self) -> int:
        """As `schemas.http.checksum`, of the published book."""
        return checksum(*(side.levels(CHECKSUM_LEVELS) for side in self._sides))

    def _encode_snapshot(self, resync: bool) -> bytes:
        depth = Depth(
            bids=self._sides[Side.BUY].levels(self._depth_levels),
            asks=self._sides[Side.SELL].levels(self._depth_levels),
            checksum=self.checksum(),
        )
        message = DepthSnapshot(channel=self.channel, seq=self.seq, time=self._time_ms, data=depth, resync=resync)
        return _ENCODER.encode(message)
