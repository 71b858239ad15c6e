"""Traders who sign with the service's own fast EIP-712 code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from offchain.chain import eip712
from offchain.domain.commands import PlaceOrder
from offchain.domain.market import Market
from offchain.domain.order import NO_EXPIRY, Address, Order, OrderStatus, TimeInForce
from offchain.ports import ItemRow, OrderRow, TradeRow


@dataclass(frozen=True)
class Trader:
    """An account that can sign; role names become keys."""

    private_key: bytes

    @classmethod
    def named(cls, role: str) -> Trader:
        return cls(eip712.keccak(f"trader {role}".encode()))

    @property
    def address(self) -> Address:
        return eip712.address_of(self.private_key)


def create_order(
    trader: Trader, market: Market | int, side: int, price: int, quantity: int, **changes: object
) -> Order:
    """`price` in micro-USDC per lot; GTC under nonce key 0 and sequence 1 unless changed (`key`, `sequence`, ...)."""
    nonce = int(changes.pop("key", 0)) << 32 | int(changes.pop("sequence", 1))  # type: ignore[call-overload]
    fields: dict[str, object] = {
        "time_in_force": TimeInForce.GTC,
        "reduce_only": False,
        "nonce": nonce,
        "epoch": 0,
        "expiry": NO_EXPIRY,
        "max_fee_bps": 50,
    }
    market_id = market if isinstance(market, int) else market.id
    fields |= changes
    return Order(trader.address, market_id, side, price=price, quantity=quantity, **fields)  # type: ignore[arg-type]


def sign_order(trader: Trader, order: Order, domain: eip712.Domain) -> tuple[bytes, bytes]:
    """Hash and compact signature."""
    order_hash = eip712.order_hash(order)
    return order_hash, eip712.sign(eip712.order_digest(domain, order_hash), trader.private_key)


def create_placement(trader: Trader, order: Order, domain: eip712.Domain, now_ms: int = 0) -> PlaceOrder:
    return PlaceOrder(order, *sign_order(trader, order, domain), now_ms)


def create_order_row(trader: Trader, order: Order, domain: eip712.Domain) -> OrderRow:
    order_hash, signature = sign_order(trader, order, domain)
    return OrderRow(order, order_hash, signature, "limit", False, "expireMaker", None, OrderStatus.OPEN, 0, "", 0, 0, 1)


def create_array_rows(trader: Trader, orders: Sequence[Order], domain: eip712.Domain) -> list[OrderRow]:
    """Orders that `trader` signs together."""
    rows = [create_order_row(trader, order, domain) for order in orders]
    hashes = tuple(row.order_hash for row in rows)
    signature = eip712.sign(eip712.order_digest(domain, eip712.array_hash(hashes)), trader.private_key)
    return [msgspec.structs.replace(row, signature=signature, array=hashes) for row in rows]


def create_item(number: int, maker: OrderRow, taker: OrderRow, quantity: int, time_ms: int = 0) -> ItemRow:
    """A fill of two signed orders at the maker's price; only what settlement reads is meaningful."""
    trade = TradeRow(
        item=number,
        id=b"",
        market=maker.order.market,
        maker_hash=maker.order_hash,
        taker_hash=taker.order_hash,
        maker=maker.order.account,
        taker=taker.order.account,
        taker_side=taker.order.side,
        price=maker.order.price,
        quantity=quantity,
        maker_fee=0,
        taker_fee=0,
        time_ms=time_ms,
        seq=number,
        settlement="pending",
        batch=0,
        tx_hash=b"",
    )
    return ItemRow(number, trade, maker, taker, None)
