"""Recording from a journal, and from an account's channel."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from offchain import recorder as recorder_module
from offchain.api.schemas.stream import TraderSnapshot
from offchain.client import Client
from offchain.client.recording import Live, LiveRecorder, record_live
from offchain.client.replay import Replay
from offchain.domain.commands import CancelOrder, PlaceOrder
from offchain.flow import Cancel, CancelAfter, CancelAll, FlowFile, FlowWriter, Place, PlaceArray, Reference, Replace
from offchain.flow import file as file_module
from offchain.recorder import Choice, NothingToRecord, Recorded, record
from tests.unit.api.exchange import MAKER, TAKER, create_order, until
from tests.unit.flow.flows import HEADER, Recording, terms, timeless, write

KEYS = {"trader-1": MAKER.key.hex(), "trader-2": TAKER.key.hex()}


def place(trader: int = 1, **changes: Any) -> Place:
    return Place(t=0, trader=f"trader-{trader}", order=terms(**changes))


@pytest.fixture
def play(api, tmp_path):
    """Replay operations on the exchange of the test."""

    async def run(*operations: Any) -> None:
        path = tmp_path / "played.jsonl"
        path.unlink(missing_ok=True)
        flow = FlowFile(write(path, operations))
        async with aiohttp.ClientSession() as session:
            await Replay(str(api.make_url("")), flow, KEYS, speed=None, session=session).run()

    return run


@pytest.fixture
def recorded(exchange, tmp_path):
    """What a recording of the exchange says, and what was told of it."""

    async def run(**choice: Any) -> tuple[list[Any], Recorded]:
        path = tmp_path / "recorded.jsonl"
        path.unlink(missing_ok=True)
        found = await record(Recording(exchange.journal.records), Choice(**choice), path)
        return timeless(path)[1:], found

    return run


# ---------------------------------------------------------------------------------------------------------------------
# From a journal
# ---------------------------------------------------------------------------------------------------------------------


async def test_the_same_bytes_again_are_not_another_order(exchange, recorded) -> None:
    command = exchange.place(MAKER, create_order(MAKER))
    for _ in range(2):
        await exchange.submit(command)
    lines, _ = await recorded()
    assert [line["op"] for line in lines] == ["place"]


async def test_a_higher_sequence_replaces_what_is_open_and_only_that(exchange, recorded) -> None:
    for sequence in (1, 2):
        await exchange.submit(exchange.place(MAKER, create_order(MAKER, nonce=1 << 32 | sequence)))
    await exchange.submit(exchange.place(TAKER, create_order(TAKER, side=1)))
    await exchange.submit(exchange.place(MAKER, create_order(MAKER, nonce=1 << 32 | 3)))
    lines, _ = await recorded()
    assert [line["op"] for line in lines] == ["place", "replace", "place", "place"]
    assert lines[1]["order"]["replaces"] == {"line": 2}
    assert "onlyIfOpen" not in lines[1]["order"]


async def test_times_are_those_of_arrival_since_the_first(exchange, recorded, tmp_path) -> None:
    for key, later in ((1, 0), (2, 250), (3, 1_000)):
        exchange.clock.ms += later
        await exchange.submit(exchange.place(MAKER, create_order(MAKER, nonce=key << 32)))
    await recorded()
    flow = FlowFile(tmp_path / "recorded.jsonl")
    assert [operation.t for _, operation in flow] == [0, 250, 1_250]
    assert flow.header.started_at == exchange.clock.ms - 1_250


async def test_accounts_become_names_in_the_order_in_which_they_come(exchange, recorded, tmp_path) -> None:
    for trader in (TAKER, MAKER, TAKER):
        nonce = len(exchange.journal.records) << 32
        await exchange.submit(exchange.place(trader, create_order(trader, nonce=nonce)))
    lines, found = await recorded()
    assert [line["trader"] for line in lines] == ["trader-1", "trader-2", "trader-1"]
    assert found.traders == 2
    text = (tmp_path / "recorded.jsonl").read_text().lower()
    for trader in (TAKER, MAKER):
        assert trader.address.hex() not in text


async def test_one_market_can_be_recorded_alone(play, recorded) -> None:
    await play(
        place(),
        place(market="ETH-USDC", price="3000"),
        PlaceArray(
            t=0, trader="trader-1", orders=[terms(market="ETH-USDC", price="2999"), terms(client_order_id="kept")]
        ),
        Cancel(t=0, trader="trader-1", cancels=Reference(3)),
        Cancel(t=0, trader="trader-1", cancels=Reference(4, 1)),
        CancelAll(t=0, trader="trader-1", market="ETH-USDC"),
        CancelAll(t=0, trader="trader-1"),
    )
    lines, found = await recorded(market="BTC-USDC")
    assert [line["op"] for line in lines] == ["place", "place", "cancel", "cancelAll"]
    assert lines[1]["order"]["clientOrderId"] == "kept"
    assert lines[2]["cancels"] == {"line": 3}
    assert (found.markets, found.left_out) == (["BTC-USDC"], 1)


async def test_a_recording_that_begins_later_does_not_refer_to_what_was_before(exchange, play, recorded) -> None:
    await play(place(), place(client_order_id="old"))
    after = exchange.journal.records[-1].last
    placed = [each for record in exchange.journal.records for each in record.commands if isinstance(each, PlaceOrder)]
    newer = create_order(MAKER, nonce=placed[0].order.nonce + 1)
    await exchange.submit(exchange.place(MAKER, newer))
    await exchange.submit(CancelOrder(MAKER.address, placed[1].order_hash, bytes(64), exchange.clock.ms))
    lines, found = await recorded(after=after)
    assert [line["op"] for line in lines] == ["place"]
    assert (found.left_out, found.detached) == (1, 1)


async def test_a_fee_that_is_not_the_exchanges_is_kept(play, recorded) -> None:
    await play(place(), place(max_fee_bps=60))
    lines, _ = await recorded()
    assert [line["order"].get("maxFeeBps") for line in lines] == [None, 60]


async def test_nothing_to_record_is_said_and_leaves_no_file(recorded, tmp_path) -> None:
    with pytest.raises(NothingToRecord):
        await recorded()
    assert not (tmp_path / "recorded.jsonl").exists()


async def test_a_full_file_ends_the_recording_and_is_a_good_one(play, recorded, monkeypatch) -> None:
    await play(*(place() for _ in range(4)))
    monkeypatch.setattr(file_module, "MAX_LINES", 3)
    lines, found = await recorded()
    assert (len(lines), found.operations, found.is_full) == (3, 3, True)


async def test_a_journal_that_fails_leaves_no_file(exchange, play, tmp_path) -> None:
    await play(place())

    class Failing(Recording):
        reads = 0

        async def read(self, after):
            self.reads += 1
            async for each in super().read(after):
                yield each
            if self.reads == 2:
                raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await record(Failing(exchange.journal.records), Choice(), tmp_path / "recorded.jsonl")
    assert not (tmp_path / "recorded.jsonl").exists()


async def test_what_is_remembered_is_bounded(play, recorded, monkeypatch) -> None:
    monkeypatch.setattr(recorder_module, "MAX_REMEMBERED", 1)
    await play(place(), place(), Cancel(t=0, trader="trader-1", cancels=Reference(2)))
    lines, found = await recorded()
    assert ([line["op"] for line in lines], found.left_out) == (["place", "place"], 1)


# ---------------------------------------------------------------------------------------------------------------------
# From an account's channel
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def listen(api, tmp_path):
    """Record the maker while something is done; what the recording says, and what was told of it."""

    async def run(act) -> tuple[list[Any], Live]:
        path: Path = tmp_path / "live.jsonl"
        stop, begun = asyncio.Event(), asyncio.Event()
        async with Client(str(api.make_url("")), MAKER.key) as client:
            recording = asyncio.create_task(record_live(client, path, "me", stop, begun.set))
            await asyncio.wait_for(begun.wait(), 10)
            lines = await act()
            await until(lambda: path.read_bytes().count(b"\n") > lines)
            stop.set()
            live = await recording
        return timeless(path)[1:], live

    return run


async def test_an_account_records_itself(listen, play) -> None:
    async def act() -> int:
        await play(
            place(client_order_id="a"),
            Replace(t=0, trader="trader-1", order=terms(price="94000", replaces=Reference(2))),
            place(2, side="sell"),
            place(1, trigger="stop", trigger_price="99000", time_in_force="GTD", expires_in=600),
            place(1, post_only=True, price="95000.1"),
            Cancel(t=0, trader="trader-1", cancels=Reference(3)),
            CancelAfter(t=0, trader="trader-1", seconds=600),
            CancelAfter(t=0, trader="trader-1", seconds=0),
        )
        return 7

    lines, live = await listen(act)
    assert (live.operations, live.left_out, live.detached, live.is_full) == (7, 0, 0, False)
    assert {line["trader"] for line in lines} == {"me"}
    assert [line["op"] for line in lines[:4]] == ["place", "replace", "place", "place"]
    assert [line["op"] for line in lines[4:]] == ["cancel", "cancelAfter", "cancelAfter"]
    assert lines[0]["order"]["clientOrderId"] == "a"
    assert (lines[1]["order"]["price"], lines[1]["order"]["replaces"]) == ("94000", {"line": 2})
    assert (lines[2]["order"]["trigger"], lines[2]["order"]["triggerPrice"]) == ("stop", "99000")
    assert lines[3]["order"]["postOnly"] is True  # refused: it would have taken
    assert lines[4]["cancels"] == {"line": 3}
    assert (lines[5]["seconds"], lines[6]["seconds"]) == (600, 0)


async def test_what_was_open_before_is_not_referred_to(exchange, listen, play, api) -> None:
    async with Client(str(api.make_url("")), MAKER.key) as maker:
        one = await maker.place_limit("BTC-USDC", "buy", "90000", "0.1")
        other = await maker.place_limit("BTC-USDC", "buy", "90000", "0.1")

        async def act() -> int:
            await maker.cancel(one.order_id)
            await maker.place_limit("BTC-USDC", "buy", "90001", "0.1", replaces=other.order_id)
            return 1

        lines, live = await listen(act)
    assert [line["op"] for line in lines] == ["place"]
    assert (live.left_out, live.detached) == (1, 1)


async def test_orders_of_a_gap_are_recorded(exchange, api, tmp_path) -> None:
    """Also while the views lag behind the news."""
    async with Client(str(api.make_url("")), MAKER.key) as maker:
        await maker.place_limit("BTC-USDC", "buy", "90000", "0.1")
        seen = await snapshot_of(maker)
        path = tmp_path / "live.jsonl"
        recorder = LiveRecorder(maker, FlowWriter(path, HEADER), "me", 50, lambda: 0)
        await recorder.hear(seen)
        await maker.place_limit("BTC-USDC", "buy", "91000", "0.1")
        await recorder.hear(msgspec.structs.replace(await snapshot_of(maker), resync=True))
        exchange.projecting.clear()
        await maker.place_limit("BTC-USDC", "buy", "92000", "0.1")
        lagging = asyncio.create_task(recorder.hear(msgspec.structs.replace(await snapshot_of(maker), resync=True)))
        await asyncio.sleep(0.05)
        exchange.projecting.set()
        await lagging
    assert [line["order"]["price"] for line in timeless(path)[1:]] == ["91000", "92000"]


async def snapshot_of(client: Client) -> TraderSnapshot:
    async with client.subscribe(client.trader_channel) as stream:
        async for message in stream:
            assert isinstance(message, TraderSnapshot)
            return message
    raise AssertionError("no snapshot")
