"""Deadlines, watched connections, bulk cancels: how an account gets out at once."""

from __future__ import annotations

import pytest

from offchain.domain import ending
from offchain.domain.commands import CancelOrders, ConnectionLost, SetDeadline, Tick, WatchConnection
from offchain.domain.core import Core
from offchain.domain.errors import Rejection
from offchain.domain.events import ConnectionUpdate, DeadlineUpdate, OrderUpdate
from offchain.domain.results import Done, OrdersCanceled
from tests.utils.exchange import BTC_USDC, BUY, ETH_USDC, MAKER, OTHER, SELL, TAKER, USDC, Exchange, stop

CONNECTION = b"\x77" * 16
STRANGER = b"\x99" * 20


@pytest.fixture
def busy(exchange: Exchange) -> Exchange:
    """The maker has a bid and an offer in both markets, and a stop; another has a bid."""
    for market in (BTC_USDC.id, ETH_USDC.id):
        exchange.place(MAKER, BUY, 90, 1, market=market)
        exchange.place(MAKER, SELL, 110, 1, market=market)
    exchange.place(MAKER, BUY, 120, 1, trigger=stop(115))
    exchange.place(OTHER, BUY, 90, 1)
    return exchange


def ended(exchange: Exchange) -> list[tuple[str, str]]:
    return [(event.status.value, event.code) for event in exchange.of(OrderUpdate)]


# ---------------------------------------------------------------------------------------------------------------------
# Bulk cancels
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("market", "side", "count"),
    [(None, None, 5), (BTC_USDC.id, None, 3), (None, SELL, 2), (ETH_USDC.id, BUY, 1), (99, None, 0)],
)
def test_what_fits_is_canceled(busy: Exchange, market: int | None, side: int | None, count: int) -> None:
    result = busy.run(CancelOrders(MAKER, 0, market, side))
    assert isinstance(result, OrdersCanceled)
    assert (len(result.order_hashes), result.remaining) == (count, 0)
    assert ended(busy) == [("canceled", "user")] * count
    assert len(busy.core.open_orders(MAKER)) == 5 - count
    assert len(busy.core.open_orders(OTHER)) == 1


def test_of_too_many_the_oldest_go_first(busy: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "MAX_CANCELED", 2)
    oldest = [live.order_hash for live in busy.core.open_orders(MAKER)[:2]]
    assert busy.run(CancelOrders(MAKER, 0)) == OrdersCanceled(oldest, 3)
    assert busy.run(CancelOrders(STRANGER, 0)) == OrdersCanceled([], 0)


# ---------------------------------------------------------------------------------------------------------------------
# Deadlines
# ---------------------------------------------------------------------------------------------------------------------


def test_all_orders_end_at_the_deadline(busy: Exchange) -> None:
    at = busy.now_ms + 30_500
    assert busy.run(SetDeadline(MAKER, at)) == Done()
    assert busy.events == [DeadlineUpdate(MAKER, at)]
    assert busy.core.next_due_ms == at
    busy.now_ms = at - 1
    busy.run(Tick())
    assert len(busy.core.open_orders(MAKER)) == 5
    busy.now_ms = at
    busy.run(Tick())
    assert ended(busy) == [("canceled", "cancelAfter")] * 5
    assert busy.of(DeadlineUpdate) == [DeadlineUpdate(MAKER, 0)]
    assert (busy.core.next_due_ms, len(busy.core.open_orders(OTHER))) == (None, 1)


def test_nobody_meets_an_order_after_its_deadline(busy: Exchange) -> None:
    """Without a tick between: the deadline comes before whatever comes next."""
    busy.run(SetDeadline(MAKER, busy.now_ms + 1_000))
    busy.now_ms += 1_000
    assert busy.place(TAKER, BUY, 110, 1).status == "open"


def test_a_deadline_is_put_off_and_taken_back(busy: Exchange) -> None:
    busy.run(SetDeadline(MAKER, busy.now_ms + 1_000))
    busy.run(SetDeadline(MAKER, busy.now_ms + 2_000))
    busy.now_ms += 1_500
    busy.run(Tick())
    assert len(busy.core.open_orders(MAKER)) == 5
    busy.run(SetDeadline(MAKER, 0))
    busy.now_ms += 1_500
    busy.run(Tick())
    assert len(busy.core.open_orders(MAKER)) == 5


@pytest.mark.parametrize("ahead", [-1, 0, 86_400_001])
def test_a_deadline_lies_ahead_and_within_a_day(busy: Exchange, ahead: int) -> None:
    result = busy.run(SetDeadline(MAKER, busy.now_ms + ahead))
    assert isinstance(result, Rejection)
    assert (result.code, result.param) == ("invalidDeadline", "seconds")


@pytest.mark.parametrize("command", [SetDeadline(STRANGER, 0), WatchConnection(STRANGER, CONNECTION, True)])
def test_strangers_are_refused(busy: Exchange, command: SetDeadline | WatchConnection) -> None:
    result = busy.run(command)
    assert isinstance(result, Rejection)
    assert result.code == "unknownAccount"


# ---------------------------------------------------------------------------------------------------------------------
# Connections
# ---------------------------------------------------------------------------------------------------------------------


def test_all_orders_end_when_the_connection_is_lost(busy: Exchange) -> None:
    assert busy.run(WatchConnection(MAKER, CONNECTION, True)) == Done()
    assert busy.core.watched_connections == [CONNECTION]
    assert busy.run(ConnectionLost(CONNECTION)) == Done()
    assert ended(busy) == [("canceled", "disconnected")] * 5
    assert busy.of(ConnectionUpdate) == [ConnectionUpdate(MAKER, CONNECTION, False)]
    assert busy.core.watched_connections == []
    assert busy.run(ConnectionLost(CONNECTION)).code == "repeated"  # type: ignore[union-attr]


def test_a_connection_is_watched_no_more(busy: Exchange) -> None:
    busy.run(WatchConnection(MAKER, CONNECTION, True))
    assert busy.run(WatchConnection(MAKER, CONNECTION, True)).code == "repeated"  # type: ignore[union-attr]
    assert busy.run(WatchConnection(OTHER, CONNECTION, True)).code == "invalidConnection"  # type: ignore[union-attr]
    assert busy.run(WatchConnection(OTHER, CONNECTION, False)).code == "repeated"  # type: ignore[union-attr]
    assert busy.run(WatchConnection(MAKER, CONNECTION, False)) == Done()
    busy.run(ConnectionLost(CONNECTION))
    assert len(busy.core.open_orders(MAKER)) == 5


def test_guards_survive_a_restart(busy: Exchange) -> None:
    busy.run(SetDeadline(MAKER, busy.now_ms + 5_000))
    busy.run(WatchConnection(OTHER, CONNECTION, True))
    restored = Core.restore(busy.core.snapshot())
    assert restored.snapshot() == busy.core.snapshot()
    assert restored.watched_connections == [CONNECTION]
    later = busy.now_ms + 5_000
    for command in (Tick(), ConnectionLost(CONNECTION)):
        assert restored.execute(command, later) == busy.core.execute(command, later)
    assert restored.open_orders(MAKER) == restored.open_orders(OTHER) == []
    assert busy.balance(MAKER, USDC).reserved == 0
