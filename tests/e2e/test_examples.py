"""The examples of docs/examples do what they say, against a running exchange."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.e2e.exchange import PRICE, SYMBOL, eventually

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.fixture(scope="module")
def exchange(local_upstream, tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples") / "service"
    with local_upstream.fork(folder) as exchange, exchange.running():
        yield exchange


@pytest.fixture
def start(exchange):
    """Start an example as this account."""

    async def run(account, *command, **more):
        environment = os.environ | {"CROSSPOINT_URL": exchange.url, "CROSSPOINT_KEY": "0x" + account.key.hex()} | more
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *map(str, command), env=environment, stdout=pipe, stderr=asyncio.subprocess.STDOUT
        )

    return run


async def output_of(process) -> list[str]:
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, output.decode()
    return output.decode().splitlines()


async def test_curl_reads(exchange, start):
    lines = await output_of(await start(exchange.roles.taker, "sh", EXAMPLES / "read.sh", SYMBOL))
    assert lines[0] == "# GET /v1/markets"
    assert sum(line.startswith("{") for line in lines) == 6
    async with exchange.clients() as (maker, _):
        secret = (await maker.create_key("curl")).secret
    script = EXAMPLES / "read.sh"
    lines = await output_of(await start(exchange.roles.taker, "sh", script, SYMBOL, CROSSPOINT_API_KEY=secret))
    assert sum(line.startswith("{") for line in lines) == 10
    assert exchange.roles.maker.address.lower() in "".join(lines)


async def test_market_maker_quotes_follows_and_leaves_nothing(exchange, start):
    maker, taker = exchange.roles.maker, exchange.roles.taker
    async with exchange.clients() as (client, other):
        await exchange.until_indexed(client)
        bot = await start(maker, sys.executable, EXAMPLES / "market_maker.py", SYMBOL, "0.01", "20")
        book = await eventually(lambda: client.orderbook(SYMBOL), lambda book: book.bids and book.asks)
        assert (len(book.bids), len(book.asks)) == (3, 3)
        assert float(book.bids[0][0]) < PRICE < float(book.asks[0][0])
        lines = await output_of(await start(taker, sys.executable, EXAMPLES / "taker.py", SYMBOL, "0.01"))
        assert lines[0] == "filled: 0.01 bought"
        assert lines[1].startswith("  0.01 at ")
        assert lines[2].startswith("settled in 0x")
        await eventually(lambda: client.orderbook(SYMBOL), lambda after: after.asks and after.asks != book.asks)
        bot.send_signal(signal.SIGINT)
        assert (await output_of(bot))[-1] == "canceling"
        assert (await client.orders(status=("open", "partiallyFilled"))).orders == []
        assert (await other.orders(status=("open", "partiallyFilled"))).orders == []


async def test_market_maker_that_dies_leaves_nothing_either(exchange, start):
    async with exchange.clients() as (client, _):
        await exchange.until_indexed(client)
        bot = await start(exchange.roles.maker, sys.executable, EXAMPLES / "market_maker.py", SYMBOL, "0.01", "40", "2")
        await eventually(lambda: client.orders(status=("open",)), lambda page: len(page.orders) == 4)
        bot.kill()
        await bot.wait()
        await eventually(lambda: client.orders(status=("open",)), lambda page: not page.orders)
        assert {order.code for order in (await client.orders(limit=4)).orders} == {"disconnected"}


async def test_javascript_signs_places_and_cancels(exchange, start):
    lines = await output_of(await start(exchange.roles.taker, "node", EXAMPLES / "sign_order.mjs", SYMBOL))
    placed, canceled = (line.split() for line in lines)
    assert (placed[1], canceled[1]) == ("open", "canceled")
    assert placed[0] == canceled[0]
