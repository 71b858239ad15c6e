"""Recording and replaying from the command line."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest
from click.testing import CliRunner

from offchain.__main__ import main as service
from offchain.cli.flow import read_keys
from offchain.client.client import Client
from offchain.flow import Cancel, FlowFile, Place, Reference
from scripts._demo.flow import FlowRefused, read
from scripts.demo import cli as demo
from tests.unit.api.exchange import MAKER, TAKER
from tests.unit.flow.flows import terms, write

TRADES = [
    Place(t=0, trader="maker", order=terms(side="sell")),
    Place(t=1, trader="taker", order=terms(type="market", time_in_force="IOC", expires_in=60)),
    Cancel(t=2, trader="maker", cancels=Reference(2)),
]


@pytest.fixture
def flow(tmp_path):
    """A file of a maker and a taker."""
    return write(tmp_path / "flow.jsonl", TRADES)


@pytest.fixture
def keys(tmp_path):
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"maker": MAKER.key.hex(), "taker": "0x" + TAKER.key.hex()}))
    return path


# ---------------------------------------------------------------------------------------------------------------------
# crosspoint
# ---------------------------------------------------------------------------------------------------------------------


async def test_flow_is_replayed_with_the_traders_keys(run, exchange, flow, keys):
    result = await run("--json", "replay-flow", str(flow), "--speed", "max", "--keys", str(keys))
    assert result.exit_code == 0, result.output
    summary = json.loads(result.output.splitlines()[-1])
    assert (summary["orders"], summary["cancels"], summary["accepted"], summary["fills"]) == (2, 1, 2, 1)
    assert summary["refused"] == {"orderNotOpen": 1}


async def test_summary_for_people(run, flow, keys):
    result = await run("replay-flow", str(flow), "--keys", str(keys))
    told, *lines = result.output.splitlines()
    assert lines[1:3] == ["accepted 2, refused 1, fills 1", "  orderNotOpen: 1"]
    assert lines[0].startswith("3 operations in ")
    assert lines[3].startswith("answers: p50 ")
    assert told.endswith("3 operations of 2 traders")


async def test_one_key_signs_for_all_and_says_what_that_means(run, exchange, flow):
    result = await run("--json", "replay-flow", str(flow), "--speed", "max", trader=MAKER)
    assert json.loads(result.output.splitlines()[-1])["fills"] == 0
    assert "one key signs for all traders" in result.output


async def test_check_sends_nothing_and_needs_no_key(run, exchange, flow):
    before = len(exchange.journal.records)
    result = await run("replay-flow", str(flow), "--check")
    assert result.exit_code == 0
    assert result.output == f"{flow}: 3 operations of 2 traders; it fits the exchange\n"
    shown = json.loads((await run("--json", "replay-flow", str(flow), "--check")).output)
    assert shown == {"operations": 3, "traders": ["maker", "taker"]}
    assert len(exchange.journal.records) == before


@pytest.mark.parametrize("more", [(), ("--check",)])
async def test_nothing_is_sent_of_a_file_with_a_bad_line(run, exchange, flow, keys, more):
    bad = Place(t=9, trader="maker", order=terms(price="1.01"))
    flow.write_bytes(flow.read_bytes() + msgspec.json.encode(bad))
    before = len(exchange.journal.records)
    result = await run("replay-flow", str(flow), "--keys", str(keys), *more)
    assert result.exit_code == 1
    assert "line 5, order.price: 1.01 is not a multiple of the tick in BTC-USDC" in result.output
    assert len(exchange.journal.records) == before


async def test_a_file_that_is_not_there_is_named(run, tmp_path):
    result = await run("replay-flow", str(tmp_path / "none.jsonl"))
    assert result.exit_code == 1
    assert "none.jsonl" in result.output


async def test_a_replay_needs_keys(run, flow, keys):
    assert "there is no private key" in (await run("replay-flow", str(flow))).output
    keys.write_text(json.dumps({"maker": MAKER.key.hex()}))
    assert "no key for taker" in (await run("replay-flow", str(flow), "--keys", str(keys))).output


@pytest.mark.parametrize("text", ["[]", "{", '{"maker": "0xSECRET"}', '{"maker": 5}', "\udcff"])
def test_a_bad_key_file_is_refused_without_showing_keys(keys, text):
    keys.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=r"private keys by trader|key of maker") as caught:
        read_keys(keys)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("speed", ["fast", "0", "-1", "nan", "inf"])
async def test_a_speed_is_a_number_or_max(run, flow, speed):
    result = await run("replay-flow", str(flow), "--speed", speed)
    assert result.exit_code == 2
    assert "is neither max nor a number" in result.output


async def test_an_account_is_recorded(run, api, tmp_path):
    path = tmp_path / "recorded.jsonl"
    recording = asyncio.create_task(run("record", str(path), "--seconds", "3", "--trader", "me", trader=MAKER))
    async with Client(str(api.make_url("")), MAKER.key) as maker:
        while not recording.done():
            await maker.place_limit("BTC-USDC", "buy", "90000", "0.1")
            await asyncio.sleep(0.2)
    result = await recording
    assert result.exit_code == 0, result.output
    flow = FlowFile(path)
    assert flow.traders == ["me"]
    assert f"recorded {flow.operations} operations" in result.output


async def test_a_recording_needs_an_account_a_name_and_a_new_file(run, flow):
    assert "no private key" in (await run("record", str(flow.parent / "a.jsonl"), "--seconds", "1")).output
    named = await run("record", str(flow.parent / "b.jsonl"), "--seconds", "1", "--trader", "a b", trader=MAKER)
    assert "1 to 64 letters" in named.output
    taken = await run("record", str(flow), "--seconds", "1", trader=MAKER)
    assert (taken.exit_code, "File exists" in taken.output) == (1, True)


# ---------------------------------------------------------------------------------------------------------------------
# The service's command, and the demo
# ---------------------------------------------------------------------------------------------------------------------


def test_recording_needs_a_journal(tmp_path):
    result = CliRunner().invoke(service, ["record", str(tmp_path / "a.jsonl"), "--data-dir", str(tmp_path)])
    assert (result.exit_code, "holds no journal" in result.output) == (78, True)
    assert not (tmp_path / "a.jsonl").exists()


def test_the_demo_refuses_a_bad_file_before_it_starts_anything(tmp_path, flow):
    flow.write_bytes(flow.read_bytes() + b"nonsense\n")
    result = CliRunner().invoke(demo, ["--orders", str(flow)])
    assert (result.exit_code, "line 5" in result.output) == (2, True)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--orders", "FLOW", "--batches", "1"], "ends with the file"),
        (["--orders", "FLOW", "--kill-once"], "ends with the file"),
        (["--speed", "2"], "--speed is for --orders"),
    ],
)
def test_options_that_do_not_belong_together(flow, options, reason):
    result = CliRunner().invoke(demo, [str(flow) if option == "FLOW" else option for option in options])
    assert (result.exit_code, reason in result.output) == (2, True)


def test_the_demo_plays_a_bounded_number_of_traders(tmp_path):
    many = write(tmp_path / "many.jsonl", [Place(t=0, trader=f"t{n}", order=terms()) for n in range(51)])
    with pytest.raises(FlowRefused, match="51 traders; the demo plays 1 to 50"):
        read(many)
    with pytest.raises(FlowRefused, match="0 traders"):
        read(write(tmp_path / "none.jsonl", []))
