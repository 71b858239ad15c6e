"""Spot markets that are quoted in another asset than USDC: the oracle's rate, limits, reservations, batches."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offchain.domain.account import reservation_up
from offchain.domain.clearing import fee_down
from offchain.domain.commands import BatchClosed, Price
from offchain.domain.core import Core
from offchain.domain.errors import Code, Rejection
from offchain.domain.events import OrderUpdate, PriceUpdate, TradeBusted
from offchain.domain.oracle import RATE_SCALE, SEEN_FOR_MS, Conversion, is_beyond, notional_down
from offchain.domain.results import Done, PlaceResult
from tests.utils.exchange import BUY, ETH, ETH_BTC, FOK, IOC, MAKER, ORACLE, OTHER, RATE, SELL, TAKER, USDC, Exchange

LIMIT = {"market": ETH_BTC.id, "conversion_limit": RATE}


@pytest.fixture
def exchange(create_exchange: Callable[..., Exchange]) -> Exchange:
    """With ETH-BTC at 50,000 USDC per BTC: a price of 100 ticks is 10^6 * 10^-12 BTC per lot."""
    exchange = create_exchange()
    exchange.list_markets(ETH_BTC)
    exchange.tell_price()
    return exchange


def notional(quantity: int, ticks: int, rate: int = RATE) -> int:
    return quantity * ticks * 10_000 * rate // RATE_SCALE


def code_of(result: PlaceResult) -> str:
    assert result.rejection is not None
    return result.rejection.code


# ---------------------------------------------------------------------------------------------------------------------
# Trading
# ---------------------------------------------------------------------------------------------------------------------


def test_a_fill_is_paid_in_usdc_at_the_rate(exchange: Exchange) -> None:
    before = {account: exchange.balance(account, USDC).available for account in (MAKER, TAKER)}
    exchange.place(MAKER, SELL, 101, 7, **LIMIT)
    result = exchange.place(TAKER, BUY, 102, 7, **LIMIT)
    assert result.filled == 7
    (trade,) = exchange.trades()
    paid, fee = notional(7, 101), fee_down(notional(7, 101), 50)
    assert (trade.notional, trade.maker_fee, trade.taker_fee) == (paid, fee, fee)
    assert trade.conversion == Conversion(1, RATE, exchange.now_ms // 1000)
    assert exchange.balance(TAKER, USDC).available == before[TAKER] - paid - fee
    assert exchange.balance(MAKER, USDC).available == before[MAKER] + paid - fee
    assert exchange.balance(TAKER, ETH).unsettled == 7 * ETH_BTC.lot_size


def test_a_buyer_reserves_at_its_limit_and_a_seller_the_base(exchange: Exchange) -> None:
    exchange.place(MAKER, BUY, 100, 7, market=ETH_BTC.id, conversion_limit=2 * RATE)
    assert exchange.balance(MAKER, USDC).reserved == notional(7, 100, 2 * RATE) * 10_050 // 10_000
    exchange.place(MAKER, SELL, 200, 7, **LIMIT)
    assert exchange.balance(MAKER, ETH).reserved == 7 * ETH_BTC.lot_size


def test_an_order_beyond_the_rate_is_refused(exchange: Exchange) -> None:
    for side, limit in ((BUY, RATE - 1), (SELL, RATE + 1)):
        result = exchange.place(MAKER, side, 100, 5, market=ETH_BTC.id, conversion_limit=limit)
        assert code_of(result) == Code.CONVERSION_LIMIT_EXCEEDED


def test_the_limit_belongs_to_cross_quoted_markets(exchange: Exchange) -> None:
    assert code_of(exchange.place(MAKER, BUY, 100, 5, market=ETH_BTC.id)) == Code.CONVERSION_LIMIT_MISSING
    over = exchange.place(MAKER, BUY, 100, 5, market=ETH_BTC.id, conversion_limit=2**64)
    assert code_of(over) == Code.CONVERSION_LIMIT_MISSING
    assert code_of(exchange.place(MAKER, BUY, 100, 5, conversion_limit=5)) == Code.UNEXPECTED_CONVERSION_LIMIT


@pytest.mark.parametrize(("side", "rate"), [(SELL, RATE - 1), (BUY, RATE + 1)])
def test_a_resting_order_beyond_the_rate_ends_when_it_is_met(exchange: Exchange, side: int, rate: int) -> None:
    beyond = exchange.place(MAKER, side, 100, 5, **LIMIT)
    willing = exchange.place(OTHER, side, 100, 5, market=ETH_BTC.id, conversion_limit=[10 * RATE, 1][side])
    exchange.tell_price(rate)
    taker = {"market": ETH_BTC.id, "conversion_limit": [1, 10 * RATE][side]}
    killed = exchange.place(TAKER, 1 - side, 100, 6, tif=FOK, **taker)
    assert (killed.filled, killed.code) == (0, "fokUnfilled")
    result = exchange.place(TAKER, 1 - side, 100, 6, tif=IOC, **taker)
    assert result.filled == 5
    updates = {update.order_hash: update for update in exchange.of(OrderUpdate)}
    assert updates[beyond.order_hash].code == "conversionLimit"
    assert updates[willing.order_hash].status == "filled"


def test_post_only_may_rest_where_only_an_order_beyond_the_rate_stands(exchange: Exchange) -> None:
    exchange.place(MAKER, SELL, 100, 5, **LIMIT)
    exchange.tell_price(RATE - 1)
    assert exchange.place(TAKER, BUY, 100, 5, post_only=True, **LIMIT).status == "open"
    assert exchange.depth(SELL, ETH_BTC.id) == []


def test_no_balance_no_order(exchange: Exchange) -> None:
    available = exchange.balance(MAKER, USDC).available
    lots = available * RATE_SCALE // (10_000 * 10_000 * RATE)
    assert code_of(exchange.place(MAKER, BUY, 10_000, lots, **LIMIT)) == Code.INSUFFICIENT_BALANCE
    assert exchange.place(MAKER, BUY, 10_000, lots * 99 // 100, **LIMIT).status == "open"


@given(
    fills=st.lists(st.tuples(st.integers(1, 60), st.integers(0, 3_000), st.integers(0, 10**9)), min_size=1, max_size=8),
    price=st.integers(3_001, 10**8),
    limit=st.integers(10**9 + 1, 10**11),
    fee_bps=st.integers(0, 50),
    rest=st.integers(0, 9),
)
def test_a_reservation_covers_every_way_of_filling(
    fills: list[tuple[int, int, int]], price: int, limit: int, fee_bps: int, rest: int
) -> None:
    remaining = rest + sum(quantity for quantity, _, _ in fills)
    reserved = reservation_up(BUY, price, remaining, 1, fee_bps, limit)
    for quantity, better, cheaper in fills:
        remaining -= quantity
        paid = notional_down(quantity, price - better, limit - cheaper)
        reserved -= paid + fee_down(paid, fee_bps)
        assert reserved >= reservation_up(BUY, price, remaining, 1, fee_bps, limit)


# ---------------------------------------------------------------------------------------------------------------------
# Prices
# ---------------------------------------------------------------------------------------------------------------------


def price_of(exchange: Exchange, **changes: int | bytes) -> Price:
    now = exchange.now_ms // 1000
    return msgspec.structs.replace(Price(ORACLE, 2, RATE * 10**12, now, now + 3_600), **changes)


def test_without_a_fresh_price_no_order_is_taken(exchange: Exchange) -> None:
    exchange.now_ms += SEEN_FOR_MS
    assert exchange.place(MAKER, BUY, 100, 5, **LIMIT).status == "open"
    exchange.now_ms += 1
    assert code_of(exchange.place(MAKER, BUY, 100, 5, **LIMIT)) == Code.PRICE_UNAVAILABLE
    exchange.tell_price()
    assert exchange.place(MAKER, BUY, 100, 5, **LIMIT).status == "open"


def test_a_price_ends_where_the_oracle_takes_it_for_stale(exchange: Exchange) -> None:
    now = exchange.now_ms // 1000
    assert exchange.run(price_of(exchange, valid_until=now + 5)) == Done()
    exchange.now_ms = (now + 5) * 1000 + 999
    assert exchange.place(MAKER, BUY, 100, 5, **LIMIT).status == "open"
    exchange.now_ms += 1
    assert code_of(exchange.place(MAKER, BUY, 100, 5, **LIMIT)) == Code.PRICE_UNAVAILABLE


def test_what_is_no_news_is_refused(exchange: Exchange) -> None:
    now = exchange.now_ms // 1000
    assert exchange.run(price_of(exchange)) == Done()
    for changes, code, param in (
        ({"oracle": b"\x0c" * 20}, Code.UNKNOWN_ORACLE, "oracle"),
        ({"price": 0}, Code.INVALID_PRICE, "price"),
        ({"round": 1}, Code.OUT_OF_ORDER, "round"),
        ({"updated_at": now + 1}, Code.OUT_OF_ORDER, "updatedAt"),
    ):
        rejection = exchange.run(price_of(exchange, **changes))
        assert isinstance(rejection, Rejection)
        assert (rejection.code, rejection.param) == (code, param)
    assert exchange.core.prices[ORACLE].round == 2


def test_a_rate_that_the_engine_refuses_is_none(exchange: Exchange) -> None:
    for price in (10**12 - 1, 2**64 * 10**12):
        exchange.run(price_of(exchange, price=price))
        assert code_of(exchange.place(MAKER, BUY, 100, 5, **LIMIT)) == Code.PRICE_UNAVAILABLE


def test_fills_at_a_round_that_became_another_are_dropped(exchange: Exchange) -> None:
    exchange.place(MAKER, SELL, 100, 20, **LIMIT)
    exchange.place(TAKER, BUY, 100, 5, **LIMIT)
    exchange.place(OTHER, SELL, 100, 5)
    exchange.place(TAKER, BUY, 100, 5)
    exchange.tell_price()
    assert exchange.of(TradeBusted) == []
    (update,) = exchange.of(PriceUpdate)
    assert update.price.round == 1
    assert exchange.run(price_of(exchange, round=1, price=RATE * 10**12 + 1)) == Done()
    (busted,) = exchange.of(TradeBusted)
    assert (busted.market, busted.reason) == (ETH_BTC.id, "reorg")
    assert exchange.balance(TAKER, ETH).unsettled == 0


# ---------------------------------------------------------------------------------------------------------------------
# Batches and snapshots
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def two_rounds(exchange: Exchange) -> Exchange:
    """Items 1 and 2 of one round, 3 of the next, a minute later."""
    exchange.place(MAKER, SELL, 100, 20, market=ETH_BTC.id, conversion_limit=1)
    for _ in range(2):
        exchange.place(TAKER, BUY, 100, 5, **LIMIT)
    exchange.now_ms += 60_000
    exchange.tell_price(RATE - 5)
    exchange.place(TAKER, BUY, 100, 5, **LIMIT)
    return exchange


def test_a_batch_has_one_round_per_market(two_rounds: Exchange) -> None:
    first, second, third = two_rounds.trades()
    second_of_first = first.time_ms // 1000
    refused = two_rounds.run(BatchClosed(1, first.item, third.item, second_of_first))
    assert isinstance(refused, Rejection)
    assert (refused.code, refused.param) == (Code.INVALID_BATCH, "last")
    early = two_rounds.run(BatchClosed(1, first.item, second.item, second_of_first - 1))
    assert isinstance(early, Rejection)
    assert (early.code, early.param) == (Code.INVALID_BATCH, "matchedAt")
    assert two_rounds.run(BatchClosed(1, first.item, second.item, second_of_first)) == Done()


def test_a_batch_settles_for_what_was_matched(two_rounds: Exchange) -> None:
    unsettled = two_rounds.balance(TAKER, USDC).unsettled
    trades = two_rounds.trades()
    two_rounds.mine(two_rounds.batch_settled(1, trades[:2]))
    two_rounds.mine(two_rounds.batch_settled(2, trades[2:]))
    after = two_rounds.balance(TAKER, USDC)
    assert (after.settled, after.unsettled) == (10**10 + unsettled, 0)
    assert unsettled == -sum(trade.notional + trade.taker_fee for trade in trades)
    assert trades[2].notional == notional(5, 100, RATE - 5)


def test_a_restored_core_goes_on_at_the_same_rate(two_rounds: Exchange) -> None:
    twin = Core.restore(two_rounds.core.snapshot())
    command = two_rounds.command(two_rounds.order(TAKER, BUY, 100, 1, **LIMIT))
    result, events = twin.execute(command, two_rounds.now_ms)
    assert two_rounds.run(command) == result
    assert two_rounds.events == events
    assert twin.snapshot() == two_rounds.core.snapshot()


def test_the_rule_of_limits() -> None:
    assert not is_beyond(BUY, 5, 5)
    assert not is_beyond(SELL, 5, 5)
    assert is_beyond(BUY, 5, 6)
    assert is_beyond(SELL, 5, 4)
