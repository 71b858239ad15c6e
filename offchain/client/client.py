"""The client: one account's view of one exchange."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import aiohttp

from offchain.api.schemas import derivatives, figures, http, positions
from offchain.api.schemas.stream import OrderMessage
from offchain.chain import eip712
from offchain.client.auth import Authenticator
from offchain.client.errors import ApiError, MissingKey
from offchain.client.identity import Identified, address_from
from offchain.client.nonces import NonceKeys
from offchain.client.onchain import OnChain
from offchain.client.signing import Number, Signer
from offchain.client.stream import Message, Stream
from offchain.client.transport import Transport, page_of

ENDED = frozenset({"filled", "canceled", "rejected", "expired"})
TAKEN_NONCE = frozenset({"staleNonce", "nonceReused", "nonceKeyMarket"})
NONCE_ATTEMPTS = 5
SYNC_PAGES = 100
SYNC_LIMIT = 500
DEFAULT_EXPIRY_SECONDS = 60


class Client(Identified, OnChain):
    """Asynchronous access to everything that the API offers.

    With a private key it signs and places orders, manages their nonces, and signs in by itself to read the account;
    the key may be a delegate's. With an API key it reads without a private key. With neither, it sees what is public.
    Prices and quantities are given as `Decimal`, `str` or `int` in whole units and come back as decimal strings.
    """

    def __init__(
        self,
        url: str,
        private_key: bytes | str | None = None,
        *,
        api_key: str | None = None,
        account: str | None = None,
        sign_in_domain: str | None = None,
        session: aiohttp.ClientSession | None = None,
        timeout: float = 10.0,
        retries: int = 3,
    ) -> None:
        """`url` without path; `timeout` in seconds per attempt. Raises ValueError for an invalid key or address.

        `account` is the key's own, unless the key is a delegate's. `sign_in_domain` is what the exchange calls itself
        where that is not the host and port of `url`.
        """
        key = bytes.fromhex(private_key.removeprefix("0x")) if isinstance(private_key, str) else private_key
        self._key = key
        self._of = address_from(account) if account is not None else eip712.address_of(key) if key is not None else None
        self._http = Transport(url, session, timeout, retries)
        self._auth = Authenticator(self._http, url, key, api_key, self._of, sign_in_domain)
        self._markets: http.Markets | None = None
        self._signer: Signer | None = None
        self._epoch = 0
        self._nonces = NonceKeys(lambda: int(time.time()))
        self._starting = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.close()

    # -----------------------------------------------------------------------------------------------------------------
    # Trading
    # -----------------------------------------------------------------------------------------------------------------

    async def place_limit(
        self,
        market: str,
        side: str,
        price: Number,
        quantity: Number,
        *,
        time_in_force: str = "GTC",
        expiry: int | None = None,
        post_only: bool = False,
        self_trade_prevention: str = "expireMaker",
        client_order_id: str | None = None,
        max_fee_bps: int | None = None,
        conversion_limit: Number | None = None,
        reduce_only: bool = False,
        replaces: str | None = None,
        expect_filled: str | None = None,
    ) -> http.PlacedOrder:
        """Place a limit order; `expiry` in Unix seconds, by default a minute from now where one is needed.

        `replaces` names an open order of this client, whose place the new one takes; `expect_filled` refuses that if
        the old one has filled another quantity. `conversion_limit`, in markets that are not quoted in USDC: the highest
        rate (selling: the lowest) at which a whole quote unit may be paid, in USDC; `prices` has the present one.
        `reduce_only` closes a position at most, and is trimmed to it.

        Raises ApiError; ValueError for what does not fit the market and for an order in `replaces` that is not open.
        After a retryable error the order may have been executed: `orders` tells.
        """
        if expiry is None and time_in_force != "GTC":
            expiry = int(time.time()) + DEFAULT_EXPIRY_SECONDS
        return await self._place(
            market,
            side,
            "limit",
            time_in_force,
            price,
            quantity,
            replaces,
            max_fee_bps,
            expiry=expiry,
            post_only=post_only,
            self_trade_prevention=self_trade_prevention,
            client_order_id=client_order_id,
            expect_filled=expect_filled,
            conversion_limit=conversion_limit,
            reduce_only=reduce_only,
        )

    async def place_market(
        self,
        market: str,
        side: str,
        quantity: Number,
        worst_price: Number,
        *,
        expiry: int | None = None,
        self_trade_prevention: str = "expireMaker",
        client_order_id: str | None = None,
        max_fee_bps: int | None = None,
        conversion_limit: Number | None = None,
        reduce_only: bool = False,
    ) -> http.PlacedOrder:
        """Trade at once, at `worst_price` or better; what finds no counterparty is canceled. Raises as `place_limit`.

        `expiry` in Unix seconds, by default a minute from now.
        """
        return await self._place(
            market,
            side,
            "market",
            "IOC",
            worst_price,
            quantity,
            None,
            max_fee_bps,
            expiry=int(time.time()) + DEFAULT_EXPIRY_SECONDS if expiry is None else expiry,
            self_trade_prevention=self_trade_prevention,
            client_order_id=client_order_id,
            conversion_limit=conversion_limit,
            reduce_only=reduce_only,
        )

    async def cancel(self, order_id: str) -> http.CanceledOrder:
        """Cancel an open order. Raises ApiError: `orderNotOpen` too if an earlier attempt's answer was lost."""
        signer = await self._ready()
        body = signer.cancel(bytes.fromhex(order_id[2:]))
        try:
            canceled = await self._http.request("DELETE", f"/v1/orders/{order_id}", http.CanceledOrder, body=body)
        except ApiError as error:
            if error.code in ("orderNotOpen", "unknownOrder"):
                self._nonces.ended(order_id)
            raise
        self._nonces.ended(order_id)
        return canceled

    async def _place(
        self,
        symbol: str,
        side: str,
        order_type: str,
        time_in_force: str,
        price: Number,
        quantity: Number,
        replaces: str | None,
        max_fee_bps: int | None,
        **rest: Any,
    ) -> http.PlacedOrder:
        signer = await self._ready()
        market = signer.market(symbol)
        fee = max_fee_bps if max_fee_bps is not None else (await self.markets()).fee_bps
        for attempt in range(NONCE_ATTEMPTS):
            nonce = self._nonces.take(market.id) if replaces is None else self._nonces.follow(replaces)
            try:
                order_hash, body = signer.order(
                    symbol,
                    side,
                    order_type,
                    time_in_force,
                    price,
                    quantity,
                    nonce,
                    max_fee_bps=fee,
                    epoch=self._epoch,
                    **rest,
                )
            except (ValueError, TypeError):
                if replaces is None:
                    self._nonces.give_back(market.id, nonce)
                raise
            order_id = "0x" + order_hash.hex()
            # Bound before the answer, so that news of the order that overtakes it finds it.
            if replaces is None:
                self._nonces.bind(order_id, market.id, nonce)
            try:
                placed = await self._http.request("POST", "/v1/orders", http.PlacedOrder, body=body)
            except ApiError as error:
                if error.code in TAKEN_NONCE and replaces is None and attempt + 1 < NONCE_ATTEMPTS:
                    continue  # another client of the account uses this key: it stays bound here, so never taken again
                if not error.retryable:
                    self._nonces.ended(order_id)
                if error.code == "staleEpoch":
                    self._epoch = (await self.account_state()).epoch
                    if replaces is None and attempt + 1 < NONCE_ATTEMPTS:
                        continue
                raise
            if replaces is not None:
                self._nonces.bind(order_id, market.id, nonce)
            if placed.status in ENDED:
                self._nonces.ended(order_id)
            return placed
        raise AssertionError("the last attempt returns or raises")

    async def _ready(self) -> Signer:
        """The signer, once markets and the nonces of earlier orders are known."""
        if self._key is None:
            raise MissingKey("this client has no private key")
        async with self._starting:
            if self._signer is None:
                markets = await self.markets()
                identities = {market.symbol: market.id for market in markets.markets}
                await self._learn(identities, (), 1)
                await self._learn(identities, ("open", "partiallyFilled"), SYNC_PAGES)
                self._epoch = (await self.account_state()).epoch
                self._signer = Signer(self._key, markets, self._of)
        return self._signer

    async def _learn(self, markets: dict[str, int], statuses: tuple[str, ...], pages: int) -> None:
        cursor = None
        for _ in range(pages):
            page = await self.orders(status=statuses, cursor=cursor, limit=SYNC_LIMIT)
            for order in page.orders:
                order_id = None if order.status in ENDED else order.order_id
                self._nonces.learn(markets[order.market], int(order.nonce), order_id)
            cursor = page.next
            if cursor is None:
                return

    # -----------------------------------------------------------------------------------------------------------------
    # Reading
    # -----------------------------------------------------------------------------------------------------------------

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

    # -----------------------------------------------------------------------------------------------------------------
    # Stream
    # -----------------------------------------------------------------------------------------------------------------

    def subscribe(self, *channels: str) -> Stream:
        """Messages of `channels`, across lost connections: `async for message in client.subscribe(...)`."""
        return Stream(self._http, self._auth, channels, self._observe)

    def _observe(self, message: Message) -> None:
        if isinstance(message, OrderMessage) and message.data.status in ENDED:
            self._nonces.ended(message.data.order_id)


def _since(since: int | None, limit: int | None) -> dict[str, str]:
    query = {} if since is None else {"since": str(since)}
    return query if limit is None else query | {"limit": str(limit)}
