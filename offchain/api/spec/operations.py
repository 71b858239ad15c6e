"""Every operation over HTTP: what it takes and what it answers. Names and types of bodies come from their schemas.

A test compares this table with the routes and with what the handlers accept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import msgspec

from offchain.api.admin.settings import Role
from offchain.api.credentials import Scope
from offchain.api.handlers.common import LATEST_MS
from offchain.api.handlers.derivatives import DEFAULT_ACCRUALS, MAX_ACCRUALS
from offchain.api.handlers.figures import DEFAULT_CANDLES, INTERVALS, MAX_CANDLES, PRICES
from offchain.api.schemas import actions, admin, auth, derivatives, figures, http, positions
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


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    tag: str
    summary: str
    answers: Mapping[int, type[msgspec.Struct] | str]
    """by status: the JSON body, or the content type of another one"""
    parameters: tuple[Parameter, ...] = ()
    body: type[msgspec.Struct] | None = None
    description: str = ""
    notes: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    """what a status means, where that is not plain"""
    scope: str | None = None
    """of the token that is needed, "" if any does; None: no token is needed"""
    scheme: str = "bearer"
    """of `SECURITY`, to which the token belongs"""

    @property
    def id(self) -> str:
        words = [word.strip("{}") for word in self.path.removeprefix("/v1").split("/") if word]
        return self.method.lower() + "".join(word[0].upper() + word[1:].replace(".", "") for word in words)


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
DEPTH = _count("depth", 100, _LIMITS.depth_levels, "levels per side")
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

ADMIN = "administrator"

SECURITY: Mapping[str, Schema] = MappingProxyType(
    {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "The token of a session, or the secret of an API key.",
        },
        ADMIN: {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "A token of the identity provider, RS256 or ES256; its groups decide what it may do.",
        },
    }
)
KEY = Parameter("id", {"type": "string", "pattern": "^[0-9a-f]{16}$"}, "the key's id", required=True, place="path")

_READS = "Includes everything that was executed when the request arrived, or what half a second of waiting brings."


def _admin_read(
    path: str, summary: str, body: type[msgspec.Struct], parameters: tuple[Parameter, ...] = ()
) -> Operation:
    return Operation("GET", path, "administration", summary, {200: body}, parameters, scope=Role.VIEWER, scheme=ADMIN)


def _admin_write(
    path: str,
    summary: str,
    body: type[msgspec.Struct],
    parameters: tuple[Parameter, ...] = (),
    *,
    role: Role = Role.MANAGER,
    is_on_chain: bool = False,
) -> Operation:
    return Operation(
        "POST",
        path,
        "administration",
        summary,
        {202: admin.Requested} if is_on_chain else {200: admin.Acted},
        (*parameters, REQUIRED_KEY),
        body=body,
        description="On record in the audit log, also if it is refused.",
        scope=role,
        scheme=ADMIN,
    )


_HALTS = Role.OPERATOR

_ADMINISTRATION = (
    _admin_read("/v1/admin/settings", "Limits of orders, from the core itself", admin.Settings),
    _admin_write("/v1/admin/settings", "Change limits of orders", admin.SettingsBody),
    _admin_write("/v1/admin/halt", "Halt all markets; cancels work", admin.HaltBody, role=_HALTS),
    _admin_write(
        "/v1/admin/resume",
        "Let all markets trade that are not halted by themselves",
        admin.ResumeBody,
        role=Role.OPERATOR,
    ),
    _admin_write(
        "/v1/admin/markets/{symbol}/halt", "Halt a market; cancels work", admin.HaltBody, (SYMBOL,), role=Role.OPERATOR
    ),
    _admin_write(
        "/v1/admin/markets/{symbol}/resume", "Let a market trade again", admin.ResumeBody, (SYMBOL,), role=Role.OPERATOR
    ),
    _admin_write("/v1/admin/markets/{symbol}/limit", "Bound the quantity of orders", admin.LimitBody, (SYMBOL,)),
    _admin_write("/v1/admin/markets/{symbol}/leverage", "Bound the leverage", admin.LeverageBody, (SYMBOL,)),
    _admin_write("/v1/admin/markets", "Create a market on chain", admin.CreateMarketBody, is_on_chain=True),
    _admin_write(
        "/v1/admin/markets/{symbol}/status",
        "Pause, activate or close a market on chain",
        admin.StatusBody,
        (SYMBOL,),
        is_on_chain=True,
    ),
    _admin_write("/v1/admin/fee", "Schedule a fee on chain", admin.FeeBody, is_on_chain=True),
    _admin_read("/v1/admin/actions", "Transactions asked for, newest first", admin.AdminActionPage, (CURSOR, LIMIT)),
    _admin_read("/v1/admin/actions/{id}", "How one of them goes on", admin.AdminActionInfo, (ASKED,)),
    _admin_read("/v1/admin/dead-letters", "Batches that the contracts refuse", admin.DeadLetterPage, (CURSOR, LIMIT)),
    _admin_read("/v1/admin/dead-letters/{id}", "One with its fills and their orders", admin.DeadLetterInfo, (LETTER,)),
    _admin_write(
        "/v1/admin/dead-letters/{id}/retry", "Try a parked batch again", admin.RetryBody, (LETTER,), role=Role.OPERATOR
    ),
    _admin_write(
        "/v1/admin/dead-letters/{id}/bust", "Drop fills for good", admin.BustBody, (LETTER,), role=Role.OPERATOR
    ),
    _admin_read(
        "/v1/admin/audit", "What administrators did, newest first", admin.AuditPage, (WHO, ADMIN_ACTION, CURSOR, LIMIT)
    ),
)
_ACTS = "The operator pays the gas. Sending the same bytes again is safe: it tells how the action stands."
_ASKED = MappingProxyType({200: "it has settled already", 202: "it is taken, or pending already"})

OPERATIONS: tuple[Operation, ...] = (
    # orders
    Operation(
        "POST",
        "/v1/orders",
        "orders",
        "Place a signed order",
        {201: http.PlacedOrder, 200: http.PlacedOrder},
        (IDEMPOTENCY_KEY,),
        body=http.OrderBody,
        description="An answer means that the order's effect is durable. Sending the same bytes again is safe.",
        notes={200: "the same order was executed before; this is its original answer"},
    ),
    Operation(
        "POST",
        "/v1/orders/batch",
        "orders",
        "Place several orders of one account",
        {200: http.BatchResult},
        (IDEMPOTENCY_KEY,),
        body=http.BatchBody,
        description="Each is decided on by itself, in the order given; the answer has one result for each.",
    ),
    Operation(
        "POST",
        "/v1/orders/array",
        "orders",
        "Place two to ten orders under one signature, such as quotes",
        {200: http.BatchResult},
        (IDEMPOTENCY_KEY,),
        body=http.ArrayBody,
        description="All are decided on at one time, each by itself; the answer has one result for each.",
    ),
    Operation(
        "GET",
        "/v1/orders",
        "orders",
        "Orders of an account, newest first",
        {200: http.OrderPage},
        (ACCOUNT, MARKET, STATUS, CLIENT_ORDER_ID, CURSOR, LIMIT),
        description=_READS,
        scope=Scope.READ,
    ),
    Operation(
        "GET",
        "/v1/orders/{id}",
        "orders",
        "One order",
        {200: http.OrderInfo},
        (ORDER,),
        description=_READS,
        scope=Scope.READ,
    ),
    Operation(
        "PUT",
        "/v1/orders/{id}",
        "orders",
        "Replace an open order by a signed one under the same nonce key",
        {200: http.PlacedOrder, 201: http.PlacedOrder},
        (ORDER, IDEMPOTENCY_KEY),
        body=http.OrderBody,
        notes={200: "the answer that the same order got before"},
        description="If the order has ended meanwhile, nothing is placed.",
    ),
    Operation(
        "DELETE",
        "/v1/orders",
        "orders",
        "Cancel open orders, the oldest first, 1,000 at a time",
        {200: http.CanceledOrders},
        (MARKET, SIDE, REQUIRED_KEY),
        scope=Scope.CANCEL,
    ),
    Operation(
        "PUT",
        "/v1/cancel-after",
        "orders",
        "Cancel all orders after a while, unless this is put off before: a dead man's switch",
        {200: http.CancelAfter},
        body=http.CancelAfterBody,
        scope=Scope.CANCEL,
    ),
    Operation(
        "DELETE",
        "/v1/orders/{id}",
        "orders",
        "Cancel an order by a signature of its account or a delegate",
        {200: http.CanceledOrder},
        (ORDER, IDEMPOTENCY_KEY),
        body=http.CancelBody,
    ),
    # transactions on chain
    Operation(
        "POST",
        "/v1/vault/withdraw",
        "actions",
        "Request a withdrawal on chain by a signature of the account",
        {202: actions.ActionState, 200: actions.ActionState},
        (IDEMPOTENCY_KEY,),
        body=actions.WithdrawalBody,
        description=_ACTS,
        notes=_ASKED,
    ),
    Operation(
        "POST",
        "/v1/account/delegates",
        "actions",
        "Set a delegate on chain by a signature of the account",
        {202: actions.ActionState, 200: actions.ActionState},
        (IDEMPOTENCY_KEY,),
        body=actions.DelegateBody,
        description=_ACTS,
        notes=_ASKED,
    ),
    Operation(
        "POST",
        "/v1/orders/{id}/cancel-on-chain",
        "actions",
        "Cancel an order here at once, and on chain, by the signature that also cancels it here alone",
        {202: actions.ActionState, 200: actions.ActionState},
        (ORDER, IDEMPOTENCY_KEY),
        body=http.CancelBody,
        description=_ACTS,
        notes=_ASKED,
    ),
    Operation(
        "POST",
        "/v1/account/cancel-all-on-chain",
        "actions",
        "Cancel all orders here at once, and end the account's epoch on chain",
        {202: actions.ActionState, 200: actions.ActionState},
        (IDEMPOTENCY_KEY,),
        body=actions.CancelAllBody,
        description=_ACTS,
        notes=_ASKED,
    ),
    Operation(
        "GET",
        "/v1/actions",
        "actions",
        "Transactions that the service sends for an account, newest first",
        {200: actions.ActionPage},
        (ACCOUNT, CURSOR, LIMIT),
        description=_READS,
        scope=Scope.READ,
    ),
    Operation(
        "GET",
        "/v1/actions/{id}",
        "actions",
        "One of them",
        {200: actions.ActionInfo},
        (ACTION,),
        description=_READS,
        scope=Scope.READ,
    ),
    # signing in
    Operation(
        "POST",
        "/v1/auth/challenge",
        "signing in",
        "A message to sign (EIP-4361)",
        {201: auth.Challenge},
        body=auth.ChallengeBody,
        description="Good for one sign-in within a few minutes. A delegate signs in for its account.",
    ),
    Operation(
        "POST",
        "/v1/auth/sessions",
        "signing in",
        "Sign in with the message and its signature",
        {201: auth.OpenedSession},
        body=auth.SessionBody,
        description="Sessions live in memory: after a restart of the service one signs in again.",
    ),
    Operation("GET", "/v1/auth/session", "signing in", "Who the token speaks for", {200: auth.SessionInfo}, scope=""),
    Operation(
        "DELETE",
        "/v1/auth/sessions/current",
        "signing in",
        "Sign out",
        {204: ""},
        notes={204: "the token is good no more"},
        scope="",
    ),
    Operation(
        "POST",
        "/v1/keys",
        "signing in",
        "Make an API key",
        {201: auth.CreatedApiKey},
        (REQUIRED_KEY,),
        body=auth.ApiKeyBody,
        description="The secret is shown once. Keys survive restarts.",
        scope=Scope.KEYS,
    ),
    Operation(
        "GET",
        "/v1/keys",
        "signing in",
        "API keys, newest first, also those that have ended",
        {200: auth.ApiKeys},
        (LIMIT,),
        description=_READS,
        scope=Scope.KEYS,
    ),
    Operation(
        "DELETE",
        "/v1/keys/{id}",
        "signing in",
        "Revoke an API key",
        {200: auth.RevokedApiKey},
        (KEY, REQUIRED_KEY),
        scope=Scope.KEYS,
    ),
    # accounts
    Operation(
        "GET",
        "/v1/account",
        "accounts",
        "Epoch and delegates, from the core itself",
        {200: http.Account},
        (ACCOUNT,),
        scope=Scope.READ,
    ),
    Operation(
        "GET",
        "/v1/balances",
        "accounts",
        "Balances, from the core itself",
        {200: http.Balances},
        (ACCOUNT,),
        scope=Scope.READ,
    ),
    Operation(
        "GET",
        "/v1/positions",
        "accounts",
        "Positions in derivative markets, from the core itself",
        {200: positions.Positions},
        (ACCOUNT,),
        scope=Scope.READ,
    ),
    Operation(
        "GET",
        "/v1/fills",
        "accounts",
        "Fills with their way to the chain, newest first",
        {200: http.FillPage},
        (ACCOUNT, CURSOR, LIMIT),
        description=_READS,
        scope=Scope.READ,
    ),
    Operation(
        "GET",
        "/v1/deposits",
        "accounts",
        "Deposits, newest first",
        {200: http.Deposits},
        (ACCOUNT, LIMIT),
        description=_READS,
        scope=Scope.READ,
    ),
    Operation(
        "GET",
        "/v1/withdrawals",
        "accounts",
        "Withdrawal requests, newest first",
        {200: http.Withdrawals},
        (ACCOUNT, LIMIT),
        description=_READS,
        scope=Scope.READ,
    ),
    # markets
    Operation("GET", "/v1/markets", "markets", "Markets, assets, fee and the signing domain", {200: http.Markets}),
    Operation("GET", "/v1/orderbook/{symbol}", "markets", "The published book", {200: http.Book}, (SYMBOL, DEPTH)),
    Operation(
        "GET",
        "/v1/trades/{symbol}",
        "markets",
        "Trades, newest first",
        {200: http.TradePage},
        (SYMBOL, CURSOR, LIMIT),
        description=_READS,
    ),
    Operation(
        "GET",
        "/v1/candles/{symbol}",
        "markets",
        "Candles of the last price, the mark or the index, oldest first",
        {200: figures.Candles},
        (SYMBOL, PRICE, INTERVAL, SINCE, CANDLES),
        description=f"{_READS} Intervals without a trade or a sample are left out. Busted trades are taken out again.",
    ),
    Operation("GET", "/v1/tickers", "markets", "The last 24 hours of every market", {200: figures.Tickers}),
    Operation(
        "GET", "/v1/tickers/{symbol}", "markets", "The last 24 hours of a market", {200: figures.Ticker}, (SYMBOL,)
    ),
    Operation("GET", "/v1/statistics", "markets", "What was traded and paid in fees", {200: figures.Statistics}),
    Operation("GET", "/v1/fees", "markets", "The fee, its scheduled change and its maximum", {200: http.Fees}),
    Operation(
        "GET",
        "/v1/funding/{symbol}",
        "markets",
        "Funding of a perpetual: the present hour and what was accrued",
        {200: derivatives.Funding},
        (SYMBOL, SINCE_HOUR, ACCRUALS),
        description=_READS,
    ),
    Operation(
        "GET",
        "/v1/open-interest",
        "markets",
        "How much of each derivative is open",
        {200: derivatives.OpenInterest},
        (MARKET,),
    ),
    Operation(
        "GET",
        "/v1/options",
        "markets",
        "The options on an asset, with implied volatilities and greeks",
        {200: derivatives.OptionChain},
        (UNDERLYING, EXPIRY),
    ),
    Operation("GET", "/v1/prices", "markets", "What the markets' oracles say, as the core has it", {200: http.Prices}),
    Operation("GET", "/v1/time", "markets", "The exchange's clock", {200: http.ServerTime}),
    # administration
    *_ADMINISTRATION,
    # stream
    Operation(
        "GET",
        "/v1/ws",
        "stream",
        "WebSocket; `/v1/asyncapi.json` describes its messages",
        {101: ""},
        notes={101: "the connection speaks WebSocket from now on"},
    ),
    # service
    Operation("GET", "/v1/status", "service", "How settlement and the views keep up", {200: http.Status}),
    Operation("GET", "/metrics", "service", "Figures for Prometheus", {200: "text/plain"}),
    Operation("GET", "/livez", "service", "Whether the process answers", {200: "text/plain"}),
    Operation(
        "GET",
        "/readyz",
        "service",
        "Whether traffic should come",
        {200: http.Readiness, 503: http.Readiness},
        notes={503: "not now; `reasons` says why"},
    ),
    # documents
    Operation("GET", "/v1/openapi.json", "documents", "This document", {200: "application/json"}),
    Operation("GET", "/v1/asyncapi.json", "documents", "The stream's messages", {200: "application/json"}),
    Operation("GET", "/docs", "documents", "Both as a page to read", {200: "text/html"}),
)
