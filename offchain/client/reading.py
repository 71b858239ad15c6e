"""What a client reads."""

from __future__ import annotations

from collections.abc import Sequence

from offchain.api.schemas import derivatives, figures, http, positions
from offchain.client.auth import Authenticator
from offchain.client.transport import Transport, page_of


class Reading:
    """Part of `Client`. Every method raises ApiError; those of the account raise MissingKey without a key."""

    _http: Transport
    _auth: Authenticator
    _markets: http.Markets | None = None

    async def markets(self, *, refresh: bool = False) -> http.Markets:
        """Markets, assets and the signing domain; asked for once unless `refresh`."""
        if self._markets is None or refresh:
            self._markets = await self._http.request("GET", "/v1/markets", http.Markets)
        return self._markets

    async def order(self, order_id: str) -> http.OrderInfo:
        return await self._auth.request("GET", f"/v1/orders/{order_id}", http.OrderInfo)

    async def orders(
        self,
        *,
        market: str | None = None,
        status: Sequence[str] = (),
        client_order_id: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> http.OrderPage:
        """Newest first."""
        query = page_of(cursor, limit)
        if market is not None:
            query["market"] = market
        if status:
            query["status"] = ",".join(status)
        if client_order_id is not None:
            query["clientOrderId"] = client_order_id
        return await self._auth.request("GET", "/v1/orders", http.OrderPage, query=query)

    async def fills(self, *, cursor: str | None = None, limit: int | None = None) -> http.FillPage:
        return await self._auth.request("GET", "/v1/fills", http.FillPage, query=page_of(cursor, limit))

    async def account_state(self) -> http.Account:
        """The epoch that orders sign, and who else signs for the account."""
        return await self._auth.request("GET", "/v1/account", http.Account)

    async def balances(self) -> dict[str, http.Balance]:
        """By asset symbol."""
        answer = await self._auth.request("GET", "/v1/balances", http.Balances)
        return {balance.asset: balance for balance in answer.balances}

    async def positions(self) -> dict[str, positions.Position]:
        """By market symbol."""
        answer = await self._auth.request("GET", "/v1/positions", positions.Positions)
        return {position.market: position for position in answer.positions}

    async def deposits(self) -> list[http.Deposit]:
        answer = await self._auth.request("GET", "/v1/deposits", http.Deposits)
        return answer.deposits

    async def withdrawals(self) -> list[http.Withdrawal]:
        answer = await self._auth.request("GET", "/v1/withdrawals", http.Withdrawals)
        return answer.withdrawals

    async def orderbook(self, market: str, *, depth: int | None = None) -> http.Book:
        query = {} if depth is None else {"depth": str(depth)}
        return await self._http.request("GET", f"/v1/orderbook/{market}", http.Book, query=query)

    async def trades(self, market: str, *, cursor: str | None = None, limit: int | None = None) -> http.TradePage:
        query = page_of(cursor, limit)
        return await self._http.request("GET", f"/v1/trades/{market}", http.TradePage, query=query)

    async def candles(
        self,
        market: str,
        *,
        price: str = "last",
        interval: str = "1m",
        since: int | None = None,
        limit: int | None = None,
    ) -> list[figures.Candle]:
        """Of the `price` "last", "mark" or "index". Oldest first; the newest unless `since` (Unix milliseconds) says
        from where on."""
        query = {"price": price, "interval": interval} | _since(since, limit)
        return (await self._http.request("GET", f"/v1/candles/{market}", figures.Candles, query=query)).candles

    async def tickers(self) -> list[figures.Ticker]:
        """The last 24 hours of every market."""
        return (await self._http.request("GET", "/v1/tickers", figures.Tickers)).tickers

    async def ticker(self, market: str) -> figures.Ticker:
        return await self._http.request("GET", f"/v1/tickers/{market}", figures.Ticker)

    async def statistics(self) -> figures.Statistics:
        """Volume, trades and fees of every market."""
        return await self._http.request("GET", "/v1/statistics", figures.Statistics)

    async def fees(self) -> http.Fees:
        """The fee per side, its scheduled change and its maximum."""
        return await self._http.request("GET", "/v1/fees", http.Fees)

    async def funding(self, market: str, *, since: int | None = None, limit: int | None = None) -> derivatives.Funding:
        """The present hour of a perpetual, and what was accrued: the newest unless `since` (Unix milliseconds) says
        from where on."""
        query = _since(since, limit)
        return await self._http.request("GET", f"/v1/funding/{market}", derivatives.Funding, query=query)

    async def open_interest(self, *, market: str | None = None) -> derivatives.OpenInterest:
        """Of every derivative, or of one."""
        query = {} if market is None else {"market": market}
        return await self._http.request("GET", "/v1/open-interest", derivatives.OpenInterest, query=query)

    async def options(self, underlying: str, *, expiry: int | None = None) -> derivatives.OptionChain:
        """The options on an asset, such as "BTC"; `expiry`, Unix milliseconds: only those."""
        query = {"underlying": underlying} | ({} if expiry is None else {"expiry": str(expiry)})
        return await self._http.request("GET", "/v1/options", derivatives.OptionChain, query=query)

    async def prices(self) -> dict[str, http.OraclePrice]:
        """By market symbol: what the markets' oracles say."""
        answer = await self._http.request("GET", "/v1/prices", http.Prices)
        return {price.market: price for price in answer.prices}

    async def server_time(self) -> int:
        """Unix milliseconds."""
        return (await self._http.request("GET", "/v1/time", http.ServerTime)).time

    async def status(self) -> http.Status:
        return await self._http.request("GET", "/v1/status", http.Status)


def _since(since: int | None, limit: int | None) -> dict[str, str]:
    query = {} if since is None else {"since": str(since)}
    return query if limit is None else query | {"limit": str(limit)}
