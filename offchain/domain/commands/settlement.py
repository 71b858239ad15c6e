"""How batches are on their way to the chain."""

from __future__ import annotations

from offchain.domain.commands.base import Base


class BatchClosed(Base, frozen=True, array_like=True, tag="batchClosed"):
    """The settler fixed the next batch: items `first..last`, which starts at the oldest unsettled item.

    Journaled before anything is sent, so that a restarted settler sends the same bytes. The same number again, while
    nothing of it is on chain, replaces it (after a retry or a bust).
    """

    number: int
    first: int
    last: int
    matched_at: int


class BatchSent(Base, frozen=True, array_like=True, tag="batchSent"):
    number: int
    tx_hash: bytes


class BatchParked(Base, frozen=True, array_like=True, tag="batchParked"):
    """The batch reverts and no global cause explains it: settlement stops before it and the market halts."""

    number: int
    reason: str
    """the contract's error, e.g. "StaleNonce(3)" """
    item: int | None
    """the item at fault, where the error or bisection names one"""


class BatchRetry(Base, frozen=True, array_like=True, tag="batchRetry"):
    """The operator lets the settler try a parked batch again; its market resumes when the batch is mined."""

    number: int


class Bust(Base, frozen=True, array_like=True, tag="bust"):
    """Drop fills that cannot settle, and every later unsettled one that depends on them."""

    fill_ids: list[bytes]
    reason: str
