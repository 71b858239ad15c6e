"""What is known of the chain, and for each recent block what its logs changed, so that a rollback can undo it.

Amounts are quanta, block times Unix seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import msgspec

from offchain.domain.account import Hold
from offchain.domain.fees import FeeSchedule
from offchain.domain.ledger import ClearingMarket
from offchain.domain.order import Address
from offchain.domain.positions import Holding

CONFIRMED_KEPT = 64
"""Confirmed blocks that can still be undone: two epochs of Ethereum, after which blocks are final."""


class DepositEntry(msgspec.Struct, array_like=True, tag="deposit"):
    account: Address
    asset: int
    amount: int
    tx_hash: bytes
    log_index: int
    credited: bool = False


class RebateEntry(DepositEntry, array_like=True, tag="rebate"):
    """A deposit that came out of the collected fees."""


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


class PositionBefore(msgspec.Struct, array_like=True):
    """A position on chain before a log."""

    account: Address
    market: int
    holding: Holding


class BatchEntry(msgspec.Struct, array_like=True, tag="batch"):
    """A batch was mined; its fills wait in the outbox under its number."""

    number: int
    previous_matched_at: int
    positions: list[PositionBefore]
    pools: list[tuple[int, int]]
    """by market, before"""


class ClearingEntry(msgspec.Struct, array_like=True, tag="clearing"):
    """The Clearinghouse did something besides settling fills: what it had before."""

    positions: list[PositionBefore]
    markets: list[tuple[int, ClearingMarket]]
    fund: int
    """what the insurance fund received, micro-USDC"""


class FeeScheduleEntry(msgspec.Struct, array_like=True, tag="feeSchedule"):
    before: FeeSchedule


class KeyEntry(msgspec.Struct, array_like=True, tag="key"):
    """Sequences of a nonce key ended: the highest that had ended before, None if none had, and the highest that has."""

    account: Address
    instrument: int
    key: int
    before: int | None
    after: int


class EpochEntry(msgspec.Struct, array_like=True, tag="epoch"):
    """A bump was requested, or came: what held before."""

    account: Address
    epoch: int
    was_requested: bool
    is_bump: bool


class DelegateEntry(msgspec.Struct, array_like=True, tag="delegate"):
    """Until when the delegate signed before the log, 0 if it did not."""

    account: Address
    delegate: Address
    before: int


class NonceEntry(msgspec.Struct, array_like=True, tag="nonce"):
    """The nonce of signed withdrawal requests before the log."""

    account: Address
    before: int


Entry = (
    DepositEntry
    | RebateEntry
    | HoldEntry
    | StatusEntry
    | FeesEntry
    | FeeScheduleEntry
    | KeyEntry
    | EpochEntry
    | DelegateEntry
    | NonceEntry
    | BatchEntry
    | ClearingEntry
)


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

    def unconfirmed(self) -> Iterator[Entry]:
        """What the blocks changed whose credits do not count yet, newest block first."""
        for record in reversed(self.records):
            if record.number <= self.confirmed:
                return
            yield from record.entries

    def record(self, number: int) -> BlockRecord | None:
        """The record of a recent block, None if it was skipped or is too old."""
        for record in reversed(self.records):
            if record.number <= number:
                return record if record.number == number else None
        return None
