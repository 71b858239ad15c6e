"""What is known of the chain, and for each recent block what its logs changed, so that a rollback can undo it.

Amounts are quanta, block times Unix seconds.
"""

from __future__ import annotations

from collections import deque

import msgspec

from offchain.domain.account import Hold
from offchain.domain.order import Address

CONFIRMED_KEPT = 64
"""Confirmed blocks that can still be undone: two epochs of Ethereum, after which blocks are final."""


class DepositEntry(msgspec.Struct, array_like=True, tag="deposit"):
    account: Address
    asset: int
    amount: int
    tx_hash: bytes
    log_index: int
    credited: bool = False


class HoldEntry(msgspec.Struct, array_like=True, tag="hold"):
    """A withdrawal request came, or went, or was paid: the hold of (account, kind, asset) before and after."""

    account: Address
    kind: int
    asset: int
    before: Hold | None
    after: Hold | None
    paid: int


class StatusEntry(msgspec.Struct, array_like=True, tag="status"):
    """A market's status on chain before the log."""

    market: int
    status: int
    status_at: int


class FeesEntry(msgspec.Struct, array_like=True, tag="fees"):
    recipient: Address
    amount: int


class BatchEntry(msgspec.Struct, array_like=True, tag="batch"):
    """A batch was mined; its fills wait in the outbox under its number."""

    number: int
    previous_matched_at: int


Entry = DepositEntry | HoldEntry | StatusEntry | FeesEntry | BatchEntry


class BlockRecord(msgspec.Struct, array_like=True):
    number: int
    block_hash: bytes
    entries: list[Entry]


class ChainView:
    """The chain as far as blocks were seen. Numbers are -1 before the first block."""

    __slots__ = ("confirmed", "head_hash", "head_number", "head_seen_ms", "pruned", "records")

    def __init__(self) -> None:
        self.head_number = -1
        self.head_hash = b""
        self.head_seen_ms = 0
        """when the core learned of the newest block, Unix milliseconds"""
        self.confirmed = -1
        """number up to which credits count"""
        self.pruned = -1
        """number up to which nothing can be undone any more"""
        self.records: deque[BlockRecord] = deque()
        """recent blocks that were seen, oldest first"""

    def record(self, number: int) -> BlockRecord | None:
        """The record of a recent block, None if it was skipped or is too old."""
        for record in reversed(self.records):
            if record.number <= number:
                return record if record.number == number else None
        return None
