"""What CCXT calls things, and what we call them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import ccxt
import msgspec
from ccxt.base.decimal_to_precision import TICK_SIZE

from offchain.client.errors import ApiError

Json = dict[str, Any]

DEFAULT_URL = "http://127.0.0.1:8080"
DEFAULT_SLIPPAGE = "0.05"
"""of the best price, for market orders without a worst price"""

TYPES = {"spot": "spot", "perp": "swap", "future": "future", "option": "option"}
"""Kinds of markets."""

STATUSES = {
    "open": "open",
    "partiallyFilled": "open",
    "filled": "closed",
    "canceled": "canceled",
    "expired": "expired",
    "rejected": "rejected",
}

ERRORS: Mapping[str, type[Exception]] = {
    "insufficientBalance": ccxt.InsufficientFunds,
    "insufficientMargin": ccxt.InsufficientFunds,
    "unknownOrder": ccxt.OrderNotFound,
    "orderNotOpen": ccxt.OrderNotFound,
    "unknownMarket": ccxt.BadSymbol,
    "duplicateClientOrderId": ccxt.DuplicateOrderId,
    "postOnlyWouldCross": ccxt.OrderImmediatelyFillable,
    "signerMismatch": ccxt.AuthenticationError,
    "authenticationRequired": ccxt.AuthenticationError,
    "invalidToken": ccxt.AuthenticationError,
    "unknownChallenge": ccxt.AuthenticationError,
    "foreignChallenge": ccxt.AuthenticationError,
    "insufficientScope": ccxt.PermissionDenied,
    "notYourAccount": ccxt.PermissionDenied,
    "notDelegate": ccxt.PermissionDenied,
    "notOwner": ccxt.PermissionDenied,
    "rateLimited": ccxt.RateLimitExceeded,
    "marketNotActive": ccxt.MarketClosed,
    "noAnswer": ccxt.NetworkError,
}
"""By code; others are told apart by their status."""

TIMEFRAMES = {each: each for each in ("1m", "5m", "15m", "30m", "1h", "4h", "12h", "1d")}

HAS = {
    "CORS": None,
    "spot": True,
    "margin": False,
    "swap": True,
    "future": True,
    "option": True,
    "cancelAllOrders": True,
    "cancelAllOrdersAfter": True,
    "cancelOrder": True,
    "createOrder": True,
    "createOrders": True,
    "createPostOnlyOrder": True,
    "createReduceOnlyOrder": True,
    "createStopLimitOrder": True,
    "createStopLossOrder": True,
    "createStopMarketOrder": True,
    "createStopOrder": True,
    "createTakeProfitOrder": True,
    "createTriggerOrder": True,
    "editOrder": True,
    "fetchBalance": True,
    "fetchClosedOrders": True,
    "fetchCurrencies": False,
    "fetchDeposits": True,
    "fetchFundingRate": True,
    "fetchFundingRateHistory": True,
    "fetchFundingRates": True,
    "fetchGreeks": True,
    "fetchIndexOHLCV": True,
    "fetchMarkOHLCV": True,
    "fetchMarkets": True,
    "fetchMyTrades": True,
    "fetchOHLCV": True,
    "fetchOpenInterest": True,
    "fetchOpenInterests": True,
    "fetchOpenOrder": True,
    "fetchOpenOrders": True,
    "fetchOption": True,
    "fetchOptionChain": True,
    "fetchOrder": True,
    "fetchOrderBook": True,
    "fetchOrders": True,
    "fetchPositions": True,
    "fetchStatus": True,
    "fetchTicker": True,
    "fetchTickers": True,
    "fetchTime": True,
    "fetchTrades": True,
    "fetchTradingFees": True,
    "fetchWithdrawals": True,
    "withdraw": True,
    "watchBalance": True,
    "watchMarkPrice": True,
    "watchMyTrades": True,
    "watchOrderBook": True,
    "watchOrders": True,
    "watchPositions": True,
    "watchTicker": True,
    "watchTrades": True,
}
"""What CCXT calls an exchange's capabilities."""


def describe() -> Json:
    return {
        "id": "crosspoint",
        "name": "Crosspoint",
        "countries": [],
        "version": "v1",
        "rateLimit": 10,
        "dex": True,
        "has": HAS,
        "timeframes": TIMEFRAMES,
        "precisionMode": TICK_SIZE,
        # To trade; an API key's `secret` alone reads.
        "requiredCredentials": {"apiKey": False, "secret": False, "privateKey": True},
        "options": {"url": DEFAULT_URL, "slippage": DEFAULT_SLIPPAGE},
        "urls": {"api": {"public": DEFAULT_URL}, "www": DEFAULT_URL, "doc": f"{DEFAULT_URL}/docs"},
    }


def translated(error: ApiError) -> Exception:
    kind = ERRORS.get(error.code)
    if kind is None:
        if error.status in (400, 422):
            kind = ccxt.InvalidOrder if error.param else ccxt.BadRequest
        else:
            kind = ccxt.ExchangeNotAvailable if error.retryable or error.status == 503 else ccxt.ExchangeError
    return kind(f"crosspoint {error}")


def number(text: str | None) -> float | None:
    return None if text is None else float(text)


def plain(message: msgspec.Struct) -> Json:
    """A message as it came, for `info`."""
    decoded: Json = msgspec.to_builtins(message)
    return decoded


def on_step(value: float | str | Decimal, step: str, rounding: str) -> Decimal:
    """A number as a multiple of a step. Raises InvalidOrder for what is no finite number."""
    number = Decimal(str(value))
    if not number.is_finite():
        raise ccxt.InvalidOrder(f"crosspoint: {value} is not a number that can be traded")
    return (number / Decimal(step)).to_integral_value(rounding) * Decimal(step)
