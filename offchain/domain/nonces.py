"""What is remembered of nonce keys: the latest order of each, its answer, and that the same bytes get it again."""

from __future__ import annotations

import msgspec

from offchain.domain.account import Account, NonceKey
from offchain.domain.admission import not_delegate
from offchain.domain.commands import PlaceOrder
from offchain.domain.errors import Code, Rejection
from offchain.domain.events import CommandRefused, OrderUpdate
from offchain.domain.order import LAST_SEQUENCE, OrderStatus
from offchain.domain.results import PlaceResult
from offchain.domain.state import MarketState, State, Turn

_OPEN, _PARTIALLY_FILLED = OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED  # cheaper than looking them up each time

MAX_NONCE_KEYS = 262_144
"""Nonce keys that are remembered of one account."""


def unsignable(account: Account | None, venue: MarketState, command: PlaceOrder, now_ms: int) -> Rejection | None:
    """Why nobody could have this order settle: who signed it may not, or its sequence was canceled on chain.

    The first may be anybody's doing, the second is known for good, so neither is remembered.
    """
    if command.delegate is None and (account is None or not account.ended_keys):
        return None  # most orders
    order = command.order
    rejection = not_delegate(account, command.delegate, now_ms)
    if rejection is not None or account is None:
        return rejection
    ended = account.ended_keys.get((venue.market.instrument, order.key), -1)
    if order.sequence <= ended:
        detail = f"sequences up to {ended} of nonce key {order.key} were canceled on chain"
        return Rejection(Code.STALE_NONCE, "nonce", detail)
    return None


def no_new_key(account: Account | None, key: int) -> Rejection | None:
    """Why no further nonce key is remembered: memory would grow without limit, and without cost to whoever fills it."""
    if account is None or not account.balances:
        return Rejection(Code.INSUFFICIENT_BALANCE, "quantity", "the account has never deposited anything")
    if len(account.nonce_keys) >= MAX_NONCE_KEYS:
        detail = f"{key} would be the account's nonce key number {MAX_NONCE_KEYS + 1}; use one of the others again"
        return Rejection(Code.TOO_MANY_NONCE_KEYS, "nonce", detail)
    return None


def answer_again(turn: Turn, command: PlaceOrder, nonce_key: NonceKey) -> PlaceResult:
    """The nonce was used before: the same bytes get the same answer, others are refused and not remembered."""
    order = command.order
    if nonce_key.order_hash == command.order_hash and nonce_key.result is not None:
        detail = "the same order was executed before"
        turn.events.append(CommandRefused(Rejection(Code.REPEATED, "", detail)))
        return msgspec.structs.replace(nonce_key.result, repeated=True)
    if order.sequence == nonce_key.sequence:
        detail = f"sequence {order.sequence} of nonce key {order.key} was used by order 0x{nonce_key.order_hash.hex()}"
        return refuse(turn, command, Rejection(Code.NONCE_REUSED, "nonce", detail))
    detail = f"nonce key {order.key} is at sequence {nonce_key.sequence}, the order signs {order.sequence}"
    return refuse(turn, command, Rejection(Code.STALE_NONCE, "nonce", detail))


def refuse(turn: Turn, command: PlaceOrder, rejection: Rejection) -> PlaceResult:
    """Refuse without a trace: nothing is remembered, and the order, which may have lived before, has no new state."""
    turn.events.append(CommandRefused(rejection))
    return PlaceResult(command.order_hash, OrderStatus.REJECTED, command.order.quantity, 0, (), rejection)


def reject(state: State, turn: Turn, command: PlaceOrder, rejection: Rejection) -> PlaceResult:
    """Reject for good: the sequence is consumed, an older order of the key goes on working."""
    order = command.order
    result = PlaceResult(command.order_hash, OrderStatus.REJECTED, order.quantity, 0, (), rejection)
    turn.events.append(
        OrderUpdate(
            command.order_hash,
            order.account,
            order.market,
            order.side,
            order.price,
            order.quantity,
            0,
            OrderStatus.REJECTED,
            0,
            rejection.code,
            command.client_order_id,
        )
    )
    # The chain never stores the last sequence: remembering it would close the key to orders that the chain still takes.
    if order.sequence != LAST_SEQUENCE:
        remember(state, command, result)
    return result


def remember(state: State, command: PlaceOrder, result: PlaceResult) -> NonceKey:
    order = command.order
    nonce_keys, key = state.account(order.account).nonce_keys, order.nonce >> 32
    nonce_key = nonce_keys.get(key)
    if nonce_key is None:
        nonce_key = nonce_keys[key] = NonceKey(order.account, key)
    elif order.sequence < nonce_key.sequence:
        return nonce_key  # it has waited while a later one of its key was rejected, which goes on to be the latest
    else:
        state.known_orders.pop(nonce_key.order_hash, None)
    if nonce_key.order_hash != command.order_hash:
        # What an order does after it has waited is no other answer to it.
        nonce_key.result = result
    nonce_key.sequence = order.sequence
    nonce_key.order_hash = command.order_hash
    status = result.status
    nonce_key.ended = None if status is _OPEN or status is _PARTIALLY_FILLED else status
    state.known_orders[command.order_hash] = nonce_key
    return nonce_key
