"""A market on the screen as it changes."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime

from rich.columns import Columns
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from offchain.api.schemas.http import PublicTrade
from offchain.api.schemas.stream import TradeMessage
from offchain.client import Client
from offchain.client.book import OrderBook

REFRESH_PER_SECOND = 8


async def watch_market(client: Client, symbol: str, depth: int, console: Console) -> None:
    """Draw the book and the latest trades until canceled. Raises ApiError for an unknown market."""
    page = await client.trades(symbol, limit=2 * depth)
    latest: deque[PublicTrade] = deque(page.trades, maxlen=2 * depth)
    channels = (f"market.{symbol}.depth", f"market.{symbol}.trade")
    with Live(console=console, refresh_per_second=REFRESH_PER_SECOND) as live:
        async with client.subscribe(*channels) as stream:
            async for message in stream:
                if isinstance(message, TradeMessage):
                    latest.extendleft(message.data)
                live.update(draw(symbol, stream.books[symbol], list(latest), depth))


def draw(symbol: str, book: OrderBook, latest: list[PublicTrade], depth: int) -> Columns:
    """Asks above bids, and beside them the trades, newest first."""
    levels = Table(title=symbol, box=None)
    levels.add_column("price", justify="right")
    levels.add_column("size", justify="right")
    asks, bids = book.asks(depth), book.bids(depth)
    for _ in range(depth - len(asks)):
        levels.add_row("", "")
    for price, size in reversed(asks):
        levels.add_row(Text(price, style="red"), size)
    levels.add_row(Text("─" * 9, style="dim"), Text(f"seq {book.seq}", style="dim"))
    for price, size in bids:
        levels.add_row(Text(price, style="green"), size)
    trades = Table(title="trades", box=None)
    for column in ("time", "price", "size"):
        trades.add_column(column, justify="right")
    for trade in latest:
        time = datetime.fromtimestamp(trade.time / 1_000, UTC).strftime("%H:%M:%S")
        trades.add_row(time, Text(trade.price, style="green" if trade.side == "buy" else "red"), trade.quantity)
    return Columns([levels, trades], padding=(0, 4))
