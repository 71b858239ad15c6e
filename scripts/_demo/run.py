"""One run of the demo: set the stage, trade, settle, compare."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.live import Live

from offchain.chain.deployment import load_deployment
from offchain.client import ApiError, Client
from offchain.flow import FlowFile
from scripts._demo.audit import ask_service, compare, read_chain, replay_journal
from scripts._demo.bots import Bot, Maker, Pace, Taker, Walk
from scripts._demo.flow import Player, assets_of, read
from scripts._demo.screen import Board, render, status_line
from scripts._demo.setting import Cast, connected, deploy, fund
from scripts._demo.watch import Settled, show_settlement, watch_book, watch_settlement, watch_trades
from scripts._lib.anvil import anvil, rpc
from scripts._lib.service import Service, service

SYMBOL = "BTC-USDC"
START_PRICE = Decimal(64_000)
RETRIES = 10
"""attempts of a bot to reach the API again: long enough for a restart of the core"""
ETHER_EACH = 10**21
"""wei"""
FUNDING_SECONDS = 60.0
"""time for the service to see the deposits"""
STOP_SECONDS = 60.0
"""time for the bots' last requests to be answered"""
SETTLE_SECONDS = 120.0
"""time for everything that was matched to be settled at the end"""


class DemoError(Exception):
    """The demo cannot go on."""


@dataclass(frozen=True)
class Options:
    """What ends the demo by itself (0: nothing), and how it trades."""

    batches: int
    min_fills: int
    kill_once: bool
    rate: float
    seed: int
    orders: FlowFile | None = None
    """what is traded in place of what bots do; at its end the demo ends"""
    speed: float | None = None
    """times as fast as it was recorded; None: as fast as it goes"""

    @property
    def is_endless(self) -> bool:
        return not (self.batches or self.min_fills)


@dataclass
class Demo:
    """One run: the exchange is up, the bots are ready."""

    options: Options
    service: Service
    clients: list[Client]
    bots: Sequence[Bot | Player]
    board: Board
    stop: asyncio.Event
    settled: Settled = field(default_factory=Settled)
    recovery_ms: int = 0

    @property
    def watcher(self) -> Client:
        return self.clients[0]

    @property
    def players(self) -> list[Player]:
        return [bot for bot in self.bots if isinstance(bot, Player)]

    def is_done(self) -> bool:
        if self.players:
            return all(player.is_done for player in self.players)
        is_enough = len(self.settled.batches) >= self.options.batches and self.settled.fills >= self.options.min_fills
        return not self.options.is_endless and is_enough and (self.board.restarts > 0 or not self.options.kill_once)

    def is_kill_due(self) -> bool:
        matched = self.settled.fills + self.board.pending
        return self.options.kill_once and not self.board.restarts and 2 * matched >= max(self.options.min_fills, 2)


def run(options: Options, folder: Path, port: int, settings: dict[str, str]) -> int:
    """Run the demo with its files in `folder`, and print the summary; the number of differences."""
    with contextlib.ExitStack() as stack:
        print("starting a local chain")
        rpc_url = stack.enter_context(anvil(log=folder / "anvil.log"))
        stack.enter_context(connected(rpc_url))
        cast = Cast.assign() if options.orders is None else Cast.of_file(len(options.orders.traders))
        print("deploying the contracts (the first run compiles them, which takes about a minute)")
        deployment = deploy(cast, folder)
        print("funding the traders")
        assets = ["WBTC"]
        if options.orders is not None:
            assets = assets_of(options.orders, deployment)
            for trader in cast.traders:  # more than the node has given ether to
                rpc(rpc_url, "anvil_setBalance", trader.address, hex(ETHER_EACH))
        fund(deployment, cast.traders, assets)
        # From here on blocks come by the clock, as on a real chain.
        rpc(rpc_url, "evm_setIntervalMining", 1)
        print("starting the service")
        running = stack.enter_context(
            service(
                data_dir=folder / "service",
                rpc_url=rpc_url,
                deployments_file=deployment.path,
                operator_key=cast.operator.private_key,
                port=port,
                settings=settings,
            )
        )
        keys = [trader.private_key for trader in cast.traders]
        demo = asyncio.run(_trade(options, running, keys, len(cast.makers), len(assets)))
        audit = Audit(running.url, folder / "service", deployment.path, rpc_url, keys)
        differences = asyncio.run(audit.run())
    for player in demo.players:
        print("\n".join(player.lines()))
    for line in differences:
        print(f"DIFFERENCE {line}")
    print(_summary(demo, len(differences)))
    return len(differences)


def _summary(demo: Demo, differences: int) -> str:
    settled, board = demo.settled, demo.board
    if demo.recovery_ms:
        print(f"the core was killed and ready again after {demo.recovery_ms} ms")
    return json.dumps(
        {
            "batches": len(settled.batches),
            "fills": settled.fills,
            "cancels": board.cancels,
            "restarts": board.restarts,
            "gas_per_fill": settled.gas // settled.fills if settled.fills else 0,
            "orders_per_s": round(board.orders_per_s, 1),
            "differences": differences,
        }
    )


# ---------------------------------------------------------------------------------------------------------------------
# Trading
# ---------------------------------------------------------------------------------------------------------------------


async def _trade(options: Options, running: Service, keys: list[str], makers: int, assets: int) -> Demo:
    """Let the bots trade until the demo is done or interrupted, then wait until all fills are settled.

    Every trader has USDC and so many `assets`.
    """
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(Client(running.url, key, retries=RETRIES)) for key in keys]
        for client in clients:
            await _until_funded(client, assets)
        board = Board(SYMBOL, running.url)
        if options.orders is None:
            bots: Sequence[Bot | Player] = await _create_bots(options, clients, makers, board)
        else:
            session = await stack.enter_async_context(aiohttp.ClientSession())
            bots = [await _create_player(options, options.orders, clients[0], keys, board, session)]
        demo = Demo(options, running, clients, bots, board, _interrupted())
        watchers = [
            asyncio.create_task(watch_book(demo.watcher, demo.board)),
            asyncio.create_task(watch_trades(demo.watcher, demo.board)),
            asyncio.create_task(watch_settlement(demo.watcher, demo.board, demo.settled)),
        ]
        try:
            with _screen(demo.board) as redraw:
                await _until_done(demo, redraw)
                await _until_settled(demo, redraw)
        finally:
            await _end(watchers)
        return demo


async def _create_bots(options: Options, clients: list[Client], makers: int, board: Board) -> list[Bot]:
    chance = random.Random(options.seed)
    listing = await clients[0].markets()
    market = next(market for market in listing.markets if market.symbol == SYMBOL)
    walk = Walk(START_PRICE, Decimal(market.tick_size), random.Random(chance.random()))
    pace = Pace(options.rate)
    return [
        (Maker if index < makers else Taker)(client, market, walk, pace, board, random.Random(chance.random()))
        for index, client in enumerate(clients)
    ]


async def _create_player(
    options: Options, flow: FlowFile, client: Client, keys: list[str], board: Board, session: aiohttp.ClientSession
) -> Player:
    """Raises FlowRefused for what does not fit the exchange."""
    fitting = read(flow.path, await client.markets())
    if fitting.header.markets:
        board.symbol = fitting.header.markets[0].symbol
    return Player(board, fitting, keys, options.speed, session)


def _interrupted() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _until_funded(client: Client, assets: int) -> None:
    """Wait until the service has seen the deposits of USDC and so many assets. Raises DemoError."""
    deadline = time.monotonic() + FUNDING_SECONDS
    while time.monotonic() < deadline:
        balances = await client.balances()
        if len(balances) > assets and all(Decimal(balance.available) for balance in balances.values()):
            return
        await asyncio.sleep(0.05)
    raise DemoError(f"the deposits of {client.account} are not credited after {FUNDING_SECONDS:.0f} s")


async def _until_done(demo: Demo, redraw: Callable[[], None]) -> None:
    demo.board.state = "trading"
    demo.board.started = time.monotonic()
    trading = [asyncio.create_task(bot.run()) for bot in demo.bots]
    try:
        while not (demo.stop.is_set() or demo.is_done()):
            if demo.is_kill_due():
                demo.board.state = "the core was killed"
                demo.recovery_ms = await asyncio.to_thread(_kill, demo.service)
                demo.board.restarts += 1
                demo.board.state = f"trading again, {demo.recovery_ms} ms after the kill"
            for task in trading:
                if task.done():
                    task.result()  # a bot's own failure ends the demo with its trace
            redraw()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(demo.stop.wait(), 0.25)
        demo.board.finished = time.monotonic()
        for bot in demo.bots:
            bot.stop()
        await asyncio.wait_for(asyncio.gather(*trading), STOP_SECONDS)
    finally:
        await _end(trading)


def _kill(running: Service) -> int:
    """Kill the core; milliseconds until the service is ready again."""
    started = time.monotonic()
    running.kill("core")
    running.wait_ready()
    return round(1000 * (time.monotonic() - started))


async def _until_settled(demo: Demo, redraw: Callable[[], None]) -> None:
    demo.board.state = "settling what is pending"
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        with contextlib.suppress(ApiError):
            status = await demo.watcher.status()
            demo.settled.learn(status)
            show_settlement(demo.board, demo.settled, status)
            is_caught_up = status.views_seq >= status.seq
            if is_caught_up and not (status.queued_fills or status.queued_releases):
                return
        if time.monotonic() > deadline:
            raise DemoError(f"not everything is settled after {SETTLE_SECONDS:.0f} s: {demo.board.state}")
        redraw()
        await asyncio.sleep(0.25)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.contextmanager
def _screen(board: Board):
    """A live screen in a terminal, a line every two seconds elsewhere; yields what redraws it."""
    console = Console()
    if console.is_terminal:
        with Live(render(board), console=console, screen=True, auto_refresh=False) as live:
            yield lambda: live.update(render(board), refresh=True)
        print(status_line(board))
        return
    printed = 0.0

    def line() -> None:
        nonlocal printed
        if time.monotonic() - printed >= 2:
            printed = time.monotonic()
            print(status_line(board), flush=True)

    yield line


# ---------------------------------------------------------------------------------------------------------------------
# Comparing
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Audit:
    """Asks the three witnesses while the service still runs."""

    url: str
    data_dir: Path
    deployment_path: Path
    rpc_url: str
    keys: list[str]
    """of all who have traded"""

    async def run(self) -> list[str]:
        """Every difference, one line each."""
        print("comparing service, journal replay and chain")
        async with contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(Client(self.url, key, retries=RETRIES)) for key in self.keys]
            accounts = [bytes.fromhex(client.account[2:]) for client in clients]
            told = await ask_service(clients)
        replayed, core = await replay_journal(self.data_dir, accounts)
        deployment = load_deployment(self.deployment_path)
        stored, contradictions = read_chain(self.rpc_url, deployment, core.markets, accounts)
        print(f"compared {len(stored.balances)} balances and {len(stored.filled)} filled orders")
        return [
            *compare("service", told, "chain", stored),
            *compare("journal", replayed, "chain", stored),
            *contradictions,
        ]
