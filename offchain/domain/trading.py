"""Placing orders. Everything is planned before anything changes."""

from __future__ import annotations

import msgspec

from offchain.domain.account import Account, LiveOrder, NonceKey, drawn_asset, reservation_up
from offchain.domain.admission import not_delegate, refusal
from offchain.domain.booking import clear
from offchain.domain.clearing import fee_down
from offchain.domain.commands import PlaceArray, PlaceOrder
from offchain.domain.ending import reducible, trim
from offchain.domain.errors import Code, Rejection
from offchain.domain.events import CommandRefused, OrderTriggered, OrderUpdate, Trade
from offchain.domain.ids import fill_id
from offchain.domain.market import USDC, Kind
from offchain.domain.matching import Plan, plan
from offchain.domain.oracle import Conversion, notional_down
from offchain.domain.order import LAST_SEQUENCE, OrderStatus, TimeInForce
from offchain.domain.outbox import Fill
from offchain.domain.results import ArrayResult, PlaceResult
from offchain.domain.state import MarketState, State, Turn
from offchain.domain.trial import Trial
from offchain.domain.triggers import MAX_TRIGGERED, collect, next_ready, reaching

# Looking a member up on its class costs more than comparing with it.
_IOC, _FOK = int(TimeInForce.IOC), int(TimeInForce.FOK)
_OPEN, _PARTIALLY_FILLED, _FILLED = OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED

MAX_NONCE_KEYS = 262_144
"""Nonce keys that are remembered of one account."""


def place(state: State, turn: Turn, command: PlaceOrder) -> PlaceResult:
    """Execute an order: replace, match, rest."""
    order = command.order
    venue = state.markets.get(order.market)
    if venue is None:
        return _refuse(turn, command, Rejection(Code.UNKNOWN_MARKET, "market", f"there is no market {order.market}"))
    account = state.accounts.get(order.account)
    key = order.nonce >> 32
    nonce_key = account.nonce_keys.get(key) if account is not None else None
    if nonce_key is not None and order.sequence <= nonce_key.sequence:
        return _answer_again(turn, command, nonce_key)
    rejection = _unsignable(account, venue, command, turn.now_ms)
    if rejection is not None:
        return _refuse(turn, command, rejection)
    if nonce_key is None:
        rejection = _no_new_key(account, key)
        if rejection is not None:
            return _refuse(turn, command, rejection)

    assert state.configuration is not None, "commands before Configure are refused"
    rejection = refusal(state, state.configuration, venue, account, nonce_key, command, turn.now_ms)
    if rejection is not None:
        return _reject(state, turn, command, rejection)
    replaced = nonce_key.working if nonce_key is not None else None
    if command.trigger is not None:
        price = reaching(state, venue, command.trigger, order.side, turn.now_ms)
        if price is None:
            return _wait(state, turn, venue, command, replaced)
        turn.events.append(OrderTriggered(command.order_hash, order.account, order.market, price))
    return _match(state, turn, venue, command, replaced)


def _match(
    state: State, turn: Turn, venue: MarketState, command: PlaceOrder, replaced: LiveOrder | None
) -> PlaceResult:
    """Plan whom an admitted order meets, look whether its account can pay, and apply the plan."""
    order = command.order
    quantity = order.quantity
    if order.reduce_only:
        quantity = reducible(venue.positions.get(order.account), order, replaced)
        if not quantity:
            detail = "there is no position to reduce, or other reduce-only orders reduce all of it"
            return _reject(state, turn, command, Rejection(Code.NOTHING_TO_REDUCE, "reduceOnly", detail))
    trial = conversion = rate = None
    if not venue.is_plain:
        if venue.market.derivative is not None:
            index = state.index(venue.market, turn.now_ms) if venue.market.kind != Kind.OPTION else None
            trial = Trial(state, venue, order, replaced, index)
        conversion = state.conversion(venue.market, turn.now_ms) if venue.market.quote else None
        rate = conversion.rate if conversion is not None else None
    makers = venue.book.sides[1 - order.side]
    planned = plan(makers, order, quantity, turn.now_ms, command.self_trade, replaced, state.fee_bps, rate, trial)
    if command.post_only and planned.crosses:
        detail = "the order would meet a resting order at its price or better"
        return _reject(state, turn, command, Rejection(Code.POST_ONLY_WOULD_CROSS, "postOnly", detail))
    is_killed = order.time_in_force == _FOK and (planned.remaining > 0 or quantity < order.quantity)
    if not is_killed:
        if trial is None:
            rejection = _uncovered(state, venue, command, planned, replaced)
        else:
            rejection = trial.refusal(_will_rest(command, planned))
        if rejection is not None:
            return _reject(state, turn, command, rejection)
    return _apply(state, turn, venue, command, quantity, planned, replaced, is_killed, conversion)


def _wait(state: State, turn: Turn, venue: MarketState, command: PlaceOrder, replaced: LiveOrder | None) -> PlaceResult:
    """Let an order sleep until its trigger is reached."""
    order = command.order
    account = state.account(order.account)
    balance = account.balance(drawn_asset(venue.market, order.side))
    live = LiveOrder(
        order,
        command.order_hash,
        account,
        balance,
        venue.market,
        order.quantity,
        command.client_order_id,
        command.delegate,
        waiting=msgspec.structs.replace(command, expect_filled=None, replaces=None),
    )
    if replaced is not None:
        state.end_order(turn, replaced, OrderStatus.CANCELED, "replaced")
    result = PlaceResult(command.order_hash, live.status, order.quantity, 0, (), waiting=True)
    _remember(state, command, result).market = order.market
    state.open_order(turn, live, None)
    turn.events.append(state.order_update(live, 0))
    return result


def run_triggers(state: State, turn: Turn) -> None:
    """Execute waiting orders that prices have reached, and those that they wake up in turn, at most so many."""
    for _ in range(MAX_TRIGGERED):
        collect(state, turn)
        venue = next_ready(state, turn.now_ms)
        if venue is None:
            return
        assert venue.waiting is not None, "a market without waiting orders has none that is ready"
        live, price = next(iter(venue.waiting.ready.values()))
        _work(state, turn, venue, live, price)
        if turn.positions:
            trim(state, turn)
    collect(state, turn)


def _work(state: State, turn: Turn, venue: MarketState, live: LiveOrder, price: int) -> None:
    """Execute an order that has waited, as if it came now."""
    command = live.waiting
    assert command is not None, "only orders that wait become ready"
    assert venue.waiting is not None, "and only where orders wait"
    assert state.configuration is not None, "commands before Configure are refused"
    if live.order.is_dead(turn.now_ms):
        state.end_order(turn, live, OrderStatus.EXPIRED, "expired")
        return
    account = live.account
    nonce_key = account.nonce_keys[live.order.key]
    venue.waiting.remove(live)
    state.forget_order(turn, live, live.status)
    turn.events.append(OrderTriggered(live.order_hash, live.order.account, live.order.market, price))
    rejection = _unsignable(account, venue, command, turn.now_ms) or refusal(
        state, state.configuration, venue, account, nonce_key, command, turn.now_ms
    )
    if rejection is not None:
        _reject(state, turn, command, rejection)
        return
    _match(state, turn, venue, command, None)


def place_array(state: State, turn: Turn, command: PlaceArray) -> ArrayResult:
    """Execute the orders of an array one after the other; what is refused does not keep the others out."""
    results = []
    for one in command.orders:
        results.append(place(state, turn, one))
        if turn.positions:
            trim(state, turn)  # before the next one meets what the last one left behind
    return ArrayResult(results)


def _unsignable(account: Account | None, venue: MarketState, command: PlaceOrder, now_ms: int) -> Rejection | None:
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


def _no_new_key(account: Account | None, key: int) -> Rejection | None:
    """Why no further nonce key is remembered: memory would grow without limit, and without cost to whoever fills it."""
    if account is None or not account.balances:
        return Rejection(Code.INSUFFICIENT_BALANCE, "quantity", "the account has never deposited anything")
    if len(account.nonce_keys) >= MAX_NONCE_KEYS:
        detail = f"{key} would be the account's nonce key number {MAX_NONCE_KEYS + 1}; use one of the others again"
        return Rejection(Code.TOO_MANY_NONCE_KEYS, "nonce", detail)
    return None


def _answer_again(turn: Turn, command: PlaceOrder, nonce_key: NonceKey) -> PlaceResult:
    """The nonce was used before: the same bytes get the same answer, others are refused and not remembered."""
    order = command.order
    if nonce_key.order_hash == command.order_hash and nonce_key.result is not None:
        detail = "the same order was executed before"
        turn.events.append(CommandRefused(Rejection(Code.REPEATED, "", detail)))
        return msgspec.structs.replace(nonce_key.result, repeated=True)
    if order.sequence == nonce_key.sequence:
        detail = f"sequence {order.sequence} of nonce key {order.key} was used by order 0x{nonce_key.order_hash.hex()}"
        return _refuse(turn, command, Rejection(Code.NONCE_REUSED, "nonce", detail))
    detail = f"nonce key {order.key} is at sequence {nonce_key.sequence}, the order signs {order.sequence}"
    return _refuse(turn, command, Rejection(Code.STALE_NONCE, "nonce", detail))


def _refuse(turn: Turn, command: PlaceOrder, rejection: Rejection) -> PlaceResult:
    """Refuse without a trace: nothing is remembered, and the order, which may have lived before, has no new state."""
    turn.events.append(CommandRefused(rejection))
    return PlaceResult(command.order_hash, OrderStatus.REJECTED, command.order.quantity, 0, (), rejection)


def _reject(state: State, turn: Turn, command: PlaceOrder, rejection: Rejection) -> PlaceResult:
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
        )
    )
    # The chain never stores the last sequence: remembering it would close the key to orders that the chain still takes.
    if order.sequence != LAST_SEQUENCE:
        _remember(state, command, result)
    return result


def _remember(state: State, command: PlaceOrder, result: PlaceResult) -> NonceKey:
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


def _will_rest(command: PlaceOrder, planned: Plan) -> int:
    """Lots that will rest after matching."""
    return 0 if command.order.time_in_force >= _IOC or planned.stop else planned.remaining


def _uncovered(
    state: State, venue: MarketState, command: PlaceOrder, planned: Plan, replaced: LiveOrder | None
) -> Rejection | None:
    """Whether spot fills at their prices and the reservation of what will rest exceed what the account may use."""
    order = command.order
    will_rest = _will_rest(command, planned)
    lot_size = venue.market.lot_size
    need = reservation_up(order.side, order.price, will_rest, lot_size, state.fee_bps, order.conversion_limit)
    if not order.side:
        asset = USDC
        need += planned.spent_down
    else:
        asset = venue.market.base
        need += (order.quantity - planned.remaining) * lot_size
    account = state.accounts.get(order.account)
    balance = account.balances.get(asset) if account is not None else None
    free = balance.free if balance is not None else 0
    if replaced is not None and replaced.balance is balance:
        free += replaced.reserved
    if need <= free or not need:
        return None
    detail = f"{need} quanta of asset {asset} are needed, {max(0, free)} are available"
    return Rejection(Code.INSUFFICIENT_BALANCE, "quantity", detail)


def _apply(
    state: State,
    turn: Turn,
    venue: MarketState,
    command: PlaceOrder,
    quantity: int,
    planned: Plan,
    replaced: LiveOrder | None,
    is_killed: bool,
    conversion: Conversion | None,
) -> PlaceResult:
    order = command.order
    account = state.account(order.account)
    balance = account.balance(drawn_asset(venue.market, order.side))
    taker = LiveOrder(
        order,
        command.order_hash,
        account,
        balance,
        venue.market,
        quantity,
        command.client_order_id,
        command.delegate,
    )
    rests = _will_rest(command, planned) > 0
    inherited = replaced if rests and not planned.fills and _keeps_place(taker, replaced) else None
    if replaced is not None:
        _replace(state, turn, replaced, inherited is not None)

    fills: list[tuple[bytes, int, int]] = []
    if not is_killed:
        for maker, lots, code in planned.steps:
            if lots:
                trade = _fill(state, turn, venue, taker, maker, lots, conversion)
                fills.append((trade.id, trade.price, lots))
            else:
                status = OrderStatus.EXPIRED if code == "expired" else OrderStatus.CANCELED
                state.end_order(turn, maker, status, code)

    taker.status, code = _outcome(taker, planned, is_killed)
    result = PlaceResult(command.order_hash, taker.status, quantity, taker.filled, tuple(fills), None, code)
    nonce_key = _remember(state, command, result)
    nonce_key.market = order.market
    if rests:
        state.open_order(turn, taker, inherited)
    turn.events.append(state.order_update(taker, taker.remaining if rests else 0, code))
    return result


def _keeps_place(taker: LiveOrder, replaced: LiveOrder | None) -> bool:
    if replaced is None or replaced.order.side != taker.order.side or replaced.order.price != taker.order.price:
        return False
    if replaced.waiting is not None:
        return False
    return taker.quantity <= replaced.remaining


def _replace(state: State, turn: Turn, replaced: LiveOrder, keeps_place: bool) -> None:
    """End the older order of the key; its successor takes over its place in the queue if it keeps that."""
    if not keeps_place:
        state.end_order(turn, replaced, OrderStatus.CANCELED, "replaced")
        return
    state.forget_order(turn, replaced, OrderStatus.CANCELED)
    turn.events.append(state.order_update(replaced, -replaced.remaining, "replaced"))


def _outcome(taker: LiveOrder, planned: Plan, is_killed: bool) -> tuple[OrderStatus, str]:
    """The taker's status after matching, and why it ended if neither filled nor resting."""
    if is_killed:
        return OrderStatus.CANCELED, "fokUnfilled"
    if not planned.remaining:
        return _FILLED, ""
    if planned.stop:
        return OrderStatus.CANCELED, planned.stop
    if taker.order.time_in_force >= _IOC:
        return OrderStatus.CANCELED, "iocRemainder"
    return (_PARTIALLY_FILLED if taker.filled else _OPEN), ""


def _fill(
    state: State,
    turn: Turn,
    venue: MarketState,
    taker: LiveOrder,
    maker: LiveOrder,
    quantity: int,
    conversion: Conversion | None,
) -> Trade:
    """Trade `quantity` lots at the maker's price: unsettled balances, both orders, the outbox."""
    price = maker.order.price
    notional = price * quantity
    if conversion is not None:
        notional = notional_down(quantity, price, conversion.rate)
    fee = fee_down(notional, state.fee_bps)
    outbox = state.outbox
    trade = Trade(
        outbox.take_number(),
        fill_id(maker.order_hash, taker.order_hash, maker.filled, taker.filled),
        venue.market.id,
        maker.order_hash,
        taker.order_hash,
        maker.order.account,
        taker.order.account,
        taker.order.side,
        price,
        quantity,
        maker.filled,
        taker.filled,
        fee,
        fee,
        turn.now_ms,
        conversion,
    )
    fill = outbox.fills[trade.item] = Fill(trade, maker, taker)
    is_cleared = not venue.is_plain and venue.market.derivative is not None
    for balance, change in clear(state, turn, venue, fill) if is_cleared else state.effects(trade):
        balance.unsettled += change
        turn.touched[balance] = None
    turn.events.append(trade)
    venue.last_price = price
    if venue.waiting is not None:
        turn.note(venue, price)
    taker.filled += quantity

    side = venue.book.sides[maker.order.side]
    if quantity < maker.remaining:
        maker.filled += quantity
        maker.status = _PARTIALLY_FILLED
        side.reduce(price, quantity)
        maker.reserve_up(state.fee_bps)
    else:
        side.remove(maker)
        maker.filled += quantity
        state.forget_order(turn, maker, _FILLED)
    turn.events.append(state.order_update(maker, -quantity))
    return trade
