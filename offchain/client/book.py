"""A local copy of a published order book."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from itertools import islice
from typing import Any

from sortedcontainers import SortedDict  # type: ignore[import-untyped,unused-ignore]

from offchain.api.schemas.http import CHECKSUM_LEVELS, Level, checksum
from offchain.api.schemas.stream import DepthSnapshot, DepthUpdate
from offchain.client.errors import BookDiverged


class OrderBook:
    """Follows `market.<symbol>.depth`; every message is verified by its checksum."""

    def __init__(self) -> None:
        self.seq = 0
        """last event included; 0 before the first snapshot"""
        # Keys are prices, negated for bids, so that both sides iterate best first.
        self._bids: Any = SortedDict()
        self._asks: Any = SortedDict()

    def apply(self, message: DepthSnapshot | DepthUpdate) -> bool:
        """Take a snapshot or an update; False if it repeats what is known.

        Raises BookDiverged, after which only a snapshot helps.
        """
        if isinstance(message, DepthSnapshot):
            self._bids.clear()
            self._asks.clear()
        elif message.seq <= self.seq:
            return False
        elif message.prev_seq != self.seq:
            raise BookDiverged(f"{message.channel}: update {message.seq} follows {message.prev_seq}, not {self.seq}")
        _set(self._bids, message.data.bids, -1)
        _set(self._asks, message.data.asks, 1)
        self.seq = message.seq
        found = checksum(self.bids(CHECKSUM_LEVELS), self.asks(CHECKSUM_LEVELS))
        if found != message.data.checksum:
            raise BookDiverged(
                f"{message.channel}: checksum {found} at {message.seq}, expected {message.data.checksum}"
            )
        return True

    def forget(self) -> None:
        """Start again: only a snapshot counts now."""
        self._bids.clear()
        self._asks.clear()
        self.seq = 0

    def bids(self, limit: int | None = None) -> list[Level]:
        """(price, size) as sent, best first."""
        return list(islice(self._bids.values(), limit))

    def asks(self, limit: int | None = None) -> list[Level]:
        return list(islice(self._asks.values(), limit))

    @property
    def best_bid(self) -> Decimal | None:
        return -self._bids.peekitem(0)[0] if self._bids else None

    @property
    def best_ask(self) -> Decimal | None:
        return self._asks.peekitem(0)[0] if self._asks else None


def _set(side: Any, levels: Iterable[Level], sign: int) -> None:
    for price, size in levels:
        key = sign * Decimal(price)
        if size == "0":
            side.pop(key, None)
        else:
            side[key] = (price, size)
