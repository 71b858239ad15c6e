"""The operator's transactions: nonces, fees, replacement.

The operator has one transaction under way at a time, always under the first nonce that is not mined yet. What is sent
next therefore replaces what still waits, and two transactions of the operator never wait for each other.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from eth_account import Account
from eth_account.signers.local import LocalAccount

from offchain.chain.node import Node, NodeError, to_bytes, to_hex, to_int
from offchain.domain.order import Address
from offchain.ports import Announce, ChainUnavailable

TRANSACTION_GAS_CAP = 16_777_216
"""EIP-7825: gas that one transaction may use."""

BASE_FEE_HEADROOM = 2
"""The fee offered covers the base fee rising to this multiple."""

GAS_MARGIN_PERCENT = 25
"""Added to the node's estimate, for state that changes until the transaction is mined."""

MAX_BUMPS = 24
"""Attempts to outbid a waiting transaction whose fees are unknown; 1.125^24 is about 17."""

GWEI = 10**9


class OperatorKeyError(Exception):
    """The operator's key cannot be read."""


@dataclass(frozen=True, slots=True)
class FeePolicy:
    """Limits of what a transaction may offer, in wei per gas."""

    max_fee_cap: int = 500 * GWEI
    fallback_tip: int = GWEI
    """where the node suggests none"""


@dataclass(frozen=True, slots=True)
class Fees:
    """EIP-1559 fees in wei per gas."""

    max_fee: int
    tip: int

    def bumped(self) -> Fees:
        """The least that replaces a transaction with these fees: 12.5 % more of both, rounded up."""
        return Fees(_bump_up(self.max_fee), _bump_up(self.tip))


def _bump_up(fee: int) -> int:
    return -(-fee * 9 // 8)


@dataclass(frozen=True, slots=True)
class _Waiting:
    nonce: int
    fees: Fees


def load_operator(private_key: str | None, keyfile: Path | None, passphrase: str | None) -> LocalAccount:
    """The operator's account from a hexadecimal private key or an encrypted keyfile (Web3 secret storage).

    Raises OperatorKeyError, which never contains the key or the passphrase.
    """
    if (private_key is None) == (keyfile is None):
        raise OperatorKeyError("give either the operator's private key or its keyfile")
    try:
        if private_key is not None:
            account: LocalAccount = Account.from_key(private_key)
        else:
            assert keyfile is not None
            account = Account.from_key(Account.decrypt(json.loads(keyfile.read_text()), passphrase or ""))
    except OSError as error:
        raise OperatorKeyError(f"{keyfile}: {error.strerror}") from None
    except Exception as error:
        # Whatever the library raises may quote the secret.
        source = keyfile or "the private key"
        raise OperatorKeyError(f"{source} cannot be used ({type(error).__name__})") from None
    return account


class Sender:
    """Signs and sends as the operator."""

    def __init__(self, node: Node, account: LocalAccount, chain_id: int, policy: FeePolicy) -> None:
        self._node = node
        self._account = account
        self._chain_id = chain_id
        self._policy = policy
        self._waiting: _Waiting | None = None

    @property
    def address(self) -> Address:
        return bytes.fromhex(self._account.address[2:])

    async def send(self, to: Address, data: bytes, announce: Announce | None = None, gas: int | None = None) -> bytes:
        """Send a transaction and return its hash; one that waits under the same nonce is replaced.

        `announce` is told each hash before the node gets the transaction; `gas` is its limit, by default the node's
        estimate and a margin. Raises ChainUnavailable if the node refuses
        it or the fees needed exceed the cap, and what `announce` raises.
        """
        nonce = to_int(await self._node.request("eth_getTransactionCount", self._account.address, "latest"))
        if gas is None:
            gas = await self._estimate(to, data)
        fees = await self._fees()
        if self._waiting is not None and self._waiting.nonce == nonce:
            bumped = self._waiting.fees.bumped()
            fees = Fees(max(fees.max_fee, bumped.max_fee), max(fees.tip, bumped.tip))
        for _ in range(MAX_BUMPS):
            if fees.max_fee > self._policy.max_fee_cap:
                raise ChainUnavailable(f"fee of {fees.max_fee} wei per gas exceeds the cap {self._policy.max_fee_cap}")
            signed = self._sign(to, data, nonce, gas, fees)
            if announce is not None:
                await announce(signed.hash)
            try:
                tx_hash = to_bytes(await self._node.request("eth_sendRawTransaction", to_hex(signed.raw)))
            except NodeError as error:
                if _is_known(error):
                    tx_hash = signed.hash
                elif _is_underpriced(error):
                    fees = fees.bumped()
                    continue
                else:
                    raise
            self._waiting = _Waiting(nonce, fees)
            return tx_hash
        raise ChainUnavailable(f"a waiting transaction of nonce {nonce} cannot be outbid")

    def _sign(self, to: Address, data: bytes, nonce: int, gas: int, fees: Fees) -> _Signed:
        signed = self._account.sign_transaction(
            {
                "type": 2,
                "chainId": self._chain_id,
                "nonce": nonce,
                "to": to,
                "value": 0,
                "data": data,
                "gas": gas,
                "maxFeePerGas": fees.max_fee,
                "maxPriorityFeePerGas": fees.tip,
            }
        )
        return _Signed(bytes(signed.raw_transaction), bytes(signed.hash))

    async def _estimate(self, to: Address, data: bytes) -> int:
        call = {"from": self._account.address, "to": to_hex(to), "data": to_hex(data)}
        estimate = to_int(await self._node.request_now("eth_estimateGas", call))
        if estimate > TRANSACTION_GAS_CAP:
            raise ChainUnavailable(f"needs {estimate} gas, a transaction may use {TRANSACTION_GAS_CAP}")
        return min(estimate + estimate * GAS_MARGIN_PERCENT // 100, TRANSACTION_GAS_CAP)

    async def _fees(self) -> Fees:
        block = await self._node.request("eth_getBlockByNumber", "latest", False)
        base_fee = to_int(block.get("baseFeePerGas", "0x0")) if isinstance(block, dict) else 0
        try:
            tip = to_int(await self._node.request("eth_maxPriorityFeePerGas"))
        except NodeError:  # an optional method
            tip = self._policy.fallback_tip
        return Fees(base_fee * BASE_FEE_HEADROOM + tip, tip)


@dataclass(frozen=True, slots=True)
class _Signed:
    raw: bytes
    hash: bytes


def _is_known(error: NodeError) -> bool:
    return any(text in error.message.lower() for text in ("already known", "already imported", "known transaction"))


def _is_underpriced(error: NodeError) -> bool:
    return "underpriced" in error.message.lower()
