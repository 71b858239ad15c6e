"""Everything a batch can be refused for, with the index of what failed, in both forms."""

from dataclasses import replace

import pytest

from tests.utils.batches import HEADER_SIZE, Group, Keyless, OrderEntry, packed_calldata

POSITIONS, GROUPS, ORDERS, FILLS = range(4)  # IEngine.Table


def test_the_batch_that_is_broken_below_settles(exchange, batch):
    exchange.accept(batch)


# ---- caller and header


def test_only_the_operator_settles(exchange, owner, guardian, stranger, batch):
    for caller in (owner, guardian, stranger):
        exchange.expect(batch.packed_calldata(), "NotOperator", caller.address, sender=caller)
        exchange.expect(batch.readable_calldata(), "NotOperator", caller.address, sender=caller)


@pytest.mark.parametrize("number", [0, 2, 2**48 - 1])
def test_wrong_batch_number(exchange, batch, number):
    batch.number = number
    exchange.refuse(batch, "WrongBatchNumber", 1, number)


def test_batch_settles_once(exchange, batch):
    exchange.settle(batch)
    exchange.refuse(batch, "WrongBatchNumber", 2, 1)


def test_batch_without_fills(exchange, batch):
    batch.fills = []
    exchange.refuse(batch, "EmptyBatch")


# ---- length of the packed form


def test_every_truncation_is_refused(exchange, batch):
    packed = batch.packed()
    for length in range(len(packed)):
        exchange.refuse_packed(packed[:length], "MalformedBatch", HEADER_SIZE if length < HEADER_SIZE else len(packed))


@pytest.mark.parametrize("extra", [1, 8, 9, 32])
def test_trailing_bytes_are_refused(exchange, batch, extra):
    packed = batch.packed()
    exchange.refuse_packed(packed + bytes(extra), "MalformedBatch", len(packed))


def test_truncation_with_a_conversion_limit_is_refused(exchange, batch):
    batch.edit_order(1, conversion_limit=7)
    packed = batch.packed()
    for length in range(len(packed) - 9, len(packed)):
        exchange.refuse_packed(packed[:length], "MalformedBatch", len(packed))
    exchange.refuse_packed(packed + b"\0", "MalformedBatch", len(packed))


def test_empty_calldata_and_other_selectors(exchange, batch):
    exchange.refuse_packed(b"", "MalformedBatch", HEADER_SIZE)
    readable = batch.readable_calldata()
    assert exchange.call(readable[:-1]) is not None
    assert exchange.call(readable[: len(readable) // 2]) is not None
    assert exchange.call(b"\1\2\3\4" + readable[4:]) is not None


def test_counts_that_promise_more_than_there_is(exchange, batch):
    packed = bytearray(batch.packed())
    for table in range(8):
        broken = bytearray(packed)
        broken[11 + 2 * table : 13 + 2 * table] = b"\xff\xff"
        refusal = exchange.call(packed_calldata(bytes(broken)))
        assert refusal is not None
        assert refusal.data[:4] == exchange.refusal("MalformedBatch", 0).data[:4]


def test_a_table_of_the_readable_form_has_at_most_65535_rows(exchange, batch):
    """Called by code that adds zeros to what it is called with: Anvil takes no request of two megabytes."""
    packer, forwarder = exchange.packer.address, Keyless("0x" + "51" * 20)
    call = "365f5f37" + "5f5f622100005f73" + packer[2:] + "5afa" + "3d5f5f3e3d5ffd"
    exchange.provider.make_request("anvil_setCode", [forwarder.address, "0x" + call])
    batch.groups = [replace(batch.groups[0], absent=(bytes(32),) * 2**16)]
    batch.orders, batch.fills = [], []
    data = bytes(exchange.packer.pack.encode_input(batch.readable())).rstrip(b"\0")
    assert exchange.call(data, target=forwarder) == exchange.refusal("MalformedBatch", 2**16)


def test_fills_without_any_order_are_refused(exchange, batch):
    batch.orders, batch.groups = [], []
    exchange.refuse(batch, "IndexOutOfRange", FILLS, 0)


# ---- accounts, markets, positions, groups


def test_accounts_ascend(exchange, batch):
    batch.accounts[1] = batch.accounts[0]
    exchange.refuse(batch, "UnsortedAccounts", 1)
    batch.accounts[0], batch.accounts[1] = batch.accounts[2], batch.accounts[0]
    exchange.refuse(batch, "UnsortedAccounts", 1)


def test_zero_address_is_no_account(exchange, batch):
    batch.accounts.insert(0, ("0x" + "00" * 20, 0))
    exchange.refuse(batch, "UnsortedAccounts", 0)


def test_markets_ascend(exchange, batch):
    batch.markets.append(batch.markets[-1])
    exchange.refuse(batch, "UnsortedMarkets", 2)
    batch.markets[0], batch.markets[1] = batch.markets[1], batch.markets[0]
    exchange.refuse(batch, "UnsortedMarkets", 1)


@pytest.mark.parametrize("unknown", [99, 2**32 - 1])
def test_unknown_market(exchange, batch, unknown):
    batch.markets.append(unknown)
    exchange.refuse(batch, "UnknownMarket", 2)


def test_market_zero_and_assets_are_no_markets(exchange, batch):
    for identifier in (0, exchange.btc):
        markets = batch.markets
        batch.markets = [identifier, *markets]
        exchange.refuse(batch, "UnknownMarket", 0)
        batch.markets = markets


def test_position_of_an_account_that_is_not_there(exchange, batch):
    _account, instrument = batch.positions[-1]
    for index in (3, 2**16 - 1):  # 3 would be the entry that collects the fees
        batch.positions[-1] = (index, instrument)
        exchange.refuse(batch, "IndexOutOfRange", POSITIONS, len(batch.positions) - 1)


def test_positions_ascend(exchange, batch):
    batch.positions[1] = batch.positions[0]
    exchange.refuse(batch, "UnsortedPositions", 1)
    batch.positions[0], batch.positions[1] = batch.positions[2], batch.positions[0]
    exchange.refuse(batch, "UnsortedPositions", 1)


@pytest.mark.parametrize("leaf_count", [0, 11, 255])
def test_groups_have_one_to_ten_leaves(exchange, batch, leaf_count):
    batch.groups[2] = replace(batch.groups[2], leaf_count=leaf_count)
    exchange.refuse(batch, "InvalidLeafCount", 2)


# ---- which error comes first


def test_first_failure_in_the_documented_order_is_reported(exchange, batch):
    """Break everything from the end to the front; each new fault hides the ones behind it."""
    index = len(batch.positions) - 1
    batch.fills[2] = (*batch.fills[2][:2], 0)
    exchange.refuse(batch, "ZeroQuantity", 2)
    batch.groups.append(Group(bytes(32), bytes(32)))
    exchange.refuse(batch, "LeafNotSet", 5)
    batch.edit_order(4, price=batch.orders[4].price - 1 or 1)
    assert isinstance(batch.orders[4], OrderEntry)
    refusal = exchange.call(batch.packed_calldata())
    assert refusal in (exchange.refusal("InvalidSignature", 4), exchange.refusal("InvalidPrice", 4))
    batch.edit_order(4, quantity=0, price=600_000)
    exchange.refuse(batch, "InvalidQuantity", 4)
    batch.edit_order(4, reduce_only=True)
    exchange.refuse(batch, "ReduceOnlySpot", 4)
    batch.edit_order(0, max_fee_bps=0)
    exchange.refuse(batch, "FeeAboveCap", 0)
    batch.groups[5] = Group(bytes(32), bytes(32), 11)
    exchange.refuse(batch, "InvalidLeafCount", 5)
    batch.positions[index] = (9, exchange.btc)
    exchange.refuse(batch, "IndexOutOfRange", POSITIONS, index)
    batch.markets.append(77)
    exchange.refuse(batch, "UnknownMarket", 2)
    batch.accounts[2] = batch.accounts[1]
    exchange.refuse(batch, "UnsortedAccounts", 2)
    matched_at, batch.matched_at = batch.matched_at, 1
    refusal = exchange.call(batch.packed_calldata())
    assert refusal is not None
    assert refusal.data[:4] == exchange.refusal("MatchedAtOutOfRange", 0, 0, 0).data[:4]
    batch.matched_at = matched_at
    batch.number = 5
    exchange.refuse(batch, "WrongBatchNumber", 1, 5)
    batch.fills = []
    exchange.refuse(batch, "EmptyBatch")
