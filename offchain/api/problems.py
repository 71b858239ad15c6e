"""Errors as clients see them: RFC 9457 problem documents with stable codes.

`PROBLEMS` is the whole list; `docs/API.md` explains each with its cause and cure.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

import msgspec
from aiohttp import web

from offchain.api.schemas.problem import Problem
from offchain.domain.errors import Code, Rejection
from offchain.intake import IntakeCode

__all__ = ["PROBLEMS", "ApiCode", "Problem", "ProblemError", "problem", "problem_response"]

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER = "Retry-After"
WWW_AUTHENTICATE = "WWW-Authenticate"

REALM = 'Bearer realm="crosspoint"'


class ApiCode(StrEnum):
    """Refusals of the interface itself."""

    UNKNOWN_ROUTE = "unknownRoute"
    METHOD_NOT_ALLOWED = "methodNotAllowed"
    UNSUPPORTED_MEDIA_TYPE = "unsupportedMediaType"
    BODY_TOO_LARGE = "bodyTooLarge"
    TIMEOUT = "timeout"
    UNKNOWN_PARAMETER = "unknownParameter"
    INVALID_PARAMETER = "invalidParameter"
    INVALID_CURSOR = "invalidCursor"
    MISSING_IDEMPOTENCY_KEY = "missingIdempotencyKey"
    INVALID_IDEMPOTENCY_KEY = "invalidIdempotencyKey"
    IDEMPOTENCY_KEY_IN_FLIGHT = "idempotencyKeyInFlight"
    IDEMPOTENCY_KEY_REUSED = "idempotencyKeyReused"
    RATE_LIMITED = "rateLimited"
    OVERLOADED = "overloaded"
    UNAVAILABLE = "unavailable"
    CIRCUIT_OPEN = "circuitOpen"
    STARTING = "starting"
    SHUTTING_DOWN = "shuttingDown"
    INTERNAL_ERROR = "internalError"
    # administrators
    ADMIN_DISABLED = "adminDisabled"
    IDENTITY_UNAVAILABLE = "identityUnavailable"
    NOT_IN_GROUP = "notInGroup"
    UNKNOWN_DEAD_LETTER = "unknownDeadLetter"
    # who asks
    AUTHENTICATION_REQUIRED = "authenticationRequired"
    INVALID_TOKEN = "invalidToken"
    INSUFFICIENT_SCOPE = "insufficientScope"
    NOT_YOUR_ACCOUNT = "notYourAccount"
    UNKNOWN_CHALLENGE = "unknownChallenge"
    # WebSocket
    UPGRADE_REQUIRED = "upgradeRequired"
    UNKNOWN_OPERATION = "unknownOperation"
    UNKNOWN_CHANNEL = "unknownChannel"
    TOO_MANY_SUBSCRIPTIONS = "tooManySubscriptions"
    TOO_MANY_SOCKETS = "tooManySockets"


class Kind(NamedTuple):
    """What all problems of one code share."""

    status: int
    title: str
    retryable: bool = False
    """the same request may be sent again, unchanged and safely, and may succeed"""


PROBLEMS: Mapping[str, Kind] = MappingProxyType(
    {
        # form
        IntakeCode.MALFORMED_JSON: Kind(400, "The body is not a JSON object"),
        IntakeCode.DUPLICATE_FIELD: Kind(400, "A field is given twice"),
        IntakeCode.UNKNOWN_FIELD: Kind(400, "A field is not known"),
        IntakeCode.MISSING_FIELD: Kind(400, "A field is missing"),
        IntakeCode.INVALID_TYPE: Kind(400, "A field has the wrong JSON type"),
        IntakeCode.INVALID_NUMBER: Kind(400, "A number is not written as required"),
        IntakeCode.INVALID_VALUE: Kind(400, "A field has a value that is not possible"),
        IntakeCode.INVALID_ADDRESS: Kind(400, "An address is malformed"),
        IntakeCode.INVALID_ORDER_ID: Kind(400, "An order id is malformed"),
        IntakeCode.INVALID_ACTION_ID: Kind(400, "An action's id is malformed"),
        IntakeCode.INVALID_SIGNATURE: Kind(400, "The signature is malformed"),
        IntakeCode.SIGNER_MISMATCH: Kind(403, "The signature is not the account's"),
        # the interface
        ApiCode.UNKNOWN_ROUTE: Kind(404, "There is nothing at this address"),
        ApiCode.METHOD_NOT_ALLOWED: Kind(405, "The method is not allowed here"),
        ApiCode.UNSUPPORTED_MEDIA_TYPE: Kind(415, "The body is not application/json"),
        ApiCode.BODY_TOO_LARGE: Kind(413, "The body is too large"),
        ApiCode.TIMEOUT: Kind(408, "The request did not arrive in time", True),
        ApiCode.UNKNOWN_PARAMETER: Kind(400, "A query parameter is not known"),
        ApiCode.INVALID_PARAMETER: Kind(400, "A query parameter has a value that is not possible"),
        ApiCode.INVALID_CURSOR: Kind(400, "The cursor is not one of ours"),
        ApiCode.MISSING_IDEMPOTENCY_KEY: Kind(400, "An idempotency key is required here"),
        ApiCode.INVALID_IDEMPOTENCY_KEY: Kind(400, "The idempotency key is malformed"),
        ApiCode.IDEMPOTENCY_KEY_IN_FLIGHT: Kind(409, "The request with this key is under way", True),
        ApiCode.IDEMPOTENCY_KEY_REUSED: Kind(422, "The idempotency key belongs to another request"),
        ApiCode.RATE_LIMITED: Kind(429, "The budget of requests is used up", True),
        ApiCode.OVERLOADED: Kind(503, "The exchange is overloaded", True),
        ApiCode.UNAVAILABLE: Kind(503, "The exchange did not answer in time", True),
        ApiCode.CIRCUIT_OPEN: Kind(503, "The exchange does not answer and is not asked for a while", True),
        ApiCode.STARTING: Kind(503, "The exchange is starting", True),
        ApiCode.SHUTTING_DOWN: Kind(503, "The exchange is shutting down", True),
        ApiCode.INTERNAL_ERROR: Kind(500, "The exchange failed", True),
        ApiCode.ADMIN_DISABLED: Kind(404, "There is no administration here"),
        ApiCode.IDENTITY_UNAVAILABLE: Kind(503, "The identity provider cannot be asked", True),
        ApiCode.NOT_IN_GROUP: Kind(403, "The token's groups may not do this"),
        ApiCode.UNKNOWN_DEAD_LETTER: Kind(404, "The dead letter is not known"),
        ApiCode.AUTHENTICATION_REQUIRED: Kind(401, "This needs a token"),
        ApiCode.INVALID_TOKEN: Kind(401, "The token is not good, or not any more"),
        ApiCode.INSUFFICIENT_SCOPE: Kind(403, "The token is not good for this"),
        ApiCode.NOT_YOUR_ACCOUNT: Kind(403, "The account is not the token's"),
        ApiCode.UNKNOWN_CHALLENGE: Kind(401, "The message is none that waits for a signature"),
        ApiCode.UPGRADE_REQUIRED: Kind(426, "This address speaks WebSocket"),
        ApiCode.UNKNOWN_OPERATION: Kind(400, "The operation is not known"),
        ApiCode.UNKNOWN_CHANNEL: Kind(404, "The channel does not exist"),
        ApiCode.TOO_MANY_SUBSCRIPTIONS: Kind(429, "The socket has too many subscriptions"),
        ApiCode.TOO_MANY_SOCKETS: Kind(429, "The address has too many sockets"),
        # the order itself
        Code.UNKNOWN_MARKET: Kind(404, "The market does not exist"),
        Code.MARKET_NOT_ACTIVE: Kind(409, "The market takes no orders now"),
        Code.INVALID_SIDE: Kind(422, "The side is not possible"),
        Code.INVALID_TIME_IN_FORCE: Kind(422, "The time in force is not possible"),
        Code.INVALID_PRICE: Kind(422, "The price is not possible"),
        Code.INVALID_QUANTITY: Kind(422, "The quantity is not possible"),
        Code.INVALID_EXPIRY: Kind(422, "The expiry is not possible"),
        Code.INVALID_NONCE: Kind(422, "The nonce is not possible"),
        Code.REDUCE_ONLY_SPOT: Kind(422, "Spot orders cannot be reduce-only"),
        Code.NOTHING_TO_REDUCE: Kind(422, "There is no position to reduce"),
        Code.UNEXPECTED_CONVERSION_LIMIT: Kind(422, "The market is not cross-quoted"),
        Code.CONVERSION_LIMIT_MISSING: Kind(422, "The market is cross-quoted and needs a conversion limit"),
        Code.CONVERSION_LIMIT_EXCEEDED: Kind(422, "The present rate is beyond the order's conversion limit"),
        Code.ORDER_EXPIRED: Kind(422, "The order has expired"),
        Code.FEE_ABOVE_CAP: Kind(422, "The fee is above the order's cap"),
        # against the state
        Code.NOT_DELEGATE: Kind(403, "The signer is no delegate of the account"),
        Code.EPOCH_BUMP_PENDING: Kind(409, "The account's epoch is about to end"),
        Code.STALE_EPOCH: Kind(409, "The epoch is not the account's"),
        Code.STALE_NONCE: Kind(409, "The nonce's sequence has been used"),
        Code.NONCE_REUSED: Kind(409, "The nonce belongs to another order"),
        Code.NONCE_KEY_MARKET: Kind(409, "The nonce key belongs to another market"),
        Code.DUPLICATE_CLIENT_ORDER_ID: Kind(409, "The client order id is in use"),
        Code.INSUFFICIENT_BALANCE: Kind(422, "The balance is not sufficient"),
        Code.PRICE_OUTSIDE_BAND: Kind(422, "The price is too far through the book"),
        Code.POST_ONLY_WOULD_CROSS: Kind(422, "The order would have taken"),
        Code.INVALID_POST_ONLY: Kind(422, "The order cannot be post-only"),
        Code.INVALID_TRIGGER: Kind(422, "The trigger is not possible"),
        Code.EXPECT_FILLED_MISMATCH: Kind(409, "The replaced order has filled meanwhile"),
        Code.TOO_MANY_ORDERS: Kind(409, "The account has too many open orders"),
        Code.TOO_MANY_NONCE_KEYS: Kind(409, "The account has used too many nonce keys"),
        Code.SETTLEMENT_BACKLOG: Kind(503, "Settlement is behind"),
        Code.CHAIN_STALE: Kind(503, "The chain has not been seen for too long"),
        Code.INSUFFICIENT_MARGIN: Kind(422, "The position would have too little margin"),
        Code.POOL_SHORT: Kind(409, "The market's pool cannot pay for this"),
        Code.PRICE_UNAVAILABLE: Kind(503, "No fresh price is known"),
        # cancels
        Code.UNKNOWN_ORDER: Kind(404, "The order is not known"),
        Code.NOT_OWNER: Kind(403, "The order is another account's"),
        Code.ORDER_NOT_OPEN: Kind(409, "The order has ended"),
        Code.UNKNOWN_ACCOUNT: Kind(404, "The account is not known"),
        Code.INVALID_DEADLINE: Kind(422, "The deadline is not possible"),
        Code.INVALID_CONNECTION: Kind(409, "The connection cannot be watched"),
        # transactions that the service sends for others
        Code.ACCOUNT_NOT_FUNDED: Kind(403, "The account has nothing here"),
        Code.UNKNOWN_ACTION: Kind(404, "The action is not known"),
        Code.UNKNOWN_ASSET: Kind(404, "The asset is not known"),
        Code.ACTION_EXPIRED: Kind(422, "What was signed has expired"),
        Code.TOO_MANY_ACTIONS: Kind(409, "The account has too many pending actions"),
        Code.ACTION_BACKLOG: Kind(503, "Too many transactions wait to be sent", True),
        # API keys
        Code.INVALID_API_KEY: Kind(422, "The API key is not possible"),
        Code.DUPLICATE_API_KEY: Kind(409, "The request has made an API key before"),
        Code.TOO_MANY_API_KEYS: Kind(409, "The account has too many API keys"),
        Code.UNKNOWN_API_KEY: Kind(404, "The API key is not known"),
        # chain and operator commands; a trader meets only notConfigured
        Code.REPEATED: Kind(409, "The command has been applied before"),
        Code.OUT_OF_ORDER: Kind(409, "The command does not follow the last one"),
        Code.NOT_CONFIGURED: Kind(503, "The exchange is starting", True),
        Code.ALREADY_CONFIGURED: Kind(409, "The exchange is configured"),
        Code.INVALID_CONFIGURATION: Kind(400, "The configuration is not possible"),
        Code.INVALID_BATCH: Kind(409, "The batch is not possible"),
        Code.INVALID_SETTING: Kind(422, "The setting is not possible"),
        Code.INVALID_MARKET: Kind(422, "The registry would not take the market"),
        Code.NOT_AUDITED: Kind(403, "The command needs an entry in the audit log"),
        Code.UNKNOWN_BATCH: Kind(404, "The batch is not known"),
        Code.UNKNOWN_ORACLE: Kind(404, "No market goes by this oracle"),
        Code.UNKNOWN_FILL: Kind(404, "The fill is not known"),
    }
)


_CHALLENGES: Mapping[str, str] = {ApiCode.INVALID_TOKEN: f'{REALM}, error="invalid_token"'}
"""as in RFC 6750, section 3"""


class ProblemError(Exception):
    """Ends a handler with a problem document."""

    def __init__(
        self, code: str, detail: str, param: str = "", *, order_id: str | None = None, retry_after: int | None = None
    ) -> None:
        """`retry_after`: seconds until it makes sense to try again."""
        super().__init__(f"{code}: {detail}")
        self.retry_after = retry_after
        self.rejection = Rejection(str(code), param, detail)
        self.order_id = order_id


def problem(rejection: Rejection, request_id: str, order_id: str | None = None) -> Problem:
    """The document for a refusal. KeyError for a code that `PROBLEMS` lacks."""
    kind = PROBLEMS[rejection.code]
    return Problem(
        type=f"urn:crosspoint:problem:{rejection.code}",
        title=kind.title,
        status=kind.status,
        detail=rejection.detail,
        code=rejection.code,
        param=rejection.param or None,
        request_id=request_id,
        retryable=kind.retryable,
        order_id=order_id,
    )


def problem_response(
    rejection: Rejection, request_id: str, *, order_id: str | None = None, headers: Mapping[str, str] | None = None
) -> web.Response:
    document = problem(rejection, request_id, order_id)
    response = web.Response(status=document.status, body=msgspec.json.encode(document), content_type=CONTENT_TYPE)
    if headers:
        response.headers.update(headers)
    if document.status == 401:
        response.headers[WWW_AUTHENTICATE] = _CHALLENGES.get(rejection.code, REALM)
    if document.status == 503:
        response.headers.setdefault(RETRY_AFTER, "1")
    return response
