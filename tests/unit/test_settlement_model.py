"""The pure model of `Engine.settleBatch` against hand-computed numbers and its own invariants.

That it equals the contract is shown by tests/functional/test_differential.py.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offchain.chain import eip712
from offchain.chain.batch import build_batch, decode, encode
from offchain.domain.batch import Batch, GroupEntry, MarketEntry, SettlementError
from offchain.domain.derivatives import DerivativeRules
from offchain.domain.ids import fill_id
from offchain.domain.ledger import Halt, KeyState, LedgerState, MarketRules
from offchain.domain.market import USDC, Market, MarketStatus
from offchain.domain.order import LAST_SEQUENCE, Order, Side, TimeInForce
from offchain.domain.settlement import earliest_match
from offchain.ports import ItemRow
from tests.utils.mutator import Mutator
from tests.utils.products import rules_of
from tests.utils.settlement import BatchFactory, settle_model
from tests.utils.signing import Trader, create_item, create_order, create_order_row

ENGINE = b"\xee" * 20
DOMAIN = eip712.Domain(31337, ENGINE)
BTC, ETH = 1, 3
BTC_USDC = Market(2, "BTC-USDC", 0, BTC, BTC, USDC, 8, 100_000, 1_000, 10**13, 10**9)
ETH_USDC = Market(4, "ETH-USDC", 0, ETH, ETH, USDC, 18, 10_000, 10**15, 10**12, 10**9)
MARKETS = {market.id: market for market in (BTC_USDC, ETH_USDC)}
PRICE = 500_003
"""Micro-USDC per lot; a tick is 1."""
NOW = 1_700_000_000
MAKER, TAKER, THIRD = (Trader.named(role) for role in ("maker", "taker", "third"))
BUY, SELL = Side.BUY, Side.SELL
GTC, GTD, IOC, FOK = TimeInForce


def create_state(fee_bps: int = 50) -> LedgerState:
    """Three accounts with a million USDC, 100 BTC and 1,000 ETH each."""
    state = LedgerState(ENGINE, fee_bps, number=6, matched_at=NOW - 100)
    state.markets = {market.id: rules_of(market) for market in MARKETS.values()}
    for trader in (MAKER, TAKER, THIRD):
        state.usdc[trader.address] = 10**12
        state.base[trader.address, BTC] = 100 * 10**8
        state.base[trader.address, ETH] = 1_000 * 10**18
    return state


@pytest.fixture
def state() -> LedgerState:
    return create_state()


def order(trader: Trader, side: int, quantity: int, price: int = PRICE, **changes: object) -> Order:
    if changes.get("time_in_force", GTC) != GTC:
        changes = {"expiry": NOW + 60} | changes
    return create_order(trader, BTC_USDC, side, price, quantity, **changes)


def create_batch(*fills: tuple[Order, Order, int], number: int = 7, matched_at: int = NOW) -> Batch:
    """Of (maker, taker, lots) in match order."""
    owners = {trader.address: trader for trader in (MAKER, TAKER, THIRD)}
    items: list[ItemRow] = []
    for maker, taker, quantity in fills:
        rows = [create_order_row(owners[each.account], each, DOMAIN) for each in (maker, taker)]
        items.append(create_item(len(items) + 1, rows[0], rows[1], quantity))
    return build_batch(number, matched_at, items, MARKETS)


def key_states(state: LedgerState, batch: Batch) -> dict[tuple[bytes, int], tuple[int, int]]:
    result = settle_model(state, batch, NOW, DOMAIN)
    return {(account, key): (kept.sequence, kept.filled) for (account, _, key), kept in result.keys.items()}


# ---------------------------------------------------------------------------------------------------------------------
# Money
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("taker_side", [BUY, SELL])
def test_a_fill_moves_notional_base_and_fees(state: LedgerState, taker_side: Side) -> None:
    worse = 1 if taker_side == BUY else -1
    maker, taker = order(MAKER, 1 - taker_side, 10), order(TAKER, taker_side, 10, PRICE + worse)
    result = settle_model(state, create_batch((maker, taker, 7)), NOW, DOMAIN)
    buyer, seller = (TAKER, MAKER) if taker_side == BUY else (MAKER, TAKER)
    notional = 7 * PRICE
    fee = 17_500  # 3,500,021 * 50 / 10,000 = 17,500.105
    assert result.usdc[buyer.address] == 10**12 - notional - fee
    assert result.usdc[seller.address] == 10**12 + notional - fee
    assert result.usdc[ENGINE] == 2 * fee
    assert result.base[buyer.address, BTC] == 100 * 10**8 + 7_000
    assert result.base[seller.address, BTC] == 100 * 10**8 - 7_000


def test_fees_round_down_per_fill(state: LedgerState) -> None:
    # 199 * 50 / 10,000 = 0.995: two fills pay nothing, where their sum would pay 1.
    maker, taker = order(MAKER, SELL, 2, price=199), order(TAKER, BUY, 2, price=199)
    result = settle_model(state, create_batch((maker, taker, 1), (maker, taker, 1)), NOW, DOMAIN)
    assert result.usdc[ENGINE] == 0


def test_the_state_is_not_changed_until_it_is_applied(state: LedgerState) -> None:
    before = copy.deepcopy(state)
    result = settle_model(state, create_batch((order(MAKER, SELL, 1), order(TAKER, BUY, 1), 1)), NOW, DOMAIN)
    assert state == before
    state.apply(result)
    assert (state.number, state.matched_at) == (7, NOW)
    assert state.base[TAKER.address, BTC] == 100 * 10**8 + 1_000


def test_balances_net_over_the_batch(state: LedgerState) -> None:
    """What an account buys in a batch it may sell in the same batch, even before."""
    state.base[TAKER.address, BTC] = 0
    sell = (order(THIRD, BUY, 5), order(TAKER, SELL, 5, key=1), 5)
    buy = (order(MAKER, SELL, 5), order(TAKER, BUY, 5, key=2), 5)
    assert settle_model(state, create_batch(sell, buy), NOW, DOMAIN).base[TAKER.address, BTC] == 0


# ---------------------------------------------------------------------------------------------------------------------
# Orders
# ---------------------------------------------------------------------------------------------------------------------


def test_fill_ids_chain_the_filled_quantities(state: LedgerState) -> None:
    maker, first, second = order(MAKER, SELL, 10), order(TAKER, BUY, 4, key=1), order(TAKER, BUY, 6, key=2)
    state.keys[MAKER.address, BTC, 0] = KeyState(sequence=1, filled=2)
    result = settle_model(state, create_batch((maker, first, 4), (maker, second, 3)), NOW, DOMAIN)
    maker_hash, first_hash, second_hash = map(eip712.order_hash, (maker, first, second))
    assert result.fill_ids == (fill_id(maker_hash, first_hash, 2, 0), fill_id(maker_hash, second_hash, 6, 0))
    assert result.keys[MAKER.address, BTC, 0] == KeyState(1, 9)


def test_several_sequences_of_a_key_leave_the_last(state: LedgerState) -> None:
    old, new = order(MAKER, SELL, 9, key=3, sequence=4), order(MAKER, SELL, 9, key=3, sequence=6)
    taker = order(TAKER, BUY, 9)
    assert key_states(state, create_batch((old, taker, 2), (new, taker, 3)))[MAKER.address, 3] == (6, 3)


@pytest.mark.parametrize("tif", [IOC, FOK])
def test_an_immediate_order_leaves_its_successor_empty(state: LedgerState, tif: TimeInForce) -> None:
    taker = order(TAKER, BUY, 3, key=3, sequence=4, time_in_force=tif)
    batch = create_batch((order(MAKER, SELL, 9), taker, 3))
    assert key_states(state, batch)[TAKER.address, 3] == (5, 0)


def test_the_successor_of_an_immediate_order_keeps_its_fills(state: LedgerState) -> None:
    ioc = order(TAKER, BUY, 3, key=3, sequence=4, time_in_force=IOC)
    successor = order(TAKER, BUY, 3, key=3, sequence=5)
    batch = create_batch((order(MAKER, SELL, 9), ioc, 3), (order(MAKER, SELL, 9), successor, 2))
    assert key_states(state, batch)[TAKER.address, 3] == (5, 2)


def test_an_order_without_a_fill_changes_nothing(state: LedgerState) -> None:
    batch = create_batch(
        (order(MAKER, SELL, 9), order(TAKER, BUY, 1), 1), (order(THIRD, SELL, 9), order(TAKER, BUY, 2, key=1), 2)
    )
    batch = replace(batch, fills=batch.fills[:1])
    assert (THIRD.address, 0) not in key_states(state, batch)


# ---------------------------------------------------------------------------------------------------------------------
# Refusals, one for each error
# ---------------------------------------------------------------------------------------------------------------------


def simple(**changes: object) -> Batch:
    """One fill of a maker's sell order (`changes`) by a taker's."""
    return create_batch((order(MAKER, SELL, 10, **changes), order(TAKER, BUY, 10), 5))


def edit(batch: Batch, table: str, index: int, **changes: object) -> Batch:
    entries = list(getattr(batch, table))
    entries[index] = replace(entries[index], **changes)
    return replace(batch, **{table: tuple(entries)})


def maker_of(batch: Batch) -> int:
    return batch.fills[0].maker


def with_groups(batch: Batch, **changes: object) -> Batch:
    return replace(batch, groups=(GroupEntry(batch.groups[0].signature, 1), *batch.groups))


TOO_MANY = [(order(MAKER, SELL, 1, key=key), order(TAKER, BUY, 999, time_in_force=IOC), 1) for key in range(257)]
MAKER_SELLS, TAKER_BUYS = order(MAKER, SELL, 10), order(TAKER, BUY, 10)
IOC_BUY = order(TAKER, BUY, 10, key=1, time_in_force=IOC)
FOK_BUY = order(TAKER, BUY, 10, key=1, time_in_force=FOK)
OLD, NEW = order(MAKER, SELL, 10, sequence=1), order(MAKER, SELL, 10, sequence=2)

REFUSALS: dict[str, tuple[Callable[[], Batch], tuple[int, ...]]] = {
    "EmptyBatch": (lambda: replace(simple(), fills=()), ()),
    "WrongBatchNumber": (lambda: replace(simple(), number=8), (7, 8)),
    "MatchedAtOutOfRange": (lambda: replace(simple(), matched_at=NOW + 1), (NOW + 1, NOW - 100, NOW)),
    "UnsortedAccounts": (lambda: replace(simple(), accounts=simple().accounts[::-1]), (1,)),
    "UnsortedMarkets": (lambda: replace(simple(), markets=(MarketEntry(2), MarketEntry(2))), (1,)),
    "UnknownMarket": (lambda: replace(simple(), markets=(MarketEntry(2), MarketEntry(9))), (1,)),
    "UnsortedPositions": (lambda: replace(simple(), positions=simple().positions[::-1]), (1,)),
    "IndexOutOfRange": (lambda: edit(simple(), "positions", 1, account=2), (0, 1)),
    "InvalidLeafCount": (lambda: edit(simple(), "groups", 1, leaf_count=11), (1,)),
    "UnsortedOrders": (lambda: edit(simple(), "orders", 1, position=0), (1,)),
    "InvalidFlags": (lambda: edit(simple(), "orders", 1, time_in_force=4), (1,)),
    "InstrumentMismatch": (lambda: edit(simple(), "positions", 1, instrument=ETH), (1,)),
    "ReduceOnlySpot": (lambda: edit(simple(), "orders", 1, reduce_only=True), (1,)),
    "UnexpectedConversionLimit": (lambda: edit(simple(), "orders", 1, conversion_limit=0), (1,)),
    "InvalidPrice": (lambda: edit(simple(), "orders", 1, price=0), (1,)),
    "InvalidQuantity": (lambda: edit(simple(), "orders", 1, quantity=10**9 + 1), (1,)),
    "InvalidExpiry": (lambda: edit(simple(), "orders", 1, expiry=5), (1,)),
    "OrderExpired": (lambda: edit(simple(), "orders", 1, time_in_force=1, expiry=NOW - 1), (1,)),
    "SequenceExhausted": (lambda: edit(simple(), "orders", 1, nonce=LAST_SEQUENCE), (1,)),
    "FeeAboveCap": (lambda: edit(simple(), "orders", 1, max_fee_bps=49), (1,)),
    "StaleNonce": (lambda: edit(simple(), "orders", 1, nonce=0), (1,)),
    "LeafSetTwice": (lambda: edit(simple(), "orders", 1, group=0), (1,)),
    "InvalidSignature": (lambda: edit(simple(), "orders", 1, price=PRICE + 1), (1,)),
    "LeafNotSet": (lambda: replace(simple(), groups=(*simple().groups, simple().groups[0])), (2,)),
    "ZeroQuantity": (lambda: edit(simple(), "fills", 0, quantity=0), (0,)),
    "SameSide": (lambda: create_batch((order(MAKER, BUY, 10), TAKER_BUYS, 1)), (0,)),
    "SelfTrade": (lambda: create_batch((order(TAKER, SELL, 10, key=1), TAKER_BUYS, 1)), (0,)),
    "MakerNotResting": (lambda: simple(time_in_force=IOC), (0,)),
    "GroupClosed": (
        lambda: create_batch((MAKER_SELLS, IOC_BUY, 1), (MAKER_SELLS, TAKER_BUYS, 1), (MAKER_SELLS, IOC_BUY, 1)),
        (2,),
    ),
    "GroupTooLarge": (lambda: create_batch(*TOO_MANY), (256,)),
    "Superseded": (lambda: create_batch((NEW, TAKER_BUYS, 1), (OLD, TAKER_BUYS, 1)), (1,)),
    "NotCrossing": (lambda: create_batch((MAKER_SELLS, order(TAKER, BUY, 10, PRICE - 1), 1)), (0,)),
    "FokIncomplete": (lambda: create_batch((MAKER_SELLS, FOK_BUY, 9)), None),  # type: ignore[dict-item]
    "Overfill": (lambda: edit(simple(), "fills", 0, quantity=11), None),  # type: ignore[dict-item]
}


@pytest.mark.parametrize("error", REFUSALS)
def test_each_error_with_its_arguments(state: LedgerState, error: str) -> None:
    state.keys[min(MAKER.address, TAKER.address), BTC, 0] = KeyState()
    create, arguments = REFUSALS[error]
    batch = create()
    if error == "StaleNonce":
        owner = batch.accounts[batch.positions[1].account].account
        state.keys[owner, BTC, 0] = KeyState(sequence=1)
    if error == "FokIncomplete":
        arguments = (batch.fills[0].taker,)
    if error == "Overfill":
        arguments = (0, batch.fills[0].maker)
    with pytest.raises(SettlementError) as caught:
        settle_model(state, batch, NOW, DOMAIN)
    assert (caught.value.name, caught.value.arguments) == (error, arguments)


def test_fills_of_different_markets(state: LedgerState) -> None:
    eth = create_order(MAKER, ETH_USDC, SELL, 1_000, 5)
    batch = create_batch((MAKER_SELLS, TAKER_BUYS, 1), (eth, create_order(TAKER, ETH_USDC, BUY, 1_000, 5), 1))
    batch = edit(batch, "fills", 0, maker=batch.fills[1].maker)
    with pytest.raises(SettlementError, match=r"MarketMismatch\(0\)"):
        settle_model(state, batch, NOW, DOMAIN)


@pytest.mark.parametrize(
    ("error", "change"),
    [
        ("EngineHalted", lambda state: setattr(state, "halt", Halt(NOW - 5, NOW + 5))),
        ("MarketNotActive", lambda state: _change_market(state, status=MarketStatus.PAUSED, status_at=NOW - 1)),
        ("BalanceTooLow", lambda state: state.base.update({(MAKER.address, BTC): 4_999})),
        ("BalanceOverflow", lambda state: state.base.update({(TAKER.address, BTC): 2**128 - 5_000})),
        ("StaleEpoch", lambda state: state.epochs.update({TAKER.address: 1})),
        ("InsufficientBalance", lambda state: state.usdc.update({TAKER.address: 5 * PRICE + 5 * PRICE // 200 - 1})),
        ("SharesOverflow", lambda state: state.usdc.update({MAKER.address: 2**128 - 1})),
    ],
)
def test_errors_that_depend_on_the_ledger(
    state: LedgerState, error: str, change: Callable[[LedgerState], object]
) -> None:
    settle_model(state, simple(), NOW, DOMAIN)
    change(state)
    with pytest.raises(SettlementError) as caught:
        settle_model(state, simple(), NOW, DOMAIN)
    assert caught.value.name == error


def _change_market(state: LedgerState, **changes: int) -> None:
    state.markets[2] = replace(state.markets[2], **changes)


def test_a_paused_market_settles_what_was_matched_before(state: LedgerState) -> None:
    _change_market(state, status=MarketStatus.CLOSED, status_at=NOW)
    settle_model(state, simple(), NOW, DOMAIN)


@pytest.mark.parametrize(
    ("halt", "earliest"),
    [
        (None, NOW - 1_800),
        (Halt(NOW - 600, NOW - 500), NOW - 1_900),
        (Halt(NOW - 1_900, NOW - 1_800), NOW - 1_900),
        (Halt(NOW - 1_950, NOW - 1_801), NOW - 1_800),
    ],
)
def test_the_window_does_not_count_a_halt(halt: Halt | None, earliest: int) -> None:
    assert earliest_match(NOW, halt) == earliest


def test_the_registrys_words_unpack() -> None:
    word = 7 << 224 | 1 << 216 | 2 << 208 | 3 << 168 | 4 << 112 | 5 << 72 | 6 << 40 | 8 << 16 | 2 << 8
    margins = 1_000 << 240 | 500 << 224 | 400 << 208 | 100 << 192 | 300 << 176
    terms = margins | 50_000 << 160 | 1_800_000_000 << 120 | 70 << 64 | 90 << 8 | 1
    derivative = DerivativeRules(1_000, 500, 400, 100, 300, 50_000, 1_800_000_000, 70, 90, True)
    expected = MarketRules(7, 1, 2, 3, 4, 5, 6, 800, 18, derivative=derivative)
    assert MarketRules.from_word(word | 18, terms) == expected
    spot = MarketRules.from_word(word & ~(255 << 216) | 1 << 7 | 8)
    assert (spot.is_cross_quoted, spot.base_decimals, spot.derivative) == (True, 8, None)


# ---------------------------------------------------------------------------------------------------------------------
# Random batches
# ---------------------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32).map(Random), st.integers(1, 6), st.sampled_from([0, 7, 50]))
def test_random_batches_conserve_everything_and_survive_the_packed_form(
    random: Random, groups: int, fee_bps: int
) -> None:
    state = create_state(fee_bps)
    factory = BatchFactory(DOMAIN, state, (MAKER, TAKER, THIRD), MARKETS, random)
    for _ in range(3):
        batch = factory.create_batch(NOW, groups)
        assert decode(encode(batch)) == batch
        before = (sum(state.usdc.values()), *(_total(state, instrument) for instrument in (BTC, ETH)))
        result = settle_model(state, batch, NOW, DOMAIN)
        assert len(set(result.fill_ids)) == len(batch.fills)
        state.apply(result)
        assert before == (sum(state.usdc.values()), *(_total(state, instrument) for instrument in (BTC, ETH)))


def _total(state: LedgerState, instrument: int) -> int:
    return sum(balance for (_, held), balance in state.base.items() if held == instrument)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32).map(Random))
def test_mutated_batches_survive_the_packed_form(random: Random) -> None:
    state = create_state()
    batch = BatchFactory(DOMAIN, state, (MAKER, TAKER, THIRD), MARKETS, random).create_batch(NOW, 2)
    mutated = Mutator(DOMAIN, (MAKER, TAKER, THIRD), MARKETS, random).mutate(batch, NOW)
    assert decode(encode(mutated)) == mutated
