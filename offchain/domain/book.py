"""The order book of one market: price levels, first in first out within each.

Prices are micro-USDC per lot, quantities lots. An order's place in its level is its ticket; a replacement that keeps
the place takes over the ticket.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice

from offchain.domain.account import LiveOrder
from offchain.domain.order import Side


class Level:
    """Orders at one price, by ticket, in order of arrival."""

    # A plain dict would scan over the slots of removed orders to find its first one; an OrderedDict does not.
    __slots__ = ("orders", "quantity")

    def __init__(self) -> None:
        self.orders: OrderedDict[int, LiveOrder] = OrderedDict()
        self.quantity = 0


_NO_ORDERS = -(2**128)
"""below every price"""


class BookSide:
    """Price levels of one side, best first."""

    # A plain list with the best price last: most levels come and go near the best, where nothing has to be moved. A
    # level in the middle of 10,000 costs a microsecond, of a million a tenth of a millisecond.
    __slots__ = ("_keys", "_levels", "best_key", "sign")

    def __init__(self, side: int) -> None:
        self.sign = 1 if side == Side.BUY else -1
        self.best_key = _NO_ORDERS
        """the greatest of all sign * price; an order on the other side meets somebody if its own is not greater"""
        self._keys: list[int] = []  # sign * price, ascending
        self._levels: dict[int, Level] = {}

    def __len__(self) -> int:
        return len(self._levels)

    @property
    def best(self) -> int | None:
        """The best price; None if nobody offers one."""
        return self.sign * self.best_key if self._keys else None

    def crossing(self, limit: int) -> Iterator[tuple[int, Level]]:
        """Levels that an order on the other side with `limit` would meet, best first."""
        sign, levels = self.sign, self._levels
        worst = sign * limit
        for key in reversed(self._keys):
            if key < worst:
                return
            price = sign * key
            yield price, levels[price]

    def depth(self, limit: int) -> list[tuple[int, int]]:
        """The best `limit` levels as (price, lots)."""
        prices = [self.sign * key for key in islice(reversed(self._keys), limit)]
        return [(price, self._levels[price].quantity) for price in prices]

    def levels(self) -> Iterator[tuple[int, Level]]:
        """All levels, best first."""
        return ((self.sign * key, self._levels[self.sign * key]) for key in reversed(self._keys))

    def add(self, live: LiveOrder, ticket: int) -> None:
        """Put an order into the place that `ticket` names: a new one is the end of the queue."""
        price = live.order.price
        level = self._levels.get(price)
        if level is None:
            level = self._levels[price] = Level()
            insort(self._keys, self.sign * price)
            self.best_key = self._keys[-1]
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
        orders = level.orders
        del orders[live.ticket]
        live.ticket = 0
        level.quantity -= live.quantity - live.filled
        if not orders:
            del self._levels[price]
            key = self.sign * price
            keys = self._keys
            del keys[bisect_left(keys, key)]
            self.best_key = keys[-1] if keys else _NO_ORDERS


class Book:
    """Both sides of one market."""

    __slots__ = ("asks", "bids", "sides")

    def __init__(self) -> None:
        self.bids = BookSide(Side.BUY)
        self.asks = BookSide(Side.SELL)
        self.sides = (self.bids, self.asks)
        """by `Side`"""

    def side(self, side: int) -> BookSide:
        return self.sides[side]
