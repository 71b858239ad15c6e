"""One signature over several orders of an account: what it covers, absent leaves, and every attempt to play with it."""

from dataclasses import replace

import pytest
from eth_utils import keccak

from tests.functional.engine.conftest import BTC_BALANCE
from tests.functional.engine.exchange import BTC_LOT, FORMS, PACKED, READABLE
from tests.utils.batches import BUY, SELL, Group, array_message, nonce, sign, sign_array

GROUPS, ORDERS = 1, 2  # IEngine.Table


@pytest.fixture
def ladder(exchange, maker):
    """Ten sell orders, each under a nonce key of its own and at another price."""
    return [exchange.order(maker, SELL, price=600_000 + i, nonce=nonce(i, 1)) for i in range(10)]


@pytest.fixture
def buy(exchange, taker):
    return exchange.order(taker, BUY, price=700_000, quantity=1_000)


def fills_of(orders, buy):
    return [(order, buy, 3 + i) for i, order in enumerate(orders)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("count", [2, 3, 10])
def test_one_signature_covers_up_to_ten_orders(exchange, maker, ladder, buy, count, form):
    array = ladder[:count]
    batch = exchange.batch(fills_of(array, buy), arrays=[array])
    assert len(batch.groups) == 2
    exchange.settle(batch, form)
    assert [exchange.state_of(order) for order in array] == [(1, 3 + i) for i in range(count)]
    assert exchange.base_of(maker) == BTC_BALANCE - sum(3 + i for i in range(count)) * BTC_LOT


def test_fill_ids_are_those_of_single_orders(exchange, ladder, buy):
    receipt = exchange.settle(exchange.batch([(ladder[1], buy, 5)], arrays=[ladder[:2]]))
    assert exchange.fill_ids(receipt) == [exchange.fill_id(ladder[1], buy)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("present", [[0], [9], [4], [0, 9], [1, 3, 5, 7, 9], list(range(1, 10))])
def test_absent_orders_are_passed_as_hashes(exchange, ladder, buy, present, form):
    filled = [ladder[leaf] for leaf in present]
    batch = exchange.batch(fills_of(filled, buy), arrays=[ladder])
    assert len(batch.groups[0].absent) == 10 - len(present)
    exchange.settle(batch, form)
    for leaf, order in enumerate(ladder):
        assert exchange.state_of(order) == ((1, 3 + present.index(leaf)) if leaf in present else (0, 0))


def test_orders_of_one_array_settle_in_different_batches(exchange, ladder, buy):
    for count, order in enumerate(ladder[:3], 1):
        exchange.settle(exchange.batch([(order, buy, 5)], arrays=[ladder]))
        assert exchange.state_of(buy) == (1, 5 * count)


def test_two_arrays_with_absent_orders_take_their_hashes_in_turn(exchange, taker, ladder):
    bids = [exchange.order(taker, BUY, price=700_000, nonce=nonce(i, 1)) for i in range(4)]
    exchange.accept(exchange.batch([(ladder[3], bids[1], 2), (ladder[5], bids[3], 2)], arrays=[bids, ladder]))
    exchange.accept(exchange.batch([(ladder[3], bids[1], 2), (ladder[5], bids[3], 2)], arrays=[ladder, bids]))


def test_array_may_mix_markets_and_sides(exchange, maker, taker):
    eth = {"market": exchange.eth_market, "instrument": exchange.eth, "price": 3_000_000}
    array = [exchange.order(maker, SELL), exchange.order(maker, BUY, **eth)]
    fills = [(array[0], exchange.order(taker, BUY), 3), (array[1], exchange.order(taker, SELL, **eth), 3)]
    exchange.settle(exchange.batch(fills, arrays=[array]))
    assert [exchange.state_of(order) for order in array] == [(1, 3), (1, 3)]


# ---- what an array is not


def test_leaf_is_no_root(exchange, ladder, buy):
    """The array's signature is not one of a single order, nor of its other parts."""
    batch = exchange.batch(fills_of(ladder[:1], buy))
    group = batch.orders[batch.fills[0][0]].group
    array = sign_array(exchange.domain, ladder[:2])
    batch.groups[group] = Group(array.r, array.vs)
    exchange.refuse(batch, "InvalidSignature", group)


def test_root_is_no_leaf(exchange, ladder, buy):
    """A hash of an array cannot stand for an absent order of another array that was signed with it."""
    domain = exchange.domain
    inner = bytes(array_message(domain, ladder[1:3]).body)
    batch = exchange.batch(fills_of(ladder[:1], buy), arrays=[ladder[:3]])
    batch.groups[0] = replace(batch.groups[0], leaf_count=2, absent=(inner,), absent_mask=2)
    exchange.refuse(batch, "InvalidSignature", 0)


def test_single_order_is_no_array_of_one(exchange, ladder, buy):
    """OrderArray starts at two orders: a signature over an array of one is refused."""
    batch = exchange.batch(fills_of(ladder[:1], buy))
    group = batch.orders[batch.fills[0][0]].group
    message = array_message(exchange.domain, ladder[:1])
    batch.groups[group] = Group(*sign(message, ladder[0].signer))
    exchange.refuse(batch, "InvalidSignature", group)


def test_order_signature_is_none_for_an_array(exchange, ladder, buy):
    batch = exchange.batch(fills_of(ladder[:2], buy), arrays=[ladder[:2]])
    batch.groups[0] = replace(batch.groups[0], **dict(zip(("r", "vs"), ladder[0].sign(exchange.domain), strict=True)))
    exchange.refuse(batch, "InvalidSignature", 0)


def test_leaves_in_another_order_are_another_array(exchange, ladder, buy):
    batch = exchange.batch(fills_of(ladder[:2], buy), arrays=[ladder[:2]])
    first, second = batch.fills[0][0], batch.fills[1][0]
    batch.edit_order(first, leaf=1)
    batch.edit_order(second, leaf=0)
    exchange.refuse(batch, "InvalidSignature", 0)


def test_eleven_leaves_are_too_many(exchange, maker, ladder, buy):
    array = [*ladder, exchange.order(maker, SELL, nonce=nonce(10, 1))]
    exchange.refuse(exchange.batch(fills_of(array, buy), arrays=[array]), "InvalidLeafCount", 0)


@pytest.mark.parametrize("leaf", [2, 10, 15, 16, 255])
def test_leaf_out_of_range(exchange, ladder, buy, leaf):
    batch = exchange.batch(fills_of(ladder[:2], buy), arrays=[ladder[:2]])
    index = batch.fills[1][0]
    batch.edit_order(index, leaf=leaf)
    exchange.refuse(batch, "IndexOutOfRange", ORDERS, index)


def test_leaf_set_by_two_orders(exchange, ladder, buy):
    batch = exchange.batch(fills_of(ladder[:3], buy), arrays=[ladder[:3]])
    index = batch.fills[2][0]
    batch.edit_order(index, leaf=1)
    exchange.refuse(batch, "LeafSetTwice", index)


def test_order_is_both_absent_and_set(exchange, ladder, buy):
    batch = exchange.batch(fills_of(ladder[:2], buy), arrays=[ladder[:3]])
    batch.edit_order(batch.fills[1][0], leaf=2)
    exchange.refuse(batch, "LeafSetTwice", batch.fills[1][0])


def test_leaf_neither_absent_nor_set(exchange, ladder, buy):
    batch = exchange.batch(fills_of(ladder[:2], buy), arrays=[ladder[:4]])
    group = batch.groups[0]
    batch.groups[0] = replace(group, absent=group.absent[:1], absent_mask=4)
    exchange.refuse(batch, "LeafNotSet", 0)


def test_another_hash_for_an_absent_order(exchange, ladder, buy):
    batch = exchange.batch(fills_of(ladder[:2], buy), arrays=[ladder[:4]])
    group = batch.groups[0]
    batch.groups[0] = replace(group, absent=(group.absent[1], group.absent[0]))
    exchange.refuse(batch, "InvalidSignature", 0)
    batch.groups[0] = replace(group, absent=(group.absent[0], keccak(b"")))
    exchange.refuse(batch, "InvalidSignature", 0)


def test_group_with_orders_of_two_accounts(exchange, taker, ladder):
    """Neither may ride on the other's signature, whoever of them signed."""
    buy = exchange.order(taker, BUY, price=700_000)
    batch = exchange.batch([(ladder[0], buy, 1)], arrays=[[ladder[0], buy]])
    assert len(batch.groups) == 1
    exchange.refuse(batch, "GroupAccountMismatch", 1)
    batch.groups[0] = sign_array(exchange.domain, [replace(order, delegate=taker) for order in (ladder[0], buy)])
    exchange.refuse(batch, "GroupAccountMismatch", 1)


def test_absent_hash_of_another_account_changes_nothing(exchange, taker, ladder, buy):
    """A leaf that is not in the batch may be of anybody: only what an order in the batch says acts."""
    foreign = exchange.order(taker, BUY, nonce=nonce(7, 1))
    exchange.settle(exchange.batch([(ladder[0], buy, 5)], arrays=[[ladder[0], foreign]]))
    assert exchange.state_of(foreign) == (0, 0)


# ---- masks and the absent table


@pytest.mark.parametrize(
    ("leaf_count", "mask"), [(1, 1), (1, 2), (2, 3), (2, 4), (2, 2**15), (10, 2**10 - 1), (10, 2**10)]
)
def test_mask_of_leaves_that_are_not_there_or_of_all(exchange, ladder, buy, leaf_count, mask):
    batch = exchange.batch(fills_of(ladder[:1], buy))
    hashes = tuple(bytes(32) for _ in range(mask.bit_count()))
    batch.groups[1] = replace(batch.groups[1], leaf_count=leaf_count, absent=hashes, absent_mask=mask)
    exchange.refuse(batch, "InvalidAbsentMask", 1)


def test_absent_hash_that_is_missing(exchange, ladder, buy):
    batch = exchange.batch(fills_of(ladder[:2], buy), arrays=[ladder[:4]])
    batch.absent = list(batch.groups[0].absent[:1])
    exchange.refuse(batch, "IndexOutOfRange", GROUPS, 0, forms=[PACKED])
    batch.absent = []
    exchange.refuse(batch, "IndexOutOfRange", GROUPS, 0, forms=[PACKED])


def test_absent_hash_that_is_not_used(exchange, ladder, buy):
    batch = exchange.batch(fills_of(ladder[:2], buy), arrays=[ladder[:4]])
    batch.absent = [*batch.groups[0].absent, bytes(32)]
    exchange.refuse(batch, "AbsentNotUsed", 2, forms=[PACKED])
    batch = exchange.batch(fills_of(ladder[:2], buy))
    batch.absent = [keccak(b"unused")]
    exchange.refuse(batch, "AbsentNotUsed", 0, forms=[PACKED])


def test_hashes_and_mask_of_the_readable_form_agree(exchange, ladder, buy):
    """Else one group's hash could be passed with another group."""
    batch = exchange.batch(fills_of(ladder[:2], buy), arrays=[ladder[:4]])
    group = batch.groups[0]
    for absent in (group.absent[:1], (*group.absent, bytes(32)), ()):
        batch.groups[0] = replace(group, absent=absent)
        exchange.refuse(batch, "InvalidAbsentMask", 0, forms=[READABLE])


def test_every_mask_of_an_array_settles_its_orders(exchange, ladder, buy):
    array = ladder[:4]
    for mask in range(1, 16):
        filled = [order for leaf, order in enumerate(array) if mask >> leaf & 1]
        exchange.accept(exchange.batch(fills_of(filled, buy), arrays=[array]))
