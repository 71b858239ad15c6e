"""Bumps of an account's epoch: from the request on nothing is matched that the bump could keep from settling."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from offchain.domain.commands import EpochBumped, EpochBumpRequested
from offchain.domain.core import Core
from offchain.domain.errors import Code
from offchain.domain.events import AccountUpdate, OrderUpdate, TradeBusted
from offchain.domain.results import PlaceResult
from tests.utils.exchange import BUY, MAKER, OTHER, SELL, TAKER, Exchange


def code_of(result: PlaceResult) -> str:
    return result.rejection.code if result.rejection is not None else ""


def updates(exchange: Exchange) -> list[tuple[int, bool]]:
    return [(update.epoch, update.is_bumping) for update in exchange.of(AccountUpdate)]


def test_request_cancels_all_open_orders(exchange: Exchange) -> None:
    placed = [exchange.place(MAKER, BUY, 100, 5), exchange.place(MAKER, SELL, 9_000, 5, market=2)]
    other = exchange.place(OTHER, BUY, 99, 5)
    exchange.mine(EpochBumpRequested(MAKER))
    assert [(u.order_hash, u.status, u.code) for u in exchange.of(OrderUpdate)] == [
        (one.order_hash, "canceled", "canceledOnChain") for one in placed
    ]
    assert exchange.balance(MAKER, 0).reserved == 0
    assert exchange.core.open_orders(OTHER)[0].order_hash == other.order_hash
    assert updates(exchange) == [(0, True)]


@pytest.mark.parametrize("epoch", [0, 1])
def test_no_order_is_taken_until_the_bump_came(exchange: Exchange, epoch: int) -> None:
    exchange.mine(EpochBumpRequested(MAKER))
    assert code_of(exchange.place(MAKER, BUY, 100, 5, epoch=epoch)) == Code.EPOCH_BUMP_PENDING
    exchange.mine(EpochBumped(MAKER, 1))
    assert updates(exchange) == [(1, True), (1, False)]
    assert exchange.place(MAKER, BUY, 100, 5, epoch=1).status == "open"
    assert code_of(exchange.place(MAKER, BUY, 100, 5, epoch=0)) == Code.STALE_EPOCH


def test_fills_from_before_the_request_settle(exchange: Exchange) -> None:
    exchange.place(MAKER, BUY, 100, 5)
    exchange.place(TAKER, SELL, 100, 5)
    exchange.mine(EpochBumpRequested(MAKER))
    exchange.mine(exchange.batch_settled(1, exchange.trades()))
    assert exchange.core.status().unsettled_fills == 0
    assert exchange.core.status().diverged == ""


def test_bump_without_request_is_immediate(exchange: Exchange) -> None:
    exchange.place(MAKER, BUY, 100, 5)
    exchange.mine(EpochBumped(MAKER, 1))
    assert exchange.core.open_orders(MAKER) == []
    assert exchange.core.account_update(MAKER) == AccountUpdate(MAKER, 1, False)


def test_new_epoch_counts_once_it_is_confirmed(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange(confirmations=3)
    exchange.mine(EpochBumped(MAKER, 1))
    for _ in range(2):
        assert code_of(exchange.place(MAKER, BUY, 100, 5, epoch=1)) == Code.EPOCH_BUMP_PENDING
        exchange.mine()
    assert updates(exchange) == [(1, False)]
    assert exchange.place(MAKER, BUY, 100, 5, epoch=1).status == "open"


def test_next_request_keeps_the_account_closed(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange(confirmations=2)
    exchange.mine(EpochBumped(MAKER, 1))
    exchange.mine(EpochBumpRequested(MAKER))
    exchange.mine()
    assert code_of(exchange.place(MAKER, BUY, 100, 5, epoch=1)) == Code.EPOCH_BUMP_PENDING


def test_request_that_is_gone_opens_the_account_again(exchange: Exchange) -> None:
    number, _ = exchange.head
    exchange.mine(EpochBumpRequested(MAKER))
    exchange.roll_back(number)
    assert updates(exchange) == [(0, False)]
    assert exchange.place(MAKER, BUY, 100, 5).status == "open"


def test_bump_that_is_gone_leaves_its_request(exchange: Exchange) -> None:
    exchange.mine(EpochBumpRequested(MAKER))
    number, _ = exchange.head
    exchange.mine(EpochBumped(MAKER, 1))
    exchange.roll_back(number)
    assert updates(exchange) == [(0, True)]
    assert code_of(exchange.place(MAKER, BUY, 100, 5)) == Code.EPOCH_BUMP_PENDING


def test_orders_and_fills_of_an_epoch_that_is_gone_are_dropped(exchange: Exchange) -> None:
    number, _ = exchange.head
    exchange.mine(EpochBumped(MAKER, 1))
    exchange.place(MAKER, BUY, 100, 5, epoch=1)
    exchange.place(MAKER, BUY, 90, 5, epoch=1)
    exchange.place(OTHER, BUY, 95, 5)
    exchange.place(TAKER, SELL, 100, 5)
    exchange.place(TAKER, SELL, 95, 5)
    dropped, kept = exchange.trades()
    exchange.roll_back(number)
    assert [event.id for event in exchange.of(TradeBusted)] == [dropped.id]
    assert exchange.core.open_orders(MAKER) == []
    assert exchange.core.status().oldest_item == kept.item
    assert exchange.place(MAKER, BUY, 100, 5).status == "open"


def test_snapshot_holds_what_is_pending(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange(confirmations=2)
    exchange.mine(EpochBumpRequested(MAKER), EpochBumped(TAKER, 1))
    restored = Core.restore(exchange.core.snapshot())
    assert restored.snapshot() == exchange.core.snapshot()
    assert restored.account_update(MAKER) == AccountUpdate(MAKER, 0, True)
    assert restored.account_update(TAKER) == AccountUpdate(TAKER, 1, True)


def test_every_bump_is_confirmed_before_orders_are_taken(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange(confirmations=2)
    exchange.mine(EpochBumped(MAKER, 1))
    exchange.mine(EpochBumped(MAKER, 2))
    assert code_of(exchange.place(MAKER, BUY, 100, 5, epoch=2)) == Code.EPOCH_BUMP_PENDING
    exchange.mine()
    assert exchange.place(MAKER, BUY, 100, 5, epoch=2).status == "open"
