"""What fields say beyond their JSON type. A name means the same wherever it occurs in the interface."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from offchain.api.problems import PROBLEMS
from offchain.domain.actions import ActionStatus
from offchain.domain.order import MAX_TIMED_EXPIRY, OrderStatus

Schema = Mapping[str, Any]

ADDRESS: Schema = {"type": "string", "pattern": "^0x[0-9a-fA-F]{40}$"}
ACTION_ID: Schema = {"type": "string", "pattern": "^0x[0-9a-fA-F]{64}$"}
ORDER_ID: Schema = {"type": "string", "pattern": "^0x[0-9a-fA-F]{64}$"}
_HASH: Schema = {"pattern": "^0x[0-9a-f]{64}$"}
_SIGNATURE: Schema = {"pattern": "^0x[0-9a-fA-F]{128}([0-9a-fA-F]{2})?$"}
_DECIMAL: Schema = {"pattern": r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$"}
_U64: Schema = {"pattern": "^(0|[1-9][0-9]{0,19})$"}
_SETTLEMENT: Schema = {"enum": ["pending", "submitted", "settled", "confirmed", "busted"]}

FIELDS: Mapping[str, Schema] = MappingProxyType(
    {
        "account": ADDRESS,
        "delegate": ADDRESS,
        "signer": ADDRESS,
        "verifyingContract": ADDRESS,
        "orderId": _HASH,
        "tradeId": _HASH,
        "txHash": _HASH,
        "actionId": _HASH,
        "signature": _SIGNATURE,
        "withdrawalNonce": _U64,
        "delegateNonce": _U64,
        "nonce": _U64,
        "price": _DECIMAL,
        "quantity": _DECIMAL,
        "filled": _DECIMAL,
        "remaining": _DECIMAL,
        "fee": _DECIMAL,
        "settled": _DECIMAL,
        "unsettled": _DECIMAL,
        "reserved": _DECIMAL,
        "held": _DECIMAL,
        "available": _DECIMAL,
        "amount": _DECIMAL,
        "tickSize": _DECIMAL,
        "lotSize": _DECIMAL,
        "tickPerLot": _DECIMAL,
        "maxPrice": _DECIMAL,
        "maxQuantity": _DECIMAL,
        "expectFilled": _DECIMAL,
        "replaces": ORDER_ID,
        "triggerPrice": _DECIMAL,
        "trigger": {"enum": ["stop", "takeProfit"]},
        "triggerBy": {"enum": ["last", "mark", "index"]},
        "by": {"enum": ["last", "mark", "index"]},
        "open": _DECIMAL,
        "high": _DECIMAL,
        "low": _DECIMAL,
        "close": _DECIMAL,
        "last": _DECIMAL,
        "change": _DECIMAL,
        "changePercent": _DECIMAL,
        "volume": _DECIMAL,
        "quoteVolume": _DECIMAL,
        "fees": _DECIMAL,
        "bid": _DECIMAL,
        "bidSize": _DECIMAL,
        "ask": _DECIMAL,
        "askSize": _DECIMAL,
        "conversionLimit": _DECIMAL,
        "conversionRate": _DECIMAL,
        "size": _DECIMAL,
        "settledSize": _DECIMAL,
        "entryPrice": _DECIMAL,
        "markPrice": _DECIMAL,
        "realisedPnl": _DECIMAL,
        "unrealisedPnl": _DECIMAL,
        "margin": _DECIMAL,
        "indexPrice": _DECIMAL,
        "equity": _DECIMAL,
        "maintenanceMargin": _DECIMAL,
        "liquidationPrice": _DECIMAL,
        "fundingCap": _DECIMAL,
        "minPrice": _DECIMAL,
        "minQuantity": _DECIMAL,
        "openInterest": _DECIMAL,
        "openInterestValue": _DECIMAL,
        "fundingRate": _DECIMAL,
        "fundingIndex": _DECIMAL,
        "rate": _DECIMAL,
        "lastRate": _DECIMAL,
        "bidIv": _DECIMAL,
        "askIv": _DECIMAL,
        "markIv": _DECIMAL,
        "delta": _DECIMAL,
        "gamma": _DECIMAL,
        "vega": _DECIMAL,
        "theta": _DECIMAL,
        "rho": _DECIMAL,
        "strike": _DECIMAL,
        "cap": _DECIMAL,
        "collateral": _DECIMAL,
        "side": {"enum": ["buy", "sell"]},
        "role": {"enum": ["maker", "taker"]},
        "timeInForce": {"enum": ["GTC", "GTD", "IOC", "FOK"]},
        "selfTradePrevention": {"enum": ["expireMaker", "expireTaker", "expireBoth"]},
        "state": _SETTLEMENT,
        "settlement": _SETTLEMENT,
        "clientOrderId": {"pattern": r"^[A-Za-z0-9._\-]{1,64}$"},
    }
)
"""Added to the schema of a string of this name, also where it may be null."""

TYPED: Mapping[tuple[str, str], Schema] = MappingProxyType(
    {
        ("OrderBody", "type"): {"enum": ["limit", "market"]},
        ("TriggerInfo", "type"): {"enum": ["stop", "takeProfit"]},
        ("CancelAfterBody", "seconds"): {"minimum": 0, "maximum": 86_400},
        ("OrderInfo", "type"): {"enum": ["limit", "market"]},
        ("OrderInfo", "status"): {"enum": [each.value for each in OrderStatus]},
        ("PlacedOrder", "status"): {"enum": [each.value for each in OrderStatus]},
        ("CanceledOrder", "status"): {"enum": [each.value for each in OrderStatus]},
        ("MarketInfo", "status"): {"enum": ["active", "paused", "closed", "halted"]},
        ("OptionQuote", "status"): {"enum": ["active", "paused", "closed", "halted"]},
        ("Candles", "priceType"): {"enum": ["last", "mark", "index"]},
        ("Withdrawal", "status"): {"enum": ["requested", "releasing", "settled", "canceled", "reverted"]},
        ("Deposit", "status"): {"enum": ["pending", "credited", "reverted"]},
        ("ActionState", "status"): {"enum": [each.value for each in ActionStatus]},
        ("ActionChange", "status"): {"enum": [each.value for each in ActionStatus]},
        ("ActionInfo", "status"): {"enum": [each.value for each in ActionStatus]},
        ("WithdrawalBody", "expiry"): {"minimum": 0, "maximum": 2**64 - 1},
        ("DelegateBody", "validUntil"): {"minimum": 0, "maximum": 2**64 - 1},
        ("CancelAllBody", "epoch"): {"minimum": 0, "maximum": 2**32 - 1},
        ("ApiKey", "status"): {"enum": ["active", "revoked", "expired"]},
        ("RevokedApiKey", "status"): {"enum": ["revoked"]},
        ("ApiKeyChange", "status"): {"enum": ["active", "revoked", "expired"]},
        ("ApiKeyBody", "label"): {"pattern": "^[ -~]{1,64}$"},
        ("ApiKeyBody", "expiry"): {"minimum": 1, "maximum": MAX_TIMED_EXPIRY},
        ("Problem", "code"): {"enum": sorted(PROBLEMS)},
        ("OrderBody", "maxFeeBps"): {"minimum": 0, "maximum": 65_535},
        ("OrderBody", "epoch"): {"minimum": 0, "maximum": 2**32 - 1},
    }
)
"""The same by schema, where a name means several things."""
