"""Orders that traders of the model may want, signed, and what they must reserve.

Everything here follows docs/API.md alone: the integers that are signed, the decimal strings, the reservations.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import ceil
from typing import Any

from hypothesis import strategies as st

from offchain.chain import eip712
from offchain.domain.market import Market
from offchain.domain.order import NO_EXPIRY, Order
from tests.stateful.api_world import BOOKS, TRADERS
from tests.unit.api.derivatives import PERP, PUT
from tests.unit.api.exchange import BTC_USDC, DOMAIN, FEE_BPS, Trader

LOTS_PER_BTC = 100_000
QUANTA_PER_LOT = 1_000
USDC_UNIT = 10**6
FEE = Fraction(FEE_BPS, 10_000)
INITIAL_MARGIN = Fraction(1_000, 10_000)
PUT_COLLATERAL = 900_000
"""micro-USDC per lot: the strike"""

CENTER = {BTC_USDC.symbol: (950_007, 1_003), PERP.symbol: (950_007, 1_003), PUT.symbol: (25_003, 501)}
"""by market: price in micro-USDC per lot, and a step; odd, so that fees and margins have to be rounded"""

MARKETS = {market.symbol: market for market in BOOKS}
TIMES_IN_FORCE = ("GTC", "GTD", "IOC", "FOK")


@dataclass(frozen=True)
class Intent:
    """An order before it has a nonce and a time."""

    symbol: str
    side: str
    step: int
    lots: int
    time_in_force: str
    is_market: bool
    key: int
    jump: int
    """from the latest sequence of the key to this one"""
    life: int
    """seconds until it expires, where it does"""
    reduce_only: bool
    unsigned: dict[str, Any] = field(default_factory=dict)
    trigger: tuple[str, str, int] | None = None
    """kind, by which price, step"""

    @property
    def market(self) -> Market:
        return MARKETS[self.symbol]

    @property
    def price(self) -> int:
        """micro-USDC per lot"""
        return price_at(self.symbol, self.step)


def price_at(symbol: str, step: int) -> int:
    center, width = CENTER[symbol]
    return center + step * width


unsigned_fields = st.fixed_dictionaries(
    {},
    optional={
        "postOnly": st.just(True),
        "selfTradePrevention": st.sampled_from(("expireMaker", "expireTaker", "expireBoth")),
        "clientOrderId": st.sampled_from(tuple("abcdefgh")),
    },
)
triggers = st.tuples(
    st.sampled_from(("stop", "takeProfit")), st.sampled_from(("last", "last", "mark", "index")), st.integers(-4, 4)
)
symbols = st.sampled_from([market.symbol for market in (BTC_USDC, BTC_USDC, PERP, PERP, PUT)])
quantities = st.one_of(st.integers(1, 12), st.integers(1, 400), st.integers(1, 400), st.sampled_from((9_000, 30_000)))

intents = st.builds(
    Intent,
    symbol=symbols,
    side=st.sampled_from(("buy", "sell")),
    step=st.integers(-4, 4),
    lots=quantities,
    time_in_force=st.sampled_from(("GTC",) * 4 + ("GTD",) * 2 + ("IOC", "FOK")),
    is_market=st.booleans(),
    key=st.integers(0, 5),
    jump=st.sampled_from((1,) * 12 + (2, 0, -1)),
    life=st.integers(1, 60),
    reduce_only=st.sampled_from((False,) * 4 + (True,)),
    unsigned=st.one_of(st.just({}), st.just({}), unsigned_fields),
    trigger=st.one_of(st.none(), st.none(), st.none(), triggers),
)


@st.composite
def taking(draw: st.DrawFn) -> Intent:
    """An order that meets whatever is on the other side."""
    intent = draw(intents)
    step = draw(st.integers(2, 4))
    return replace(intent, step=step if intent.side == "buy" else -step, jump=1, trigger=None, unsigned={})


def quotes(spread: int, lots: int) -> list[Intent]:
    """One bid and one offer in each market."""
    terms: dict[str, Any] = {"time_in_force": "GTC", "is_market": False, "jump": 1, "life": 1, "reduce_only": False}
    return [
        Intent(symbol, side, spread * (1 if side == "sell" else -1), lots, key=key, **terms)
        for symbol in MARKETS
        for key, side in enumerate(("buy", "sell"))
    ]


def price_text(price: int) -> str:
    """USDC per BTC, of micro-USDC per lot."""
    return f"{price // 10}.{price % 10}" if price % 10 else str(price // 10)


def quantity_text(lots: int) -> str:
    whole, rest = divmod(lots, LOTS_PER_BTC)
    return f"{whole}.{rest:05}".rstrip("0") if rest else str(whole)


def units(text: str, scale: int) -> int:
    """An amount of the API in its smallest units; it must be a whole number of them."""
    value = Fraction(text) * scale
    assert value.denominator == 1, text
    return value.numerator


@dataclass(eq=False)
class Placement:
    """A signed order, as it is posted."""

    name: str
    order: Order
    order_id: str
    body: dict[str, Any]
    market: Market


class Desk:
    """Gives orders their nonces and signatures, and remembers which nonces were used."""

    def __init__(self) -> None:
        self.latest: dict[tuple[str, int], int] = {}
        self.placements: dict[str, Placement] = {}
        """by order id"""

    def key_of(self, intent: Intent) -> int:
        """A nonce key belongs to one market."""
        return 10 * BOOKS.index(intent.market) + intent.key

    def sign(self, name: str, intent: Intent, now_ms: int, **changes: Any) -> Placement:
        """`changes` are of the signed order."""
        trader = TRADERS[name]
        key = self.key_of(intent)
        latest = self.latest.get((name, key), 0)
        sequence = max(0, latest + intent.jump)
        tif = intent.time_in_force
        fields: dict[str, Any] = {
            "account": trader.address,
            "market": intent.market.id,
            "side": ("buy", "sell").index(intent.side),
            "time_in_force": TIMES_IN_FORCE.index(tif),
            "reduce_only": intent.reduce_only and intent.market is not BTC_USDC,
            "price": intent.price,
            "quantity": intent.lots,
            "nonce": key << 32 | sequence,
            "epoch": 0,
            "expiry": NO_EXPIRY if tif == "GTC" else now_ms // 1000 + intent.life,
            "max_fee_bps": FEE_BPS,
        }
        order = Order(**fields | changes)
        body = terms(trader, order, intent.market) | unsigned_terms(intent)
        if intent.is_market and tif == "IOC":
            body["type"] = "market"
        body["signature"] = trader.sign(order)
        order_id = "0x" + eip712.order_hash(order).hex()
        self.placements[order_id] = placement = Placement(name, order, order_id, body, intent.market)
        return placement

    def used(self, placement: Placement) -> None:
        """The engine has decided on it."""
        order = placement.order
        where = (placement.name, order.nonce >> 32)
        self.latest[where] = max(self.latest.get(where, 0), order.nonce & 0xFFFF_FFFF)


def terms(trader: Trader, order: Order, market: Market) -> dict[str, Any]:
    body: dict[str, Any] = {
        "account": trader.account,
        "market": market.symbol,
        "side": ("buy", "sell")[order.side],
        "type": "limit",
        "timeInForce": TIMES_IN_FORCE[order.time_in_force],
        "price": price_text(order.price),
        "quantity": quantity_text(order.quantity),
        "nonce": str(order.nonce),
        "maxFeeBps": order.max_fee_bps,
    }
    if order.epoch:
        body["epoch"] = order.epoch
    if order.expiry != NO_EXPIRY:
        body["expiry"] = order.expiry
    if order.reduce_only:
        body["reduceOnly"] = True
    return body


def unsigned_terms(intent: Intent) -> dict[str, Any]:
    """Without what would make the order impossible in itself."""
    body = dict(intent.unsigned)
    if intent.time_in_force in ("IOC", "FOK"):
        body.pop("postOnly", None)
    if intent.trigger is not None:
        kind, by, step = intent.trigger
        if by == "index" and intent.market is BTC_USDC:
            by = "mark"
        price = price_at(PERP.symbol if by == "index" else intent.symbol, step)
        body |= {"trigger": kind, "triggerPrice": price_text(price), "triggerBy": by}
    return body


def array_of(placements: list[Placement]) -> dict[str, Any]:
    """Under one signature."""
    hashes = [bytes.fromhex(placement.order_id[2:]) for placement in placements]
    key = TRADERS[placements[0].name].key
    signature = eip712.sign(DOMAIN.digest(eip712.array_hash(hashes)), key)
    orders = [
        {name: value for name, value in placement.body.items() if name != "signature"} for placement in placements
    ]
    return {"orders": orders, "signature": "0x" + signature.hex()}


# ---------------------------------------------------------------------------------------------------------------------
# What is reserved
# ---------------------------------------------------------------------------------------------------------------------


def reservation(placement: Placement, lots: int) -> tuple[str, int]:
    """Of which asset, and how many of its smallest units, so many open lots of an order reserve, see docs/API.md."""
    order, market = placement.order, placement.market
    is_buy = order.side == 0
    notional = order.price * lots
    fee = ceil(notional * FEE)
    if market is BTC_USDC:
        return ("USDC", notional + fee) if is_buy else ("BTC", lots * QUANTA_PER_LOT)
    if order.reduce_only:
        return "USDC", 0
    if market is PUT:
        return "USDC", max(0, notional + fee if is_buy else lots * PUT_COLLATERAL + fee - notional)
    return "USDC", ceil(notional * INITIAL_MARGIN) + fee


# ---------------------------------------------------------------------------------------------------------------------
# What is wrong
# ---------------------------------------------------------------------------------------------------------------------


def _without(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda body: {field: value for field, value in body.items() if field != name}


def _with(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda body: body | changes


def _twice(body: dict[str, Any]) -> bytes:
    text = json.dumps(body)
    return (text[:-1] + ', "side": "buy"}').encode()


FAULTS: dict[str, tuple[Callable[[dict[str, Any]], Any], str, str | None]] = {
    "not JSON": (lambda body: json.dumps(body).encode()[:-1], "malformedJson", None),
    "no object": (lambda body: b"[1]", "malformedJson", None),
    "not UTF-8": (lambda body: b'{"account": "\xff"}', "malformedJson", None),
    "not a number": (lambda body: b'{"maxFeeBps": NaN}', "malformedJson", None),
    "a field twice": (_twice, "duplicateField", "side"),
    "a field too many": (_with(leverage="100"), "unknownField", "leverage"),
    "no signature": (_without("signature"), "missingField", "signature"),
    "no price": (_without("price"), "missingField", "price"),
    "a price that is a number": (_with(price=95_000), "invalidType", "price"),
    "a null": (_with(quantity=None), "invalidType", "quantity"),
    "a flag that is a text": (_with(postOnly="yes"), "invalidType", "postOnly"),
    "an exponent": (_with(price="95e3"), "invalidNumber", "price"),
    "a sign": (_with(quantity="-1"), "invalidNumber", "quantity"),
    "a leading zero": (_with(price="095000"), "invalidNumber", "price"),
    "an address too short": (_with(account="0x12"), "invalidAddress", "account"),
    "a price off the tick": (_with(price="95000.05"), "invalidPrice", "price"),
    "a price of zero": (_with(price="0"), "invalidPrice", "price"),
    "a price too high": (_with(price="10000000.1"), "invalidPrice", "price"),
    "part of a lot": (_with(quantity="0.000001"), "invalidQuantity", "quantity"),
    "nothing": (_with(quantity="0"), "invalidQuantity", "quantity"),
    "an unknown market": (_with(market="DOGE-USDC"), "unknownMarket", "market"),
    "an unknown side": (_with(side="long"), "invalidSide", "side"),
    "an unknown time in force": (_with(timeInForce="DAY"), "invalidTimeInForce", "timeInForce"),
    "an unknown type": (_with(type="stop"), "invalidValue", "type"),
    "a market order that rests": (_with(type="market", timeInForce="GTC"), "invalidTimeInForce", "timeInForce"),
    "an expiry of GTC": (_with(timeInForce="GTC", type="limit", expiry=2_000_000_000), "invalidExpiry", "expiry"),
    "no expiry of GTD": (
        lambda body: _without("expiry")(body) | {"timeInForce": "GTD", "type": "limit"},
        "missingField",
        "expiry",
    ),
    "an expiry that has passed": (
        _with(timeInForce="GTD", type="limit", expiry=1_700_000_000),
        "orderExpired",
        "expiry",
    ),
    "an impossible self-trade mode": (_with(selfTradePrevention="none"), "invalidValue", "selfTradePrevention"),
    "a name with a space": (_with(clientOrderId="a b"), "invalidValue", "clientOrderId"),
    "an id too short": (_with(replaces="0x12"), "invalidOrderId", "replaces"),
    "a trigger without price": (
        lambda body: _without("triggerPrice")(body) | {"trigger": "stop"},
        "missingField",
        "triggerPrice",
    ),
    "a trigger off the tick": (_with(trigger="stop", triggerPrice="95000.05"), "invalidTrigger", "triggerPrice"),
    "a conversion limit": (_with(conversionLimit="1"), "unexpectedConversionLimit", "conversionLimit"),
    "a short signature": (_with(signature="0x12"), "invalidSignature", "signature"),
    "a signature of zeros": (_with(signature="0x" + "00" * 64), "invalidSignature", "signature"),
    "another quantity than signed": (_with(quantity="77"), "signerMismatch", "signature"),
    "another market than signed": (_with(market="ETH-USDC"), "unknownMarket", "market"),
    "too much": (_with(clientOrderId="x" * 20_000), "bodyTooLarge", None),
}
"""What is done to a body, the code that it is refused with, and what that names. None of it reaches the engine."""
