"""Cancels of nonce keys that a trader makes on chain: nothing that they end may be matched any more."""

from __future__ import annotations

import msgspec
import pytest

from offchain.domain.commands import CancelApplied, CancelRequested, ChainLog, MarketCreated
from offchain.domain.errors import Code
from offchain.domain.events import OrderUpdate
from offchain.domain.results import PlaceResult
from tests.utils.exchange import BTC, BTC_USDC, BUY, ETH, MAKER, OTHER, SELL, TAKER, Exchange


def code_of(result: PlaceResult) -> str:
    return result.rejection.code if result.rejection is not None else ""


@pytest.mark.parametrize("kind", [CancelRequested, CancelApplied])
def test_open_order_of_the_key_is_canceled_at_once(exchange: Exchange, kind: type) -> None:
    placed = exchange.place(MAKER, BUY, 100, 5, key=3, sequence=7)
    kept = exchange.place(MAKER, BUY, 100, 5, key=4, sequence=7)
    exchange.mine(kind(MAKER, BTC, 3, 7))
    assert [(u.order_hash, u.status, u.code) for u in exchange.of(OrderUpdate)] == [
        (placed.order_hash, "canceled", "canceledOnChain")
    ]
    assert [live.order_hash for live in exchange.core.open_orders(MAKER)] == [kept.order_hash]
    assert exchange.place(TAKER, SELL, 100, 9).filled == 5


@pytest.mark.parametrize(
    "log",
    [CancelRequested(MAKER, BTC, 3, 6), CancelRequested(MAKER, ETH, 3, 7), CancelRequested(OTHER, BTC, 3, 7)],
    ids=["lower sequence", "other instrument", "other account"],
)
def test_other_orders_go_on(exchange: Exchange, log: ChainLog) -> None:
    exchange.place(MAKER, BUY, 100, 5, key=3, sequence=7)
    exchange.mine(log)
    assert exchange.of(OrderUpdate) == []
    assert exchange.place(TAKER, SELL, 100, 5).filled == 5


def test_ended_sequences_are_refused_and_not_remembered(exchange: Exchange) -> None:
    exchange.mine(CancelRequested(MAKER, BTC, 3, 7))
    snapshot = exchange.core.snapshot()
    assert code_of(exchange.place(MAKER, BUY, 100, 5, key=3, sequence=7)) == Code.STALE_NONCE
    assert exchange.of(OrderUpdate) == []
    assert exchange.core.snapshot() == snapshot
    assert exchange.place(MAKER, BUY, 100, 5, key=3, sequence=8).status == "open"


def test_key_of_another_instrument_is_free(exchange: Exchange) -> None:
    exchange.mine(CancelRequested(MAKER, BTC, 3, 7))
    assert exchange.place(MAKER, BUY, 100, 5, key=3, sequence=1, market=2).status == "open"


def test_a_market_of_the_same_instrument_is_concerned(exchange: Exchange) -> None:
    exchange.mine(MarketCreated(msgspec.structs.replace(BTC_USDC, id=9, symbol="BTC-2")))
    exchange.place(MAKER, BUY, 100, 5, key=3, sequence=7, market=9)
    exchange.mine(CancelRequested(MAKER, BTC, 3, 7))
    assert exchange.core.open_orders(MAKER) == []


def test_lower_request_does_not_revive(exchange: Exchange) -> None:
    exchange.mine(CancelRequested(MAKER, BTC, 3, 7), CancelRequested(MAKER, BTC, 3, 2))
    assert code_of(exchange.place(MAKER, BUY, 100, 5, key=3, sequence=5)) == Code.STALE_NONCE


def test_the_same_order_again_gets_its_first_answer(exchange: Exchange) -> None:
    command = exchange.command(exchange.order(MAKER, BUY, 100, 5, key=3, sequence=7))
    exchange.run(command)
    exchange.mine(CancelRequested(MAKER, BTC, 3, 7))
    again = exchange.run(command)
    assert isinstance(again, PlaceResult)
    assert (again.status, again.repeated) == ("open", True)


def test_request_that_is_gone_ends_nothing_more(exchange: Exchange) -> None:
    exchange.mine(CancelRequested(MAKER, BTC, 3, 2))
    number, _ = exchange.head
    before = exchange.core.snapshot()
    exchange.mine(CancelRequested(MAKER, BTC, 3, 7), CancelRequested(MAKER, BTC, 5, 1))
    exchange.roll_back(number)
    assert exchange.core.snapshot() == before
    assert exchange.place(MAKER, BUY, 100, 5, key=3, sequence=7).status == "open"
    assert exchange.place(MAKER, BUY, 100, 5, key=5, sequence=1).status == "open"
    assert code_of(exchange.place(MAKER, BUY, 100, 5, key=3, sequence=2)) == Code.STALE_NONCE
