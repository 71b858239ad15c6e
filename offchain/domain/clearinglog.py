"""What others do in the Clearinghouse on chain: funding, takeover, deleveraging, exit, expiry, closing."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from offchain.domain.blocks import ClearingEntry, DepositEntry, Entry, PositionBefore
from offchain.domain.booking import restore
from offchain.domain.bust import walk
from offchain.domain.chainstate import await_credit, cover, diverge
from offchain.domain.clearing import PositionState
from offchain.domain.commands import ChainBlock, ClearingChanged
from offchain.domain.events import FundingUpdate
from offchain.domain.ledger import FUND, ClearingMarket, ClearingStatus
from offchain.domain.market import USDC
from offchain.domain.order import OrderStatus
from offchain.domain.positions import Position, move_to
from offchain.domain.state import State, Turn


def apply(state: State, turn: Turn, block: ChainBlock, log: ClearingChanged) -> list[Entry]:
    """Follow one transaction: positions and markets are what the chain says, and what is unsettled is booked anew."""
    rows = (log.positions, log.payments, log.funding)
    markets = {row.market for each in rows for row in each} | {market for market, _ in log.pools}
    unknown = (markets | {market for market, _ in log.expired}) - state.markets.keys()
    if unknown:
        diverge(state, turn, 0, f"markets {sorted(unknown)} were cleared without having been created")
        return []
    entry = ClearingEntry([], [], log.fund)
    _change_markets(state, turn, log, entry)
    moved = _change_positions(state, turn, log, entry)
    entries: list[Entry] = [entry]
    for payment in log.payments:
        owed = DepositEntry(payment.account, USDC, payment.amount, log.tx_hash, payment.log_index)
        entries.append(await_credit(turn, block.number, owed))
    _pay_fund(state, turn, log.fund)
    over = {market for market, _ in log.expired}
    named = frozenset(fill.trade.id for fill in state.outbox.fills.values() if fill.trade.market in over)
    walk(state, turn, named, "expired", moved)
    for live in [live for live in state.orders.values() if live.order.market in over]:
        state.end_order(turn, live, OrderStatus.CANCELED, "marketExpired")
    return entries


def undo(state: State, turn: Turn, entry: ClearingEntry) -> list[Position]:
    """Put back what a transaction had changed; the positions, whose fills are to be booked anew."""
    for market, before in entry.markets:
        venue = state.markets[market]
        if venue.clearing.last_hour != before.last_hour:
            turn.events.append(FundingUpdate(market, before.last_hour, 0, 0, before.funding, reverted=True))
        venue.clearing = before
        turn.events.append(state.market_update(market))
    _pay_fund(state, turn, -entry.fund)
    return restore(state, turn, entry.positions, ())


def _change_markets(state: State, turn: Turn, log: ClearingChanged, entry: ClearingEntry) -> None:
    before: dict[int, ClearingMarket] = {}
    for market, pool in log.pools:
        venue = state.markets[market]
        before.setdefault(market, venue.clearing)
        venue.clearing = replace(venue.clearing, pool=pool)
    for accrual in log.funding:
        venue = state.markets[accrual.market]
        before.setdefault(accrual.market, venue.clearing)
        venue.clearing = replace(venue.clearing, funding=accrual.funding, last_hour=accrual.hour)
        turn.events.append(FundingUpdate(accrual.market, accrual.hour, accrual.rate, accrual.index, accrual.funding))
    for market, settle_per_lot in log.expired:
        venue = state.markets[market]
        before.setdefault(market, venue.clearing)
        venue.clearing = replace(venue.clearing, settle_per_lot=settle_per_lot, status=ClearingStatus.EXPIRED)
        turn.events.append(state.market_update(market))
    entry.markets.extend(before.items())


def _change_positions(state: State, turn: Turn, log: ClearingChanged, entry: ClearingEntry) -> list[Position]:
    moved: dict[Position, None] = {}
    for row in log.positions:
        venue = state.markets[row.market]
        position = venue.position(row.account)
        entry.positions.append(PositionBefore(row.account, row.market, position.settled))
        after = PositionState(row.size, row.quote, row.funding)
        position.settled = move_to(venue.market, position.settled, after)
        moved[position] = None
    for payment in log.payments:
        position = state.markets[payment.market].position(payment.account)
        if position not in moved:
            entry.positions.append(PositionBefore(payment.account, payment.market, position.settled))
        realised = position.settled.realised + payment.amount
        position.settled = msgspec.structs.replace(position.settled, realised=realised)
        moved[position] = None
    for position in moved:
        turn.positions[position] = None
    return list(moved)


def _pay_fund(state: State, turn: Turn, amount: int) -> None:
    if not amount:
        return
    fund = state.balance(FUND, USDC)
    fund.settled += amount
    turn.touched[fund] = None
    cover(state, turn, fund)
