"""A position as its owner sees it: at which price it was entered, what it is worth, what backs it.

Amounts are micro-USDC, prices micro-USDC per lot, sizes lots.
"""

from __future__ import annotations

import msgspec

from offchain.domain.clearing import BPS, PositionState, accrue, ceil_div, equity, maintenance_margin_up
from offchain.domain.events import PositionUpdate
from offchain.domain.mark import mark_price
from offchain.domain.market import Kind, Market
from offchain.domain.options import short_lots
from offchain.domain.positions import Position
from offchain.domain.state import MarketState, State


class PositionView(msgspec.Struct, frozen=True):
    """Everything that can be said of a position now. What an option does not have is None."""

    update: PositionUpdate
    mark: int | None
    """what a lot is worth; None if nobody knows"""
    unrealised: int | None
    """profit if it were closed at the mark, with the funding that it owes or is owed"""
    margin: int
    """what is locked: the collateral of an option; what was put in and not lost to funding"""
    index: int | None = None
    """None where no fresh price is known"""
    equity: int | None = None
    """E(I)"""
    maintenance: int | None = None
    """MM: with less equity the position is liquidated"""
    liquidation: int | None = None
    """the index at which it is; None if none is"""


def view_position(state: State, venue: MarketState, position: Position, now_ms: int) -> PositionView:
    """A position of a market at a time (Unix milliseconds)."""
    now, market = position.current, venue.market
    mark, index = mark_price(state, venue, now_ms), state.index(market, now_ms)
    accrued = accrue(now.state, venue.clearing.funding)
    owed = now.quote - accrued.quote
    unrealised = None if mark is None and now.size else now.size * (mark or 0) - now.cost - owed
    if market.kind == Kind.OPTION:
        return PositionView(position.update(), mark, unrealised, market.terms.collateral * short_lots(now.size))
    value = maintenance = None
    if index is not None:
        value = equity(accrued, index)
        maintenance = maintenance_margin_up(now.size, index, market.terms.maintenance_margin_bps)
    liquidation = liquidation_price(market, accrued)
    return PositionView(
        position.update(), mark, unrealised, accrued.quote + now.cost, index, value, maintenance, liquidation
    )


def liquidation_price(market: Market, position: PositionState) -> int | None:
    """The index at which E(I) = MM: a long position is liquidated below it, a short one above."""
    size, quote, margin_bps = position.size, position.quote, market.terms.maintenance_margin_bps
    if size > 0 and quote < 0:
        return ceil_div(-quote * BPS, size * (BPS - margin_bps))
    if size < 0 and quote > 0:
        return quote * BPS // (-size * (BPS + margin_bps))
    return None
