"""Addresses of contracts before they exist: CREATE by nonce, CREATE2 by code."""

from __future__ import annotations

import rlp
from eth_account import Account
from eth_utils.address import to_canonical_address, to_checksum_address
from eth_utils.crypto import keccak

CREATE2_DEPLOYER = "0x4e59b44847b379578588920cA78FbF26c0B4956C"
"""The canonical CREATE2 deployer ("deterministic deployment proxy"), at one address on every chain."""

CREATE2_DEPLOYER_CODE = bytes.fromhex(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe0"
    "3601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3"
)

CREATE2_DEPLOYER_TRANSACTION = bytes.fromhex(
    "f8a58085174876e800830186a08080b853604580600e600039806000f350fe"
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe0"
    "3601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3"
    "1ba02222222222222222222222222222222222222222222222222222222222222222"
    "a02222222222222222222222222222222222222222222222222222222222222222"
)
"""The transaction that creates it, signed by nobody: the signature is a constant, the sender what it recovers to."""

CREATE2_DEPLOYER_SENDER = to_checksum_address(Account.recover_transaction(CREATE2_DEPLOYER_TRANSACTION))
CREATE2_DEPLOYER_COST = 10**16
"""What its sender needs in wei: 100,000 gas at 100 gwei."""

SALT = bytes(32)
"""The salt of every CREATE2 deployment of this project."""


def create_address(sender: str, nonce: int) -> str:
    """Return the address of the contract that `sender`'s transaction number `nonce` creates."""
    return to_checksum_address(keccak(rlp.encode([to_canonical_address(sender), nonce]))[12:])


def create2_address(init_code: bytes) -> str:
    """Return the address at which the canonical deployer puts `init_code` (creation code and arguments)."""
    packed = b"\xff" + to_canonical_address(CREATE2_DEPLOYER) + SALT + keccak(init_code)
    return to_checksum_address(keccak(packed)[12:])
