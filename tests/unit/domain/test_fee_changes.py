"""Scheduled changes of the fee: orders follow them, and what is matched pays the fee of its time."""

from __future__ import annotations

import pytest

from offchain.domain.account import reservation_up
from offchain.domain.commands import BatchClosed, FeeScheduled, Tick
from offchain.domain.core import Core
from offchain.domain.errors import Code, Rejection
from offchain.domain.events import FeeUpdate, OrderUpdate, TradeBusted
from offchain.domain.fees import FeeSchedule
from offchain.domain.results import Done
from tests.utils.exchange import BUY, IOC, LOT, MAKER, OTHER, SELL, START_MS, TAKER, TICK, USDC, Exchange

NOW = START_MS // 1000
AT = NOW + 60


@pytest.fixture
def cheap(exchange: Exchange) -> Exchange:
    """The fee is 10 bps."""
    exchange.mine(FeeScheduled(10, NOW))
    exchange.run(Tick())
    assert exchange.core.fee_bps == 10
    return exchange


def test_the_schedule_is_the_engines() -> None:
    fees = FeeSchedule(50, 50)
    assert [fees.fee_at(second) for second in (0, 10**10)] == [50, 50]
    fees = fees.change(30, 100, 10)
    assert [fees.fee_at(second) for second in (99, 100)] == [50, 30]
    assert fees.change(20, 200, 99) == FeeSchedule(50, 20, 200), "a change that has not begun is replaced"
    assert fees.change(20, 200, 100) == FeeSchedule(30, 20, 200)


def test_the_fee_changes_at_its_time(exchange: Exchange) -> None:
    exchange.mine(FeeScheduled(10, AT))
    assert exchange.of(FeeUpdate) == [FeeUpdate(50, FeeSchedule(50, 10, AT))]
    exchange.place(MAKER, BUY, 100, 1_000)
    assert exchange.core.next_due_ms == AT * 1000
    exchange.now_ms = AT * 1000 - 1
    exchange.place(TAKER, SELL, 100, 200)
    exchange.now_ms = AT * 1000
    exchange.place(TAKER, SELL, 100, 200)
    notional = 100 * TICK * 200
    assert [(t.maker_fee, t.taker_fee) for t in exchange.trades()] == [
        (notional * bps // 10_000, notional * bps // 10_000) for bps in (50, 10)
    ]
    assert exchange.core.next_due_ms is None


def test_reservations_follow_the_fee(exchange: Exchange) -> None:
    exchange.mine(FeeScheduled(10, AT))
    exchange.place(MAKER, BUY, 100, 7)
    before = exchange.balance(MAKER, USDC).reserved
    exchange.now_ms = AT * 1000
    exchange.run(Tick())
    assert exchange.of(FeeUpdate) == [FeeUpdate(10, FeeSchedule(50, 10, AT))]
    after = exchange.balance(MAKER, USDC).reserved
    assert (before, after) == tuple(reservation_up(BUY, 100 * TICK, 7, LOT, bps) for bps in (50, 10))
    assert [balance.reserved for balance in exchange.events if getattr(balance, "asset", None) == USDC] == [after]


def test_orders_that_accept_less_are_canceled(cheap: Exchange) -> None:
    low = cheap.place(MAKER, BUY, 100, 5, max_fee_bps=19)
    cheap.place(MAKER, BUY, 100, 5, max_fee_bps=20)
    cheap.mine(FeeScheduled(20, AT))
    assert len(cheap.core.open_orders(MAKER)) == 2
    cheap.now_ms = AT * 1000
    cheap.run(Tick())
    assert [(u.order_hash, u.status, u.code) for u in cheap.of(OrderUpdate)] == [
        (low.order_hash, "canceled", "feeAboveCap")
    ]
    rejection = cheap.place(MAKER, BUY, 100, 5, max_fee_bps=19).rejection
    assert rejection is not None
    assert rejection.code == Code.FEE_ABOVE_CAP


def test_no_taker_meets_an_order_that_accepts_less(cheap: Exchange) -> None:
    cheap.place(MAKER, BUY, 100, 5, max_fee_bps=19)
    cheap.mine(FeeScheduled(20, AT))
    cheap.now_ms = AT * 1000
    assert cheap.place(TAKER, SELL, 100, 5, tif=IOC).filled == 0


def test_orders_that_no_longer_fit_are_canceled_newest_first(cheap: Exchange) -> None:
    cheap.mine(FeeScheduled(50, AT))
    first = cheap.place(MAKER, BUY, 100, 4_000)
    newest = cheap.place(MAKER, BUY, 99, 6_040)
    assert newest.status == "open"
    cheap.now_ms = AT * 1000
    cheap.run(Tick())
    assert [(u.order_hash, u.code) for u in cheap.of(OrderUpdate)] == [(newest.order_hash, "feeChange")]
    assert [live.order_hash for live in cheap.core.open_orders(MAKER)] == [first.order_hash]


def test_a_batch_is_dated_within_the_fee_of_its_fills(exchange: Exchange) -> None:
    exchange.mine(FeeScheduled(10, AT))
    exchange.place(MAKER, BUY, 100, 1_000)
    exchange.place(TAKER, SELL, 100, 200)
    exchange.now_ms = AT * 1000
    exchange.place(TAKER, SELL, 100, 200)

    def close(first: int, last: int, matched_at: int, number: int = 1) -> str:
        result = exchange.run(BatchClosed(number, first, last, matched_at))
        return result.code if isinstance(result, Rejection) else ""

    assert close(1, 2, AT - 1) == close(1, 2, AT) == Code.INVALID_BATCH
    assert close(1, 1, AT) == Code.INVALID_BATCH
    assert close(1, 1, AT - 1) == ""
    exchange.mine(exchange.batch_settled(1, exchange.trades()[:1]))
    assert close(2, 2, AT - 1, number=2) == Code.INVALID_BATCH
    assert close(2, 2, AT, number=2) == ""


def test_schedule_that_is_gone_has_no_effect(exchange: Exchange) -> None:
    number, _ = exchange.head
    exchange.mine(FeeScheduled(10, AT))
    exchange.roll_back(number)
    assert exchange.of(FeeUpdate) == [FeeUpdate(50, FeeSchedule(50, 50))]
    exchange.now_ms = AT * 1000
    exchange.run(Tick())
    assert exchange.core.fee_bps == 50


def test_fills_of_a_fee_that_is_gone_are_dropped(exchange: Exchange) -> None:
    number, _ = exchange.head
    exchange.mine(FeeScheduled(10, AT))
    exchange.place(MAKER, BUY, 100, 400)
    exchange.place(OTHER, BUY, 90, 400)
    exchange.place(TAKER, SELL, 100, 200)
    exchange.now_ms = AT * 1000
    exchange.place(TAKER, SELL, 90, 300)
    assert [trade.quantity for trade in exchange.trades()] == [200, 200, 100]
    exchange.roll_back(number)
    assert [event.item for event in exchange.of(TradeBusted)] == [2, 3]
    exchange.run(Tick())
    assert exchange.core.fee_bps == 50
    assert exchange.run(BatchClosed(1, 1, 1, AT)) == Done()


def test_restored_core_knows_the_schedule(exchange: Exchange) -> None:
    exchange.mine(FeeScheduled(10, AT))
    exchange.place(MAKER, BUY, 100, 5)
    restored = Core.restore(exchange.core.snapshot())
    assert (restored.fee_bps, restored.fees) == (50, FeeSchedule(50, 10, AT))
    exchange.now_ms = AT * 1000
    exchange.run(Tick())
    assert restored.execute(Tick(), exchange.now_ms)[1] == exchange.events
    assert restored.snapshot() == exchange.core.snapshot()
