"""Dropping fills that cannot settle, and booking anew what stays."""

from __future__ import annotations

from collections.abc import Iterable, Set

from offchain.domain.account import Balance, LiveOrder
from offchain.domain.batches import resume
from offchain.domain.commands import Bust
from offchain.domain.errors import Code, Rejection
from offchain.domain.events import TradeBusted
from offchain.domain.order import OrderHash, OrderStatus
from offchain.domain.outbox import Fill
from offchain.domain.positions import Position
from offchain.domain.replay import Replay
from offchain.domain.results import Done
from offchain.domain.state import State, Turn


def bust(state: State, turn: Turn, command: Bust) -> Done | Rejection:
    """Drop the named fills and whatever depends on them."""
    if not command.fill_ids:
        return Rejection(Code.UNKNOWN_FILL, "fillIds", "no fill is named")
    unsettled = {fill.trade.id for fill in state.outbox.fills.values()}
    for fill_id in command.fill_ids:
        if fill_id not in unsettled:
            return Rejection(Code.UNKNOWN_FILL, "fillIds", f"no unsettled fill has the id 0x{fill_id.hex()}")
    walk(state, turn, frozenset(command.fill_ids), command.reason)
    return Done()


def walk(state: State, turn: Turn, named: Set[bytes], reason: str, moved: Iterable[Position] = ()) -> None:
    """Drop every unsettled fill that is named, shares an order with a dropped one, or no longer applies.

    What the others do is booked anew. `moved`: positions that the chain has changed.
    """
    replay = Replay(state)
    replay.run(named)
    orders: dict[OrderHash, LiveOrder] = {}
    lots: dict[OrderHash, int] = {}
    shrunk = _rebook(turn, replay)
    for fill in replay.dropped:
        trade = fill.trade
        del state.outbox.fills[trade.item]
        for balance, change in state.changes(fill):
            balance.unsettled -= change
            turn.touched[balance] = None
            if change > 0:
                shrunk[balance] = None
        for live in (fill.maker, fill.taker):
            orders[live.order_hash] = live
            lots[live.order_hash] = lots.get(live.order_hash, 0) + trade.quantity
        turn.events.append(TradeBusted(trade.item, trade.id, trade.market, trade.maker, trade.taker, reason))
    _reposition(state, turn, replay, moved)
    for live in orders.values():
        _take_back(state, turn, live, lots[live.order_hash])
    for balance in shrunk:
        state.cancel_unfit(turn, balance, "busted")
    if replay.dropped:
        _reopen(state, turn, replay.dropped)


def _rebook(turn: Turn, replay: Replay) -> dict[Balance, None]:
    """Take over what the fills that stay do now; the balances that have less by it."""
    shrunk: dict[Balance, None] = {}
    for fill, changes in replay.rebooked:
        before = fill.changes or ()
        for (balance, was), (_, now) in zip(before, changes, strict=True):
            if was != now:
                balance.unsettled += now - was
                turn.touched[balance] = None
                if now < was:
                    shrunk[balance] = None
        fill.changes = changes
    return shrunk


def _reposition(state: State, turn: Turn, replay: Replay, moved: Iterable[Position]) -> None:
    """Let positions and pools be what they are after the fills that stay."""
    for position in dict.fromkeys((*replay.involved, *moved)):
        after = replay.holdings.get(position, position.settled)
        if after != position.current:
            position.current = after
            turn.positions[position] = None
    for venue in state.markets.values():
        venue.pool = replay.pools.get(venue.market.id, venue.clearing.pool)


def _take_back(state: State, turn: Turn, live: LiveOrder, lots: int) -> None:
    """Take dropped lots back from an order; it ends if it is open."""
    depth_change = 0
    if live.is_open:
        depth_change = -live.remaining
        state.markets[live.order.market].book.side(live.order.side).remove(live)
        state.forget_order(turn, live, OrderStatus.CANCELED)
    elif live.status is OrderStatus.FILLED:
        live.status = OrderStatus.CANCELED
        nonce_key = live.account.nonce_keys[live.order.key]
        if nonce_key.order_hash == live.order_hash:
            nonce_key.ended = OrderStatus.CANCELED
    live.filled -= lots
    turn.events.append(state.order_update(live, depth_change, "busted"))


def _reopen(state: State, turn: Turn, dropped: list[Fill]) -> None:
    """Reopen the closed batch if it lost fills, and let markets trade whose bad fills are gone."""
    outbox = state.outbox
    batch = outbox.batch
    is_reopened = batch is not None and any(batch.first <= fill.item <= batch.last for fill in dropped)
    if batch is not None and is_reopened:
        turn.events.append(batch.update("reopened"))
        outbox.batch = None
    resume(
        state,
        turn,
        [
            market
            for market, halt in outbox.halts.items()
            if (is_reopened if halt.item is None else halt.item not in outbox.fills)
        ],
    )
