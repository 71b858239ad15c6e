"""What the demo shows while it runs."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal

from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

DEPTH = 10
"""price levels shown per side"""


@dataclass
class Latencies:
    """The last answers' times in milliseconds, from sending an order to its answer."""

    size: int = 5_000
    samples: deque[float] = field(default_factory=lambda: deque(maxlen=Latencies.size))

    def add(self, milliseconds: float) -> None:
        self.samples.append(milliseconds)

    def percentile(self, share: float) -> float:
        """The `share` quantile (0..1) by nearest rank; 0.0 without samples."""
        ordered = sorted(self.samples)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    def __str__(self) -> str:
        p50, p95, p99 = (self.percentile(share) for share in (0.50, 0.95, 0.99))
        return f"p50 {p50:.1f}  p95 {p95:.1f}  p99 {p99:.1f} ms"


@dataclass
class Board:
    """Everything on the screen; bots and watchers write it, the screen reads it."""

    symbol: str
    url: str
    bids: list[tuple[Decimal, Decimal]] = field(default_factory=list)
    asks: list[tuple[Decimal, Decimal]] = field(default_factory=list)
    trades: deque[tuple[str, str, str, str]] = field(default_factory=lambda: deque(maxlen=2 * DEPTH))
    """(time, side, price, quantity), newest first"""
    batches: list[tuple[int, str, int, int]] = field(default_factory=list)
    """(number, status, fills, gas used), newest first"""
    latencies: Latencies = field(default_factory=Latencies)
    orders: int = 0
    cancels: int = 0
    rejected: int = 0
    last_refusal: str = ""
    restarts: int = 0
    batches_settled: int = 0
    fills_settled: int = 0
    pending: int = 0
    state: str = "starting"
    started: float = field(default_factory=time.monotonic)
    finished: float | None = None
    """when the bots stopped"""

    def refuse(self, reason: str) -> None:
        """Count a refused order or cancel, and show why."""
        self.rejected += 1
        self.last_refusal = reason

    @property
    def orders_per_s(self) -> float:
        return self.orders / max((self.finished or time.monotonic()) - self.started, 1e-9)


def render(board: Board) -> RenderableType:
    """The whole screen."""
    layout = Layout()
    layout.split_column(Layout(_header(board), size=6), Layout(name="body"))
    layout["body"].split_row(Layout(_book(board)), Layout(_trades(board)), Layout(_batches(board)))
    return layout


def status_line(board: Board) -> str:
    """One line for terminals that cannot redraw."""
    return (
        f"{board.state}: {board.orders} orders ({board.orders_per_s:.0f}/s), {board.cancels} cancels, "
        f"{board.batches_settled} batches with {board.fills_settled} fills settled, {board.pending} pending; "
        f"{board.latencies}"
    )


def _header(board: Board) -> Panel:
    lines = Text()
    lines.append(f"API {board.url}   {board.state}\n", style="bold")
    lines.append(
        f"orders {board.orders} ({board.orders_per_s:.0f}/s)   cancels {board.cancels}   rejected {board.rejected}   "
        f"restarts {board.restarts}   {board.last_refusal}\n"
    )
    lines.append(f"order to answer: {board.latencies}\n")
    lines.append(
        f"settled: {board.batches_settled} batches, {board.fills_settled} fills   pending {board.pending} items"
        "   (Ctrl-C settles what is pending and stops)"
    )
    return Panel(lines, title="Crosspoint")


def _book(board: Board) -> Panel:
    table = Table(box=None, expand=True)
    table.add_column("quantity", justify="right")
    table.add_column("price", justify="right")
    for price, quantity in reversed(board.asks[:DEPTH]):
        table.add_row(f"{quantity:f}", Text(f"{price:f}", style="red"))
    table.add_row("", "")
    for price, quantity in board.bids[:DEPTH]:
        table.add_row(f"{quantity:f}", Text(f"{price:f}", style="green"))
    return Panel(table, title=f"{board.symbol} book")


def _trades(board: Board) -> Panel:
    table = Table(box=None, expand=True)
    for name in ("time", "price", "quantity"):
        table.add_column(name, justify="right")
    for at, side, price, quantity in board.trades:
        table.add_row(at, Text(price, style="green" if side == "buy" else "red"), quantity)
    return Panel(table, title="last trades")


def _batches(board: Board) -> Panel:
    table = Table(box=None, expand=True)
    for name in ("batch", "status", "fills", "gas per fill"):
        table.add_column(name, justify="right")
    for number, status, fills, gas in board.batches[: 2 * DEPTH]:
        table.add_row(str(number), status, str(fills), f"{gas // fills:,}" if gas and fills else "")
    return Panel(Group(table), title="settlement")
