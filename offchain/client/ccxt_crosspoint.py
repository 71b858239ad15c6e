"""Crosspoint as an exchange of CCXT (https://docs.ccxt.com), so that what trades through it can trade here.

`crosspoint` is asynchronous, as the classes of `ccxt.async_support`; `ccxt_sync` has one that blocks, as those of
`ccxt`. It works over the exchange's own client: `options` has `url`, and `privateKey` signs, for `walletAddress` if it
is a delegate's; to read alone, `secret` is that of an API key. CCXT's users expect that orders are made to fit: the
price is rounded to the nearest tick, the quantity down to a multiple of the lot.
"""

from __future__ import annotations

from collections.abc import Awaitable
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from typing import TypeVar

import ccxt
import ccxt.async_support

from offchain.client.ccxt_derivatives import Derivatives
from offchain.client.ccxt_terms import TIMEFRAMES, Json, describe, on_step, plain, translated
from offchain.client.client import Client
from offchain.client.errors import ApiError, MissingKey
from offchain.client.stream import Message, Stream

T = TypeVar("T")


class crosspoint(Derivatives, ccxt.async_support.Exchange):  # type: ignore[misc]  # noqa: N801
    """Orders' ids are their hashes. Beside CCXT's own, `params` of an order may have `expiry` (Unix seconds),
    `selfTradePrevention`, `maxFeeBps`, `expectFilled`, `conversionLimit`, `reduceOnly` and, of a market order,
    `slippage`."""

    def describe(self) -> Json:
        merged: Json = self.deep_extend(super().describe(), describe())
        return merged

    _client: Client | None = None
    _streams: dict[str, Stream]

    @property
    def client(self) -> Client:
        if self._client is None:
            self._client = Client(
                self.options["url"],
                self.privateKey or None,
                api_key=self.secret or None,
                account=self.walletAddress or None,
                sign_in_domain=self.options.get("signInDomain"),
            )
            self._streams = {}
        return self._client

    async def close(self) -> None:
        if self._client is not None:
            for stream in self._streams.values():
                await stream.close()
            await self._client.close()
            self._client = None
        await super().close()

    async def _ask(self, call: Awaitable[T], unfit: type[Exception] = ccxt.InvalidOrder) -> T:
        """`unfit`: what an argument becomes that the client does not sign."""
        try:
            return await call
        except ApiError as error:
            raise translated(error) from error
        except MissingKey as error:
            raise ccxt.AuthenticationError(f"crosspoint {error}") from error
        except ValueError as error:
            raise unfit(f"crosspoint {error}") from error

    # -----------------------------------------------------------------------------------------------------------------
    # Markets
    # -----------------------------------------------------------------------------------------------------------------

    async def fetch_markets(self, params: Json | None = None) -> list[Json]:
        listed = await self._ask(self.client.markets(refresh=True))
        return [self._market_of(listed, each) for each in listed.markets]

    async def fetch_time(self, params: Json | None = None) -> int:
        return await self._ask(self.client.server_time())

    async def fetch_status(self, params: Json | None = None) -> Json:
        status = await self._ask(self.client.status())
        state = "error" if status.diverged else "ok"
        return {"status": state, "updated": status.block_seen_at, "eta": None, "url": None, "info": plain(status)}

    async def fetch_ticker(self, symbol: str, params: Json | None = None) -> Json:
        await self.load_markets()
        return self._ticker_of(await self._ask(self.client.ticker(self.market_id(symbol))))

    async def fetch_tickers(self, symbols: list[str] | None = None, params: Json | None = None) -> Json:
        await self.load_markets()
        found = await self._ask(self.client.tickers())
        tickers = [self._ticker_of(each) for each in found if each.market in self.markets_by_id]
        filtered: Json = self.filter_by_array(tickers, "symbol", symbols)
        return filtered

    async def fetch_order_book(self, symbol: str, limit: int | None = None, params: Json | None = None) -> Json:
        await self.load_markets()
        book = await self._ask(self.client.orderbook(self.market_id(symbol), depth=limit))
        parsed: Json = self.parse_order_book({"bids": book.bids, "asks": book.asks}, self.symbol(symbol), book.time)
        parsed["nonce"] = book.seq
        return parsed

    async def fetch_trades(
        self, symbol: str, since: int | None = None, limit: int | None = None, params: Json | None = None
    ) -> list[Json]:
        await self.load_markets()
        page = await self._ask(self.client.trades(self.market_id(symbol), limit=limit))
        trades = [self._public_trade(each, symbol) for each in page.trades]
        parsed: list[Json] = self.filter_by_since_limit(self.sort_by(trades, "timestamp"), since, limit)
        return parsed

    async def fetch_ohlcv(
        self,
        symbol: str,
        timeframe: str = "1m",
        since: int | None = None,
        limit: int | None = None,
        params: Json | None = None,
    ) -> list[list[float | None]]:
        """With `price` "mark" or "index" in `params` of those, without volume."""
        await self.load_markets()
        if timeframe not in TIMEFRAMES:
            raise ccxt.BadRequest(f"crosspoint has the timeframes {', '.join(TIMEFRAMES)}, not {timeframe}")
        price = (params or {}).get("price", "last")
        candles = await self._ask(
            self.client.candles(self.market_id(symbol), price=price, interval=timeframe, since=since, limit=limit)
        )
        return [
            [
                each.time,
                *map(float, (each.open, each.high, each.low, each.close)),
                float(each.volume) if price == "last" else None,
            ]
            for each in candles
        ]

    async def fetch_trading_fees(self, params: Json | None = None) -> Json:
        await self.load_markets()
        return {
            symbol: {
                "symbol": symbol,
                "maker": market["maker"],
                "taker": market["taker"],
                "percentage": True,
                "info": {},
            }
            for symbol, market in self.markets.items()
        }

    # -----------------------------------------------------------------------------------------------------------------
    # Account
    # -----------------------------------------------------------------------------------------------------------------

    async def fetch_balance(self, params: Json | None = None) -> Json:
        await self.load_markets()
        balances = await self._ask(self.client.balances())
        codes = {market["baseId"]: market["base"] for market in self.markets.values() if market["spot"]}
        result: Json = {"info": {asset: plain(balance) for asset, balance in balances.items()}}
        for asset, balance in balances.items():
            total = Decimal(balance.settled) + Decimal(balance.unsettled)
            result[codes.get(asset, asset)] = {"free": balance.available, "total": format(total, "f")}
        parsed: Json = self.safe_balance(result)
        return parsed

    async def fetch_positions(self, symbols: list[str] | None = None, params: Json | None = None) -> list[Json]:
        await self.load_markets()
        found = [self._position_of(each) for each in (await self._ask(self.client.positions())).values()]
        filtered: list[Json] = self.filter_by_array_positions(found, "symbol", self.market_symbols(symbols), False)
        return filtered

    async def fetch_my_trades(
        self,
        symbol: str | None = None,
        since: int | None = None,
        limit: int | None = None,
        params: Json | None = None,
    ) -> list[Json]:
        """`takerOrMaker`, fee and settlement (`info`) of each."""
        await self.load_markets()
        page = await self._ask(self.client.fills(limit=limit))
        trades = self.sort_by([self._fill_of(each) for each in page.fills], "timestamp")
        symbol = None if symbol is None else self.symbol(symbol)
        parsed: list[Json] = self.filter_by_symbol_since_limit(trades, symbol, since, limit)
        return parsed

    # -----------------------------------------------------------------------------------------------------------------
    # Orders
    # -----------------------------------------------------------------------------------------------------------------

    async def create_order(
        self,
        symbol: str,
        type: str,
        side: str,
        amount: float,
        price: float | None = None,
        params: Json | None = None,
    ) -> Json:
        return await self._place(symbol, type, side, amount, price, dict(params or {}))

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
        """Replace an open order by one that keeps its place in the queue if the price is the same and it is not more.
        `amount` is the new open quantity."""
        if amount is None or price is None or type != "limit":
            raise ccxt.ArgumentsRequired("crosspoint replaces by a limit order with amount and price")
        return await self._place(symbol, type, side, amount, price, {**(params or {}), "replaces": id})

    async def _place(self, symbol: str, type: str, side: str, amount: float, price: float | None, params: Json) -> Json:
        await self.load_markets()
        market = self.market(symbol)
        info = market["info"]
        quantity = on_step(amount, info["lotSize"], ROUND_DOWN)
        if not quantity:
            raise ccxt.InvalidOrder(f"crosspoint trades {symbol} in multiples of {info['lotSize']}")
        names = {
            "clientOrderId": "client_order_id",
            "selfTradePrevention": "self_trade_prevention",
            "maxFeeBps": "max_fee_bps",
            "expiry": "expiry",
            "conversionLimit": "conversion_limit",
            "reduceOnly": "reduce_only",
        }
        if market["quote"] != "USDC" and "conversionLimit" not in params:
            params["conversionLimit"] = await self._worst_rate(market, side, params)
        terms = {names[name]: params.pop(name) for name in list(params) if name in names}
        if type == "market":
            worst = await self._worst_price(market, side, price, params)
            call = self.client.place_market(market["id"], side, quantity, worst, **terms)
        else:
            if price is None:
                raise ccxt.ArgumentsRequired("crosspoint needs a price for a limit order")
            call = self.client.place_limit(
                market["id"],
                side,
                on_step(price, info["tickSize"], ROUND_HALF_EVEN),
                quantity,
                time_in_force=params.get("timeInForce", "GTC"),
                post_only=bool(params.get("postOnly", False)),
                replaces=params.get("replaces"),
                expect_filled=params.get("expectFilled"),
                **terms,
            )
        placed = await self._ask(call)
        return await self.fetch_order(placed.order_id, symbol)

    async def _worst_price(self, market: Json, side: str, price: float | None, params: Json) -> Decimal:
        tick = market["info"]["tickSize"]
        if price is not None:
            return on_step(price, tick, ROUND_HALF_EVEN)
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

    async def cancel_order(self, id: str, symbol: str | None = None, params: Json | None = None) -> Json:
        await self._ask(self.client.cancel(id))
        return await self.fetch_order(id, symbol)

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

    # -----------------------------------------------------------------------------------------------------------------
    # Deposits and withdrawals
    # -----------------------------------------------------------------------------------------------------------------

    async def fetch_deposits(
        self, code: str | None = None, since: int | None = None, limit: int | None = None, params: Json | None = None
    ) -> list[Json]:
        """`txid` and `status` of each; when it was made stands on chain only."""
        found = await self._ask(self.client.deposits())
        return [
            {
                "id": f"{each.tx_hash}-{each.asset}",
                "txid": each.tx_hash,
                "type": "deposit",
                "currency": each.asset,
                "amount": float(each.amount),
                "status": {"pending": "pending", "credited": "ok"}.get(each.status, "failed"),
                "info": plain(each),
            }
            for each in found
            if code in (None, each.asset)
        ][:limit]

    async def withdraw(
        self, code: str, amount: float, address: str, tag: str | None = None, params: Json | None = None
    ) -> Json:
        """Request a withdrawal, which pays the account's own address only; `id` is that of an action.

        `params` may have `asCxpt` (USDC is paid as CXPT) and `expiry` (Unix seconds).
        """
        if address and address.lower() != self.client.account:
            raise ccxt.InvalidAddress("crosspoint withdraws to the account's own address only")
        extra = params or {}
        state = await self._ask(
            self.client.withdraw(
                code, Decimal(str(amount)), as_cxpt=bool(extra.get("asCxpt", False)), expiry=extra.get("expiry")
            ),
            ccxt.BadRequest,
        )
        return {
            "id": state.action_id,
            "txid": state.tx_hash,
            "type": "withdrawal",
            "currency": code,
            "amount": float(amount),
            "address": self.client.account,
            "status": "ok" if state.status == "settled" else "pending",
            "info": plain(state),
        }

    async def fetch_withdrawals(
        self, code: str | None = None, since: int | None = None, limit: int | None = None, params: Json | None = None
    ) -> list[Json]:
        found = await self._ask(self.client.withdrawals())
        return [
            {
                "id": f"{each.tx_hash}-{each.asset}",
                "txid": each.tx_hash,
                "type": "withdrawal",
                "currency": each.asset,
                "amount": float(each.amount),
                "timestamp": each.updated_at,
                "status": {"settled": "ok", "canceled": "canceled", "reverted": "failed"}.get(each.status, "pending"),
                "info": plain(each),
            }
            for each in found
            if code in (None, each.asset)
        ][:limit]

    # -----------------------------------------------------------------------------------------------------------------
    # Stream
    # -----------------------------------------------------------------------------------------------------------------

    async def watch_order_book(self, symbol: str, limit: int | None = None, params: Json | None = None) -> Json:
        """The book after the next message; each is verified by its checksum."""
        await self.load_markets()
        name = self.market_id(symbol)
        channel = f"market.{name}.depth"
        await self._next_message(channel)
        book = self._streams[channel].books[name]
        parsed: Json = self.parse_order_book(
            {"bids": book.bids(limit), "asks": book.asks(limit)}, self.symbol(symbol), None
        )
        parsed["nonce"] = book.seq
        return parsed

    async def _next_message(self, channel: str) -> Message:
        """Wait for the next message of a channel, which is subscribed to once."""
        client = self.client
        if channel not in self._streams:
            self._streams[channel] = client.subscribe(channel)
        return await self._ask(anext(aiter(self._streams[channel])))
