"""From the bytes of a request to a command: form, numbers, market, units, signature.

What is refused here never reaches the core and is not remembered. Intake reserves nothing and decides nothing that
depends on the state of accounts; the core checks the order's content again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from enum import StrEnum
from typing import Annotated, Any, NoReturn, TypeVar, get_origin

import msgspec

from offchain.catalogue import Catalogue
from offchain.chain import eip712
from offchain.domain.batch import MAX_LEAVES
from offchain.domain.commands import CancelOrder, PlaceArray, PlaceOrder
from offchain.domain.errors import Code, Rejection
from offchain.domain.market import USDC_DECIMALS, Market
from offchain.domain.order import (
    MAX_TIMED_EXPIRY,
    NO_EXPIRY,
    Address,
    Order,
    OrderHash,
    SelfTrade,
    Side,
    TimeInForce,
    Trigger,
    TriggerKind,
    TriggerSource,
)
from offchain.domain.units import format_units, parse_integer, parse_units


class IntakeCode(StrEnum):
    """Refusals before the core."""

    MALFORMED_JSON = "malformedJson"
    DUPLICATE_FIELD = "duplicateField"
    UNKNOWN_FIELD = "unknownField"
    MISSING_FIELD = "missingField"
    INVALID_TYPE = "invalidType"
    INVALID_NUMBER = "invalidNumber"
    INVALID_VALUE = "invalidValue"
    INVALID_ADDRESS = "invalidAddress"
    INVALID_ORDER_ID = "invalidOrderId"
    INVALID_ACTION_ID = "invalidActionId"
    INVALID_SIGNATURE = "invalidSignature"
    SIGNER_MISMATCH = "signerMismatch"


class IntakeError(Exception):
    """A request that cannot become a command."""

    def __init__(self, code: str, param: str, detail: str) -> None:
        super().__init__(f"{code} ({param}): {detail}")
        self.rejection = Rejection(str(code), param, detail)

    def within(self, place: str) -> IntakeError:
        """The same, of a part of a larger request."""
        code, param, detail = self.rejection.code, self.rejection.param, self.rejection.detail
        return IntakeError(code, f"{place}.{param}" if param else place, detail)


# ---------------------------------------------------------------------------------------------------------------------
# Bodies
# ---------------------------------------------------------------------------------------------------------------------


class OrderTerms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """What an order says. Decimal strings are in whole units (USDC per base unit, base units)."""

    account: str
    market: str
    side: str
    type: str
    time_in_force: str
    price: str
    quantity: str
    nonce: str
    """the signed u64 in decimal digits: key in the upper 32 bits, sequence in the lower"""
    max_fee_bps: int
    epoch: int = 0
    expiry: int | None = None
    """Unix seconds; absent for GTC, required otherwise"""
    reduce_only: bool = False
    post_only: bool = False
    self_trade_prevention: str = SelfTrade.EXPIRE_MAKER
    client_order_id: str | None = None
    expect_filled: str | None = None
    """quantity that the order replaced by this one may have filled"""
    replaces: str | None = None
    """id of the open order that this one must replace"""
    trigger: str | None = None
    """`stop` or `takeProfit`: the order waits until a price reaches `triggerPrice`"""
    trigger_price: str | None = None
    """as `price`"""
    trigger_by: str | None = None
    """which price: `last`, `mark` or `index`; `last` if absent"""
    conversion_limit: str | None = None
    """USDC per whole quote unit; required where the market is not quoted in USDC, and signed"""


class OrderBody(OrderTerms, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """An order as posted."""

    signature: str


class ArrayBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Orders of one account under one signature."""

    orders: Annotated[list[OrderTerms], msgspec.Meta(min_length=2, max_length=MAX_LEAVES)]
    """each as in `POST /v1/orders`, without a signature"""
    signature: str


class CancelBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A cancel as sent with DELETE."""

    account: str
    signature: str


BodyT = TypeVar("BodyT", bound=msgspec.Struct)

Body = bytes | dict[str, Any]
"""JSON, or what `decode_object` made of it"""


class _Duplicate(ValueError):
    """A JSON object names a field twice."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _Duplicate(name)
            seen.add(name)
    return fields


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


# No request nests, and no value of a valid one has a bracket: this bounds the depth before anything is parsed.
_MAX_BRACKETS = 16

_JSON = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
"""Careful: it finds repeated fields, and says where a body is no JSON."""

_FAST_JSON = msgspec.json.Decoder()
"""Takes nothing that the careful one refuses, except repeated fields."""


def _members(value: dict[str, Any], containers: int) -> int:
    """Fields of an object and of all within it; there are no more than so many objects and arrays."""
    members = 0
    within: list[Any] = [value]
    for each in within:  # which grows meanwhile
        values: Any = each
        if type(each) is dict:
            members += len(each)
            values = each.values()
        if len(within) < containers:
            within += [one for one in values if type(one) is dict or type(one) is list]
    return members


def decode_object(raw: bytes) -> dict[str, Any]:
    """A JSON object without repeated fields; anything else is an IntakeError."""
    brackets = raw.count(b"[") + raw.count(b"{")
    if brackets > _MAX_BRACKETS:
        raise IntakeError(IntakeCode.MALFORMED_JSON, "", f"the body has more than {_MAX_BRACKETS} opening brackets")
    try:
        value = _FAST_JSON.decode(raw)
        # Every field has a colon. If there are more of them, a field is repeated, or a text has one.
        if type(value) is dict and _members(value, brackets) == raw.count(b":"):
            return value
    except (ValueError, RecursionError):
        pass  # what follows says why
    try:
        value = _JSON.decode(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise IntakeError(
            IntakeCode.MALFORMED_JSON, "", f"the body is not UTF-8: {error.reason} at byte {error.start}"
        ) from None
    except _Duplicate as error:
        name = shown(error)
        raise IntakeError(IntakeCode.DUPLICATE_FIELD, name, f"{name} is given more than once") from None
    except ValueError as error:
        raise IntakeError(IntakeCode.MALFORMED_JSON, "", f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise IntakeError(IntakeCode.MALFORMED_JSON, "", "the body must be a JSON object")
    return value


def decode_body(raw: Body, shape: type[BodyT]) -> BodyT:
    """`raw` as `shape`; an IntakeError names the first field at fault."""
    fields = decode_object(raw) if isinstance(raw, bytes) else raw
    try:
        return msgspec.convert(fields, shape)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # the second for names with lone surrogates
        raise _explained(fields, shape, error) from None


_JSON_TYPES: dict[Any, str] = {
    str: "a string",
    int: "an integer",
    bool: "true or false",
    float: "a number",
    dict: "an object",
    list: "an array",
}
_PLACE = re.compile(r"`\$\.(\w+)")
"""the field that msgspec names"""


def _explained(fields: dict[str, Any], shape: type[BodyT], error: Exception) -> IntakeError:
    known = {spec.encode_name: spec for spec in msgspec.structs.fields(shape)}
    for name, value in fields.items():
        if name not in known:
            return IntakeError(IntakeCode.UNKNOWN_FIELD, shown(name), f"{shown(name)} is not a field of this body")
        wanted = _wanted(known[name].type)
        if type(value) is not wanted and not (value is None and known[name].default is None):
            given = "null" if value is None else _JSON_TYPES[type(value)]
            hint = ', such as "12.5"' if wanted is str and isinstance(value, int | float) else ""
            detail = f"{name} must be {_JSON_TYPES[wanted]}{hint}, not {given}"
            return IntakeError(IntakeCode.INVALID_TYPE, name, detail)
    for name, spec in known.items():
        if spec.required and name not in fields:
            return IntakeError(IntakeCode.MISSING_FIELD, name, f"{name} is missing")
    place = _PLACE.search(str(error))
    return IntakeError(IntakeCode.INVALID_TYPE, place.group(1) if place else "", str(error))


def _wanted(annotation: Any) -> type:
    """The JSON type behind `T`, `list[T]` or `T | None`."""
    if get_origin(annotation) is list:
        return list
    options: tuple[type, ...] = getattr(annotation, "__args__", ()) or (annotation,)
    return get_origin(options[0]) or options[0]


def shown(name: object) -> str:
    """A client's own text, shortened for an error message and made encodable (JSON can carry lone surrogates)."""
    text = str(name).encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= 64 else text[:61] + "..."


# ---------------------------------------------------------------------------------------------------------------------
# Fields
# ---------------------------------------------------------------------------------------------------------------------

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_HASH = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
_SIGNATURE = re.compile(r"0x(?:[0-9a-fA-F]{128}|[0-9a-fA-F]{130})", re.ASCII)
CLIENT_ORDER_ID = re.compile(r"[A-Za-z0-9._\-]{1,64}", re.ASCII)

# Plain numbers: looking a member up on its class costs more than comparing with it.
_SIDES = {"buy": int(Side.BUY), "sell": int(Side.SELL)}
_TIMES_IN_FORCE = {tif.name: int(tif) for tif in TimeInForce}
_GTC = int(TimeInForce.GTC)
_SELF_TRADES = {mode.value: mode for mode in SelfTrade}
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


def _no_choice(options: Collection[str], param: str, code: str) -> IntakeError:
    return IntakeError(code, param, f"{param} must be one of {', '.join(options)}")


def _check_market_order(order_type: str, time_in_force: int) -> None:
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


_MAX_EPOCH, _MAX_FEE_BPS = 2**32 - 1, 2**16 - 1


def parse_number(text: str, decimals: int, param: str) -> int:
    """Quanta of 10^-decimals; IntakeError for anything but a decimal number with no more decimals."""
    try:
        return parse_units(text, decimals)
    except ValueError as error:
        raise IntakeError(IntakeCode.INVALID_NUMBER, param, f"{param} {error}") from None


def _conversion_limit(text: str | None, market: Market) -> int:
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


def _price(text: str, market: Market) -> int:
    """As signed: micro-USDC, or 10^-12 whole quote units, per lot."""
    price = parse_number(text, market.price_decimals, "price")
    if price == 0 or price % market.tick_size or price > market.max_price:
        tick = format_units(market.tick_size, market.price_decimals)
        highest = format_units(market.max_price, market.price_decimals)
        detail = f"price must be a positive multiple of the tick {tick} and at most {highest} in {market.symbol}"
        raise IntakeError(Code.INVALID_PRICE, "price", detail)
    return market.price_per_lot(price)


def _lots(text: str, market: Market, param: str, smallest: int) -> int:
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
    return _lots(text, market, param, 1)


def _trigger(body: OrderTerms, market: Market) -> Trigger | None:
    if body.trigger is None:
        for name, given in (("triggerPrice", body.trigger_price), ("triggerBy", body.trigger_by)):
            if given is not None:
                raise IntakeError(IntakeCode.MISSING_FIELD, "trigger", f"trigger is missing; {name} needs one")
        return None
    if body.trigger_price is None:
        raise IntakeError(IntakeCode.MISSING_FIELD, "triggerPrice", "triggerPrice is missing; a trigger needs one")
    kind = _TRIGGERS.get(body.trigger)
    if kind is None:
        raise _no_choice(_TRIGGERS, "trigger", IntakeCode.INVALID_VALUE)
    source = TriggerSource.LAST if body.trigger_by is None else _TRIGGER_SOURCES.get(body.trigger_by)
    if source is None:
        raise _no_choice(_TRIGGER_SOURCES, "triggerBy", IntakeCode.INVALID_VALUE)
    price = parse_number(body.trigger_price, market.price_decimals, "triggerPrice")
    # How high it may be depends on which price it is compared with, which the core knows.
    if price % market.tick_size or price > 2**63:
        tick = format_units(market.tick_size, market.price_decimals)
        detail = f"triggerPrice must be a multiple of the tick {tick} in {market.symbol}"
        raise IntakeError(Code.INVALID_TRIGGER, "triggerPrice", detail)
    return Trigger(kind, source, market.price_per_lot(price))


def _expiry(body: OrderTerms, time_in_force: int, received_ms: int) -> int:
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


# ---------------------------------------------------------------------------------------------------------------------
# Commands
# ---------------------------------------------------------------------------------------------------------------------


class Intake:
    """Makes commands of requests. The costly check, the signature, comes last."""

    __slots__ = ("_catalogue",)

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def place(self, raw: Body, received_ms: int) -> PlaceOrder:
        """The command for a posted order; IntakeError if there is none."""
        domain = self._domain()
        body = decode_body(raw, OrderBody)
        command = self._read_terms(body, received_ms)
        digest = eip712.order_digest(domain, command.order_hash)
        signature, delegate = self._verified(domain, digest, body.signature, command.order.account)
        return _signed(command, signature, delegate)

    def place_array(self, raw: Body, received_ms: int) -> PlaceArray:
        """The command for orders that are signed together; IntakeError, with the place in the array, if there is none.

        One signature covers all of them, so that one which cannot be read refuses all.
        """
        domain = self._domain()
        orders, text = _array_of(raw)
        commands: list[PlaceOrder] = []
        for index, fields in enumerate(orders):
            try:
                commands.append(self._read_terms(decode_body(fields, OrderTerms), received_ms))
            except IntakeError as error:
                raise error.within(f"orders[{index}]") from None
        hashes = [command.order_hash for command in commands]
        account = commands[0].order.account
        for index, command in enumerate(commands):
            if command.order.account != account:
                detail = "all orders of an array are of the account that signs it"
                raise IntakeError(IntakeCode.INVALID_VALUE, f"orders[{index}].account", detail)
            if command.order_hash in hashes[:index]:
                detail = f"this order is already number {hashes.index(command.order_hash)} of the array"
                raise IntakeError(IntakeCode.INVALID_VALUE, f"orders[{index}]", detail)
        digest = domain.digest(eip712.array_hash(hashes))
        signature, delegate = self._verified(domain, digest, text, account)
        return PlaceArray([_signed(command, signature, delegate) for command in commands])

    def _read_terms(self, body: OrderTerms, received_ms: int) -> PlaceOrder:
        """The command without its signature. Raises IntakeError."""
        account = parse_address(body.account)
        market = self._catalogue.find(body.market)
        if market is None:
            detail = f"there is no market {shown(body.market)!r}; GET /v1/markets lists them"
            raise IntakeError(Code.UNKNOWN_MARKET, "market", detail)
        time_in_force = _TIMES_IN_FORCE.get(body.time_in_force)
        if time_in_force is None:
            raise _no_choice(_TIMES_IN_FORCE, "timeInForce", Code.INVALID_TIME_IN_FORCE)
        if body.type != "limit":
            _check_market_order(body.type, time_in_force)
        side, self_trade = _SIDES.get(body.side), _SELF_TRADES.get(body.self_trade_prevention)
        if side is None:
            raise _no_choice(_SIDES, "side", Code.INVALID_SIDE)
        order = Order(
            account=account,
            market=market.id,
            side=side,
            time_in_force=time_in_force,
            reduce_only=body.reduce_only,
            price=_price(body.price, market),
            quantity=_lots(body.quantity, market, "quantity", 1),
            nonce=parse_nonce(body.nonce),
            epoch=bounded(body.epoch, _MAX_EPOCH, "epoch"),
            expiry=_expiry(body, time_in_force, received_ms),
            max_fee_bps=bounded(body.max_fee_bps, _MAX_FEE_BPS, "maxFeeBps"),
            conversion_limit=_conversion_limit(body.conversion_limit, market),
        )
        expected = None if body.expect_filled is None else _lots(body.expect_filled, market, "expectFilled", 0)
        if self_trade is None:
            raise _no_choice(_SELF_TRADES, "selfTradePrevention", IntakeCode.INVALID_VALUE)
        if body.client_order_id is not None and CLIENT_ORDER_ID.fullmatch(body.client_order_id) is None:
            detail = "clientOrderId must be 1 to 64 letters, digits, dots, hyphens or underscores"
            raise IntakeError(IntakeCode.INVALID_VALUE, "clientOrderId", detail)
        return PlaceOrder(
            order=order,
            order_hash=eip712.order_hash(order),
            signature=b"",
            received_ms=received_ms,
            order_type=body.type,
            post_only=body.post_only,
            self_trade=self_trade,
            client_order_id=body.client_order_id,
            expect_filled=expected,
            replaces=None if body.replaces is None else parse_order_id(body.replaces, "replaces"),
            trigger=_trigger(body, market),
        )

    def cancel(self, raw: Body, order_id: str, received_ms: int) -> CancelOrder:
        """The command for a signed cancel of `order_id`; IntakeError if there is none."""
        domain = self._domain()
        order_hash = parse_order_id(order_id)
        body = decode_body(raw, CancelBody)
        account = parse_address(body.account)
        digest = eip712.cancel_digest(domain, account, order_hash)
        signature, delegate = self._verified(domain, digest, body.signature, account)
        return CancelOrder(account, order_hash, signature, received_ms, delegate)

    def _verified(
        self, domain: eip712.Domain, digest: bytes, text: str, account: Address
    ) -> tuple[bytes, Address | None]:
        """The signature of `digest` in its 64-byte form, and the delegate of the account who made it, if it was one."""
        signature = parse_signature(text)
        signer = eip712.recover(digest, signature)
        if signer is None:
            detail = "signature is no valid signature; its s must be low and its v 0, 1, 27 or 28"
            raise IntakeError(IntakeCode.INVALID_SIGNATURE, "signature", detail)
        if signer == account:
            return signature if len(signature) == 64 else eip712.compact(signature), None
        if self._catalogue.is_delegate(account, signer):
            return eip712.compact(signature), signer
        detail = (
            f"for chain id {domain.chain_id} and contract 0x{domain.engine.hex()} the signer is 0x{signer.hex()}, "
            f"not account 0x{account.hex()} nor a delegate of it; a signature for another chain, contract or content "
            f"looks like this"
        )
        raise IntakeError(IntakeCode.SIGNER_MISMATCH, "signature", detail)

    def _domain(self) -> eip712.Domain:
        domain = self._catalogue.domain
        if domain is None:
            raise IntakeError(Code.NOT_CONFIGURED, "", "the exchange is starting; it takes no orders yet")
        return domain


def _array_of(raw: Body) -> tuple[list[dict[str, Any]], str]:
    """The orders and the signature of an array. Raises IntakeError."""
    fields = decode_object(raw) if isinstance(raw, bytes) else raw
    for name in fields:
        if name not in ("orders", "signature"):
            raise IntakeError(IntakeCode.UNKNOWN_FIELD, shown(name), f"{shown(name)} is not a field of this body")
    for name, wanted, kind in (("orders", list, "an array"), ("signature", str, "a string")):
        if name not in fields:
            raise IntakeError(IntakeCode.MISSING_FIELD, name, f"{name} is missing")
        if not isinstance(fields[name], wanted):
            raise IntakeError(IntakeCode.INVALID_TYPE, name, f"{name} must be {kind}")
    orders = fields["orders"]
    if not 2 <= len(orders) <= MAX_LEAVES:
        detail = f"an array has 2 to {MAX_LEAVES} orders, not {len(orders)}"
        raise IntakeError(IntakeCode.INVALID_VALUE, "orders", detail)
    for index, order in enumerate(orders):
        if not isinstance(order, dict):
            raise IntakeError(IntakeCode.INVALID_TYPE, f"orders[{index}]", f"orders[{index}] must be an object")
    return orders, fields["signature"]


def _signed(command: PlaceOrder, signature: bytes, delegate: Address | None) -> PlaceOrder:
    return msgspec.structs.replace(command, signature=signature, delegate=delegate)


def parse_nonce(text: str) -> int:
    """A u64 in decimal digits; IntakeError for anything else."""
    try:
        nonce = parse_integer(text)
    except ValueError as error:
        raise IntakeError(IntakeCode.INVALID_NUMBER, "nonce", f"nonce {error}") from None
    return bounded(nonce, 2**64 - 1, "nonce")
