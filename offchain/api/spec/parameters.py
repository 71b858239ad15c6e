"""Parameters of the operations over HTTP: of the query, the path and the headers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from offchain.api.handlers.common import LATEST_MS
from offchain.api.handlers.derivatives import DEFAULT_ACCRUALS, MAX_ACCRUALS
from offchain.api.handlers.figures import DEFAULT_CANDLES, INTERVALS, MAX_CANDLES, PRICES
from offchain.api.spec.fields import ACTION_ID, ADDRESS, ORDER_ID
from offchain.api.state import ApiSettings
from offchain.domain.administration import ACTIONS
from offchain.domain.order import OrderStatus

Schema = Mapping[str, Any]

_LIMITS = ApiSettings()


@dataclass(frozen=True)
class Parameter:
    """Of the query, or of the path or the headers if `place` says so."""

    name: str
    schema: Schema
    description: str
    required: bool = False
    place: str = "query"


def _count(name: str, default: int, largest: int, description: str) -> Parameter:
    schema = {"type": "integer", "minimum": 1, "maximum": largest, "default": default}
    return Parameter(name, schema, description)


ACCOUNT = Parameter("account", ADDRESS, "the token's own account, which it is without this parameter too")
ORDER = Parameter("id", ORDER_ID, "the order's EIP-712 struct hash", required=True, place="path")
ACTION = Parameter("id", ACTION_ID, "the EIP-712 digest of what was signed", required=True, place="path")
SYMBOL = Parameter("symbol", {"type": "string", "minLength": 1}, "such as `BTC-USDC`", required=True, place="path")
MARKET = Parameter("market", {"type": "string"}, "a symbol")
SIDE = Parameter("side", {"type": "string", "enum": ["buy", "sell"]}, "only this one")
STATUS = Parameter(
    "status",
    {"type": "array", "items": {"type": "string", "enum": [each.value for each in OrderStatus]}, "minItems": 1},
    "only these, separated by commas",
)
CLIENT_ORDER_ID = Parameter(
    "clientOrderId", {"type": "string", "pattern": r"^[A-Za-z0-9._\-]{1,64}$"}, "the name that the trader gave it"
)
CURSOR = Parameter("cursor", {"type": "string"}, "`next` of the page before")
LIMIT = _count("limit", _LIMITS.default_page, _LIMITS.max_page, "rows per page")
DEPTH = _count("depth", 100, _LIMITS.deepest_book, "levels per side")
INTERVAL = Parameter("interval", {"type": "string", "enum": list(INTERVALS), "default": "1m"}, "length of a candle")
SINCE = Parameter(
    "since",
    {"type": "integer", "minimum": 0, "maximum": LATEST_MS - 1},
    "first start, Unix milliseconds; without it, the newest candles",
)
PRICE = Parameter("price", {"type": "string", "enum": list(PRICES), "default": "last"}, "of what the candles are")
SINCE_HOUR = Parameter(
    "since",
    {"type": "integer", "minimum": 0, "maximum": LATEST_MS - 1},
    "first accrual, Unix milliseconds; without it, the newest ones",
)
ACCRUALS = _count("limit", DEFAULT_ACCRUALS, MAX_ACCRUALS, "accruals")
UNDERLYING = Parameter(
    "underlying", {"type": "string", "minLength": 1}, "what the options are on, such as `BTC`", required=True
)
EXPIRY = Parameter(
    "expiry", {"type": "integer", "minimum": 0, "maximum": LATEST_MS - 1}, "only this one, Unix milliseconds"
)
CANDLES = _count("limit", DEFAULT_CANDLES, MAX_CANDLES, "candles")
IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    {"type": "string", "pattern": r"^[!#-\[\]-~]{1,64}$"},
    "a name for this request: sent again with the same body within 24 hours, it is answered as the first time",
    place="header",
)

REQUIRED_KEY = replace(IDEMPOTENCY_KEY, required=True)
LETTER = Parameter("id", {"type": "integer", "minimum": 1}, "number of the dead letter", required=True, place="path")
WHO = Parameter(
    "who", {"type": "string", "minLength": 1, "maxLength": 255}, "only of this subject (`sub` of the token)"
)
ADMIN_ACTION = Parameter("action", {"type": "string", "enum": list(ACTIONS)}, "only this one")
ASKED = Parameter("id", ACTION_ID, "as answered to the request", required=True, place="path")

KEY = Parameter("id", {"type": "string", "pattern": "^[0-9a-f]{16}$"}, "the key's id", required=True, place="path")
