"""The published book follows the changes, and clients that apply the messages hold the same book."""

from __future__ import annotations

import zlib
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offchain.api.marketview import MarketView, ViewBroken
from offchain.api.schemas.http import checksum
from offchain.api.schemas.stream import DepthSnapshot, DepthUpdate
from offchain.client import BookDiverged, OrderBook
from offchain.domain.order import Side
from tests.unit.api.exchange import BTC_USDC, NOW_MS


def create_view(depth_levels: int = 1_000) -> MarketView:
    return MarketView(BTC_USDC, depth_levels, 1, NOW_MS)


def snapshot_of(view: MarketView) -> DepthSnapshot:
    return msgspec.json.decode(view.snapshot(), type=DepthSnapshot)


def update_of(frame: bytes | None) -> DepthUpdate:
    assert frame is not None
    return msgspec.json.decode(frame, type=DepthUpdate)


def test_updates_carry_changed_levels_with_absolute_sizes() -> None:
    view = create_view()
    view.change(Side.BUY, 950_001, 50_000)
    view.change(Side.SELL, 950_002, 1)
    view.flush(5, NOW_MS)
    view.change(Side.BUY, 950_001, -20_000)
    view.change(Side.SELL, 950_002, -1)
    update = update_of(view.flush(9, NOW_MS + 1))
    assert (update.prev_seq, update.seq, update.time) == (5, 9, NOW_MS + 1)
    assert update.data.bids == [("95000.1", "0.3")]
    assert update.data.asks == [("95000.2", "0")]


def test_what_nets_to_nothing_is_not_sent() -> None:
    view = create_view()
    assert view.flush(2, NOW_MS) is None
    view.change(Side.BUY, 1, 5)
    view.change(Side.BUY, 1, -5)
    assert view.flush(3, NOW_MS) is None
    assert view.seq == 1


def test_nobody_sees_what_is_not_flushed() -> None:
    view = create_view()
    view.change(Side.BUY, 950_001, 50_000)
    assert view.book(10).bids == []
    assert snapshot_of(view).data.bids == []
    view.flush(2, NOW_MS)
    assert view.book(10).bids == snapshot_of(view).data.bids == [("95000.1", "0.5")]


def test_a_level_below_zero_breaks_the_view() -> None:
    with pytest.raises(ViewBroken, match="BTC-USDC"):
        create_view().change(Side.SELL, 5, -1)


def test_the_checksum_is_the_documented_one() -> None:
    view = create_view()
    for step in range(12):
        view.change(Side.BUY, 950_000 - step, 1_000)
        view.change(Side.SELL, 950_010 + step, 2_000)
    view.flush(2, NOW_MS)
    bids = [f"{Decimal(95_000) - Decimal(step) / 10:f}".removesuffix(".0") + ":0.01" for step in range(10)]
    asks = [f"{Decimal(95_001) + Decimal(step) / 10:f}".removesuffix(".0") + ":0.02" for step in range(10)]
    assert bids[1] == "94999.9:0.01"
    assert view.checksum() == zlib.crc32("|".join(bids + asks).encode())
    assert view.book(3).checksum == view.checksum()
    assert checksum([], []) == 0


def test_only_the_best_levels_are_published() -> None:
    view = create_view(depth_levels=2)
    for price in (10, 11, 12):
        view.change(Side.BUY, price, 1)
    view.flush(2, NOW_MS)
    assert [price for price, _ in view.book(10).bids] == ["1.2", "1.1"]
    view.change(Side.BUY, 12, -1)
    update = update_of(view.flush(3, NOW_MS))
    assert sorted(update.data.bids) == [("1", "0.00001"), ("1.2", "0")]


changes = st.lists(
    st.tuples(st.sampled_from(Side), st.integers(1, 30), st.integers(0, 5), st.booleans()), min_size=1, max_size=60
)


@settings(max_examples=100, deadline=None)
@given(changes, st.integers(1, 8))
def test_clients_hold_the_published_book(steps: list[tuple[Side, int, int, bool]], depth_levels: int) -> None:
    view, book = create_view(depth_levels), OrderBook()
    book.apply(snapshot_of(view))
    sizes: dict[tuple[Side, int], int] = {}
    for seq, (side, price, size, is_flush) in enumerate(steps, 2):
        view.change(side, price, size - sizes.get((side, price), 0))
        sizes[side, price] = size
        if is_flush:
            frame = view.flush(seq, NOW_MS)
            if frame is not None:
                assert book.apply(update_of(frame))
            assert (book.bids(), book.asks()) == (view.book(depth_levels).bids, view.book(depth_levels).asks)
            expected = sorted((p for (s, p), n in sizes.items() if s is Side.BUY and n), reverse=True)[:depth_levels]
            assert [Decimal(p) for p, _ in book.bids()] == [Decimal(p) / 10 for p in expected]


# ---------------------------------------------------------------------------------------------------------------------
# The client's book
# ---------------------------------------------------------------------------------------------------------------------


def test_a_missing_update_is_noticed() -> None:
    view, book = create_view(), OrderBook()
    book.apply(snapshot_of(view))
    view.change(Side.BUY, 5, 1)
    view.flush(2, NOW_MS)
    view.change(Side.BUY, 6, 1)
    with pytest.raises(BookDiverged, match="follows 2, not 1"):
        book.apply(update_of(view.flush(3, NOW_MS)))


def test_a_wrong_checksum_is_noticed() -> None:
    view, book = create_view(), OrderBook()
    book.apply(snapshot_of(view))
    view.change(Side.BUY, 5, 1)
    update = update_of(view.flush(2, NOW_MS))
    data = msgspec.structs.replace(update.data, bids=[("0.5", "0.00002")])
    with pytest.raises(BookDiverged, match="checksum"):
        book.apply(msgspec.structs.replace(update, data=data))


def test_a_repetition_is_passed_over_and_a_snapshot_starts_again() -> None:
    view, book = create_view(), OrderBook()
    book.apply(snapshot_of(view))
    view.change(Side.BUY, 5, 1)
    update = update_of(view.flush(2, NOW_MS))
    assert book.apply(update)
    assert not book.apply(update)
    assert (book.best_bid, book.best_ask) == (Decimal("0.5"), None)
    assert book.apply(snapshot_of(create_view()))
    assert (book.best_bid, book.seq) == (None, 1)
