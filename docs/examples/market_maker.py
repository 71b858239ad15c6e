"""Quotes levels on both sides around the last price and follows it, until Ctrl-C; then cancels them.

All quotes move at one time, under one signature. If this program, its machine or its connection fails, the exchange
cancels them. Usage: market_maker.py SYMBOL [SIZE] [SPREAD_BPS] [LEVELS]
"""

import asyncio
import os
import signal
import sys
from decimal import ROUND_DOWN, ROUND_UP, Decimal

from offchain.client import ApiError, Client, QuoteSheet


class MarketMaker:
    def __init__(self, client: Client, sheet: QuoteSheet, symbol: str, size: str, spread_bps: str, levels: str) -> None:
        self.client, self.sheet, self.symbol, self.size = client, sheet, symbol, size
        self.half_spread, self.levels = Decimal(spread_bps) / 20_000, int(levels)
        self.tick = Decimal(1)

    async def run(self) -> None:
        listed = await self.client.markets()
        self.tick = Decimal(next(m.tick_size for m in listed.markets if m.symbol == self.symbol))
        ticker = await self.client.ticker(self.symbol)
        if ticker.last is None:
            sys.exit(f"{self.symbol} has never traded: there is no price to quote around")
        middle = Decimal(ticker.last)
        await self.quote(middle)
        async with self.client.subscribe(f"market.{self.symbol}.trade") as stream:
            async for message in stream:
                if message.data and Decimal(message.data[-1].price) != middle:
                    middle = Decimal(message.data[-1].price)
                    await self.quote(middle)

    async def quote(self, middle: Decimal) -> None:
        """The best level half a spread away, the others each half a spread further."""
        away = [middle * self.half_spread * (level + 1) for level in range(self.levels)]
        bids = [(self.on_tick(middle - distance, ROUND_DOWN), self.size) for distance in away]
        asks = [(self.on_tick(middle + distance, ROUND_UP), self.size) for distance in away]
        try:
            results = await self.sheet.quote(bids, asks)
        except ApiError as refusal:  # of all: the service does not answer, or a budget is used up
            print(f"around {middle}: {refusal}", flush=True)
            return
        print(f"around {middle}: {sum(entry.order is not None for entry in results)} quotes", flush=True)
        for entry in results:
            if entry.problem is not None:  # too little money, a price that would take
                print(f"  {entry.problem.code}: {entry.problem.detail}", flush=True)

    def on_tick(self, price: Decimal, rounding: str) -> Decimal:
        return (price / self.tick).to_integral_value(rounding) * self.tick


async def main(symbol: str, size: str = "0.01", spread_bps: str = "20", levels: str = "3") -> None:
    async with (
        Client(os.environ["CROSSPOINT_URL"], os.environ["CROSSPOINT_KEY"]) as client,
        client.order_socket(cancel_on_disconnect=True) as socket,
    ):
        sheet = QuoteSheet(socket, symbol)
        task = asyncio.create_task(MarketMaker(client, sheet, symbol, size, spread_bps, levels).run())
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            print("canceling", flush=True)
        finally:
            await sheet.cancel()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
