"""Bad input is refused with a code and the field at fault; good input becomes exactly the command that was signed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offchain.chain import eip712
from offchain.domain.market import Market
from offchain.domain.order import NO_EXPIRY, SelfTrade, Side, TimeInForce
from offchain.intake import IntakeError, decode_object
from tests.unit.api.exchange import BTC_USDC, DOMAIN, ETH_USDC, MAKER, NOW_MS, create_body, create_order
from tests.unit.intake.cases import CROSS, INTAKE, LATER, refusal, refusal_of

# ---------------------------------------------------------------------------------------------------------------------
# Form
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"order"',
        b"{'account': 1}",
        b'{"price": NaN}',
        b'{"price": Infinity}',
        b'{"a": 1} {"b": 2}',
        b'{"account": "\xff"}',
        b'{"a": ' + b"[" * 15_000 + b"]" * 15_000 + b"}",
        b'{"nonce": ' + b"9" * 5_000 + b"}",
    ],
    ids=lambda raw: repr(raw[:24]),
)
def test_what_is_no_json_object_is_malformed(raw: bytes) -> None:
    assert refusal(raw) == ("malformedJson", "")


def test_a_field_given_twice_is_named() -> None:
    raw = json.dumps(create_body(MAKER)).encode()[:-1] + b', "price": "1"}'
    assert refusal(raw) == ("duplicateField", "price")


def test_many_repeated_fields_are_found_quickly() -> None:
    raw = b"{" + b",".join(b'"%d":0' % number for number in range(50_000)) + b',"7":1}'
    with pytest.raises(IntakeError):
        decode_object(raw)


def test_unknown_fields_are_named() -> None:
    assert refusal_of(leverage=10) == ("unknownField", "leverage")


def test_a_field_name_that_cannot_be_encoded_is_shown() -> None:
    code, param = refusal(b'{"\\ud800": 1}')
    assert (code, param) == ("unknownField", "\\ud800")
    assert len(refusal(b'{"' + b"x" * 500 + b'": 1}')[1]) <= 64


@pytest.mark.parametrize(
    "name",
    [
        "account",
        "market",
        "side",
        "type",
        "timeInForce",
        "price",
        "quantity",
        "nonce",
        "maxFeeBps",
        "signature",
    ],
)
def test_missing_fields_are_named(name: str) -> None:
    body = create_body(MAKER)
    del body[name]
    assert refusal(json.dumps(body).encode()) == ("missingField", name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("account", 1),
        ("market", None),
        ("price", 95000.1),
        ("price", 95000),
        ("quantity", 0.5),
        ("nonce", 1),
        ("epoch", "0"),
        ("epoch", 0.0),
        ("epoch", True),
        ("epoch", None),
        ("expiry", "1800000060"),
        ("expiry", 1.8e9),
        ("maxFeeBps", "50"),
        ("postOnly", 1),
        ("reduceOnly", "no"),
        ("signature", ["0x"]),
        ("clientOrderId", {}),
        ("expectFilled", 0),
        ("selfTradePrevention", None),
    ],
)
def test_wrong_types_are_named(name: str, value: Any) -> None:
    assert refusal_of(**{name: value}) == ("invalidType", name)


# ---------------------------------------------------------------------------------------------------------------------
# Numbers
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1e5",
        "1E5",
        "-1",
        "+1",
        " 1",
        "1 ",
        "01",
        "00",
        ".5",
        "1.",
        "1,0",
        "0x10",
        "1_000",
        "\u0661",
        "NaN",
        "1.2345678",
        "9" * 40,
    ],
)
def test_prices_are_plain_decimals(text: str) -> None:
    assert refusal_of(price=text) == ("invalidNumber", "price")


@pytest.mark.parametrize("text", ["1e-5", "-0.5", "0.500000000", "½", "0,5", "0.5 "])
def test_quantities_are_plain_decimals(text: str) -> None:
    assert refusal_of(quantity=text) == ("invalidNumber", "quantity")


@pytest.mark.parametrize("text", ["-1", "1.0", "0x1", "01", "18446744073709551616", "9" * 100, ""])
def test_nonces_are_u64_in_digits(text: str) -> None:
    assert refusal_of(nonce=text) == ("invalidNumber", "nonce")


@pytest.mark.parametrize("text", ["0", "0.0", "95000.15", "10000000.1", "99999999999999999999"])
def test_prices_are_positive_ticks_up_to_the_highest(text: str) -> None:
    assert refusal_of(price=text) == ("invalidPrice", "price")


@pytest.mark.parametrize("text", ["0", "0.000001", "0.500001", "10000.00001"])
def test_quantities_are_positive_lots_up_to_the_largest(text: str) -> None:
    assert refusal_of(quantity=text) == ("invalidQuantity", "quantity")


def test_refusals_name_tick_and_lot() -> None:
    with pytest.raises(IntakeError, match=r"tick 0\.1 and at most 10000000 in BTC-USDC"):
        INTAKE.place(json.dumps(create_body(MAKER, price="0.05")).encode(), NOW_MS)
    with pytest.raises(IntakeError, match=r"lot 0\.00001 and at most 10000 in BTC-USDC"):
        INTAKE.place(json.dumps(create_body(MAKER, quantity="0.000001")).encode(), NOW_MS)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"epoch": 2**32}, ("invalidNumber", "epoch")),
        ({"epoch": -1}, ("invalidNumber", "epoch")),
        ({"maxFeeBps": 65_536}, ("invalidNumber", "maxFeeBps")),
        ({"maxFeeBps": -1}, ("invalidNumber", "maxFeeBps")),
        ({"epoch": 10**100}, ("invalidNumber", "epoch")),
        ({"expectFilled": "0.000001"}, ("invalidQuantity", "expectFilled")),
        ({"expectFilled": "1e3"}, ("invalidNumber", "expectFilled")),
    ],
)
def test_integers_have_bounds(changes: dict[str, Any], expected: tuple[str, str]) -> None:
    assert refusal_of(**changes) == expected


# ---------------------------------------------------------------------------------------------------------------------
# Content
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"account": "0x12"}, ("invalidAddress", "account")),
        ({"account": "12" * 20}, ("invalidAddress", "account")),
        ({"account": "0x" + "zz" * 20}, ("invalidAddress", "account")),
        ({"market": "BTC/USDC"}, ("unknownMarket", "market")),
        ({"market": "\ud800"}, ("unknownMarket", "market")),
        ({"side": "BUY"}, ("invalidSide", "side")),
        ({"side": "\ud800"}, ("invalidSide", "side")),
        ({"type": "stop"}, ("invalidValue", "type")),
        ({"timeInForce": "DAY"}, ("invalidTimeInForce", "timeInForce")),
        ({"type": "market"}, ("invalidTimeInForce", "timeInForce")),
        ({"type": "market", "timeInForce": "FOK", "expiry": LATER}, ("invalidTimeInForce", "timeInForce")),
        ({"expiry": LATER}, ("invalidExpiry", "expiry")),
        ({"timeInForce": "GTD"}, ("missingField", "expiry")),
        ({"timeInForce": "IOC"}, ("missingField", "expiry")),
        ({"timeInForce": "GTD", "expiry": 2**40}, ("invalidExpiry", "expiry")),
        ({"timeInForce": "GTD", "expiry": -1}, ("invalidExpiry", "expiry")),
        ({"timeInForce": "GTD", "expiry": NOW_MS // 1000}, ("orderExpired", "expiry")),
        ({"selfTradePrevention": "none"}, ("invalidValue", "selfTradePrevention")),
        ({"clientOrderId": ""}, ("invalidValue", "clientOrderId")),
        ({"clientOrderId": "x" * 65}, ("invalidValue", "clientOrderId")),
        ({"clientOrderId": "ä"}, ("invalidValue", "clientOrderId")),
    ],
)
def test_content_is_checked(changes: dict[str, Any], expected: tuple[str, str]) -> None:
    assert refusal_of(**changes) == expected


# ---------------------------------------------------------------------------------------------------------------------
# Good input
# ---------------------------------------------------------------------------------------------------------------------


def test_everything_that_is_not_signed_is_passed_on() -> None:
    order = create_order(MAKER)
    body = create_body(
        MAKER,
        order,
        postOnly=True,
        selfTradePrevention="expireBoth",
        clientOrderId="a-1",
        expectFilled="0.00002",
    )
    command = INTAKE.place(json.dumps(body).encode(), NOW_MS)
    assert command.order == order
    assert command.order_hash == eip712.order_hash(order)
    assert command.signature == bytes.fromhex(body["signature"][2:])
    assert (command.order_type, command.post_only, command.self_trade) == ("limit", True, SelfTrade.EXPIRE_BOTH)
    assert (command.client_order_id, command.expect_filled, command.received_ms) == ("a-1", 2, NOW_MS)


def test_addresses_and_signatures_may_be_upper_case() -> None:
    body = create_body(MAKER)
    body["account"] = "0x" + body["account"][2:].upper()
    body["signature"] = "0x" + body["signature"][2:].upper()
    assert INTAKE.place(json.dumps(body).encode(), NOW_MS).order.account == MAKER.address


@st.composite
def orders(draw: st.DrawFn) -> tuple[Market, Any]:
    market = draw(st.sampled_from((BTC_USDC, ETH_USDC)))
    time_in_force = draw(st.sampled_from(TimeInForce))
    price = draw(st.integers(1, market.max_price // market.tick_size)) * market.tick_size
    gtc = time_in_force is TimeInForce.GTC
    return market, create_order(
        MAKER,
        market=market.id,
        side=draw(st.sampled_from(Side)),
        time_in_force=time_in_force,
        price=market.price_per_lot(price),
        quantity=draw(st.integers(1, market.max_quantity)),
        nonce=draw(st.integers(0, 2**64 - 1)),
        epoch=draw(st.integers(0, 2**32 - 1)),
        expiry=NO_EXPIRY if gtc else draw(st.integers(NOW_MS // 1000 + 1, 2**40 - 1)),
        max_fee_bps=draw(st.integers(0, 2**16 - 1)),
        reduce_only=draw(st.booleans()),
    )


@settings(max_examples=100, deadline=None)
@given(orders())
def test_the_command_is_what_was_signed(drawn: tuple[Market, Any]) -> None:
    _, order = drawn
    command = INTAKE.place(json.dumps(create_body(MAKER, order)).encode(), NOW_MS)
    assert command.order == order
    assert eip712.recover(eip712.order_digest(DOMAIN, command.order_hash), command.signature) == MAKER.address


@pytest.mark.parametrize(
    ("market", "text", "expected"),
    [
        (CROSS, None, ("conversionLimitMissing", "conversionLimit")),
        (CROSS, "0", ("invalidNumber", "conversionLimit")),
        (CROSS, "1e5", ("invalidNumber", "conversionLimit")),
        (CROSS, "0.0000001", ("invalidNumber", "conversionLimit")),
        (CROSS, "18446744073709.551616", ("invalidNumber", "conversionLimit")),
        (BTC_USDC, "64000", ("unexpectedConversionLimit", "conversionLimit")),
    ],
)
def test_a_conversion_limit_belongs_to_cross_quoted_markets(
    market: Market, text: str | None, expected: tuple[str, str]
) -> None:
    changes = {} if text is None else {"conversionLimit": text}
    assert refusal_of(market=market.symbol, price="0.1", quantity="2", **changes) == expected


def test_a_cross_quoted_order_is_signed_with_its_limit() -> None:
    order = create_order(MAKER, market=CROSS.id, price=50_000_000, quantity=2_000, conversion_limit=64_000_500_000)
    body = create_body(MAKER, order, market="ETH-BTC", price="0.05", quantity="2", conversionLimit="64000.5")
    assert INTAKE.place(json.dumps(body).encode(), NOW_MS).order == order
