"""What becomes due by time alone, done before each command: fee changes, ends of delegates and API keys, deadlines."""

from __future__ import annotations

from offchain.domain import apikeys
from offchain.domain.account import Balance
from offchain.domain.events import DelegateUpdate, FeeUpdate
from offchain.domain.guards import meet_deadlines
from offchain.domain.order import OrderStatus
from offchain.domain.state import State, Turn


def advance(state: State, turn: Turn) -> None:
    """Bring fee, delegates and API keys to the present, so that no command meets an order that could not settle."""
    second = turn.now_ms // 1000
    if state.fees.fee_at(second) != state.fee_bps:
        _change_fee(state, turn, state.fees.fee_at(second))
    if state.deadlines and state.deadlines[0][0] <= turn.now_ms:
        meet_deadlines(state, turn)
    while state.delegations and state.delegations[0][0] < second:
        _end_delegation(state, turn, second)
    while state.api_key_ends and state.api_key_ends[0][0] <= second:
        apikeys.expire_first(state, turn)


def next_due(state: State) -> int | None:
    """When `advance` has something to do, Unix milliseconds; None if nothing is known."""
    due = [state.fees.at * 1000] if state.fees.fee_at(state.fees.at) != state.fee_bps else []
    if state.delegations:
        due.append((state.delegations[0][0] + 1) * 1000)
    if state.deadlines:
        due.append(state.deadlines[0][0])
    if state.api_key_ends:
        due.append(state.api_key_ends[0][0] * 1000)
    return min(due, default=None)


def _change_fee(state: State, turn: Turn, fee_bps: int) -> None:
    """Cancel what does not accept the fee, reserve anew for the rest, cancel what does not fit any more."""
    state.fee_bps = fee_bps
    turn.events.append(FeeUpdate(fee_bps, state.fees))
    changed: dict[Balance, None] = {}
    for live in list(state.orders.values()):
        if live.order.max_fee_bps < fee_bps:
            state.end_order(turn, live, OrderStatus.CANCELED, "feeAboveCap")
            continue
        before = live.reserved
        live.reserve_up(fee_bps)
        if live.reserved != before:
            changed[live.balance] = None
    turn.touched |= changed
    for balance in changed:
        state.cancel_unfit(turn, balance, "feeChange")


def _end_delegation(state: State, turn: Turn, second: int) -> None:
    """Cancel the open orders that the delegate signed, and forget it unless the chain has prolonged its time."""
    _, address, delegate = state.delegations.pop(0)
    account = state.account(address)
    delegation = account.delegations[delegate]
    delegation.counted = 0
    if delegation.valid_until < second:
        del account.delegations[delegate]
    turn.events.append(DelegateUpdate(address, delegate, 0))
    for live in [live for live in account.orders.values() if live.delegate == delegate]:
        state.end_order(turn, live, OrderStatus.CANCELED, "delegateEnded")
