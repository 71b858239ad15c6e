"""Tables from settlement items, and their packed form."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from eth_abi import decode as abi_decode
from eth_abi import encode as abi_encode

from offchain.chain.batch import build_batch, decode, encode
from offchain.chain.calldata import release_calldata, settle_calldata
from offchain.chain.eip712 import keccak
from offchain.domain.batch import (
    LIMIT_MISSING,
    NO_GROUP,
    NOTHING_SIGNED,
    RESERVED_KEY,
    Batch,
    GroupEntry,
    MarketEntry,
    SettlementError,
)
from offchain.domain.order import NO_EXPIRY, Order, Side, TimeInForce
from offchain.ports import ItemRow, OrderRow
from tests.utils.service import DOMAIN, MARKET, PRICE
from tests.utils.signing import Trader, create_array_rows, create_item, create_order, create_order_row

MAKER, TAKER = Trader.named("maker"), Trader.named("taker")
MARKETS = {MARKET.id: MARKET}


def create_fill(number: int, key: int, **changes: object) -> ItemRow:
    maker = create_order(MAKER, MARKET, Side.SELL, PRICE, 10, key=key, **changes)
    taker = create_order(TAKER, MARKET, Side.BUY, PRICE, 10, key=key)
    return create_item(number, create_order_row(MAKER, maker, DOMAIN), create_order_row(TAKER, taker, DOMAIN), 3)


@pytest.fixture
def items() -> list[ItemRow]:
    return [create_fill(1, key=2), create_fill(2, key=0), create_fill(3, key=1, sequence=5)]


@pytest.fixture
def batch(items: list[ItemRow]) -> Batch:
    return build_batch(7, 1_700_000_000, items, MARKETS)


def test_tables_are_sorted_and_without_duplicates(items: list[ItemRow], batch: Batch) -> None:
    again = build_batch(7, 1_700_000_000, [*items, items[0]], MARKETS)
    assert (again.accounts, again.positions, again.orders) == (batch.accounts, batch.positions, batch.orders)
    assert [entry.account for entry in batch.accounts] == sorted([MAKER.address, TAKER.address])
    assert batch.markets == (MarketEntry(MARKET.id),)
    assert [(entry.account, entry.instrument) for entry in batch.positions] == [(0, 1), (1, 1)]
    assert [(entry.position, entry.key) for entry in batch.orders] == [(p, key) for p in (0, 1) for key in (0, 1, 2)]


def test_fills_keep_their_order_and_name_their_orders(items: list[ItemRow], batch: Batch) -> None:
    assert [batch.orders[fill.maker].key for fill in batch.fills] == [2, 0, 1]
    for fill, item in zip(batch.fills, items, strict=True):
        assert item.maker is not None
        assert batch.groups[batch.orders[fill.maker].group].signature == item.maker.signature
        assert fill.quantity == 3


def test_the_same_items_give_the_same_bytes(items: list[ItemRow], batch: Batch) -> None:
    assert encode(build_batch(7, 1_700_000_000, items, MARKETS)) == encode(batch)


def test_the_packed_form_of_a_small_batch(batch: Batch) -> None:
    """Field by field after the table in IEngine."""
    packed = encode(batch)
    header = b"\0\0\0\0\0\x07" + (1_700_000_000).to_bytes(5, "big")
    assert packed[:27] == header + bytes((0, 2, 0, 1, 0, 2, 0, 6, 0, 0, 0, 6, 0, 0, 0, 3))
    assert packed[27:51] == batch.accounts[0].account + bytes(4)
    assert packed[75:89] == b"\0\0\0\x02" + bytes(10)
    assert packed[89:95] == b"\0\0\0\0\0\x01"
    assert packed[101:168] == b"\x01\0\0" + batch.groups[0].signature
    order = packed[101 + 6 * 67 :][:35]
    side = batch.orders[0].side
    assert order[:5] == bytes((0, 0, 0, 0, side))
    assert order[5:13] == (1).to_bytes(8, "big")
    assert order[13:20] == PRICE.to_bytes(7, "big")
    assert order[20:25] == (10).to_bytes(5, "big")
    assert order[25:30] == bytes(5)  # GTC
    assert order[30:] == bytes((0, 50, 0, 0, 0))
    first_fill = packed[-27:-18]
    assert first_fill == bytes((0, batch.fills[0].maker, 0, batch.fills[0].taker, 0, 0, 0, 0, 3))
    assert len(packed) == 27 + 2 * 24 + 14 + 2 * 6 + 6 * 67 + 6 * 35 + 3 * 9


def test_the_packed_form_of_rounds_arrays_limits_and_forced_orders(batch: Batch) -> None:
    absent, limit = b"\xaa" * 32, 2**63 + 1
    orders = (
        replace(batch.orders[0], conversion_limit=limit),
        replace(batch.orders[1], forced=True, group=NO_GROUP, time_in_force=TimeInForce.IOC, expiry=5),
        *batch.orders[2:],
    )
    markets = (MarketEntry(MARKET.id, 2**79 + 3),)
    groups = (GroupEntry(batch.groups[0].signature, 3, 0b110), *batch.groups[1:])
    changed = replace(batch, markets=markets, groups=groups, absent=(absent, absent), orders=orders)
    packed = encode(changed)
    assert packed[11:27] == bytes((0, 2, 0, 1, 0, 2, 0, 6, 0, 2, 0, 6, 0, 1, 0, 3))
    assert packed[79:89] == b"\x80" + bytes(8) + b"\x03"
    assert packed[101:104] == bytes((3, 0, 0b110))
    tables = 101 + 6 * 67
    assert packed[tables : tables + 64] == absent + absent
    assert packed[tables + 64 + 4] == changed.orders[0].side | 1 << 4
    assert packed[tables + 64 + 35 + 4] == changed.orders[1].side | TimeInForce.IOC << 1 | 1 << 5
    assert packed[tables + 64 + 6 * 35 :][:8] == limit.to_bytes(8, "big")
    assert decode(packed) == changed


@pytest.mark.parametrize(
    "changes",
    [
        {"time_in_force": TimeInForce.GTD, "expiry": 2**40 - 1},
        {"time_in_force": TimeInForce.FOK, "expiry": 1},
        {"conversion_limit": 0},
        {"conversion_limit": 2**64 - 1},
        {"reduce_only": True, "max_fee_bps": 2**16 - 1, "leaf": 255},
        {"forced": True, "time_in_force": TimeInForce.IOC, "expiry": 1, "group": NO_GROUP},
        {"conversion_limit": LIMIT_MISSING},
        {"price": 2**56 - 1, "quantity": 2**40 - 1, "nonce": 2**64 - 1},
    ],
)
def test_decode_inverts_encode(batch: Batch, changes: dict[str, object]) -> None:
    changed = replace(batch, orders=(replace(batch.orders[0], **changes), *batch.orders[1:]))  # type: ignore[arg-type]
    assert decode(encode(changed)) == changed


def test_every_cut_and_every_tail_is_malformed(batch: Batch) -> None:
    packed = encode(batch)
    for length in range(len(packed)):
        with pytest.raises(SettlementError) as caught:
            decode(packed[:length])
        assert caught.value.arguments == (27 if length < 27 else len(packed),)
    with pytest.raises(SettlementError, match=rf"MalformedBatch\({len(packed)}\)"):
        decode(packed + b"\0")


def test_conversion_limits_that_nobody_takes_are_kept(batch: Batch) -> None:
    changed = replace(batch, unused_limits=(7, 8))
    assert decode(encode(changed)) == changed


@pytest.mark.parametrize(
    ("table", "changes"),
    [
        ("orders", {"price": 2**56}),
        ("orders", {"quantity": 2**40}),
        ("orders", {"expiry": 5}),
        ("orders", {"time_in_force": 1, "expiry": NO_EXPIRY}),
        ("orders", {"side": 2}),
        ("orders", {"position": -1}),
        ("fills", {"quantity": 2**40}),
        ("accounts", {"epoch": 2**32}),
        ("positions", {"instrument": 2**32}),
        ("markets", {"round": 2**80}),
        ("groups", {"absent_mask": 2**16}),
        ("orders", {"conversion_limit": 2**64}),
    ],
)
def test_a_value_that_the_packed_form_cannot_hold_is_refused(batch: Batch, table: str, changes: dict[str, int]) -> None:
    entries = getattr(batch, table)
    changed = replace(batch, **{table: (replace(entries[0], **changes), *entries[1:])})
    with pytest.raises(ValueError, match=r"order 0|fill 0|market 0|conversion limit|batch 7"):
        encode(changed)


def test_items_that_cannot_be_settled_are_refused(items: list[ItemRow]) -> None:
    with pytest.raises(ValueError, match="item 9: not a fill"):
        build_batch(1, 0, [ItemRow(9, None, None, None, None)], MARKETS)
    with pytest.raises(ValueError, match="market 2 is unknown"):
        build_batch(1, 0, items, {})
    assert items[0].maker is not None
    unsigned = msgspec.structs.replace(items[0].maker, signature=b"")
    with pytest.raises(ValueError, match=r"item 1: order .* has no 64-byte signature"):
        build_batch(1, 0, [msgspec.structs.replace(items[0], maker=unsigned)], MARKETS)
    with pytest.raises(ValueError, match="orders sign epochs 0 and 1"):
        build_batch(1, 0, [items[0], create_fill(2, key=9, epoch=1)], MARKETS)


# ---------------------------------------------------------------------------------------------------------------------
# Arrays and forced orders
# ---------------------------------------------------------------------------------------------------------------------


def sell(key: int, **changes: object) -> Order:
    return create_order(MAKER, MARKET, Side.SELL, PRICE, 10, key=key, **changes)


def fill_of(maker: OrderRow, number: int) -> ItemRow:
    taker = create_order(TAKER, MARKET, Side.BUY, PRICE, 10, key=number)
    return create_item(number, maker, create_order_row(TAKER, taker, DOMAIN), 3)


def test_orders_of_one_array_share_their_signature() -> None:
    first, absent, third = create_array_rows(MAKER, [sell(5), sell(3), sell(4)], DOMAIN)
    batch = build_batch(1, 0, [fill_of(first, 1), fill_of(third, 2)], MARKETS)
    group = next(index for index, entry in enumerate(batch.groups) if entry.signature == first.signature)
    assert batch.groups[group] == GroupEntry(first.signature, 3, 0b010)
    assert batch.absent == (absent.order_hash,)
    leaves = {entry.key: (entry.group, entry.leaf) for entry in batch.orders if entry.group == group}
    assert leaves == {5: (group, 0), 4: (group, 2)}
    assert len(batch.groups) == 3  # and one for each taker


def test_an_order_outside_its_array_is_refused() -> None:
    first, second = create_array_rows(MAKER, [sell(5), sell(3)], DOMAIN)
    foreign = msgspec.structs.replace(first, array=(second.order_hash,))
    with pytest.raises(ValueError, match="is not in the array"):
        build_batch(1, 0, [fill_of(foreign, 1)], MARKETS)


def test_a_forced_order_has_no_group_and_signs_nothing() -> None:
    order = sell(RESERVED_KEY, time_in_force=TimeInForce.IOC, expiry=5, reduce_only=True)
    forced = msgspec.structs.replace(create_order_row(MAKER, order, DOMAIN), signature=b"", forced=True)
    resting = create_order_row(TAKER, create_order(TAKER, MARKET, Side.BUY, PRICE, 10), DOMAIN)
    batch = build_batch(1, 0, [create_item(1, resting, forced, 3)], MARKETS, rounds={MARKET.id: 9})
    entry = next(entry for entry in batch.orders if entry.forced)
    assert (entry.group, entry.leaf) == (NO_GROUP, 0)
    assert len(batch.groups) == 1
    epochs = {entry.account: entry.epoch for entry in batch.accounts}
    assert epochs == {MAKER.address: NOTHING_SIGNED, TAKER.address: 0}
    assert batch.markets == (MarketEntry(MARKET.id, 9),)


def test_a_signed_order_gives_its_epoch_to_a_forced_one() -> None:
    order = sell(RESERVED_KEY, time_in_force=TimeInForce.IOC, expiry=5, reduce_only=True)
    forced = msgspec.structs.replace(create_order_row(MAKER, order, DOMAIN), signature=b"", forced=True)
    resting = create_order_row(TAKER, create_order(TAKER, MARKET, Side.BUY, PRICE, 10, key=8), DOMAIN)
    signed = create_order_row(MAKER, sell(5, epoch=3), DOMAIN)
    batch = build_batch(1, 0, [create_item(1, resting, forced, 3), fill_of(signed, 2)], MARKETS)
    assert {entry.account: entry.epoch for entry in batch.accounts}[MAKER.address] == 3


def test_too_many_orders_are_refused(items: list[ItemRow]) -> None:
    item = items[0]

    def with_maker(order_hash: bytes) -> ItemRow:
        maker = msgspec.structs.replace(item.maker, order_hash=order_hash)  # type: ignore[type-var]
        trade = msgspec.structs.replace(item.trade, maker_hash=order_hash)  # type: ignore[type-var]
        return msgspec.structs.replace(item, maker=maker, trade=trade)

    many = [with_maker(number.to_bytes(32, "big")) for number in range(2**16 - 1)]
    with pytest.raises(ValueError, match="batch 1: 65536 groups exceed 65535"):
        build_batch(1, 0, many, MARKETS)


@pytest.mark.parametrize("length", [0, 1, 31, 32, 33])
def test_settle_calldata_is_abi_encoded(length: int) -> None:
    packed = bytes(range(length))
    data = settle_calldata(packed)
    assert data == keccak(b"settleBatch(bytes)")[:4] + abi_encode(["bytes"], [packed])


def test_release_calldata_is_abi_encoded() -> None:
    data = release_calldata(MAKER.address, 2, 7, 10**30)
    assert data[:4] == keccak(b"release(address,uint8,uint32,uint256)")[:4]
    values = abi_decode(["address", "uint8", "uint32", "uint256"], data[4:])
    assert values == ("0x" + MAKER.address.hex(), 2, 7, 10**30)
