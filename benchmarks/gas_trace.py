"""What the gas of a call is spent on, from a trace of its steps."""

from __future__ import annotations

from collections import Counter
from typing import Any

from benchmarks.gas_floor import TRANSACTION, calldata
from scripts._lib.anvil import rpc

KINDS = {
    "SLOAD": "storage reads",
    "SSTORE": "storage writes",
    "KECCAK256": "hashes",
    "MLOAD": "memory",
    "MSTORE": "memory",
    "MSTORE8": "memory",
    "MCOPY": "memory",
    "CALLDATALOAD": "calldata",
    "CALLDATACOPY": "calldata",
    "RETURNDATACOPY": "calldata",
    "JUMP": "jumps",
    "JUMPI": "jumps",
    "JUMPDEST": "jumps",
    "STATICCALL": "calls and ecrecover",
    "CALL": "calls and ecrecover",
    "DELEGATECALL": "calls and ecrecover",
}
STACK = ("PUSH", "DUP", "SWAP", "POP")


def spent(url: str, sender: str, to: str, data: bytes) -> dict[str, int]:
    """Gas by kind of instruction; the sum is what the transaction uses before refunds."""
    call = {"from": sender, "to": to, "data": "0x" + data.hex()}
    options = {"disableMemory": True, "disableStack": True, "disableStorage": True}
    trace = rpc(url, "debug_traceCall", call, "latest", options)
    steps = trace["structLogs"]
    kinds: Counter[str] = Counter({"transaction": TRANSACTION, "calldata of the transaction": calldata(data)})
    for index, step in enumerate(steps):
        kinds[_kind(step["op"])] += _cost(step, steps[index + 1] if index + 1 < len(steps) else None)
    return dict(kinds.most_common())


def _kind(op: str) -> str:
    if op.startswith(STACK):
        return "stack"
    if op.startswith("LOG"):
        return "events"
    return KINDS.get(op, "arithmetic and comparisons")


def _cost(step: dict[str, Any], following: dict[str, Any] | None) -> int:
    """What a step itself uses: of a call without what the callee gets, of a precompile with it."""
    if following is None or following["depth"] < step["depth"]:
        return int(step["gasCost"])
    if following["depth"] > step["depth"]:
        return max(0, int(step["gasCost"]) - int(following["gas"]))
    return int(step["gas"]) - int(following["gas"])
