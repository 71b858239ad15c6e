"""Whether an order may be matched: the checks before anything is planned, in the order in which they apply."""

from __future__ import annotations

from offchain.domain.account import Account, LiveOrder, NonceKey
from offchain.domain.band import outside_band
from offchain.domain.batch import RESERVED_KEY
from offchain.domain.commands import Configure, PlaceOrder
from offchain.domain.errors import Code, Rejection
from offchain.domain.market import Kind, Market, MarketStatus
from offchain.domain.oracle import MAX_INDEX, is_beyond
from offchain.domain.order import (
    LAST_SEQUENCE,
    MAX_TIMED_EXPIRY,
    NO_EXPIRY,
    Address,
    Order,
    Side,
    TimeInForce,
    TriggerSource,
)
from offchain.domain.state import MarketState, State

_MAX_NONCE = 2**64 - 1
_MAX_LIMIT = 2**64 - 1

# Looking a member up on its class costs more than comparing with it.
_SIDES = (int(Side.BUY), int(Side.SELL))
_GTC, _FOK = int(TimeInForce.GTC), int(TimeInForce.FOK)
_SPOT = int(Kind.SPOT)
_ACTIVE = int(MarketStatus.ACTIVE)


def refusal(
    state: State,
    configuration: Configure,
    venue: MarketState,
    account: Account | None,
    nonce_key: NonceKey | None,
    command: PlaceOrder,
    now_ms: int,
) -> Rejection | None:
    """Why `command` is refused, None if it may be planned. `nonce_key` is that of its order."""
    order = command.order
    return (
        _market(state, venue)
        or _form(order, venue, now_ms)
        or (None if venue.quantity_limit is None else _beyond_limit(venue, venue.quantity_limit, order))
        or _terms(state, venue.market, account, command)
        or (None if venue.is_plain else _product(state, configuration, venue.market, order, now_ms))
        or _identity(configuration, account, nonce_key, command)
        or _trigger(command, venue.market)
        or _band(configuration, venue, command)
        or _pressure(state, configuration, command, now_ms)
    )


def standstill(state: State, venue: MarketState, command: PlaceOrder, now_ms: int) -> Rejection | None:
    """Why an order like this cannot be executed now, although it might later: what passes by itself."""
    assert state.configuration is not None, "commands before Configure are refused"
    rejection = _market(state, venue) or _pressure(state, state.configuration, command, now_ms)
    if rejection is not None or venue.is_plain:
        return rejection
    rejection = _product(state, state.configuration, venue.market, command.order, now_ms)
    return rejection if rejection is not None and rejection.code == Code.PRICE_UNAVAILABLE else None


def not_delegate(account: Account | None, delegate: Address | None, now_ms: int) -> Rejection | None:
    """Why a signature is not the account's: it is `delegate`'s, who does not sign for it now."""
    if delegate is None:
        return None
    delegation = account.delegations.get(delegate) if account is not None else None
    if delegation is not None and now_ms // 1000 <= delegation.counted:
        return None
    return Rejection(Code.NOT_DELEGATE, "signature", f"0x{delegate.hex()} is no delegate of the account now")


def _market(state: State, venue: MarketState) -> Rejection | None:
    market = venue.market
    if venue.status != _ACTIVE:
        return Rejection(Code.MARKET_NOT_ACTIVE, "market", f"market {market.symbol} is not active on chain")
    reason = state.halt_reason(market.id)
    if reason is not None:
        return Rejection(Code.MARKET_NOT_ACTIVE, "market", f"market {market.symbol} is halted: {reason}")
    return None


def _form(order: Order, venue: MarketState, now_ms: int) -> Rejection | None:
    """What the order says by itself."""
    market, price, time_in_force = venue.market, order.price, order.time_in_force
    if order.side not in _SIDES:
        return Rejection(Code.INVALID_SIDE, "side", f"side {order.side} is neither 0 (buy) nor 1 (sell)")
    if not _GTC <= time_in_force <= _FOK:
        return Rejection(Code.INVALID_TIME_IN_FORCE, "timeInForce", f"time in force {time_in_force} is unknown")
    if price <= 0 or price % venue.tick_per_lot or price > venue.max_price_per_lot:
        detail = (
            f"{price} micro-USDC per lot is not a positive multiple of {venue.tick_per_lot} up to "
            f"{venue.max_price_per_lot}"
        )
        return Rejection(Code.INVALID_PRICE, "price", detail)
    if not 0 < order.quantity <= market.max_quantity:
        detail = f"{order.quantity} lots are not between 1 and {market.max_quantity}"
        return Rejection(Code.INVALID_QUANTITY, "quantity", detail)
    if time_in_force == _GTC:
        if order.expiry != NO_EXPIRY:
            return Rejection(Code.INVALID_EXPIRY, "expiry", f"a GTC order signs the expiry {NO_EXPIRY}")
    elif not 0 <= order.expiry <= MAX_TIMED_EXPIRY:
        return Rejection(Code.INVALID_EXPIRY, "expiry", f"{order.expiry} is later than {MAX_TIMED_EXPIRY}")
    elif order.is_dead(now_ms):
        return Rejection(
            Code.ORDER_EXPIRED, "expiry", f"the order expired at {order.expiry * 1000} ms, now is {now_ms}"
        )
    if not 0 <= order.nonce <= _MAX_NONCE or order.nonce & LAST_SEQUENCE == LAST_SEQUENCE:
        return Rejection(Code.INVALID_NONCE, "nonce", f"sequence {order.sequence} cannot be settled on chain")
    return None


def _beyond_limit(venue: MarketState, limit: int, order: Order) -> Rejection | None:
    """Whether the order has more lots than the operator allows now."""
    if order.quantity <= limit:
        return None
    detail = f"{order.quantity} lots are more than the {limit} that an order of {venue.market.symbol} may have now"
    return Rejection(Code.INVALID_QUANTITY, "quantity", detail)


def _terms(state: State, market: Market, account: Account | None, command: PlaceOrder) -> Rejection | None:
    """What the order demands of the exchange."""
    order = command.order
    if order.reduce_only and market.kind == _SPOT:
        return Rejection(Code.REDUCE_ONLY_SPOT, "reduceOnly", "spot markets have no positions to reduce")
    if order.conversion_limit and not market.is_cross_quoted:
        detail = "a conversion limit belongs to cross-quoted markets only"
        return Rejection(Code.UNEXPECTED_CONVERSION_LIMIT, "conversionLimit", detail)
    if order.max_fee_bps < state.fee_bps:
        detail = f"the fee is {state.fee_bps} basis points, the order accepts {order.max_fee_bps}"
        return Rejection(Code.FEE_ABOVE_CAP, "maxFeeBps", detail)
    if account is not None and account.is_bumping:
        detail = f"epoch {account.epoch} is about to end; orders are taken again once the chain has bumped it"
        return Rejection(Code.EPOCH_BUMP_PENDING, "epoch", detail)
    epoch = account.epoch if account is not None else 0
    if order.epoch != epoch:
        return Rejection(Code.STALE_EPOCH, "epoch", f"the account's epoch is {epoch}, the order signs {order.epoch}")
    if command.post_only and order.is_immediate:
        return Rejection(Code.INVALID_POST_ONLY, "postOnly", "an IOC or FOK order never rests")
    return None


def _product(state: State, configuration: Configure, market: Market, order: Order, now_ms: int) -> Rejection | None:
    """What only markets of one kind ask for."""
    if market.kind != Kind.SPOT:
        return _derivative(state, configuration, market, order, now_ms)
    return _conversion(state, market, order, now_ms)


def _derivative(state: State, configuration: Configure, market: Market, order: Order, now_ms: int) -> Rejection | None:
    """The book of a dated market closes half a window early, so that what was matched settles before its expiry.

    What may grow needs the index, and whom an order meets may grow.
    """
    if order.key == RESERVED_KEY:
        return Rejection(Code.INVALID_NONCE, "nonce", f"nonce key {order.key} is the protocol's own in this market")
    closes_at = market.terms.expiry - configuration.window // 2
    if market.terms.expiry and now_ms >= closes_at * 1000:
        detail = f"market {market.symbol} takes orders until {closes_at}, it expires at {market.terms.expiry}"
        return Rejection(Code.MARKET_NOT_ACTIVE, "market", detail)
    if market.kind != Kind.OPTION and state.index(market, now_ms) is None:
        detail = f"no price of the base asset of {market.symbol} was seen of late"
        return Rejection(Code.PRICE_UNAVAILABLE, "market", detail)
    return None


def _conversion(state: State, market: Market, order: Order, now_ms: int) -> Rejection | None:
    """Whether the order of a cross-quoted market accepts the present rate."""
    if not 0 < order.conversion_limit <= _MAX_LIMIT:
        detail = f"market {market.symbol} is not quoted in USDC: sign a rate, in micro-USDC per whole quote unit"
        return Rejection(Code.CONVERSION_LIMIT_MISSING, "conversionLimit", detail)
    conversion = state.conversion(market, now_ms)
    if conversion is None:
        detail = f"no price of the quote asset of {market.symbol} was seen of late"
        return Rejection(Code.PRICE_UNAVAILABLE, "market", detail)
    if is_beyond(order.side, order.conversion_limit, conversion.rate):
        bound = "at most" if order.side == Side.BUY else "at least"
        detail = f"the rate is {conversion.rate} micro-USDC, the order accepts {bound} {order.conversion_limit}"
        return Rejection(Code.CONVERSION_LIMIT_EXCEEDED, "conversionLimit", detail)
    return None


def _identity(
    configuration: Configure, account: Account | None, nonce_key: NonceKey | None, command: PlaceOrder
) -> Rejection | None:
    """How the order relates to the account's other orders."""
    order = command.order
    replaced = nonce_key.working if nonce_key is not None else None
    if command.replaces is not None and command.replaces != _hash(replaced):
        detail = f"nonce key {order.key} has no open order 0x{command.replaces.hex()} to replace"
        return Rejection(Code.ORDER_NOT_OPEN, "replaces", detail)
    if nonce_key is not None and nonce_key.market is not None and nonce_key.market != order.market:
        detail = f"nonce key {order.key} belongs to market {nonce_key.market}"
        return Rejection(Code.NONCE_KEY_MARKET, "nonce", detail)
    if command.expect_filled is not None and (replaced is None or replaced.filled != command.expect_filled):
        actual = "no order is open under this nonce key" if replaced is None else f"{replaced.filled} lots are filled"
        detail = f"{actual}, expected were {command.expect_filled}"
        return Rejection(Code.EXPECT_FILLED_MISMATCH, "expectFilled", detail)
    if account is None:
        return None
    name = command.client_order_id
    if name is not None and account.client_order_ids.get(name, _hash(replaced)) != _hash(replaced):
        return Rejection(Code.DUPLICATE_CLIENT_ORDER_ID, "clientOrderId", f"an open order is named {name!r} already")
    count = len(account.orders) - (replaced is not None)
    if not order.is_immediate and count >= configuration.max_open_orders:
        detail = f"the account has {count} open orders, at most {configuration.max_open_orders} are allowed"
        return Rejection(Code.TOO_MANY_ORDERS, "", detail)
    return None


def _trigger(command: PlaceOrder, market: Market) -> Rejection | None:
    """Whether what the order waits for can come."""
    trigger = command.trigger
    if trigger is None:
        return None
    if trigger.source is TriggerSource.INDEX and market.derivative is None:
        return Rejection(Code.INVALID_TRIGGER, "triggerBy", f"market {market.symbol} has no index")
    # An index is no price of this market: an option's is that of what it is an option on.
    highest = MAX_INDEX if trigger.source is TriggerSource.INDEX else market.max_price_per_lot
    if not 0 < trigger.price <= highest:
        detail = f"{trigger.price} micro-USDC per lot are not between 1 and {highest}"
        return Rejection(Code.INVALID_TRIGGER, "triggerPrice", detail)
    return None


def _band(configuration: Configure, venue: MarketState, command: PlaceOrder) -> Rejection | None:
    """How far a price may reach: an order that waits is measured at the price that it waits for, where that and its own
    are of one kind, and not again when it works: the market that it was meant for is one that moves."""
    order, trigger = command.order, command.trigger
    if trigger is None:
        best = venue.book.sides[1 - order.side].best
        return None if best is None else outside_band(best, "the best price", order, configuration.price_band_bps)
    if trigger.source is TriggerSource.INDEX and venue.market.kind == Kind.OPTION:
        return None
    return outside_band(trigger.price, "its trigger price", order, configuration.price_band_bps)


def _hash(live: LiveOrder | None) -> bytes:
    return live.order_hash if live is not None else b""


def _pressure(state: State, configuration: Configure, command: PlaceOrder, now_ms: int) -> Rejection | None:
    """Whether settlement and the view of the chain keep up."""
    oldest = state.outbox.oldest_fill()
    if oldest is not None:
        age_ms, window_ms = now_ms - oldest.trade.time_ms, configuration.window * 1000
        if 2 * age_ms > window_ms or (4 * age_ms > window_ms and not command.post_only):
            detail = f"the oldest unsettled fill is {age_ms} ms old; " + (
                "no orders are taken" if 2 * age_ms > window_ms else "only post-only orders are taken"
            )
            return Rejection(Code.SETTLEMENT_BACKLOG, "", detail)
    head_age_ms = now_ms - state.chain.head_seen_ms
    if 0 < configuration.max_head_age_ms < head_age_ms and not command.post_only:
        detail = f"the newest block was seen {head_age_ms} ms ago; only post-only orders are taken"
        return Rejection(Code.CHAIN_STALE, "", detail)
    return None
