"""The pure order book alone, against Python packages that report fills, in the same run.

200,000 seeded operations: 60 % orders around a moving middle, 30 % cancels of open orders, 10 % orders that cross. Each
package gets them as it takes them, and everybody's fills are counted, so that all have done the same work. What is left
out: order-matching needs a NumPy that Ape cannot live with.
Usage: python benchmarks/matching.py [--operations N] [--json]
"""

from __future__ import annotations

import gc
import json
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import click
import lightmatchingengine.lightmatchingengine as light
import pyorderbook

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # also without PYTHONPATH

from offchain.domain.account import Account, LiveOrder
from offchain.domain.book import Book
from offchain.domain.matching import plan
from offchain.domain.order import NO_EXPIRY, Order, SelfTrade, TimeInForce
from tests.utils.scenario import MARKET

GTC, SELF_TRADE, FEE_BPS = int(TimeInForce.GTC), SelfTrade.EXPIRE_MAKER, 50
MIDDLE = 500_000
BUY, SELL = 0, 1
ROUNDS = 5
"""Each package's best one counts: what else the machine does only slows."""
ADDRESSES = (b"\x01" * 20, b"\x02" * 20)


class Operation(NamedTuple):
    """An order, or the cancel of the order with the number `cancels`."""

    side: int
    price: int
    quantity: int
    cancels: int | None = None


class Engine(Protocol):
    fills: int
    lots: int

    def add(self, number: int, operation: Operation) -> None: ...

    def cancel(self, number: int) -> None:
        """Of an order that may have been filled meanwhile."""
        ...


class Ours:
    """`BookSide` and `plan` as the core uses them, without balances, nonces and events."""

    def __init__(self) -> None:
        self.fills = self.lots = 0
        self._book = Book()
        self._tickets = 0
        self._open: dict[int, LiveOrder] = {}
        self._numbers: dict[int, int] = {}
        self._accounts = [Account(address) for address in ADDRESSES]
        self._balances = [account.balance(0) for account in self._accounts]

    def add(self, number: int, operation: Operation) -> None:
        side, quantity = operation.side, operation.quantity
        account = self._accounts[side]
        order = Order(
            account.address, 1, side, GTC, False, operation.price, quantity, number << 32, 0, NO_EXPIRY, FEE_BPS
        )
        live = LiveOrder(order, b"", account, self._balances[side], MARKET, quantity)
        makers = self._book.sides[1 - side]
        planned = plan(makers, order, quantity, 0, SELF_TRADE, None, FEE_BPS)
        for maker, lots, _ in planned.steps:
            self.fills += 1
            self.lots += lots
            live.filled += lots
            if lots < maker.quantity - maker.filled:
                maker.filled += lots
                makers.reduce(maker.order.price, lots)
            else:
                makers.remove(maker)
                maker.filled += lots
                del self._open[maker.order.nonce >> 32]
        if planned.remaining:
            self._tickets += 1
            self._book.sides[side].add(live, self._tickets)
            self._open[number] = live

    def cancel(self, number: int) -> None:
        live = self._open.pop(number, None)
        if live is not None:
            self._book.sides[live.order.side].remove(live)


class LightMatchingEngine:
    """Reports both sides of a fill; the makers' are counted."""

    def __init__(self) -> None:
        self.fills = self.lots = 0
        self._engine = light.LightMatchingEngine()

    def add(self, number: int, operation: Operation) -> None:
        order, trades = self._engine.add_order("X", operation.price, operation.quantity, operation.side + 1)
        assert order.order_id == number
        for trade in trades:
            if trade.order_id != order.order_id:
                self.fills += 1
                self.lots += trade.trade_qty

    def cancel(self, number: int) -> None:
        book = self._engine.order_books["X"]
        order = book.order_id_map.get(number)
        if order is not None and order.leaves_qty:
            self._engine.cancel_order(number, "X")


class PyOrderBook:
    def __init__(self) -> None:
        self.fills = self.lots = 0
        self._book = pyorderbook.Book()
        self._orders: dict[int, pyorderbook.Order] = {}

    def add(self, number: int, operation: Operation) -> None:
        order = (pyorderbook.ask if operation.side else pyorderbook.bid)("X", operation.price, operation.quantity)
        self._orders[number] = order
        for trade in self._book.match(order).trades:
            self.fills += 1
            self.lots += trade.fill_quantity

    def cancel(self, number: int) -> None:
        order = self._orders[number]
        if order.id in self._book.order_map:
            self._book.cancel(order)


ENGINES: dict[str, type[Engine]] = {
    "crosspoint": Ours,
    "lightmatchingengine": LightMatchingEngine,
    "pyorderbook": PyOrderBook,
}


def create_operations(count: int, seed: int = 1) -> list[Operation]:
    chance = random.Random(seed)
    middle, orders = MIDDLE, 0
    operations = []
    for _ in range(count):
        middle += chance.randint(-2, 2)
        kind = chance.random()
        if kind < 0.3 and orders:
            operations.append(Operation(0, 0, 0, chance.randint(max(1, orders - 2_000), orders)))
            continue
        side, quantity = chance.randint(0, 1), chance.randint(1, 100)
        distance = -chance.randint(0, 20) if kind >= 0.9 else chance.randint(1, 200)
        price = middle + (distance if side else -distance)
        orders += 1
        operations.append(Operation(side, price, quantity))
    return operations


def run(engine: Engine, operations: Sequence[Operation]) -> float:
    """Seconds of CPU, which other work on the machine changes least."""
    gc.collect()
    gc.freeze()  # as the core does: what is there already is not looked through again and again
    started = time.process_time()
    number = 0
    for operation in operations:
        if operation.cancels is not None:
            engine.cancel(operation.cancels)
        else:
            number += 1
            engine.add(number, operation)
    return time.process_time() - started


@click.command(help=__doc__)
@click.option("--operations", default=200_000, show_default=True, type=click.IntRange(1_000))
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
def main(operations: int, as_json: bool) -> None:
    made = create_operations(operations)
    results: dict[str, dict[str, int]] = {}
    for _ in range(ROUNDS):
        for name, create in ENGINES.items():
            engine = create()
            per_s = round(operations / run(engine, made))
            before = results[name]["per_s"] if name in results else 0
            results[name] = {"per_s": max(per_s, before), "fills": engine.fills, "lots": engine.lots}
    assert len({(each["fills"], each["lots"]) for each in results.values()}) == 1, results
    best = max(each["per_s"] for name, each in results.items() if name != "crosspoint")
    ratio = round(results["crosspoint"]["per_s"] / best, 2)
    if as_json:
        click.echo(json.dumps({"operations": operations, "engines": results, "ratio_to_best": ratio}))
        return
    click.echo(f"{operations} operations, {results['crosspoint']['fills']} fills\n")
    for name, each in results.items():
        click.echo(f"{name:22}{each['per_s']:>12,} per s")
    click.echo(f"\n{ratio} times the best package")


if __name__ == "__main__":
    main()
