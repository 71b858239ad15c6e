"""Options in the core: premium, collateral, reservations, reduce-only orders, what the chain does by others."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offchain.domain.account import option_reservation_up
from offchain.domain.clearing import PositionState, fee_down
from offchain.domain.commands import (
    BatchSettled,
    Bust,
    ClearedPosition,
    ClearingChanged,
    ClearingPayment,
    MarketCreated,
)
from offchain.domain.core import Core
from offchain.domain.errors import Code
from offchain.domain.events import DepositUpdate, OrderUpdate, PositionUpdate, TradeBusted
from offchain.domain.options import apply_option_fill
from offchain.domain.results import Done, PlaceResult
from tests.utils.exchange import BUY, CALL, FOK, IOC, MAKER, OTHER, SELL, TAKER, TICK, USDC, Exchange, digest

C = 30 * TICK
"""collateral per lot"""

OPTION = {"market": CALL.id}
REDUCE = {"market": CALL.id, "reduce_only": True}


@pytest.fixture
def exchange(create_exchange: Callable[..., Exchange]) -> Exchange:
    """With a call, and 10,000 USDC each."""
    exchange = create_exchange()
    exchange.mine(MarketCreated(CALL))
    return exchange


@pytest.fixture
def traded(exchange: Exchange) -> Exchange:
    """The maker is short 10 lots, the taker long, at a premium of 5 ticks."""
    exchange.place(MAKER, SELL, 5, 10, **OPTION)
    exchange.place(TAKER, BUY, 5, 10, **OPTION)
    return exchange


def size(exchange: Exchange, account: bytes) -> int:
    return exchange.holding(account, CALL.id).size


def available(exchange: Exchange, account: bytes) -> int:
    balance = exchange.balance(account, USDC)
    return balance.settled + balance.unsettled - balance.reserved


def code_of(result: PlaceResult) -> str:
    assert result.rejection is not None
    return result.rejection.code


# ---------------------------------------------------------------------------------------------------------------------
# Money
# ---------------------------------------------------------------------------------------------------------------------


def test_premium_goes_to_the_seller_who_locks_collateral(traded: Exchange) -> None:
    premium, fee = 10 * 5 * TICK, fee_down(10 * 5 * TICK, 50)
    assert available(traded, TAKER) == 10**10 - premium - fee
    assert available(traded, MAKER) == 10**10 + premium - fee - 10 * C
    assert (size(traded, MAKER), size(traded, TAKER)) == (-10, 10)
    assert traded.core._state.markets[CALL.id].pool == 10 * C


def test_closing_early_gives_the_collateral_back(traded: Exchange) -> None:
    traded.place(TAKER, SELL, 8, 10, **OPTION)
    traded.place(MAKER, BUY, 8, 10, **OPTION)
    fees = fee_down(10 * 5 * TICK, 50) + fee_down(10 * 8 * TICK, 50)
    assert available(traded, TAKER) == 10**10 + 10 * 3 * TICK - fees
    assert available(traded, MAKER) == 10**10 - 10 * 3 * TICK - fees
    assert (size(traded, MAKER), size(traded, TAKER)) == (0, 0)
    assert traded.core._state.markets[CALL.id].pool == 0
    (taker,) = traded.core.positions(TAKER, traded.now_ms)
    assert (taker.update.realised, taker.unrealised, taker.margin) == (10 * 3 * TICK, 0, 0)


def test_a_position_is_told_with_its_cost(traded: Exchange) -> None:
    told = {update.account: update for update in traded.of(PositionUpdate)}
    assert (told[TAKER].size, told[TAKER].cost, told[TAKER].settled_size) == (10, 50 * TICK, 0)
    assert (told[MAKER].size, told[MAKER].cost, told[MAKER].realised) == (-10, -50 * TICK, 0)
    traded.place(OTHER, BUY, 6, 1, **OPTION)
    traded.place(OTHER, SELL, 8, 1, **OPTION)
    maker, taker = (traded.core.positions(account, traded.now_ms)[0] for account in (MAKER, TAKER))
    assert (maker.mark, maker.unrealised, maker.margin) == (7 * TICK, -20 * TICK, 10 * C)
    assert (taker.mark, taker.unrealised, taker.margin) == (7 * TICK, 20 * TICK, 0)


@pytest.mark.parametrize(
    ("side", "price", "expected"),
    [(BUY, 5, 50 * TICK + 2_500), (SELL, 5, 10 * C - 50 * TICK + 2_500), (SELL, 31, 0)],
)
def test_an_order_reserves_what_opening_costs(exchange: Exchange, side: int, price: int, expected: int) -> None:
    exchange.place(MAKER, side, price, 10, **OPTION)
    assert exchange.balance(MAKER, USDC).reserved == expected


def test_a_taker_pays_what_its_fills_cost(traded: Exchange) -> None:
    """Selling what one has needs no collateral, as a taker."""
    traded.place(OTHER, BUY, 5, 10, **OPTION)
    free = available(traded, TAKER)
    traded.mine(traded.requested(TAKER, USDC, free))
    assert traded.place(TAKER, SELL, 5, 10, tif=IOC, **OPTION).filled == 10


def test_no_collateral_no_sale(exchange: Exchange) -> None:
    lots = 10**10 // C + 1
    assert code_of(exchange.place(MAKER, SELL, 1, 2 * lots, **OPTION)) == Code.INSUFFICIENT_BALANCE
    exchange.place(TAKER, BUY, 1, 2 * lots, **OPTION)
    assert code_of(exchange.place(MAKER, SELL, 1, 2 * lots, tif=IOC, **OPTION)) == Code.INSUFFICIENT_BALANCE


@given(
    side=st.sampled_from([BUY, SELL]),
    price=st.integers(1, 10**7),
    collateral=st.integers(1, 10**7),
    start=st.integers(-50, 50),
    parts=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    fee_bps=st.integers(0, 50),
)
def test_a_reservation_covers_every_way_of_filling(
    side: int, price: int, collateral: int, start: int, parts: list[int], fee_bps: int
) -> None:
    remaining = sum(parts)
    reserved = option_reservation_up(side, price, remaining, collateral, fee_bps)
    position = PositionState(start)
    for quantity in parts:
        effect = apply_option_fill(position, side == BUY, quantity, price, collateral)
        position = effect.position
        remaining -= quantity
        reserved += effect.account - fee_down(quantity * price, fee_bps)
        assert reserved >= option_reservation_up(side, price, remaining, collateral, fee_bps)


# ---------------------------------------------------------------------------------------------------------------------
# Reduce-only
# ---------------------------------------------------------------------------------------------------------------------


def test_there_must_be_something_to_reduce(traded: Exchange) -> None:
    for account, side in ((OTHER, SELL), (TAKER, BUY), (MAKER, SELL)):
        assert code_of(traded.place(account, side, 5, 1, **REDUCE)) == Code.NOTHING_TO_REDUCE


def test_reduce_only_orders_reserve_nothing_and_never_exceed_the_position(traded: Exchange) -> None:
    first = traded.place(TAKER, SELL, 9, 7, **REDUCE)
    second = traded.place(TAKER, SELL, 8, 7, **REDUCE)
    assert (first.quantity, second.quantity) == (7, 3)
    assert traded.balance(TAKER, USDC).reserved == 0
    assert traded.depth(SELL, CALL.id) == [(8, 3), (9, 7)]
    assert code_of(traded.place(TAKER, SELL, 7, 1, **REDUCE)) == Code.NOTHING_TO_REDUCE


def test_they_are_trimmed_worst_price_first_as_the_position_shrinks(traded: Exchange) -> None:
    orders = [traded.place(TAKER, SELL, price, lots, **REDUCE) for price, lots in ((9, 4), (8, 3), (9, 3))]
    traded.place(OTHER, BUY, 6, 5, **OPTION)
    traded.place(TAKER, SELL, 6, 5, **OPTION)
    updates = {update.order_hash: update for update in traded.of(OrderUpdate)}
    assert updates[orders[2].order_hash].code == "reduceOnly"
    assert (updates[orders[0].order_hash].quantity, updates[orders[0].order_hash].status) == (2, "open")
    assert traded.depth(SELL, CALL.id) == [(8, 3), (9, 2)]
    traded.place(OTHER, BUY, 8, 3, **OPTION)
    assert traded.depth(SELL, CALL.id) == [(9, 2)]
    traded.place(OTHER, BUY, 6, 5, **OPTION)
    traded.place(TAKER, SELL, 6, 5, **OPTION)
    assert traded.depth(SELL, CALL.id) == []
    assert size(traded, TAKER) == -3


def test_one_that_takes_is_trimmed_first(traded: Exchange) -> None:
    traded.place(OTHER, BUY, 5, 30, **OPTION)
    result = traded.place(TAKER, SELL, 5, 25, tif=IOC, **REDUCE)
    assert (result.quantity, result.filled, result.status) == (10, 10, "filled")
    assert size(traded, TAKER) == 0


def test_a_fok_cannot_be_trimmed(traded: Exchange) -> None:
    traded.place(OTHER, BUY, 5, 30, **OPTION)
    result = traded.place(TAKER, SELL, 5, 11, tif=FOK, **REDUCE)
    assert (result.filled, result.code) == (0, "fokUnfilled")
    assert traded.place(TAKER, SELL, 5, 10, tif=FOK, **REDUCE).filled == 10


def test_one_whose_release_does_not_cover_it_ends_when_it_is_met(traded: Exchange) -> None:
    """Above the collateral, closing a short costs more than it releases."""
    bid = traded.place(MAKER, BUY, 33, 10, **REDUCE)
    traded.mine(traded.requested(MAKER, USDC, available(traded, MAKER)))
    result = traded.place(TAKER, SELL, 33, 10, tif=IOC, **OPTION)
    assert result.filled == 0
    (update,) = [one for one in traded.of(OrderUpdate) if one.order_hash == bid.order_hash]
    assert update.code == "insufficientBalance"


# ---------------------------------------------------------------------------------------------------------------------
# Admission
# ---------------------------------------------------------------------------------------------------------------------


def test_the_book_closes_half_a_window_before_expiry(exchange: Exchange) -> None:
    closes_ms = (1_800_000_000 - 1_800) * 1000
    exchange.now_ms = closes_ms - 1
    assert exchange.place(MAKER, BUY, 5, 1, **OPTION).status == "open"
    exchange.now_ms = closes_ms
    assert code_of(exchange.place(MAKER, BUY, 5, 1, **OPTION)) == Code.MARKET_NOT_ACTIVE


def test_the_protocols_nonce_key_is_refused(exchange: Exchange) -> None:
    assert code_of(exchange.place(MAKER, BUY, 5, 1, key=2**32 - 1, **OPTION)) == Code.INVALID_NONCE
    assert exchange.place(MAKER, BUY, 100, 1, key=2**32 - 1, sequence=2).status == "open"


# ---------------------------------------------------------------------------------------------------------------------
# The chain
# ---------------------------------------------------------------------------------------------------------------------


def cleared(account: bytes, lots: int) -> ClearedPosition:
    return ClearedPosition(account, CALL.id, lots, 0, 0)


def settled(exchange: Exchange, number: int, **changes: object) -> BatchSettled:
    log = exchange.batch_settled(number, exchange.trades()[number - 1 : number])
    return BatchSettled(log.number, log.matched_at, log.fill_ids, log.tx_hash, log.gas_used, **changes)  # type: ignore[arg-type]


def test_a_settled_batch_moves_what_is_on_chain(traded: Exchange) -> None:
    traded.mine(settled(traded, 1, positions=[cleared(MAKER, -10), cleared(TAKER, 10)], pools=[(CALL.id, 10 * C)]))
    assert traded.core.status().diverged == ""
    assert {update.account: update.settled_size for update in traded.of(PositionUpdate)} == {MAKER: -10, TAKER: 10}
    assert traded.balance(MAKER, USDC).unsettled == 0


@pytest.mark.parametrize(
    "changes", [{"positions": [cleared(MAKER, -9)]}, {"pools": [(CALL.id, 10 * C - 1)]}], ids=["position", "pool"]
)
def test_another_position_on_chain_stops_the_exchange(traded: Exchange, changes: dict[str, object]) -> None:
    traded.mine(settled(traded, 1, **changes))
    assert "expected was" in traded.core.status().diverged


def test_a_rollback_puts_positions_back(traded: Exchange) -> None:
    before = traded.core.snapshot()
    number, _ = traded.head
    traded.mine(settled(traded, 1, positions=[cleared(MAKER, -10), cleared(TAKER, 10)]))
    traded.roll_back(number)
    position = traded.core._state.markets[CALL.id].position(MAKER)
    assert (position.settled.size, position.current.size) == (0, -10)
    assert len(before) == len(traded.core.snapshot())


def test_a_dropped_fill_takes_the_position_back(traded: Exchange) -> None:
    traded.place(TAKER, SELL, 8, 10, **OPTION)
    traded.place(OTHER, BUY, 8, 4, **OPTION)
    resting = traded.place(TAKER, SELL, 9, 3, **REDUCE)
    assert traded.run(Bust([traded.trades()[0].id], "drill")) == Done()
    assert len(traded.of(TradeBusted)) == 1
    # The second fill opens a short now: it locks collateral, and the first one's premium is back.
    assert (size(traded, MAKER), size(traded, TAKER), size(traded, OTHER)) == (0, -4, 4)
    fee = fee_down(32 * TICK, 50)
    assert available(traded, MAKER) == 10**10
    open_sale = option_reservation_up(SELL, 8 * TICK, 6, C, 50)
    assert available(traded, TAKER) == 10**10 + 32 * TICK - fee - 4 * C - open_sale
    assert {one.order_hash: one.code for one in traded.of(OrderUpdate)}[resting.order_hash] == "reduceOnly"
    assert traded.core._state.markets[CALL.id].pool == 4 * C


def test_a_reduce_only_fill_is_dropped_with_the_position_that_it_reduced(traded: Exchange) -> None:
    traded.place(OTHER, BUY, 5, 10, **OPTION)
    traded.place(TAKER, SELL, 5, 4, tif=IOC, **REDUCE)
    traded.place(TAKER, SELL, 5, 4, tif=IOC, **OPTION)
    assert traded.run(Bust([traded.trades()[0].id], "drill")) == Done()
    assert [one.id for one in traded.of(TradeBusted)] == [trade.id for trade in traded.trades()]
    assert [size(traded, account) for account in (MAKER, TAKER, OTHER)] == [0, 0, 0]


def test_expiry_ends_the_market(traded: Exchange) -> None:
    traded.mine(settled(traded, 1, positions=[cleared(MAKER, -10), cleared(TAKER, 10)]))
    traded.place(MAKER, SELL, 7, 3, **OPTION)
    traded.place(OTHER, BUY, 7, 1, **OPTION)
    number, _ = traded.head
    traded.mine(ClearingChanged(digest("expire"), expired=[(CALL.id, 4 * TICK)]))
    assert [one.reason for one in traded.of(TradeBusted)] == ["expired"]
    assert [one.code for one in traded.of(OrderUpdate)] == ["busted", "busted"]
    assert code_of(traded.place(OTHER, BUY, 7, 1, **OPTION)) == Code.MARKET_NOT_ACTIVE
    payments = [ClearingPayment(TAKER, CALL.id, 40 * TICK, 3)]
    before = available(traded, TAKER)
    traded.mine(
        ClearingChanged(digest("close"), [cleared(TAKER, 0)], [(CALL.id, 10 * C - 40 * TICK)], payments=payments)
    )
    assert [one.status for one in traded.of(DepositUpdate)] == ["pending", "credited"]
    assert available(traded, TAKER) == before + 40 * TICK
    (view,) = traded.core.positions(TAKER, traded.now_ms)
    assert (view.update.size, view.update.realised) == (0, 40 * TICK - 50 * TICK)
    traded.roll_back(number)
    assert (size(traded, TAKER), size(traded, MAKER)) == (10, -10)
    assert traded.place(OTHER, BUY, 7, 1, **OPTION).status == "open"


def test_what_others_did_changes_what_is_unsettled(traded: Exchange) -> None:
    """The chain closed the taker's position elsewhere: its sale, matched before, opens a short now."""
    traded.mine(settled(traded, 1))
    traded.place(TAKER, SELL, 5, 10, **OPTION)
    traded.place(OTHER, BUY, 5, 10, **OPTION)
    before = available(traded, TAKER)
    traded.mine(ClearingChanged(digest("taken"), [cleared(TAKER, 0)]))
    assert size(traded, TAKER) == -10
    assert available(traded, TAKER) == before - 10 * C


def test_a_restored_core_goes_on_alike(traded: Exchange) -> None:
    traded.place(TAKER, SELL, 9, 7, **REDUCE)
    traded.mine(settled(traded, 1, positions=[cleared(MAKER, -10), cleared(TAKER, 10)]))
    traded.place(OTHER, BUY, 9, 2, **OPTION)
    twin = Core.restore(traded.core.snapshot())
    assert twin.snapshot() == traded.core.snapshot()
    commands = [
        traded.command(traded.order(OTHER, BUY, 9, 3, **OPTION)),
        Bust([traded.trades()[1].id], "drill"),
        traded.command(traded.order(MAKER, BUY, 9, 9, **REDUCE)),
    ]
    for command in commands:
        result, events = twin.execute(command, traded.now_ms)
        assert (traded.run(command), traded.events) == (result, events)
    assert twin.snapshot() == traded.core.snapshot()
