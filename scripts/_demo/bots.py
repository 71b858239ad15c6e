"""Bots that trade through the public client and nothing else.

Makers quote around a walking price, takers hit what they quote.
"""

from __future__ import annotations

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import TypeVar

from offchain.api.schemas.http import MarketInfo, PlacedOrder
from offchain.api.schemas.stream import OrderMessage
from offchain.client import ApiError, Client
from scripts._demo.screen import Board

T = TypeVar("T")

QUOTES_PER_SIDE = 8
ENDED = frozenset({"filled", "canceled", "rejected", "expired"})


class Walk:
    """A price that wanders, in ticks, within a tenth of where it began. Every bot sees the same one."""

    def __init__(self, start: Decimal, tick: Decimal, chance: random.Random) -> None:
        self._tick = tick
        self._ticks = self._start = int(start / tick)
        self._chance = chance

    def step(self) -> None:
        moved = self._ticks + self._chance.randint(-1, 1)
        self._ticks = max(self._start * 9 // 10, min(self._start * 11 // 10, moved))

    def price(self, ticks_away: int) -> Decimal:
        """The price so many ticks above (or, if negative, below) the present one."""
        return (self._ticks + ticks_away) * self._tick


class Pace:
    """Lets `per_second` actions pass, over all bots."""

    def __init__(self, per_second: float) -> None:
        self._interval = 1 / per_second
        self._next = time.monotonic()

    async def wait(self) -> None:
        now = time.monotonic()
        # A bot that was held up does not make up for it with a burst.
        self._next = max(self._next + self._interval, now)
        await asyncio.sleep(self._next - now)


class Bot(ABC):
    """One account; `run` trades until `stop`, and ends with no request under way."""

    def __init__(
        self, client: Client, market: MarketInfo, walk: Walk, pace: Pace, board: Board, chance: random.Random
    ) -> None:
        self.client = client
        self.market = market
        self.walk = walk
        self.board = board
        self.chance = chance
        self._pace = pace
        self._is_stopping = False

    def stop(self) -> None:
        self._is_stopping = True

    async def run(self) -> None:
        while not self._is_stopping:
            await self._pace.wait()
            self.walk.step()
            try:
                await self.act()
            except ApiError as error:
                # A cancel that comes after the fill is part of trading.
                if error.code not in ("orderNotOpen", "unknownOrder"):
                    self.board.refuse(str(error))

    @abstractmethod
    async def act(self) -> None:
        """Place or cancel one order."""

    async def timed(self, request: Callable[[], Awaitable[T]]) -> T:
        """Send, and note how long the answer took."""
        started = time.perf_counter()
        answer = await request()
        self.board.latencies.add(1000 * (time.perf_counter() - started))
        return answer

    def quantity(self, most_lots: int) -> Decimal:
        """A random number of lots, in whole base units."""
        return self.chance.randint(1, most_lots) * Decimal(self.market.lot_size)

    async def limit(self, side: str, price: Decimal, quantity: Decimal, replaces: str | None = None) -> PlacedOrder:
        placed = await self.timed(
            lambda: self.client.place_limit(self.market.symbol, side, price, quantity, replaces=replaces)
        )
        self.board.orders += 1
        return placed


class Maker(Bot):
    """Keeps quotes on both sides: places, replaces under the same nonce key, cancels."""

    quotes: dict[str, str]
    """open quotes: side by order id"""

    async def run(self) -> None:
        self.quotes = {}
        watch = asyncio.create_task(self._watch())
        try:
            await super().run()
        finally:
            watch.cancel()

    async def _watch(self) -> None:
        async for message in self.client.subscribe(self.client.trader_channel):
            if isinstance(message, OrderMessage) and message.data.status in ENDED:
                self.quotes.pop(message.data.order_id, None)

    async def act(self) -> None:
        side = self.chance.choice(("buy", "sell"))
        mine = [order_id for order_id, quoted in self.quotes.items() if quoted == side]
        if not mine or (len(mine) < QUOTES_PER_SIDE and self.chance.random() < 0.7):
            await self._quote(side, None)
            return
        order_id = self.chance.choice(mine)
        if self.chance.random() < 0.5:
            await self._quote(side, order_id)
            return
        self.quotes.pop(order_id, None)
        await self.timed(lambda: self.client.cancel(order_id))
        self.board.cancels += 1

    async def _quote(self, side: str, replaces: str | None) -> None:
        away = self.chance.randint(1, 40)
        if replaces is not None:
            del self.quotes[replaces]
        try:
            placed = await self.limit(
                side, self.walk.price(-away if side == "buy" else away), self.quantity(2_000), replaces
            )
        except ValueError:
            if replaces is None:
                raise
            return  # filled since it was chosen: there is nothing to replace
        if placed.status not in ENDED:
            self.quotes[placed.order_id] = side


class Taker(Bot):
    """Takes what stands near the price: market orders, and limit orders whose remainder stays for a while."""

    def __init__(
        self, client: Client, market: MarketInfo, walk: Walk, pace: Pace, board: Board, chance: random.Random
    ) -> None:
        super().__init__(client, market, walk, pace, board, chance)
        self._resting: list[str] = []

    async def act(self) -> None:
        if len(self._resting) > QUOTES_PER_SIDE:
            order_id = self._resting.pop(0)
            await self.timed(lambda: self.client.cancel(order_id))
            self.board.cancels += 1
            return
        side = self.chance.choice(("buy", "sell"))
        through = 60 if side == "buy" else -60
        if self.chance.random() < 0.7:
            await self.timed(
                lambda: self.client.place_market(
                    self.market.symbol, side, self.quantity(1_000), self.walk.price(through)
                )
            )
            self.board.orders += 1
            return
        placed = await self.limit(side, self.walk.price(through // 4), self.quantity(1_000))
        if placed.status not in ENDED:
            self._resting.append(placed.order_id)
