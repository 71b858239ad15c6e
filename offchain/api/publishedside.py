"""One side of a published book: levels as they are, and the best of them as they were published last.

Publishing looks at what has changed, not at everything that is published: books have thousands of levels and change
in a few.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import NamedTuple

from offchain.api.schemas.http import Level
from offchain.domain.market import Market
from offchain.domain.order import Side
from offchain.domain.units import format_units


class _Published(NamedTuple):
    lots: int
    level: Level


class PublishedSide:
    """Prices are micro-USDC per lot, sizes lots."""

    __slots__ = ("_changed", "_is_moved", "_keys", "_limit", "_lots", "_market", "_published", "_sign", "_window")

    def __init__(self, market: Market, side: int, limit: int) -> None:
        """At most `limit` levels are published."""
        self._market = market
        self._limit = limit
        # Keys are prices, negated for asks, so that the best of either side is the greatest.
        self._sign = 1 if side == Side.BUY else -1
        self._lots: dict[int, int] = {}
        self._keys: list[int] = []  # ascending
        self._changed: dict[int, None] = {}
        self._is_moved = False
        """whether levels came or went since the last `publish`"""
        self._published: dict[int, _Published] = {}
        self._window: list[int] = []
        """keys of the published levels, ascending"""

    def change(self, price: int, lots: int) -> int:
        """Add `lots`, which may be negative, to a level; its size then, which is wrong if it is negative."""
        key = self._sign * price
        before = self._lots.get(key, 0)
        size = before + lots
        if size > 0:
            self._lots[key] = size
            if not before:
                insort(self._keys, key)
                self._is_moved = True
        elif before:
            del self._lots[key]
            del self._keys[bisect_left(self._keys, key)]
            self._is_moved = True
        self._changed[key] = None
        return size

    def publish(self) -> list[Level]:
        """Make the published levels the best there are; those that changed, best first, then those that are gone."""
        published, lots = self._published, self._lots
        changed, self._changed = self._changed, {}
        gone: list[Level] = []
        if self._is_moved:
            self._is_moved = False
            window = self._window = self._keys[-self._limit :]
            within = set(window)
            gone = [(published.pop(key).level[0], "0") for key in [key for key in published if key not in within]]
            changed.update(dict.fromkeys(key for key in window if key not in published))
        worst = self._window[0] if self._window else 0
        changes: list[Level] = []
        for key in sorted((key for key in changed if key in lots and key >= worst), reverse=True):
            before, size = published.get(key), lots[key]
            if before is None or before.lots != size:
                published[key] = _Published(size, self.level(abs(key), size))
                changes.append(published[key].level)
        return changes + gone

    def levels(self, limit: int) -> list[Level]:
        """The best `limit` published levels."""
        return [self._published[key].level for key in reversed(self._window[-limit:])]

    def present(self, limit: int) -> list[tuple[int, int]]:
        """The best `limit` levels as they are, published or not: (price, lots), best first."""
        return [(abs(key), self._lots[key]) for key in reversed(self._keys[-limit:])]

    def level(self, price: int, lots: int) -> Level:
        """As it travels."""
        market = self._market
        return (
            format_units(market.price_per_unit(price), market.price_decimals),
            format_units(lots * market.lot_size, market.decimals),
        )
