"""Perpetuals and futures in the core: margin, who may not trade, funding, what the chain does by others."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offchain.domain.account import margin_reservation_up
from offchain.domain.clearing import PositionState, apply_fill, fee_down, has_matching_margin
from offchain.domain.commands import ClearedPosition, ClearingChanged, ClearingPayment, FundingAccrual, MarketCreated
from offchain.domain.core import Core
from offchain.domain.derivatives import DerivativeRules
from offchain.domain.errors import Code
from offchain.domain.events import DepositUpdate, OrderUpdate
from offchain.domain.ledger import FUND
from offchain.domain.liquidation import is_due
from offchain.domain.market import Kind
from offchain.domain.matching import MAX_CLEARED_GROUP
from offchain.domain.oracle import SEEN_FOR_MS
from offchain.domain.positionview import liquidation_price
from offchain.domain.results import PlaceResult
from tests.utils.exchange import BUY, INDEX, IOC, MAKER, OTHER, PERP, SELL, TAKER, TICK, USDC, Exchange, digest

MARGIN = {"market": PERP.id}
REDUCE = {"market": PERP.id, "reduce_only": True}


@pytest.fixture
def exchange(create_exchange: Callable[..., Exchange]) -> Exchange:
    """With a perpetual, whose index is 100 ticks, and 10,000 USDC each."""
    exchange = create_exchange()
    exchange.mine(MarketCreated(PERP))
    exchange.tell_index()
    return exchange


@pytest.fixture
def traded(exchange: Exchange) -> Exchange:
    """The maker is short 10 lots, the taker long, at 100 ticks."""
    exchange.place(MAKER, SELL, 100, 10, **MARGIN)
    exchange.place(TAKER, BUY, 100, 10, **MARGIN)
    return exchange


def available(exchange: Exchange, account: bytes) -> int:
    balance = exchange.balance(account, USDC)
    return balance.settled + balance.unsettled - balance.reserved - balance.held


def pool(exchange: Exchange) -> int:
    return exchange.core._state.markets[PERP.id].pool


def code_of(result: PlaceResult) -> str:
    assert result.rejection is not None
    return result.rejection.code


def ending_of(exchange: Exchange, placed: PlaceResult) -> str:
    """Why an order ended in the last command."""
    return next(update.code for update in exchange.of(OrderUpdate) if update.order_hash == placed.order_hash)


# ---------------------------------------------------------------------------------------------------------------------
# Money
# ---------------------------------------------------------------------------------------------------------------------


def test_both_sides_put_margin_in(traded: Exchange) -> None:
    fee = fee_down(10 * INDEX, 50)
    for account, sign in ((TAKER, 1), (MAKER, -1)):
        assert available(traded, account) == 10**10 - INDEX - fee
        holding = traded.holding(account, PERP.id)
        assert (holding.size, holding.quote, holding.cost) == (sign * 10, INDEX - sign * 10 * INDEX, sign * 10 * INDEX)
    assert pool(traded) == 2 * INDEX


def test_closing_pays_margin_and_profit(traded: Exchange) -> None:
    traded.tell_index(104 * TICK)
    traded.place(OTHER, BUY, 104, 4, **MARGIN)
    before = available(traded, TAKER)
    assert traded.place(TAKER, SELL, 104, 4, tif=IOC, **REDUCE).filled == 4
    # 4 of 10 lots: margin of 40 ticks, profit of 16
    assert available(traded, TAKER) == before + 56 * TICK - fee_down(416 * TICK, 50)
    (view,) = traded.core.positions(TAKER, traded.now_ms)
    assert (view.update.size, view.update.cost, view.update.realised) == (6, 600 * TICK, 16 * TICK)
    assert (view.mark, view.unrealised, view.margin) == (104 * TICK, 24 * TICK, 60 * TICK)
    assert (view.index, view.equity, view.maintenance) == (104 * TICK, 84 * TICK, 312 * TICK // 10)
    # E(x) = 6x - 540 = 0.05 * 6x at x = 94.74 ticks
    assert view.liquidation == -(-540 * TICK * 10_000 // (6 * 9_500))


def test_an_order_reserves_margin_and_fee(exchange: Exchange) -> None:
    for side, price in ((BUY, 99), (SELL, 101)):
        before = exchange.balance(MAKER, USDC).reserved
        exchange.place(MAKER, side, price, 10, **MARGIN)
        assert exchange.balance(MAKER, USDC).reserved - before == price * TICK + price * 10 * TICK * 50 // 10_000


@given(
    is_buy=st.booleans(),
    price=st.integers(1, 10**7),
    parts=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    margin_bps=st.integers(20, 10_000),
    fee_bps=st.integers(0, 50),
)
def test_a_reservation_covers_every_way_of_opening(
    is_buy: bool, price: int, parts: list[int], margin_bps: int, fee_bps: int
) -> None:
    remaining = sum(parts)
    reserved = margin_reservation_up(price, remaining, margin_bps, fee_bps)
    position = PositionState()
    for quantity in parts:
        effect = apply_fill(position, is_buy, quantity, price, margin_bps)
        position = effect.position
        remaining -= quantity
        reserved += effect.account - fee_down(quantity * price, fee_bps)
        assert reserved >= margin_reservation_up(price, remaining, margin_bps, fee_bps)


# ---------------------------------------------------------------------------------------------------------------------
# Who may not trade
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("price", "filled"), [(102, 10), (103, 0)])
def test_a_taker_needs_margin_at_the_index(exchange: Exchange, price: int, filled: int) -> None:
    """Bought at 103, 10.3 of margin less 3 are below the 7.5 that a match needs."""
    exchange.place(MAKER, SELL, price, 10, **MARGIN)
    result = exchange.place(TAKER, BUY, price, 10, tif=IOC, **MARGIN)
    assert result.filled == filled
    if not filled:
        assert code_of(result) == Code.INSUFFICIENT_MARGIN


def test_a_maker_that_would_have_too_little_ends(exchange: Exchange) -> None:
    ask = exchange.place(MAKER, SELL, 100, 10, **MARGIN)
    exchange.tell_index(104 * TICK)
    good = exchange.place(OTHER, SELL, 104, 10, **MARGIN)
    result = exchange.place(TAKER, BUY, 104, 10, tif=IOC, **MARGIN)
    assert (result.filled, result.fills[0][1]) == (10, 104 * TICK)
    assert ending_of(exchange, ask) == "insufficientMargin"
    assert ending_of(exchange, good) == ""


def test_a_loss_that_the_position_does_not_hold_must_be_available(traded: Exchange) -> None:
    """Below 90 the long's margin is gone: closing debits the account, and what it has not is not matched."""
    bid = traded.place(OTHER, BUY, 85, 20, **MARGIN)
    ask = traded.place(TAKER, SELL, 86, 10, **REDUCE)
    traded.tell_index(86 * TICK)
    traded.mine(traded.requested(TAKER, USDC, available(traded, TAKER)))
    rejected = traded.place(TAKER, SELL, 85, 10, tif=IOC, key=77, **MARGIN)
    assert code_of(rejected) == Code.INSUFFICIENT_BALANCE
    assert traded.place(OTHER, BUY, 86, 1, tif=IOC, **MARGIN).filled == 0
    assert ending_of(traded, ask) == "insufficientBalance"
    traded.deposit(TAKER, USDC, 10**9)
    assert traded.place(TAKER, SELL, 85, 10, tif=IOC, **REDUCE).filled == 10
    assert traded.depth(BUY, PERP.id) == [(85, 10)]
    assert bid.status == "open"


def test_a_withdrawal_cancels_only_what_makes_room(traded: Exchange) -> None:
    opening = traded.place(TAKER, BUY, 90, 10, **MARGIN)
    closing = traded.place(TAKER, SELL, 110, 10, **REDUCE)
    traded.mine(traded.requested(TAKER, USDC, available(traded, TAKER) + 1))
    assert [(update.order_hash, update.code) for update in traded.of(OrderUpdate)] == [
        (opening.order_hash, "withdrawal")
    ]
    assert [live.order_hash for live in traded.core.open_orders(TAKER)] == [closing.order_hash]


def test_a_pool_never_goes_below_zero(traded: Exchange) -> None:
    """At 130 the long is owed 40 a lot; the pool has 20 and what the next long puts in, 13."""
    traded.tell_index(130 * TICK)
    traded.place(OTHER, BUY, 130, 10, **MARGIN)
    assert code_of(traded.place(TAKER, SELL, 130, 10, tif=IOC, **REDUCE)) == Code.POOL_SHORT
    assert traded.place(TAKER, SELL, 130, 7, tif=IOC, **REDUCE).filled == 7
    assert pool(traded) == 11 * TICK


def test_without_a_fresh_index_no_order_is_taken(traded: Exchange) -> None:
    traded.now_ms += SEEN_FOR_MS + 1
    assert code_of(traded.place(OTHER, BUY, 100, 1, **MARGIN)) == Code.PRICE_UNAVAILABLE
    traded.tell_index()
    assert traded.place(OTHER, BUY, 100, 1, **MARGIN).status == "open"


def test_a_future_closes_half_a_window_before_expiry(exchange: Exchange) -> None:
    expiry = exchange.now_ms // 1000 + 3_600
    rules = DerivativeRules(1_000, 500, 250, 100, 150, expiry=expiry)
    future = msgspec.structs.replace(PERP, id=9, symbol="BTC-F", kind=Kind.FUTURE, instrument=9, derivative=rules)
    exchange.mine(MarketCreated(future))
    assert exchange.place(MAKER, BUY, 100, 1, market=9).status == "open"
    exchange.now_ms = (expiry - 1_800) * 1000
    exchange.tell_index()
    assert code_of(exchange.place(MAKER, BUY, 100, 1, market=9)) == Code.MARKET_NOT_ACTIVE


def test_matching_margin_is_half_way() -> None:
    assert has_matching_margin(PositionState(10, -9_250), 1_000, 1_000, 500)
    assert not has_matching_margin(PositionState(10, -9_251), 1_000, 1_000, 500)
    assert has_matching_margin(PositionState(-10, 10_750), 1_000, 1_000, 500)
    assert not has_matching_margin(PositionState(-10, 10_749), 1_000, 1_000, 500)


@given(
    size=st.integers(1, 10**6), price=st.integers(1_000, 10**7), margin=st.integers(500, 9_000), is_long=st.booleans()
)
def test_liquidation_begins_at_the_price_that_is_shown(size: int, price: int, margin: int, is_long: bool) -> None:
    sign = 1 if is_long else -1
    position = PositionState(sign * size, size * price * margin // 10_000 - sign * size * price)
    shown = liquidation_price(PERP, position)
    assert shown is not None
    assert is_due(position, shown - sign, 500)
    assert not is_due(position, shown + sign, 500)


def test_nothing_liquidates_what_is_paid_in_full() -> None:
    assert liquidation_price(PERP, PositionState(10, 5)) is None
    assert liquidation_price(PERP, PositionState(0, 5)) is None


# ---------------------------------------------------------------------------------------------------------------------
# The chain
# ---------------------------------------------------------------------------------------------------------------------

STEP = TICK << 32
"""of the funding index: a tick per lot"""


def funded(funding: int) -> ClearingChanged:
    return ClearingChanged(digest("fund", funding), funding=[FundingAccrual(PERP.id, 1, funding)])


def settled(exchange: Exchange, number: int) -> None:
    exchange.mine(exchange.batch_settled(number, exchange.trades()[number - 1 : number]))


def test_funding_is_owed_and_counts_when_it_is_paid(traded: Exchange) -> None:
    settled(traded, 1)
    traded.mine(funded(STEP))
    (view,) = traded.core.positions(TAKER, traded.now_ms)
    assert (view.margin, view.unrealised, view.equity) == (90 * TICK, -10 * TICK, 90 * TICK)
    traded.place(OTHER, BUY, 100, 10, **MARGIN)
    before = available(traded, TAKER)
    traded.place(TAKER, SELL, 100, 10, tif=IOC, **REDUCE)
    assert available(traded, TAKER) == before + 90 * TICK - fee_down(1_000 * TICK, 50)
    assert traded.holding(TAKER, PERP.id).realised == -10 * TICK


def test_what_is_unsettled_pays_the_funding_that_comes_before_it(traded: Exchange) -> None:
    """The closing fill settles after the accrual, so it pays it; undone, it does not."""
    settled(traded, 1)
    traded.place(OTHER, BUY, 100, 10, **MARGIN)
    traded.place(TAKER, SELL, 100, 10, tif=IOC, **REDUCE)
    before = available(traded, TAKER)
    number, _ = traded.head
    traded.mine(funded(STEP))
    assert available(traded, TAKER) == before - 10 * TICK
    assert traded.holding(TAKER, PERP.id).realised == -10 * TICK
    traded.roll_back(number)
    assert available(traded, TAKER) == before
    assert traded.holding(TAKER, PERP.id).realised == 0


def test_a_takeover_is_followed(traded: Exchange) -> None:
    settled(traded, 1)
    traded.deposit(FUND, USDC, 10**9)
    rest = traded.place(TAKER, SELL, 120, 10, **REDUCE)
    rows = [ClearedPosition(TAKER, PERP.id, 0, 0, 0), ClearedPosition(FUND, PERP.id, 10, -895 * TICK, 0)]
    number, _ = traded.head
    traded.mine(ClearingChanged(digest("takeover"), rows, [(PERP.id, 205 * TICK)], fund=-5 * TICK))
    assert ending_of(traded, rest) == "reduceOnly"
    assert traded.holding(TAKER, PERP.id).size == 0
    assert traded.holding(TAKER, PERP.id).realised == -100 * TICK
    assert traded.balance(FUND, USDC).settled == 10**9 - 5 * TICK
    assert pool(traded) == 205 * TICK
    traded.roll_back(number)
    assert traded.holding(TAKER, PERP.id).size == 10
    assert (traded.balance(FUND, USDC).settled, pool(traded)) == (10**9, 200 * TICK)


def test_an_exit_pays_once_it_is_confirmed(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange(confirmations=2)
    exchange.mine(MarketCreated(PERP))
    exchange.tell_index()
    exchange.place(MAKER, SELL, 100, 10, **MARGIN)
    exchange.place(TAKER, BUY, 100, 10, **MARGIN)
    settled(exchange, 1)
    before = available(exchange, TAKER)
    rows = [ClearedPosition(TAKER, PERP.id, 0, 0, 0), ClearedPosition(FUND, PERP.id, 10, -985 * TICK, 0)]
    payments = [ClearingPayment(TAKER, PERP.id, 85 * TICK, 7)]
    exchange.mine(ClearingChanged(digest("exit"), rows, [(PERP.id, 115 * TICK)], payments=payments))
    assert [one.status for one in exchange.of(DepositUpdate)] == ["pending"]
    assert available(exchange, TAKER) == before
    exchange.mine()
    assert available(exchange, TAKER) == before + 85 * TICK
    assert exchange.holding(TAKER, PERP.id).realised == -15 * TICK


def test_a_restored_core_goes_on_alike(traded: Exchange) -> None:
    settled(traded, 1)
    traded.mine(funded(STEP))
    traded.place(TAKER, SELL, 105, 7, **REDUCE)
    traded.place(OTHER, BUY, 100, 5, **MARGIN)
    twin = Core.restore(traded.core.snapshot())
    for command in (
        traded.command(traded.order(TAKER, SELL, 100, 3, **REDUCE)),
        traded.command(traded.order(MAKER, BUY, 105, 9, **MARGIN)),
        traded.command(traded.order(OTHER, SELL, 99, 9, **MARGIN)),
    ):
        result, events = twin.execute(command, traded.now_ms)
        assert (traded.run(command), traded.events) == (result, events)
    assert twin.snapshot() == traded.core.snapshot()


def test_a_group_of_fills_fits_a_transaction(exchange: Exchange) -> None:
    for _ in range(MAX_CLEARED_GROUP + 1):
        exchange.place(MAKER, SELL, 100, 1, **MARGIN)
    result = exchange.place(TAKER, BUY, 100, 500, tif=IOC, **MARGIN)
    assert (result.filled, result.code) == (MAX_CLEARED_GROUP, "groupLimit")
