"""Cancels by signature: they act on chain at once, so they end orders here first and wait for fills."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from offchain.domain.actions import (
    SignedCancel,
    SignedCancelAll,
)
from offchain.domain.commands import (
    CancelRequested,
    ChainRollback,
    EpochBumped,
    EpochBumpRequested,
)
from offchain.domain.errors import Code
from offchain.domain.events import AccountUpdate, OrderUpdate
from offchain.domain.order import Order
from tests.utils.exchange import BTC, BUY, CALL, MAKER, OTHER, SELL, TAKER, Exchange, digest
from tests.utils.relaying import SIGNATURE, code_of, end, placed, ready, request

# ---------------------------------------------------------------------------------------------------------------------
# Cancels
# ---------------------------------------------------------------------------------------------------------------------


def cancel(order: Order) -> SignedCancel:
    return SignedCancel(order, digest(order), SIGNATURE)


def test_a_cancel_ends_the_order_at_once(exchange: Exchange) -> None:
    order = placed(exchange, MAKER, BUY, 100, 5)
    request(exchange, cancel(order))
    assert [(one.status, one.code) for one in exchange.of(OrderUpdate)] == [("canceled", "user")]
    assert ready(exchange) == [True]
    assert code_of(exchange.place(MAKER, BUY, 100, 6, key=order.key, sequence=order.sequence)) == Code.NONCE_REUSED
    assert exchange.place(MAKER, BUY, 100, 5, key=order.key, sequence=order.sequence + 1).status == "open"


def test_a_cancel_of_an_order_that_never_came_keeps_it_out(exchange: Exchange) -> None:
    placed(exchange, MAKER, BUY, 100, 5)
    request(exchange, cancel(exchange.order(MAKER, BUY, 100, 5, key=77, sequence=3)))
    assert len(exchange.core.open_orders(MAKER)) == 1
    assert code_of(exchange.place(MAKER, BUY, 100, 5, key=77, sequence=3)) == Code.STALE_NONCE


def test_a_cancel_waits_for_the_fills_of_its_order(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange(confirmations=2)
    order = placed(exchange, MAKER, BUY, 100, 5)
    exchange.place(TAKER, SELL, 100, 2)
    request(exchange, cancel(order))
    assert ready(exchange) == [False]
    exchange.mine(exchange.batch_settled(1, exchange.trades()))
    assert ready(exchange) == [False]
    exchange.mine()
    assert ready(exchange) == [True]


def test_fills_of_other_keys_do_not_hold_up_a_cancel(exchange: Exchange) -> None:
    order = placed(exchange, MAKER, BUY, 99, 5)
    exchange.place(MAKER, BUY, 100, 5)
    exchange.place(TAKER, SELL, 100, 2)
    request(exchange, cancel(order))
    assert ready(exchange) == [True]


@pytest.mark.parametrize("nonce", [(2**32 - 1) << 32, 5 << 32 | 2**32 - 1])
def test_a_cancel_of_no_order_is_refused(exchange: Exchange, nonce: int) -> None:
    exchange.list_markets(CALL)
    order = exchange.order(MAKER, BUY, 100, 5, key=nonce >> 32, sequence=nonce & 0xFFFF_FFFF, market=4)
    assert code_of(request(exchange, cancel(order))) == Code.INVALID_NONCE


def test_a_cancel_is_of_the_accounts_own_order(exchange: Exchange) -> None:
    order = placed(exchange, MAKER, BUY, 100, 5)
    assert code_of(request(exchange, cancel(order), TAKER)) == Code.NOT_OWNER


def test_a_rollback_does_not_undo_a_signed_cancel(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange(confirmations=3)
    number, block_hash = exchange.head
    exchange.mine(CancelRequested(MAKER, BTC, 77, 2))
    request(exchange, cancel(exchange.order(MAKER, BUY, 100, 5, key=77, sequence=3)))
    exchange.run(ChainRollback(number, block_hash))
    assert code_of(exchange.place(MAKER, BUY, 100, 5, key=77, sequence=3)) == Code.STALE_NONCE
    assert exchange.place(MAKER, BUY, 100, 5, key=77, sequence=4).status == "open"


# ---------------------------------------------------------------------------------------------------------------------
# Epochs
# ---------------------------------------------------------------------------------------------------------------------

ALL = SignedCancelAll(0, SIGNATURE)


def test_a_cancel_of_all_ends_all_orders_at_once(exchange: Exchange) -> None:
    placed(exchange, MAKER, BUY, 100, 5)
    placed(exchange, OTHER, BUY, 99, 5)
    request(exchange, ALL)
    assert [(one.account, one.status, one.code) for one in exchange.of(OrderUpdate)] == [(MAKER, "canceled", "user")]
    assert exchange.of(AccountUpdate) == [AccountUpdate(MAKER, 0, True)]
    assert code_of(exchange.place(MAKER, BUY, 100, 5)) == Code.EPOCH_BUMP_PENDING
    assert ready(exchange) == [True]


def test_a_cancel_of_all_waits_for_all_fills_of_the_account(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange(confirmations=2)
    exchange.place(OTHER, BUY, 100, 5)
    exchange.place(MAKER, SELL, 100, 2)
    request(exchange, ALL)
    request(exchange, ALL, TAKER)
    assert ready(exchange) == [False, True]
    exchange.mine(exchange.batch_settled(1, exchange.trades()))
    exchange.mine()
    assert ready(exchange) == [True, True]


def test_orders_are_taken_again_when_the_chain_has_ended_the_epoch(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange(confirmations=2)
    request(exchange, ALL)
    end(exchange, ALL, "settled")  # told by the node, whose blocks the core may see later
    assert code_of(exchange.place(MAKER, BUY, 100, 5)) == Code.EPOCH_BUMP_PENDING
    exchange.mine(EpochBumped(MAKER, 1))
    assert code_of(exchange.place(MAKER, BUY, 100, 5, epoch=1)) == Code.EPOCH_BUMP_PENDING
    exchange.mine()
    assert exchange.place(MAKER, BUY, 100, 5, epoch=1).status == "open"


def test_a_cancel_of_all_that_is_refused_lets_orders_in_again(exchange: Exchange) -> None:
    request(exchange, ALL)
    end(exchange, ALL, "refused")
    assert exchange.of(AccountUpdate) == [AccountUpdate(MAKER, 0, False)]
    assert exchange.place(MAKER, BUY, 100, 5).status == "open"


def test_a_rollback_does_not_let_orders_in_while_the_epoch_ends(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange(confirmations=3)
    number, block_hash = exchange.head
    request(exchange, ALL)
    exchange.mine(EpochBumpRequested(MAKER))
    exchange.run(ChainRollback(number, block_hash))
    assert exchange.of(AccountUpdate) == [AccountUpdate(MAKER, 0, True)]
    assert code_of(exchange.place(MAKER, BUY, 100, 5)) == Code.EPOCH_BUMP_PENDING


def test_a_request_on_chain_keeps_the_account_closed(exchange: Exchange) -> None:
    exchange.mine(EpochBumpRequested(MAKER))
    request(exchange, ALL)
    end(exchange, ALL, "refused")
    assert code_of(exchange.place(MAKER, BUY, 100, 5)) == Code.EPOCH_BUMP_PENDING
