"""EIP-712: what traders sign, and whose signature it is.

The hashes are those of `OrderLib` in the contracts. Signatures are 64 bytes in the compact form of EIP-2098 (`r`, then
`s` with the parity of the recovered point in its highest bit); the 65-byte form `r, s, v` is accepted where wallets
deliver it. A high `s` is never accepted: every signature has one valid form.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import sha3
from coincurve import GLOBAL_CONTEXT, PrivateKey
from coincurve._libsecp256k1 import ffi as _ffi
from coincurve._libsecp256k1 import lib as _lib

from offchain.domain.order import Address, Order, OrderHash

NAME = "OrderBookDEX"
VERSION = "1"

DOMAIN_FIELDS = (
    ("name", "string"),
    ("version", "string"),
    ("chainId", "uint256"),
    ("verifyingContract", "address"),
)

ORDER_FIELDS = (
    ("account", "address"),
    ("market", "uint32"),
    ("side", "uint8"),
    ("timeInForce", "uint8"),
    ("reduceOnly", "bool"),
    ("price", "uint64"),
    ("quantity", "uint64"),
    ("nonce", "uint64"),
    ("epoch", "uint32"),
    ("expiry", "uint64"),
    ("maxFeeBps", "uint16"),
    ("conversionLimit", "uint64"),
)

ORDER_ARRAY_FIELDS = (("orders", "Order[]"),)
CANCEL_FIELDS = (("account", "address"), ("orderHash", "bytes32"))
CANCEL_ALL_FIELDS = (("account", "address"), ("epoch", "uint32"))
WITHDRAW_FIELDS = (
    ("account", "address"),
    ("kind", "uint8"),
    ("instrument", "uint32"),
    ("amount", "uint256"),
    ("nonce", "uint64"),
    ("expiry", "uint64"),
)
DELEGATE_FIELDS = (("account", "address"), ("delegate", "address"), ("validUntil", "uint64"), ("nonce", "uint64"))

_HALF_ORDER = 0x7FFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFF_5D576E73_57A4501D_DFE92F46_681B20A0
"""Half of secp256k1's group order, rounded down: the largest low `s`."""

_PARITY_BIT = 1 << 255

_SIGNATURE, _KEY, _POINT = map(
    _ffi.typeof, ("secp256k1_ecdsa_recoverable_signature *", "secp256k1_pubkey *", "unsigned char[65]")
)
_UNCOMPRESSED = _lib.SECP256K1_EC_UNCOMPRESSED


def keccak(data: bytes) -> bytes:
    digest: bytes = sha3.keccak_256(data).digest()
    return digest


def _type(name: str, fields: tuple[tuple[str, str], ...]) -> str:
    return f"{name}({','.join(f'{kind} {field}' for field, kind in fields)})"


def _type_hash(name: str, fields: tuple[tuple[str, str], ...]) -> bytes:
    return keccak(_type(name, fields).encode())


# Each field is right-aligned in a word of 32 bytes, so an encoding is one fixed layout.
_ORDER = struct.Struct(">32s 12x20s 28xI 31xB 31xB 31x? 24xQ 24xQ 24xQ 28xI 24xQ 30xH 24xQ")
_CANCEL = struct.Struct(">32s 12x20s 32s")
_CANCEL_ALL = struct.Struct(">32s 12x20s 28xI")
_WITHDRAW = struct.Struct(">32s 12x20s 31xB 28xI 32s 24xQ 24xQ")
_DELEGATE = struct.Struct(">32s 12x20s 12x20s 24xQ 24xQ")
_DOMAIN = struct.Struct(">32s 32s 32s 32s 12x20s")

_ORDER_TYPE_HASH = _type_hash("Order", ORDER_FIELDS)
_ORDER_ARRAY_TYPE_HASH = keccak((_type("OrderArray", ORDER_ARRAY_FIELDS) + _type("Order", ORDER_FIELDS)).encode())
_CANCEL_TYPE_HASH = _type_hash("Cancel", CANCEL_FIELDS)
_CANCEL_ALL_TYPE_HASH = _type_hash("CancelAll", CANCEL_ALL_FIELDS)
_WITHDRAW_TYPE_HASH = _type_hash("Withdraw", WITHDRAW_FIELDS)
_DELEGATE_TYPE_HASH = _type_hash("Delegate", DELEGATE_FIELDS)
_DOMAIN_TYPE_HASH = _type_hash("EIP712Domain", DOMAIN_FIELDS)


class Domain:
    """The signing domain of one Engine on one chain."""

    __slots__ = ("_prefix", "chain_id", "engine", "separator")

    def __init__(self, chain_id: int, engine: Address) -> None:
        """Raises ValueError if `engine` is not 20 bytes or `chain_id` not an unsigned 256-bit number."""
        if len(engine) != 20:
            raise ValueError(f"engine: an address has 20 bytes, not {len(engine)}")
        if not 0 <= chain_id < 1 << 256:
            raise ValueError(f"chain_id: {chain_id} is not an unsigned 256-bit number")
        self.chain_id = chain_id
        self.engine = bytes(engine)
        self.separator = keccak(
            _DOMAIN.pack(
                _DOMAIN_TYPE_HASH,
                keccak(NAME.encode()),
                keccak(VERSION.encode()),
                chain_id.to_bytes(32, "big"),
                self.engine,
            )
        )
        self._prefix = b"\x19\x01" + self.separator

    def digest(self, struct_hash: bytes) -> bytes:
        """What is signed for a struct with this hash."""
        return keccak(self._prefix + struct_hash)


# ---------------------------------------------------------------------------------------------------------------------
# Hashes and digests
# ---------------------------------------------------------------------------------------------------------------------


def order_hash(order: Order) -> OrderHash:
    """EIP-712 struct hash of `order`: its id everywhere. Raises ValueError if a field does not fit its signed type."""
    account, market, side, time_in_force, reduce_only, price, quantity, nonce, epoch, expiry, max_fee_bps, limit = (
        order.account,
        order.market,
        order.side,
        order.time_in_force,
        order.reduce_only,
        order.price,
        order.quantity,
        order.nonce,
        order.epoch,
        order.expiry,
        order.max_fee_bps,
        order.conversion_limit,
    )
    if len(account) != 20:
        raise ValueError(f"account: an address has 20 bytes, not {len(account)}")
    try:
        encoded = _ORDER.pack(
            _ORDER_TYPE_HASH,
            account,
            market,
            side,
            time_in_force,
            reduce_only,
            price,
            quantity,
            nonce,
            epoch,
            expiry,
            max_fee_bps,
            limit,
        )
    except struct.error as error:
        raise ValueError(f"order: a field does not fit its signed type: {error}") from error
    return keccak(encoded)


def order_digest(domain: Domain, hash_of_order: OrderHash) -> bytes:
    """What the trader signs to place the order with this hash."""
    return domain.digest(hash_of_order)


def array_hash(hashes: Sequence[OrderHash]) -> bytes:
    """EIP-712 struct hash of an `OrderArray` of the orders with these hashes."""
    return keccak(_ORDER_ARRAY_TYPE_HASH + keccak(b"".join(hashes)))


def cancel_digest(domain: Domain, account: Address, hash_of_order: OrderHash) -> bytes:
    """What `account` signs to cancel the order with this hash. Raises ValueError for wrong lengths."""
    if len(account) != 20 or len(hash_of_order) != 32:
        raise ValueError("cancel: account has 20 bytes and orderHash 32")
    return domain.digest(keccak(_CANCEL.pack(_CANCEL_TYPE_HASH, account, hash_of_order)))


def cancel_all_digest(domain: Domain, account: Address, epoch: int) -> bytes:
    """What `account` signs to end every order that signs `epoch`."""
    return domain.digest(_struct_hash(_CANCEL_ALL, _CANCEL_ALL_TYPE_HASH, account, epoch))


def withdraw_digest(
    domain: Domain, account: Address, kind: int, instrument: int, amount: int, nonce: int, expiry: int
) -> bytes:
    """What `account` signs to request a withdrawal; `kind` as in `IWithdrawalQueue.Kind`, `amount` in its units."""
    if not 0 <= amount < 1 << 256:
        raise ValueError(f"amount: {amount} is not an unsigned 256-bit number")
    word = amount.to_bytes(32, "big")
    return domain.digest(_struct_hash(_WITHDRAW, _WITHDRAW_TYPE_HASH, account, kind, instrument, word, nonce, expiry))


def delegate_digest(domain: Domain, account: Address, delegate: Address, valid_until: int, nonce: int) -> bytes:
    """What `account` signs to let `delegate` trade for it until `valid_until` (Unix seconds)."""
    if len(delegate) != 20:
        raise ValueError(f"delegate: an address has 20 bytes, not {len(delegate)}")
    return domain.digest(_struct_hash(_DELEGATE, _DELEGATE_TYPE_HASH, account, delegate, valid_until, nonce))


def _struct_hash(layout: struct.Struct, type_hash: bytes, account: Address, *values: int | bytes) -> bytes:
    """Raises ValueError for a value that does not fit its signed type."""
    if len(account) != 20:
        raise ValueError(f"account: an address has 20 bytes, not {len(account)}")
    try:
        return keccak(layout.pack(type_hash, account, *values))
    except struct.error as error:
        raise ValueError(f"a field does not fit its signed type: {error}") from error


# ---------------------------------------------------------------------------------------------------------------------
# Typed data for wallets
# ---------------------------------------------------------------------------------------------------------------------


def typed_data(order: Order, domain: Domain) -> dict[str, Any]:
    """`order` as `eth_signTypedData_v4` takes it."""
    return _typed(domain, {"Order": ORDER_FIELDS}, _order_message(order))


def typed_array(orders: Sequence[Order], domain: Domain) -> dict[str, Any]:
    """Orders that are signed together, as `eth_signTypedData_v4` takes them."""
    types = {"OrderArray": ORDER_ARRAY_FIELDS, "Order": ORDER_FIELDS}
    return _typed(domain, types, {"orders": [_order_message(order) for order in orders]})


def _order_message(order: Order) -> dict[str, Any]:
    return {
        "account": _hex(order.account),
        "market": order.market,
        "side": int(order.side),
        "timeInForce": int(order.time_in_force),
        "reduceOnly": order.reduce_only,
        "price": order.price,
        "quantity": order.quantity,
        "nonce": order.nonce,
        "epoch": order.epoch,
        "expiry": order.expiry,
        "maxFeeBps": order.max_fee_bps,
        "conversionLimit": order.conversion_limit,
    }


def typed_cancel(account: Address, hash_of_order: OrderHash, domain: Domain) -> dict[str, Any]:
    """A cancel as `eth_signTypedData_v4` takes it."""
    return _typed(domain, {"Cancel": CANCEL_FIELDS}, {"account": _hex(account), "orderHash": _hex(hash_of_order)})


def typed_cancel_all(account: Address, epoch: int, domain: Domain) -> dict[str, Any]:
    """A cancel of everything as `eth_signTypedData_v4` takes it."""
    return _typed(domain, {"CancelAll": CANCEL_ALL_FIELDS}, {"account": _hex(account), "epoch": epoch})


def typed_withdraw(
    account: Address, kind: int, instrument: int, amount: int, nonce: int, expiry: int, domain: Domain
) -> dict[str, Any]:
    """A withdrawal request as `eth_signTypedData_v4` takes it."""
    message = {
        "account": _hex(account),
        "kind": kind,
        "instrument": instrument,
        "amount": amount,
        "nonce": nonce,
        "expiry": expiry,
    }
    return _typed(domain, {"Withdraw": WITHDRAW_FIELDS}, message)


def typed_delegate(account: Address, delegate: Address, valid_until: int, nonce: int, domain: Domain) -> dict[str, Any]:
    """The naming of a delegate as `eth_signTypedData_v4` takes it."""
    message = {"account": _hex(account), "delegate": _hex(delegate), "validUntil": valid_until, "nonce": nonce}
    return _typed(domain, {"Delegate": DELEGATE_FIELDS}, message)


def _typed(domain: Domain, types: Mapping[str, tuple[tuple[str, str], ...]], message: dict[str, Any]) -> dict[str, Any]:
    """The first of `types` is what is signed."""
    return {
        "types": {
            name: [{"name": field, "type": kind} for field, kind in fields]
            for name, fields in {"EIP712Domain": DOMAIN_FIELDS, **types}.items()
        },
        "primaryType": next(iter(types)),
        "domain": {
            "name": NAME,
            "version": VERSION,
            "chainId": domain.chain_id,
            "verifyingContract": _hex(domain.engine),
        },
        "message": message,
    }


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


# ---------------------------------------------------------------------------------------------------------------------
# Signatures
# ---------------------------------------------------------------------------------------------------------------------


def recover(digest: bytes, signature: bytes) -> Address | None:
    """Address that signed `digest`; None for a wrong length, a high `s`, a foreign `v` or no such point."""
    parts = _split(signature)
    if parts is None:
        return None
    r, s, parity = parts
    # The library's own calls: its classes around them cost a sixth of what recovering costs.
    found, key, point, size = _ffi.new(_SIGNATURE), _ffi.new(_KEY), _ffi.new(_POINT), _ffi.new("size_t *", 65)
    context = GLOBAL_CONTEXT.ctx
    if len(digest) != 32 or not _lib.secp256k1_ecdsa_recoverable_signature_parse_compact(context, found, r + s, parity):
        return None
    if not _lib.secp256k1_ecdsa_recover(context, key, found, digest):
        return None
    _lib.secp256k1_ec_pubkey_serialize(context, point, size, key, _UNCOMPRESSED)
    return keccak(_ffi.buffer(point)[1:])[12:]


def compact(signature: bytes) -> bytes:
    """The 64-byte form of a signature of 64 or 65 bytes. Raises ValueError where `recover` would refuse its form."""
    parts = _split(signature)
    if parts is None:
        raise ValueError("signature: expected 64 bytes (EIP-2098) or 65 bytes (r, s, v) with a low s")
    return _join(*parts)


def sign(digest: bytes, private_key: bytes) -> bytes:
    """Sign a 32-byte digest; 64 bytes, EIP-2098. Raises ValueError for an invalid key or digest length."""
    signature = PrivateKey(private_key).sign_recoverable(digest, hasher=None)
    return _join(signature[:32], signature[32:64], signature[64])


def address_of(private_key: bytes) -> Address:
    """Address of a private key. Raises ValueError for an invalid key."""
    return keccak(PrivateKey(private_key).public_key.format(compressed=False)[1:])[12:]


def _split(signature: bytes) -> tuple[bytes, bytes, int] | None:
    """`r`, `s` and parity, or None if the form is not accepted."""
    r, s = signature[:32], signature[32:64]
    if len(signature) == 64:
        number = int.from_bytes(s, "big")
        parity = number >> 255
        s = (number & ~_PARITY_BIT).to_bytes(32, "big")
    elif len(signature) == 65 and signature[64] in (0, 1, 27, 28):
        parity = signature[64] % 27
    else:
        return None
    return (r, s, parity) if int.from_bytes(s, "big") <= _HALF_ORDER else None


def _join(r: bytes, s: bytes, parity: int) -> bytes:
    if parity > 1:  # r beyond the group order: no 64-byte form exists; it needs about 2^127 attempts to meet one
        raise ValueError("signature: this parity has no 64-byte form")
    return r + (int.from_bytes(s, "big") | parity << 255).to_bytes(32, "big")
