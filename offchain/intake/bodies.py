"""The bytes of a request as a body: JSON, names and types. What is refused names the field at fault."""

from __future__ import annotations

import json
import re
from enum import StrEnum
from typing import Annotated, Any, NoReturn, TypeVar, get_origin

import msgspec

from offchain.domain.batch import MAX_LEAVES
from offchain.domain.errors import Rejection
from offchain.domain.order import SelfTrade


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
