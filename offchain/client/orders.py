"""What a trader wants, before it has a nonce and a signature."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from offchain.api.schemas.http import OrderInfo
from offchain.client.signing import Number, decimal_text

DEFAULT_EXPIRY_SECONDS = 60
WAITING_EXPIRY_SECONDS = 30 * 86_400
"""for what waits for its trigger"""


@dataclass(frozen=True, kw_only=True)
class NewOrder:
    """An order to be placed. Prices and quantities are `Decimal`, `str` or `int` in whole units."""

    market: str
    side: str
    """buy | sell"""
    price: Number
    """quote units per base unit; of a market order the worst one accepted"""
    quantity: Number
    """base units"""
    type: str = "limit"
    """limit | market"""
    time_in_force: str = "GTC"
    """GTC | GTD | IOC | FOK; a market order is IOC whatever stands here"""
    expiry: int | None = None
    """Unix seconds; where one is needed and none is given: a minute from now, with a trigger 30 days"""
    post_only: bool = False
    reduce_only: bool = False
    """close a position at most"""
    self_trade_prevention: str = "expireMaker"
    client_order_id: str | None = None
    max_fee_bps: int | None = None
    """by default the present fee"""
    conversion_limit: Number | None = None
    """USDC per whole quote unit where that is not USDC: the highest rate accepted, selling the lowest"""
    trigger: str | None = None
    """stop | takeProfit: wait until a price reaches `trigger_price`"""
    trigger_price: Number | None = None
    trigger_by: str | None = None
    """last | mark | index; last if absent"""
    replaces: str | None = None
    """an open order of this client whose place it takes; placed also if that one has ended meanwhile"""
    expect_filled: Number | None = None
    """refuse unless the replaced order has filled exactly so much"""

    @property
    def effective_time_in_force(self) -> str:
        return "IOC" if self.type == "market" else self.time_in_force

    def effective_expiry(self) -> int | None:
        if self.expiry is not None or self.effective_time_in_force == "GTC":
            return self.expiry
        return int(time.time()) + (DEFAULT_EXPIRY_SECONDS if self.trigger is None else WAITING_EXPIRY_SECONDS)

    def unsigned(self) -> dict[str, Any]:
        """The body's fields that are not signed. Raises TypeError, ValueError for what is no number."""
        return {
            "post_only": self.post_only,
            "self_trade_prevention": self.self_trade_prevention,
            "client_order_id": self.client_order_id,
            "trigger": self.trigger,
            "trigger_price": _text(self.trigger_price),
            "trigger_by": self.trigger_by,
            "expect_filled": _text(self.expect_filled),
        }


def again(order: OrderInfo) -> NewOrder:
    """An order like an open one, for what it has left to fill, if that has not changed meanwhile."""
    waits = order.trigger if order.trigger is not None and order.trigger.triggered_at is None else None
    return NewOrder(
        market=order.market,
        side=order.side,
        price=order.price,
        quantity=order.remaining,
        type=order.type,
        time_in_force=order.time_in_force,
        expiry=order.expiry,
        post_only=order.post_only,
        reduce_only=order.reduce_only,
        self_trade_prevention=order.self_trade_prevention,
        client_order_id=order.client_order_id,
        max_fee_bps=order.max_fee_bps,
        conversion_limit=order.conversion_limit,
        trigger=None if waits is None else waits.type,
        trigger_price=None if waits is None else waits.price,
        trigger_by=None if waits is None else waits.by,
        expect_filled=order.filled,
    )


def _text(value: Number | None) -> str | None:
    return None if value is None else decimal_text(value)
