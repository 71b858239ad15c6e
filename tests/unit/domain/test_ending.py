"""Cancels and expiry."""

from __future__ import annotations

import pytest

from offchain.domain import ending
from offchain.domain.commands import SetStatus, Tick
from offchain.domain.errors import Code, Rejection
from offchain.domain.events import CommandRefused, OrderUpdate, Ticked
from offchain.domain.results import CancelResult
from tests.utils.exchange import BUY, GTD, MAKER, SELL, TAKER, Exchange


def refusal(result: object) -> str:
    assert isinstance(result, Rejection)
    return result.code


def test_cancel_frees_the_reservation(exchange: Exchange) -> None:
    placed = exchange.place(MAKER, BUY, 100, 5)
    exchange.place(TAKER, SELL, 100, 2)
    result = exchange.cancel(MAKER, placed.order_hash)
    assert isinstance(result, CancelResult)
    assert (result.status, result.quantity, result.filled) == ("canceled", 5, 2)
    (update,) = exchange.of(OrderUpdate)
    assert (update.code, update.depth_change, update.filled) == ("user", -3, 2)
    assert exchange.depth(BUY) == []
    assert exchange.balance(MAKER, 0).reserved == 0
    assert exchange.core.open_orders(MAKER) == []


def test_cancel_of_what_is_not_open(exchange: Exchange) -> None:
    assert refusal(exchange.cancel(MAKER, b"\x05" * 32)) == Code.UNKNOWN_ORDER
    assert [type(event) for event in exchange.events] == [CommandRefused]
    placed = exchange.place(MAKER, BUY, 100, 5)
    assert refusal(exchange.cancel(TAKER, placed.order_hash)) == Code.NOT_OWNER
    exchange.place(TAKER, SELL, 100, 5)
    ended = exchange.cancel(MAKER, placed.order_hash)
    assert refusal(ended) == Code.ORDER_NOT_OPEN
    assert isinstance(ended, Rejection)
    assert "filled" in ended.detail
    assert refusal(exchange.cancel(TAKER, placed.order_hash)) == Code.NOT_OWNER


def test_cancel_twice(exchange: Exchange) -> None:
    placed = exchange.place(MAKER, BUY, 100, 5)
    exchange.cancel(MAKER, placed.order_hash)
    assert refusal(exchange.cancel(MAKER, placed.order_hash)) == Code.ORDER_NOT_OPEN


def test_cancel_works_in_a_halted_market(exchange: Exchange) -> None:
    placed = exchange.place(MAKER, BUY, 100, 5)
    exchange.run(SetStatus(1, True, "maintenance"))
    assert isinstance(exchange.cancel(MAKER, placed.order_hash), CancelResult)


def test_tick_ends_what_has_expired(exchange: Exchange) -> None:
    now = exchange.now_ms // 1000
    late = exchange.place(MAKER, BUY, 99, 5, tif=GTD, expiry=now + 2)
    early = exchange.place(MAKER, BUY, 100, 5, tif=GTD, expiry=now + 1)
    exchange.place(MAKER, BUY, 98, 5)
    assert exchange.core.next_due_ms == (now + 1) * 1000
    exchange.now_ms += 999
    exchange.run(Tick())
    assert exchange.events == [Ticked(0)]
    exchange.now_ms += 1
    exchange.run(Tick())
    assert [(u.order_hash, u.status, u.depth_change) for u in exchange.of(OrderUpdate)] == [
        (early.order_hash, "expired", -5)
    ]
    assert exchange.of(Ticked) == [Ticked(1)]
    assert exchange.core.next_due_ms == (now + 2) * 1000
    exchange.now_ms += 1_000
    exchange.run(Tick())
    assert [u.order_hash for u in exchange.of(OrderUpdate)] == [late.order_hash]
    assert exchange.core.next_due_ms is None
    assert exchange.depth(BUY) == [(98, 5)]


def test_tick_is_bounded(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "MAX_EXPIRED", 3)
    for _ in range(5):
        exchange.place(MAKER, BUY, 100, 1, tif=GTD, expiry=exchange.now_ms // 1000 + 1)
    exchange.now_ms += 5_000
    counts = []
    for _ in range(3):
        exchange.run(Tick())
        counts += [event.expired for event in exchange.of(Ticked)]
    assert counts == [3, 2, 0]


def test_canceled_orders_leave_no_expiry_behind(exchange: Exchange) -> None:
    for _ in range(10):
        placed = exchange.place(MAKER, BUY, 100, 1, tif=GTD)
        exchange.cancel(MAKER, placed.order_hash)
    assert exchange.core.next_due_ms is None
