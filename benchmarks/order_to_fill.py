"""Distinct signed orders through the service as it ships: core and worker running, journal synchronous, a full store.

One after the other: single orders over HTTP as fast as they are answered; single orders at half of that rate, at random
times, with the time to the answer and to the event of the fill; batches, orders over WebSocket, arrays of ten quotes
under one signature; then a thousand subscribers of a market that trades. In the same run the same orders go through
plain_stack.py. Orders are signed beforehand, and sent by a process that does little else (load.py);
half of them rest, half take what rests. CPU is the core process's own, of all its threads. What serves, here and
there, has a CPU of its own; the chain's node and the load share the worker's.
Usage: python benchmarks/order_to_fill.py [--orders N] [--stored N] [--sockets N] [--json]
"""

from __future__ import annotations

import asyncio
import json
import logging
import platform
import socket
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import structlog

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # also without PYTHONPATH

from benchmarks import load, signed
from offchain.client import Client
from offchain.client.auth import Authenticator
from offchain.client.signing import Signer
from offchain.client.transport import Transport
from scripts._demo.setting import Cast, connected, deploy, fund
from scripts._lib.anvil import anvil, free_port, rpc
from scripts._lib.service import Service, service

ROOT = Path(__file__).resolve().parents[1]
HTTP_CONNECTIONS = 32
BATCH, BATCH_CONNECTIONS = 50, 4
SOCKETS, SOCKET_DEPTH = 8, 16
ARRAY_CONNECTIONS = 16
FANOUT_ORDERS, FANOUT_PER_S = 10_000, 1_000
"""while subscribers watch"""
WARM_UP, PLAIN_WARM_UP = 500, 50
ROUNDS = 3
"""of everything but the fan-out, in turn: each way's fastest counts, of the open loops the middle one by its p99"""
SIGNED_SINCE = 1
"""first nonce key; stored orders have others"""
START_SECONDS = 60.0


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 2)


@dataclass(frozen=True)
class Sizes:
    orders: int
    """per way of sending and round"""
    stored: int
    sockets: int
    plain: int
    """orders through the plain stack"""


def _summary(orders: int, cpu_s: float, result: load.Load) -> dict[str, float]:
    return {
        "per_s": round(orders / result.seconds, 1),
        "cpu_us": round(1e6 * cpu_s / orders, 1),
        "p50_ms": percentile(result.latencies_ms, 0.5),
        "p99_ms": percentile(result.latencies_ms, 0.99),
    }


class Bench:
    """Signs, sends and measures. Every order has a nonce key of its own."""

    def __init__(self, running: Service, keys: Sequence[bytes], signers: Sequence[Signer], sizes: Sizes) -> None:
        self.url = running.url
        self.port = int(running.url.rpartition(":")[2])
        self.core = running.child("core")
        self.keys = keys
        self.signers = signers
        self.sizes = sizes
        self._next_key = SIGNED_SINCE

    def _numbers(self, count: int) -> int:
        first = self._next_key
        self._next_key += count
        return first

    def orders(self, count: int, per_account: int = 1) -> list[signed.Signed]:
        return list(signed.orders(self.signers, count, self._numbers(count), per_account=per_account))

    def _measured(self, count: int, call: Any, *arguments: Any) -> dict[str, float]:
        """Throughput and CPU per order, latency per request."""
        cpu = load.cpu_seconds(self.core)
        result: load.Load = load.apart(call, self.port, *arguments)
        return _summary(count, load.cpu_seconds(self.core) - cpu, result)

    def warm_up(self) -> None:
        requests = [load.http_post("/v1/orders", order.body) for order in self.orders(WARM_UP)]
        load.apart(load.post_all, self.port, requests, HTTP_CONNECTIONS)

    def rest(self) -> dict[str, float]:
        requests = [load.http_post("/v1/orders", order.body) for order in self.orders(self.sizes.orders)]
        return self._measured(self.sizes.orders, load.post_all, requests, HTTP_CONNECTIONS)

    def batch(self) -> dict[str, float]:
        """Latency is that of fifty orders."""
        orders = self.orders(self.sizes.orders, BATCH)
        batches = [orders[start : start + BATCH] for start in range(0, len(orders), BATCH)]
        requests = [
            load.http_post("/v1/orders/batch", b'{"orders":[%s]}' % b",".join(order.body for order in batch))
            for batch in batches
        ]
        return self._measured(self.sizes.orders, load.post_all, requests, BATCH_CONNECTIONS)

    def websocket(self) -> dict[str, float]:
        frames = [
            load.ws_text(b'{"op":"place","id":%d,"order":%s}' % (number, order.body))
            for number, order in enumerate(self.orders(self.sizes.orders))
        ]
        return self._measured(self.sizes.orders, load.send_all, frames, SOCKETS, SOCKET_DEPTH)

    def mass_quote(self) -> dict[str, float]:
        """Per quote; latency is that of ten. Quotes replace those before them."""
        bodies = signed.arrays(self.signers, self.keys, self.sizes.orders, self._numbers(signed.ARRAY))
        requests = [load.http_post("/v1/orders/array", body) for body in bodies]
        return self._measured(self.sizes.orders, load.post_all, requests, ARRAY_CONNECTIONS)

    def open_loop(self, per_s: float) -> dict[str, float]:
        """Answers, and fills from the order's due time to the taker's event."""
        count = self.sizes.orders
        orders = self.orders(count)
        requests = [load.http_post("/v1/orders", order.body) for order in orders]
        ids = [order.id for order in orders]
        greetings = asyncio.run(self._greetings())
        result: load.OpenLoad = load.apart(
            load.post_at_rate, self.port, requests, ids, per_s, HTTP_CONNECTIONS, greetings
        )
        shares = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99, "p999_ms": 0.999}
        return {
            "offered_per_s": round(count / result.seconds, 1),
            **{name: percentile(result.answers_ms, share) for name, share in shares.items()},
            **{f"fill_event_{name}": percentile(result.events_ms, share) for name, share in shares.items()},
        }

    async def _greetings(self) -> list[list[bytes]]:
        """What a socket of each account says: who it is, and that it wants its own channel."""
        greetings = []
        for key, signer in zip(self.keys, self.signers, strict=True):
            transport = Transport(self.url, None, 10.0, 3)
            try:
                token = await Authenticator(transport, self.url, key, None, signer.account, None).token()
            finally:
                await transport.close()
            channel = "trader.0x" + signer.account.hex()
            messages = ({"op": "signIn", "token": token}, {"op": "subscribe", "channels": [channel]})
            greetings.append([load.ws_text(json.dumps(message).encode()) for message in messages])
        return greetings

    def fanout(self, journal: Path) -> dict[str, float]:
        """A logical message is an event that one subscriber is told of, however many are told in one frame. The CPU
        that the same load costs without subscribers is taken off."""
        count, sockets = min(self.sizes.orders, FANOUT_ORDERS), self.sizes.sockets
        channels = [f"market.{signed.SYMBOL}.{kind}" for kind in ("depth", "trade")]
        greeting = load.ws_text(json.dumps({"op": "subscribe", "id": 1, "channels": channels}).encode())

        def watched(by: int) -> load.Watched:
            requests = [load.http_post("/v1/orders", order.body) for order in self.orders(count)]
            arguments = (self.core, greeting, by, requests, HTTP_CONNECTIONS, FANOUT_PER_S)
            seen: load.Watched = load.apart(load.watch_market, self.port, *arguments)
            return seen

        alone, seen = watched(0), watched(sockets)
        changes = asyncio.run(signed.depth_changes(journal, seen.after, seen.last))
        logical, cpu_s = sockets * (changes + seen.trades), max(0.01, seen.cpu_s - alone.cpu_s)
        return {
            "sockets": sockets,
            "logical_per_s_per_core": round(logical / cpu_s),
            "logical": logical,
            "frames": seen.frames,
            "cpu_s": round(cpu_s, 2),
            "cpu_s_alone": round(alone.cpu_s, 2),
        }


# ---------------------------------------------------------------------------------------------------------------------
# The plain stack
# ---------------------------------------------------------------------------------------------------------------------


def measure_plain(folder: Path, orders: Sequence[signed.Signed], signer: Signer) -> dict[str, float]:
    """The same kind of orders through plain_stack.py, over as many connections."""
    folder.mkdir()
    port = free_port()
    arguments = [str(port), str(folder), str(signer.domain.chain_id), "0x" + signer.domain.engine.hex()]
    arguments.append(str(signer.market(signed.SYMBOL).id))
    with load.on_cpus_of("core"):
        process = subprocess.Popen([sys.executable, "-m", "benchmarks.plain_stack", *arguments], cwd=ROOT)
    try:
        _wait_for(port, process)
        requests = [load.http_post("/v1/orders", signed.as_65_bytes(order.body)) for order in orders]
        load.apart(load.post_all, port, requests[:PLAIN_WARM_UP], HTTP_CONNECTIONS)
        cpu = load.cpu_seconds(process.pid)
        result: load.Load = load.apart(load.post_all, port, requests[PLAIN_WARM_UP:], HTTP_CONNECTIONS)
        cpu = load.cpu_seconds(process.pid) - cpu
    finally:
        process.terminate()
        process.wait()
    return _summary(len(requests) - PLAIN_WARM_UP, cpu, result)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection((load.HOST, port)).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


# ---------------------------------------------------------------------------------------------------------------------
# All of it
# ---------------------------------------------------------------------------------------------------------------------


def run(sizes: Sizes, report: Callable[[str], None]) -> dict[str, Any]:
    """Set up an exchange on a chain of its own and measure it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crosspoint-bench-")))
        with load.on_cpus_of("node"):
            rpc_url = stack.enter_context(anvil())
        stack.enter_context(connected(rpc_url))
        cast = Cast.assign()
        deployment = deploy(cast, folder, echo=lambda line: None)
        fund(deployment, cast.traders)
        rpc(rpc_url, "evm_setIntervalMining", 1)
        keys = [bytes.fromhex(trader.private_key.removeprefix("0x")) for trader in cast.traders]
        start = partial(
            service,
            data_dir=folder / "service",
            rpc_url=rpc_url,
            deployments_file=deployment.path,
            operator_key=cast.operator.private_key,
            port=free_port(),
            settings={"MAX_SOCKETS": str(sizes.sockets + 10), "MAX_SOCKETS_PER_ADDRESS": "0"},
        )
        with start() as running:
            signers = asyncio.run(_signers(running.url, keys))
            report("the exchange stands")
        market = signers[0].market(signed.SYMBOL).id
        asyncio.run(signed.store(folder / "service", [each.account for each in signers], market, sizes.stored))
        report(f"{sizes.stored} orders are stored")
        bench = Bench(stack.enter_context(start()), keys, signers, sizes)
        report("the service runs again")
        results = _measure(bench, folder, report)
        report("all measured; the service settles and stops")
        return results


async def _signers(url: str, keys: Sequence[bytes]) -> list[Signer]:
    """For every key, once its deposits have reached the core."""
    signers = []
    for key in keys:
        async with Client(url, key) as client:
            signers.append(Signer(key, await client.markets()))
            for _ in range(int(10 * START_SECONDS)):
                if len(await client.balances()) >= 2:
                    break
                await asyncio.sleep(0.1)
    return signers


def _measure(bench: Bench, folder: Path, report: Callable[[str], None]) -> dict[str, Any]:
    bench.warm_up()
    ways = {"rest": bench.rest, "batch": bench.batch, "websocket": bench.websocket, "mass_quote": bench.mass_quote}
    results: dict[str, Any] = {}
    open_loops = []
    for turn in range(ROUNDS):
        orders = bench.orders(bench.sizes.plain + PLAIN_WARM_UP)
        measured = {"plain": measure_plain(folder / f"plain-{turn}", orders, bench.signers[0])}
        report(f"plain stack: {measured['plain']}")
        for name, measure in ways.items():
            measured[name] = measure()
            report(f"{name}: {measured[name]}")
            if name == "rest":
                # At once: a minute later the machine may have another speed, and half of it would be another share.
                open_loops.append(bench.open_loop(measured["rest"]["per_s"] / 2))
                report(f"open loop: {open_loops[-1]}")
        for name, one in measured.items():
            if name not in results or one["per_s"] > results[name]["per_s"]:
                results[name] = one
    plain = results["plain"]
    for name in ways:
        results[name]["ratio_to_plain"] = round(results[name]["per_s"] / plain["per_s"], 2)
        # Of the serving process alone: what else this machine does changes it less.
        results[name]["cpu_ratio_to_plain"] = round(plain["cpu_us"] / results[name]["cpu_us"], 2)
    open_loops.sort(key=lambda each: each["p99_ms"])
    kept = ("offered_per_s", "p50_ms", "p99_ms", "fill_event_p99_ms")
    rounds = [{name: each[name] for name in kept} for each in open_loops]
    results["open_loop"] = {**open_loops[len(open_loops) // 2], "rounds": rounds}
    results["fanout"] = bench.fanout(folder / "service")
    report(f"fan-out: {results['fanout']}")
    return results | {"stored": bench.sizes.stored, "python": interpreter()}


def interpreter() -> str:
    """Which Python, and how fast it is here: by the machine and by how it was built the figures differ by a factor."""
    seconds = min(timeit.repeat("for _ in numbers: pass", "numbers = range(1_000_000)", repeat=5, number=1))
    return f"{platform.python_version()}, {1e3 * seconds:.1f} ns for a pass of an empty loop"


def table(results: dict[str, Any]) -> Iterator[str]:
    yield f"{'':12}{'per s':>10}{'CPU us':>9}{'p50 ms':>9}{'p99 ms':>9}{'to plain':>10}{'in CPU':>8}"
    for name in ("plain", "rest", "batch", "websocket", "mass_quote"):
        each = results[name]
        ratio = f"{each['ratio_to_plain']:>10.2f}{each['cpu_ratio_to_plain']:>8.2f}" if name != "plain" else ""
        latency = f"{each['p50_ms']:>9.2f}{each['p99_ms']:>9.2f}"
        yield f"{name:12}{each['per_s']:>10,.0f}{each['cpu_us']:>9.0f}{latency}{ratio}"
    each = results["open_loop"]
    yield f"\n{'open loop':12}{'p50 ms':>10}{'p95 ms':>9}{'p99 ms':>9}{'p99.9 ms':>10}"
    yield f"{each['offered_per_s']:,.0f} orders per s"
    for title, prefix in (("answer", ""), ("fill event", "fill_event_")):
        values = [each[f"{prefix}{name}_ms"] for name in ("p50", "p95", "p99", "p999")]
        yield f"{title:12}{values[0]:>10.2f}{values[1]:>9.2f}{values[2]:>9.2f}{values[3]:>10.2f}"
    rounds = ", ".join(f"{one['p99_ms']:.2f} at {one['offered_per_s']:,.0f}" for one in each["rounds"])
    yield f"p99 of the answers in every round: {rounds} orders per s"
    each = results["fanout"]
    yield f"\nfan-out to {each['sockets']} sockets"
    counts = f"{each['logical']:,} in {each['frames']:,} frames, {each['cpu_s']} s of CPU"
    yield f"{each['logical_per_s_per_core']:,} logical messages per second and core: {counts}"
    yield f"\nPython {results['python']}"


@click.command(help=__doc__)
@click.option("--orders", default=10_000, show_default=True, type=click.IntRange(100), help="per way and round")
@click.option("--stored", default=500_000, show_default=True, type=click.IntRange(0))
@click.option("--sockets", default=1_000, show_default=True, type=click.IntRange(1))
@click.option(
    "--plain", default=2_000, show_default=True, type=click.IntRange(10), help="orders through the plain stack"
)
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
def main(orders: int, stored: int, sockets: int, plain: int, as_json: bool) -> None:
    started = time.monotonic()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))

    def report(text: str) -> None:
        click.echo(f"{time.monotonic() - started:6.1f} s  {text}", err=True)

    results = run(Sizes(orders, stored, sockets, plain), report)
    if as_json:
        click.echo(json.dumps(results))
        return
    for line in table(results):
        click.echo(line)


if __name__ == "__main__":
    main()
