"""Reorganisations of the chain, shallow and deep."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from offchain.domain.blocks import CONFIRMED_KEPT
from offchain.domain.commands import (
    BatchClosed,
    ChainRollback,
    FeesCollected,
    MarketCreated,
    MarketStatusChanged,
    WithdrawalCanceled,
    WithdrawalSettled,
)
from offchain.domain.errors import Code, Rejection
from offchain.domain.events import (
    BatchUpdate,
    BlockReverted,
    DepositUpdate,
    Diverged,
    MarketUpdate,
    OrderUpdate,
    TradeBusted,
    WithdrawalUpdate,
)
from offchain.domain.results import Done
from tests.utils.exchange import BTC_USDC, BUY, ENGINE, MAKER, OTHER, SELL, TAKER, USDC, Exchange, digest


def test_rollback_must_name_a_known_past(exchange: Exchange) -> None:
    number, head = exchange.head
    repeated = exchange.run(ChainRollback(number, head))
    assert isinstance(repeated, Rejection)
    assert repeated.code == Code.REPEATED
    ahead = exchange.run(ChainRollback(number + 1, head))
    assert isinstance(ahead, Rejection)
    assert ahead.code == Code.OUT_OF_ORDER
    other = exchange.run(ChainRollback(number - 1, digest("other")))
    assert isinstance(other, Rejection)
    assert (other.code, other.param) == (Code.OUT_OF_ORDER, "blockHash")


def test_blocks_are_reverted_newest_first_and_replaced(exchange: Exchange) -> None:
    number, _ = exchange.head
    exchange.mine()
    exchange.mine()
    assert exchange.roll_back(number) == Done()
    assert [event.number for event in exchange.of(BlockReverted)] == [number + 2, number + 1]
    assert exchange.core.status().head_number == number
    assert exchange.mine() == Done()


def test_pending_deposit_is_reverted(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange(confirmations=3)
    number, _ = exchange.head
    before = exchange.balance(MAKER, USDC)
    exchange.deposit(MAKER, USDC, 500)
    exchange.roll_back(number)
    assert [(u.status, u.block) for u in exchange.of(DepositUpdate)] == [("reverted", number + 1)]
    for _ in range(4):
        exchange.mine()
    assert exchange.balance(MAKER, USDC) == before


def test_deposit_below_the_fork_is_credited_in_time(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange(confirmations=3)
    before = exchange.balance(MAKER, USDC).settled
    exchange.deposit(MAKER, USDC, 500)
    number, _ = exchange.head
    exchange.mine()
    exchange.roll_back(number)
    exchange.mine()
    assert exchange.balance(MAKER, USDC).settled == before
    exchange.mine()
    assert exchange.balance(MAKER, USDC).settled == before + 500


def test_lost_credit_busts_the_fills_that_relied_on_it(exchange: Exchange) -> None:
    stranger = b"\x77" * 20
    number, _ = exchange.head
    exchange.deposit(stranger, USDC, 2 * 10**9)
    exchange.place(MAKER, SELL, 100, 500)
    exchange.place(stranger, BUY, 100, 500)
    exchange.place(stranger, BUY, 90, 100)
    exchange.place(MAKER, BUY, 99, 5)
    exchange.place(TAKER, SELL, 99, 5)
    exchange.roll_back(number)
    assert [event.item for event in exchange.of(TradeBusted)] == [1]
    assert exchange.core.open_orders(stranger) == []
    assert {update.code for update in exchange.of(OrderUpdate)} == {"busted", "reorg"}
    balance = exchange.balance(stranger, USDC)
    assert (balance.settled, balance.unsettled, balance.reserved) == (0, 0, 0)


def test_settled_batch_is_reopened_and_settles_again(exchange: Exchange) -> None:
    exchange.place(MAKER, BUY, 100, 20)
    exchange.place(TAKER, SELL, 100, 5)
    exchange.place(TAKER, SELL, 100, 5)
    exchange.run(BatchClosed(1, 1, 1, 100))
    number, _ = exchange.head
    before = [exchange.core.balances(account) for account in (MAKER, TAKER, ENGINE)]
    exchange.mine(exchange.batch_settled(1, exchange.trades()[:1]))
    exchange.run(BatchClosed(2, 2, 2, 10**10))
    exchange.roll_back(number)
    assert [(u.number, u.status) for u in exchange.of(BatchUpdate)] == [(2, "reopened"), (1, "reopened")]
    assert [exchange.core.balances(account) for account in (MAKER, TAKER, ENGINE)] == before
    status = exchange.core.status()
    assert (status.last_batch, status.last_matched_at, status.oldest_item, status.unsettled_fills) == (0, 0, 1, 2)
    exchange.mine(exchange.batch_settled(1, exchange.trades()))
    assert exchange.core.status().unsettled_fills == 0
    assert exchange.core.status().diverged == ""


def test_several_batches_are_put_back_in_order(exchange: Exchange) -> None:
    exchange.place(MAKER, BUY, 100, 20)
    for _ in range(4):
        exchange.place(TAKER, SELL, 100, 5)
    number, _ = exchange.head
    exchange.mine(exchange.batch_settled(1, exchange.trades()[:2]))
    exchange.mine(exchange.batch_settled(2, exchange.trades()[2:3]))
    exchange.roll_back(number)
    exchange.mine(exchange.batch_settled(1, exchange.trades()))
    assert exchange.core.status().diverged == ""
    assert exchange.core.status().unsettled_fills == 0


def test_request_is_reverted_and_its_release_dropped(exchange: Exchange) -> None:
    number, _ = exchange.head
    exchange.mine(exchange.requested(MAKER, USDC, 500))
    assert exchange.core.status().pending_releases == 1
    exchange.roll_back(number)
    assert [(u.status, u.amount) for u in exchange.of(WithdrawalUpdate)] == [("reverted", 500)]
    assert exchange.balance(MAKER, USDC).held == 0
    assert exchange.core.status().pending_releases == 0


@pytest.mark.parametrize("ending", ["canceled", "settled", "replaced"])
def test_ended_request_stands_again(exchange: Exchange, ending: str) -> None:
    exchange.mine(exchange.requested(MAKER, USDC, 500))
    number, _ = exchange.head
    before = exchange.balance(MAKER, USDC)
    exchange.mine(
        {
            "canceled": WithdrawalCanceled(MAKER, 0, USDC, digest("x"), 0),
            "settled": WithdrawalSettled(MAKER, 0, USDC, 500, 500, True, digest("x"), 0),
            "replaced": exchange.requested(MAKER, USDC, 10**9),
        }[ending]
    )
    exchange.roll_back(number)
    assert exchange.balance(MAKER, USDC) == before
    updates = [(u.status, u.amount) for u in exchange.of(WithdrawalUpdate)]
    assert updates[-2:] == [("requested", 500), ("releasing", 500)]
    assert exchange.core.status().pending_releases == 1


def test_logs_of_a_block_are_undone_last_first(exchange: Exchange) -> None:
    number, _ = exchange.head
    exchange.mine(
        exchange.requested(MAKER, USDC, 500),
        exchange.requested(MAKER, USDC, 700),
        MarketStatusChanged(1, 2, 5),
        MarketStatusChanged(1, 3, 6),
    )
    assert exchange.balance(MAKER, USDC).held == 700
    exchange.roll_back(number)
    assert exchange.balance(MAKER, USDC).held == 0
    assert exchange.core.market_state(1).status == 1
    assert exchange.core.status().pending_releases == 0


def test_request_restored_before_it_is_confirmed_is_released_in_time(
    create_exchange: Callable[..., Exchange],
) -> None:
    exchange = create_exchange(confirmations=3)
    exchange.mine(exchange.requested(MAKER, USDC, 500))
    number, _ = exchange.head
    exchange.mine(exchange.requested(MAKER, USDC, 900))
    exchange.roll_back(number)
    assert exchange.core.status().pending_releases == 0
    exchange.mine()
    exchange.mine()
    assert [(u.status, u.amount) for u in exchange.of(WithdrawalUpdate)] == [("releasing", 500)]


def test_restored_hold_cancels_what_no_longer_fits(exchange: Exchange) -> None:
    exchange.mine(exchange.requested(MAKER, USDC, 9 * 10**9))
    number, _ = exchange.head
    exchange.mine(WithdrawalCanceled(MAKER, 0, USDC, digest("x"), 0))
    placed = exchange.place(MAKER, BUY, 100, 9_000)
    exchange.roll_back(number)
    assert [(u.order_hash, u.code) for u in exchange.of(OrderUpdate)] == [(placed.order_hash, "withdrawal")]


def test_market_status_goes_back(exchange: Exchange) -> None:
    number, _ = exchange.head
    exchange.mine(MarketStatusChanged(1, 2, 77))
    exchange.roll_back(number)
    assert [(u.market.id, u.status) for u in exchange.of(MarketUpdate)] == [(1, 1)]
    assert exchange.place(MAKER, BUY, 100, 1).status == "open"


def test_market_whose_creation_is_gone_does_not_trade() -> None:
    exchange = Exchange()
    exchange.mine()
    exchange.list_markets(BTC_USDC)
    exchange.deposit(MAKER, USDC, 10**9)
    exchange.roll_back(1)
    assert exchange.core.market_state(1).status == 0
    exchange.deposit(MAKER, USDC, 10**9)
    assert exchange.place(MAKER, BUY, 100, 1).status == "rejected"
    exchange.mine(MarketCreated(BTC_USDC))
    assert exchange.place(MAKER, BUY, 100, 1).status == "open"


def test_collected_fees_go_back(exchange: Exchange) -> None:
    exchange.place(MAKER, BUY, 100, 1_000)
    exchange.place(TAKER, SELL, 100, 1_000)
    exchange.mine(exchange.batch_settled(1, exchange.trades()))
    number, _ = exchange.head
    fees = exchange.balance(ENGINE, USDC).settled
    exchange.mine(FeesCollected(OTHER, fees))
    exchange.roll_back(number)
    assert exchange.balance(ENGINE, USDC).settled == fees
    assert exchange.balance(OTHER, USDC).settled == 10**10


def test_rollback_behind_what_is_remembered_stops_everything(exchange: Exchange) -> None:
    start, _ = exchange.head
    for _ in range(CONFIRMED_KEPT + 5):
        exchange.mine()
    number, head = exchange.head
    balances = exchange.core.balances(MAKER)
    assert exchange.run(ChainRollback(start, digest("past"))) == Done()
    assert len(exchange.of(Diverged)) == 1
    assert exchange.core.balances(MAKER) == balances
    assert (exchange.core.status().head_number, exchange.core.status().head_hash) == (number, head)
    assert exchange.place(MAKER, BUY, 100, 1).status == "rejected"
    again = exchange.run(ChainRollback(start, digest("past")))
    assert isinstance(again, Rejection)
    assert again.code == Code.REPEATED


def test_memory_of_blocks_is_bounded(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange(confirmations=4)
    exchange.place(MAKER, BUY, 100, 1_000)
    for number in range(1, 3 * CONFIRMED_KEPT):
        exchange.place(TAKER, SELL, 100, 1)
        exchange.mine(exchange.batch_settled(number, exchange.trades()[-1:]))
    state = exchange.core._state
    assert len(state.chain.records) <= CONFIRMED_KEPT + 4
    assert len(state.outbox.settled) <= CONFIRMED_KEPT + 4
