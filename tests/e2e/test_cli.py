"""The command line as its user runs it: money in, trades, money out."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.e2e.exchange import BASE, PRICE, SYMBOL


@pytest.fixture(scope="module")
def exchange(local_upstream, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "service"
    with local_upstream.fork(folder) as exchange, exchange.running():
        yield exchange


@pytest.fixture
def crosspoint(exchange):
    """Run the command; its answer, or the text of its refusal."""

    def run(account, *arguments):
        environment = os.environ | {
            "CROSSPOINT_URL": exchange.url,
            "CROSSPOINT_RPC_URL": exchange.chain.url,
            "CROSSPOINT_KEY": account.key.hex(),
        }
        command = [sys.executable, "-c", "from offchain.cli.main import main; main()", "--json", *arguments]
        result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        return json.loads(result.stdout) if result.returncode == 0 else result.stderr

    return run


async def test_money_comes_in_trades_and_goes_out(exchange, crosspoint):
    maker, taker = exchange.roles.maker, exchange.roles.taker
    exchange.chain.give(maker, usdc=5_000 * 10**6, base=10**8)
    async with exchange.clients() as (client, _):
        before = await client.balances()
        assert len(crosspoint(maker, "deposit", "1234.5")) == 2
        assert len(crosspoint(maker, "deposit", "0.25", "--asset", BASE)) == 4
        await exchange.until_indexed(client)
        after = await client.balances()
        assert float(after["USDC"].settled) - float(before["USDC"].settled) == pytest.approx(1234.5)
        assert float(after[BASE].settled) - float(before[BASE].settled) == pytest.approx(0.25)

        crosspoint(maker, "sell", SYMBOL, "0.1", str(PRICE))
        (taken,) = crosspoint(taker, "buy", SYMBOL, "0.1", str(PRICE), "--market")
        assert taken["status"] == "filled"
        await exchange.until_settled(client)

        assert len(crosspoint(maker, "withdraw", "1000", "--direct")) == 1
        (asked,) = crosspoint(taker, "withdraw", "0.05", "--asset", BASE)
        assert asked["status"] == "requested"
        await exchange.until_indexed(client)
        await exchange.until_settled(client)
        assert await exchange.differences() == []
        assert {each.status for each in await client.withdrawals()} == {"settled"}
        (action,) = crosspoint(taker, "actions")
        assert (action["kind"], action["asset"], action["amount"]) == ("withdrawal", BASE, "0.05")
        (action,) = crosspoint(taker, "actions", asked["actionId"])
        assert action["status"] == "settled"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("deposit", "1", "--asset", "DOGE"), "there is no asset 'DOGE'"),
        (("deposit", "0.0000001"), "0.0000001 USDC"),
        (("deposit", "900000000"), "USDC that can be deposited"),
        (("deposit", "900000000", "--asset", BASE), f"{BASE} that can be deposited"),
        (("withdraw", "1", "--asset", BASE, "--as-cxpt"), "only USDC can be withdrawn as CXPT"),
    ],
)
def test_what_cannot_be_done_says_why(exchange, crosspoint, arguments, reason):
    assert reason in crosspoint(exchange.roles.taker, *arguments)
