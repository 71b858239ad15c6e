"""What a developer would write first: FastAPI, pydantic, eth_account, one SQLite commit per order.

It takes the same bodies as the service, with signatures of 65 bytes, verifies them, matches by price and time in one
market, moves balances, and answers when the order is durable. Left out is what the service does beyond that: nonces,
reservations, replacing, self-trades, event streams, settlement.
Usage: python -m benchmarks.plain_stack PORT FOLDER CHAIN_ID ENGINE MARKET
"""

from __future__ import annotations

import sqlite3
import sys
from bisect import insort
from collections import defaultdict, deque
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import uvicorn
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils import keccak
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

GTC_EXPIRY = 2**64 - 1
PRICE_SCALE, LOT = Decimal(10), Decimal("0.00001")
"""micro-USDC per lot of 0.00001 BTC from USDC per BTC"""
FEE_BPS = 50
TIMES_IN_FORCE = {"GTC": 0, "GTD": 1, "IOC": 2, "FOK": 3}
TYPES = {
    "EIP712Domain": [
        {"name": "name", "type": "string"},
        {"name": "version", "type": "string"},
        {"name": "chainId", "type": "uint256"},
        {"name": "verifyingContract", "type": "address"},
    ],
    "Order": [
        {"name": "account", "type": "address"},
        {"name": "market", "type": "uint32"},
        {"name": "side", "type": "uint8"},
        {"name": "timeInForce", "type": "uint8"},
        {"name": "reduceOnly", "type": "bool"},
        {"name": "price", "type": "uint64"},
        {"name": "quantity", "type": "uint64"},
        {"name": "nonce", "type": "uint64"},
        {"name": "epoch", "type": "uint32"},
        {"name": "expiry", "type": "uint64"},
        {"name": "maxFeeBps", "type": "uint16"},
        {"name": "conversionLimit", "type": "uint64"},
    ],
}
SCHEMA = """
    CREATE TABLE orders (id TEXT PRIMARY KEY, account TEXT, side TEXT, price INTEGER, quantity INTEGER,
        filled INTEGER, status TEXT, signature TEXT);
    CREATE INDEX orders_of ON orders (account, status);
    CREATE TABLE trades (id INTEGER PRIMARY KEY, maker TEXT, taker TEXT, price INTEGER, quantity INTEGER, fee INTEGER);
    CREATE TABLE balances (account TEXT, asset TEXT, amount INTEGER, PRIMARY KEY (account, asset));
"""


class NewOrder(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")

    account: Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$")]
    market: str
    side: Literal["buy", "sell"]
    type: Literal["limit", "market"]
    time_in_force: Literal["GTC", "GTD", "IOC", "FOK"]
    price: Annotated[Decimal, Field(gt=0)]
    quantity: Annotated[Decimal, Field(gt=0)]
    nonce: Annotated[int, Field(ge=0, lt=2**64)]
    max_fee_bps: Annotated[int, Field(ge=0, lt=2**16)]
    signature: Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{130}$")]
    epoch: Annotated[int, Field(ge=0, lt=2**32)] = 0
    expiry: int | None = None
    reduce_only: bool = False
    post_only: bool = False
    self_trade_prevention: str = "expireMaker"
    client_order_id: str | None = None
    expect_filled: str | None = None
    conversion_limit: str | None = None


class Fill(BaseModel):
    trade_id: int
    price: Decimal
    quantity: Decimal


class PlacedOrder(BaseModel):
    order_id: str
    status: str
    filled: Decimal
    remaining: Decimal
    fills: list[Fill]


class Resting:
    def __init__(self, order_id: str, account: str, quantity: int) -> None:
        self.order_id = order_id
        self.account = account
        self.quantity = quantity
        self.filled = 0


class Exchange:
    """One market's book in memory, everything in one database."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(SCHEMA)
        self._levels: dict[str, dict[int, deque[Resting]]] = {"buy": {}, "sell": {}}
        self._prices: dict[str, list[int]] = {"buy": [], "sell": []}
        self._balances: defaultdict[tuple[str, str], int] = defaultdict(lambda: 10**15)
        self._trades = 0

    def place(self, order_id: str, order: NewOrder, price: int, quantity: int) -> tuple[str, int, list[Fill]]:
        """Match, store, commit."""
        self._db.execute("BEGIN")
        try:
            outcome = self._match(order_id, order, price, quantity)
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        return outcome

    def _match(self, order_id: str, order: NewOrder, price: int, quantity: int) -> tuple[str, int, list[Fill]]:
        opposite = "sell" if order.side == "buy" else "buy"
        sign = 1 if order.side == "buy" else -1
        prices, levels, fills, left = self._prices[opposite], self._levels[opposite], [], quantity
        while left and prices and sign * price >= prices[0] * sign:
            best = prices[0]
            queue = levels[best]
            maker = queue[0]
            lots = min(left, maker.quantity - maker.filled)
            maker.filled += lots
            left -= lots
            fills.append(self._trade(maker, order_id, order, best, lots))
            if maker.filled == maker.quantity:
                queue.popleft()
                if not queue:
                    del levels[best], prices[0]
        rests = left > 0 and order.time_in_force in ("GTC", "GTD")
        if rests:
            mine = self._levels[order.side]
            if price not in mine:
                mine[price] = deque()
                insort(self._prices[order.side], price, key=lambda each: -sign * each)
            mine[price].append(Resting(order_id, order.account, quantity))
            mine[price][-1].filled = quantity - left
        status = "filled" if not left else "open" if rests else "canceled"
        row = (order_id, order.account, order.side, price, quantity, quantity - left, status, order.signature)
        self._db.execute("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        return status, quantity - left, fills

    def _trade(self, maker: Resting, order_id: str, order: NewOrder, price: int, lots: int) -> Fill:
        self._trades += 1
        fee = price * lots * FEE_BPS // 10_000
        buyer, seller = (order.account, maker.account) if order.side == "buy" else (maker.account, order.account)
        for account, asset, change in (
            (buyer, "USDC", -price * lots - fee),
            (buyer, "BTC", lots),
            (seller, "USDC", price * lots - fee),
            (seller, "BTC", -lots),
        ):
            self._balances[account, asset] += change
            row = (account, asset, self._balances[account, asset])
            self._db.execute("INSERT OR REPLACE INTO balances VALUES (?, ?, ?)", row)
        status = "filled" if maker.filled == maker.quantity else "partiallyFilled"
        self._db.execute(
            "UPDATE orders SET filled = ?, status = ? WHERE id = ?", (maker.filled, status, maker.order_id)
        )
        row = (self._trades, maker.order_id, order_id, price, lots, fee)
        self._db.execute("INSERT INTO trades VALUES (?, ?, ?, ?, ?, ?)", row)
        return Fill(trade_id=self._trades, price=Decimal(price) / PRICE_SCALE, quantity=lots * LOT)


class Signing(NamedTuple):
    chain_id: int
    engine: str
    market: int


def typed_data(order: NewOrder, price: int, quantity: int, signing: Signing) -> dict[str, Any]:
    return {
        "types": TYPES,
        "primaryType": "Order",
        "domain": {
            "name": "OrderBookDEX",
            "version": "1",
            "chainId": signing.chain_id,
            "verifyingContract": signing.engine,
        },
        "message": {
            "account": order.account,
            "market": signing.market,
            "side": 0 if order.side == "buy" else 1,
            "timeInForce": TIMES_IN_FORCE[order.time_in_force],
            "reduceOnly": order.reduce_only,
            "price": price,
            "quantity": quantity,
            "nonce": order.nonce,
            "epoch": order.epoch,
            "expiry": GTC_EXPIRY if order.expiry is None else order.expiry,
            "maxFeeBps": order.max_fee_bps,
            "conversionLimit": 0,
        },
    }


def create_app(folder: Path, signing: Signing) -> FastAPI:
    app, exchange = FastAPI(), Exchange(folder / "plain.db")

    @app.post("/v1/orders", status_code=201)
    async def place_order(order: NewOrder) -> PlacedOrder:
        price, quantity = int(order.price * PRICE_SCALE), int(order.quantity / LOT)
        message = encode_typed_data(full_message=typed_data(order, price, quantity, signing))
        signer = Account.recover_message(message, signature=order.signature)
        if signer.lower() != order.account.lower():
            raise HTTPException(403, "the signature is not the account's")
        order_id = "0x" + keccak(message.body).hex()
        status, filled, fills = exchange.place(order_id, order, price, quantity)
        return PlacedOrder(
            order_id=order_id, status=status, filled=filled * LOT, remaining=(quantity - filled) * LOT, fills=fills
        )

    return app


def main() -> None:
    port, folder, chain_id, engine, market = sys.argv[1:]
    app = create_app(Path(folder), Signing(int(chain_id), engine, int(market)))
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
