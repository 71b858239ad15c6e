"""The core by itself: executing commands with balances, reservations and events, encoding records, and replay.

Seeded orders of a thousand accounts around a moving middle, as in matching.py: 60 % quotes, 30 % cancels, 10 % orders
that cross; every order has a nonce key of its own. Before it, `--resting` orders are laid far from the middle, to see
what a full book costs. Records hold 64 commands, as under load.
Usage: python benchmarks/core.py [--commands N] [--resting N] [--json]
"""

from __future__ import annotations

import gc
import hashlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # also without PYTHONPATH

from benchmarks.matching import GTC, MIDDLE, Operation, create_operations
from offchain.domain.commands import AssetRegistered, CancelOrder, Command, Configure, MarketCreated, PlaceOrder
from offchain.domain.core import Core
from offchain.domain.events import Trade
from offchain.domain.market import USDC
from offchain.domain.order import NO_EXPIRY, Address, Order
from offchain.journal.sqlite import RECORDS
from offchain.ports import RULES_VERSION, Record
from offchain.replica import Replica
from tests.utils.scenario import BTC, ENGINE, MARKET, create_block, create_deposit

ACCOUNTS = [hashlib.sha256(b"trader %d" % number).digest()[:20] for number in range(1_000)]
FEE_BPS = 50
PER_RECORD = 64
START_MS = 1_700_000_000_000
FAR_LEVELS = 5_000
"""price levels per side over which resting orders lie"""


@dataclass(frozen=True)
class Stage:
    per_s: int
    us: float


@dataclass(frozen=True)
class Result:
    commands: int
    resting: int
    fills: int
    execute: Stage
    """`Core.execute` alone"""
    journaled: Stage
    """executing and encoding"""
    replay: Stage
    """decoding, executing again and comparing the events"""
    longest_record_ms: float
    """executing 64 commands: the cyclic collector shows here"""


def opening() -> list[Command]:
    deposits = [create_deposit(account, asset, 10**16) for account in ACCOUNTS for asset in (USDC, BTC.id)]
    configure = Configure(31_337, ENGINE, FEE_BPS, 1, max_open_orders=10**9)
    return [configure, create_block(1, AssetRegistered(BTC), MarketCreated(MARKET), *deposits)]


def place(account: Address, side: int, price: int, quantity: int, number: int) -> PlaceOrder:
    """Order `number` of all; the core asks nobody how its hash came about."""
    order = Order(account, MARKET.id, side, GTC, False, price, quantity, number << 32, 0, NO_EXPIRY, FEE_BPS)
    return PlaceOrder(order, hashlib.sha256(b"order %d" % number).digest(), bytes(64), START_MS)


def resting_orders(count: int) -> Iterator[Command]:
    """Orders that nobody reaches, on both sides."""
    for number in range(count):
        side, away = number & 1, 100_000 + number // 2 % FAR_LEVELS
        price = MIDDLE + (away if side else -away)
        yield place(ACCOUNTS[number // 2 % len(ACCOUNTS)], side, price, 1 + number % 50, 10**9 + number)


def commands_of(operations: Sequence[Operation]) -> list[Command]:
    placed: list[PlaceOrder] = []
    commands: list[Command] = []
    for operation in operations:
        if operation.cancels is not None:
            victim = placed[operation.cancels - 1]
            commands.append(CancelOrder(victim.order.account, victim.order_hash, bytes(64), START_MS))
            continue
        account = ACCOUNTS[len(placed) % len(ACCOUNTS)]
        placed.append(place(account, operation.side, operation.price, operation.quantity, len(placed) + 1))
        commands.append(placed[-1])
    return commands


class Journaled:
    """Executes commands 64 at a time and encodes their records, as the sequencer and the journal do."""

    def __init__(self, core: Core, seq: int) -> None:
        self._core = core
        self._seq = seq
        self.rows: list[bytes] = []
        self.fills = 0
        self.executing = self.encoding = self.longest = 0.0
        """seconds of CPU; `longest`: executing one record"""

    def run(self, commands: Sequence[Command]) -> None:
        for start in range(0, len(commands), PER_RECORD):
            self._take(list(commands[start : start + PER_RECORD]))

    def _take(self, commands: list[Command]) -> None:
        started = time.process_time()
        events = [self._core.execute(command, START_MS)[1] for command in commands]
        executed = time.process_time()
        last = self._seq + sum(map(len, events))
        record = Record(1, self._seq + 1, last, START_MS, RULES_VERSION, bytes(32), commands, events)
        self.rows.append(RECORDS.encode(record))
        self.encoding += time.process_time() - executed
        self.executing += executed - started
        self.longest = max(self.longest, executed - started)
        self.fills += sum(type(event) is Trade for happened in events for event in happened)
        self._seq = last


def prepared(resting: int) -> tuple[Core, int]:
    """A core with `resting` orders in its book, and how many events that took."""
    core, seq = Core(), 0
    orders = resting_orders(resting)
    for command in opening():
        seq += len(core.execute(command, START_MS)[1])
    for command in orders:
        seq += len(core.execute(command, START_MS)[1])
    gc.collect()
    gc.freeze()  # as the core process does after recovery
    return core, seq


def stage(seconds: float, commands: int) -> Stage:
    return Stage(round(commands / seconds), round(1e6 * seconds / commands, 2))


def measure(count: int, resting: int) -> Result:
    commands = commands_of(create_operations(count))
    core, seq = prepared(resting)
    journaled = Journaled(core, seq)
    journaled.run(commands)
    final = core.status()
    del core
    gc.unfreeze()

    replica = Replica(*prepared(resting), START_MS)
    started = time.process_time()
    for row in journaled.rows:
        replica.apply(RECORDS.decode(row))
    replaying = time.process_time() - started
    assert replica.core.status() == final
    return Result(
        count,
        resting,
        journaled.fills,
        stage(journaled.executing, count),
        stage(journaled.executing + journaled.encoding, count),
        stage(replaying, count),
        round(1e3 * journaled.longest, 2),
    )


@click.command(help=__doc__)
@click.option("--commands", default=200_000, show_default=True, type=click.IntRange(1_000))
@click.option("--resting", default=0, show_default=True, type=click.IntRange(0))
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
def main(commands: int, resting: int, as_json: bool) -> None:
    result = measure(commands, resting)
    if as_json:
        click.echo(json.dumps(asdict(result)))
        return
    click.echo(f"{commands} commands, {result.fills} fills, {resting} orders resting beside\n")
    for name, what in (
        ("execute", result.execute),
        ("execute and encode", result.journaled),
        ("replay", result.replay),
    ):
        click.echo(f"{name:22}{what.per_s:>10,} per s{what.us:>9.2f} us each")
    click.echo(f"\nlongest record: {result.longest_record_ms} ms")


if __name__ == "__main__":
    main()
