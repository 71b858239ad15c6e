"""The order book of one market: price levels, first in first out within each.

Prices are micro-USDC per lot, quantities lots. An order's place in its level is its ticket; a replacement that keeps
the place takes over the ticket.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice
from typing import Any

from sortedcontainers import SortedList  # type: ignore[import-untyped,unused-ignore]

from offchain.domain.account import LiveOrder
from offchain.domain.order import Side


class Level:
    """Orders at one price, by ticket, in order of arrival."""

    # A plain dict would scan over the slots of removed orders to find its first one; an OrderedDict does not.
    __slots__ = ("orders", "quantity")

    def __init__(self) -> None:
        self.orders: OrderedDict[int, LiveOrder] = OrderedDict()
        self.quantity = 0


_NOBODY: Iterator[tuple[int, Level]] = iter(())


class BookSide:
    """Price levels of one side, best first."""

    __slots__ = ("_keys", "_levels", "_sign")

    def __init__(self, side: int) -> None:
        self._sign = -1 if side == Side.BUY else 1
        self._keys: Any = SortedList()  # sign * price: the best price has the least key
        self._levels: dict[int, Level] = {}

    def __len__(self) -> int:
        return len(self._levels)

    @property
    def best(self) -> int | None:
        """The best price; None if there is no order."""
        return self._sign * self._keys[0] if self._keys else None

    def crossing(self, limit: int) -> Iterator[tuple[int, Level]]:
        """Levels that an order on the other side with `limit` would meet, best first."""
        worst = self._sign * limit
        # Most orders meet nobody.
        if not self._levels or self._keys[0] > worst:
            return _NOBODY
        return self._crossing(worst)

    def _crossing(self, worst: int) -> Iterator[tuple[int, Level]]:
        for key in self._keys:
            if key > worst:
                return
            price = self._sign * key
            yield price, self._levels[price]

    def depth(self, limit: int) -> list[tuple[int, int]]:
        """The best `limit` levels as (price, lots)."""
        prices = [self._sign * key for key in islice(self._keys, limit)]
        return [(price, self._levels[price].quantity) for price in prices]

    def levels(self) -> Iterator[tuple[int, Level]]:
        """All levels, best first."""
        return ((self._sign * key, self._levels[self._sign * key]) for key in self._keys)

    def add(self, live: LiveOrder, ticket: int) -> None:
        """Put an order into the place that `ticket` names: a new one is the end of the queue."""
        price = live.order.price
        level = self._levels.get(price)
        if level is None:
            level = self._levels[price] = Level()
            self._keys.add(self._sign * price)
        live.ticket = ticket
        level.orders[ticket] = live
        level.quantity += live.quantity - live.filled

    def swap(self, old: LiveOrder, new: LiveOrder) -> None:
        """Let `new` take over the place of `old` at the same price."""
        level = self._levels[old.order.price]
        new.ticket, old.ticket = old.ticket, 0
        level.orders[new.ticket] = new
        level.quantity += new.remaining - old.remaining

    def reduce(self, price: int, quantity: int) -> None:
        """Take `quantity` lots, which an order at `price` has just filled or given up, from its level."""
        self._levels[price].quantity -= quantity

    def remove(self, live: LiveOrder) -> None:
        """Take an order with what it has open out of the book."""
        price = live.order.price
        level = self._levels[price]
        del level.orders[live.ticket]
        live.ticket = 0
        level.quantity -= live.quantity - live.filled
        if not level.orders:
            del self._levels[price]
            self._keys.remove(self._sign * price)


class Book:
    """Both sides of one market."""

    __slots__ = ("asks", "bids")

    def __init__(self) -> None:
        self.bids = BookSide(Side.BUY)
        self.asks = BookSide(Side.SELL)

    def side(self, side: int) -> BookSide:
        return self.asks if side else self.bids
