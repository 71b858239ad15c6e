"""Buys at once what is offered, up to 1 % above the best price, and waits until it is settled on chain.

Usage: taker.py SYMBOL SIZE
"""

import os
import sys
import time
from decimal import ROUND_DOWN, Decimal

from offchain.client import BlockingClient

SLIPPAGE = Decimal("0.01")
SETTLED = ("settled", "confirmed")


def main(symbol: str, size: str) -> None:
    with BlockingClient(os.environ["CROSSPOINT_URL"], os.environ["CROSSPOINT_KEY"]) as client:
        book = client.orderbook(symbol, depth=1)
        if not book.asks:
            sys.exit(f"nobody offers {symbol}")
        tick = Decimal(next(market.tick_size for market in client.markets().markets if market.symbol == symbol))
        worst = (Decimal(book.asks[0][0]) * (1 + SLIPPAGE) / tick).to_integral_value(ROUND_DOWN) * tick
        order = client.place_market(symbol, "buy", size, worst)
        print(f"{order.status}: {order.filled} bought", flush=True)
        for fill in order.fills:
            print(f"  {fill.quantity} at {fill.price}", flush=True)
        trades = {fill.trade_id for fill in order.fills}
        while trades:
            found = [fill for fill in client.fills(limit=500).fills if fill.trade_id in trades]
            if all(fill.settlement.state in SETTLED for fill in found):
                for tx_hash in sorted({str(fill.settlement.tx_hash) for fill in found}):
                    print(f"settled in {tx_hash}", flush=True)
                return
            time.sleep(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
