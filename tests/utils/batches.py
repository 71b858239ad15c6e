"""Orders, signatures and settlement batches for tests, after the specification in IEngine.

Independent of the service's encoder on purpose: hashes and signatures come from eth_account, so each checks the other.
Tables can be edited after `build_batch` to make batches that no honest operator would send.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from eth_abi import encode
from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data
from eth_account.signers.local import LocalAccount
from eth_utils import keccak, to_canonical_address, to_checksum_address

FUND = to_checksum_address(keccak(text="crosspoint.insurance-fund")[12:])
BUY, SELL = 0, 1
GTC, GTD, IOC, FOK = range(4)
NEVER = 2**64 - 1
NOTHING_SIGNED = 2**32 - 1
RESERVED_KEY = 2**32 - 1
NO_GROUP = 2**16 - 1

ORDER_TYPE = [
    {"name": "account", "type": "address"},
    {"name": "market", "type": "uint32"},
    {"name": "side", "type": "uint8"},
    {"name": "timeInForce", "type": "uint8"},
    {"name": "reduceOnly", "type": "bool"},
    {"name": "price", "type": "uint64"},
    {"name": "quantity", "type": "uint64"},
    {"name": "nonce", "type": "uint64"},
    {"name": "epoch", "type": "uint32"},
    {"name": "expiry", "type": "uint64"},
    {"name": "maxFeeBps", "type": "uint16"},
    {"name": "conversionLimit", "type": "uint64"},
]

BATCH_ABI_TYPE = (
    "(uint48,uint40,(address,uint32)[],(uint32,uint80)[],(uint16,uint32)[],(bytes32,bytes32,uint8,bytes32[],uint16)[],"
    "(uint16,uint16,uint8,uint8,bool,uint64,uint64,uint64,uint64,uint16,uint64,uint16,uint8,bool)[],"
    "(uint16,uint16,uint64)[])"
)
HEADER_SIZE = 27


@dataclass(frozen=True)
class Domain:
    """The EIP-712 domain of one Engine."""

    chain_id: int
    engine: str

    @property
    def data(self) -> dict[str, Any]:
        return {"name": "OrderBookDEX", "version": "1", "chainId": self.chain_id, "verifyingContract": self.engine}


@dataclass(frozen=True)
class Keyless:
    """An account that signs nothing, for forced orders."""

    address: str


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a trader signs. `instrument` (the market's base asset, or the derivative market) is not signed; who signs is
    kept beside it: the account itself, or a `delegate`, or nobody if the order is `forced`."""

    signer: LocalAccount | Keyless
    market: int
    instrument: int
    side: int
    price: int
    quantity: int
    nonce: int
    time_in_force: int = GTC
    reduce_only: bool = False
    epoch: int = 0
    expiry: int = NEVER
    max_fee_bps: int = 50
    conversion_limit: int = 0
    delegate: LocalAccount | None = None
    forced: bool = False

    @property
    def account(self) -> str:
        return str(self.signer.address)

    @property
    def id(self) -> tuple[int, int, int]:
        """What makes an order unique in a batch, and its place. Addresses compare as numbers, as in the contract."""
        return int(self.account, 16), self.instrument, self.nonce

    def fields(self) -> tuple[Any, ...]:
        """The members of IEngine.Order, in order."""
        return (
            self.account,
            self.market,
            self.side,
            self.time_in_force,
            self.reduce_only,
            self.price,
            self.quantity,
            self.nonce,
            self.epoch,
            self.expiry,
            self.max_fee_bps,
            self.conversion_limit,
        )

    def message(self, domain: Domain) -> SignableMessage:
        names = [member["name"] for member in ORDER_TYPE]
        return encode_typed_data(domain.data, {"Order": ORDER_TYPE}, dict(zip(names, self.fields(), strict=True)))

    def hash(self, domain: Domain) -> bytes:
        """EIP-712 struct hash: the order's id."""
        return bytes(self.message(domain).body)

    def digest(self, domain: Domain) -> bytes:
        message = self.message(domain)
        return keccak(b"\x19" + message.version + message.header + message.body)

    def sign(self, domain: Domain) -> tuple[bytes, bytes]:
        """r and vs of the compact signature (EIP-2098) of the account or its delegate."""
        return sign(self.message(domain), self.delegate or self.signer)


def array_message(domain: Domain, orders: Sequence[Order]) -> SignableMessage:
    """Several orders of one account in one EIP-712 message."""
    names = [member["name"] for member in ORDER_TYPE]
    types = {"OrderArray": [{"name": "orders", "type": "Order[]"}], "Order": ORDER_TYPE}
    members = [dict(zip(names, order.fields(), strict=True)) for order in orders]
    return encode_typed_data(domain.data, types, {"orders": members})


def sign(message: SignableMessage, signer: Any) -> tuple[bytes, bytes]:
    """r and vs of a compact signature (EIP-2098)."""
    signature = Account.sign_message(message, signer.key)
    return compact(signature.r, signature.s, signature.v)


def nonce(key: int, sequence: int) -> int:
    return key << 32 | sequence


def compact(r: int, s: int, v: int) -> tuple[bytes, bytes]:
    """EIP-2098: the parity bit is the highest bit of s. An s that uses that bit is cut."""
    vs = (v - 27) << 255 | (s & (2**255 - 1))
    return r.to_bytes(32, "big"), vs.to_bytes(32, "big")


def fill_id(maker_hash: bytes, taker_hash: bytes, maker_filled_before: int, taker_filled_before: int) -> bytes:
    types = ["bytes32", "bytes32", "uint256", "uint256"]
    return keccak(encode(types, [maker_hash, taker_hash, maker_filled_before, taker_filled_before]))


@dataclass(frozen=True)
class Group:
    """A row of the group table, with the hashes of its absent leaves."""

    r: bytes
    vs: bytes
    leaf_count: int = 1
    absent: tuple[bytes, ...] = ()
    absent_mask: int = 0

    def packed(self) -> bytes:
        return self.leaf_count.to_bytes(1, "big") + self.absent_mask.to_bytes(2, "big") + self.r + self.vs

    def readable(self) -> tuple[Any, ...]:
        return self.r, self.vs, self.leaf_count, list(self.absent), self.absent_mask


@dataclass(frozen=True, kw_only=True)
class OrderEntry:
    """A row of the order table. `unknown_flags` are bits 6-7 of the packed record, which the readable form has not."""

    position: int
    market: int
    side: int
    time_in_force: int
    reduce_only: bool
    nonce: int
    price: int
    quantity: int
    expiry: int
    max_fee_bps: int
    conversion_limit: int
    group: int
    leaf: int = 0
    forced: bool = False
    unknown_flags: int = 0

    def packed(self) -> bytes:
        flags = self.side | self.time_in_force << 1 | self.reduce_only << 3 | (self.conversion_limit != 0) << 4
        flags |= self.forced << 5 | self.unknown_flags << 6
        expiry = 0 if self.time_in_force == GTC and self.expiry == NEVER else self.expiry
        values = (
            (self.position, 2),
            (self.market, 2),
            (flags, 1),
            (self.nonce, 8),
            (self.price, 7),
            (self.quantity, 5),
            (expiry, 5),
            (self.max_fee_bps, 2),
            (self.group, 2),
            (self.leaf, 1),
        )
        return b"".join(value.to_bytes(size, "big") for value, size in values)

    def readable(self) -> tuple[Any, ...]:
        return (
            self.position,
            self.market,
            self.side,
            self.time_in_force,
            self.reduce_only,
            self.nonce,
            self.price,
            self.quantity,
            self.expiry,
            self.max_fee_bps,
            self.conversion_limit,
            self.group,
            self.leaf,
            self.forced,
        )


@dataclass
class Batch:
    """The tables, in plain values. The absent hashes and conversion limits are those of groups and orders, unless
    `absent` and `limits` say otherwise, which only the packed form can."""

    number: int
    matched_at: int
    accounts: list[tuple[str, int]] = field(default_factory=list)  # address, epoch
    markets: list[int] = field(default_factory=list)
    positions: list[tuple[int, int]] = field(default_factory=list)  # account index, instrument
    groups: list[Group] = field(default_factory=list)
    orders: list[OrderEntry] = field(default_factory=list)
    fills: list[tuple[int, int, int]] = field(default_factory=list)  # maker, taker, lots
    rounds: dict[int, int] = field(default_factory=dict)  # by market, 0 if not given
    absent: list[bytes] | None = None
    limits: list[int] | None = None

    def edit_order(self, index: int, **changes: Any) -> None:
        self.orders[index] = replace(self.orders[index], **changes)

    def packed(self) -> bytes:
        absent = self.absent
        if absent is None:
            absent = [leaf for group in self.groups for leaf in group.absent]
        limits = self.limits
        if limits is None:
            limits = [order.conversion_limit for order in self.orders if order.conversion_limit]
        tables: tuple[list[bytes], ...] = (
            [to_canonical_address(account) + epoch.to_bytes(4, "big") for account, epoch in self.accounts],
            [id_.to_bytes(4, "big") + round_.to_bytes(10, "big") for id_, round_ in self.market_rows()],
            [account.to_bytes(2, "big") + instrument.to_bytes(4, "big") for account, instrument in self.positions],
            [group.packed() for group in self.groups],
            absent,
            [order.packed() for order in self.orders],
            [limit.to_bytes(8, "big") for limit in limits],
            [
                maker.to_bytes(2, "big") + taker.to_bytes(2, "big") + lots.to_bytes(5, "big")
                for maker, taker, lots in self.fills
            ],
        )
        header = self.number.to_bytes(6, "big") + self.matched_at.to_bytes(5, "big")
        lengths = b"".join(len(table).to_bytes(2, "big") for table in tables)
        return header + lengths + b"".join(row for table in tables for row in table)

    def market_rows(self) -> list[tuple[int, int]]:
        return [(market, self.rounds.get(market, 0)) for market in self.markets]

    def readable(self) -> tuple[Any, ...]:
        """The arguments of IEngine.Batch."""
        return (
            self.number,
            self.matched_at,
            self.accounts,
            self.market_rows(),
            self.positions,
            [group.readable() for group in self.groups],
            [order.readable() for order in self.orders],
            self.fills,
        )

    def packed_calldata(self) -> bytes:
        return packed_calldata(self.packed())

    def readable_calldata(self) -> bytes:
        selector = keccak(text=f"settleBatch({BATCH_ABI_TYPE})")[:4]
        return selector + encode([BATCH_ABI_TYPE], [self.readable()])


def packed_calldata(packed: bytes) -> bytes:
    return keccak(text="settleBatch(bytes)")[:4] + encode(["bytes"], [packed])


def build_batch(
    domain: Domain,
    number: int,
    matched_at: int,
    fills: Iterable[tuple[Order, Order, int]],
    idle: Iterable[Order] = (),
    arrays: Iterable[Sequence[Order]] = (),
    rounds: Mapping[int, int] | None = None,
) -> Batch:
    """Sort and index the tables of a batch of (maker, taker, lots) fills; `idle` orders are listed without a fill.

    Each of `arrays` is a sequence of orders under one signature; those that are neither filled nor idle are absent.
    """
    fills = list(fills)
    unique = {order.id: order for order in idle}
    unique.update({order.id: order for fill in fills for order in fill[:2]})
    orders = sorted(unique.values(), key=lambda order: order.id)
    epochs = {order.account: NOTHING_SIGNED for order in orders if order.forced}
    epochs |= {order.account: order.epoch for order in orders if not order.forced}
    accounts = sorted(epochs, key=lambda account: int(account, 16))
    markets = sorted({order.market for order in orders})
    positions = sorted({(accounts.index(order.account), order.instrument) for order in orders})
    index = {order.id: i for i, order in enumerate(orders)}
    groups, places = build_groups(domain, orders, list(arrays))
    entries = [
        OrderEntry(
            position=positions.index((accounts.index(order.account), order.instrument)),
            market=markets.index(order.market),
            side=order.side,
            time_in_force=order.time_in_force,
            reduce_only=order.reduce_only,
            nonce=order.nonce,
            price=order.price,
            quantity=order.quantity,
            expiry=order.expiry,
            max_fee_bps=order.max_fee_bps,
            conversion_limit=order.conversion_limit,
            group=places[order.id][0],
            leaf=places[order.id][1],
            forced=order.forced,
        )
        for order in orders
    ]
    return Batch(
        number=number,
        matched_at=matched_at,
        accounts=[(account, epochs[account]) for account in accounts],
        markets=markets,
        positions=positions,
        groups=groups,
        orders=entries,
        fills=[(index[maker.id], index[taker.id], lots) for maker, taker, lots in fills],
        rounds=dict(rounds or {}),
    )


def build_groups(
    domain: Domain, orders: Sequence[Order], arrays: Sequence[Sequence[Order]]
) -> tuple[list[Group], dict[tuple[int, int, int], tuple[int, int]]]:
    """Sign everything. Return the groups and, by order, its group and leaf."""
    present = {order.id for order in orders}
    groups: list[Group] = []
    places: dict[tuple[int, int, int], tuple[int, int]] = {}
    for array in arrays:
        absent = [leaf for leaf, order in enumerate(array) if order.id not in present]
        places |= {order.id: (len(groups), leaf) for leaf, order in enumerate(array) if leaf not in absent}
        groups.append(sign_array(domain, array, absent))
    for order in orders:
        if order.forced:
            places[order.id] = (NO_GROUP, 0)
        elif order.id not in places:
            places[order.id] = (len(groups), 0)
            groups.append(Group(*order.sign(domain)))
    return groups, places


def sign_array(domain: Domain, array: Sequence[Order], absent: Sequence[int] = ()) -> Group:
    """The group of orders under one signature, of which the leaves `absent` are not in the batch."""
    signature = sign(array_message(domain, array), array[0].delegate or array[0].signer)
    hashes = tuple(array[leaf].hash(domain) for leaf in absent)
    return Group(*signature, len(array), hashes, sum(1 << leaf for leaf in absent))
