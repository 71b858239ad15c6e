"""Identifiers that the chain computes as well."""

from __future__ import annotations

import sha3

from offchain.domain.order import OrderHash


def fill_id(maker_hash: OrderHash, taker_hash: OrderHash, maker_filled_before: int, taker_filled_before: int) -> bytes:
    """The id of a fill: keccak256(abi.encode(makerHash, takerHash, makerFilledBefore, takerFilledBefore)).

    The filled quantities are lots before the fill. The Engine emits the same 32 bytes in `Fill(bytes32)`.
    """
    encoded = (
        maker_hash + taker_hash + maker_filled_before.to_bytes(32, "big") + taker_filled_before.to_bytes(32, "big")
    )
    digest: bytes = sha3.keccak_256(encoded).digest()
    return digest
