"""Crosspoint as an exchange of CCXT (https://docs.ccxt.com), so that what trades through it can trade here.

`crosspoint` is asynchronous, as the classes of `ccxt.async_support`; `ccxt_sync` has one that blocks, as those of
`ccxt`. It works over the exchange's own client: `options` has `url`, and `privateKey` signs, for `walletAddress` if it
is a delegate's; to read alone, `secret` is that of an API key. CCXT's users expect that orders are made to fit: the
price is rounded to the nearest tick, the quantity down to a multiple of the lot.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

import ccxt
import ccxt.async_support

from offchain.client.ccxt_account import Accounts
from offchain.client.ccxt_derivatives import Derivatives
from offchain.client.ccxt_orders import Orders
from offchain.client.ccxt_terms import TIMEFRAMES, Json, describe, plain, translated
from offchain.client.ccxt_watch import Watching
from offchain.client.client import Client
from offchain.client.errors import ApiError, MissingKey

T = TypeVar("T")


class crosspoint(Orders, Accounts, Watching, Derivatives, ccxt.async_support.Exchange):  # type: ignore[misc]  # noqa: N801
    """Orders' ids are their hashes. Beside CCXT's own, `params` of an order may have `expiry` (Unix seconds),
    `selfTradePrevention`, `maxFeeBps`, `replaces`, `expectFilled`, `conversionLimit`, `triggerPriceType` and, of a
    market order, `slippage`."""

    def describe(self) -> Json:
        merged: Json = self.deep_extend(super().describe(), describe())
        return merged

    _client: Client | None = None

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
            self._feeds, self._tickers = {}, {}
        return self._client

    async def close(self) -> None:
        if self._client is not None:
            await self.close_feeds()
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
