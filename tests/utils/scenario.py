"""Commands of a small exchange, to test what surrounds the core: BTC-USDC, a funded maker and a funded taker."""

from __future__ import annotations

import hashlib
import random

import msgspec

from offchain.domain.commands import (
    AssetRegistered,
    CancelOrder,
    ChainBlock,
    ChainLog,
    Command,
    Configure,
    Deposited,
    MarketCreated,
    PlaceOrder,
)
from offchain.domain.market import USDC, Asset, Kind, Market
from offchain.domain.order import NO_EXPIRY, Address, Order, Side, TimeInForce

ENGINE = b"\xee" * 20
MAKER = b"\x0a" * 20
TAKER = b"\x0b" * 20
WITHDRAWER = b"\x0c" * 20

BTC = Asset(1, "BTC", b"\xb1" * 20, b"\xb2" * 20, 8)
MARKET = Market(
    id=1,
    symbol="BTC-USDC",
    kind=Kind.SPOT,
    instrument=1,
    base=1,
    quote=USDC,
    decimals=8,
    tick_size=100_000,
    lot_size=1_000,
    max_price=10_000_000_000_000,
    max_quantity=1_000_000_000,
)
PRICE = 500_000
"""50,000 USDC per BTC, in micro-USDC per lot of 0.00001 BTC"""

FAR_EXPIRY = 4_000_000_000
"""Unix seconds."""

CONFIGURE = Configure(31_337, ENGINE, 50, 1)


def block_hash(number: int, fork: str = "") -> bytes:
    return hashlib.sha256(f"block {number}{fork}".encode()).digest()


def create_block(number: int, *logs: ChainLog, fork: str = "", parent_fork: str = "") -> ChainBlock:
    """Block `number` of a chain of one block per second."""
    parent = block_hash(number - 1, parent_fork)
    return ChainBlock(number, block_hash(number, fork), parent, 1_700_000_000 + number, list(logs))


def create_deposit(account: Address, asset: int, amount: int, log_index: int = 0) -> Deposited:
    return Deposited(account, asset, amount, hashlib.sha256(account + bytes([asset])).digest(), log_index)


def create_order(
    account: Address,
    side: Side,
    quantity: int,
    *,
    price: int = PRICE,
    key: int = 0,
    sequence: int = 1,
    time_in_force: TimeInForce = TimeInForce.GTC,
    expiry: int | None = None,
    client_order_id: str | None = None,
) -> PlaceOrder:
    """An order as intake passes it on; the core does not look at signatures."""
    if expiry is None:
        expiry = NO_EXPIRY if time_in_force is TimeInForce.GTC else FAR_EXPIRY
    order = Order(account, MARKET.id, side, time_in_force, False, price, quantity, key << 32 | sequence, 0, expiry, 50)
    order_hash = hashlib.sha256(msgspec.msgpack.encode(order)).digest()
    return PlaceOrder(order, order_hash, bytes(64), 0, client_order_id=client_order_id)


def create_opening() -> list[Command]:
    """Configure, list the market, fund maker and taker with a million USDC and 100 BTC each."""
    deposits = [
        create_deposit(account, asset, amount)
        for account in (MAKER, TAKER)
        for asset, amount in ((USDC, 10**12), (BTC.id, 100 * 10**8))
    ]
    return [CONFIGURE, create_block(1, AssetRegistered(BTC), MarketCreated(MARKET), *deposits)]


def create_trading(count: int, seed: int = 1, keys: int = 7) -> list[Command]:
    """`count` random orders and cancels of maker and taker around one price; every `keys`-th replaces the older."""
    chance = random.Random(seed)
    commands: list[Command] = []
    placed: list[PlaceOrder] = []
    for sequence in range(1, count + 1):
        if placed and chance.random() < 0.2:
            victim = chance.choice(placed)
            commands.append(CancelOrder(victim.order.account, victim.order_hash, bytes(64), 0))
            continue
        place = create_order(
            chance.choice((MAKER, TAKER)),
            chance.choice((Side.BUY, Side.SELL)),
            chance.randint(1, 50),
            price=PRICE + 100 * chance.randint(-5, 5),
            key=sequence % keys,
            sequence=sequence,
            time_in_force=chance.choice((TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC)),
        )
        placed.append(place)
        commands.append(place)
    return commands
