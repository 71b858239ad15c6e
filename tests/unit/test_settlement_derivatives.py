"""The model of settlement beyond plain spot, against hand-computed numbers: one case for each rule and each refusal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from offchain.chain import eip712
from offchain.chain.batch import build_batch
from offchain.domain.batch import (
    NO_GROUP,
    NOTHING_SIGNED,
    RESERVED_KEY,
    Batch,
    GroupEntry,
    MarketEntry,
    SettlementError,
)
from offchain.domain.clearing import PositionState
from offchain.domain.ledger import FUND, ClearingMarket, ClearingStatus, LedgerState
from offchain.domain.oracle import PriceFeed, Round
from offchain.domain.order import Order, Side, TimeInForce
from offchain.ports import ItemRow, OrderRow
from tests.utils.products import (
    BTC_CALL,
    BTC_FUTURE,
    BTC_PERP,
    BTC_PRICE,
    BTC_USDC,
    CLEARINGHOUSE,
    DOMAIN,
    ENGINE,
    ETH,
    ETH_BTC,
    MARKETS,
    MAX_AGE,
    NOW,
    create_ledger,
)
from tests.utils.settlement import settle_model
from tests.utils.signing import Trader, create_array_rows, create_item, create_order, create_order_row

MAKER, TAKER, THIRD, DELEGATE = (Trader.named(role) for role in ("maker", "taker", "third", "delegate"))
OWNERS = {trader.address: trader for trader in (MAKER, TAKER, THIRD)}
BUY, SELL = Side.BUY, Side.SELL
INDEX = 500_000
"""micro-USDC per lot at BTC_PRICE"""
RATE = 50_000 * 10**6
FUNDS = 10**15


@pytest.fixture
def state() -> LedgerState:
    return create_ledger((MAKER, TAKER, THIRD))


def order(
    trader: Trader, side: int, quantity: int, market: int = BTC_PERP, price: int = INDEX, **changes: object
) -> Order:
    return create_order(trader, market, side, price, quantity, **changes)


def row(each: Order, signer: Trader | None = None) -> OrderRow:
    return create_order_row(signer or OWNERS[each.account], each, DOMAIN)


def forced(
    trader: Trader, side: int, quantity: int, price: int = INDEX, market: int = BTC_PERP, **changes: object
) -> OrderRow:
    """The protocol's own order for an account."""
    terms: dict[str, object] = {
        "time_in_force": TimeInForce.IOC,
        "expiry": NOW + 60,
        "reduce_only": True,
        "epoch": NOTHING_SIGNED,
        "key": RESERVED_KEY,
        "max_fee_bps": 0,
    }
    signed = create_order_row(trader, order(trader, side, quantity, market, price, **(terms | changes)), DOMAIN)
    return msgspec.structs.replace(signed, signature=b"", forced=True)


def batch_of(*fills: tuple[Order | OrderRow, Order | OrderRow, int], rounds: dict[int, int] | None = None) -> Batch:
    """Of (maker, taker, lots) in match order."""
    items: list[ItemRow] = []
    for maker, taker, quantity in fills:
        rows = [each if isinstance(each, OrderRow) else row(each) for each in (maker, taker)]
        items.append(create_item(len(items) + 1, rows[0], rows[1], quantity))
    return build_batch(7, NOW, items, MARKETS, rounds)


def settled(state: LedgerState, batch: Batch) -> LedgerState:
    state.apply(settle_model(state, replace(batch, number=state.number + 1), NOW, DOMAIN))
    return state


def assert_refused(state: LedgerState, batch: Batch, name: str, *arguments: int) -> None:
    with pytest.raises(SettlementError) as caught:
        settle_model(state, batch, NOW, DOMAIN)
    assert (caught.value.name, caught.value.arguments) == (name, arguments)


def edit(batch: Batch, table: str, index: int, **changes: object) -> Batch:
    entries = list(getattr(batch, table))
    entries[index] = replace(entries[index], **changes)
    return replace(batch, **{table: tuple(entries)})


def long_and_short(state: LedgerState, quantity: int = 10, market: int = BTC_PERP) -> LedgerState:
    """MAKER is short, TAKER long, opened at the index, and both pay the initial margin."""
    maker, taker = order(MAKER, SELL, quantity, market), order(TAKER, BUY, quantity, market)
    return settled(state, batch_of((maker, taker, quantity)))


def index_moves_to(state: LedgerState, percent: int) -> None:
    price = BTC_PRICE * percent // 100
    feed = PriceFeed((*state.feeds[BTC_PERP].rounds, Round(2, price, NOW - 100)), MAX_AGE)
    state.feeds |= {BTC_PERP: feed, BTC_FUTURE: feed}


# ---------------------------------------------------------------------------------------------------------------------
# Cross-quoted markets
# ---------------------------------------------------------------------------------------------------------------------

ROUND = {ETH_BTC: 1}
PRICE = 50_001_000
"""10^-12 BTC per lot of 0.001 ETH: 2.50005 USDC at the rate"""


def cross(buyer_limit: int = RATE, seller_limit: int = RATE, rounds: dict[int, int] | None = None) -> Batch:
    maker = order(MAKER, SELL, 10, ETH_BTC, PRICE, conversion_limit=seller_limit)
    taker = order(TAKER, BUY, 10, ETH_BTC, PRICE, conversion_limit=buyer_limit)
    return batch_of((maker, taker, 7), rounds=ROUND if rounds is None else rounds)


def test_a_cross_quoted_fill_is_paid_at_the_rate(state: LedgerState) -> None:
    state = settled(state, cross())
    notional = 17_500_350  # 7 * 50,001,000 * 5e10 / 1e12
    fee = 87_501  # floor of 87,501.75
    assert state.usdc[TAKER.address] == FUNDS - notional - fee
    assert state.usdc[MAKER.address] == FUNDS + notional - fee
    assert state.base[TAKER.address, ETH] == 10**27 + 7 * 10**15
    assert state.fees_paid == {MAKER.address: fee, TAKER.address: fee}


@pytest.mark.parametrize(
    ("batch", "error", "arguments"),
    [
        (lambda: cross(rounds={}), "RoundMissing", (0,)),
        (lambda: cross(rounds={ETH_BTC: 2}), "WrongRound", (2, NOW)),
        (lambda: cross(buyer_limit=0), "ConversionLimitMissing", None),
        (lambda: cross(buyer_limit=RATE - 1), "ConversionLimitExceeded", None),
        (lambda: cross(seller_limit=RATE + 1), "ConversionLimitExceeded", None),
        (lambda: replace(cross(), unused_limits=(1,)), "LimitNotUsed", (2,)),
        (lambda: edit(cross(), "orders", 1, conversion_limit=-1), "IndexOutOfRange", (2, 1)),
    ],
)
def test_what_a_cross_quoted_market_refuses(
    state: LedgerState, batch: Callable[[], Batch], error: str, arguments: tuple[int, ...] | None
) -> None:
    made = batch()
    if arguments is None:
        seller_at_fault = made.orders[made.fills[0].maker].conversion_limit == RATE + 1
        arguments = (made.fills[0].maker if seller_at_fault else made.fills[0].taker,)
    assert_refused(state, made, error, *arguments)


@pytest.mark.parametrize("price", [10**12 - 1, 2**64 * 10**12])
def test_a_rate_must_fit(state: LedgerState, price: int) -> None:
    state.feeds[ETH_BTC] = PriceFeed((Round(1, price, NOW - 5),), MAX_AGE)
    assert_refused(state, cross(), "RateOutOfRange", 0)


def test_plain_spot_takes_neither_round_nor_limit(state: LedgerState) -> None:
    batch = batch_of((order(MAKER, SELL, 5, BTC_USDC), order(TAKER, BUY, 5, BTC_USDC), 5))
    assert_refused(state, replace(batch, markets=(MarketEntry(BTC_USDC, 1),)), "UnexpectedRound", 0)
    assert_refused(state, edit(batch, "orders", 1, conversion_limit=5), "UnexpectedConversionLimit", 1)
    assert_refused(state, edit(batch, "orders", 1, reduce_only=True), "ReduceOnlySpot", 1)


# ---------------------------------------------------------------------------------------------------------------------
# Arrays and delegates
# ---------------------------------------------------------------------------------------------------------------------


def test_one_signature_covers_an_array(state: LedgerState) -> None:
    first, _, third = create_array_rows(MAKER, [order(MAKER, SELL, 9, key=key) for key in (3, 4, 5)], DOMAIN)
    taker = order(TAKER, BUY, 9)
    batch = batch_of((first, taker, 2), (third, taker, 3))
    assert len(batch.absent) == 1
    state = settled(state, batch)
    assert state.positions[MAKER.address, BTC_PERP].size == -5


def _array_batch() -> tuple[Batch, int]:
    """An array of three leaves, of which one is absent, and the group's index."""
    rows = create_array_rows(MAKER, [order(MAKER, SELL, 9, key=key) for key in (3, 4, 5)], DOMAIN)
    taker = order(TAKER, BUY, 9)
    batch = batch_of((rows[0], taker, 2), (rows[2], taker, 3))
    return batch, next(index for index, group in enumerate(batch.groups) if group.leaf_count == 3)


@pytest.mark.parametrize("mask", [0b111, 0b1000, 0b1010, 2**16 - 1])
def test_a_mask_names_some_of_the_leaves(state: LedgerState, mask: int) -> None:
    batch, group = _array_batch()
    assert_refused(state, edit(batch, "groups", group, absent_mask=mask), "InvalidAbsentMask", group)


def test_the_absent_hashes_are_all_there_and_all_used(state: LedgerState) -> None:
    batch, group = _array_batch()
    assert_refused(state, replace(batch, absent=()), "IndexOutOfRange", 1, group)
    assert_refused(state, replace(batch, absent=(*batch.absent, bytes(32))), "AbsentNotUsed", 1)
    assert_refused(state, replace(batch, absent=(bytes(32),)), "InvalidSignature", group)


def test_leaves_are_set_once(state: LedgerState) -> None:
    batch, group = _array_batch()
    members = [index for index, entry in enumerate(batch.orders) if entry.group == group]
    assert_refused(state, edit(batch, "orders", members[1], leaf=0), "LeafSetTwice", members[1])
    assert_refused(state, edit(batch, "orders", members[1], leaf=1), "LeafSetTwice", members[1])
    assert_refused(state, edit(batch, "groups", group, leaf_count=4), "LeafNotSet", group)


def test_an_array_is_of_one_account(state: LedgerState) -> None:
    batch, group = _array_batch()
    taker = next(index for index, entry in enumerate(batch.orders) if entry.group != group)
    moved = edit(edit(batch, "orders", taker, group=group, leaf=1), "groups", group, absent_mask=0)
    later = max(taker, min(index for index, entry in enumerate(batch.orders) if entry.group == group))
    assert_refused(state, replace(moved, absent=()), "GroupAccountMismatch", later)


def test_a_delegate_signs_until_its_time(state: LedgerState) -> None:
    maker = row(order(MAKER, SELL, 5), DELEGATE)
    batch = batch_of((maker, order(TAKER, BUY, 5), 5))
    group = next(index for index, each in enumerate(batch.groups) if each == GroupEntry(maker.signature, 1))
    assert_refused(state, batch, "InvalidSignature", group)
    state.delegates = {(TAKER.address, DELEGATE.address): NOW + 1, (MAKER.address, DELEGATE.address): NOW - 1}
    assert_refused(state, batch, "InvalidSignature", group)
    state.delegates[MAKER.address, DELEGATE.address] = NOW
    settled(state, batch)


# ---------------------------------------------------------------------------------------------------------------------
# Perpetuals and futures
# ---------------------------------------------------------------------------------------------------------------------


def test_both_sides_pay_margin_and_fee_into_pool_and_engine(state: LedgerState) -> None:
    state = long_and_short(state)
    margin, fee = 500_000, 25_000  # 10 % and 50 bps of 10 * 500,000
    for trader, size in ((MAKER, -10), (TAKER, 10)):
        assert state.usdc[trader.address] == FUNDS - margin - fee
        assert state.positions[trader.address, BTC_PERP] == PositionState(size, margin - size * INDEX)
    assert state.clearing[BTC_PERP].pool == state.usdc[CLEARINGHOUSE] == 2 * margin
    assert state.usdc[ENGINE] == 2 * fee


def test_closing_at_the_same_price_returns_all_but_the_fees(state: LedgerState) -> None:
    state = long_and_short(state)
    back = batch_of((order(TAKER, SELL, 10, key=1), order(MAKER, BUY, 10, key=1), 10))
    state = settled(state, back)
    assert state.usdc[MAKER.address] == state.usdc[TAKER.address] == FUNDS - 2 * 25_000
    assert state.clearing[BTC_PERP].pool == 0


def test_an_exit_request_ends_with_its_position(state: LedgerState) -> None:
    state = long_and_short(state)
    state.exits[MAKER.address, BTC_PERP] = state.flags[MAKER.address, BTC_PERP] = NOW - 5
    state = settled(state, batch_of((order(TAKER, SELL, 9, key=1), order(MAKER, BUY, 9, key=1), 9)))
    assert state.exits[MAKER.address, BTC_PERP] is not None
    state = settled(state, batch_of((order(TAKER, SELL, 9, key=2), order(MAKER, BUY, 9, key=2), 9)))
    assert state.positions[MAKER.address, BTC_PERP].size == 8
    assert state.exits[MAKER.address, BTC_PERP] is None
    assert state.flags[MAKER.address, BTC_PERP] is None


def test_reduce_only_does_not_grow(state: LedgerState) -> None:
    state = long_and_short(state)
    close = order(TAKER, SELL, 11, key=1, reduce_only=True)
    buyer = order(THIRD, BUY, 11)
    settle_model(state, replace(batch_of((buyer, close, 10)), number=8), NOW, DOMAIN)
    assert_refused(state, replace(batch_of((buyer, close, 11)), number=8), "ReduceOnlyExceeded", 0)


def test_growth_needs_margin_at_the_latest_index(state: LedgerState) -> None:
    batch = batch_of((order(MAKER, SELL, 10), order(TAKER, BUY, 10), 10))
    seller = next(
        i for i, entry in enumerate(batch.positions) if batch.accounts[entry.account].account == MAKER.address
    )
    index_moves_to(state, 104)
    settle_model(state, batch, NOW, DOMAIN)
    index_moves_to(state, 106)  # E = 0.1 - 0.06 of the opening notional, MM = 5 % of 1.06
    assert_refused(state, batch, "Undermargined", seller)


def test_a_pool_pays_no_more_than_it_holds(state: LedgerState) -> None:
    state = long_and_short(state)
    index_moves_to(state, 130)
    # The long closes at a profit of three initial margins against a newcomer, whose margin does not suffice.
    batch = batch_of((order(THIRD, BUY, 10, price=650_000), order(TAKER, SELL, 10, key=1, price=650_000), 10))
    assert_refused(state, replace(batch, number=8), "PoolNegative", 0)


@pytest.mark.parametrize(
    ("error", "change"),
    [
        ("ExpiredMarket", lambda state: _rules(state, expiry=NOW)),
        (
            "MarketNotOpen",
            lambda state: state.clearing.update({BTC_FUTURE: ClearingMarket(status=ClearingStatus.EXPIRED)}),
        ),
        ("StalePrice", lambda state: state.feeds.update({BTC_FUTURE: PriceFeed((Round(1, BTC_PRICE, 1),), MAX_AGE)})),
        ("IndexOutOfBounds", lambda state: state.feeds.update({BTC_FUTURE: PriceFeed((Round(1, 1, NOW),), MAX_AGE)})),
        ("SizeOverflow", lambda state: state.positions.update({(TAKER.address, BTC_FUTURE): PositionState(2**63 - 5)})),
        (
            "QuoteOverflow",
            lambda state: state.positions.update({(TAKER.address, BTC_FUTURE): PositionState(9, 5 - 2**95)}),
        ),
    ],
)
def test_what_the_clearinghouse_refuses(
    state: LedgerState, error: str, change: Callable[[LedgerState], object]
) -> None:
    batch = batch_of((order(MAKER, SELL, 10, BTC_FUTURE), order(TAKER, BUY, 10, BTC_FUTURE), 10))
    settle_model(state, batch, NOW, DOMAIN)
    change(state)
    with pytest.raises(SettlementError, match=error):
        settle_model(state, batch, NOW, DOMAIN)


def _rules(state: LedgerState, **changes: int) -> None:
    rules = state.markets[BTC_FUTURE]
    assert rules.derivative is not None
    state.markets[BTC_FUTURE] = replace(rules, derivative=replace(rules.derivative, **changes))


def test_a_dated_market_trades_until_its_expiry(state: LedgerState) -> None:
    _rules(state, expiry=NOW + 1)
    long_and_short(state, market=BTC_FUTURE)


# ---------------------------------------------------------------------------------------------------------------------
# Forced orders
# ---------------------------------------------------------------------------------------------------------------------


def liquidation(price: int, rounds: dict[int, int] | None = None, **changes: object) -> Batch:
    """The long is sold to a newcomer."""
    batch = batch_of(
        (order(THIRD, BUY, 50, price=price), forced(TAKER, SELL, 10, price=price, **changes), 10),
        rounds={BTC_PERP: 2} if rounds is None else rounds,
    )
    return replace(batch, number=8)


def test_a_liquidation_pays_fee_and_penalty_from_what_is_left(state: LedgerState) -> None:
    state = long_and_short(state)
    index_moves_to(state, 94)  # E = 200,000 of 500,000; MM = 235,000
    before = state.usdc[TAKER.address]
    result = settle_model(state, liquidation(470_000), NOW, DOMAIN)
    fee, penalty = 23_500, 47_000  # 50 and 100 bps of 4,700,000
    assert result.usdc[TAKER.address] == before + 200_000 - fee - penalty
    assert result.usdc[FUND] == 10**9 + penalty
    assert result.keys[TAKER.address, BTC_PERP, RESERVED_KEY].sequence == 2


def test_what_a_liquidation_leaves_bounds_fee_and_penalty(state: LedgerState) -> None:
    state = long_and_short(state)
    index_moves_to(state, 93)
    before = state.usdc[TAKER.address]
    result = settle_model(state, liquidation(453_000), NOW, DOMAIN)
    assert result.usdc[TAKER.address] == before  # 30,000 are left: 22,650 of fee, 7,350 of penalty
    assert result.usdc[FUND] == 10**9 + 7_350


@pytest.mark.parametrize(
    ("percent", "price", "error"),
    [
        (96, 480_000, "NotForceable"),
        (94, 455_000, "PriceOutOfBand"),
        (91, 449_000, "NegativeCredit"),
    ],
)
def test_when_a_forced_order_is_refused(state: LedgerState, percent: int, price: int, error: str) -> None:
    state = long_and_short(state)
    index_moves_to(state, percent)
    assert_refused(state, liquidation(price), error, 0)


def test_an_exit_has_a_band_of_its_own_and_no_penalty(state: LedgerState) -> None:
    state = long_and_short(state)
    index_moves_to(state, 100)
    state.exits[TAKER.address, BTC_PERP] = NOW - 5
    before = state.usdc[TAKER.address]
    result = settle_model(state, liquidation(490_000), NOW, DOMAIN)
    assert result.usdc[TAKER.address] == before + 500_000 - 100_000 - 24_500
    assert_refused(state, liquidation(489_999), "PriceOutOfBand", 0)


def test_a_forced_order_needs_its_round_and_a_round_a_forced_order(state: LedgerState) -> None:
    state = long_and_short(state)
    index_moves_to(state, 94)
    assert_refused(state, liquidation(470_000, rounds={}), "RoundMissing", 0)
    assert_refused(state, liquidation(470_000, rounds={BTC_PERP: 1}), "WrongRound", 1, NOW)
    signed = batch_of((order(THIRD, BUY, 5), order(TAKER, SELL, 5, key=1), 5), rounds={BTC_PERP: 2})
    assert_refused(state, replace(signed, number=8), "UnexpectedRound", 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"key": 1},
        {"reduce_only": False},
        {"time_in_force": TimeInForce.FOK},
    ],
)
def test_a_forced_order_has_one_form(state: LedgerState, changes: dict[str, object]) -> None:
    batch = liquidation(470_000, **changes)
    assert_refused(long_and_short(state), batch, "InvalidForced", batch.fills[0].taker)


def test_a_forced_order_has_no_group_and_is_of_no_option(state: LedgerState) -> None:
    state = long_and_short(state)
    batch = liquidation(470_000)
    taker = batch.fills[0].taker
    assert_refused(state, edit(batch, "orders", taker, group=0), "InvalidForced", taker)
    assert batch.orders[taker].group == NO_GROUP
    option = (order(THIRD, BUY, 5, BTC_CALL, 900), forced(TAKER, SELL, 5, 900, BTC_CALL), 5)
    refused = replace(batch_of(option, rounds={BTC_CALL: 1}), number=8)
    assert_refused(state, refused, "InvalidForced", refused.fills[0].taker)


def test_the_key_of_forced_orders_is_reserved_in_derivative_markets(state: LedgerState) -> None:
    maker = order(MAKER, SELL, 5, key=RESERVED_KEY)
    batch = batch_of((maker, order(TAKER, BUY, 5), 5))
    assert_refused(state, batch, "ReservedKey", batch.fills[0].maker)
    spot = batch_of((order(MAKER, SELL, 5, BTC_USDC, key=RESERVED_KEY), order(TAKER, BUY, 5, BTC_USDC), 5))
    settle_model(state, spot, NOW, DOMAIN)


def test_an_account_that_signed_nothing_has_no_signed_order(state: LedgerState) -> None:
    batch = batch_of((order(MAKER, SELL, 5), order(TAKER, BUY, 5), 5))
    index = batch.fills[0].maker
    account = batch.positions[batch.orders[index].position].account
    assert_refused(state, edit(batch, "accounts", account, epoch=NOTHING_SIGNED), "EpochExhausted", index)


# ---------------------------------------------------------------------------------------------------------------------
# Options and fees
# ---------------------------------------------------------------------------------------------------------------------


def test_an_options_premium_goes_to_the_writer_and_its_collateral_to_the_pool(state: LedgerState) -> None:
    state = settled(state, batch_of((order(MAKER, SELL, 4, BTC_CALL, 9_000), order(TAKER, BUY, 4, BTC_CALL, 9_000), 4)))
    premium, fee, collateral = 36_000, 180, 4 * 120_000
    assert state.usdc[TAKER.address] == FUNDS - premium - fee
    assert state.usdc[MAKER.address] == FUNDS + premium - fee - collateral
    assert state.clearing[BTC_CALL].pool == collateral


def test_a_fee_change_counts_from_its_match_time(state: LedgerState) -> None:
    state.next_fee_bps, state.fee_change_at = 10, NOW + 1
    assert settle_model(state, _plain(), NOW, DOMAIN).usdc[ENGINE] == 2 * 12_500
    state.fee_change_at = NOW
    assert settle_model(state, _plain(), NOW, DOMAIN).usdc[ENGINE] == 2 * 2_500


def _plain() -> Batch:
    return batch_of((order(MAKER, SELL, 5, BTC_USDC), order(TAKER, BUY, 5, BTC_USDC), 5))


def test_fees_paid_saturate(state: LedgerState) -> None:
    state.fees_paid[TAKER.address] = 2**56 - 10
    assert settle_model(state, _plain(), NOW, DOMAIN).money.fees_paid[TAKER.address] == 2**56 - 1


def test_the_funds_account_is_nobodys() -> None:
    assert eip712.keccak(b"crosspoint.insurance-fund")[12:] == FUND
