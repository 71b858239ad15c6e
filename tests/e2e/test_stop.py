"""How `serve` ends, and what it refuses to begin."""

from __future__ import annotations

import json
import signal

from scripts._lib.anvil import anvil
from tests.e2e.exchange import PRICE, SYMBOL, TIMEOUT, eventually

EXIT_REFUSED = 78


async def test_sigterm_settles_what_is_pending_and_the_restart_is_clean(create_exchange):
    exchange = create_exchange(BATCH_SECONDS="600")
    with exchange.running() as service:
        async with exchange.clients() as (maker, taker):
            await exchange.until_indexed(maker)
            resting = await maker.place_limit(SYMBOL, "sell", PRICE, 1)
            bought = await taker.place_market(SYMBOL, "buy", "0.3", PRICE)
            assert (await taker.status()).queued_fills == 1
        assert service.stop() == 0
    assert exchange.chain.fill_ids(first_batch=2) == [bought.fills[0].trade_id]

    verified = exchange.command("verify")
    assert (verified.returncode, verified.stderr) == (0, "")
    assert verified.stdout.endswith("differences: 0\n")

    with exchange.running() as service:
        async with exchange.clients() as (maker, taker):
            await exchange.until_settled(taker)
            assert (await taker.fills()).fills[0].settlement.state in ("settled", "confirmed")
            order = await maker.order(resting.order_id)
            assert (order.status, order.remaining) == ("partiallyFilled", "0.7")
            assert await exchange.differences() == []
        assert service.stop() == 0
    assert exchange.chain.last_batch() == 2


async def test_sigterm_settles_what_the_worker_has_not_heard_of_yet(create_exchange):
    exchange = create_exchange(BATCH_SECONDS="600")
    with exchange.running() as service:
        async with exchange.clients() as (maker, taker):
            await exchange.until_indexed(maker)

            async def reasons() -> str:
                return service.reasons()

            with service.paused("worker"):
                await maker.place_limit(SYMBOL, "sell", PRICE, 1)
                bought = await taker.place_market(SYMBOL, "buy", "0.3", PRICE)
                service.process.send_signal(signal.SIGTERM)
                await eventually(reasons, lambda text: "shutting down" in text)
        assert service.process.wait(TIMEOUT) == 0
    assert exchange.chain.fill_ids(first_batch=2) == [bought.fills[0].trade_id]


async def test_stop_right_after_the_start_settles_what_the_last_run_left(create_exchange):
    exchange = create_exchange(BATCH_SECONDS="600")
    with exchange.running(DRAIN_SECONDS="0") as service:
        async with exchange.clients() as (maker, taker):
            await exchange.until_indexed(maker)
            await maker.place_limit(SYMBOL, "sell", PRICE, 1)
            bought = await taker.place_market(SYMBOL, "buy", "0.3", PRICE)
        service.stop()
    assert exchange.chain.last_batch() == 1
    with exchange.running() as service:
        assert service.stop() == 0
    assert exchange.chain.fill_ids(first_batch=2) == [bought.fills[0].trade_id]


async def test_second_service_on_the_same_data_is_refused(create_exchange):
    exchange = create_exchange()
    with exchange.running() as service:
        second = exchange.command("serve", PORT="0")
        assert second.returncode == EXIT_REFUSED
        reason = f"{exchange.folder} is in use by another serve, process {service.process.pid}"
        assert second.stderr == f"cannot run: data_dir: {reason}\n"
        assert service.is_ready()


async def test_node_of_another_chain_is_refused(create_exchange):
    exchange = create_exchange()
    with anvil(chain_id=11155111) as other:
        refused = exchange.command("serve", RPC_URL=other)
    assert refused.returncode == EXIT_REFUSED
    assert "rpc_url: the node serves chain 11155111, the deployment is on 31337" in refused.stderr


async def test_node_without_the_contracts_is_refused(create_exchange):
    exchange = create_exchange()
    with anvil() as empty:
        refused = exchange.command("serve", RPC_URL=empty)
    assert refused.returncode == EXIT_REFUSED
    engine = exchange.chain.engine.address.lower()
    assert f"rpc_url: no contract at {engine}, where the deployment has Engine" in refused.stderr


async def test_deployments_file_of_another_exchange_is_refused(create_exchange, tmp_path):
    exchange = create_exchange()
    content = json.loads(exchange.chain.path.read_text())
    content["contracts"]["Engine"]["address"] = content["contracts"]["Vault"]["address"]
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content))
    refused = exchange.command("serve", DEPLOYMENTS_FILE=str(other))
    assert refused.returncode == EXIT_REFUSED
    assert f"engine: the journal began with {exchange.chain.engine.address.lower()}" in refused.stderr


async def test_deployments_file_that_is_missing_or_of_another_chain_is_refused(create_exchange, tmp_path):
    exchange = create_exchange()
    missing = tmp_path / "missing.json"
    refused = exchange.command("serve", DEPLOYMENTS_FILE=str(missing))
    assert refused.returncode == EXIT_REFUSED
    assert f"{missing}: not found" in refused.stderr
    refused = exchange.command("serve", CHAIN_ID="1")
    assert refused.returncode == EXIT_REFUSED
    assert f"chain_id: 1 is configured, {exchange.chain.path} is of chain 31337" in refused.stderr
