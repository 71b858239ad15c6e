"""Ending orders: canceled by who placed them, expired, and reduce-only ones trimmed to what there is to reduce."""

from __future__ import annotations

from itertools import islice

from offchain.domain.account import LiveOrder
from offchain.domain.admission import not_delegate
from offchain.domain.clearing import closing_quantity
from offchain.domain.commands import CancelOrder, CancelOrders, Tick
from offchain.domain.errors import Code, Rejection
from offchain.domain.events import CommandRefused, Ticked
from offchain.domain.order import Order, OrderStatus, Side
from offchain.domain.positions import Position
from offchain.domain.results import CancelResult, Done, OrdersCanceled
from offchain.domain.sampling import sample
from offchain.domain.state import State, Turn

MAX_CANCELED = 1_000
"""Orders that one command cancels; another goes on."""

MAX_EXPIRED = 10_000
"""Orders that one Tick ends; the next Tick goes on."""


def cancel(state: State, turn: Turn, command: CancelOrder) -> CancelResult | Rejection:
    """Cancel an open order of the account that asks."""
    rejection = not_delegate(state.accounts.get(command.account), command.delegate, turn.now_ms)
    if rejection is not None:
        return rejection
    live = state.orders.get(command.order_hash)
    if live is None:
        return _not_open(state, command)
    if live.order.account != command.account:
        return _not_owner(command)
    state.end_order(turn, live, OrderStatus.CANCELED, "user")
    return CancelResult(command.order_hash, live.status, live.order.market, live.quantity, live.filled)


def cancel_many(state: State, turn: Turn, command: CancelOrders) -> OrdersCanceled:
    """Cancel the oldest open orders of an account that fit."""
    account = state.accounts.get(command.account)
    fitting = [
        live
        for live in (account.orders.values() if account is not None else ())
        if command.market in (None, live.order.market) and command.side in (None, live.order.side)
    ]
    for live in fitting[:MAX_CANCELED]:
        state.end_order(turn, live, OrderStatus.CANCELED, "user")
    if not fitting:
        turn.events.append(CommandRefused(Rejection(Code.ORDER_NOT_OPEN, "", "the account has no such open order")))
    canceled = [live.order_hash for live in fitting[:MAX_CANCELED]]
    return OrdersCanceled(canceled, len(fitting) - len(canceled))


def _not_open(state: State, command: CancelOrder) -> Rejection:
    known = state.known_orders.get(command.order_hash)
    if known is None:
        return Rejection(Code.UNKNOWN_ORDER, "orderId", f"no open order has the id 0x{command.order_hash.hex()}")
    if known.address != command.account:
        return _not_owner(command)
    return Rejection(Code.ORDER_NOT_OPEN, "orderId", f"the order is {known.ended} and not open any more")


def _not_owner(command: CancelOrder) -> Rejection:
    return Rejection(Code.NOT_OWNER, "account", f"the order is not of account 0x{command.account.hex()}")


def tick(state: State, turn: Turn, command: Tick) -> Done:
    """End orders whose expiry has passed, the earliest first."""
    due = [
        order_hash
        for _, order_hash in islice(state.timed.irange(None, (turn.now_ms // 1000 + 1,), (True, False)), MAX_EXPIRED)
    ]
    for order_hash in due:
        state.end_order(turn, state.orders[order_hash], OrderStatus.EXPIRED, "expired")
    turn.events.append(Ticked(len(due)))
    sample(state, turn)
    return Done()


# ---------------------------------------------------------------------------------------------------------------------
# Reduce-only
# ---------------------------------------------------------------------------------------------------------------------


def reducible(position: Position | None, order: Order, replaced: LiveOrder | None) -> int:
    """Lots that a reduce-only order may close, besides what the others of its position will."""
    if position is None:
        return 0
    taken = sum(live.remaining for live in position.reducing.values() if live is not replaced)
    size = position.current.size
    free = max(0, closing_quantity(size, order.side == Side.BUY, abs(size)) - taken)
    return min(order.quantity, free)


def trim(state: State, turn: Turn) -> None:
    """Let open reduce-only orders together not exceed the positions that the command has changed."""
    for position in list(turn.positions):
        if position.reducing:
            _trim(state, turn, position)


def _trim(state: State, turn: Turn, position: Position) -> None:
    """Worst price first, of one price the newest first."""
    size, orders = position.current.size, list(position.reducing.values())
    side = orders[0].order.side
    excess = sum(live.remaining for live in orders) - closing_quantity(size, side == Side.BUY, abs(size))
    orders.sort(key=lambda live: (-live.order.price if side == Side.BUY else live.order.price, live.ticket))
    while excess > 0:
        live = orders.pop()
        cut = min(excess, live.remaining)
        excess -= cut
        if cut == live.remaining:
            state.end_order(turn, live, OrderStatus.CANCELED, "reduceOnly")
            continue
        live.quantity -= cut
        state.markets[position.market].book.side(side).reduce(live.order.price, cut)
        turn.events.append(state.order_update(live, -cut))
