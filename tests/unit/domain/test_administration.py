"""Administrators' commands: what they change, what is on record, and that a request is done once."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offchain.domain.actions import OPERATOR, DerivativeTerms, ScheduleFee, SetMarketStatus
from offchain.domain.admin import Actor, ChangeSettings, Denied, HaltAll, LimitQuantity, SetLeverage
from offchain.domain.administration import ACTIONS, name_of
from offchain.domain.commands import (
    AdminAction,
    Administer,
    BatchClosed,
    BatchParked,
    BatchRetry,
    Bust,
    MarketStatusChanged,
    RequestAction,
    SetStatus,
)
from offchain.domain.core import Core
from offchain.domain.errors import Code, Rejection
from offchain.domain.events import ActionUpdate, AdminActed, CommandRefused, ExchangeUpdate, MarketUpdate
from offchain.domain.requests import MAX_REQUESTS, REQUEST_LIFE_MS
from offchain.domain.results import Administered
from tests.utils.administration import ALICE, BOB, CREATE, administer, asked, code_of, entries
from tests.utils.exchange import BTC_USDC, BUY, ETH_USDC, IOC, MAKER, SELL, TAKER, Exchange


@pytest.fixture
def parked(exchange: Exchange) -> Exchange:
    """An exchange whose first batch, of one fill, is parked."""
    exchange.place(MAKER, SELL, 100, 5)
    exchange.place(TAKER, BUY, 100, 5, tif=IOC)
    exchange.run(BatchClosed(1, 1, 1, exchange.now_ms // 1000))
    exchange.run(BatchParked(1, "StaleNonce(1)", 1))
    return exchange


# ---------------------------------------------------------------------------------------------------------------------
# On record
# ---------------------------------------------------------------------------------------------------------------------


def test_an_action_and_its_entry_are_one_command(exchange: Exchange) -> None:
    action = SetStatus(1, True, "maintenance")
    result = administer(exchange, action)
    halted = {"halted": True, "reason": "maintenance"}
    assert result == Administered(1, {"halted": False, "reason": ""}, halted)
    (acted,) = exchange.of(AdminActed)
    assert acted == AdminActed(1, ALICE, action, {"halted": False, "reason": ""}, halted, None)
    assert len(exchange.of(MarketUpdate)) == 1
    assert exchange.core.market_state(1).halted


def test_refusals_are_on_record_and_change_nothing(exchange: Exchange) -> None:
    before = exchange.core.snapshot()
    for action, code in [
        (SetStatus(9, True, ""), Code.UNKNOWN_MARKET),
        (HaltAll(False, ""), Code.REPEATED),
        (ChangeSettings(), Code.INVALID_SETTING),
        (LimitQuantity(9, 1), Code.UNKNOWN_MARKET),
        (BatchRetry(1), Code.UNKNOWN_BATCH),
        (Bust([], "bad"), Code.UNKNOWN_FILL),
        (Denied("haltMarket", "POST /v1/admin/…", Rejection("notInGroup", "", "no")), "notInGroup"),
    ]:
        assert code_of(administer(exchange, action)) == code
        (acted,) = exchange.of(AdminActed)
        assert acted.rejection is not None
        assert (acted.action, acted.rejection.code, acted.before) == (action, code, acted.after)
        assert exchange.events == [acted]
    assert [entry.number for entry in entries(exchange)] == list(range(1, 8))
    after = Core.restore(exchange.core.snapshot())
    after._state.administration.entries = 0
    assert after.snapshot() == before


def test_every_action_has_a_name_in_the_log() -> None:
    actions: list[AdminAction] = [
        SetStatus(1, True, ""),
        SetStatus(1, False, ""),
        HaltAll(True, ""),
        HaltAll(False, ""),
    ]
    actions += [ChangeSettings(), LimitQuantity(1, None), SetLeverage(1, None), BatchRetry(1), Bust([], "")]
    actions += [asked(CREATE), asked(SetMarketStatus(1, 2)), asked(ScheduleFee(1, 1))]
    assert [name_of(action) for action in actions] == list(ACTIONS)


# ---------------------------------------------------------------------------------------------------------------------
# Halts
# ---------------------------------------------------------------------------------------------------------------------


def test_all_markets_halt_and_resume(exchange: Exchange) -> None:
    resting = exchange.place(MAKER, BUY, 100, 5)
    administer(exchange, HaltAll(True, "incident"))
    (update,) = exchange.of(ExchangeUpdate)
    assert (update.halted, update.reason) == (True, "incident")
    assert {(event.market.id, event.reason) for event in exchange.of(MarketUpdate)} == {
        (1, "incident"),
        (2, "incident"),
    }
    for market in (BTC_USDC.id, ETH_USDC.id):
        refused = exchange.place(TAKER, SELL, 100, 5, market=market)
        assert refused.rejection is not None
        assert (refused.rejection.code, "incident" in refused.rejection.detail) == (Code.MARKET_NOT_ACTIVE, True)
    assert exchange.core.status().halt == "incident"
    assert exchange.cancel(MAKER, resting.order_hash).status == "canceled", "cancels work"  # type: ignore[union-attr]
    administer(exchange, HaltAll(False, ""))
    assert exchange.core.status().halt is None
    assert exchange.place(TAKER, SELL, 100, 5).status == "open"


def test_a_market_halted_by_itself_stays_so(exchange: Exchange) -> None:
    administer(exchange, SetStatus(1, True, "maintenance"))
    administer(exchange, HaltAll(True, "incident"))
    assert exchange.core.market_state(1).reason == "incident"
    administer(exchange, HaltAll(False, ""))
    assert [exchange.core.market_state(market).reason for market in (1, 2)] == ["maintenance", ""]


def test_a_market_listed_during_a_halt_does_not_trade(create_exchange: Callable[..., Exchange]) -> None:
    exchange = Exchange()
    administer(exchange, HaltAll(True, "incident"))
    exchange.list_markets(BTC_USDC)
    assert exchange.core.market_state(1).halted
    assert all(update.halted for update in exchange.of(MarketUpdate))


# ---------------------------------------------------------------------------------------------------------------------
# Limits
# ---------------------------------------------------------------------------------------------------------------------


def test_open_orders_per_account_change_at_once(exchange: Exchange) -> None:
    result = administer(exchange, ChangeSettings(max_open_orders=1))
    assert (result.before, result.after) == ({"maxOpenOrders": 10_000}, {"maxOpenOrders": 1})
    (update,) = exchange.of(ExchangeUpdate)
    assert (update.max_open_orders, update.price_band_bps) == (1, 0)
    exchange.place(MAKER, BUY, 100, 5)
    refused = exchange.place(MAKER, BUY, 100, 5)
    assert refused.rejection is not None
    assert refused.rejection.code == Code.TOO_MANY_ORDERS
    assert exchange.core.configuration is not None
    assert exchange.core.configuration.max_open_orders == 1


def test_the_price_band_changes_at_once(exchange: Exchange) -> None:
    exchange.place(MAKER, SELL, 100, 5)
    administer(exchange, ChangeSettings(price_band_bps=100))
    refused = exchange.place(TAKER, BUY, 102, 1)
    assert refused.rejection is not None
    assert refused.rejection.code == Code.PRICE_OUTSIDE_BAND
    administer(exchange, ChangeSettings(price_band_bps=0))
    assert exchange.place(TAKER, BUY, 102, 1).status == "filled"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        (ChangeSettings(max_open_orders=0), "maxOpenOrders"),
        (ChangeSettings(max_open_orders=1_000_001), "maxOpenOrders"),
        (ChangeSettings(price_band_bps=-1), "priceBandBps"),
        (ChangeSettings(10, 1_000_001), "priceBandBps"),
        (ChangeSettings(), ""),
    ],
)
def test_settings_have_bounds(exchange: Exchange, change: ChangeSettings, param: str) -> None:
    result = administer(exchange, change)
    assert result.rejection is not None
    assert (result.rejection.code, result.rejection.param) == (Code.INVALID_SETTING, param)


def test_the_same_settings_again_are_refused(exchange: Exchange) -> None:
    administer(exchange, ChangeSettings(max_open_orders=5))
    assert code_of(administer(exchange, ChangeSettings(max_open_orders=5))) == Code.REPEATED


def test_an_order_has_no_more_lots_than_the_limit(exchange: Exchange) -> None:
    exchange.place(MAKER, SELL, 100, 50)
    result = administer(exchange, LimitQuantity(1, 10))
    assert (result.before, result.after) == ({"quantityLimit": None}, {"quantityLimit": 10})
    (update,) = exchange.of(MarketUpdate)
    assert update.quantity_limit == exchange.core.market_state(1).quantity_limit == 10
    refused = exchange.place(TAKER, BUY, 100, 11)
    assert refused.rejection is not None
    assert (refused.rejection.code, refused.rejection.param) == (Code.INVALID_QUANTITY, "quantity")
    assert exchange.place(TAKER, BUY, 100, 10).status == "filled"
    assert exchange.place(TAKER, BUY, 100, 11, market=2).status == "open", "of this market only"
    administer(exchange, LimitQuantity(1, None))
    assert exchange.place(TAKER, BUY, 100, 11).status == "filled"


@pytest.mark.parametrize("lots", [0, -1, BTC_USDC.max_quantity + 1])
def test_a_limit_is_within_the_registrys(exchange: Exchange, lots: int) -> None:
    assert code_of(administer(exchange, LimitQuantity(1, lots))) == Code.INVALID_SETTING


# ---------------------------------------------------------------------------------------------------------------------
# What is parked
# ---------------------------------------------------------------------------------------------------------------------


def test_a_parked_batch_is_tried_again(parked: Exchange) -> None:
    result = administer(parked, BatchRetry(1))
    assert result.before == {"batch": 1, "status": "parked", "fills": 1}
    assert result.after == {"batch": 1, "status": "retried", "fills": 1}


def test_parked_fills_are_dropped(parked: Exchange) -> None:
    result = administer(parked, Bust([parked.trades()[0].id], "bad"))
    assert result.after == {"batch": 0, "status": "", "fills": 0}
    assert not parked.core.market_state(1).halted


# ---------------------------------------------------------------------------------------------------------------------
# Once
# ---------------------------------------------------------------------------------------------------------------------


def test_the_same_request_again_is_answered_alike_and_not_done(exchange: Exchange) -> None:
    first = administer(exchange, SetStatus(1, True, "maintenance"), "k1")
    administer(exchange, SetStatus(1, False, ""), "k2")
    again = administer(exchange, SetStatus(1, True, "maintenance"), "k1")
    assert (again.entry, again.before, again.after, again.repeated) == (first.entry, first.before, first.after, True)
    assert not exchange.core.market_state(1).halted
    assert [type(event) for event in exchange.events] == [CommandRefused]
    assert len(entries(exchange)) == 2


def test_a_key_belongs_to_one_request_of_one_administrator(exchange: Exchange) -> None:
    administer(exchange, SetStatus(1, True, "maintenance"), "k1")
    assert code_of(administer(exchange, SetStatus(2, True, "maintenance"), "k1")) == Code.IDEMPOTENCY_KEY_REUSED
    assert not exchange.core.market_state(2).halted
    assert code_of(administer(exchange, SetStatus(2, True, "maintenance"), "k1", BOB)) == ""


def test_a_refusal_is_remembered_as_well(exchange: Exchange) -> None:
    assert code_of(administer(exchange, BatchRetry(1), "k1")) == Code.UNKNOWN_BATCH
    again = administer(exchange, BatchRetry(1), "k1")
    assert (code_of(again), again.repeated) == (Code.UNKNOWN_BATCH, True)


def test_keys_are_forgotten_after_a_day(exchange: Exchange) -> None:
    administer(exchange, SetStatus(1, True, "a"), "k1")
    exchange.now_ms += REQUEST_LIFE_MS - 1
    assert administer(exchange, SetStatus(1, True, "a"), "k1").repeated
    exchange.now_ms += 1
    assert code_of(administer(exchange, SetStatus(1, True, "a"), "k1")) == Code.REPEATED


def test_keys_are_bounded(exchange: Exchange) -> None:
    for number in range(MAX_REQUESTS + 1):
        administer(exchange, BatchRetry(1), f"k{number}")
    kept = exchange.core._state.administration.requests
    assert len(kept) == MAX_REQUESTS
    assert not administer(exchange, BatchRetry(1), "k0").repeated
    assert administer(exchange, BatchRetry(1), f"k{MAX_REQUESTS}").repeated


# ---------------------------------------------------------------------------------------------------------------------
# Snapshots
# ---------------------------------------------------------------------------------------------------------------------

_reasons = st.text(max_size=8)
_actions: st.SearchStrategy[AdminAction] = st.one_of(
    st.builds(SetStatus, st.integers(1, 3), st.booleans(), _reasons),
    st.builds(HaltAll, st.booleans(), _reasons),
    st.builds(ChangeSettings, st.none() | st.integers(-1, 4), st.none() | st.integers(-1, 4)),
    st.builds(LimitQuantity, st.integers(1, 3), st.none() | st.integers(0, 4)),
    st.builds(BatchRetry, st.integers(1, 2)),
)


@given(steps=st.lists(st.tuples(_actions, st.sampled_from(["", "a", "b"]), st.sampled_from([ALICE, BOB])), max_size=12))
def test_restored_core_continues_alike(steps: list[tuple[AdminAction, str, Actor]]) -> None:
    exchange = Exchange()
    exchange.list_markets(BTC_USDC, ETH_USDC)
    for action, key, actor in steps:
        twin = Core.restore(exchange.core.snapshot())
        command = Administer(actor, action, key)
        result = exchange.run(command)
        assert twin.execute(command, exchange.now_ms) == (result, exchange.events)
        assert twin.snapshot() == exchange.core.snapshot()
        assert isinstance(result, Administered)
        if result.rejection is not None and not result.repeated:
            assert not exchange.of(MarketUpdate), "what is refused changes nothing"
            assert not exchange.of(ExchangeUpdate)


# ---------------------------------------------------------------------------------------------------------------------
# On chain
# ---------------------------------------------------------------------------------------------------------------------


def test_a_transaction_is_asked_for(exchange: Exchange) -> None:
    result = administer(exchange, asked(CREATE), "k1")
    assert (result.before, result.after) == ({"actionStatus": ""}, {"actionStatus": "requested"})
    (update,) = exchange.of(ActionUpdate)
    assert (update.account, update.kind, update.action) == (OPERATOR, "createMarket", CREATE)
    assert administer(exchange, asked(CREATE, at_ms=9), "k1").repeated, "when it is asked for again does not matter"
    assert code_of(administer(exchange, asked(SetMarketStatus(1, 2)), "k1")) == Code.IDEMPOTENCY_KEY_REUSED
    assert list(exchange.core._state.actions.pending) == [b"\x01" * 32]


@pytest.mark.parametrize(("status", "name"), [(2, "paused"), (3, "closed")])
def test_a_market_that_stops_on_chain_stops_here_at_once(exchange: Exchange, status: int, name: str) -> None:
    """What would match until the chain says so could not settle."""
    result = administer(exchange, asked(SetMarketStatus(1, status)))
    assert (result.before["halted"], result.after["halted"]) == (False, True)
    assert exchange.core.market_state(1).reason == f"its status on chain becomes {name}"
    assert exchange.place(MAKER, BUY, 100, 5).status == "rejected"
    assert not exchange.core.market_state(2).halted


def test_a_halt_keeps_its_reason(exchange: Exchange) -> None:
    administer(exchange, SetStatus(1, True, "maintenance"))
    administer(exchange, asked(SetMarketStatus(1, 2)))
    assert exchange.core.market_state(1).reason == "maintenance"


NOW = 1_700_000_000


@pytest.mark.parametrize(
    ("request_", "code", "param"),
    [
        (asked(SetMarketStatus(9, 2)), Code.UNKNOWN_MARKET, "market"),
        (asked(SetMarketStatus(1, 1)), Code.REPEATED, "status"),
        (asked(SetMarketStatus(1, 0)), Code.INVALID_SETTING, "status"),
        (asked(SetMarketStatus(1, 4)), Code.INVALID_SETTING, "status"),
        (asked(ScheduleFee(51, NOW + 7_200)), Code.INVALID_SETTING, "feeBps"),
        (asked(ScheduleFee(10, NOW + 3_599)), Code.INVALID_SETTING, "at"),
        (asked(ScheduleFee(10, 2**40)), Code.INVALID_SETTING, "at"),
        (asked(msgspec.structs.replace(CREATE, symbol="BTC-USDC")), Code.INVALID_MARKET, "symbol"),
        (asked(msgspec.structs.replace(CREATE, base=99)), Code.INVALID_MARKET, "base"),
        (asked(msgspec.structs.replace(CREATE, tick_size=1)), Code.INVALID_MARKET, "tickSize"),
        (asked(msgspec.structs.replace(CREATE, kind=1)), Code.INVALID_MARKET, "maintenanceMarginBps"),
        (asked(msgspec.structs.replace(CREATE, terms=DerivativeTerms(strike=1))), Code.INVALID_MARKET, "strike"),
        (RequestAction(b"\x01" * 32, MAKER, CREATE, 0), Code.NOT_OWNER, "account"),
    ],
)
def test_what_the_contracts_would_refuse_is_not_asked_for(
    exchange: Exchange, request_: RequestAction, code: Code, param: str
) -> None:
    result = administer(exchange, request_)
    assert result.rejection is not None
    assert (result.rejection.code, result.rejection.param) == (code, param)
    assert not exchange.core._state.actions.pending
    assert not exchange.core.market_state(1).halted


def test_a_closed_market_stays_closed(exchange: Exchange) -> None:
    exchange.mine(MarketStatusChanged(1, 3, exchange.now_ms // 1000))
    assert code_of(administer(exchange, asked(SetMarketStatus(1, 1)))) == Code.REPEATED


def test_a_fee_is_scheduled_a_window_ahead(exchange: Exchange) -> None:
    result = administer(exchange, asked(ScheduleFee(10, NOW + 3_600)))
    assert result.after == {"actionStatus": "requested", "feeBps": 50, "nextFeeBps": 50, "nextFeeAt": 0}
