"""What the service uses of the contracts' ABIs, and the decoding of their logs and errors.

The JSON files beside this module hold the entries as the compiler writes them; a test compares them with the compiled
contracts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from eth_abi.abi import decode as abi_decode
from eth_abi.abi import encode as abi_encode
from eth_abi.exceptions import DecodingError

from offchain.chain.eip712 import keccak

CONTRACTS = ("Engine", "Vault", "WithdrawalQueue", "MarketRegistry", "OrderControl")
"""Contracts that every deployment has, and whose events matter."""

EVENT_CONTRACTS = (*CONTRACTS, "Clearinghouse")
"""Those, and the one that only a deployment with derivatives has."""

CALLED_CONTRACTS = ("Clearinghouse", "PriceOracle")
"""Contracts that these call, whose errors come through."""

WORD = 32

Entry = dict[str, Any]


def load(contract: str) -> list[Entry]:
    """The used entries of a contract's ABI."""
    text = resources.files(__name__).joinpath(f"{contract}.json").read_text()
    entries: list[Entry] = json.loads(text)
    return entries


def canonical_type(parameter: Mapping[str, Any]) -> str:
    """The type as signatures spell it: structs as tuples of their components."""
    kind: str = parameter["type"]
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(map(canonical_type, parameter['components']))}){kind[5:]}"


def signature(entry: Entry) -> str:
    return f"{entry['name']}({','.join(map(canonical_type, entry['inputs']))})"


@dataclass(frozen=True, slots=True)
class EventType:
    """An event of one contract."""

    contract: str
    name: str
    topic: bytes
    indexed: tuple[tuple[str, str], ...]
    """(name, type) of the parameters in topics"""
    plain: tuple[tuple[str, str], ...]
    """(name, type) of the parameters in the data"""

    def decode(self, topics: Sequence[bytes], data: bytes) -> dict[str, Any]:
        """The event's parameters by name; addresses as 0x strings. Raises ValueError for a log of another shape."""
        if len(topics) != 1 + len(self.indexed):
            raise ValueError(f"{self.contract}.{self.name}: {len(topics)} topics instead of {1 + len(self.indexed)}")
        if len(data) % WORD or len(data) < WORD * len(self.plain):
            raise ValueError(f"{self.contract}.{self.name}: {len(data)} bytes of data are not what its parameters need")
        try:
            values = dict(
                zip((name for name, _ in self.plain), abi_decode([kind for _, kind in self.plain], data), strict=True)
            )
            for (name, kind), topic in zip(self.indexed, topics[1:], strict=True):
                values[name] = abi_decode([kind], topic)[0]
        except DecodingError as error:
            raise ValueError(f"{self.contract}.{self.name}: {error}") from error
        return values


def _event_type(contract: str, entry: Entry) -> EventType:
    def parameters(is_indexed: bool) -> tuple[tuple[str, str], ...]:
        return tuple((p["name"], canonical_type(p)) for p in entry["inputs"] if p["indexed"] == is_indexed)

    return EventType(contract, entry["name"], keccak(signature(entry).encode()), parameters(True), parameters(False))


EVENTS: dict[tuple[str, bytes], EventType] = {
    (event.contract, event.topic): event
    for event in (
        _event_type(contract, entry)
        for contract in EVENT_CONTRACTS
        for entry in load(contract)
        if entry["type"] == "event"
    )
}
"""By contract and first topic."""

_ERRORS: dict[bytes, Entry] = {
    keccak(signature(entry).encode())[:4]: entry
    for contract in (*CONTRACTS, *CALLED_CONTRACTS)
    for entry in load(contract)
    if entry["type"] == "error"
}
"""By selector; contracts that share an error share its selector."""

NOT_OWNER = "OwnableUnauthorizedAccount"
"""OpenZeppelin's error, which our interfaces do not name."""

_NOT_OWNER = keccak(f"{NOT_OWNER}(address)".encode())[:4]
_PANIC = keccak(b"Panic(uint256)")[:4]
_REVERT = keccak(b"Error(string)")[:4]


def decode_error(data: bytes) -> tuple[str, tuple[int | str, ...]]:
    """Name and arguments of a revert; name "" for data of no error that we know, with the data as the argument."""
    selector, payload = data[:4], data[4:]
    unknown = ("0x" + data.hex(),) if data else ()
    if len(payload) % WORD:
        return "", unknown
    try:
        if selector == _PANIC:
            return "Panic", abi_decode(["uint256"], payload)
        if selector == _NOT_OWNER:
            return NOT_OWNER, abi_decode(["address"], payload)
        if selector == _REVERT:
            return "Error", abi_decode(["string"], payload)
        if selector in _ERRORS:
            entry = _ERRORS[selector]
            return entry["name"], abi_decode([canonical_type(p) for p in entry["inputs"]], payload)
    except DecodingError:
        return "", unknown
    return "", unknown


def encode_call(text: str, *arguments: object) -> bytes:
    """Calldata of a function given as a signature, e.g. `encode_call("asset(uint32)", 1)`."""
    kinds = text[text.index("(") + 1 : -1]
    return keccak(text.encode())[:4] + abi_encode([kind for kind in kinds.split(",") if kind], arguments)
