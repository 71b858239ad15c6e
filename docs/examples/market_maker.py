"""Quotes one order on each side around the last price and follows it, until Ctrl-C; then cancels both.

A quote is replaced under its own nonce key, so that no moment is without one, and canceled when there is nothing to
replace it with. Usage: market_maker.py SYMBOL [SIZE] [SPREAD_BPS]
"""

import asyncio
import os
import signal
import sys
from decimal import ROUND_DOWN, Decimal

from offchain.client import ApiError, Client

SIDES = {"buy": -1, "sell": 1}


class MarketMaker:
    def __init__(self, client: Client, symbol: str, size: str, spread_bps: str) -> None:
        self.client, self.symbol, self.size = client, symbol, size
        self.half_spread = Decimal(spread_bps) / 20_000
        self.quotes: dict[str, str] = {}  # the open order of each side
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
        for side, sign in SIDES.items():
            price = middle * (1 + sign * self.half_spread)
            price = (price / self.tick).to_integral_value(ROUND_DOWN) * self.tick
            try:
                order = await self.client.place_limit(
                    self.symbol, side, price, self.size, post_only=True, replaces=self.quotes.pop(side, None)
                )
            except (ApiError, ValueError) as refusal:  # too little money, a price that would take, an order that filled
                print(f"{side} at {price}: {refusal}", flush=True)
            else:
                self.quotes[side] = order.order_id
                print(f"{side} {self.size} at {price}", flush=True)

    async def stop(self) -> None:
        for order_id in self.quotes.values():
            try:
                await self.client.cancel(order_id)
            except ApiError as refusal:
                print(f"{order_id}: {refusal}", flush=True)


async def main(symbol: str, size: str = "0.01", spread_bps: str = "20") -> None:
    async with Client(os.environ["CROSSPOINT_URL"], os.environ["CROSSPOINT_KEY"]) as client:
        maker = MarketMaker(client, symbol, size, spread_bps)
        task = asyncio.create_task(maker.run())
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            print("canceling", flush=True)
        finally:
            await maker.stop()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
