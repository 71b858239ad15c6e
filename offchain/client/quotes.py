"""A market maker's quotes."""

from __future__ import annotations

from collections.abc import Sequence

from offchain.api.schemas.http import BatchEntry
from offchain.client.errors import ApiError
from offchain.client.orders import NewOrder
from offchain.client.signing import Number
from offchain.client.trading import Trading

Level = tuple[Number, Number]
"""(price, quantity)"""

MAX_QUOTES = 10
"""that fit under one signature"""


class QuoteSheet:
    """Quotes on both sides of one market, moved all at one time under one signature.

    Each level keeps a nonce key, so that no moment is without its quote. A level whose new quote is refused keeps the
    old one.
    """

    def __init__(self, trading: Trading, market: str, *, post_only: bool = True) -> None:
        """`trading` is a `Client` or an `OrderSocket`."""
        self._trading = trading
        self._market = market
        self._post_only = post_only
        self._is_unsure = False
        """whether quotes may be open whose answer was lost"""
        self.orders: dict[tuple[str, int], str] = {}
        """the open order of each level, by side and depth from 0, as far as is known here"""

    async def quote(self, bids: Sequence[Level], asks: Sequence[Level]) -> list[BatchEntry]:
        """Quote these levels, best first, two to ten of them in all, and cancel what is beyond. One result each, bids
        first.

        Raises as `Trading.place_array`; ValueError for another number of levels. After a retryable ApiError the next
        call begins with `cancel`.
        """
        wanted = {("buy", depth): level for depth, level in enumerate(bids)}
        wanted |= {("sell", depth): level for depth, level in enumerate(asks)}
        if not 2 <= len(wanted) <= MAX_QUOTES:
            raise ValueError(f"2 to {MAX_QUOTES} levels go under one signature, not {len(wanted)}")
        if self._is_unsure:
            await self.cancel()
        for place in [place for place in self.orders if place not in wanted]:
            await self._trading.cancel_if_open(self.orders[place])
            del self.orders[place]
        orders = [self._order(place, *level) for place, level in wanted.items()]
        try:
            results = await self._trading.place_array(orders)
        except ApiError as error:
            self._is_unsure = error.retryable
            raise
        for place, entry in zip(wanted, results, strict=True):
            if entry.order is not None:
                self.orders[place] = entry.order.order_id
        return results

    async def cancel(self) -> None:
        """Cancel all orders of the account in the market. Raises ApiError."""
        await self._trading.cancel_all(market=self._market)
        self.orders.clear()
        self._is_unsure = False

    def _order(self, place: tuple[str, int], price: Number, quantity: Number) -> NewOrder:
        before = self.orders.get(place)
        return NewOrder(
            market=self._market,
            side=place[0],
            price=price,
            quantity=quantity,
            post_only=self._post_only,
            replaces=before if before is not None and self._trading.is_open(before) else None,
        )
