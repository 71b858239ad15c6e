"""Keeps the board up to date from the public API: book and trades by WebSocket, settlement by polling."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from decimal import Decimal

from offchain.api.schemas.http import BatchInfo, Status
from offchain.api.schemas.stream import DepthSnapshot, DepthUpdate, TradeMessage
from offchain.client import ApiError, Client
from scripts._demo.screen import DEPTH, Board

POLL_SECONDS = 0.5
ON_CHAIN = frozenset({"settled", "confirmed"})


@dataclass
class Settled:
    """Batches on chain, by number."""

    batches: dict[int, BatchInfo] = field(default_factory=dict)

    def learn(self, status: Status) -> None:
        for batch in status.batches:
            if batch.status in ON_CHAIN:
                self.batches[batch.number] = batch
            else:
                self.batches.pop(batch.number, None)

    @property
    def fills(self) -> int:
        return sum(fills_of(batch) for batch in self.batches.values())

    @property
    def gas(self) -> int:
        return sum(batch.gas_used or 0 for batch in self.batches.values())


def fills_of(batch: BatchInfo) -> int:
    return batch.last_item - batch.first_item + 1


async def watch_book(client: Client, board: Board) -> None:
    """Show the published book; the client verifies each message's checksum."""
    stream = client.subscribe(f"market.{board.symbol}.depth")
    async for message in stream:
        if isinstance(message, DepthSnapshot | DepthUpdate):
            book = stream.books[board.symbol]
            board.bids = [(Decimal(price), Decimal(size)) for price, size in book.bids(DEPTH)]
            board.asks = [(Decimal(price), Decimal(size)) for price, size in book.asks(DEPTH)]


async def watch_trades(client: Client, board: Board) -> None:
    async for message in client.subscribe(f"market.{board.symbol}.trade"):
        if isinstance(message, TradeMessage):
            for trade in message.data:
                at = time.strftime("%H:%M:%S", time.gmtime(trade.time / 1000))
                board.trades.appendleft((at, trade.side, trade.price, trade.quantity))


async def watch_settlement(client: Client, board: Board, settled: Settled) -> None:
    while True:
        try:
            status = await client.status()
        except ApiError:
            pass  # the core is being restarted; the next poll tells more
        else:
            settled.learn(status)
            show_settlement(board, settled, status)
        await asyncio.sleep(POLL_SECONDS)


def show_settlement(board: Board, settled: Settled, status: Status) -> None:
    board.batches = [(batch.number, batch.status, fills_of(batch), batch.gas_used or 0) for batch in status.batches]
    board.batches_settled = len(settled.batches)
    board.fills_settled = settled.fills
    board.pending = status.queued_fills + status.queued_releases
    if status.parked_batch is not None:
        board.state = f"batch {status.parked_batch} is parked: {status.parked_reason}"
