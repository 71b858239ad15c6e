"""Which fills a batch holds, and which item an error is about."""

from __future__ import annotations

import msgspec
import pytest

from offchain.batching import (
    MAX_CLEARED_GROUP_GAS,
    MAX_GROUP_GAS,
    TRANSACTION_GAS_CAP,
    BatchLimits,
    GasEstimate,
    group_ends,
    item_at_fault,
    plan_batch,
)
from offchain.chain.batch import build_batch
from offchain.domain.oracle import Conversion
from offchain.domain.order import Side, TimeInForce
from offchain.ports import Failure, ItemRow, WithdrawalRow
from tests.utils.service import DOMAIN, MARKET, PRICE
from tests.utils.signing import Trader, create_item, create_order, create_order_row

MAKER, TAKER = Trader.named("maker"), Trader.named("taker")
GTC, IOC = TimeInForce.GTC, TimeInForce.IOC


def create_fill(number: int, *, taker_key: int | None = None, tif: TimeInForce = GTC, epoch: int = 0) -> ItemRow:
    """Of a fresh maker order, and of a fresh taker order unless its key is given."""
    maker = create_order(MAKER, MARKET, Side.SELL, PRICE, 10, key=number, epoch=epoch)
    expiry = {"expiry": 10**10} if tif == IOC else {}
    key = 1000 + number if taker_key is None else taker_key
    taker = create_order(TAKER, MARKET, Side.BUY, PRICE, 1000, key=key, time_in_force=tif, **expiry)
    rows = (create_order_row(MAKER, maker, DOMAIN), create_order_row(TAKER, taker, DOMAIN))
    return create_item(number, *rows, 1)


def create_release(number: int) -> ItemRow:
    return ItemRow(number, None, None, None, WithdrawalRow(MAKER.address, 0, 0, 1, "releasing", number, b"", 0))


def numbers(items: tuple[ItemRow, ...]) -> list[int]:
    return [item.item for item in items]


def test_what_is_there_is_planned_and_not_full() -> None:
    plan = plan_batch([create_fill(1), create_fill(2)], BatchLimits(fills=3))
    assert (numbers(plan.items), plan.is_full) == ([1, 2], False)
    assert plan_batch([], BatchLimits()).items == ()


@pytest.mark.parametrize("count", [3, 4])
def test_a_batch_is_full_at_its_limit(count: int) -> None:
    plan = plan_batch([create_fill(number) for number in range(1, count + 1)], BatchLimits(fills=3))
    assert (numbers(plan.items), plan.is_full) == ([1, 2, 3], True)


def test_a_release_ends_a_batch_and_one_before_it_is_passed_over() -> None:
    plan = plan_batch([create_release(1), create_fill(2), create_release(3), create_fill(4)], BatchLimits())
    assert (numbers(plan.items), plan.is_full) == ([2], True)
    assert plan_batch([create_release(1)], BatchLimits()).items == ()


def test_fills_of_one_ioc_are_not_split() -> None:
    fills = [create_fill(1), *(create_fill(number, taker_key=5, tif=IOC) for number in (2, 3, 4)), create_fill(5)]
    assert numbers(plan_batch(fills, BatchLimits(fills=3)).items) == [1]
    assert numbers(plan_batch(fills, BatchLimits(fills=4)).items) == [1, 2, 3, 4]
    assert numbers(plan_batch(fills[1:], BatchLimits(fills=2)).items) == [2, 3, 4]
    assert group_ends(fills) == [1, 4, 5]


def test_fills_of_one_resting_order_may_be_split() -> None:
    fills = [create_fill(number, taker_key=5) for number in (1, 2, 3)]
    assert numbers(plan_batch(fills, BatchLimits(fills=2)).items) == [1, 2]


def test_a_change_of_the_fee_ends_a_batch() -> None:
    fills = [
        create_item(number, fill.maker, fill.taker, 1, time_ms)
        for number, time_ms in ((1, 99_000), (2, 99_999), (3, 100_000))
        if (fill := create_fill(number)).maker is not None and fill.taker is not None
    ]
    for change, expected in ((100, [1, 2]), (99, [1, 2, 3]), (0, [1, 2, 3])):
        plan = plan_batch(fills, BatchLimits(), change)
        assert (numbers(plan.items), plan.is_full) == (expected, change == 100)
    assert numbers(plan_batch(fills[2:], BatchLimits(), 100).items) == [3]


def test_a_change_of_an_epoch_ends_a_batch() -> None:
    fills = [create_fill(1), create_fill(2, epoch=1), create_fill(3, epoch=1)]
    plan = plan_batch(fills, BatchLimits())
    assert (numbers(plan.items), plan.is_full) == ([1], True)
    assert numbers(plan_batch(fills[1:], BatchLimits()).items) == [2, 3]


def test_gas_ends_a_batch() -> None:
    fills = [create_fill(number) for number in range(1, 9)]
    gas = GasEstimate()
    for fill in fills[:5]:
        gas.add(fill)
    assert numbers(plan_batch(fills, BatchLimits(gas=gas.total)).items) == [1, 2, 3, 4, 5]
    assert numbers(plan_batch(fills, BatchLimits(gas=gas.total - 1)).items) == [1, 2, 3, 4]
    assert numbers(plan_batch(fills, BatchLimits(gas=21_000)).items) == [1]


def test_the_estimate_follows_the_cost_model() -> None:
    gas = GasEstimate()
    gas.add(create_fill(2, taker_key=0))
    # two orders of two accounts; the maker's key has a word of its own, the taker's key 0 lies beside the balance
    assert gas.total == 21_000 + 3_300 + 2 * 9_500 + 2 * 5_000 + 3 * 22_100
    gas.add(create_fill(3, taker_key=0))  # key 3 shares the word of key 2
    assert gas.total == 21_000 + 2 * 3_300 + 3 * 9_500 + 2 * 5_000 + 3 * 22_100


def test_the_largest_group_fits_a_transaction() -> None:
    assert MAX_GROUP_GAS <= TRANSACTION_GAS_CAP
    assert MAX_CLEARED_GROUP_GAS <= TRANSACTION_GAS_CAP


def test_the_estimate_of_a_derivative() -> None:
    """Position and key have words of their own, and every market costs a call of the Clearinghouse once."""
    gas = GasEstimate({MARKET.id})
    gas.add(create_fill(2, taker_key=0))
    assert gas.total == 21_000 + 140_000 + 3_300 + 5_000 + 2 * 9_500 + 2 * 5_000 + 4 * 22_100
    gas.add(create_fill(3, taker_key=0))
    assert gas.total == 21_000 + 140_000 + 2 * (3_300 + 5_000) + 3 * 9_500 + 2 * 5_000 + 4 * 22_100


def test_a_change_of_the_rate_ends_a_batch() -> None:
    fills = [
        ItemRow(fill.item, msgspec.structs.replace(fill.trade, conversion=conversion), fill.maker, fill.taker, None)
        for number, conversion in enumerate((None, Conversion(1, 5, 0), Conversion(1, 5, 0), Conversion(2, 5, 0)), 1)
        if (fill := create_fill(number)).trade is not None
    ]
    plan = plan_batch(fills, BatchLimits())
    assert (numbers(plan.items), plan.is_full) == ([1, 2, 3], True)


@pytest.mark.parametrize("limits", [{"fills": 0}, {"fills": 2_001}, {"gas": 20_999}, {"gas": TRANSACTION_GAS_CAP + 1}])
def test_impossible_limits_are_refused(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(limits))):
        BatchLimits(**limits)


@pytest.mark.parametrize(
    ("error", "index", "item"),
    [
        ("Overfill", 2, 3),
        ("SelfTrade", 0, 1),
        ("MarketNotActive", 0, 1),
        ("StaleEpoch", 1, 1),
        ("InvalidSignature", 5, 3),
        ("NotForceable", 1, 2),
        ("PoolNegative", 0, None),
        ("BalanceTooLow", 0, None),
        ("UnsortedOrders", 0, None),
        ("Overfill", 3, None),
    ],
)
def test_errors_name_items(error: str, index: int, item: int | None) -> None:
    items = [create_fill(number) for number in (1, 2, 3)]
    batch = build_batch(1, 0, items, {MARKET.id: MARKET})
    assert item_at_fault(batch, items, Failure(error, (index,), False)) == item


def test_an_order_names_the_first_item_that_it_is_part_of() -> None:
    items = [create_fill(1), create_fill(2, taker_key=7), create_fill(3, taker_key=7)]
    batch = build_batch(1, 0, items, {MARKET.id: MARKET})
    order = next(index for index, entry in enumerate(batch.orders) if entry.key == 7)
    assert item_at_fault(batch, items, Failure("StaleNonce", (order,), False)) == 2
    assert item_at_fault(batch, items, Failure("", (), False)) is None
