"""Dropping fills that cannot settle: the walk over the unsettled items in order, from the settled state."""

from __future__ import annotations

from collections.abc import Iterator, Set

from offchain.domain.account import Balance, LiveOrder
from offchain.domain.batches import resume
from offchain.domain.commands import Bust
from offchain.domain.errors import Code, Rejection
from offchain.domain.events import Done, TradeBusted
from offchain.domain.order import OrderHash, OrderStatus, TimeInForce
from offchain.domain.outbox import Fill, Outbox, Release
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


def walk(state: State, turn: Turn, named: Set[bytes], reason: str) -> None:
    """Drop every unsettled fill that is named, shares an order with a dropped one, or no longer applies."""
    dropped = _dropped(state, named)
    if not dropped:
        return
    orders: dict[OrderHash, LiveOrder] = {}
    lots: dict[OrderHash, int] = {}
    shrunk: dict[Balance, None] = {}
    for fill in dropped:
        trade = fill.trade
        del state.outbox.fills[trade.item]
        for balance, change in state.effects(trade):
            balance.unsettled -= change
            turn.touched[balance] = None
            if change > 0:
                shrunk[balance] = None
        for live in (fill.maker, fill.taker):
            orders[live.order_hash] = live
            lots[live.order_hash] = lots.get(live.order_hash, 0) + trade.quantity
        turn.events.append(TradeBusted(trade.item, trade.id, trade.market, trade.maker, trade.taker, reason))
    for live in orders.values():
        _take_back(state, turn, live, lots[live.order_hash])
    for balance in shrunk:
        state.cancel_unfit(turn, balance, "busted")
    _reopen(state, turn, dropped)


def _dropped(state: State, named: Set[bytes]) -> list[Fill]:
    replayed: dict[Balance, int] = {}
    tainted: set[OrderHash] = set()
    dropped: list[Fill] = []
    for step in _steps(state.outbox):
        if isinstance(step, Release):
            balance = state.balance(step.account, step.asset)
            value = replayed.get(balance, balance.settled)
            replayed[balance] = value - min(step.amount, value)
        elif any(_is_hit(fill, named, tainted) for fill in step) or not _applies(state, replayed, step):
            dropped += step
            for fill in step:
                tainted |= {fill.maker.order_hash, fill.taker.order_hash}
    return dropped


def _is_hit(fill: Fill, named: Set[bytes], tainted: Set[OrderHash]) -> bool:
    return fill.trade.id in named or fill.maker.order_hash in tainted or fill.taker.order_hash in tainted


def _steps(outbox: Outbox) -> Iterator[list[Fill] | Release]:
    """Unsettled items in order; the fills of a FOK order, which stand or fall together, as one step."""
    group: list[Fill] = []
    for item in outbox.items():
        if group and (isinstance(item, Release) or item.taker is not group[-1].taker):
            yield group
            group = []
        if isinstance(item, Release):
            yield item
        elif item.taker.order.time_in_force == TimeInForce.FOK:
            group.append(item)
        else:
            yield [item]
    if group:
        yield group


def _applies(state: State, replayed: dict[Balance, int], fills: list[Fill]) -> bool:
    """Apply fills to the replayed balances unless one of those would become negative."""
    trial: dict[Balance, int] = {}
    for fill in fills:
        for balance, change in state.effects(fill.trade):
            before = trial.get(balance)
            if before is None:
                before = replayed.get(balance, balance.settled)
            if change < 0 and before + change < 0:
                return False
            trial[balance] = before + change
    replayed |= trial
    return True


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
