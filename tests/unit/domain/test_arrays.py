"""Orders that are signed together."""

from __future__ import annotations

from offchain.domain.commands import MarketCreated, PlaceArray, PlaceOrder
from offchain.domain.events import BalanceUpdate
from offchain.domain.results import ArrayResult, PlaceResult
from tests.utils.exchange import BUY, MAKER, PERP, SELL, TAKER, USDC, Exchange


def place_array(exchange: Exchange, *commands: PlaceOrder) -> list[PlaceResult]:
    result = exchange.run(PlaceArray(list(commands)))
    assert isinstance(result, ArrayResult)
    return result.results


def quote(exchange: Exchange, side: int, price: int, quantity: int, **how: object) -> PlaceOrder:
    return exchange.command(exchange.order(MAKER, side, price, quantity, **how))  # type: ignore[arg-type]


def test_each_order_is_decided_on_by_itself(exchange: Exchange) -> None:
    first, hopeless, last = quote(exchange, BUY, 99, 5), quote(exchange, BUY, 98, 10**6), quote(exchange, SELL, 101, 5)
    results = place_array(exchange, first, hopeless, last)
    assert [one.status for one in results] == ["open", "rejected", "open"]
    assert results[1].rejection is not None
    assert results[1].rejection.code == "insufficientBalance"
    assert [live.order_hash for live in exchange.core.open_orders(MAKER)] == [first.order_hash, last.order_hash]


def test_orders_of_an_array_spend_the_same_balance_once(exchange: Exchange) -> None:
    """Each fits by itself, both do not."""
    free = exchange.balance(MAKER, USDC).available
    lots = free * 2 // 3 // (100 * exchange.order(MAKER, BUY, 1, 1).price)
    results = place_array(exchange, quote(exchange, BUY, 100, lots), quote(exchange, BUY, 100, lots))
    assert [one.status for one in results] == ["open", "rejected"]


def test_quotes_replace_those_of_their_keys(exchange: Exchange) -> None:
    place_array(exchange, quote(exchange, BUY, 99, 5, key=1), quote(exchange, SELL, 101, 5, key=2))
    place_array(
        exchange,
        quote(exchange, BUY, 98, 5, key=1, sequence=2),
        quote(exchange, SELL, 102, 5, key=2, sequence=2),
    )
    assert [(live.order.side, live.order.sequence) for live in exchange.core.open_orders(MAKER)] == [
        (BUY, 2),
        (SELL, 2),
    ]


def test_the_same_array_again_gets_the_same_answers(exchange: Exchange) -> None:
    exchange.place(TAKER, SELL, 100, 2)
    commands = [quote(exchange, BUY, 100, 5), quote(exchange, BUY, 99, 10**6)]
    first = place_array(exchange, *commands)
    again = place_array(exchange, *commands)
    assert [one.repeated for one in again] == [True, True]
    assert [(one.status, one.filled, one.fills, one.rejection) for one in again] == [
        (one.status, one.filled, one.fills, one.rejection) for one in first
    ]


def test_a_balance_is_told_once(exchange: Exchange) -> None:
    place_array(exchange, *(quote(exchange, BUY, 90 + step, 1) for step in range(10)))
    assert len(exchange.of(BalanceUpdate)) == 1


def test_what_one_order_shrinks_the_next_does_not_meet(exchange: Exchange) -> None:
    """The first closes the taker's long position, so that its reduce-only sell ends before the second could meet it."""
    exchange.mine(MarketCreated(PERP))
    exchange.tell_index()
    exchange.place(MAKER, SELL, 100, 5, market=PERP.id)
    exchange.place(TAKER, BUY, 100, 5, market=PERP.id)
    exchange.place(MAKER, BUY, 99, 5, market=PERP.id)
    resting = exchange.place(TAKER, SELL, 101, 5, market=PERP.id, reduce_only=True)
    assert resting.status == "open"
    closing = exchange.command(exchange.order(TAKER, SELL, 99, 5, market=PERP.id))
    opening = exchange.command(exchange.order(TAKER, SELL, 103, 5, market=PERP.id, reduce_only=True))
    results = place_array(exchange, closing, opening)
    assert [one.status for one in results] == ["filled", "rejected"]
    assert exchange.core.open_orders(TAKER) == []
