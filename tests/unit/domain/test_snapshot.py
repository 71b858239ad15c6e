"""Snapshots hold everything, and only what they should."""

from __future__ import annotations

import msgspec
import pytest

from offchain.domain import snapshot
from offchain.domain.commands import (
    BatchClosed,
    BatchParked,
    Bust,
    CancelOrder,
    ChainRollback,
    Command,
    CreateApiKey,
    SetStatus,
    Tick,
)
from offchain.domain.core import Core
from offchain.domain.snapshot import SnapshotError
from tests.utils.exchange import BUY, GTD, IOC, MAKER, OTHER, SELL, TAKER, USDC, Exchange


@pytest.fixture
def busy(exchange: Exchange) -> Exchange:
    """An exchange in which everything is in use."""
    exchange.place(MAKER, BUY, 100, 20, key=5, name="mine")
    exchange.place(OTHER, BUY, 100, 20)
    exchange.place(MAKER, BUY, 100, 10, key=5, sequence=2)
    exchange.place(OTHER, SELL, 120, 7, tif=GTD)
    exchange.place(TAKER, SELL, 100, 5, tif=IOC)
    exchange.place(TAKER, SELL, 100, 8)
    exchange.place(TAKER, BUY, 100, 10**6)
    exchange.mine(exchange.batch_settled(1, exchange.trades()[:1]))
    exchange.mine(exchange.requested(MAKER, USDC, 500))
    exchange.run(SetStatus(2, True, "maintenance"))
    exchange.run(BatchClosed(2, 2, 2, 10**10))
    exchange.run(BatchParked(2, "StaleNonce(1)", 2))
    exchange.run(CreateApiKey(MAKER, "k1", b"\x01" * 32, "bot", ["read"], 2**40 - 1))
    return exchange


def test_restored_core_is_equal(busy: Exchange) -> None:
    data = busy.core.snapshot()
    restored = Core.restore(data)
    assert restored.snapshot() == data
    assert restored.status() == busy.core.status()
    assert restored.markets == busy.core.markets
    for account in (MAKER, TAKER, OTHER):
        assert restored.balances(account) == busy.core.balances(account)
        assert [o.order_hash for o in restored.open_orders(account)] == [
            o.order_hash for o in busy.core.open_orders(account)
        ]
    assert restored.next_due_ms == busy.core.next_due_ms
    assert restored.all_api_keys() == busy.core.all_api_keys() != []


def test_restored_core_continues_alike(busy: Exchange) -> None:
    restored = Core.restore(busy.core.snapshot())
    order_hash = busy.core.open_orders(OTHER)[0].order_hash
    settled, unsettled, *_ = busy.trades()
    assert settled.item == 1
    number, _ = busy.head
    commands: list[Command] = [
        busy.command(busy.order(TAKER, SELL, 100, 3)),
        CancelOrder(OTHER, order_hash, b"", 0),
        busy.command(busy.order(MAKER, BUY, 101, 3, key=5, sequence=3)),
        Bust([unsettled.id], "bad"),
        Tick(),
    ]
    for command in commands:
        busy.run(command)
        assert restored.execute(command, busy.now_ms)[1] == busy.events
    busy.roll_back(number - 2)
    rolled_back = busy.events
    _, head = busy.head
    assert restored.execute(ChainRollback(number - 2, head), busy.now_ms)[1] == rolled_back
    assert restored.snapshot() == busy.core.snapshot()


def test_taking_a_snapshot_changes_nothing(busy: Exchange) -> None:
    assert busy.core.snapshot() == busy.core.snapshot()


def test_empty_core() -> None:
    assert Core.restore(Core().snapshot()).snapshot() == Core().snapshot()


@pytest.mark.parametrize("data", [b"", b"\x00", b"not a snapshot", b"\xc1{}", b"\x91\xa1x"])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(SnapshotError, match="not a snapshot"):
        Core.restore(data)


def test_truncated_snapshot_is_refused(busy: Exchange) -> None:
    with pytest.raises(SnapshotError, match="not a snapshot"):
        Core.restore(busy.core.snapshot()[:-7])


def test_other_version_is_refused(busy: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    data = busy.core.snapshot()
    monkeypatch.setattr(snapshot, "VERSION", snapshot.VERSION + 1)
    with pytest.raises(SnapshotError, match=f"version {snapshot.VERSION - 1}, this is version {snapshot.VERSION}"):
        Core.restore(data)


def test_unreadable_version_is_refused() -> None:
    with pytest.raises(SnapshotError):
        Core.restore(msgspec.msgpack.encode(["one"]))
