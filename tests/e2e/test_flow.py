"""Order flow as a file on a running exchange: the demo plays one, and recordings of that are the file again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.sample_flow import SAMPLE
from offchain.flow import Cancel, FlowFile, FlowWriter, Place, Reference
from tests.e2e.exchange import PRICE, eventually
from tests.unit.flow.flows import HEADER, terms, timeless

ROOT = Path(__file__).parents[2]


def test_demo_replays_a_file_and_its_recording_is_the_file_again(tmp_path):
    ape = Path(sys.executable).parent / "ape"
    command = [str(ape), "run", "demo", "--orders", str(SAMPLE), "--data", str(tmp_path / "demo")]
    demo = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180)
    assert demo.returncode == 0, demo.stdout[-4_000:] + demo.stderr[-4_000:]
    lines = demo.stdout.splitlines()
    summary = json.loads(lines[-1])
    assert (summary["restarts"], summary["differences"]) == (0, 0)
    assert summary["batches"] >= 1
    assert summary["fills"] > 30
    assert any(line.startswith(f"{FlowFile(SAMPLE).operations} operations in ") for line in lines)

    recorded = tmp_path / "recorded.jsonl"
    command = [sys.executable, "-m", "offchain", "record", "--data-dir", str(tmp_path / "demo" / "service")]
    told = subprocess.run([*command, str(recorded)], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines()[0].startswith(f"recorded {FlowFile(SAMPLE).operations} operations of 5 traders")
    assert timeless(recorded) == timeless(SAMPLE)
    assert FlowFile(recorded).operations == FlowFile(SAMPLE).operations
    again = subprocess.run([*command, str(recorded)], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (again.returncode, "File exists" in again.stderr) == (78, True)


@pytest.fixture(scope="module")
def exchange(local_upstream, tmp_path_factory):
    folder = tmp_path_factory.mktemp("flow") / "service"
    with local_upstream.fork(folder) as exchange, exchange.running():
        yield exchange


@pytest.fixture
def crosspoint(exchange):
    """Start the command as this account, or as nobody."""

    async def start(account, *arguments):
        environment = os.environ | {"CROSSPOINT_URL": exchange.url}
        if account is not None:
            environment["CROSSPOINT_KEY"] = account.key.hex()
        command = [sys.executable, "-c", "from offchain.cli.main import main; main()", "--json", *map(str, arguments)]
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(*command, env=environment, cwd=ROOT, stdout=pipe, stderr=pipe)

    return start


async def test_traders_record_themselves_while_a_file_is_replayed(exchange, crosspoint, tmp_path):
    maker, taker = exchange.roles.maker, exchange.roles.taker
    async with exchange.clients() as (client, _):
        await exchange.until_indexed(client)
    flow = tmp_path / "flow.jsonl"
    with FlowWriter(flow, HEADER) as writer:
        price = f"{PRICE}"
        for turn in range(10):
            sell = terms(side="sell", price=price, quantity="0.1")
            line = writer.append(Place(t=10 * turn, trader="maker", order=sell))
            writer.append(Place(t=10 * turn, trader="taker", order=terms(price=price, quantity="0.04")))
            writer.append(Cancel(t=10 * turn, trader="maker", cancels=Reference(line)))
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"maker": maker.key.hex(), "taker": taker.key.hex()}))

    recorded = tmp_path / "recorded.jsonl"
    recording = await crosspoint(maker, "record", recorded, "--trader", "maker")
    assert (await asyncio.wait_for(recording.stderr.readline(), 30)).startswith(b"recording; Ctrl-C ends it")
    replaying = await crosspoint(None, "replay-flow", flow, "--speed", "max", "--keys", keys)
    output, errors = await asyncio.wait_for(replaying.communicate(), 60)
    assert replaying.returncode == 0, errors.decode()
    summary = json.loads(output)
    assert (summary["operations"], summary["accepted"], summary["fills"], summary["refused"]) == (30, 30, 10, {})
    async with exchange.clients() as (client, _):
        await eventually(client.status, lambda _: len(recorded.read_bytes().splitlines()) > 20)
        recording.send_signal(signal.SIGINT)
        output, errors = await asyncio.wait_for(recording.communicate(), 30)
        assert recording.returncode == 0, errors.decode()
        assert json.loads(output)["operations"] == 20
        await exchange.until_settled(client)
    mine = [line for line in timeless(flow)[1:] if line["trader"] == "maker"]
    assert [line["op"] for line in timeless(recorded)[1:]] == [line["op"] for line in mine]
    assert await exchange.differences() == []
