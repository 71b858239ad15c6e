"""Orders of one market that wait for a price, outside its book. Prices are micro-USDC per lot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sortedcontainers import SortedList  # type: ignore[import-untyped,unused-ignore]

from offchain.domain.account import LiveOrder
from offchain.domain.order import OrderHash, Trigger, TriggerSource


class WaitingOrders:
    """Those that sleep, by price, and those that a price has reached, in the order in which they will be executed."""

    __slots__ = ("_orders", "_prices", "ready")

    def __init__(self) -> None:
        self.ready: dict[OrderHash, tuple[LiveOrder, int]] = {}
        """with the price that reached them"""
        self._prices: dict[tuple[TriggerSource, bool], Any] = {
            (source, rises): SortedList() for source in TriggerSource for rises in (False, True)
        }
        """(price, ticket) by source, and whether the price must rise to it"""
        self._orders: dict[int, LiveOrder] = {}
        """by ticket"""

    def add(self, live: LiveOrder, ticket: int) -> None:
        """Put an order to sleep."""
        live.ticket = ticket
        self._orders[ticket] = live
        self._list_of(live).add((trigger_of(live).price, ticket))

    def remove(self, live: LiveOrder) -> None:
        """Take an order out, whether it sleeps or is ready."""
        if self.ready.pop(live.order_hash, None) is None:
            self._list_of(live).remove((trigger_of(live).price, live.ticket))
            del self._orders[live.ticket]
        live.ticket = 0

    def reach(self, prints: list[tuple[TriggerSource, int, int]]) -> None:
        """Make ready what prices from `low` to `high` of a source have reached; what was entered first goes first."""
        reached = [
            (ticket, high if rises else low)
            for source, low, high in prints
            for rises in (False, True)
            for _, ticket in self._reached(source, rises, low, high)
        ]
        for ticket, price in sorted(reached):
            self.make_ready(self._orders[ticket], price)

    def make_ready(self, live: LiveOrder, price: int) -> None:
        """Let an order that sleeps be the last of those that will be executed."""
        self._list_of(live).remove((trigger_of(live).price, live.ticket))
        del self._orders[live.ticket]
        self.ready[live.order_hash] = (live, price)

    def waits_for(self, source: TriggerSource) -> bool:
        """Whether any order sleeps until a price of this source."""
        return bool(self._prices[source, False] or self._prices[source, True])

    def _reached(self, source: TriggerSource, rises: bool, low: int, high: int) -> Iterator[tuple[int, int]]:
        found: Iterator[tuple[int, int]]
        if rises:
            found = self._prices[source, True].irange(None, (high + 1,), (True, False))
        else:
            found = self._prices[source, False].irange((low,), None)
        return found

    def _list_of(self, live: LiveOrder) -> Any:
        trigger = trigger_of(live)
        return self._prices[trigger.source, trigger.rises(live.order.side)]


def trigger_of(live: LiveOrder) -> Trigger:
    """Of an order that waits."""
    trigger = live.waiting.trigger if live.waiting is not None else None
    assert trigger is not None, f"order {live.order_hash.hex()} does not wait"
    return trigger
