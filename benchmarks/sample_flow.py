"""Makes docs/examples/flow.jsonl: order flow of every kind, the same every time.

Two market makers quote with arrays, replace and cancel; three takers send limit, market, FOK and stop orders; some of
it is refused. Usage: python benchmarks/sample_flow.py [FILE]
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # also without PYTHONPATH

from offchain.flow import (
    Cancel,
    CancelAfter,
    CancelAll,
    FlowWriter,
    Header,
    ListedMarket,
    Operation,
    Place,
    PlaceArray,
    Reference,
    Replace,
    Terms,
)

SAMPLE = Path(__file__).resolve().parents[1] / "docs" / "examples" / "flow.jsonl"
STARTED_MS = 1_800_000_000_000
SEED = 20_270_115
ROUNDS = 28
LEVELS = 2
"""quotes per side of an array"""

MARKETS = [ListedMarket("BTC-USDC", "0.1", "0.00001"), ListedMarket("ETH-USDC", "0.01", "0.0001")]
PRICES = {"BTC-USDC": Decimal(64_000), "ETH-USDC": Decimal(3_000)}
MAKERS = {"trader-1": "BTC-USDC", "trader-2": "ETH-USDC"}
TAKERS = ("trader-3", "trader-4", "trader-5")


def number(value: Decimal) -> str:
    """The shortest way to write it."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


class Sample:
    """Keeps count of the lines, by which later ones refer to earlier ones."""

    def __init__(self) -> None:
        self.chance = random.Random(SEED)
        self.line = 1
        self.time = 0
        self.mid = dict(PRICES)

    def operations(self) -> Iterator[Operation]:
        quotes: dict[str, int] = {}
        for maker in MAKERS:
            yield self._next(PlaceArray, maker, orders=self._quotes(maker, None))
            quotes[maker] = self.line
        yield self._next(CancelAfter, "trader-1", seconds=600)
        for turn in range(ROUNDS):
            for taker in TAKERS:
                yield from self._take(taker, turn)
            for maker, market in MAKERS.items():
                self.mid[market] += self.chance.randint(-20, 20) * self._tick(market)
                is_fresh = turn % 3 == 2
                if is_fresh:
                    yield self._next(CancelAll, maker, market=market)
                yield self._next(PlaceArray, maker, orders=self._quotes(maker, None if is_fresh else quotes[maker]))
                quotes[maker] = self.line
        yield self._next(CancelAfter, "trader-1", seconds=0)
        yield self._next(CancelAll, "trader-1", market="BTC-USDC", side="buy")
        for trader in (*MAKERS, *TAKERS):
            yield self._next(CancelAll, trader)

    def _take(self, taker: str, turn: int) -> Iterator[Operation]:
        market = self.chance.choice(list(PRICES))
        side = self.chance.choice(("buy", "sell"))
        through = 40 if side == "buy" else -40
        kind = (turn + TAKERS.index(taker)) % 6
        if kind == 0:
            yield self._place(taker, market, side, through, type="market", time_in_force="IOC", expires_in=60)
        elif kind == 1:
            yield self._place(taker, market, side, -through, client_order_id=f"rest-{turn}")
            rest = Reference(self.line)
            terms = self._terms(market, side, -through // 2, replaces=rest, only_if_open=True)
            yield self._next(Replace, taker, order=terms)
            yield self._next(Cancel, taker, cancels=Reference(self.line))
            yield self._next(Cancel, taker, cancels=rest)  # refused: it was replaced
        elif kind == 2:
            yield self._place(taker, market, side, through, post_only=True)  # mostly refused: it would take
        elif kind == 3:
            yield self._place(taker, market, side, through, time_in_force="FOK", expires_in=60)
        elif kind == 4:
            price = self._price(market, through * 3)
            yield self._place(taker, market, side, through * 4, trigger="stop", trigger_price=price)
        else:
            yield self._place(taker, market, side, through, self_trade_prevention="expireTaker")

    def _quotes(self, maker: str, before: int | None) -> list[Terms]:
        market = MAKERS[maker]
        return [
            self._terms(
                market,
                side,
                (10 + 15 * level) * (-1 if side == "buy" else 1),
                replaces=None if before is None else Reference(before, 2 * level + index),
                only_if_open=before is not None,
            )
            for level in range(LEVELS)
            for index, side in enumerate(("buy", "sell"))
        ]

    def _place(self, trader: str, market: str, side: str, ticks: int, **more: Any) -> Operation:
        return self._next(Place, trader, order=self._terms(market, side, ticks, **more))

    def _terms(self, market: str, side: str, ticks: int, **more: Any) -> Terms:
        lots = self.chance.randint(1, 2_000)
        lot = next(Decimal(each.lot_size) for each in MARKETS if each.symbol == market)
        given = {"type": "limit", "time_in_force": "GTC", **more}
        return Terms(market=market, side=side, price=self._price(market, ticks), quantity=number(lots * lot), **given)

    def _price(self, market: str, ticks: int) -> str:
        return number(self.mid[market] + ticks * self._tick(market))

    def _tick(self, market: str) -> Decimal:
        return next(Decimal(each.tick_size) for each in MARKETS if each.symbol == market)

    def _next(self, kind: Any, trader: str, **more: Any) -> Operation:
        self.line += 1
        self.time += self.chance.randint(5, 60)
        operation: Operation = kind(t=self.time, trader=trader, **more)
        return operation


def main(path: Path) -> None:
    path.unlink(missing_ok=True)
    with FlowWriter(path, Header("crosspoint-flow", 1, STARTED_MS, MARKETS)) as writer:
        for operation in Sample().operations():
            writer.append(operation)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else SAMPLE)
