"""Orders as traders sign them, and the names of their parts.

Prices are micro-USDC per lot, quantities are lots, expiries are Unix seconds.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum

import msgspec

NO_EXPIRY = 2**64 - 1
"""What a GTC order signs as its expiry."""

MAX_TIMED_EXPIRY = 2**40 - 1
"""The latest expiry of every other time in force, in Unix seconds."""

LAST_SEQUENCE = 2**32 - 1
"""Refused on chain: an ended IOC order stores its sequence + 1."""

Address = bytes
"""20 bytes."""

OrderHash = bytes
"""32 bytes: the EIP-712 struct hash of the signed order; the order's id everywhere."""


class Side(IntEnum):
    BUY = 0
    SELL = 1


class TimeInForce(IntEnum):
    GTC = 0
    GTD = 1
    IOC = 2
    FOK = 3


class SelfTrade(StrEnum):
    """Which order ends when a taker would meet an order of its own account."""

    EXPIRE_MAKER = "expireMaker"
    EXPIRE_TAKER = "expireTaker"
    EXPIRE_BOTH = "expireBoth"


class TriggerKind(StrEnum):
    """On which side of the trigger price an order wakes up."""

    STOP = "stop"
    """a buy once the price has risen to it, a sell once it has fallen to it"""
    TAKE_PROFIT = "takeProfit"
    """the other way round"""


class TriggerSource(StrEnum):
    """Which price wakes an order up."""

    LAST = "last"
    MARK = "mark"
    INDEX = "index"


class OrderStatus(StrEnum):
    OPEN = "open"
    PARTIALLY_FILLED = "partiallyFilled"
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"
    EXPIRED = "expired"


class Trigger(msgspec.Struct, frozen=True, array_like=True):
    """What an order waits for before it works. It is not signed: whom the order may meet, and at which price, is."""

    kind: TriggerKind
    source: TriggerSource
    price: int
    """micro-USDC per lot, as the order's price"""

    def rises(self, side: int) -> bool:
        """Whether it is due at or above its price; else at or below."""
        return (self.kind is TriggerKind.STOP) == (side == Side.BUY)


_IOC = int(TimeInForce.IOC)  # looking a member up on its class costs more than comparing with it


class Order(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The signed content, field by field as in `IEngine.Order`."""

    account: Address
    market: int
    side: int
    time_in_force: int
    reduce_only: bool
    price: int
    quantity: int
    nonce: int
    epoch: int
    expiry: int
    max_fee_bps: int
    conversion_limit: int = 0

    @property
    def key(self) -> int:
        """The nonce key: upper 32 bits of the nonce."""
        return self.nonce >> 32

    @property
    def sequence(self) -> int:
        """The sequence within the key: lower 32 bits of the nonce."""
        return self.nonce & 0xFFFF_FFFF

    @property
    def is_immediate(self) -> bool:
        """IOC and FOK orders never rest."""
        return self.time_in_force >= _IOC

    def is_dead(self, now_ms: int) -> bool:
        """Whether the order has expired at `now_ms` (Unix milliseconds); it is dead from `expiry * 1000` on."""
        return self.expiry != NO_EXPIRY and now_ms >= self.expiry * 1000
