"""The parts of the naive exchange: orders, fills and answers, with nothing derived."""

from __future__ import annotations

from dataclasses import dataclass, field

from offchain.domain.commands import WithdrawalRequested
from offchain.domain.order import NO_EXPIRY, Address, Order

Asset = int
Pocket = tuple[Address, Asset]


@dataclass(eq=False)
class NaiveOrder:
    hash: bytes
    order: Order
    rank: tuple[int, int]
    """place in the queue: (when it was entered, replacement)"""
    accepted: int
    filled: int = 0
    status: str = "open"

    @property
    def remaining(self) -> int:
        return self.order.quantity - self.filled

    @property
    def is_open(self) -> bool:
        return self.status in ("open", "partiallyFilled")

    def is_dead(self, now_ms: int) -> bool:
        return self.order.expiry != NO_EXPIRY and now_ms >= self.order.expiry * 1_000


@dataclass(eq=False)
class NaiveFill:
    maker: NaiveOrder
    taker: NaiveOrder
    price: int
    quantity: int
    id: bytes = b""
    batch: int | None = None
    is_busted: bool = False


@dataclass(eq=False)
class NaiveRelease:
    request: WithdrawalRequested


@dataclass
class Answer:
    status: str
    filled: int = 0
    fills: list[tuple[int, int]] = field(default_factory=list)
    code: str = ""
    rejection: str = ""
