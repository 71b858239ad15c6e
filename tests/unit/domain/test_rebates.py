"""Rebates come out of the collected fees and count like deposits."""

from __future__ import annotations

from collections.abc import Callable

from offchain.domain.commands import RebateClaimed
from offchain.domain.core import Core
from offchain.domain.events import DepositUpdate, Diverged, TradeBusted
from tests.utils.exchange import BUY, ENGINE, MAKER, SELL, TAKER, USDC, Exchange, digest


def earn(exchange: Exchange) -> int:
    """Settle a trade; the fees on chain."""
    exchange.place(MAKER, BUY, 100, 1_000)
    exchange.place(TAKER, SELL, 100, 1_000)
    exchange.mine(exchange.batch_settled(1, exchange.trades()))
    return exchange.balance(ENGINE, USDC).settled


def test_rebate_leaves_the_fees_at_once_and_counts_once_confirmed(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange(confirmations=2)
    fees = earn(exchange)
    before = exchange.balance(MAKER, USDC).settled
    exchange.mine(RebateClaimed(MAKER, 700, digest("claim"), 3))
    assert exchange.of(DepositUpdate)[0].status == "pending"
    assert exchange.balance(ENGINE, USDC).settled == fees - 700
    assert exchange.balance(MAKER, USDC).settled == before
    assert Core.restore(exchange.core.snapshot()).snapshot() == exchange.core.snapshot()
    exchange.mine()
    assert exchange.balance(MAKER, USDC).settled == before + 700
    assert [(u.account, u.asset, u.amount, u.status) for u in exchange.of(DepositUpdate)] == [
        (MAKER, USDC, 700, "credited")
    ]


def test_rebate_that_is_gone_returns_to_the_fees(exchange: Exchange) -> None:
    fees = earn(exchange)
    before = exchange.balance(MAKER, USDC)
    number, _ = exchange.head
    exchange.mine(RebateClaimed(MAKER, 700, digest("claim"), 3))
    exchange.roll_back(number)
    assert exchange.balance(MAKER, USDC) == before
    assert exchange.balance(ENGINE, USDC).settled == fees


def test_fills_that_relied_on_a_rebate_that_is_gone_are_dropped(exchange: Exchange) -> None:
    earn(exchange)
    stranger = b"\x77" * 20
    number, _ = exchange.head
    exchange.mine(RebateClaimed(stranger, 1_100_000, digest("claim"), 3))
    exchange.place(TAKER, SELL, 100, 1)
    assert exchange.place(stranger, BUY, 100, 1).filled == 1
    exchange.roll_back(number)
    assert len(exchange.of(TradeBusted)) == 1
    assert exchange.balance(stranger, USDC).settled == 0


def test_more_rebate_than_there_are_fees_diverges(exchange: Exchange) -> None:
    exchange.mine(RebateClaimed(MAKER, 1, digest("claim"), 3))
    assert len(exchange.of(Diverged)) == 1
