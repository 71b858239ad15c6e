"""Calldata of the transactions that the operator sends, built from what they mean."""

from __future__ import annotations

from eth_abi.abi import encode
from eth_abi.exceptions import EncodingError

from offchain.chain.eip712 import keccak
from offchain.domain.actions import (
    Action,
    CreateMarket,
    ScheduleFee,
    SetMarketStatus,
    SettleWithdrawal,
    SignedCancel,
    SignedCancelAll,
    SignedDelegate,
    SignedWithdrawal,
    kind_of,
)
from offchain.domain.order import Address, Order

SETTLE_BATCH = keccak(b"settleBatch(bytes)")[:4]
RELEASE = keccak(b"release(address,uint8,uint32,uint256)")[:4]

_ORDER = "(address,uint32,uint8,uint8,bool,uint64,uint64,uint64,uint32,uint64,uint16,uint64)"
_TERMS = "(uint40,uint64,uint64,bool,uint16,uint16,uint16,uint16,uint16,uint16,uint32)"
_MARKET = f"(string,uint8,uint32,uint32,uint64,uint128,uint64,uint64,address,{_TERMS})"

FUNCTIONS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "withdrawal": (
        "WithdrawalQueue",
        "requestBySig",
        ("address", "uint8", "uint32", "uint256", "uint64", "uint64", "bytes32", "bytes32"),
    ),
    "cancel": ("OrderControl", "cancelBySig", (_ORDER, "bytes32", "bytes32")),
    "cancelAll": ("OrderControl", "cancelAllBySig", ("address", "uint32", "bytes32", "bytes32")),
    "delegate": (
        "OrderControl",
        "setDelegateBySig",
        ("address", "address", "uint64", "uint64", "bytes32", "bytes32"),
    ),
    "settleWithdrawal": ("WithdrawalQueue", "settle", ("address", "uint8", "uint32")),
    "createMarket": ("MarketRegistry", "createMarket", (_MARKET,)),
    "setMarketStatus": ("MarketRegistry", "setStatus", ("uint32", "uint8")),
    "scheduleFee": ("Engine", "scheduleFee", ("uint16", "uint40")),
}
"""By the action's kind: the contract, its function and the types of that."""


def settle_calldata(packed: bytes) -> bytes:
    """`Engine.settleBatch(bytes)` with a packed batch."""
    padding = b"\0" * (-len(packed) % 32)
    return SETTLE_BATCH + _word(32) + _word(len(packed)) + packed + padding


def release_calldata(account: Address, kind: int, instrument: int, amount: int) -> bytes:
    """`WithdrawalQueue.release`: pay a request before its window has passed, if it still asks for `amount`."""
    return RELEASE + account.rjust(32, b"\0") + _word(kind) + _word(instrument) + _word(amount)


def action_calldata(account: Address, action: Action) -> tuple[str, bytes]:
    """The contract, by name, that an action calls, and with what. Raises ValueError for what no call can carry."""
    contract, function, types = FUNCTIONS[kind_of(action)]
    selector = keccak(f"{function}({','.join(types)})".encode())[:4]
    try:
        return contract, selector + encode(types, _arguments(account, action))
    except EncodingError as error:
        raise ValueError(f"{kind_of(action)}: {error}") from error


def _arguments(account: Address, action: Action) -> tuple[object, ...]:
    match action:
        case SignedWithdrawal():
            terms = (action.kind, action.asset, action.amount, action.nonce, action.expiry)
            return (account, *terms, *_halves(action.signature))
        case SignedCancel():
            return (_order(action.order), *_halves(action.signature))
        case SignedCancelAll():
            return (account, action.epoch, *_halves(action.signature))
        case SignedDelegate():
            return (account, action.delegate, action.valid_until, action.nonce, *_halves(action.signature))
        case SettleWithdrawal():
            return (account, action.kind, action.asset)
        case CreateMarket():
            return (_market(action),)
        case SetMarketStatus():
            return (action.market, action.status)
        case ScheduleFee():
            return (action.fee_bps, action.at)


def _halves(signature: bytes) -> tuple[bytes, bytes]:
    """`r` and `vs` of EIP-2098."""
    return signature[:32], signature[32:]


def _order(order: Order) -> tuple[object, ...]:
    return (
        order.account,
        order.market,
        int(order.side),
        int(order.time_in_force),
        order.reduce_only,
        order.price,
        order.quantity,
        order.nonce,
        order.epoch,
        order.expiry,
        order.max_fee_bps,
        order.conversion_limit,
    )


def _market(action: CreateMarket) -> tuple[object, ...]:
    terms = tuple(getattr(action.terms, field) for field in action.terms.__struct_fields__)
    sizes = (action.tick_size, action.lot_size, action.max_price, action.max_quantity)
    oracle = action.oracle or bytes(20)
    return (action.symbol, action.kind, action.base, action.quote, *sizes, oracle, terms)


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")
