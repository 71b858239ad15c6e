"""Busting: which fills go, and what goes with them."""

from __future__ import annotations

from offchain.domain.commands import BatchClosed, Bust
from offchain.domain.errors import Code, Rejection
from offchain.domain.events import BatchUpdate, CommandRefused, OrderUpdate, TradeBusted
from offchain.domain.results import Done
from tests.utils.exchange import BTC, BUY, ENGINE, FOK, IOC, MAKER, OTHER, SELL, TAKER, USDC, Exchange


def busted(exchange: Exchange) -> list[int]:
    return [event.item for event in exchange.of(TradeBusted)]


def test_named_fill_is_as_if_it_had_not_happened(exchange: Exchange) -> None:
    before = {a: exchange.core.balances(a) for a in (MAKER, TAKER)}
    maker = exchange.place(MAKER, BUY, 100, 10)
    taker = exchange.place(TAKER, SELL, 100, 10)
    assert exchange.run(Bust([exchange.trades()[0].id], "StaleNonce")) == Done()
    (event,) = exchange.of(TradeBusted)
    assert (event.item, event.id, event.reason) == (1, exchange.trades()[0].id, "StaleNonce")
    assert {a: exchange.core.balances(a) for a in (MAKER, TAKER)} == before
    assert exchange.balance(ENGINE, USDC).unsettled == 0
    assert [(u.order_hash, u.status, u.filled, u.code) for u in exchange.of(OrderUpdate)] == [
        (maker.order_hash, "canceled", 0, "busted"),
        (taker.order_hash, "canceled", 0, "busted"),
    ]
    assert exchange.core.status().unsettled_fills == 0


def test_unknown_fill_is_refused_and_nothing_happens(exchange: Exchange) -> None:
    exchange.place(MAKER, BUY, 100, 10)
    exchange.place(TAKER, SELL, 100, 10)
    for ids in ([b"\x01" * 32], [exchange.trades()[0].id, b"\x01" * 32], []):
        result = exchange.run(Bust(ids, ""))
        assert isinstance(result, Rejection)
        assert (result.code, result.param) == (Code.UNKNOWN_FILL, "fillIds")
        assert [type(event) for event in exchange.events] == [CommandRefused]
    assert exchange.core.status().unsettled_fills == 1


def test_settled_fill_cannot_be_busted(exchange: Exchange) -> None:
    exchange.place(MAKER, BUY, 100, 10)
    exchange.place(TAKER, SELL, 100, 10)
    exchange.mine(exchange.batch_settled(1, exchange.trades()))
    assert isinstance(exchange.run(Bust([exchange.trades()[0].id], "")), Rejection)


def test_later_fills_of_the_same_orders_go_too(exchange: Exchange) -> None:
    resting = exchange.place(MAKER, BUY, 100, 30)
    for account in (TAKER, OTHER, TAKER):
        exchange.place(account, SELL, 100, 5)
    exchange.place(OTHER, BUY, 90, 1)
    exchange.place(TAKER, SELL, 90, 1, tif=IOC)
    assert len(exchange.trades()) == 4
    exchange.run(Bust([exchange.trades()[1].id], "bad"))
    assert busted(exchange) == [2, 3, 4]
    update = exchange.of(OrderUpdate)[0]
    assert (update.order_hash, update.status, update.filled, update.depth_change) == (
        resting.order_hash, "canceled", 5, -14,
    )  # fmt: skip
    assert exchange.depth(BUY) == [(90, 1)]


def test_fill_that_no_longer_applies_goes_too(exchange: Exchange) -> None:
    """OTHER could only buy with what the busted fill brought."""
    exchange.place(MAKER, BUY, 100, 9_000)
    exchange.place(OTHER, SELL, 100, 9_000)
    exchange.place(OTHER, BUY, 100, 15_000)
    exchange.place(TAKER, SELL, 100, 9_990)
    exchange.place(OTHER, BUY, 50, 5)
    exchange.run(Bust([exchange.trades()[0].id], "bad"))
    assert busted(exchange) == [1, 2]
    assert exchange.balance(OTHER, USDC).settled == 10**10
    assert exchange.balance(OTHER, USDC).unsettled == 0


def test_fill_that_still_applies_stays(exchange: Exchange) -> None:
    exchange.place(MAKER, BUY, 100, 1_000)
    exchange.place(OTHER, SELL, 100, 1_000)
    exchange.place(OTHER, BUY, 100, 1_000)
    exchange.place(TAKER, SELL, 100, 1_000)
    exchange.run(Bust([exchange.trades()[0].id], "bad"))
    assert busted(exchange) == [1]
    assert exchange.balance(OTHER, BTC).unsettled == 1_000 * 10_000


def test_release_between_the_fills_takes_its_part(exchange: Exchange) -> None:
    """Once the sale is gone, the withdrawal that is paid first leaves nothing for the purchase."""
    exchange.place(MAKER, BUY, 100, 9_000)
    exchange.place(OTHER, SELL, 100, 9_000)
    exchange.mine(exchange.requested(OTHER, USDC, 10**10))
    exchange.place(OTHER, BUY, 100, 8_000)
    exchange.place(TAKER, SELL, 100, 8_000)
    exchange.run(Bust([exchange.trades()[0].id], "bad"))
    assert busted(exchange) == [1, 3]
    assert exchange.balance(OTHER, USDC).unsettled == 0


def test_fok_group_stands_or_falls_together(exchange: Exchange) -> None:
    exchange.place(MAKER, BUY, 101, 10)
    second = exchange.place(OTHER, BUY, 100, 20)
    exchange.place(TAKER, SELL, 100, 20, tif=FOK)
    assert len(exchange.trades()) == 2
    exchange.run(Bust([exchange.trades()[1].id], "bad"))
    assert busted(exchange) == [1, 2], "half of a FOK order cannot settle"
    assert exchange.depth(BUY) == []
    assert second.order_hash in {update.order_hash for update in exchange.of(OrderUpdate)}


def test_ioc_group_keeps_its_earlier_fills(exchange: Exchange) -> None:
    exchange.place(MAKER, BUY, 101, 10)
    exchange.place(OTHER, BUY, 100, 20)
    taker = exchange.place(TAKER, SELL, 100, 20, tif=IOC)
    exchange.run(Bust([exchange.trades()[1].id], "bad"))
    assert busted(exchange) == [2]
    updates = {update.order_hash: update for update in exchange.of(OrderUpdate)}
    assert updates[taker.order_hash].filled == 10


def test_reservations_that_no_longer_fit_go_newest_first(exchange: Exchange) -> None:
    exchange.place(MAKER, BUY, 100, 9_000)
    exchange.place(OTHER, SELL, 100, 9_000)
    kept = exchange.place(OTHER, BUY, 99, 9_000)
    gone = exchange.place(OTHER, BUY, 98, 9_000)
    exchange.run(Bust([exchange.trades()[0].id], "bad"))
    updates = {update.order_hash: update for update in exchange.of(OrderUpdate)}
    assert updates[gone.order_hash].code == "busted"
    assert [live.order_hash for live in exchange.core.open_orders(OTHER)] == [kept.order_hash]


def test_closed_batch_with_a_busted_fill_is_reopened(exchange: Exchange) -> None:
    for _ in range(3):
        exchange.place(MAKER, BUY, 100, 10)
        exchange.place(TAKER, SELL, 100, 10)
    exchange.run(BatchClosed(1, 1, 2, 100))
    exchange.run(Bust([exchange.trades()[2].id], "later"))
    assert exchange.of(BatchUpdate) == []
    exchange.run(Bust([exchange.trades()[1].id], "bad"))
    assert [(u.number, u.status) for u in exchange.of(BatchUpdate)] == [(1, "reopened")]
    assert exchange.run(BatchClosed(1, 1, 1, 100)) == Done()


def test_answer_to_a_busted_order_stays_the_first_one(exchange: Exchange) -> None:
    exchange.place(MAKER, BUY, 100, 10)
    command = exchange.command(exchange.order(TAKER, SELL, 100, 10))
    first = exchange.run(command)
    exchange.run(Bust([exchange.trades()[0].id], "bad"))
    again = exchange.run(command)
    assert (again.status, again.fills) == (first.status, first.fills)  # type: ignore[union-attr]
