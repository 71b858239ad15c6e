"""Sign-In with Ethereum (EIP-4361): what is signed to sign in, and how wallets sign text (EIP-191)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from offchain.chain.eip712 import keccak
from offchain.domain.order import Address

VERSION = "1"

OPENING = "{domain} wants you to sign in with your Ethereum account:"
"""The first line; wallets compare its domain with the one that asks."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """The fields of one message; its lines have the order that EIP-4361 gives them."""

    domain: str
    """authority (RFC 3986) that asks: host, and port unless it is the scheme's own"""
    address: Address
    """who signs"""
    statement: str
    """one line for a human"""
    uri: str
    chain_id: int
    nonce: str
    """at least 8 letters and digits"""
    issued_ms: int
    expires_ms: int
    resources: Sequence[str] = ()
    """URIs"""

    @property
    def text(self) -> str:
        """What is signed."""
        lines = [
            OPENING.format(domain=self.domain),
            checksummed(self.address),
            "",
            self.statement,
            "",
            f"URI: {self.uri}",
            f"Version: {VERSION}",
            f"Chain ID: {self.chain_id}",
            f"Nonce: {self.nonce}",
            f"Issued At: {_time(self.issued_ms)}",
            f"Expiration Time: {_time(self.expires_ms)}",
        ]
        if self.resources:
            lines += ["Resources:", *(f"- {resource}" for resource in self.resources)]
        return "\n".join(lines)


def account_uri(chain_id: int, account: Address) -> str:
    """An account of a chain as a URI (CAIP-10)."""
    return f"eip155:{chain_id}:{checksummed(account)}"


def checksummed(address: Address) -> str:
    """The address with the checksum of EIP-55 in the case of its letters."""
    digits = address.hex()
    bits = keccak(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if int(bit, 16) >= 8 else digit for digit, bit in zip(digits, bits, strict=False)
    )


def personal_digest(text: str) -> bytes:
    """What `personal_sign` signs for a text (EIP-191, version 0x45)."""
    data = text.encode()
    return keccak(b"\x19Ethereum Signed Message:\n" + str(len(data)).encode() + data)


def _time(ms: int) -> str:
    """RFC 3339, UTC, with milliseconds."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
