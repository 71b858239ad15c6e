"""Batches: from settlement items to the Engine's tables, and their packed form (`IEngine`, "Packed batch").

The packed form is what is sent; `decode` exists for audits and tests. Prices are micro-USDC per lot (in cross-quoted
markets 10^-12 whole quote units per lot), quantities lots, times Unix seconds.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from offchain.domain.batch import (
    LIMIT_MISSING,
    NO_GROUP,
    NOTHING_SIGNED,
    AccountEntry,
    Batch,
    FillEntry,
    GroupEntry,
    MarketEntry,
    OrderEntry,
    PositionEntry,
    SettlementError,
)
from offchain.domain.market import Market
from offchain.domain.order import NO_EXPIRY, Address, Order, OrderHash, TimeInForce
from offchain.ports import ItemRow, OrderRow

MAX_ENTRIES = 2**16 - 1
"""Entries that each table of a batch can hold."""

SIGNATURE_SIZE = 64

_SELL = 1
_TIME_IN_FORCE_SHIFT = 1
_REDUCE_ONLY = 1 << 3
_HAS_CONVERSION_LIMIT = 1 << 4
_FORCED = 1 << 5
_UNKNOWN_SHIFT = 6

_U40_MAX = 2**40 - 1
_U56_MAX = 2**56 - 1

_HEADER_SIZE = 27
_ACCOUNT = struct.Struct(">20sI")
_MARKET_SIZE = 14
_POSITION = struct.Struct(">HI")
_GROUP = struct.Struct(">BH64s")
_ABSENT_SIZE = 32
_ORDER_SIZE = 35
_LIMIT_SIZE = 8
_FILL_SIZE = 9
_ROW_SIZES = (
    _ACCOUNT.size,
    _MARKET_SIZE,
    _POSITION.size,
    _GROUP.size,
    _ABSENT_SIZE,
    _ORDER_SIZE,
    _LIMIT_SIZE,
    _FILL_SIZE,
)
"""By table, in the order of the packed form."""


# ---------------------------------------------------------------------------------------------------------------------
# Items -> tables
# ---------------------------------------------------------------------------------------------------------------------


def build_batch(
    number: int,
    matched_at: int,
    items: Sequence[ItemRow],
    markets: Mapping[int, Market],
    rounds: Mapping[int, int] | None = None,
) -> Batch:
    """The tables of a batch that settles `items`, all of them fills, in their order; equal input, equal tables.

    `rounds`: the oracle's round of each market that needs one. Raises ValueError, naming the item, for an item that is
    no complete fill or of an unknown market, for orders of one account that sign different epochs, for an order that
    its array does not contain, and if a table would exceed `MAX_ENTRIES`.
    """
    orders = _orders_of(items)
    epochs = _epochs_of(orders)
    accounts = sorted(epochs)
    market_ids = sorted({row.order.market for row in orders.values()})
    instruments = {market: _market(markets, market).instrument for market in market_ids}
    account_index = {account: index for index, account in enumerate(accounts)}
    market_index = {market: index for index, market in enumerate(market_ids)}

    def position_of(order: Order) -> tuple[int, int]:
        return account_index[order.account], instruments[order.market]

    positions = sorted({position_of(row.order) for row in orders.values()})
    position_index = {position: index for index, position in enumerate(positions)}
    rows = sorted(orders.values(), key=lambda row: (position_of(row.order), row.order.nonce))
    order_index = {row.order_hash: index for index, row in enumerate(rows)}
    groups = _Groups()
    links = [groups.add(row) for row in rows]

    batch = Batch(
        number=number,
        matched_at=matched_at,
        accounts=tuple(AccountEntry(account, epochs[account]) for account in accounts),
        markets=tuple(MarketEntry(market, (rounds or {}).get(market, 0)) for market in market_ids),
        positions=tuple(PositionEntry(account, instrument) for account, instrument in positions),
        groups=groups.entries(),
        absent=groups.absent(),
        orders=tuple(
            _order_entry(row, position_index[position_of(row.order)], market_index[row.order.market], link)
            for row, link in zip(rows, links, strict=True)
        ),
        fills=tuple(_fill_entry(item, order_index) for item in items),
    )
    for name in ("accounts", "markets", "positions", "groups", "absent", "orders", "fills"):
        if len(getattr(batch, name)) > MAX_ENTRIES:
            raise ValueError(f"batch {number}: {len(getattr(batch, name))} {name} exceed {MAX_ENTRIES}")
    return batch


def _orders_of(items: Sequence[ItemRow]) -> dict[OrderHash, OrderRow]:
    orders: dict[OrderHash, OrderRow] = {}
    for item in items:
        if item.trade is None or item.maker is None or item.taker is None:
            raise ValueError(f"item {item.item}: not a fill with both of its orders")
        for row in (item.maker, item.taker):
            if not row.forced and len(row.signature) != SIGNATURE_SIZE:
                raise ValueError(f"item {item.item}: order {row.order_hash.hex()} has no 64-byte signature")
            orders[row.order_hash] = row
    return orders


def _epochs_of(orders: Mapping[OrderHash, OrderRow]) -> dict[Address, int]:
    """What each account signs; an account with forced orders only signs nothing."""
    epochs: dict[Address, int] = {}
    for row in orders.values():
        if row.forced:
            continue
        epoch = epochs.setdefault(row.order.account, row.order.epoch)
        if epoch != row.order.epoch:
            raise ValueError(f"account 0x{row.order.account.hex()}: orders sign epochs {epoch} and {row.order.epoch}")
    return {row.order.account: NOTHING_SIGNED for row in orders.values()} | epochs


def _market(markets: Mapping[int, Market], market: int) -> Market:
    if market not in markets:
        raise ValueError(f"market {market} is unknown")
    return markets[market]


@dataclass(slots=True)
class _Groups:
    """The signatures of a batch in the order in which they are met, with the leaves that its orders set."""

    _index: dict[tuple[bytes, tuple[OrderHash, ...]], int] = field(default_factory=dict)
    _set: list[set[int]] = field(default_factory=list)

    def add(self, row: OrderRow) -> tuple[int, int]:
        """Group and leaf of an order."""
        if row.forced:
            return NO_GROUP, 0
        leaves = tuple(row.array) or (row.order_hash,)
        if row.order_hash not in leaves:
            raise ValueError(f"order {row.order_hash.hex()} is not in the array that it was signed with")
        leaf = leaves.index(row.order_hash)
        group = self._index.setdefault((row.signature, leaves), len(self._index))
        if group == len(self._set):
            self._set.append(set())
        self._set[group].add(leaf)
        return group, leaf

    def entries(self) -> tuple[GroupEntry, ...]:
        return tuple(
            GroupEntry(signature, len(leaves), sum(1 << leaf for leaf in range(len(leaves)) if leaf not in present))
            for (signature, leaves), present in zip(self._index, self._set, strict=True)
        )

    def absent(self) -> tuple[OrderHash, ...]:
        return tuple(
            order_hash
            for (_, leaves), present in zip(self._index, self._set, strict=True)
            for leaf, order_hash in enumerate(leaves)
            if leaf not in present
        )


def _order_entry(row: OrderRow, position: int, market: int, link: tuple[int, int]) -> OrderEntry:
    order, (group, leaf) = row.order, link
    return OrderEntry(
        position=position,
        market=market,
        side=order.side,
        time_in_force=order.time_in_force,
        reduce_only=order.reduce_only,
        nonce=order.nonce,
        price=order.price,
        quantity=order.quantity,
        expiry=order.expiry,
        max_fee_bps=order.max_fee_bps,
        conversion_limit=order.conversion_limit or None,
        group=group,
        leaf=leaf,
        forced=row.forced,
    )


def _fill_entry(item: ItemRow, order_index: Mapping[OrderHash, int]) -> FillEntry:
    assert item.trade is not None  # _orders_of has refused such items
    return FillEntry(order_index[item.trade.maker_hash], order_index[item.trade.taker_hash], item.trade.quantity)


# ---------------------------------------------------------------------------------------------------------------------
# Tables -> bytes
# ---------------------------------------------------------------------------------------------------------------------


def encode(batch: Batch) -> bytes:
    """The packed form. Raises ValueError for a value that it cannot hold, naming the entry."""
    limits = [*(e.conversion_limit for e in batch.orders if e.conversion_limit is not None), *batch.unused_limits]
    limits = [limit for limit in limits if limit != LIMIT_MISSING]
    tables = (
        batch.accounts,
        batch.markets,
        batch.positions,
        batch.groups,
        batch.absent,
        batch.orders,
        limits,
        batch.fills,
    )
    parts = [_uint(batch.number, 6, "number"), _uint(batch.matched_at, 5, "matchedAt")]
    parts += [_uint(len(table), 2, "table length") for table in tables]
    try:
        parts += [_ACCOUNT.pack(entry.account, entry.epoch) for entry in batch.accounts]
        parts += [
            _uint(e.id, 4, f"market {i}") + _uint(e.round, 10, f"market {i}") for i, e in enumerate(batch.markets)
        ]
        parts += [_POSITION.pack(entry.account, entry.instrument) for entry in batch.positions]
        parts += [_GROUP.pack(entry.leaf_count, entry.absent_mask, entry.signature) for entry in batch.groups]
    except struct.error as error:
        raise ValueError(f"batch {batch.number}: a value exceeds its field: {error}") from error
    parts += batch.absent
    parts += [_pack_order(index, entry) for index, entry in enumerate(batch.orders)]
    parts += [_uint(limit, _LIMIT_SIZE, "conversion limit") for limit in limits]
    parts += [_pack_fill(index, entry) for index, entry in enumerate(batch.fills)]
    return b"".join(parts)


def _pack_order(index: int, entry: OrderEntry) -> bytes:
    name = f"order {index}"
    if not 0 <= entry.side <= 1 or not 0 <= entry.time_in_force <= 3:
        raise ValueError(f"{name}: side {entry.side} and time in force {entry.time_in_force} have no flags")
    flags = entry.side | entry.time_in_force << _TIME_IN_FORCE_SHIFT
    flags |= _REDUCE_ONLY if entry.reduce_only else 0
    flags |= 0 if entry.conversion_limit is None else _HAS_CONVERSION_LIMIT
    flags |= _FORCED if entry.forced else 0
    return (
        _uint(entry.position, 2, name)
        + _uint(entry.market, 2, name)
        + bytes((flags,))
        + _uint(entry.nonce, 8, name)
        + _uint(entry.price, 7, name)
        + _uint(entry.quantity, 5, name)
        + _uint(_packed_expiry(entry, name), 5, name)
        + _uint(entry.max_fee_bps, 2, name)
        + _uint(entry.group, 2, name)
        + _uint(entry.leaf, 1, name)
    )


def _packed_expiry(entry: OrderEntry, name: str) -> int:
    """0 stands for the expiry that a GTC order signs."""
    if entry.time_in_force == TimeInForce.GTC:
        if entry.expiry != NO_EXPIRY:
            raise ValueError(f"{name}: GTC signs expiry {NO_EXPIRY}, not {entry.expiry}")
        return 0
    return entry.expiry


def _pack_fill(index: int, entry: FillEntry) -> bytes:
    name = f"fill {index}"
    return _uint(entry.maker, 2, name) + _uint(entry.taker, 2, name) + _uint(entry.quantity, 5, name)


def _uint(value: int, size: int, name: str) -> bytes:
    try:
        return value.to_bytes(size, "big")
    except OverflowError as error:
        raise ValueError(f"{name}: {value} does not fit {size} bytes") from error


# ---------------------------------------------------------------------------------------------------------------------
# Bytes -> tables
# ---------------------------------------------------------------------------------------------------------------------


class _Reader:
    """Reads big-endian fields one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 0

    def raw(self, size: int) -> bytes:
        self._offset += size
        return self._data[self._offset - size : self._offset]

    def uint(self, size: int) -> int:
        return int.from_bytes(self.raw(size), "big")


def decode(packed: bytes) -> Batch:
    """The tables of a packed batch.

    Raises SettlementError("MalformedBatch", (length,)) as the Engine does: the length that the header asks for.
    """
    reader = _Reader(packed)
    if len(packed) < _HEADER_SIZE:
        raise SettlementError("MalformedBatch", (_HEADER_SIZE,))
    number, matched_at = reader.uint(6), reader.uint(5)
    counts = [reader.uint(2) for _ in _ROW_SIZES]
    length = _HEADER_SIZE + sum(count * size for count, size in zip(counts, _ROW_SIZES, strict=True))
    if len(packed) != length:
        raise SettlementError("MalformedBatch", (length,))
    accounts, markets, positions, groups, absent, orders, limit_count, fills = counts
    tables = Batch(
        number=number,
        matched_at=matched_at,
        accounts=tuple(AccountEntry(reader.raw(20), reader.uint(4)) for _ in range(accounts)),
        markets=tuple(MarketEntry(reader.uint(4), reader.uint(10)) for _ in range(markets)),
        positions=tuple(PositionEntry(reader.uint(2), reader.uint(4)) for _ in range(positions)),
        groups=tuple(_read_group(reader) for _ in range(groups)),
        absent=tuple(reader.raw(_ABSENT_SIZE) for _ in range(absent)),
        orders=tuple(_read_order(reader) for _ in range(orders)),
        fills=(),
    )
    limits = [reader.uint(_LIMIT_SIZE) for _ in range(limit_count)]
    filled = tuple(FillEntry(reader.uint(2), reader.uint(2), reader.uint(5)) for _ in range(fills))
    return replace(_with_limits(tables, limits), fills=filled)


def _with_limits(batch: Batch, limits: list[int]) -> Batch:
    """Each order that takes a conversion limit takes the next one."""
    remaining = iter(limits)
    orders = tuple(
        entry if entry.conversion_limit is None else replace(entry, conversion_limit=next(remaining, LIMIT_MISSING))
        for entry in batch.orders
    )
    return replace(batch, orders=orders, unused_limits=tuple(remaining))


def _read_group(reader: _Reader) -> GroupEntry:
    leaf_count, absent_mask = reader.uint(1), reader.uint(2)
    return GroupEntry(reader.raw(SIGNATURE_SIZE), leaf_count, absent_mask)


def _read_order(reader: _Reader) -> OrderEntry:
    position, market, flags = reader.uint(2), reader.uint(2), reader.uint(1)
    nonce, price, quantity, expiry = reader.uint(8), reader.uint(7), reader.uint(5), reader.uint(5)
    max_fee_bps, group, leaf = reader.uint(2), reader.uint(2), reader.uint(1)
    time_in_force = flags >> _TIME_IN_FORCE_SHIFT & 3
    if time_in_force == TimeInForce.GTC and expiry == 0:
        expiry = NO_EXPIRY
    # A flag without a meaning reads as a time in force that does not exist.
    time_in_force |= flags >> _UNKNOWN_SHIFT << 2
    return OrderEntry(
        position=position,
        market=market,
        side=flags & _SELL,
        time_in_force=time_in_force,
        reduce_only=bool(flags & _REDUCE_ONLY),
        nonce=nonce,
        price=price,
        quantity=quantity,
        expiry=expiry,
        max_fee_bps=max_fee_bps,
        conversion_limit=LIMIT_MISSING if flags & _HAS_CONVERSION_LIMIT else None,
        group=group,
        leaf=leaf,
        forced=bool(flags & _FORCED),
    )
