"""Delegates sign for an account as long as the chain will take their signatures, and no longer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from offchain.domain.commands import CancelOrder, DelegateSet, Tick
from offchain.domain.core import Core
from offchain.domain.errors import Code, Rejection
from offchain.domain.events import DelegateUpdate, OrderUpdate, TradeBusted
from offchain.domain.results import CancelResult, PlaceResult
from tests.utils.exchange import BUY, MAKER, OTHER, SELL, START_MS, TAKER, Exchange

DELEGATE, STRANGER = b"\xd1" * 20, b"\xd2" * 20
NOW = START_MS // 1000
HOUR = 3_600


def place(exchange: Exchange, delegate: bytes, side: int = BUY, price: int = 100, **how: Any) -> PlaceResult:
    """An order of the maker that `delegate` signed."""
    command = exchange.command(exchange.order(MAKER, side, price, 5, **how))
    result = exchange.run(msgspec.structs.replace(command, delegate=delegate))
    assert isinstance(result, PlaceResult)
    return result


def code_of(result: object) -> str:
    rejection = result.rejection if isinstance(result, PlaceResult) else result
    return rejection.code if isinstance(rejection, Rejection) else ""


def delegates(exchange: Exchange) -> list[tuple[bytes, int]]:
    return [(update.delegate, update.valid_until) for update in exchange.core.delegates(MAKER)]


def test_delegate_signs_until_its_last_second(exchange: Exchange) -> None:
    exchange.mine(DelegateSet(MAKER, DELEGATE, NOW + HOUR))
    assert exchange.of(DelegateUpdate) == [DelegateUpdate(MAKER, DELEGATE, NOW + HOUR)]
    exchange.now_ms = (NOW + HOUR) * 1000 + 999
    assert place(exchange, DELEGATE).status == "open"
    exchange.now_ms += 1
    assert code_of(place(exchange, DELEGATE)) == Code.NOT_DELEGATE


@pytest.mark.parametrize(("account", "delegate"), [(MAKER, STRANGER), (OTHER, DELEGATE)])
def test_attack_stranger_uses_up_no_sequence(exchange: Exchange, account: bytes, delegate: bytes) -> None:
    exchange.mine(DelegateSet(account, DELEGATE, NOW + HOUR))
    snapshot = exchange.core.snapshot()
    assert code_of(place(exchange, delegate, key=3, sequence=9)) == Code.NOT_DELEGATE
    assert exchange.core.snapshot() == snapshot
    assert exchange.place(MAKER, BUY, 100, 5, key=3, sequence=1).status == "open"


def test_open_orders_end_with_the_delegate(exchange: Exchange) -> None:
    exchange.mine(DelegateSet(MAKER, DELEGATE, NOW + HOUR))
    placed = place(exchange, DELEGATE)
    own = exchange.place(MAKER, BUY, 99, 5)
    assert exchange.core.next_due_ms == (NOW + HOUR + 1) * 1000
    exchange.now_ms = (NOW + HOUR + 1) * 1000
    exchange.run(Tick())
    assert [(u.order_hash, u.status, u.code) for u in exchange.of(OrderUpdate)] == [
        (placed.order_hash, "canceled", "delegateEnded")
    ]
    assert exchange.of(DelegateUpdate) == [DelegateUpdate(MAKER, DELEGATE, 0)]
    assert [live.order_hash for live in exchange.core.open_orders(MAKER)] == [own.order_hash]
    assert (delegates(exchange), exchange.core.next_due_ms) == ([], None)


def test_no_taker_meets_an_order_of_an_ended_delegate(exchange: Exchange) -> None:
    exchange.mine(DelegateSet(MAKER, DELEGATE, NOW + HOUR))
    place(exchange, DELEGATE)
    exchange.now_ms = (NOW + HOUR + 1) * 1000
    assert exchange.place(TAKER, SELL, 100, 5).filled == 0


def test_revocation_ends_orders_when_the_chain_says_so(exchange: Exchange) -> None:
    exchange.mine(DelegateSet(MAKER, DELEGATE, NOW + 100 * HOUR))
    place(exchange, DELEGATE)
    exchange.mine(DelegateSet(MAKER, DELEGATE, NOW + HOUR))
    assert delegates(exchange) == [(DELEGATE, NOW + HOUR)]
    assert exchange.core.next_due_ms == (NOW + HOUR + 1) * 1000
    assert len(exchange.core.open_orders(MAKER)) == 1


def test_prolonged_delegate_keeps_its_orders(exchange: Exchange) -> None:
    exchange.mine(DelegateSet(MAKER, DELEGATE, NOW + HOUR))
    place(exchange, DELEGATE)
    exchange.mine(DelegateSet(MAKER, DELEGATE, NOW + 2 * HOUR))
    exchange.now_ms = (NOW + HOUR + 1) * 1000
    exchange.run(Tick())
    assert len(exchange.core.open_orders(MAKER)) == 1


def test_longer_time_is_confirmed_before_it_counts_shorter_is_not(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange(confirmations=3)
    exchange.mine(DelegateSet(MAKER, DELEGATE, NOW + 9 * HOUR))
    assert code_of(place(exchange, DELEGATE)) == Code.NOT_DELEGATE
    exchange.mine()
    exchange.mine()
    assert delegates(exchange) == [(DELEGATE, NOW + 9 * HOUR)]
    exchange.mine(DelegateSet(MAKER, DELEGATE, NOW + HOUR))
    assert delegates(exchange) == [(DELEGATE, NOW + HOUR)]
    exchange.mine(DelegateSet(MAKER, DELEGATE, NOW + 5 * HOUR))
    exchange.mine()
    assert delegates(exchange) == [(DELEGATE, NOW + HOUR)]
    exchange.mine()
    assert delegates(exchange) == [(DELEGATE, NOW + 5 * HOUR)]


def test_delegate_cancels(exchange: Exchange) -> None:
    exchange.mine(DelegateSet(MAKER, DELEGATE, NOW + HOUR))
    order_hash = exchange.place(MAKER, BUY, 100, 5).order_hash
    command = CancelOrder(MAKER, order_hash, b"", 0, STRANGER)
    assert code_of(exchange.run(command)) == Code.NOT_DELEGATE
    assert isinstance(exchange.run(msgspec.structs.replace(command, delegate=DELEGATE)), CancelResult)


def test_delegation_that_is_gone_takes_orders_and_fills_along(exchange: Exchange) -> None:
    number, _ = exchange.head
    exchange.mine(DelegateSet(MAKER, DELEGATE, NOW + HOUR))
    place(exchange, DELEGATE)
    place(exchange, DELEGATE, price=90)
    exchange.place(TAKER, SELL, 100, 5)
    exchange.roll_back(number)
    assert len(exchange.of(TradeBusted)) == 1
    assert exchange.core.open_orders(MAKER) == []
    assert (delegates(exchange), exchange.core.next_due_ms) == ([], None)
    assert code_of(place(exchange, DELEGATE)) == Code.NOT_DELEGATE


def test_revocation_that_is_gone_gives_the_time_back(exchange: Exchange) -> None:
    exchange.mine(DelegateSet(MAKER, DELEGATE, NOW + 9 * HOUR))
    place(exchange, DELEGATE)
    number, _ = exchange.head
    exchange.mine(DelegateSet(MAKER, DELEGATE, NOW + HOUR))
    exchange.roll_back(number)
    assert delegates(exchange) == [(DELEGATE, NOW + 9 * HOUR)]
    assert len(exchange.core.open_orders(MAKER)) == 1


def test_revocation_of_nobody_leaves_nothing(exchange: Exchange) -> None:
    before = exchange.core.delegates(MAKER)
    exchange.mine(DelegateSet(MAKER, STRANGER, 0))
    assert exchange.core.delegates(MAKER) == before
    assert exchange.core._state.accounts[MAKER].delegations == {}


def test_restored_core_knows_delegates_and_their_orders(exchange: Exchange) -> None:
    exchange.mine(DelegateSet(MAKER, DELEGATE, NOW + HOUR))
    place(exchange, DELEGATE)
    restored = Core.restore(exchange.core.snapshot())
    assert restored.snapshot() == exchange.core.snapshot()
    assert restored.all_delegates() == exchange.core.all_delegates()
    exchange.now_ms = (NOW + HOUR + 1) * 1000
    exchange.run(Tick())
    assert restored.execute(Tick(), exchange.now_ms)[1] == exchange.events
    assert restored.snapshot() == exchange.core.snapshot()


def test_prolongation_that_is_confirmed_after_the_end_counts(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange(confirmations=2)
    exchange.mine(DelegateSet(MAKER, DELEGATE, NOW + 10))
    exchange.mine()
    placed = place(exchange, DELEGATE)
    exchange.mine(DelegateSet(MAKER, DELEGATE, NOW + HOUR))
    exchange.now_ms = (NOW + 11) * 1000
    exchange.run(Tick())
    assert [update.order_hash for update in exchange.of(OrderUpdate)] == [placed.order_hash]
    exchange.mine()
    assert delegates(exchange) == [(DELEGATE, NOW + HOUR)]
