"""Orders per second through HTTP, against the service as it ships: core and worker running, journal synchronous.

Orders are signed beforehand, so that the load generator costs little; 32 connections send them as fast as they are
answered. Half of the orders rest, half take what rests. Usage: python benchmarks/http_orders.py [--orders N] [--json]
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import click
import msgspec

from offchain.client import Client
from offchain.client.signing import Signer
from scripts._demo.setting import Cast, connected, deploy, fund
from scripts._lib.anvil import anvil, free_port, rpc
from scripts._lib.service import service

SYMBOL = "BTC-USDC"
CONNECTIONS = 32
WARM_UP = 500


@dataclass(frozen=True)
class Result:
    """What was measured."""

    orders: int
    seconds: float
    latencies_ms: list[float]
    core_cpu_s: float

    def summary(self) -> dict[str, float]:
        ordered = sorted(self.latencies_ms)
        return {
            "per_s": round(self.orders / self.seconds, 1),
            "core_cpu_us": round(1e6 * self.core_cpu_s / self.orders, 1),
            "p50_ms": round(ordered[len(ordered) // 2], 2),
            "p95_ms": round(ordered[len(ordered) * 95 // 100], 2),
            "p99_ms": round(ordered[len(ordered) * 99 // 100], 2),
        }


def sign_orders(signers: Sequence[Signer], count: int, seed: int) -> list[bytes]:
    """Distinct orders around one price: GTC quotes up to fifty ticks away, IOC orders that cross up to as far."""
    chance = random.Random(seed)
    bodies = []
    expiry = int(time.time()) + 3_600
    for index in range(count):
        signer = signers[index % len(signers)]
        side = chance.choice(("buy", "sell"))
        is_taker = chance.random() < 0.5
        away = chance.randint(1, 50) * (1 if (side == "buy") == is_taker else -1)
        _, body = signer.order(
            SYMBOL,
            side,
            "limit",
            "IOC" if is_taker else "GTC",
            str(64_000 + away / 10),
            f"{chance.randint(1, 1_000) * 1e-5:.5f}",
            (index + 1) << 32 | 1,
            max_fee_bps=50,
            expiry=expiry if is_taker else None,
        )
        bodies.append(msgspec.json.encode(body))
    return bodies


async def send_all(url: str, bodies: Sequence[bytes]) -> list[float]:
    """Post every body once, over CONNECTIONS connections; the latencies in milliseconds. Raises for a refused order."""
    latencies: list[float] = []
    queue = iter(bodies)
    headers = {"Content-Type": "application/json"}
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def connection() -> None:
            for body in queue:
                started = time.perf_counter()
                async with session.post(f"{url}/v1/orders", data=body) as response:
                    answer = await response.read()
                latencies.append(1000 * (time.perf_counter() - started))
                if response.status != 201:
                    raise RuntimeError(f"{response.status}: {answer.decode()}")

        await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
    return latencies


def cpu_seconds(process: int) -> float:
    """User and system time that a process has used so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(url: str, keys: Sequence[str], core: int, count: int) -> Result:
    async with Client(url) as client:
        markets = await client.markets()
    signers = [Signer(bytes.fromhex(key.removeprefix("0x")), markets) for key in keys]
    bodies = sign_orders(signers, WARM_UP + count, seed=1)
    await send_all(url, bodies[:WARM_UP])
    cpu, started = cpu_seconds(core), time.perf_counter()
    latencies = await send_all(url, bodies[WARM_UP:])
    return Result(count, time.perf_counter() - started, latencies, cpu_seconds(core) - cpu)


def run(count: int) -> Result:
    """Set up an exchange on a chain of its own and measure it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crosspoint-bench-")))
        rpc_url = stack.enter_context(anvil())
        stack.enter_context(connected(rpc_url))
        cast = Cast.assign()
        deployment = deploy(cast, folder, echo=lambda report: None)
        fund(deployment, cast.traders)
        rpc(rpc_url, "evm_setIntervalMining", 1)
        running = stack.enter_context(
            service(
                data_dir=folder / "service",
                rpc_url=rpc_url,
                deployments_file=deployment.path,
                operator_key=cast.operator.private_key,
                port=free_port(),
                settings={},
            )
        )
        time.sleep(2)  # the deposits reach the core
        keys = [trader.private_key for trader in cast.traders]
        return asyncio.run(measure(running.url, keys, running.child("core"), count))


@click.command()
@click.option("--orders", type=click.IntRange(min=100), default=10_000, show_default=True, help="Orders to send.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def main(orders: int, as_json: bool) -> None:
    """Measure orders per second through HTTP."""
    summary = run(orders).summary()
    if as_json:
        print(json.dumps(summary))
        return
    for name, value in summary.items():
        print(f"{name:>12}  {value}")


if __name__ == "__main__":
    main()
