"""Placing orders. Everything is planned before anything changes."""

from __future__ import annotations

import msgspec

from offchain.domain.account import LiveOrder, drawn_asset, reservation_up
from offchain.domain.admission import refusal
from offchain.domain.booking import clear
from offchain.domain.clearing import fee_down
from offchain.domain.commands import PlaceArray, PlaceOrder
from offchain.domain.ending import reducible, trim
from offchain.domain.errors import Code, Rejection
from offchain.domain.events import OrderTriggered, Trade
from offchain.domain.ids import fill_id
from offchain.domain.market import USDC, Kind
from offchain.domain.matching import Plan, plan
from offchain.domain.nonces import answer_again, no_new_key, refuse, reject, remember, unsignable
from offchain.domain.oracle import Conversion, notional_down
from offchain.domain.order import OrderStatus, TimeInForce
from offchain.domain.outbox import Fill
from offchain.domain.results import ArrayResult, PlaceResult
from offchain.domain.state import MarketState, State, Turn
from offchain.domain.trial import Trial
from offchain.domain.triggers import MAX_TRIGGERED, collect, next_ready, reaching

# Looking a member up on its class costs more than comparing with it.
_IOC, _FOK = int(TimeInForce.IOC), int(TimeInForce.FOK)
_OPEN, _PARTIALLY_FILLED, _FILLED = OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED


def place(state: State, turn: Turn, command: PlaceOrder) -> PlaceResult:
    """Execute an order: replace, match, rest."""
    order = command.order
    venue = state.markets.get(order.market)
    if venue is None:
        return refuse(turn, command, Rejection(Code.UNKNOWN_MARKET, "market", f"there is no market {order.market}"))
    account = state.accounts.get(order.account)
    key = order.nonce >> 32
    nonce_key = account.nonce_keys.get(key) if account is not None else None
    if nonce_key is not None and order.sequence <= nonce_key.sequence:
        return answer_again(turn, command, nonce_key)
    rejection = unsignable(account, venue, command, turn.now_ms)
    if rejection is not None:
        return refuse(turn, command, rejection)
    if nonce_key is None:
        rejection = no_new_key(account, key)
        if rejection is not None:
            return refuse(turn, command, rejection)

    assert state.configuration is not None, "commands before Configure are refused"
    rejection = refusal(state, state.configuration, venue, account, nonce_key, command, turn.now_ms)
    if rejection is not None:
        return reject(state, turn, command, rejection)
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
            return reject(state, turn, command, Rejection(Code.NOTHING_TO_REDUCE, "reduceOnly", detail))
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
        return reject(state, turn, command, Rejection(Code.POST_ONLY_WOULD_CROSS, "postOnly", detail))
    is_killed = order.time_in_force == _FOK and (planned.remaining > 0 or quantity < order.quantity)
    if not is_killed:
        if trial is None:
            rejection = _uncovered(state, venue, command, planned, replaced)
        else:
            rejection = trial.refusal(_will_rest(command, planned))
        if rejection is not None:
            return reject(state, turn, command, rejection)
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
    remember(state, command, result).market = order.market
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
    rejection = unsignable(account, venue, command, turn.now_ms) or refusal(
        state, state.configuration, venue, account, nonce_key, command, turn.now_ms
    )
    if rejection is not None:
        reject(state, turn, command, rejection)
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
    nonce_key = remember(state, command, result)
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
