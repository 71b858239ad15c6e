"""Stop and take-profit orders."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from offchain.domain import trading
from offchain.domain.commands import (
    CancelRequested,
    DelegateSet,
    EpochBumpRequested,
    FeeScheduled,
    MarketCreated,
    SetStatus,
    Tick,
)
from offchain.domain.core import Core
from offchain.domain.events import OrderTriggered, OrderUpdate, Trade
from offchain.domain.order import OrderStatus, Trigger
from offchain.domain.results import PlaceResult
from tests.utils.exchange import (
    BTC_USDC,
    BUY,
    FOK,
    GTD,
    IOC,
    MAKER,
    OTHER,
    PERP,
    SELL,
    TAKER,
    TICK,
    USDC,
    Exchange,
    stop,
    take_profit,
)


@pytest.fixture
def quoted(exchange: Exchange) -> Exchange:
    """Ten lots at every price from 91 to 99 bid and from 101 to 109 asked; the last trade was at 100."""
    exchange.place(MAKER, SELL, 100, 1)
    exchange.place(OTHER, BUY, 100, 1)
    for step in range(1, 10):
        exchange.place(MAKER, BUY, 100 - step, 10)
        exchange.place(MAKER, SELL, 100 + step, 10)
    return exchange


def print_at(exchange: Exchange, price: int) -> None:
    """Let one lot trade at `price`, and before it everything that is better."""
    maker_side = BUY if price < 100 else SELL
    sign = 1 if maker_side == SELL else -1
    better = sum(lots for level, lots in exchange.depth(maker_side) if sign * level < sign * price)
    assert exchange.place(OTHER, 1 - maker_side, price, better + 1, tif=IOC).status == OrderStatus.FILLED


def status_of(exchange: Exchange, result: PlaceResult) -> tuple[str, str]:
    """The last that was told of an order."""
    told = [e for e in exchange.history if isinstance(e, OrderUpdate) and e.order_hash == result.order_hash]
    return told[-1].status.value, told[-1].code


def is_triggered(exchange: Exchange, result: PlaceResult) -> bool:
    return any(isinstance(e, OrderTriggered) and e.order_hash == result.order_hash for e in exchange.history)


@pytest.mark.parametrize(
    ("side", "trigger", "asleep", "awake"),
    [
        (BUY, stop(103), 102, 103),
        (BUY, stop(103), 102, 104),
        (SELL, stop(97), 98, 97),
        (SELL, stop(97), 98, 96),
        (BUY, take_profit(97), 98, 97),
        (SELL, take_profit(103), 102, 103),
    ],
)
def test_an_order_works_once_the_price_has_reached_its_trigger(
    quoted: Exchange, side: int, trigger: Trigger, asleep: int, awake: int
) -> None:
    waiting = quoted.place(TAKER, side, 120 if side == BUY else 80, 2, trigger=trigger)
    assert (waiting.status, waiting.waiting) == (OrderStatus.OPEN, True)
    print_at(quoted, asleep)
    assert not is_triggered(quoted, waiting)
    print_at(quoted, awake)
    assert is_triggered(quoted, waiting)
    assert status_of(quoted, waiting) == ("filled", "")


def test_what_waits_is_in_no_book_and_reserves_nothing(quoted: Exchange) -> None:
    before, depth = quoted.balance(TAKER, USDC), (quoted.depth(BUY), quoted.depth(SELL))
    waiting = quoted.place(TAKER, BUY, 105, 10**6, trigger=stop(104))
    assert quoted.balance(TAKER, USDC) == before
    assert (quoted.depth(BUY), quoted.depth(SELL)) == depth
    assert quoted.of(OrderUpdate)[0].depth_change == 0
    assert [live.order_hash for live in quoted.core.open_orders(TAKER)] == [waiting.order_hash]


def test_what_is_due_on_entry_works_at_once(quoted: Exchange) -> None:
    result = quoted.place(TAKER, BUY, 101, 2, trigger=stop(100))
    assert (result.status, result.waiting, len(result.fills)) == (OrderStatus.FILLED, False, 1)
    assert [type(event) for event in quoted.events[:2]] == [OrderTriggered, Trade]


def test_without_a_price_everything_waits(exchange: Exchange) -> None:
    assert exchange.place(TAKER, BUY, 101, 2, trigger=stop(1)).waiting
    assert exchange.place(TAKER, SELL, 99, 2, trigger=stop(1_000)).waiting


def test_several_due_on_one_print_go_in_order_of_entry(quoted: Exchange) -> None:
    """Although the price reached the second one's trigger first."""
    first = quoted.place(TAKER, BUY, 120, 1, trigger=stop(104))
    second = quoted.place(TAKER, BUY, 120, 1, trigger=stop(103))
    quoted.place(OTHER, BUY, 105, 45, tif=IOC)
    assert [event.order_hash for event in quoted.of(OrderTriggered)] == [first.order_hash, second.order_hash]


def test_each_print_of_a_sweep_counts(quoted: Exchange) -> None:
    """The sweep begins below the last price and ends above it: both sides are reached."""
    falls = quoted.place(TAKER, SELL, 80, 1, trigger=stop(97))
    rises = quoted.place(TAKER, BUY, 120, 1, trigger=stop(103))
    for live in quoted.core.open_orders(MAKER):
        if live.order.side == BUY and live.order.price > 95 * TICK:
            quoted.cancel(MAKER, live.order_hash)
    quoted.place(MAKER, SELL, 96, 1)
    quoted.place(OTHER, BUY, 103, 32, tif=IOC)  # 96, 101, 102, 103
    assert is_triggered(quoted, falls)
    assert is_triggered(quoted, rises)


def test_one_wakes_up_the_next(quoted: Exchange) -> None:
    chain = [quoted.place(TAKER, BUY, 120, 10, trigger=stop(100 + step)) for step in (2, 3, 4)]
    quoted.place(OTHER, BUY, 102, 11, tif=IOC)
    assert [status_of(quoted, one) for one in chain] == [("filled", "")] * 3
    assert [event.price // TICK for event in quoted.of(OrderTriggered)] == [102, 103, 104]


def test_one_command_wakes_up_so_many_and_the_next_goes_on(quoted: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trading, "MAX_TRIGGERED", 2)
    waiting = [quoted.place(TAKER, BUY, 90, 1, trigger=stop(101)) for _ in range(5)]
    assert not quoted.core.is_due(quoted.now_ms)
    quoted.place(OTHER, BUY, 101, 1, tif=IOC)
    assert [is_triggered(quoted, one) for one in waiting] == [True, True, False, False, False]
    assert quoted.core.is_due(quoted.now_ms)
    quoted.run(Tick())
    assert [is_triggered(quoted, one) for one in waiting] == [True] * 4 + [False]
    quoted.run(Tick())
    assert all(is_triggered(quoted, one) for one in waiting)
    assert not quoted.core.is_due(quoted.now_ms)


def test_an_order_that_cannot_pay_when_it_works_is_rejected(quoted: Exchange) -> None:
    waiting = quoted.place(TAKER, BUY, 105, 10**6, trigger=stop(101))
    quoted.place(OTHER, BUY, 101, 1, tif=IOC)
    assert status_of(quoted, waiting) == ("rejected", "insufficientBalance")
    assert quoted.core.open_orders(TAKER) == []


def test_post_only_and_fok_are_decided_on_when_it_works(quoted: Exchange) -> None:
    post_only = quoted.place(TAKER, BUY, 105, 1, trigger=stop(101), post_only=True)
    fok = quoted.place(TAKER, BUY, 102, 50, trigger=stop(101), tif=FOK)
    rests = quoted.place(TAKER, BUY, 90, 5, trigger=stop(101), post_only=True)
    quoted.place(OTHER, BUY, 101, 1, tif=IOC)
    assert status_of(quoted, post_only) == ("rejected", "postOnlyWouldCross")
    assert status_of(quoted, fok) == ("canceled", "fokUnfilled")
    assert status_of(quoted, rests) == ("open", "")
    assert quoted.balance(TAKER, USDC).reserved


def test_it_is_canceled_like_any_other(quoted: Exchange) -> None:
    waiting = quoted.place(TAKER, BUY, 105, 1, trigger=stop(103))
    quoted.cancel(TAKER, waiting.order_hash)
    assert status_of(quoted, waiting) == ("canceled", "user")
    print_at(quoted, 104)
    assert not is_triggered(quoted, waiting)


def test_it_is_replaced_and_replaces(quoted: Exchange) -> None:
    waiting = quoted.place(TAKER, BUY, 105, 1, key=7, trigger=stop(103))
    moved = quoted.place(TAKER, BUY, 106, 1, key=7, sequence=2, trigger=stop(104), replaces=waiting.order_hash)
    assert status_of(quoted, waiting) == ("canceled", "replaced")
    plain = quoted.place(TAKER, BUY, 90, 1, key=7, sequence=3)
    assert status_of(quoted, moved) == ("canceled", "replaced")
    quoted.place(TAKER, BUY, 106, 1, key=7, sequence=4, trigger=stop(104))
    assert status_of(quoted, plain) == ("canceled", "replaced")
    assert quoted.balance(TAKER, USDC).reserved == 0


def test_the_same_order_again_gets_its_first_answer(quoted: Exchange) -> None:
    command = quoted.command(quoted.order(TAKER, BUY, 101, 1), trigger=stop(101))
    first = quoted.run(command)
    quoted.place(OTHER, BUY, 101, 1, tif=IOC)
    again = quoted.run(command)
    assert isinstance(again, PlaceResult)
    assert isinstance(first, PlaceResult)
    assert (again.repeated, again.status, again.waiting, again.fills) == (True, first.status, True, ())


def test_a_rejected_successor_leaves_it_waiting_and_stays_the_latest(quoted: Exchange) -> None:
    waiting = quoted.place(TAKER, BUY, 101, 1, key=7, trigger=stop(101))
    hopeless = quoted.command(quoted.order(TAKER, BUY, 100, 10**6, key=7, sequence=2))
    assert quoted.run(hopeless).status == OrderStatus.REJECTED  # type: ignore[union-attr]
    quoted.place(OTHER, BUY, 101, 1, tif=IOC)
    assert status_of(quoted, waiting) == ("filled", "")
    assert quoted.run(hopeless).repeated  # type: ignore[union-attr]
    late = quoted.place(TAKER, BUY, 90, 1, key=7, sequence=1)
    assert late.rejection is not None
    assert late.rejection.code == "staleNonce"


def test_it_expires_asleep(quoted: Exchange) -> None:
    waiting = quoted.place(TAKER, BUY, 105, 1, tif=GTD, trigger=stop(103))
    quoted.now_ms += 3_601_000
    quoted.run(Tick())
    assert status_of(quoted, waiting) == ("expired", "expired")


def test_it_expires_when_it_is_woken_up_too_late(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange(window=10**9)
    exchange.place(MAKER, SELL, 103, 5)
    waiting = exchange.place(TAKER, BUY, 105, 1, tif=GTD, trigger=stop(103))
    exchange.now_ms += 3_601_000
    exchange.place(OTHER, BUY, 103, 1, tif=IOC)
    assert status_of(exchange, waiting) == ("expired", "expired")
    assert not is_triggered(exchange, waiting)


def test_what_ends_all_orders_ends_it(quoted: Exchange) -> None:
    waiting = quoted.place(TAKER, BUY, 105, 1, trigger=stop(103))
    quoted.mine(EpochBumpRequested(TAKER))
    assert status_of(quoted, waiting)[0] == "canceled"


def test_a_cancel_of_its_key_on_chain_ends_it(quoted: Exchange) -> None:
    waiting = quoted.place(TAKER, BUY, 105, 1, key=7, trigger=stop(103))
    quoted.mine(CancelRequested(TAKER, BTC_USDC.instrument, 7, 1))
    assert status_of(quoted, waiting) == ("canceled", "canceledOnChain")


def test_a_fee_beyond_its_cap_ends_it(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange(fee_bps=10)
    waiting = exchange.place(TAKER, BUY, 105, 1, trigger=stop(103), max_fee_bps=10)
    staying = exchange.place(TAKER, BUY, 105, 1, trigger=stop(103))
    exchange.mine(FeeScheduled(20, exchange.now_ms // 1000 + 10))
    exchange.now_ms += 11_000
    exchange.run(Tick())
    assert status_of(exchange, waiting) == ("canceled", "feeAboveCap")
    assert status_of(exchange, staying) == ("open", "")
    assert exchange.balance(TAKER, USDC).reserved == 0


def test_the_end_of_a_delegate_ends_it(quoted: Exchange) -> None:
    delegate = b"\xde" * 20
    until = quoted.now_ms // 1000 + 100
    quoted.mine(DelegateSet(TAKER, delegate, until))
    command = quoted.command(quoted.order(TAKER, BUY, 105, 1), trigger=stop(103))
    result = quoted.run(msgspec.structs.replace(command, delegate=delegate))
    quoted.now_ms = (until + 1) * 1000
    quoted.run(Tick())
    assert status_of(quoted, result) == ("canceled", "delegateEnded")  # type: ignore[arg-type]


def test_while_its_market_is_halted_it_stays_due(quoted: Exchange) -> None:
    """Cancels move the mark to its trigger; when the market trades again, it works."""
    waiting = quoted.place(TAKER, BUY, 108, 1, trigger=take_profit(99, "mark"))
    quoted.run(SetStatus(1, True, "maintenance"))
    for live in quoted.core.open_orders(MAKER):
        if live.order.side == BUY and live.order.price > 97 * TICK:
            quoted.cancel(MAKER, live.order_hash)
    assert not is_triggered(quoted, waiting)
    assert not quoted.core.is_due(quoted.now_ms)
    quoted.run(SetStatus(1, False, ""))
    assert status_of(quoted, waiting) == ("filled", "")


def test_due_orders_of_a_halted_market_are_executed_when_it_resumes(
    quoted: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trading, "MAX_TRIGGERED", 1)
    first = quoted.place(TAKER, BUY, 108, 1, trigger=stop(101))
    second = quoted.place(TAKER, BUY, 108, 1, trigger=stop(101))
    quoted.place(OTHER, BUY, 101, 1, tif=IOC)
    assert (is_triggered(quoted, first), is_triggered(quoted, second)) == (True, False)
    quoted.run(SetStatus(1, True, "maintenance"))
    quoted.run(Tick())
    assert not is_triggered(quoted, second)
    restored = Core.restore(quoted.core.snapshot())
    quoted.run(SetStatus(1, False, ""))
    assert restored.execute(SetStatus(1, False, ""), quoted.now_ms)[1] == quoted.events
    assert is_triggered(quoted, second)


def test_a_due_order_can_still_be_canceled(quoted: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trading, "MAX_TRIGGERED", 1)
    quoted.place(TAKER, BUY, 108, 1, trigger=stop(101))
    second = quoted.place(TAKER, BUY, 108, 1, trigger=stop(101))
    quoted.place(OTHER, BUY, 101, 1, tif=IOC)
    quoted.run(SetStatus(1, True, "maintenance"))
    quoted.cancel(TAKER, second.order_hash)
    assert status_of(quoted, second) == ("canceled", "user")
    quoted.run(SetStatus(1, False, ""))
    assert not quoted.core.is_due(quoted.now_ms)


@pytest.mark.parametrize(("price", "code"), [(111, None), (120, "priceOutsideBand")])
def test_the_band_is_measured_at_the_trigger(
    create_exchange: Callable[..., Exchange], price: int, code: str | None
) -> None:
    """A stop far above the market is no mistake; one whose worst price is far beyond its trigger may be."""
    exchange = create_exchange(price_band_bps=1_000)
    exchange.place(MAKER, SELL, 100, 10)
    result = exchange.place(TAKER, BUY, 2 * price, 1, trigger=stop(202))
    assert (result.rejection and result.rejection.code) == code


def test_it_is_not_measured_again_when_it_works(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange(price_band_bps=1_000)
    exchange.place(MAKER, SELL, 100, 1)
    exchange.place(MAKER, SELL, 104, 1)
    waiting = exchange.place(TAKER, BUY, 110, 1, trigger=stop(100))
    exchange.place(OTHER, BUY, 100, 1, tif=IOC)
    assert status_of(exchange, waiting) == ("filled", "")


@pytest.mark.parametrize("trigger", [stop(0), stop(10**12), stop(-1)])
def test_a_trigger_price_is_a_price(exchange: Exchange, trigger: Trigger) -> None:
    result = exchange.place(TAKER, BUY, 100, 1, trigger=trigger)
    assert result.rejection is not None
    assert (result.rejection.code, result.rejection.param) == ("invalidTrigger", "triggerPrice")


def test_a_spot_market_has_no_index(exchange: Exchange) -> None:
    result = exchange.place(TAKER, BUY, 100, 1, trigger=stop(100, "index"))
    assert result.rejection is not None
    assert (result.rejection.code, result.rejection.param) == ("invalidTrigger", "triggerBy")


def test_it_counts_among_the_open_orders(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange(max_open_orders=1)
    exchange.place(TAKER, BUY, 100, 1, trigger=stop(101))
    result = exchange.place(TAKER, BUY, 100, 1, trigger=stop(101))
    assert result.rejection is not None
    assert result.rejection.code == "tooManyOrders"


# ---------------------------------------------------------------------------------------------------------------------
# Mark and index
# ---------------------------------------------------------------------------------------------------------------------


def test_the_mark_moves_without_a_trade(quoted: Exchange) -> None:
    """The middle of 99 and 101 is 100; of 98 and 101 it is 99.5, of 97 and 101 99."""
    waiting = quoted.place(TAKER, SELL, 90, 1, trigger=stop(99, "mark"))
    bids = [live for live in quoted.core.open_orders(MAKER) if live.order.side == BUY]
    quoted.cancel(MAKER, bids[0].order_hash)
    assert not is_triggered(quoted, waiting)
    quoted.cancel(MAKER, bids[1].order_hash)
    assert is_triggered(quoted, waiting)


@pytest.fixture
def perpetual(exchange: Exchange) -> Exchange:
    """Index 100; maker short, taker long ten lots at 100."""
    exchange.mine(MarketCreated(PERP))
    exchange.tell_index()
    exchange.place(MAKER, SELL, 100, 10, market=PERP.id)
    exchange.place(TAKER, BUY, 100, 10, market=PERP.id)
    return exchange


def test_the_index_wakes_up_a_stop_loss(perpetual: Exchange) -> None:
    perpetual.place(OTHER, BUY, 96, 10, market=PERP.id)
    stop_loss = perpetual.place(
        TAKER, SELL, 90, 10, market=PERP.id, reduce_only=True, tif=IOC, trigger=stop(97, "index")
    )
    perpetual.tell_index(98 * TICK)
    assert not is_triggered(perpetual, stop_loss)
    perpetual.tell_index(97 * TICK)
    assert status_of(perpetual, stop_loss) == ("filled", "")
    assert perpetual.holding(TAKER, PERP.id).size == 0


def test_reduce_only_is_trimmed_when_it_works(perpetual: Exchange) -> None:
    perpetual.place(OTHER, BUY, 99, 20, market=PERP.id)
    stop_loss = perpetual.place(TAKER, SELL, 90, 10, market=PERP.id, reduce_only=True, trigger=stop(97, "index"))
    perpetual.place(TAKER, SELL, 99, 6, market=PERP.id)
    perpetual.tell_index(97 * TICK)
    assert status_of(perpetual, stop_loss)[0] == "filled"
    assert perpetual.holding(TAKER, PERP.id).size == 0


def test_without_a_position_left_a_stop_loss_is_rejected(perpetual: Exchange) -> None:
    perpetual.place(OTHER, BUY, 99, 20, market=PERP.id)
    stop_loss = perpetual.place(TAKER, SELL, 90, 10, market=PERP.id, reduce_only=True, trigger=stop(97, "index"))
    perpetual.place(TAKER, SELL, 99, 10, market=PERP.id)
    perpetual.tell_index(97 * TICK)
    assert status_of(perpetual, stop_loss) == ("rejected", "nothingToReduce")
