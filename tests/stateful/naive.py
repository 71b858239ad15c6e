"""The parts of the naive exchange: orders, fills, answers, and the chain as its blocks tell it."""

from __future__ import annotations

from dataclasses import dataclass, field

from offchain.domain.commands import (
    CancelRequested,
    ChainLog,
    EpochBumped,
    EpochBumpRequested,
    WithdrawalCanceled,
    WithdrawalRequested,
    WithdrawalSettled,
)
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
    rate: int | None = None
    """micro-USDC per whole quote unit, where the market is cross-quoted"""
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


def take(offers: list[NaiveOrder], wanted: int) -> list[tuple[NaiveOrder, int]]:
    taken = []
    for one in offers:
        lots = min(one.remaining, wanted)
        wanted -= lots
        taken.append((one, lots))
    return taken


class History:
    """The canonical blocks, and what follows from their logs alone."""

    def __init__(self) -> None:
        self.blocks: list[tuple[int, list[ChainLog]]] = []
        self.confirmed = -1

    def logs(self) -> list[ChainLog]:
        return [log for _, logs in self.blocks for log in logs]

    def requests(self) -> dict[tuple[Address, int, int], WithdrawalRequested]:
        """Open requests by (account, kind, asset)."""
        found: dict[tuple[Address, int, int], WithdrawalRequested] = {}
        for log in self.logs():
            if isinstance(log, WithdrawalRequested):
                found[log.account, log.kind, log.asset] = log
            elif isinstance(log, WithdrawalCanceled | WithdrawalSettled):
                found.pop((log.account, log.kind, log.asset), None)
        return found

    def epoch(self, account: Address) -> int:
        return sum(isinstance(log, EpochBumped) and log.account == account for log in self.logs())

    def is_bumping(self, account: Address) -> bool:
        is_requested = False
        for log in self.logs():
            if isinstance(log, EpochBumped | EpochBumpRequested) and log.account == account:
                is_requested = isinstance(log, EpochBumpRequested)
        fresh = [log for block, logs in self.blocks if block > self.confirmed for log in logs]
        return is_requested or any(isinstance(log, EpochBumped) and log.account == account for log in fresh)

    def ended(self, account: Address, instrument: int, key: int) -> int:
        """The highest sequence of a nonce key that was canceled on chain."""
        cancels = [log for log in self.logs() if isinstance(log, CancelRequested)]
        wanted = (account, instrument, key)
        found = [log.sequence for log in cancels if (log.account, log.instrument, log.key) == wanted]
        return max(found, default=-1)
