"""Why the exchange refuses something: stable codes that the API, the journal and the tests share.

`Rejection` travels as data in results and events; nothing in the domain raises for bad input.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Code(StrEnum):
    # the order itself
    UNKNOWN_MARKET = "unknownMarket"
    MARKET_NOT_ACTIVE = "marketNotActive"
    INVALID_SIDE = "invalidSide"
    INVALID_TIME_IN_FORCE = "invalidTimeInForce"
    INVALID_PRICE = "invalidPrice"
    INVALID_QUANTITY = "invalidQuantity"
    INVALID_EXPIRY = "invalidExpiry"
    INVALID_NONCE = "invalidNonce"
    REDUCE_ONLY_SPOT = "reduceOnlySpot"
    NOTHING_TO_REDUCE = "nothingToReduce"
    UNEXPECTED_CONVERSION_LIMIT = "unexpectedConversionLimit"
    CONVERSION_LIMIT_MISSING = "conversionLimitMissing"
    CONVERSION_LIMIT_EXCEEDED = "conversionLimitExceeded"
    ORDER_EXPIRED = "orderExpired"
    FEE_ABOVE_CAP = "feeAboveCap"
    # against the state
    NOT_DELEGATE = "notDelegate"
    STALE_EPOCH = "staleEpoch"
    EPOCH_BUMP_PENDING = "epochBumpPending"
    STALE_NONCE = "staleNonce"
    NONCE_REUSED = "nonceReused"
    NONCE_KEY_MARKET = "nonceKeyMarket"
    DUPLICATE_CLIENT_ORDER_ID = "duplicateClientOrderId"
    INSUFFICIENT_BALANCE = "insufficientBalance"
    PRICE_OUTSIDE_BAND = "priceOutsideBand"
    POST_ONLY_WOULD_CROSS = "postOnlyWouldCross"
    INVALID_POST_ONLY = "invalidPostOnly"
    INVALID_TRIGGER = "invalidTrigger"
    EXPECT_FILLED_MISMATCH = "expectFilledMismatch"
    TOO_MANY_ORDERS = "tooManyOrders"
    TOO_MANY_NONCE_KEYS = "tooManyNonceKeys"
    SETTLEMENT_BACKLOG = "settlementBacklog"
    CHAIN_STALE = "chainStale"
    PRICE_UNAVAILABLE = "priceUnavailable"
    INSUFFICIENT_MARGIN = "insufficientMargin"
    POOL_SHORT = "poolShort"
    # cancels
    UNKNOWN_ORDER = "unknownOrder"
    NOT_OWNER = "notOwner"
    ORDER_NOT_OPEN = "orderNotOpen"
    UNKNOWN_ACCOUNT = "unknownAccount"
    INVALID_DEADLINE = "invalidDeadline"
    INVALID_CONNECTION = "invalidConnection"
    # transactions that the service sends for others
    ACCOUNT_NOT_FUNDED = "accountNotFunded"
    UNKNOWN_ACTION = "unknownAction"
    UNKNOWN_ASSET = "unknownAsset"
    ACTION_EXPIRED = "actionExpired"
    TOO_MANY_ACTIONS = "tooManyActions"
    ACTION_BACKLOG = "actionBacklog"
    # API keys
    INVALID_API_KEY = "invalidApiKey"
    DUPLICATE_API_KEY = "duplicateApiKey"
    TOO_MANY_API_KEYS = "tooManyApiKeys"
    UNKNOWN_API_KEY = "unknownApiKey"
    # chain and operator commands
    REPEATED = "repeated"
    OUT_OF_ORDER = "outOfOrder"
    NOT_CONFIGURED = "notConfigured"
    ALREADY_CONFIGURED = "alreadyConfigured"
    UNKNOWN_BATCH = "unknownBatch"
    UNKNOWN_FILL = "unknownFill"
    UNKNOWN_ORACLE = "unknownOracle"
    INVALID_CONFIGURATION = "invalidConfiguration"
    INVALID_BATCH = "invalidBatch"
    INVALID_SETTING = "invalidSetting"
    INVALID_MARKET = "invalidMarket"
    NOT_AUDITED = "notAudited"
    IDEMPOTENCY_KEY_REUSED = "idempotencyKeyReused"


class Rejection(msgspec.Struct, frozen=True, array_like=True, tag="rejection"):
    """A refusal: its code, the field at fault (API spelling, "" if none) and one sentence for a human."""

    code: str
    param: str
    detail: str
