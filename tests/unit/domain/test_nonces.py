"""Idempotency by order hash, sequences of a nonce key, and replacing an order."""

from __future__ import annotations

import pytest

from offchain.domain import nonces
from offchain.domain.errors import Code
from offchain.domain.events import BalanceUpdate, CommandRefused, OrderUpdate, Trade
from offchain.domain.order import LAST_SEQUENCE
from offchain.domain.results import PlaceResult
from tests.utils.exchange import BUY, FOK, IOC, MAKER, OTHER, SELL, TAKER, TICK, Exchange


def code_of(result: PlaceResult) -> str:
    assert result.rejection is not None
    return result.rejection.code


def answer(result: PlaceResult) -> tuple[object, ...]:
    """What the submitter is told about the order itself."""
    return result.order_hash, result.status, result.quantity, result.filled, result.fills, result.rejection, result.code


def test_same_order_again_gets_the_first_answer(exchange: Exchange) -> None:
    exchange.place(MAKER, SELL, 100, 4)
    command = exchange.command(exchange.order(TAKER, BUY, 100, 6))
    first = exchange.run(command)
    exchange.place(OTHER, SELL, 100, 2)
    snapshot = exchange.core.snapshot()
    again = exchange.run(command)
    assert isinstance(first, PlaceResult)
    assert isinstance(again, PlaceResult)
    assert answer(again) == answer(first)
    assert (first.repeated, again.repeated) == (False, True)
    (event,) = exchange.events
    assert isinstance(event, CommandRefused)
    assert event.rejection.code == Code.REPEATED
    assert exchange.core.snapshot() == snapshot


def test_rejection_is_remembered(exchange: Exchange) -> None:
    command = exchange.command(exchange.order(MAKER, BUY, 100, 20_000))
    first = exchange.run(command)
    exchange.deposit(MAKER, 0, 10**12)
    again = exchange.run(command)
    assert isinstance(first, PlaceResult)
    assert isinstance(again, PlaceResult)
    assert code_of(first) == Code.INSUFFICIENT_BALANCE
    assert answer(again) == answer(first)
    assert exchange.core.open_orders(MAKER) == []


def test_same_sequence_with_other_contents_is_refused(exchange: Exchange) -> None:
    first = exchange.place(MAKER, BUY, 100, 1, key=5, sequence=3)
    for price in (99, 98):
        assert code_of(exchange.place(MAKER, BUY, price, 1, key=5, sequence=3)) == Code.NONCE_REUSED
        assert [type(event) for event in exchange.events] == [CommandRefused]
    assert [live.order_hash for live in exchange.core.open_orders(MAKER)] == [first.order_hash]


def test_lower_sequence_is_stale(exchange: Exchange) -> None:
    old = exchange.command(exchange.order(MAKER, BUY, 100, 1, key=5, sequence=3))
    exchange.run(old)
    exchange.place(MAKER, BUY, 100, 1, key=5, sequence=4)
    result = exchange.run(old)
    assert isinstance(result, PlaceResult)
    assert code_of(result) == Code.STALE_NONCE
    assert exchange.depth(BUY) == [(100, 1)]


def test_key_zero_is_a_key_like_others(exchange: Exchange) -> None:
    assert exchange.place(MAKER, BUY, 100, 1, key=0, sequence=0).status == "open"
    assert code_of(exchange.place(MAKER, BUY, 99, 1, key=0, sequence=0)) == Code.NONCE_REUSED
    assert exchange.place(MAKER, BUY, 99, 1, key=0, sequence=1).status == "open"
    assert exchange.depth(BUY) == [(99, 1)]


def test_next_sequence_of_an_ended_ioc_is_free(exchange: Exchange) -> None:
    exchange.place(MAKER, SELL, 100, 1)
    assert exchange.place(TAKER, BUY, 100, 2, tif=IOC, key=5, sequence=8).filled == 1
    assert exchange.place(TAKER, BUY, 100, 2, key=5, sequence=9).status == "open"


def test_last_sequence_is_rejected_without_closing_the_key(exchange: Exchange) -> None:
    assert code_of(exchange.place(MAKER, BUY, 100, 1, key=5, sequence=LAST_SEQUENCE)) == Code.INVALID_NONCE
    assert exchange.place(MAKER, BUY, 100, 1, key=5, sequence=1).status == "open"


# Replacing


def test_replacement_ends_the_older_order(exchange: Exchange) -> None:
    old = exchange.place(MAKER, BUY, 100, 5, key=5)
    new = exchange.place(MAKER, BUY, 101, 3, key=5, sequence=2)
    ended, placed = exchange.of(OrderUpdate)
    assert (ended.order_hash, ended.status, ended.code, ended.depth_change) == (
        old.order_hash, "canceled", "replaced", -5,
    )  # fmt: skip
    assert (placed.order_hash, placed.status, placed.depth_change) == (new.order_hash, "open", 3)
    assert exchange.depth(BUY) == [(101, 3)]
    assert exchange.balance(MAKER, 0).reserved == 3 * 101 * TICK * 1_005 // 1_000


def test_same_price_and_not_more_keeps_the_place(exchange: Exchange) -> None:
    exchange.place(MAKER, SELL, 100, 5, key=5)
    exchange.place(OTHER, SELL, 100, 5)
    exchange.place(TAKER, BUY, 100, 1)
    new = exchange.place(MAKER, SELL, 100, 4, key=5, sequence=2)
    assert exchange.depth(SELL) == [(100, 9)]
    exchange.place(TAKER, BUY, 100, 1)
    assert [trade.maker_hash for trade in exchange.of(Trade)] == [new.order_hash]
    assert exchange.of(Trade)[0].maker_filled_before == 0, "the new order starts unfilled"


def test_more_or_another_price_goes_to_the_end(exchange: Exchange) -> None:
    exchange.place(MAKER, SELL, 100, 5, key=5)
    other = exchange.place(OTHER, SELL, 100, 5)
    exchange.place(MAKER, SELL, 100, 6, key=5, sequence=2)
    exchange.place(TAKER, BUY, 100, 1)
    assert exchange.of(Trade)[0].maker_hash == other.order_hash
    exchange.place(MAKER, SELL, 99, 6, key=5, sequence=3)
    exchange.place(MAKER, SELL, 100, 1, key=5, sequence=4)
    exchange.place(TAKER, BUY, 100, 1)
    assert exchange.of(Trade)[0].maker_hash == other.order_hash


def test_more_than_what_is_left_goes_to_the_end(exchange: Exchange) -> None:
    exchange.place(MAKER, SELL, 100, 5, key=5)
    other = exchange.place(OTHER, SELL, 100, 5)
    exchange.place(TAKER, BUY, 100, 1)
    exchange.place(MAKER, SELL, 100, 5, key=5, sequence=2)
    exchange.place(TAKER, BUY, 100, 1)
    assert exchange.of(Trade)[0].maker_hash == other.order_hash


def test_replacement_may_use_the_older_reservation(exchange: Exchange) -> None:
    exchange.place(MAKER, BUY, 100, 9_000, key=5)
    assert exchange.place(MAKER, BUY, 101, 9_000, key=6).status == "rejected"
    assert exchange.place(MAKER, BUY, 101, 9_000, key=5, sequence=2).status == "open"


def test_older_order_is_never_the_counterparty(exchange: Exchange) -> None:
    exchange.place(MAKER, SELL, 100, 5, key=5)
    result = exchange.place(MAKER, BUY, 100, 5, key=5, sequence=2, post_only=True)
    assert result.status == "open"
    assert exchange.depth(SELL) == []
    assert exchange.balance(MAKER, 7).reserved == 0


def test_rejected_replacement_leaves_the_older_order_working(exchange: Exchange) -> None:
    old = exchange.place(MAKER, BUY, 100, 5, key=5)
    assert exchange.place(MAKER, BUY, 100, 50_000, key=5, sequence=2).status == "rejected"
    assert exchange.depth(BUY) == [(100, 5)]
    exchange.place(TAKER, SELL, 100, 1)
    assert exchange.of(Trade)[0].maker_hash == old.order_hash
    assert code_of(exchange.place(MAKER, BUY, 100, 2, key=5, sequence=2)) == Code.NONCE_REUSED
    assert exchange.place(MAKER, BUY, 100, 2, key=5, sequence=3).status == "open"
    assert exchange.depth(BUY) == [(100, 2)]


def test_expect_filled(exchange: Exchange) -> None:
    exchange.place(MAKER, BUY, 100, 5, key=5)
    exchange.place(TAKER, SELL, 100, 2)
    result = exchange.place(MAKER, BUY, 101, 5, key=5, sequence=2, expect_filled=1)
    assert result.rejection is not None
    assert (result.rejection.code, result.rejection.param) == (Code.EXPECT_FILLED_MISMATCH, "expectFilled")
    assert exchange.depth(BUY) == [(100, 3)]
    assert exchange.place(MAKER, BUY, 101, 5, key=5, sequence=3, expect_filled=2).status == "open"


def test_expect_filled_refuses_when_the_older_order_has_ended(exchange: Exchange) -> None:
    exchange.place(MAKER, BUY, 100, 2, key=5)
    exchange.place(TAKER, SELL, 100, 2)
    result = exchange.place(MAKER, BUY, 100, 2, key=5, sequence=2, expect_filled=2)
    assert code_of(result) == Code.EXPECT_FILLED_MISMATCH


def test_killed_fok_replaces_all_the_same(exchange: Exchange) -> None:
    """It was accepted, so its sequence stands and the older order of the key is gone."""
    exchange.place(MAKER, BUY, 100, 2, key=5)
    assert exchange.place(MAKER, BUY, 100, 2, key=5, sequence=2, tif=FOK).code == "fokUnfilled"
    assert exchange.depth(BUY) == []


def test_replacement_that_only_takes(exchange: Exchange) -> None:
    exchange.place(MAKER, BUY, 100, 5, key=5)
    exchange.place(OTHER, SELL, 101, 2)
    result = exchange.place(MAKER, BUY, 101, 2, key=5, sequence=2)
    assert result.status == "filled"
    assert exchange.depth(BUY) == []
    touched = {(event.account, event.asset) for event in exchange.of(BalanceUpdate)}
    assert (MAKER, 0) in touched
    assert exchange.balance(MAKER, 0).reserved == 0


def test_account_without_a_deposit_leaves_no_trace(exchange: Exchange) -> None:
    snapshot = exchange.core.snapshot()
    stranger = b"\x77" * 20
    for key in (1, 2):
        result = exchange.place(stranger, BUY, 100, 1, key=key)
        assert code_of(result) == Code.INSUFFICIENT_BALANCE
    assert exchange.core.snapshot() == snapshot


def test_number_of_nonce_keys_is_bounded(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nonces, "MAX_NONCE_KEYS", 2)
    for key in (1, 2):
        assert exchange.place(MAKER, SELL, 100, 1, key=key).rejection is None
    assert code_of(exchange.place(MAKER, SELL, 100, 1, key=3)) == Code.TOO_MANY_NONCE_KEYS
    assert exchange.place(MAKER, SELL, 100, 1, key=2, sequence=9).rejection is None
