"""Price-time priority, the times in force, self-trade and the bounds of one command."""

from __future__ import annotations

import pytest

from offchain.domain import matching
from offchain.domain.errors import Code
from offchain.domain.events import OrderUpdate, Trade
from offchain.domain.order import SelfTrade
from tests.utils.exchange import BUY, FOK, GTD, IOC, MAKER, OTHER, SELL, TAKER, TICK, Exchange


def test_better_price_first_then_earlier_arrival(exchange: Exchange) -> None:
    late_best = exchange.place(MAKER, SELL, 101, 1)
    early = exchange.place(OTHER, SELL, 102, 1)
    late = exchange.place(MAKER, SELL, 102, 1)
    taker = exchange.place(TAKER, BUY, 105, 3)
    assert [trade.maker_hash for trade in exchange.of(Trade)] == [r.order_hash for r in (late_best, early, late)]
    assert [(price // TICK, quantity) for _, price, quantity in taker.fills] == [(101, 1), (102, 1), (102, 1)]
    assert taker.status == "filled"


def test_trade_is_at_the_makers_price_with_floored_fees(exchange: Exchange) -> None:
    exchange.place(MAKER, BUY, 33, 3)
    exchange.place(TAKER, SELL, 20, 2)
    (trade,) = exchange.of(Trade)
    notional = 2 * 33 * TICK
    fee = notional * 50 // 10_000
    assert (trade.item, trade.price, trade.quantity, trade.maker_fee, trade.taker_fee) == (1, 33 * TICK, 2, fee, fee)
    assert exchange.balance(MAKER, 0).unsettled == -notional - fee
    assert exchange.balance(TAKER, 0).unsettled == notional - fee
    assert exchange.balance(MAKER, 7).unsettled == 2 * 10_000
    assert exchange.balance(TAKER, 7).unsettled == -2 * 10_000
    assert exchange.balance(b"\xee" * 20, 0).unsettled == 2 * fee
    assert exchange.balance(MAKER, 0).reserved == 33 * TICK * 1_005 // 1_000


def test_events_come_trade_maker_taker_balances(exchange: Exchange) -> None:
    maker = exchange.place(MAKER, SELL, 100, 1)
    taker = exchange.place(TAKER, BUY, 100, 2)
    kinds = [type(event).__name__ for event in exchange.events]
    assert kinds == ["Trade", "OrderUpdate", "OrderUpdate"] + ["BalanceUpdate"] * 5
    updates = exchange.of(OrderUpdate)
    assert [(u.order_hash, u.status, u.filled, u.depth_change) for u in updates] == [
        (maker.order_hash, "filled", 1, -1),
        (taker.order_hash, "partiallyFilled", 1, 1),
    ]
    owners = [(event.account, event.asset) for event in exchange.events[3:]]
    assert owners == sorted(owners)


def test_remainder_of_gtc_rests_and_reserves(exchange: Exchange) -> None:
    exchange.place(MAKER, SELL, 100, 4)
    result = exchange.place(TAKER, BUY, 110, 10)
    assert (result.status, result.filled) == ("partiallyFilled", 4)
    assert exchange.depth(BUY) == [(110, 6)]
    assert exchange.depth(SELL) == []
    assert exchange.balance(TAKER, 0).reserved == 6 * 110 * TICK * 1_005 // 1_000


def test_partially_filled_maker_keeps_its_place(exchange: Exchange) -> None:
    first = exchange.place(MAKER, SELL, 100, 5)
    exchange.place(OTHER, SELL, 100, 5)
    for _ in range(2):
        exchange.place(TAKER, BUY, 100, 2)
        assert [trade.maker_hash for trade in exchange.of(Trade)] == [first.order_hash]


def test_ioc_cancels_what_is_left(exchange: Exchange) -> None:
    exchange.place(MAKER, SELL, 100, 4)
    exchange.place(MAKER, SELL, 111, 4)
    result = exchange.place(TAKER, BUY, 110, 10, tif=IOC)
    assert (result.status, result.filled, result.code) == ("canceled", 4, "iocRemainder")
    assert exchange.depth(BUY) == []
    assert exchange.balance(TAKER, 0).reserved == 0


def test_ioc_pays_only_for_what_it_fills(exchange: Exchange) -> None:
    exchange.place(MAKER, SELL, 100, 10)
    assert exchange.place(TAKER, BUY, 10_000, 10**6, tif=IOC).filled == 10


def test_fok_fills_whole_or_changes_nothing(exchange: Exchange) -> None:
    exchange.place(MAKER, SELL, 100, 4)
    exchange.place(OTHER, SELL, 101, 4)
    killed = exchange.place(TAKER, BUY, 101, 9, tif=FOK)
    assert (killed.status, killed.filled, killed.code) == ("canceled", 0, "fokUnfilled")
    assert [type(event) for event in exchange.events] == [OrderUpdate]
    assert exchange.depth(SELL) == [(100, 4), (101, 4)]
    assert exchange.place(TAKER, BUY, 100, 8, tif=FOK).code == "fokUnfilled", "beyond the limit does not count"
    assert exchange.place(TAKER, BUY, 101, 8, tif=FOK).status == "filled"


def test_fok_counts_only_what_others_offer(exchange: Exchange) -> None:
    exchange.place(MAKER, SELL, 100, 4)
    own = exchange.place(TAKER, SELL, 100, 4)
    exchange.place(OTHER, SELL, 101, 4)
    assert exchange.place(TAKER, BUY, 101, 12, tif=FOK).code == "fokUnfilled"
    assert exchange.depth(SELL) == [(100, 8), (101, 4)], "a killed order expires no maker"
    for mode in (SelfTrade.EXPIRE_TAKER, SelfTrade.EXPIRE_BOTH):
        assert exchange.place(TAKER, BUY, 101, 8, tif=FOK, self_trade=mode).code == "fokUnfilled"
    assert exchange.place(TAKER, BUY, 101, 8, tif=FOK).status == "filled"
    ended = [update for update in exchange.of(OrderUpdate) if update.order_hash == own.order_hash]
    assert [(update.status, update.code) for update in ended] == [("canceled", "selfTrade")]
    exchange.place(MAKER, SELL, 100, 4)
    exchange.place(TAKER, SELL, 101, 4)
    assert exchange.place(TAKER, BUY, 101, 4, tif=FOK, self_trade=SelfTrade.EXPIRE_TAKER).status == "filled"


@pytest.mark.parametrize(
    ("mode", "status", "filled", "code", "asks"),
    [
        (SelfTrade.EXPIRE_MAKER, "partiallyFilled", 8, "", []),
        (SelfTrade.EXPIRE_TAKER, "canceled", 4, "selfTrade", [(101, 4), (102, 4)]),
        (SelfTrade.EXPIRE_BOTH, "canceled", 4, "selfTrade", [(102, 4)]),
    ],
)
def test_self_trade(
    exchange: Exchange, mode: SelfTrade, status: str, filled: int, code: str, asks: list[tuple[int, int]]
) -> None:
    exchange.place(MAKER, SELL, 100, 4)
    exchange.place(TAKER, SELL, 101, 4)
    exchange.place(MAKER, SELL, 102, 4)
    result = exchange.place(TAKER, BUY, 110, 10, self_trade=mode)
    assert (result.status, result.filled, result.code) == (status, filled, code)
    assert exchange.depth(SELL) == asks
    assert all(trade.maker != trade.taker for trade in exchange.trades())


def test_post_only_rests_or_is_rejected(exchange: Exchange) -> None:
    exchange.place(MAKER, SELL, 100, 4)
    rejected = exchange.place(TAKER, BUY, 100, 1, post_only=True)
    assert rejected.rejection is not None
    assert (rejected.rejection.code, rejected.rejection.param) == (Code.POST_ONLY_WOULD_CROSS, "postOnly")
    own = exchange.place(MAKER, BUY, 100, 1, post_only=True, self_trade=SelfTrade.EXPIRE_MAKER)
    assert own.status == "rejected", "one's own order stands in the way as well"
    assert exchange.depth(SELL) == [(100, 4)]
    assert exchange.place(TAKER, BUY, 99, 1, post_only=True).status == "open"


def test_insufficient_balance_rejects_whole(exchange: Exchange) -> None:
    exchange.place(MAKER, SELL, 100, 5_000)
    exchange.place(MAKER, SELL, 200, 5_000)
    result = exchange.place(TAKER, BUY, 200, 7_480)
    assert result.status == "rejected"
    assert exchange.depth(SELL) == [(100, 5_000), (200, 5_000)]
    # 5,000 * 1.005 + 2,475 * 2.01 = 9,999.75 USDC of 10,000
    assert exchange.place(TAKER, BUY, 200, 7_475).status == "filled"


def test_unsettled_proceeds_can_be_traded(exchange: Exchange) -> None:
    exchange.place(MAKER, BUY, 100, 9_000)
    exchange.place(TAKER, SELL, 100, 9_000)
    assert exchange.balance(TAKER, 0).available == 10**10 + 9_000 * 10**6 * 995 // 1_000
    assert exchange.place(TAKER, BUY, 100, 18_800).status == "open"


def test_dead_maker_is_never_matched(exchange: Exchange) -> None:
    dead = exchange.place(MAKER, SELL, 100, 4, tif=GTD, expiry=exchange.now_ms // 1000 + 1)
    alive = exchange.place(OTHER, SELL, 100, 4)
    exchange.now_ms += 1_000
    result = exchange.place(TAKER, BUY, 100, 8)
    assert (result.status, result.filled) == ("partiallyFilled", 4)
    assert [trade.maker_hash for trade in exchange.of(Trade)] == [alive.order_hash]
    first = exchange.of(OrderUpdate)[0]
    assert (first.order_hash, first.status, first.code) == (dead.order_hash, "expired", "expired")
    assert exchange.balance(MAKER, 7).reserved == 0


def test_dead_maker_does_not_stop_post_only(exchange: Exchange) -> None:
    exchange.place(MAKER, SELL, 100, 4, tif=GTD, expiry=exchange.now_ms // 1000 + 1)
    exchange.now_ms += 1_000
    assert exchange.place(TAKER, BUY, 100, 1, post_only=True).status == "open"
    assert exchange.depth(SELL) == []


def fill_book(exchange: Exchange, count: int) -> None:
    for _ in range(count):
        assert exchange.place(MAKER, SELL, 100, 1).status == "open"


def test_group_of_ioc_ends_at_256_makers(exchange: Exchange) -> None:
    fill_book(exchange, matching.MAX_GROUP + 1)
    assert exchange.place(TAKER, BUY, 100, matching.MAX_GROUP + 1, tif=FOK).code == "fokUnfilled"
    result = exchange.place(TAKER, BUY, 100, matching.MAX_GROUP + 5, tif=IOC)
    assert (result.filled, result.status, result.code) == (matching.MAX_GROUP, "canceled", "groupLimit")
    assert exchange.depth(SELL) == [(100, 1)]


def test_fok_of_exactly_256_makers_fills(exchange: Exchange) -> None:
    fill_book(exchange, matching.MAX_GROUP)
    assert exchange.place(TAKER, BUY, 100, matching.MAX_GROUP, tif=FOK).status == "filled"


def test_work_of_one_command_is_bounded(exchange: Exchange) -> None:
    fill_book(exchange, matching.MAX_FILLS + 1)
    result = exchange.place(TAKER, BUY, 100, matching.MAX_FILLS + 10)
    assert (result.filled, result.status, result.code) == (matching.MAX_FILLS, "canceled", "fillLimit")
    assert exchange.depth(BUY) == []
    assert exchange.depth(SELL) == [(100, 1)]


def test_makers_met_by_one_command_are_bounded(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "MAX_MET", 3)
    for _ in range(4):
        exchange.place(MAKER, SELL, 100, 1, tif=GTD, expiry=exchange.now_ms // 1000 + 1)
    exchange.place(OTHER, SELL, 100, 1)
    exchange.now_ms += 1_000
    assert exchange.place(TAKER, BUY, 100, 1, post_only=True).status == "rejected"
    result = exchange.place(TAKER, BUY, 100, 1)
    assert (result.status, result.code) == ("canceled", "fillLimit")
    assert exchange.depth(SELL) == [(100, 2)], "those that were met are gone"
    assert exchange.place(TAKER, BUY, 100, 1).status == "filled"


def test_reservation_and_fees_of_an_odd_price(exchange: Exchange) -> None:
    """1,000,007 micro-USDC per lot: half a per cent is 5,000.035 of a lot and 15,000.105 of three."""
    exchange.place(MAKER, BUY, 100, 3, extra=7, market=2)
    assert exchange.balance(MAKER, 0).reserved == 3 * 1_000_007 + 15_001
    exchange.place(TAKER, SELL, 100, 1, extra=7, market=2)
    assert [(trade.maker_fee, trade.taker_fee) for trade in exchange.of(Trade)] == [(5_000, 5_000)]
    assert exchange.balance(MAKER, 0).reserved == 2 * 1_000_007 + 10_001
    assert exchange.balance(MAKER, 0).unsettled == -1_005_007
    assert exchange.balance(TAKER, 0).unsettled == 995_007
