"""Calldata of the transactions that the operator sends."""

from __future__ import annotations

from offchain.chain.eip712 import keccak
from offchain.domain.order import Address

SETTLE_BATCH = keccak(b"settleBatch(bytes)")[:4]
RELEASE = keccak(b"release(address,uint8,uint32,uint256)")[:4]


def settle_calldata(packed: bytes) -> bytes:
    """`Engine.settleBatch(bytes)` with a packed batch."""
    padding = b"\0" * (-len(packed) % 32)
    return SETTLE_BATCH + _word(32) + _word(len(packed)) + packed + padding


def release_calldata(account: Address, kind: int, instrument: int, amount: int) -> bytes:
    """`WithdrawalQueue.release`: pay a request before its window has passed, if it still asks for `amount`."""
    return RELEASE + account.rjust(32, b"\0") + _word(kind) + _word(instrument) + _word(amount)


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")
