"""What fills of derivatives do to positions, balances and pools: as matched, and again as they settle."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NamedTuple

from offchain.domain.account import Balance
from offchain.domain.blocks import PositionBefore
from offchain.domain.commands import BatchSettled
from offchain.domain.events import Trade
from offchain.domain.market import USDC, Kind
from offchain.domain.outbox import Fill
from offchain.domain.positions import Holding, Leg, Position, apply_leg
from offchain.domain.state import MarketState, State, Turn


class Booking(NamedTuple):
    """What a fill does, from given positions."""

    changes: tuple[tuple[Balance, int], ...]
    legs: tuple[tuple[Position, Leg], tuple[Position, Leg]]
    """the buyer's, then the seller's"""
    pool: int
    """change of the market's pool: what the accounts pay less what they are paid, fees apart"""


def book(state: State, trade: Trade, holding_of: Callable[[Position], Holding]) -> Booking:
    """A fill on the positions that `holding_of` tells; nothing is changed."""
    venue = state.markets[trade.market]
    if trade.taker_side:
        buyer, seller, buyer_fee, seller_fee = trade.maker, trade.taker, trade.maker_fee, trade.taker_fee
    else:
        buyer, seller, buyer_fee, seller_fee = trade.taker, trade.maker, trade.taker_fee, trade.maker_fee
    bought, sold = (
        (
            position,
            apply_leg(venue.market, venue.clearing.funding, holding_of(position), is_buy, trade.quantity, trade.price),
        )
        for position, is_buy in ((venue.position(buyer), True), (venue.position(seller), False))
    )
    paid, received = bought[1].effect.account, sold[1].effect.account
    changes = (
        (state.balance(buyer, USDC), paid - buyer_fee),
        (state.balance(seller, USDC), received - seller_fee),
        (state.balance(state.engine, USDC), buyer_fee + seller_fee),
    )
    return Booking(changes, (bought, sold), -paid - received)


def clear(state: State, turn: Turn, venue: MarketState, fill: Fill) -> tuple[tuple[Balance, int], ...]:
    """Book a fill as it is matched; what it does to whose balance."""
    booking = book(state, fill.trade, _current)
    for position, leg in booking.legs:
        position.current = leg.holding
        turn.positions[position] = None
    venue.pool += booking.pool
    fill.changes = booking.changes
    return booking.changes


def _current(position: Position) -> Holding:
    return position.current


def _settled(position: Position) -> Holding:
    return position.settled


# ---------------------------------------------------------------------------------------------------------------------
# On chain
# ---------------------------------------------------------------------------------------------------------------------


def settle(state: State, turn: Turn, fills: Iterable[Fill]) -> tuple[list[PositionBefore], list[tuple[int, int]]]:
    """Book fills that were mined; the positions and pools (by market) as they were on chain before."""
    positions: dict[Position, Holding] = {}
    pools: dict[int, int] = {}
    for fill in fills:
        venue = state.markets[fill.trade.market]
        if venue.market.kind == Kind.SPOT:
            continue
        booking = book(state, fill.trade, _settled)
        for position, leg in booking.legs:
            positions.setdefault(position, position.settled)
            position.settled = leg.holding
            turn.positions[position] = None
        pools.setdefault(venue.market.id, venue.clearing.pool)
        venue.clearing = replace(venue.clearing, pool=venue.clearing.pool + booking.pool)
    befores = [PositionBefore(position.address, position.market, before) for position, before in positions.items()]
    return befores, list(pools.items())


def restore(
    state: State, turn: Turn, positions: Iterable[PositionBefore], pools: Iterable[tuple[int, int]]
) -> list[Position]:
    """Undo what was booked on chain; the positions that it was booked in."""
    restored = []
    for before in positions:
        position = state.markets[before.market].position(before.account)
        position.settled = before.holding
        turn.positions[position] = None
        restored.append(position)
    for market, pool in pools:
        venue = state.markets[market]
        venue.clearing = replace(venue.clearing, pool=pool)
    return restored


def mismatch(state: State, log: BatchSettled) -> str:
    """How the positions and pools that a batch has left on chain differ from what was booked; "" if they do not."""
    for row in log.positions or ():
        expected = state.markets[row.market].position(row.account).settled
        if (expected.size, expected.quote, expected.funding) != (row.size, row.quote, row.funding):
            found = f"size {row.size}, quote {row.quote}, funding {row.funding}"
            return f"position of 0x{row.account.hex()} in market {row.market} is {found}, expected was {expected.state}"
    for market, pool in log.pools or ():
        if state.markets[market].clearing.pool != pool:
            return f"pool of market {market} is {pool}, expected was {state.markets[market].clearing.pool}"
    return ""
