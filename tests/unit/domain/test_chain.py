"""Blocks: their order, markets, deposits and confirmations, collected fees."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from offchain.domain.commands import ChainBlock, FeesCollected, MarketCreated, MarketStatusChanged
from offchain.domain.errors import Code, Rejection
from offchain.domain.events import (
    AssetListed,
    BalanceUpdate,
    BlockApplied,
    CommandRefused,
    DepositUpdate,
    Diverged,
    MarketUpdate,
)
from offchain.domain.results import Done
from tests.utils.exchange import BTC_USDC, BUY, ENGINE, MAKER, OTHER, SELL, TAKER, Exchange, digest


def refusal(result: object) -> tuple[str, str]:
    assert isinstance(result, Rejection)
    return result.code, result.param


def test_blocks_come_in_order(exchange: Exchange) -> None:
    number, head = exchange.head
    at = exchange.now_ms // 1000
    block = ChainBlock(number + 1, digest("next"), head, at, [])
    assert refusal(exchange.run(msgspec.structs.replace(block, parent_hash=digest("other")))) == (
        Code.OUT_OF_ORDER,
        "parentHash",
    )
    assert exchange.run(block) == Done()
    assert exchange.events == [BlockApplied(number + 1, digest("next"), head, at)]
    assert refusal(exchange.run(block)) == (Code.REPEATED, "number")
    assert [type(event) for event in exchange.events] == [CommandRefused]
    assert refusal(exchange.run(msgspec.structs.replace(block, block_hash=digest("fork")))) == (
        Code.OUT_OF_ORDER,
        "number",
    )
    skipping = ChainBlock(number + 9, digest("later"), digest("unseen"), at, [])
    assert exchange.run(skipping) == Done(), "blocks without logs may be skipped"
    assert (exchange.core.status().head_number, exchange.core.status().head_hash) == (number + 9, digest("later"))


def test_markets_and_assets_are_listed() -> None:
    exchange = Exchange()
    exchange.list_markets(BTC_USDC)
    assert [type(event) for event in exchange.events] == [BlockApplied, AssetListed, MarketUpdate]
    assert exchange.core.markets == {1: BTC_USDC}
    assert exchange.core.assets[7].symbol == "BTC"
    view = exchange.core.market_state(1)
    assert (view.status, view.halted) == (1, False)


def test_market_status_follows_the_chain(exchange: Exchange) -> None:
    exchange.mine(MarketStatusChanged(1, 2, 77))
    view = exchange.core.market_state(1)
    assert (view.status, view.status_at) == (2, 77)
    (update,) = exchange.of(MarketUpdate)
    assert (update.status, update.halted) == (2, False)


def test_market_created_again_is_the_same_market(exchange: Exchange) -> None:
    exchange.place(MAKER, BUY, 100, 5)
    exchange.mine(MarketCreated(BTC_USDC))
    assert exchange.depth(BUY) == [(100, 5)]
    assert exchange.core.status().diverged == ""


def test_other_terms_under_orders_diverge(exchange: Exchange) -> None:
    other = msgspec.structs.replace(BTC_USDC, lot_size=1)
    exchange.place(MAKER, BUY, 100, 5)
    exchange.mine(MarketCreated(other))
    assert len(exchange.of(Diverged)) == 1
    assert exchange.core.markets[1] == BTC_USDC
    assert exchange.core.market_state(2).halted


def test_other_terms_of_an_unused_market_are_taken(exchange: Exchange) -> None:
    other = msgspec.structs.replace(BTC_USDC, max_quantity=5)
    exchange.mine(MarketCreated(other))
    assert exchange.core.markets[1] == other
    assert exchange.place(MAKER, BUY, 100, 6).status == "rejected"


def test_status_of_a_market_never_created_diverges(exchange: Exchange) -> None:
    exchange.mine(MarketStatusChanged(9, 1, 5))
    assert len(exchange.of(Diverged)) == 1
    assert [update.halted for update in exchange.of(MarketUpdate)] == [True, True]


@pytest.mark.parametrize("confirmations", [1, 2, 5])
def test_deposit_counts_after_its_confirmations(create_exchange: Callable[..., Exchange], confirmations: int) -> None:
    exchange = create_exchange(confirmations=confirmations)
    before = exchange.balance(MAKER, 0).settled
    exchange.deposit(MAKER, 0, 500)
    statuses = [update.status for update in exchange.of(DepositUpdate)]
    for _ in range(confirmations - 1):
        assert exchange.balance(MAKER, 0).settled == before
        exchange.mine()
        statuses += [update.status for update in exchange.of(DepositUpdate)]
    assert statuses == ["pending", "credited"]
    assert exchange.balance(MAKER, 0).settled == before + 500
    assert [(b.account, b.asset, b.settled) for b in exchange.of(BalanceUpdate)] == [(MAKER, 0, before + 500)]
    exchange.mine()
    assert exchange.of(DepositUpdate) == []


def test_skipped_blocks_confirm_too(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange(confirmations=3)
    before = exchange.balance(MAKER, 0).settled
    exchange.deposit(MAKER, 0, 500)
    number, _ = exchange.head
    exchange.run(ChainBlock(number + 2, digest("later"), digest("unseen"), 0, []))
    assert exchange.balance(MAKER, 0).settled == before + 500


def test_amounts_beyond_64_bits(exchange: Exchange) -> None:
    exchange.deposit(MAKER, 0, 10**30)
    assert exchange.balance(MAKER, 0).settled == 10**30 + 10**10
    assert type(exchange.core).restore(exchange.core.snapshot()).snapshot() == exchange.core.snapshot()


def test_collected_fees_move_to_the_recipient(exchange: Exchange) -> None:
    exchange.place(MAKER, BUY, 100, 1_000)
    exchange.place(TAKER, SELL, 100, 1_000)
    exchange.mine(exchange.batch_settled(1, exchange.trades()))
    fees = exchange.balance(ENGINE, 0).settled
    assert fees == 2 * 1_000 * 10**6 // 200
    before = exchange.balance(OTHER, 0).settled
    exchange.mine(FeesCollected(OTHER, fees))
    assert exchange.balance(ENGINE, 0).settled == 0
    assert exchange.balance(OTHER, 0).settled == before + fees


def test_more_fees_than_there_are_diverges(exchange: Exchange) -> None:
    exchange.mine(FeesCollected(OTHER, 1))
    assert len(exchange.of(Diverged)) == 1
    assert exchange.place(MAKER, BUY, 100, 1).status == "rejected"
