"""What is refused before anything is matched: code and field, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from offchain.domain.commands import MarketStatusChanged, PlaceOrder, SetStatus
from offchain.domain.core import Core
from offchain.domain.errors import Code
from offchain.domain.events import CommandRefused, OrderUpdate
from offchain.domain.order import LAST_SEQUENCE, MAX_TIMED_EXPIRY, NO_EXPIRY
from offchain.domain.results import PlaceResult
from tests.utils.exchange import BUY, FOK, GTC, GTD, IOC, MAKER, SELL, START_MS, TAKER, Exchange


def refused(result: PlaceResult) -> tuple[str, str]:
    assert result.rejection is not None
    assert result.status == "rejected"
    return result.rejection.code, result.rejection.param


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"market": 9}, Code.UNKNOWN_MARKET, "market"),
        ({"side": 2}, Code.INVALID_SIDE, "side"),
        ({"tif": 4}, Code.INVALID_TIME_IN_FORCE, "timeInForce"),
        ({"price": 0}, Code.INVALID_PRICE, "price"),
        ({"price": -1}, Code.INVALID_PRICE, "price"),
        ({"price": 10_001}, Code.INVALID_PRICE, "price"),
        ({"quantity": 0}, Code.INVALID_QUANTITY, "quantity"),
        ({"quantity": -5}, Code.INVALID_QUANTITY, "quantity"),
        ({"quantity": 10**6 + 1}, Code.INVALID_QUANTITY, "quantity"),
        ({"tif": GTC, "expiry": 5}, Code.INVALID_EXPIRY, "expiry"),
        ({"tif": GTD, "expiry": NO_EXPIRY}, Code.INVALID_EXPIRY, "expiry"),
        ({"tif": IOC, "expiry": MAX_TIMED_EXPIRY + 1}, Code.INVALID_EXPIRY, "expiry"),
        ({"tif": GTD, "expiry": START_MS // 1000}, Code.ORDER_EXPIRED, "expiry"),
        ({"sequence": LAST_SEQUENCE}, Code.INVALID_NONCE, "nonce"),
        ({"reduce_only": True}, Code.REDUCE_ONLY_SPOT, "reduceOnly"),
        ({"conversion_limit": 1}, Code.UNEXPECTED_CONVERSION_LIMIT, "conversionLimit"),
        ({"max_fee_bps": 49}, Code.FEE_ABOVE_CAP, "maxFeeBps"),
        ({"epoch": 1}, Code.STALE_EPOCH, "epoch"),
        ({"tif": IOC, "post_only": True}, Code.INVALID_POST_ONLY, "postOnly"),
        ({"tif": FOK, "post_only": True}, Code.INVALID_POST_ONLY, "postOnly"),
        ({"expect_filled": 0}, Code.EXPECT_FILLED_MISMATCH, "expectFilled"),
        ({"quantity": 9_951}, Code.INSUFFICIENT_BALANCE, "quantity"),
    ],
)
def test_invalid_order_is_rejected(exchange: Exchange, changes: dict[str, Any], code: str, param: str) -> None:
    valid = {"side": BUY, "price": 100, "quantity": 10}
    assert refused(exchange.place(MAKER, **(valid | changes))) == (code, param)
    assert exchange.core.open_orders(MAKER) == []
    assert exchange.place(MAKER, **valid).status == "open"


def test_price_off_the_tick_is_rejected(exchange: Exchange) -> None:
    order = exchange.order(MAKER, BUY, 100, 10)
    off_tick = type(order)(*[getattr(order, f) if f != "price" else order.price + 1 for f in order.__struct_fields__])
    result = exchange.run(exchange.command(off_tick))
    assert isinstance(result, PlaceResult)
    assert refused(result) == (Code.INVALID_PRICE, "price")


def test_limits_themselves_are_accepted(exchange: Exchange) -> None:
    assert exchange.place(MAKER, BUY, 10_000, 1).status == "open"
    assert exchange.place(TAKER, BUY, 1, 10**6 // 2).status == "open"
    assert exchange.place(TAKER, BUY, 1, 1, tif=GTD, expiry=MAX_TIMED_EXPIRY).status == "open"
    assert exchange.place(TAKER, BUY, 1, 1, tif=GTD, expiry=START_MS // 1000 + 1).status == "open"
    assert exchange.place(TAKER, BUY, 1, 1, sequence=LAST_SEQUENCE - 1).status == "open"


def test_reservation_covers_fee_rounded_up(exchange: Exchange) -> None:
    """10,000 USDC pay for 9,950 lots at 1 USDC with 0.5 % fee, not for 9,951."""
    assert exchange.place(MAKER, BUY, 100, 9_950).status == "open"
    assert exchange.balance(MAKER, 0).reserved == 9_950 * 10**6 * 1_005 // 1_000


def test_market_must_be_active_on_chain_and_not_halted(exchange: Exchange) -> None:
    exchange.mine(MarketStatusChanged(1, 2, 5))
    assert refused(exchange.place(MAKER, BUY, 100, 1)) == (Code.MARKET_NOT_ACTIVE, "market")
    assert exchange.place(MAKER, BUY, 100, 1, market=2).status == "open"
    exchange.mine(MarketStatusChanged(1, 1, 6))
    exchange.run(SetStatus(1, True, "maintenance"))
    result = exchange.place(MAKER, BUY, 100, 1)
    assert refused(result) == (Code.MARKET_NOT_ACTIVE, "market")
    assert result.rejection is not None
    assert "maintenance" in result.rejection.detail
    exchange.run(SetStatus(1, False, ""))
    assert exchange.place(MAKER, BUY, 100, 1).status == "open"


def test_nonce_key_belongs_to_one_market(exchange: Exchange) -> None:
    assert refused(exchange.place(MAKER, BUY, 100, 10**6, key=5)) == (Code.INSUFFICIENT_BALANCE, "quantity")
    assert exchange.place(MAKER, BUY, 100, 1, key=5, sequence=2, market=2).status == "open", "a rejection pins nothing"
    assert refused(exchange.place(MAKER, BUY, 100, 1, key=5, sequence=3)) == (Code.NONCE_KEY_MARKET, "nonce")
    assert exchange.place(TAKER, BUY, 100, 1, key=5).status == "open", "another account's key is another key"


def test_client_order_id_names_one_open_order(exchange: Exchange) -> None:
    first = exchange.place(MAKER, BUY, 100, 1, key=5, name="mine")
    assert refused(exchange.place(MAKER, BUY, 100, 1, name="mine")) == (
        Code.DUPLICATE_CLIENT_ORDER_ID,
        "clientOrderId",
    )
    assert exchange.place(TAKER, BUY, 100, 1, name="mine").status == "open"
    second = exchange.place(MAKER, BUY, 100, 1, key=5, sequence=2, name="mine")
    assert second.status == "open", "the replaced order gives its name up"
    assert exchange.cancel(MAKER, first.order_hash).code == Code.UNKNOWN_ORDER  # type: ignore[union-attr]
    exchange.cancel(MAKER, second.order_hash)
    assert exchange.place(MAKER, BUY, 100, 1, name="mine").status == "open"


def test_open_orders_are_limited(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange(max_open_orders=2)
    exchange.place(MAKER, BUY, 100, 1, key=5)
    exchange.place(MAKER, BUY, 100, 1)
    assert refused(exchange.place(MAKER, BUY, 100, 1)) == (Code.TOO_MANY_ORDERS, "")
    assert exchange.place(MAKER, BUY, 100, 1, tif=IOC).status == "canceled", "an IOC order never rests"
    assert exchange.place(MAKER, BUY, 100, 1, key=5, sequence=2).status == "open", "a replacement adds none"


def test_settlement_backlog(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange(window=3_600)
    exchange.place(MAKER, BUY, 100, 2)
    exchange.place(TAKER, SELL, 100, 1)
    exchange.now_ms += 900_000
    assert exchange.place(TAKER, SELL, 101, 1).status == "open", "a quarter of the window is not exceeded"
    exchange.now_ms += 1
    assert refused(exchange.place(TAKER, SELL, 101, 1)) == (Code.SETTLEMENT_BACKLOG, "")
    resting = exchange.place(TAKER, SELL, 101, 1, post_only=True)
    assert resting.status == "open"
    exchange.now_ms += 900_000
    assert refused(exchange.place(TAKER, SELL, 101, 1, post_only=True)) == (Code.SETTLEMENT_BACKLOG, "")
    assert exchange.cancel(TAKER, resting.order_hash).status == "canceled"  # type: ignore[union-attr]
    exchange.mine(exchange.batch_settled(1, exchange.trades()))
    assert exchange.place(TAKER, SELL, 101, 1).status == "open"


def test_chain_stale(create_exchange: Callable[..., Exchange]) -> None:
    exchange = create_exchange(max_head_age_ms=60_000)
    exchange.now_ms += 60_000
    assert exchange.place(MAKER, BUY, 100, 1).status == "open"
    exchange.now_ms += 1
    assert refused(exchange.place(MAKER, BUY, 100, 1)) == (Code.CHAIN_STALE, "")
    assert exchange.place(MAKER, BUY, 100, 1, post_only=True).status == "open"
    exchange.mine()
    assert exchange.place(MAKER, BUY, 100, 1).status == "open"


def test_checks_apply_in_order(exchange: Exchange) -> None:
    """The order is wrong in every respect; each correction reveals the next."""
    exchange.place(MAKER, BUY, 50, 1, key=5, market=2, name="mine")
    wrong: dict[str, Any] = {
        "market": 9, "side": 7, "tif": 9, "price": 0, "quantity": 0, "expiry": 1, "sequence": LAST_SEQUENCE,
        "reduce_only": True, "conversion_limit": 1, "max_fee_bps": 0, "epoch": 3, "post_only": True, "key": 5,
        "expect_filled": 9, "name": "mine",
    }  # fmt: skip
    steps: list[tuple[str, dict[str, Any]]] = [
        ("unknownMarket", {"market": 1}),
        ("invalidSide", {"side": BUY}),
        ("invalidTimeInForce", {"tif": IOC}),
        ("invalidPrice", {"price": 100}),
        ("invalidQuantity", {"quantity": 10**6}),
        ("orderExpired", {"expiry": MAX_TIMED_EXPIRY}),
        ("invalidNonce", {"sequence": 7}),
        ("reduceOnlySpot", {"reduce_only": False}),
        ("unexpectedConversionLimit", {"conversion_limit": 0}),
        ("feeAboveCap", {"max_fee_bps": 50}),
        ("staleEpoch", {"epoch": 0}),
        ("invalidPostOnly", {"tif": GTD}),
        ("nonceKeyMarket", {"key": 6}),
        ("expectFilledMismatch", {"expect_filled": None}),
        ("duplicateClientOrderId", {"name": "other"}),
    ]
    for sequence, (code, correction) in enumerate(steps):
        unused = {"sequence": 10 + sequence} if wrong["sequence"] != LAST_SEQUENCE else {}
        assert refused(exchange.place(MAKER, **(wrong | unused)))[0] == code
        wrong |= correction
    assert refused(exchange.place(MAKER, **(wrong | {"sequence": 99}))) == ("insufficientBalance", "quantity")


def test_rejection_is_an_order_update_and_nothing_else(exchange: Exchange) -> None:
    exchange.place(MAKER, BUY, 100, 10**6)
    (update,) = exchange.events
    assert isinstance(update, OrderUpdate)
    assert (update.status, update.code, update.depth_change) == ("rejected", "insufficientBalance", 0)


def test_order_before_configuration_is_refused() -> None:
    exchange = Exchange()
    core = Core()
    result, events = core.execute(exchange.command(exchange.order(MAKER, BUY, 1, 1)), START_MS)
    assert isinstance(result, PlaceResult)
    assert refused(result) == (Code.NOT_CONFIGURED, "")
    assert [type(event) for event in events] == [CommandRefused]


def test_unknown_account_is_refused_by_balance(exchange: Exchange) -> None:
    stranger = b"\x99" * 20
    assert refused(exchange.place(stranger, BUY, 100, 1)) == (Code.INSUFFICIENT_BALANCE, "quantity")
    assert refused(exchange.place(stranger, SELL, 100, 1)) == (Code.INSUFFICIENT_BALANCE, "quantity")


def test_command_is_kept_whole(exchange: Exchange) -> None:
    """Nothing of a command is changed by executing it."""
    command = exchange.command(exchange.order(MAKER, BUY, 100, 1))
    copy = PlaceOrder(*[getattr(command, field) for field in command.__struct_fields__])
    exchange.run(command)
    assert command == copy
