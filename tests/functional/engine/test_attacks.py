"""What an operator without scruples, or a trader, may try with batches; every test is named by the attack."""

from dataclasses import replace

import pytest
from eth_account import Account
from eth_utils import keccak

from tests.utils.batches import (
    BUY,
    GTD,
    HEADER_SIZE,
    NOTHING_SIGNED,
    SELL,
    Domain,
    Group,
    nonce,
    packed_calldata,
    sign_array,
)
from tests.utils.controls import sign_cancel_all

ORDERS = 2  # IEngine.Table


# ---- accounts


def test_account_with_delegated_code_still_signs_and_trades(exchange, accounts, maker, taker):
    """EIP-7702: an EOA whose code is a delegation designator keeps its key; no code of it is asked or run."""
    designator = "0xef0100" + exchange.usdc.address[2:]
    for account in (maker, taker):
        exchange.provider.make_request("anvil_setCode", [account.address, designator])
    buy = exchange.order(taker, BUY)
    exchange.settle_fills((exchange.order(maker, SELL), buy, 5))
    assert exchange.state_of(buy) == (1, 5)


def test_account_that_is_a_contract_cannot_sign_by_code(exchange, project, owner, maker, taker):
    """A contract that would accept any signature (ERC-1271) is never asked."""
    wallet = owner.deploy(project.MockWallet)
    order = exchange.order(wallet, BUY, delegate=taker)
    batch = exchange.batch([(exchange.order(maker, SELL), order, 5)])
    exchange.refuse(batch, "InvalidSignature", batch.orders[batch.fills[0][1]].group)


def test_zero_signer(exchange, maker, taker):
    """A malformed signature recovers to the zero address, which can be no account and no delegate."""
    batch = exchange.batch([(exchange.order(maker, SELL), exchange.order(taker, BUY), 5)])
    batch.groups[0] = Group(bytes(32), bytes(32))
    exchange.refuse(batch, "InvalidSignature", 0)
    batch.accounts[0] = ("0x" + "00" * 20, 0)
    exchange.refuse(batch, "UnsortedAccounts", 0)


def test_protocol_accounts_have_no_key(exchange, maker):
    """The Engine, the Vault and the Clearinghouse cannot be made to trade by anybody's signature."""
    for contract in (exchange.engine, exchange.vault, exchange.clearinghouse):
        order = exchange.order(contract, BUY, delegate=maker)
        batch = exchange.batch([(exchange.order(maker, SELL), order, 5)])
        exchange.refuse(batch, "InvalidSignature", batch.orders[batch.fills[0][1]].group)


# ---- replay


def test_replay_of_a_settled_batch_under_the_next_number(exchange, maker, taker):
    """Everything signed is still valid; the fill is refused because the orders are full."""
    fill = (exchange.order(maker, SELL, quantity=5), exchange.order(taker, BUY, quantity=5), 5)
    exchange.settle_fills(fill)
    batch = exchange.batch([fill])
    exchange.refuse(batch, "Overfill", 0, batch.fills[0][0])


@pytest.mark.parametrize("other", ["chain", "contract"])
def test_replay_of_an_array_from_another_exchange(exchange, maker, taker, other):
    domain = exchange.domain
    foreign = Domain(domain.chain_id + 1, domain.engine) if other == "chain" else Domain(domain.chain_id, maker.address)
    array = [exchange.order(maker, SELL, nonce=nonce(key, 1)) for key in range(3)]
    batch = exchange.batch([(array[0], exchange.order(taker, BUY), 5)], arrays=[array])
    signed_elsewhere = sign_array(foreign, array, [1, 2])
    batch.groups[0] = replace(batch.groups[0], r=signed_elsewhere.r, vs=signed_elsewhere.vs)
    exchange.refuse(batch, "InvalidSignature", 0)


def test_replay_after_the_epoch_bump(exchange, accounts, maker, taker, operator):
    """An old order cannot come back under the new epoch, nor under an entry that says that nothing was signed."""
    signature = sign_cancel_all(exchange.domain, taker.address, 0, taker)
    exchange.control.cancelAllBySig(taker.address, 0, *signature, sender=operator)
    batch = exchange.batch([(exchange.order(maker, SELL), exchange.order(taker, BUY), 5)])
    account = [address for address, _ in batch.accounts].index(taker.address)
    order = batch.fills[0][1]
    exchange.refuse(batch, "StaleEpoch", account)
    batch.accounts[account] = (taker.address, 1)
    exchange.refuse(batch, "InvalidSignature", batch.orders[order].group)
    batch.accounts[account] = (taker.address, NOTHING_SIGNED)
    exchange.refuse(batch, "EpochExhausted", order)


# ---- filling more than was signed


def test_overfill_across_an_array_and_a_single_signature(exchange, maker, taker):
    """The same order signed twice, in an array and alone, is one order: its nonce has one `filled`."""
    order = exchange.order(maker, SELL, quantity=10)
    array = [order, exchange.order(maker, SELL, nonce=nonce(1, 1))]
    buy = exchange.order(taker, BUY, quantity=100)
    exchange.settle(exchange.batch([(order, buy, 7)], arrays=[array]))
    batch = exchange.batch([(order, buy, 4)])
    exchange.refuse(batch, "Overfill", 0, batch.fills[0][0])
    exchange.settle(exchange.batch([(order, buy, 3)]))
    exchange.refuse(exchange.batch([(order, buy, 1)], arrays=[array]), "Overfill", 0, batch.fills[0][0])


def test_overfill_by_listing_an_order_in_two_groups(exchange, maker, taker):
    order = exchange.order(maker, SELL, quantity=10)
    array = [order, exchange.order(maker, SELL, nonce=nonce(1, 1))]
    batch = exchange.batch([(order, exchange.order(taker, BUY), 7)], arrays=[array])
    index = batch.fills[0][0]
    batch.groups.append(Group(*order.sign(exchange.domain)))
    batch.orders.insert(index + 1, replace(batch.orders[index], group=len(batch.groups) - 1, leaf=0))
    exchange.refuse(batch, "UnsortedOrders", index + 1)


def test_overfill_by_two_contents_under_one_nonce(exchange, maker, taker):
    """Whoever signs two orders with one nonce harms only itself: what is filled counts for both."""
    small, large = (exchange.order(maker, SELL, quantity=quantity) for quantity in (10, 12))
    buy = exchange.order(taker, BUY)
    exchange.settle(exchange.batch([(small, buy, 10)]))
    batch = exchange.batch([(large, buy, 3)])
    exchange.refuse(batch, "Overfill", 0, batch.fills[0][0])
    exchange.settle(exchange.batch([(large, buy, 2)]))


def test_overfill_within_one_batch(exchange, maker, taker):
    order, buy = exchange.order(maker, SELL, quantity=10), exchange.order(taker, BUY)
    batch = exchange.batch([(order, buy, 6), (order, buy, 5)])
    exchange.refuse(batch, "Overfill", 1, batch.fills[0][0])


def test_array_leaf_of_another_size_than_signed(exchange, maker, taker):
    array = [exchange.order(maker, SELL, nonce=nonce(key, 1), quantity=10) for key in range(2)]
    batch = exchange.batch([(array[0], exchange.order(taker, BUY), 11)], arrays=[array])
    index = batch.fills[0][0]
    batch.edit_order(index, quantity=11)
    exchange.refuse(batch, "InvalidSignature", batch.orders[index].group)


# ---- duplicates


@pytest.mark.parametrize("table", ["accounts", "markets", "positions", "orders"])
def test_duplicate_entries(exchange, batch, table):
    """An entry that is listed twice could be netted or checked apart from its twin."""
    rows = getattr(batch, table)
    rows.insert(1, rows[0])
    names = {"accounts": "Accounts", "markets": "Markets", "positions": "Positions", "orders": "Orders"}
    refusal = exchange.call(batch.packed_calldata())
    assert refusal is not None
    assert refusal == exchange.refusal(f"Unsorted{names[table]}", 1)


def test_duplicate_group(exchange, batch):
    batch.groups.append(batch.groups[0])
    exchange.refuse(batch, "LeafNotSet", len(batch.groups) - 1)


# ---- every packed field at its highest value


FIELD_MAXIMA = {
    "position": 2**16 - 1,
    "market": 2**16 - 1,
    "nonce": 2**64 - 1,
    "price": 2**56 - 1,
    "quantity": 2**40 - 1,
    "expiry": 2**40 - 1,
    "max_fee_bps": 2**16 - 1,
    "group": 2**16 - 1,
    "leaf": 2**8 - 1,
}


@pytest.mark.parametrize("field", FIELD_MAXIMA)
def test_truncation_of_an_order_field_at_its_highest_value(exchange, batch, field):
    """What fits the field is read as it is and never spills into its neighbour: both forms fail alike."""
    index = 2
    batch.edit_order(index, **{field: FIELD_MAXIMA[field]})
    if field == "expiry":
        batch.edit_order(index, time_in_force=GTD)
    packed, readable = (exchange.call(data) for data in (batch.packed_calldata(), batch.readable_calldata()))
    assert packed is not None
    assert packed == readable
    expected = {
        "position": exchange.refusal("IndexOutOfRange", ORDERS, index),
        "market": exchange.refusal("IndexOutOfRange", ORDERS, index),
        "group": exchange.refusal("IndexOutOfRange", ORDERS, index),
        "leaf": exchange.refusal("IndexOutOfRange", ORDERS, index),
        "price": exchange.refusal("InvalidPrice", index),
        "quantity": exchange.refusal("InvalidQuantity", index),
        "expiry": exchange.refusal("InvalidSignature", index),
        "max_fee_bps": exchange.refusal("InvalidSignature", index),
    }
    if field == "nonce":  # the last sequence; the next order of its position sorts below it
        assert packed in (exchange.refusal("SequenceExhausted", index), exchange.refusal("UnsortedOrders", index + 1))
    else:
        assert packed == expected[field]


@pytest.mark.parametrize("field", ["price", "quantity", "expiry"])
def test_truncation_of_what_the_packed_form_cannot_hold(exchange, maker, taker, field):
    """The readable form's wider values are refused, not cut to what the trader did not sign."""
    wide = {"price": 2**56 + 600_000, "quantity": 2**40 + 100, "expiry": 2**40 + 2**33}[field]
    changes = {field: wide} | ({"time_in_force": GTD} if field == "expiry" else {})
    order = exchange.order(taker, BUY, **changes)
    sell = exchange.order(maker, SELL, price=1)
    batch = exchange.batch([(sell, order, 5)])
    names = {"price": "InvalidPrice", "quantity": "InvalidQuantity", "expiry": "InvalidExpiry"}
    index = batch.fills[0][1]
    exchange.expect(batch.readable_calldata(), names[field], index)


def test_truncation_of_a_fill_at_its_highest_value(exchange, batch):
    maker, taker, _lots = batch.fills[1]
    batch.fills[1] = (maker, taker, 2**40 - 1)
    exchange.refuse(batch, "Overfill", 1, maker)
    batch.fills[1] = (maker, taker, 2**40 + 5)
    exchange.expect(batch.readable_calldata(), "Overfill", 1, maker)
    batch.fills[1] = (2**16 - 1, taker, 5)
    exchange.refuse(batch, "IndexOutOfRange", 3, 1)
    batch.fills[1] = (maker, 2**16 - 1, 5)
    exchange.refuse(batch, "IndexOutOfRange", 3, 1)


def test_truncation_of_header_fields(exchange, batch):
    matched_at = batch.matched_at
    batch.number = 2**48 - 1
    exchange.refuse(batch, "WrongBatchNumber", 1, 2**48 - 1)
    batch.number, batch.matched_at = 1, 2**40 - 1
    refusal = exchange.call(batch.packed_calldata())
    assert refusal is not None
    assert refusal.data[4:36] == (2**40 - 1).to_bytes(32, "big")
    batch.matched_at = matched_at
    exchange.accept(batch)


def test_truncation_of_a_round_at_its_highest_value(exchange, batch):
    batch.rounds = {batch.markets[1]: 2**80 - 1}
    exchange.refuse(batch, "UnexpectedRound", 1)


def test_truncation_of_every_table_length(exchange, batch):
    """Lengths that promise more rows than there are, or fewer, never shift one table into another."""
    packed = batch.packed()
    for table in range(8):
        offset = HEADER_SIZE - 16 + 2 * table
        length = int.from_bytes(packed[offset : offset + 2], "big")
        for other in {0, length - 1, length + 1, 2**16 - 1} - {length, -1}:
            broken = packed[:offset] + other.to_bytes(2, "big") + packed[offset + 2 :]
            refusal = exchange.call(packed_calldata(broken))
            assert refusal is not None
            assert refusal.data[:4] == exchange.refusal("MalformedBatch", 0).data[:4]


# ---- gas


def test_gas_exhaustion_leaves_nothing_behind(exchange, maker, taker):
    """A batch that runs out of gas changes nothing and can be sent again."""
    buy = exchange.order(taker, BUY)
    batch = exchange.batch([(exchange.order(maker, SELL), buy, 1)] * 50)
    before = exchange.usdc_of(taker), exchange.engine.lastBatch()
    data = batch.packed_calldata()
    for gas in (60_000, 150_000, 250_000):
        transaction = {"from": exchange.operator.address, "to": exchange.engine.address, "data": "0x" + data.hex()}
        answer = exchange.provider.web3.provider.make_request("eth_call", [transaction | {"gas": hex(gas)}, "latest"])
        assert "error" in answer
    assert (exchange.usdc_of(taker), exchange.engine.lastBatch()) == before
    exchange.settle(batch)
    assert exchange.state_of(buy) == (1, 50)


def test_gas_of_a_batch_that_promises_the_most_rows(exchange):
    """A header of zeros and the highest counts is refused by its length, before anything is allocated."""
    packed = bytes(11) + b"\xff\xff" * 8
    data = packed_calldata(packed)
    transaction = {"from": exchange.operator.address, "to": exchange.engine.address, "data": "0x" + data.hex()}
    answer = exchange.provider.web3.provider.make_request("eth_call", [transaction | {"gas": hex(100_000)}, "latest"])
    assert answer["error"]["data"].startswith("0x" + exchange.refusal("MalformedBatch", 0).data[:4].hex())


# ---- random bytes


def test_noise_is_refused(exchange, batch):
    """A flipped byte anywhere is refused, or changes nothing that anybody signed (which account lists nothing)."""
    packed = batch.packed()
    for position in range(HEADER_SIZE, len(packed), 7):
        broken = bytearray(packed)
        broken[position] ^= 0x5A
        refusal = exchange.call(packed_calldata(bytes(broken)))
        assert refusal is not None or position >= len(packed) - 9 * len(batch.fills)


def test_batch_of_another_key_is_refused(exchange, maker):
    """An unknown key's order for a funded account is no order of that account."""
    thief = Account.from_key(keccak(text="thief"))
    order = exchange.order(maker, SELL)
    own = exchange.order(thief, BUY, price=600_000)
    batch = exchange.batch([(order, own, 1)])
    group = batch.orders[batch.fills[0][0]].group
    batch.groups[group] = Group(*replace(order, delegate=thief).sign(exchange.domain))
    exchange.refuse(batch, "InvalidSignature", group)
