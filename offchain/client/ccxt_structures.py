"""Our messages in CCXT's structures (https://docs.ccxt.com/#/?id=structures)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from offchain.api.schemas import figures, http, positions, stream
from offchain.api.schemas.problem import Problem
from offchain.client.ccxt_terms import STATUSES, TYPES, Json, number, plain


class Structures:
    """To be mixed into a class of CCXT, whose methods complete and number them."""

    parse_number: Any
    safe_market: Any
    safe_market_structure: Any
    safe_order: Any
    safe_symbol: Any
    safe_ticker: Any
    safe_trade: Any
    safe_balance: Any
    safe_position: Any
    markets: Any
    iso8601: Any
    yymmdd: Any
    symbol: Any

    def _market_of(self, listed: http.Markets, info: http.MarketInfo) -> Json:
        base = info.symbol.partition("-")[0]
        fee = self.parse_number(str(Decimal(listed.fee_bps) / 10_000))
        kind = TYPES[info.kind]
        is_spot = kind == "spot"
        structure: Json = self.safe_market_structure(
            {
                "id": info.symbol,
                "symbol": f"{base}/{info.quote}" + ("" if is_spot else f":USDC{self._term(info)}"),
                "base": base,
                "quote": info.quote,
                "settle": None if is_spot else "USDC",
                "baseId": info.base,
                "quoteId": info.quote,
                "settleId": None if is_spot else "USDC",
                "type": kind,
                "spot": is_spot,
                "swap": kind == "swap",
                "future": kind == "future",
                "option": kind == "option",
                "contract": not is_spot,
                "linear": None if is_spot else True,
                "inverse": None if is_spot else False,
                "contractSize": None if is_spot else 1.0,
                "active": info.status == "active",
                "taker": fee,
                "maker": fee,
                "precision": {"amount": float(info.lot_size), "price": float(info.tick_size)},
                "limits": {
                    "amount": {"min": float(info.lot_size), "max": float(info.max_quantity)},
                    "price": {"min": float(info.tick_size), "max": float(info.max_price)},
                },
                "info": plain(info),
            }
            | self._dated(info)
        )
        return structure

    def _dated(self, info: http.MarketInfo) -> Json:
        """Expiry and, of an option, what it is on."""
        expiry = _expiry(info)
        fields: Json = {"expiry": expiry, "expiryDatetime": self.iso8601(expiry)}
        if info.option is not None:
            fields |= {"strike": float(info.option.strike), "optionType": "put" if info.option.is_put else "call"}
        return fields

    def _term(self, info: http.MarketInfo) -> str:
        """The end of a derivative's symbol."""
        expiry = _expiry(info)
        if expiry is None:
            return ""
        if info.option is None:
            return f"-{self.yymmdd(expiry)}"
        return f"-{self.yymmdd(expiry)}-{info.option.strike}-{'P' if info.option.is_put else 'C'}"

    def _position_of(self, position: positions.PositionChange) -> Json:
        """A change has less than a position that was asked for."""
        size = Decimal(position.size)
        known: Json = plain(position)
        mark = known.get("markPrice")
        parsed: Json = self.safe_position(
            {
                "symbol": self.safe_symbol(position.market),
                "contracts": float(abs(size)),
                "contractSize": 1.0,
                "side": "short" if size < 0 else "long",
                "entryPrice": number(position.entry_price),
                "markPrice": number(mark),
                "notional": None if mark is None else float(abs(size) * Decimal(mark)),
                "collateral": number(known.get("margin")),
                "maintenanceMargin": number(known.get("maintenanceMargin")),
                "unrealizedPnl": number(known.get("unrealisedPnl")),
                "realizedPnl": number(position.realised_pnl),
                "liquidationPrice": number(known.get("liquidationPrice")),
                "marginMode": "isolated",
                "hedged": False,
                "info": known,
            }
        )
        return parsed

    def _balances_of(self, balances: Mapping[str, http.Balance]) -> Json:
        codes = {market["baseId"]: market["base"] for market in self.markets.values() if market["spot"]}
        result: Json = {"info": {asset: plain(balance) for asset, balance in balances.items()}}
        for asset, balance in balances.items():
            total = Decimal(balance.settled) + Decimal(balance.unsettled)
            result[codes.get(asset, asset)] = {"free": balance.available, "total": format(total, "f")}
        parsed: Json = self.safe_balance(result)
        return parsed

    def _ticker_of(self, ticker: figures.Ticker) -> Json:
        market = self.safe_market(ticker.market)
        parsed: Json = self.safe_ticker(
            {
                "symbol": market["symbol"],
                "timestamp": ticker.time,
                "datetime": self.iso8601(ticker.time),
                "high": ticker.high,
                "low": ticker.low,
                "bid": ticker.bid,
                "bidVolume": ticker.bid_size,
                "ask": ticker.ask,
                "askVolume": ticker.ask_size,
                "open": ticker.open,
                "close": ticker.last,
                "last": ticker.last,
                "change": ticker.change,
                "percentage": ticker.change_percent,
                "baseVolume": ticker.volume,
                "quoteVolume": ticker.quote_volume,
                "markPrice": ticker.mark_price,
                "indexPrice": ticker.index_price,
                "info": plain(ticker),
            },
            market,
        )
        return parsed

    def _public_trade(self, trade: http.PublicTrade, symbol: str) -> Json:
        parsed: Json = self.safe_trade(
            {
                "id": trade.trade_id,
                "timestamp": trade.time,
                "datetime": self.iso8601(trade.time),
                "symbol": self.symbol(symbol),
                "side": trade.side,
                "price": trade.price,
                "amount": trade.quantity,
                "info": plain(trade),
            }
        )
        return parsed

    def _fill_of(self, fill: http.Fill) -> Json:
        parsed: Json = self.safe_trade(
            {
                "id": fill.trade_id,
                "order": fill.order_id,
                "timestamp": fill.time,
                "datetime": self.iso8601(fill.time),
                "symbol": self.safe_symbol(fill.market),
                "side": fill.side,
                "takerOrMaker": fill.role,
                "price": fill.price,
                "amount": fill.quantity,
                "fee": {"cost": fill.fee, "currency": "USDC"},
                "info": plain(fill),
            }
        )
        return parsed

    def _order_of(self, order: http.OrderInfo) -> Json:
        parsed: Json = self.safe_order(
            {
                "id": order.order_id,
                "clientOrderId": order.client_order_id,
                "timestamp": order.created_at,
                "datetime": self.iso8601(order.created_at),
                "lastUpdateTimestamp": order.updated_at,
                "symbol": self.safe_symbol(order.market),
                "type": order.type,
                "timeInForce": order.time_in_force,
                "postOnly": order.post_only,
                "reduceOnly": order.reduce_only,
                "side": order.side,
                "price": order.price,
                "amount": order.quantity,
                "filled": order.filled,
                "remaining": order.remaining,
                "status": STATUSES[order.status],
                "info": plain(order),
            }
            | _trigger(order.trigger)
        )
        return parsed

    def _order_change_of(self, order: stream.OrderChange | stream.OpenOrder) -> Json:
        """An order as the stream has it, which says less."""
        trigger = order.trigger if isinstance(order, stream.OpenOrder) else None
        parsed: Json = self.safe_order(
            {
                "id": order.order_id,
                "clientOrderId": order.client_order_id,
                "symbol": self.safe_symbol(order.market),
                "side": order.side,
                "price": order.price,
                "amount": order.quantity,
                "filled": order.filled,
                "remaining": order.remaining,
                "status": STATUSES[order.status],
                "info": plain(order),
            }
            | _trigger(trigger)
        )
        return parsed

    def _refused_of(self, symbol: str, problem: Problem | None) -> Json:
        """One of several orders that was not placed; `info` says why."""
        info = {} if problem is None else plain(problem)
        parsed: Json = self.safe_order(
            {"id": info.get("orderId"), "symbol": symbol, "status": "rejected", "info": info}
        )
        return parsed


def _trigger(trigger: http.TriggerInfo | None) -> Json:
    """What an order waits, or has waited, for."""
    if trigger is None:
        return {}
    kind = "stopLossPrice" if trigger.type == "stop" else "takeProfitPrice"
    return {"triggerPrice": trigger.price, kind: trigger.price}


def _expiry(info: http.MarketInfo) -> int | None:
    terms = info.option or info.margined
    return None if terms is None else terms.expiry
