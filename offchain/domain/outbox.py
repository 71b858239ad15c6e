"""The outbox: what was matched or granted and is not on chain yet, numbered in the order of settlement.

Fills are settled in batches, releases of withdrawals one by one between them. A release that cannot be paid, because
its receiver refuses the transfer, holds up nobody else: fills after it may be settled.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge

import msgspec

from offchain.domain.account import Balance, LiveOrder
from offchain.domain.events import BatchUpdate, Trade
from offchain.domain.order import Address

MAX_BATCH_FILLS = 2_000
"""Fills that a batch may hold."""


class Fill(msgspec.Struct, eq=False, gc=False):
    """A trade with the two orders whose filled quantities it is part of."""

    trade: Trade
    maker: LiveOrder
    taker: LiveOrder
    changes: tuple[tuple[Balance, int], ...] | None = None
    """of a derivative: what it does to whose balance, which depends on the positions before it"""

    @property
    def item(self) -> int:
        return self.trade.item


class Release(msgspec.Struct, frozen=True, array_like=True):
    """The operator's consent to a withdrawal request before its window has passed."""

    item: int
    account: Address
    kind: int
    asset: int
    amount: int
    tx_hash: bytes
    time_ms: int


class Batch(msgspec.Struct, array_like=True):
    """The range of items that the settler fixed; at most one is not on chain."""

    number: int
    first: int
    last: int
    matched_at: int
    status: str = "closed"
    """closed | sent | parked | retried"""
    tx_hash: bytes = b""
    reason: str = ""

    def update(self, status: str) -> BatchUpdate:
        return BatchUpdate(
            self.number, status, self.first, self.last, self.matched_at, tx_hash=self.tx_hash, reason=self.reason
        )


class SettledBatch:
    """A batch on chain whose block may still be rolled back, with its fills to put back if it is."""

    __slots__ = ("fills", "gas_used", "matched_at", "number", "tx_hash")

    def __init__(self, number: int, matched_at: int, tx_hash: bytes, gas_used: int, fills: list[Fill]) -> None:
        self.number = number
        self.matched_at = matched_at
        self.tx_hash = tx_hash
        self.gas_used = gas_used
        self.fills = fills

    def update(self, status: str) -> BatchUpdate:
        first, last = self.fills[0].item, self.fills[-1].item
        return BatchUpdate(self.number, status, first, last, self.matched_at, self.tx_hash, self.gas_used)


class ParkedHalt(msgspec.Struct, frozen=True, array_like=True):
    """Why a market stands still: a batch was parked, because of `item` or, if that is None, of one of its fills."""

    batch: int
    item: int | None
    reason: str


class Outbox:
    """Unsettled items by number, ascending, and the batches on their way."""

    __slots__ = (
        "_first_fill",
        "batch",
        "fills",
        "halts",
        "last_batch",
        "last_matched_at",
        "next_item",
        "releases",
        "settled",
    )

    def __init__(self) -> None:
        self.next_item = 1
        self.fills: dict[int, Fill] = {}
        self.releases: dict[int, Release] = {}
        self.batch: Batch | None = None
        self.last_batch = 0
        """number of the last batch on chain"""
        self.last_matched_at = 0
        self.settled: dict[int, SettledBatch] = {}
        self.halts: dict[int, ParkedHalt] = {}
        """by market"""
        self._first_fill = 1

    def take_number(self) -> int:
        number = self.next_item
        self.next_item = number + 1
        return number

    def oldest_fill(self) -> Fill | None:
        """The oldest unsettled fill."""
        if not self.fills:
            return None
        # Amortised: the mark only moves back when a settled batch is put back.
        number = self._first_fill
        while number not in self.fills:
            number += 1
        self._first_fill = number
        return self.fills[number]

    def fills_from_oldest(self) -> Iterator[Fill]:
        """Unsettled fills in order; the outbox may not change meanwhile."""
        oldest = self.oldest_fill()
        if oldest is not None:
            for number in range(oldest.item, self.next_item):
                fill = self.fills.get(number)
                if fill is not None:
                    yield fill

    def items(self) -> Iterator[Fill | Release]:
        """All unsettled items in order; the outbox may not change meanwhile."""
        releases: Iterator[Fill | Release] = iter(self.releases.values())
        return merge(self.fills_from_oldest(), releases, key=lambda item: item.item)

    def put_back(self, fills: list[Fill]) -> None:
        """Make fills unsettled again, which are older than all that are unsettled now."""
        self.fills = {fill.item: fill for fill in fills} | self.fills
        self._first_fill = min(self._first_fill, fills[0].item)
