"""Configuration and off-chain halts."""

from __future__ import annotations

import pytest

from offchain.domain.commands import Configure, SetStatus, Tick
from offchain.domain.core import Core
from offchain.domain.errors import Code, Rejection
from offchain.domain.events import CommandRefused, Configured, MarketUpdate
from offchain.domain.results import Done
from tests.utils.exchange import BUY, ENGINE, MAKER, SELL, TAKER, Exchange


def test_everything_waits_for_configuration() -> None:
    core = Core()
    for command in (Tick(), SetStatus(1, True, "")):
        result, events = core.execute(command, 1)
        assert isinstance(result, Rejection)
        assert result.code == Code.NOT_CONFIGURED
        assert events == [CommandRefused(result)]
    result, events = core.execute(Configure(1, ENGINE, 50, 1), 1)
    assert (result, events) == (Done(), [Configured(1, ENGINE, 50)])
    assert (core.fee_bps, core.configuration) == (50, Configure(1, ENGINE, 50, 1))


def test_configuration_is_final(exchange: Exchange) -> None:
    result = exchange.run(Configure(1, ENGINE, 0, 1))
    assert isinstance(result, Rejection)
    assert result.code == Code.ALREADY_CONFIGURED
    assert exchange.core.fee_bps == 50


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"chain_id": 0}, "chain_id"),
        ({"fee_bps": -1}, "fee_bps"),
        ({"fee_bps": 51}, "fee_bps"),
        ({"confirmations": 0}, "confirmations"),
        ({"window": 0}, "window"),
        ({"max_head_age_ms": -1}, "max_head_age_ms"),
        ({"max_open_orders": 0}, "max_open_orders"),
        ({"price_band_bps": -1}, "price_band_bps"),
        ({"engine": b"\x01" * 19}, "engine"),
    ],
)
def test_invalid_configuration_is_refused(changes: dict[str, object], param: str) -> None:
    core = Core()
    valid = {"chain_id": 1, "engine": ENGINE, "fee_bps": 50, "confirmations": 1}
    result, _ = core.execute(Configure(**(valid | changes)), 1)  # type: ignore[arg-type]
    assert isinstance(result, Rejection)
    assert (result.code, result.param) == (Code.INVALID_CONFIGURATION, param)
    assert core.configuration is None


def test_halt_and_resume(exchange: Exchange) -> None:
    exchange.place(MAKER, BUY, 100, 5)
    assert exchange.run(SetStatus(1, True, "maintenance")) == Done()
    (update,) = exchange.of(MarketUpdate)
    assert (update.market.id, update.status, update.halted, update.reason) == (1, 1, True, "maintenance")
    assert exchange.place(TAKER, SELL, 100, 5).status == "rejected"
    assert exchange.depth(BUY) == [(100, 5)], "orders stay in the book"
    view = exchange.core.market_state(1)
    assert (view.halted, view.reason) == (True, "maintenance")
    assert exchange.run(SetStatus(1, False, "")) == Done()
    assert exchange.place(TAKER, SELL, 100, 5).status == "filled"


def test_same_status_again_is_refused(exchange: Exchange) -> None:
    for status in (SetStatus(1, False, ""), SetStatus(1, True, "maintenance")):
        exchange.run(status)
        result = exchange.run(status)
        assert isinstance(result, Rejection)
        assert result.code == Code.REPEATED


def test_status_of_an_unknown_market_is_refused(exchange: Exchange) -> None:
    result = exchange.run(SetStatus(9, True, ""))
    assert isinstance(result, Rejection)
    assert (result.code, result.param) == (Code.UNKNOWN_MARKET, "market")
