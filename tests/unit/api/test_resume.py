"""Books go on after a lost connection from what was kept, else from a snapshot marked `resync`."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offchain.api.marketview import MarketView
from offchain.api.schemas.stream import DepthSnapshot, DepthUpdate
from offchain.api.state import ApiSettings
from offchain.client import OrderBook
from offchain.domain.order import Side
from tests.unit.api.conftest import Api
from tests.unit.api.exchange import BTC_USDC, MAKER, NOW_MS, Exchange
from tests.unit.api.sockets import DEPTH, TRADE, Connect, Socket, place

# ---------------------------------------------------------------------------------------------------------------------
# The ring
# ---------------------------------------------------------------------------------------------------------------------


def filled(ring: int = 4, ring_bytes: int = 10_000, updates: int = 6) -> MarketView:
    """With updates 2, 4, 6, …"""
    view = MarketView(BTC_USDC, 100, 1, NOW_MS, ring, ring_bytes)
    for step in range(updates):
        view.change(Side.BUY, 1 + step, 1)
        view.flush(2 + 2 * step, NOW_MS)
    return view


def seqs(frames: list[bytes] | None) -> list[int] | None:
    return None if frames is None else [msgspec.json.decode(frame)["seq"] for frame in frames]


def test_what_followed_a_message_is_kept() -> None:
    view = filled()
    assert seqs(view.missed(8)) == [10, 12]
    assert seqs(view.missed(4)) == [6, 8, 10, 12]
    assert seqs(view.missed(12)) == []


@pytest.mark.parametrize("after", [2, 1, 0, 3, 5, 13])
def test_what_is_not_kept_or_no_message_of_ours_is_not_resumed(after: int) -> None:
    assert filled().missed(after) is None


def test_the_ring_is_bounded_by_its_size_too() -> None:
    size = len(filled(updates=1).missed(1)[0])  # type: ignore[index]
    view = filled(ring=100, ring_bytes=3 * size + size // 2, updates=8)
    assert seqs(view.missed(10)) == [12, 14, 16]
    assert view.missed(8) is None
    assert filled(ring_bytes=size - 1).missed(10) is None


@given(st.lists(st.tuples(st.integers(1, 8), st.integers(0, 3)), min_size=1, max_size=40), st.data())
def test_a_book_that_resumes_equals_the_published_one(steps: list[tuple[int, int]], data: st.DataObject) -> None:
    """Wherever it was left, and however much was kept."""
    view, book = MarketView(BTC_USDC, 4, 1, NOW_MS, data.draw(st.integers(1, 20))), OrderBook()
    left = data.draw(st.integers(0, len(steps)))
    sizes: dict[int, int] = {}
    book.apply(msgspec.json.decode(view.snapshot(), type=DepthSnapshot))
    for place_, (price, size) in enumerate(steps):
        view.change(Side.SELL, price, size - sizes.get(price, 0))
        sizes[price] = size
        frame = view.flush(2 + place_, NOW_MS)
        if frame is not None and place_ < left:
            book.apply(msgspec.json.decode(frame, type=DepthUpdate))
    missed = view.missed(book.seq)
    if missed is None:
        book.apply(msgspec.json.decode(view.snapshot(resync=True), type=DepthSnapshot))
    for frame in missed or ():
        assert book.apply(msgspec.json.decode(frame, type=DepthUpdate))
    assert (book.asks(), book.seq) == (view.book(10).asks, view.seq)


# ---------------------------------------------------------------------------------------------------------------------
# Over a socket
# ---------------------------------------------------------------------------------------------------------------------


async def updates(api: Api, socket: Socket, count: int, first: int) -> list[dict[str, Any]]:
    """Messages of as many changes, each of its own."""
    found = []
    for key in range(first, first + count):
        await place(api, MAKER, key, price=900_000 + key)
        found.append(await socket.next())
    return found


async def test_a_subscription_goes_on_after_a_message(api: Api, connect: Connect) -> None:
    first, second = await connect(), await connect()
    await first.subscribe(DEPTH)
    await first.next()
    seen = await updates(api, first, 4, 1)
    await second.subscribe(DEPTH, after=seen[1]["seq"])
    assert [await second.next() for _ in range(2)] == seen[2:]
    resumed = await second.next()
    assert resumed == {"type": "resumed", "channel": DEPTH, "seq": seen[3]["seq"]}
    (live,) = await updates(api, first, 1, 5)
    assert await second.next() == live
    assert live["prevSeq"] == resumed["seq"]


async def test_who_has_everything_is_told_so(api: Api, connect: Connect) -> None:
    socket = await connect()
    await socket.subscribe(DEPTH)
    snapshot = await socket.next()
    await socket.subscribe(DEPTH, after=snapshot["seq"])
    assert (await socket.next())["type"] == "resumed"


async def test_beyond_the_ring_a_snapshot_says_resync(create_exchange: Any, create_api: Any) -> None:
    api = await create_api(await create_exchange(ApiSettings(depth_ring=2)))
    socket = Socket(await api.ws_connect("/v1/ws"))
    await socket.subscribe(DEPTH)
    start = await socket.next()
    await updates(api, socket, 3, 1)
    for after in (start["seq"], 10**9):
        await socket.subscribe(DEPTH, after=after)
        snapshot = await socket.next()
        assert (snapshot["type"], snapshot["resync"], len(snapshot["data"]["bids"])) == ("snapshot", True, 3)


async def test_what_would_fill_half_of_the_queue_is_a_snapshot(create_exchange: Any, create_api: Any) -> None:
    api = await create_api(await create_exchange(ApiSettings(send_queue=5)))
    socket = Socket(await api.ws_connect("/v1/ws"))
    await socket.subscribe(DEPTH)
    start = await socket.next()
    seen = await updates(api, socket, 3, 1)
    await socket.subscribe(DEPTH, after=start["seq"])
    assert (await socket.next())["type"] == "snapshot"
    await socket.subscribe(DEPTH, after=seen[0]["seq"])
    assert (await socket.next())["type"] == "update"


async def test_after_a_gap_of_the_service_nothing_is_resumed(api: Api, exchange: Exchange, connect: Connect) -> None:
    """The books are filled anew, so that what was kept does not lead to them."""
    socket = await connect()
    await socket.subscribe(DEPTH)
    start = await socket.next()
    exchange.feed.is_losing = True
    await place(api, MAKER, 1)
    exchange.feed.is_losing = False
    await place(api, MAKER, 2, price=900_000)
    while not (await socket.next()).get("resync"):
        pass
    await socket.subscribe(DEPTH, after=start["seq"])
    assert (await socket.next())["resync"] is True


async def test_trades_are_not_resumed(connect: Connect) -> None:
    socket = await connect()
    await socket.send(op="subscribe", channels=[DEPTH, TRADE], after=1)
    refusal = await socket.next()
    assert (refusal["code"], refusal["param"]) == ("invalidValue", "after")
