"""Orders in CCXT's words."""

from __future__ import annotations

import asyncio
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

import ccxt

from offchain.api.schemas.http import BatchEntry
from offchain.client.ccxt_structures import Structures
from offchain.client.ccxt_terms import Json, on_step, plain
from offchain.client.orders import NewOrder

NAMES = {
    "clientOrderId": "client_order_id",
    "selfTradePrevention": "self_trade_prevention",
    "maxFeeBps": "max_fee_bps",
    "expiry": "expiry",
    "conversionLimit": "conversion_limit",
    "reduceOnly": "reduce_only",
    "replaces": "replaces",
    "expectFilled": "expect_filled",
}
"""What `params` may have, and what the client calls it."""

TRIGGERS = {"stopLossPrice": "stop", "takeProfitPrice": "takeProfit"}
UNSUPPORTED = ("stopLoss", "takeProfit", "trailingAmount", "trailingPercent")
"""orders that CCXT attaches to others, or moves: better refused than forgotten"""

RISING = ("ascending", "up", "above")
FALLING = ("descending", "down", "below")


class Orders(Structures):
    """To be mixed into a class of CCXT."""

    client: Any
    options: Any
    load_markets: Any
    market: Any
    market_id: Any
    sort_by: Any
    filter_by_since_limit: Any
    _ask: Any

    # Placing ----------------------------------------------------------------------------------------------------------

    async def create_order(
        self,
        symbol: str,
        type: str,
        side: str,
        amount: float,
        price: float | None = None,
        params: Json | None = None,
    ) -> Json:
        """With `stopLossPrice`, `takeProfitPrice` or `triggerPrice` in `params` it waits for that price, of the kind
        `triggerPriceType` (last, mark or index). A `triggerPrice` is a stop's, unless `triggerDirection` (ascending or
        descending) says that it is to be reached from the other side."""
        order = await self._wanted(symbol, type, side, amount, price, params)
        placed = await self._ask(self.client.place(order))
        return await self.fetch_order(placed.order_id, symbol)

    async def create_orders(self, orders: list[Json], params: Json | None = None) -> list[Json]:
        """Up to fifty orders, each decided on by itself; those that are refused are `rejected`, and `info` says why.
        With `oneSignature` in `params`, two to ten orders are placed at one time, under one signature."""
        wanted = [
            await self._wanted(
                each["symbol"], each["type"], each["side"], each["amount"], each.get("price"), each.get("params")
            )
            for each in orders
        ]
        place = self.client.place_array if (params or {}).get("oneSignature") else self.client.place_batch
        results = await self._ask(place(wanted))

        async def told(order: Json, entry: BatchEntry) -> Json:
            if entry.order is not None:
                return await self.fetch_order(entry.order.order_id)
            return self._refused_of(self.symbol(order["symbol"]), entry.problem)

        return await asyncio.gather(*(told(*both) for both in zip(orders, results, strict=True)))

    async def edit_order(
        self,
        id: str,
        symbol: str,
        type: str,
        side: str,
        amount: float | None = None,
        price: float | None = None,
        params: Json | None = None,
    ) -> Json:
        """Replace an open order, in one step; nothing is placed if it has ended. What is not given stays as it is.

        It keeps its place in the queue if the price is the same and it is not more. `amount` is the new open quantity.
        `params` may have `triggerPrice`, `postOnly`, `expiry`, `conversionLimit`, `expectFilled`.
        """
        await self.load_markets()
        market, extra = self.market(symbol), dict(params or {})
        _, trigger_price = _trigger_of(side, extra, market["info"]["tickSize"])
        amended = await self._ask(
            self.client.amend(
                id,
                price=None if price is None else on_step(price, market["info"]["tickSize"], ROUND_HALF_EVEN),
                quantity=None if amount is None else self._quantity(market, amount),
                trigger_price=trigger_price,
                expiry=extra.get("expiry"),
                post_only=extra.get("postOnly"),
                conversion_limit=_decimal(extra.get("conversionLimit")),
                expect_filled=_decimal(extra.get("expectFilled")),
            )
        )
        return await self.fetch_order(amended.order_id, symbol)

    async def _wanted(
        self, symbol: str, type: str, side: str, amount: float, price: float | None, params: Json | None
    ) -> NewOrder:
        """As the client takes it. Raises CCXT's errors."""
        await self.load_markets()
        market, extra = self.market(symbol), dict(params or {})
        for name in UNSUPPORTED:
            if extra.get(name) is not None:
                raise ccxt.NotSupported(f"crosspoint has no {name}; place an order with a stopLossPrice or the like")
        tick = market["info"]["tickSize"]
        quantity = self._quantity(market, amount)
        if extra.get("timeInForce") == "PO":  # CCXT's name
            extra |= {"timeInForce": "GTC", "postOnly": True}
        trigger, trigger_price = _trigger_of(side, extra, tick)
        if market["quote"] != "USDC" and "conversionLimit" not in extra:
            extra["conversionLimit"] = await self._worst_rate(market, side, extra)
        terms = {name: extra[known] for known, name in NAMES.items() if known in extra}
        for name in ("conversion_limit", "expect_filled"):
            terms |= {name: _decimal(terms[name])} if name in terms else {}
        if type == "market":
            worst = await self._worst_price(market, side, price, trigger_price, extra)
        elif price is None:
            raise ccxt.ArgumentsRequired("crosspoint needs a price for a limit order")
        else:
            worst = on_step(price, tick, ROUND_HALF_EVEN)
        return NewOrder(
            market=market["id"],
            side=side,
            price=worst,
            quantity=quantity,
            type="market" if type == "market" else "limit",
            time_in_force=extra.get("timeInForce", "GTC"),
            post_only=bool(extra.get("postOnly", False)),
            trigger=trigger,
            trigger_price=trigger_price,
            trigger_by=None if trigger is None else extra.get("triggerPriceType"),
            **terms,
        )

    def _quantity(self, market: Json, amount: float) -> Decimal:
        step = market["info"]["lotSize"]
        quantity = on_step(amount, step, ROUND_DOWN)
        if not quantity:
            raise ccxt.InvalidOrder(f"crosspoint trades {market['symbol']} in multiples of {step}")
        return quantity

    async def _worst_price(
        self, market: Json, side: str, price: float | None, trigger_price: Decimal | None, params: Json
    ) -> Decimal:
        tick = market["info"]["tickSize"]
        if price is not None:
            return on_step(price, tick, ROUND_HALF_EVEN)
        if trigger_price is not None:
            return on_step(trigger_price * self._beyond(side, params), tick, ROUND_DOWN)
        book = await self._ask(self.client.orderbook(market["id"], depth=1))
        best = book.asks if side == "buy" else book.bids
        if not best:
            raise ccxt.InvalidOrder(f"crosspoint: nobody offers {market['symbol']}; give a worst price")
        return on_step(Decimal(best[0][0]) * self._beyond(side, params), tick, ROUND_DOWN)

    async def _worst_rate(self, market: Json, side: str, params: Json) -> Decimal:
        """USDC per unit of the quote asset, as far beyond the present rate as a market order goes beyond a price."""
        found = await self._ask(self.client.prices())
        price = found.get(market["id"])
        if price is None or price.conversion_rate is None:
            raise ccxt.InvalidOrder(f"crosspoint: {market['symbol']} has no rate now; give a conversionLimit")
        return on_step(Decimal(price.conversion_rate) * self._beyond(side, params), "0.000001", ROUND_DOWN)

    def _beyond(self, side: str, params: Json) -> Decimal:
        slippage = Decimal(str(params.get("slippage", self.options["slippage"])))
        return 1 + slippage if side == "buy" else 1 - slippage

    # Canceling --------------------------------------------------------------------------------------------------------

    async def cancel_order(self, id: str, symbol: str | None = None, params: Json | None = None) -> Json:
        await self._ask(self.client.cancel(id))
        return await self.fetch_order(id, symbol)

    async def cancel_all_orders(self, symbol: str | None = None, params: Json | None = None) -> list[Json]:
        """`id` and `status` of each that was canceled. `params` may have a `side`. An API key with the scope `cancel`
        is enough."""
        await self.load_markets()
        market = None if symbol is None else self.market_id(symbol)
        done = await self._ask(self.client.cancel_all(market=market, side=(params or {}).get("side")))
        named = None if symbol is None else self.symbol(symbol)
        return [
            self.safe_order({"id": each, "symbol": named, "status": "canceled", "info": {"orderId": each}})
            for each in done.order_ids
        ]

    async def cancel_all_orders_after(
        self,
        timeout: int | None,  # noqa: ASYNC109  # CCXT's name
        params: Json | None = None,
    ) -> Json:
        """Have all orders canceled in `timeout` milliseconds, rounded up to a second, unless this is asked again
        before; 0: not. `triggerTime` says when."""
        if timeout is None:
            raise ccxt.ArgumentsRequired("crosspoint needs a timeout, in milliseconds")
        done = await self._ask(self.client.cancel_after(-(-int(timeout) // 1_000)))
        return {"triggerTime": done.cancels_at, "datetime": self.iso8601(done.cancels_at), "info": plain(done)}

    # Reading ----------------------------------------------------------------------------------------------------------

    async def fetch_order(self, id: str, symbol: str | None = None, params: Json | None = None) -> Json:
        await self.load_markets()
        return self._order_of(await self._ask(self.client.order(id)))

    async def fetch_orders(
        self,
        symbol: str | None = None,
        since: int | None = None,
        limit: int | None = None,
        params: Json | None = None,
        status: tuple[str, ...] = (),
    ) -> list[Json]:
        await self.load_markets()
        market = None if symbol is None else self.market_id(symbol)
        page = await self._ask(self.client.orders(market=market, status=status, limit=limit))
        orders = self.sort_by([self._order_of(each) for each in page.orders], "timestamp")
        parsed: list[Json] = self.filter_by_since_limit(orders, since, limit)
        return parsed

    async def fetch_open_orders(
        self, symbol: str | None = None, since: int | None = None, limit: int | None = None, params: Json | None = None
    ) -> list[Json]:
        return await self.fetch_orders(symbol, since, limit, params, ("open", "partiallyFilled"))

    async def fetch_closed_orders(
        self, symbol: str | None = None, since: int | None = None, limit: int | None = None, params: Json | None = None
    ) -> list[Json]:
        return await self.fetch_orders(symbol, since, limit, params, ("filled", "canceled", "expired"))

    async def fetch_open_order(self, id: str, symbol: str | None = None, params: Json | None = None) -> Json:
        """Raises OrderNotFound if it has ended."""
        order = await self.fetch_order(id, symbol)
        if order["status"] != "open":
            raise ccxt.OrderNotFound(f"crosspoint: order {id} is not open: {order['status']}")
        return order


def _trigger_of(side: str, params: Json, tick: str) -> tuple[str | None, Decimal | None]:
    """What an order waits for, and the price, on a tick. Raises InvalidOrder."""
    given = {name: params[name] for name in ("triggerPrice", "stopPrice", *TRIGGERS) if params.get(name) is not None}
    if not given:
        return None, None
    if len(given) > 1:
        raise ccxt.InvalidOrder(f"crosspoint waits for one price, not for {' and '.join(given)}")
    ((name, price),) = given.items()
    direction = params.get("triggerDirection")
    if name in TRIGGERS:
        trigger = TRIGGERS[name]
    elif direction in (None, *RISING, *FALLING):
        is_rising = side == "buy" if direction is None else direction in RISING
        trigger = "stop" if is_rising == (side == "buy") else "takeProfit"
    else:
        raise ccxt.InvalidOrder(f"crosspoint: triggerDirection is ascending or descending, not {direction!r}")
    return trigger, on_step(price, tick, ROUND_HALF_EVEN)


def _decimal(value: Any) -> Decimal | None:
    """Raises InvalidOrder."""
    try:
        return None if value is None else Decimal(str(value))
    except InvalidOperation as error:
        raise ccxt.InvalidOrder(f"crosspoint: {value!r} is not a number") from error
