"""A position as its owner sees it: at which price it was entered, what it is worth, what backs it.

Amounts are micro-USDC, prices micro-USDC per lot, sizes lots.
"""

from __future__ import annotations

import msgspec

from offchain.domain.events import PositionUpdate
from offchain.domain.market import Kind
from offchain.domain.options import short_lots
from offchain.domain.order import Side
from offchain.domain.positions import Position
from offchain.domain.state import MarketState


class PositionView(msgspec.Struct, frozen=True):
    """Everything that can be said of a position now."""

    update: PositionUpdate
    mark: int | None
    """what a lot is worth; None if nobody offers and nothing was traded"""
    unrealised: int | None
    """profit if it were closed at the mark"""
    margin: int
    """what is locked: the collateral of an option"""


def view_position(venue: MarketState, position: Position) -> PositionView:
    now, mark = position.current, mark_price(venue)
    unrealised = None if mark is None else now.size * mark - now.cost
    if not now.size:
        unrealised = 0
    margin = venue.market.terms.collateral * short_lots(now.size) if venue.market.kind == Kind.OPTION else 0
    return PositionView(position.update(), mark, unrealised, margin)


def mark_price(venue: MarketState) -> int | None:
    """The middle of the best bid and offer; where one of both is missing, the last trade's price."""
    bids, asks = (venue.book.side(side).depth(1) for side in (Side.BUY, Side.SELL))
    if bids and asks:
        return (bids[0][0] + asks[0][0]) // 2
    return venue.last_price or None
