"""Withdrawal requests: first claim on the balance, release in the order of settlement, payment."""

from __future__ import annotations

from collections.abc import Callable

from offchain.domain.commands import WithdrawalCanceled, WithdrawalSettled
from offchain.domain.events import DepositUpdate, OrderUpdate, TradeBusted, WithdrawalUpdate
from tests.utils.exchange import BTC, BUY, MAKER, SELL, TAKER, USDC, Exchange, digest


def statuses(exchange: Exchange) -> list[tuple[str, int, int]]:
    return [(update.status, update.amount, update.item) for update in exchange.of(WithdrawalUpdate)]


def paid(account: bytes, asset: int, amount: int, *, requested: int | None = None, kind: int = 0) -> WithdrawalSettled:
    return WithdrawalSettled(account, kind, asset, requested or amount, amount, True, digest("paid"), 0)


def test_request_holds_and_is_released_once_confirmed(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange(confirmations=2)
    exchange.mine(exchange.requested(MAKER, USDC, 4_000))
    assert statuses(exchange) == [("requested", 4_000, 0)]
    assert exchange.balance(MAKER, USDC).held == 4_000
    exchange.mine()
    assert statuses(exchange) == [("releasing", 4_000, 1)]
    assert exchange.core.status().pending_releases == 1
    before = exchange.balance(MAKER, USDC).settled
    exchange.mine(paid(MAKER, USDC, 4_000))
    assert statuses(exchange) == [("settled", 4_000, 1)]
    assert exchange.core.status().pending_releases == 0
    balance = exchange.balance(MAKER, USDC)
    assert (balance.settled, balance.held) == (before - 4_000, 0)


def test_request_cancels_newest_orders_until_it_fits(exchange: Exchange) -> None:
    old = exchange.place(MAKER, BUY, 100, 4_000)
    middle = exchange.place(MAKER, BUY, 99, 4_000)
    selling = exchange.place(MAKER, SELL, 200, 100)
    new = exchange.place(MAKER, BUY, 98, 1_000)
    exchange.mine(exchange.requested(MAKER, USDC, 5 * 10**9))
    ended = [(u.order_hash, u.status, u.code) for u in exchange.of(OrderUpdate)]
    assert ended == [(new.order_hash, "canceled", "withdrawal"), (middle.order_hash, "canceled", "withdrawal")]
    assert [live.order_hash for live in exchange.core.open_orders(MAKER)] == [old.order_hash, selling.order_hash]


def test_request_above_the_balance_cancels_all_and_leaves_nothing_available(exchange: Exchange) -> None:
    exchange.place(MAKER, BUY, 100, 1)
    exchange.mine(exchange.requested(MAKER, USDC, 10**12))
    assert exchange.core.open_orders(MAKER) == []
    assert exchange.balance(MAKER, USDC).available == 0
    assert exchange.place(MAKER, BUY, 1, 1).status == "rejected"
    assert exchange.place(MAKER, SELL, 100, 1).status == "open", "the other asset is free"


def test_new_request_replaces_the_older(exchange: Exchange) -> None:
    exchange.mine(exchange.requested(MAKER, USDC, 4_000))
    exchange.mine(exchange.requested(MAKER, USDC, 3_000))
    assert statuses(exchange) == [("canceled", 4_000, 1), ("requested", 3_000, 0), ("releasing", 3_000, 2)]
    assert exchange.balance(MAKER, USDC).held == 3_000
    assert exchange.core.status().pending_releases == 1


def test_requests_of_other_assets_and_kinds_stand_beside_it(exchange: Exchange) -> None:
    exchange.mine(exchange.requested(MAKER, USDC, 4_000), exchange.requested(MAKER, BTC, 50))
    exchange.mine(exchange.requested(MAKER, USDC, 1_000, kind=1))
    assert exchange.balance(MAKER, USDC).held == 5_000
    assert exchange.balance(MAKER, BTC).held == 50
    assert statuses(exchange) == [("requested", 1_000, 0)], "as CXPT it is never released by the operator"
    exchange.mine(paid(MAKER, USDC, 1_000, kind=1))
    assert exchange.balance(MAKER, USDC).held == 4_000


def test_canceled_request_frees_the_hold_and_drops_the_release(exchange: Exchange) -> None:
    exchange.mine(exchange.requested(MAKER, USDC, 4_000))
    exchange.mine(WithdrawalCanceled(MAKER, 0, USDC, digest("cancel"), 0))
    assert statuses(exchange) == [("canceled", 4_000, 1)]
    assert exchange.balance(MAKER, USDC).held == 0
    assert exchange.core.status().pending_releases == 0


def test_request_replaced_before_it_is_confirmed_is_never_released(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange(confirmations=3)
    exchange.mine(exchange.requested(MAKER, USDC, 4_000))
    exchange.mine(exchange.requested(MAKER, USDC, 3_000))
    exchange.mine()
    assert statuses(exchange) == []
    exchange.mine()
    assert statuses(exchange) == [("releasing", 3_000, 1)]


def test_forced_payment_busts_what_relied_on_the_money(exchange: Exchange) -> None:
    """The fill could not settle within the window, and the owner had the money paid out before it."""
    exchange.place(MAKER, BUY, 100, 9_000)
    exchange.place(TAKER, SELL, 100, 9_000)
    exchange.mine(exchange.requested(MAKER, USDC, 10**10))
    exchange.mine(paid(MAKER, USDC, 10**10))
    assert [event.reason for event in exchange.of(TradeBusted)] == ["withdrawn"]
    for account in (MAKER, TAKER):
        assert all(b.settled + b.unsettled >= 0 for b in exchange.core.balances(account))
    assert exchange.balance(MAKER, USDC).settled == 0
    assert exchange.core.status().diverged == ""


def test_released_payment_busts_nothing(exchange: Exchange) -> None:
    exchange.place(MAKER, BUY, 100, 9_000)
    exchange.place(TAKER, SELL, 100, 9_000)
    exchange.mine(exchange.requested(MAKER, USDC, 10**10))
    exchange.mine(exchange.batch_settled(1, exchange.trades()))
    rest = exchange.balance(MAKER, USDC).settled
    assert rest == 10**10 - 9_000 * 10**6 * 1_005 // 1_000
    exchange.mine(paid(MAKER, USDC, rest, requested=10**10))
    assert exchange.of(TradeBusted) == []
    assert exchange.balance(MAKER, USDC).settled == 0


def test_payment_out_of_a_pending_deposit_credits_it(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange(confirmations=3)
    exchange.mine(exchange.requested(MAKER, USDC, 10**10 + 500))
    exchange.mine()
    exchange.deposit(MAKER, USDC, 700)
    exchange.mine(paid(MAKER, USDC, 10**10 + 500))
    assert [update.status for update in exchange.of(DepositUpdate)] == ["credited"]
    assert exchange.balance(MAKER, USDC).settled == 200
    exchange.mine()
    exchange.mine()
    assert exchange.balance(MAKER, USDC).settled == 200, "it is credited once"
    assert exchange.core.status().diverged == ""
