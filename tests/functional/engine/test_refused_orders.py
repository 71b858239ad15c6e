"""Everything an order in a batch can be refused for, in both forms; test_nonces and test_signatures have the rest."""

import pytest

from tests.functional.engine.exchange import BTC_MAX_PRICE, ETH_TICK, PACKED, READABLE
from tests.utils.batches import BUY, GTC, GTD, NOTHING_SIGNED, SELL, Group, nonce

ORDERS = 2  # IEngine.Table


@pytest.mark.parametrize(
    "changes", [{"position": 5}, {"position": 2**16 - 1}, {"market": 2}, {"group": 5}, {"leaf": 1}, {"leaf": 255}]
)
def test_order_that_refers_to_nothing(exchange, batch, changes):
    batch.edit_order(3, **changes)
    exchange.refuse(batch, "IndexOutOfRange", ORDERS, 3)


def test_orders_ascend_by_position_and_nonce(exchange, batch):
    batch.orders[1], batch.orders[2] = batch.orders[2], batch.orders[1]
    exchange.refuse(batch, "UnsortedOrders", 2)


def test_one_nonce_is_listed_once(exchange, batch, resign):
    first = batch.orders[0]
    batch.orders.insert(1, first)
    exchange.refuse(batch, "UnsortedOrders", 1)


@pytest.mark.parametrize("flags", [1, 2, 3])
def test_unknown_flags(exchange, batch, flags):
    batch.edit_order(2, unknown_flags=flags)
    exchange.refuse(batch, "InvalidFlags", 2, forms=[PACKED])


@pytest.mark.parametrize("changes", [{"side": 2}, {"side": 255}, {"time_in_force": 4}, {"time_in_force": 255}])
def test_side_and_time_in_force_that_do_not_exist(exchange, batch, changes):
    batch.edit_order(2, **changes)
    exchange.refuse(batch, "InvalidFlags", 2, forms=[READABLE])


def test_position_in_another_instrument_than_the_markets(exchange, batch):
    batch.edit_order(2, market=1 - batch.orders[2].market)
    exchange.refuse(batch, "InstrumentMismatch", 2)


def test_reduce_only_in_a_spot_market(exchange, batch, resign):
    resign(1, reduce_only=True)
    exchange.refuse(batch, "ReduceOnlySpot", 1)


@pytest.mark.parametrize("limit", [1, 2**64 - 1])
def test_conversion_limit_in_a_market_in_usdc(exchange, batch, resign, limit):
    resign(1, conversion_limit=limit)
    exchange.refuse(batch, "UnexpectedConversionLimit", 1)


def test_conversion_limit_that_is_present_but_zero(exchange, batch):
    batch.edit_order(1, conversion_limit=1)
    batch.limits = [0]
    exchange.refuse(batch, "UnexpectedConversionLimit", 1, forms=[PACKED])


def btc_order(exchange, batch):
    return next(i for i, entry in enumerate(batch.orders) if batch.markets[entry.market] == exchange.btc_market)


def eth_order(exchange, batch):
    return next(i for i, entry in enumerate(batch.orders) if batch.markets[entry.market] == exchange.eth_market)


@pytest.mark.parametrize("price", [0, BTC_MAX_PRICE + 1, 2**56 - 1])
def test_price_out_of_range(exchange, batch, resign, price):
    index = btc_order(exchange, batch)
    resign(index, price=price)
    exchange.refuse(batch, "InvalidPrice", index)


def test_price_off_the_tick(exchange, batch, resign):
    index = eth_order(exchange, batch)
    for price in (ETH_TICK - 1, 3_000_000 + 1, 3_000_000 + ETH_TICK - 1):
        resign(index, price=price)
        exchange.refuse(batch, "InvalidPrice", index)
    resign(index, price=3_000_000 + ETH_TICK)


@pytest.mark.parametrize("price", [2**56, 2**56 + 600_000, 2**64 - 1])
def test_price_that_the_packed_form_cannot_hold(exchange, batch, resign, price):
    index = btc_order(exchange, batch)
    resign(index, price=price)
    exchange.refuse(batch, "InvalidPrice", index, forms=[READABLE])


@pytest.mark.parametrize("quantity", [0, 10**9 + 1, 2**40 - 1])
def test_quantity_out_of_range(exchange, batch, resign, quantity):
    resign(2, quantity=quantity)
    exchange.refuse(batch, "InvalidQuantity", 2)


@pytest.mark.parametrize("quantity", [2**40, 2**40 + 100, 2**64 - 1])
def test_quantity_that_the_packed_form_cannot_hold(exchange, batch, resign, quantity):
    resign(2, quantity=quantity)
    exchange.refuse(batch, "InvalidQuantity", 2, forms=[READABLE])


@pytest.mark.parametrize(("time_in_force", "expiry"), [(GTC, 1), (GTC, 2**40 - 1), (GTD, 0)])
def test_expiry_that_contradicts_the_time_in_force(exchange, batch, resign, time_in_force, expiry):
    resign(0, time_in_force=time_in_force, expiry=expiry)
    exchange.refuse(batch, "InvalidExpiry", 0)


@pytest.mark.parametrize(
    ("time_in_force", "expiry"), [(GTC, 0), (GTC, 2**40), (GTC, 2**64 - 2), (GTD, 2**40), (GTD, 2**64 - 1)]
)
def test_expiry_that_the_packed_form_cannot_hold(exchange, batch, resign, time_in_force, expiry):
    resign(0, time_in_force=time_in_force, expiry=expiry)
    exchange.refuse(batch, "InvalidExpiry", 0, forms=[READABLE])


def test_expired_order(exchange, batch, resign):
    resign(0, time_in_force=GTD, expiry=batch.matched_at - 1)
    exchange.refuse(batch, "OrderExpired", 0)


def test_leaf_set_by_two_orders(exchange, batch):
    batch.edit_order(2, group=batch.orders[0].group)
    exchange.refuse(batch, "LeafSetTwice", 2)


@pytest.mark.parametrize("place", [0, 2, 5])
def test_group_without_an_order(exchange, batch, place):
    batch.groups.insert(place, Group(bytes(32), bytes(32)))
    for index, entry in enumerate(batch.orders):
        if entry.group >= place:
            batch.edit_order(index, group=entry.group + 1)
    exchange.refuse(batch, "LeafNotSet", place)


def test_groups_need_not_be_in_the_order_of_orders(exchange, batch):
    batch.groups.reverse()
    for index, entry in enumerate(batch.orders):
        batch.edit_order(index, group=len(batch.groups) - 1 - entry.group)
    exchange.accept(batch)


FAULTS = (
    ("IndexOutOfRange", {"leaf": 1}),
    ("UnsortedOrders", {"position": 0}),
    ("InvalidFlags", {"unknown_flags": 1}),
    ("InstrumentMismatch", {}),
    ("ReduceOnlySpot", {"reduce_only": True}),
    ("UnexpectedConversionLimit", {"conversion_limit": 1}),
    ("InvalidPrice", {"price": 0}),
    ("InvalidQuantity", {"quantity": 0}),
    ("InvalidExpiry", {"time_in_force": GTC, "expiry": 1}),
    ("OrderExpired", {"time_in_force": GTD, "expiry": 1}),
    ("SequenceExhausted", {"nonce": 2**32 - 1}),
    ("EpochExhausted", {}),
    ("FeeAboveCap", {"max_fee_bps": 0}),
    ("LeafSetTwice", {"group": 0}),
)
"""what may be wrong with an order, in the order of IEngine"""


@pytest.mark.parametrize("first", range(len(FAULTS)))
def test_the_first_of_several_faults_is_named(exchange, batch, first):
    """The order has the fault and all that come after it."""
    names = [name for name, _ in FAULTS[first:]]
    changes = {}
    for _, fault in reversed(FAULTS[first:]):
        changes |= fault
    last = len(batch.orders) - 1
    if "InstrumentMismatch" in names:
        changes["market"] = 1 - batch.orders[last].market
    if "EpochExhausted" in names:
        account, _ = batch.positions[batch.orders[last].position]
        batch.accounts[account] = (batch.accounts[account][0], NOTHING_SIGNED)
    batch.edit_order(last, **changes)
    table = [ORDERS] if names[0] == "IndexOutOfRange" else []
    exchange.refuse(batch, names[0], *table, last, forms=[PACKED])


def test_leaf_that_does_not_exist_comes_before_a_stale_nonce(exchange, maker, taker):
    buy = exchange.order(taker, BUY)
    exchange.settle_fills((exchange.order(maker, SELL, nonce=nonce(0, 5)), buy, 1))
    batch = exchange.batch([(exchange.order(maker, SELL, nonce=nonce(0, 4)), buy, 1)])
    stale = next(i for i, entry in enumerate(batch.orders) if entry.side == SELL)
    exchange.refuse(batch, "StaleNonce", stale)
    batch.edit_order(stale, leaf=1)
    exchange.refuse(batch, "IndexOutOfRange", ORDERS, stale)


@pytest.mark.parametrize("leaf", [0, 1])
def test_conversion_limit_beyond_its_table_comes_before_the_order(exchange, batch, leaf):
    batch.orders[1], batch.orders[2] = batch.orders[2], batch.orders[1]
    batch.edit_order(2, conversion_limit=1, leaf=leaf)
    batch.limits = []
    exchange.refuse(batch, "IndexOutOfRange", ORDERS, 2, forms=[PACKED])
