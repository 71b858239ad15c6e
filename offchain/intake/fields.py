"""The fields of a body as numbers, units and choices of a market."""

from __future__ import annotations

import re
from collections.abc import Collection

from offchain.domain.errors import Code
from offchain.domain.market import USDC_DECIMALS, Market
from offchain.domain.order import (
    MAX_TIMED_EXPIRY,
    NO_EXPIRY,
    Address,
    OrderHash,
    SelfTrade,
    Side,
    TimeInForce,
    Trigger,
    TriggerKind,
    TriggerSource,
)
from offchain.domain.units import format_units, parse_units
from offchain.intake.bodies import IntakeCode, IntakeError, OrderTerms

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_HASH = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
_SIGNATURE = re.compile(r"0x(?:[0-9a-fA-F]{128}|[0-9a-fA-F]{130})", re.ASCII)
CLIENT_ORDER_ID = re.compile(r"[A-Za-z0-9._\-]{1,64}", re.ASCII)

# Plain numbers: looking a member up on its class costs more than comparing with it.
SIDES = {"buy": int(Side.BUY), "sell": int(Side.SELL)}
TIMES_IN_FORCE = {tif.name: int(tif) for tif in TimeInForce}
_GTC = int(TimeInForce.GTC)
SELF_TRADES = {mode.value: mode for mode in SelfTrade}
_TRIGGERS = {kind.value: kind for kind in TriggerKind}
_TRIGGER_SOURCES = {source.value: source for source in TriggerSource}


def parse_address(text: str, param: str = "account") -> Address:
    if _ADDRESS.fullmatch(text) is None:
        raise IntakeError(IntakeCode.INVALID_ADDRESS, param, f"{param} must be 0x and 40 hexadecimal digits")
    return bytes.fromhex(text[2:])


def parse_order_id(text: str, param: str = "id") -> OrderHash:
    if _HASH.fullmatch(text) is None:
        raise IntakeError(IntakeCode.INVALID_ORDER_ID, param, "an order id is 0x and 64 hexadecimal digits")
    return bytes.fromhex(text[2:])


def parse_signature(text: str) -> bytes:
    if _SIGNATURE.fullmatch(text) is None:
        detail = "signature must be 0x and 64 bytes (EIP-2098) or 65 bytes (r, s, v) in hexadecimal"
        raise IntakeError(IntakeCode.INVALID_SIGNATURE, "signature", detail)
    return bytes.fromhex(text[2:])


def no_choice(options: Collection[str], param: str, code: str) -> IntakeError:
    return IntakeError(code, param, f"{param} must be one of {', '.join(options)}")


def check_market_order(order_type: str, time_in_force: int) -> None:
    """Of everything but limit orders. Raises IntakeError."""
    if order_type != "market":
        raise IntakeError(IntakeCode.INVALID_VALUE, "type", "type must be one of limit, market")
    if time_in_force != TimeInForce.IOC:
        detail = "a market order is IOC, with its worst price signed"
        raise IntakeError(Code.INVALID_TIME_IN_FORCE, "timeInForce", detail)


def bounded(value: int, largest: int, param: str, code: str = IntakeCode.INVALID_NUMBER) -> int:
    """`value` if it is from 0 to `largest`; IntakeError otherwise."""
    if not 0 <= value <= largest:
        raise IntakeError(code, param, f"{param} must be from 0 to {largest}")
    return value


MAX_EPOCH, MAX_FEE_BPS = 2**32 - 1, 2**16 - 1


def parse_number(text: str, decimals: int, param: str) -> int:
    """Quanta of 10^-decimals; IntakeError for anything but a decimal number with no more decimals."""
    try:
        return parse_units(text, decimals)
    except ValueError as error:
        raise IntakeError(IntakeCode.INVALID_NUMBER, param, f"{param} {error}") from None


def parse_conversion_limit(text: str | None, market: Market) -> int:
    """micro-USDC per whole quote unit; 0 where the market is quoted in USDC."""
    if not market.is_cross_quoted:
        if text is not None:
            detail = f"{market.symbol} is quoted in USDC and has no conversion limit"
            raise IntakeError(Code.UNEXPECTED_CONVERSION_LIMIT, "conversionLimit", detail)
        return 0
    if text is None:
        detail = f"{market.symbol} is not quoted in USDC: conversionLimit says at which rate, in USDC, it may be paid"
        raise IntakeError(Code.CONVERSION_LIMIT_MISSING, "conversionLimit", detail)
    limit = parse_number(text, USDC_DECIMALS, "conversionLimit")
    if not 0 < limit <= 2**64 - 1:
        highest = format_units(2**64 - 1, USDC_DECIMALS)
        detail = f"conversionLimit must be positive and at most {highest}"
        raise IntakeError(IntakeCode.INVALID_NUMBER, "conversionLimit", detail)
    return limit


def parse_price(text: str, market: Market) -> int:
    """As signed: micro-USDC, or 10^-12 whole quote units, per lot."""
    price = parse_number(text, market.price_decimals, "price")
    if price == 0 or price % market.tick_size or price > market.max_price:
        tick = format_units(market.tick_size, market.price_decimals)
        highest = format_units(market.max_price, market.price_decimals)
        detail = f"price must be a positive multiple of the tick {tick} and at most {highest} in {market.symbol}"
        raise IntakeError(Code.INVALID_PRICE, "price", detail)
    return market.price_per_lot(price)


def lots_of(text: str, market: Market, param: str, smallest: int) -> int:
    quantity = parse_number(text, market.decimals, param)
    lots, rest = divmod(quantity, market.lot_size)
    if rest or not smallest <= lots <= market.max_quantity:
        lot = format_units(market.lot_size, market.decimals)
        largest = format_units(market.max_quantity * market.lot_size, market.decimals)
        positive = "positive " if smallest else ""
        detail = f"{param} must be a {positive}multiple of the lot {lot} and at most {largest} in {market.symbol}"
        raise IntakeError(Code.INVALID_QUANTITY, param, detail)
    return lots


def parse_lots(text: str, market: Market, param: str) -> int:
    """A positive quantity of a market's base asset, in lots. Raises IntakeError."""
    return lots_of(text, market, param, 1)


def parse_trigger(body: OrderTerms, market: Market) -> Trigger | None:
    if body.trigger is None:
        if body.trigger_price is None and body.trigger_by is None:
            return None
        name = "triggerBy" if body.trigger_price is None else "triggerPrice"
        raise IntakeError(IntakeCode.MISSING_FIELD, "trigger", f"trigger is missing; {name} needs one")
    if body.trigger_price is None:
        raise IntakeError(IntakeCode.MISSING_FIELD, "triggerPrice", "triggerPrice is missing; a trigger needs one")
    kind = _TRIGGERS.get(body.trigger)
    if kind is None:
        raise no_choice(_TRIGGERS, "trigger", IntakeCode.INVALID_VALUE)
    source = TriggerSource.LAST if body.trigger_by is None else _TRIGGER_SOURCES.get(body.trigger_by)
    if source is None:
        raise no_choice(_TRIGGER_SOURCES, "triggerBy", IntakeCode.INVALID_VALUE)
    price = parse_number(body.trigger_price, market.price_decimals, "triggerPrice")
    # How high it may be depends on which price it is compared with, which the core knows.
    if price % market.tick_size or price > 2**63:
        tick = format_units(market.tick_size, market.price_decimals)
        detail = f"triggerPrice must be a multiple of the tick {tick} in {market.symbol}"
        raise IntakeError(Code.INVALID_TRIGGER, "triggerPrice", detail)
    return Trigger(kind, source, market.price_per_lot(price))


def parse_expiry(body: OrderTerms, time_in_force: int, received_ms: int) -> int:
    """Unix seconds as signed."""
    if time_in_force == _GTC:
        if body.expiry is not None:
            raise IntakeError(Code.INVALID_EXPIRY, "expiry", "a GTC order has no expiry; it signs 2^64-1")
        return NO_EXPIRY
    if body.expiry is None:
        raise IntakeError(IntakeCode.MISSING_FIELD, "expiry", f"expiry is missing; {body.time_in_force} needs one")
    if not 0 <= body.expiry <= MAX_TIMED_EXPIRY:
        raise IntakeError(Code.INVALID_EXPIRY, "expiry", f"expiry must be from 0 to {MAX_TIMED_EXPIRY}")
    if body.expiry * 1000 <= received_ms:
        raise IntakeError(Code.ORDER_EXPIRED, "expiry", f"the order expired at {body.expiry}, now is {received_ms} ms")
    return body.expiry
