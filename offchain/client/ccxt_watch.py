"""What CCXT watches, on the exchange's stream."""

from __future__ import annotations

import time
from typing import Any

from offchain.api.schemas import figures
from offchain.api.schemas.stream import (
    BalanceMessage,
    DepthSnapshot,
    DepthUpdate,
    FillMessage,
    MarkPriceMessage,
    OrderMessage,
    PositionMessage,
    ResumedMessage,
    TradeMessage,
    TraderSnapshot,
)
from offchain.client.ccxt_feed import Feed
from offchain.client.ccxt_structures import Structures
from offchain.client.ccxt_terms import Json, plain

BOOK = (DepthSnapshot, DepthUpdate, ResumedMessage)
TICKER_SECONDS = 1.0
"""for which the figures of 24 hours are good"""


class Watching(Structures):
    """To be mixed into a class of CCXT. Between two calls the latest thousand messages wait; states, such as a book or
    a balance, are always the present ones."""

    client: Any
    load_markets: Any
    market_id: Any
    market_symbols: Any
    parse_order_book: Any
    filter_by_since_limit: Any
    filter_by_symbol_since_limit: Any
    filter_by_array_positions: Any
    _ask: Any
    _feeds: dict[str, Feed]

    def _feed(self, *channels: str) -> Feed:
        name = " ".join(channels)
        if name not in self._feeds:
            self._feeds[name] = Feed(self.client.subscribe(*channels))
        return self._feeds[name]

    async def _hear(self, feed: Feed, name: str, *kinds: type, is_state: bool = False) -> list[Any]:
        """News of a feed; one that has failed is started again by the next call."""
        try:
            found: list[Any] = await self._ask(feed.news(name, *kinds, is_state=is_state))
        except Exception:
            self._feeds = {key: each for key, each in self._feeds.items() if each is not feed}
            raise
        return found

    async def close_feeds(self) -> None:
        feeds, self._feeds = self._feeds, {}
        for feed in feeds.values():
            await feed.close()

    # Markets ----------------------------------------------------------------------------------------------------------

    async def watch_order_book(self, symbol: str, limit: int | None = None, params: Json | None = None) -> Json:
        """The book after the next message; each is verified by its checksum."""
        await self.load_markets()
        name = self.market_id(symbol)
        feed = self._feed(f"market.{name}.depth")
        await self._hear(feed, "book", *BOOK, is_state=True)
        book = feed.stream.books[name]
        parsed: Json = self.parse_order_book(
            {"bids": book.bids(limit), "asks": book.asks(limit)}, self.symbol(symbol), None
        )
        parsed["nonce"] = book.seq
        return parsed

    async def watch_trades(
        self, symbol: str, since: int | None = None, limit: int | None = None, params: Json | None = None
    ) -> list[Json]:
        """The next trades. `fetch_trades` has those that a lost connection has missed."""
        await self.load_markets()
        messages = await self._hear(self._feed(f"market.{self.market_id(symbol)}.trade"), "trades", TradeMessage)
        trades = [self._public_trade(each, symbol) for message in messages for each in message.data]
        parsed: list[Json] = self.filter_by_since_limit(trades, since, limit, "timestamp", True)
        return parsed

    async def watch_ticker(self, symbol: str, params: Json | None = None) -> Json:
        """The ticker after the next change of the book or the next trade; figures of 24 hours are a second old at
        most."""
        await self.load_markets()
        name = self.market_id(symbol)
        feed = self._feed(f"market.{name}.depth", f"market.{name}.trade")
        await self._hear(feed, "ticker", *BOOK, TradeMessage, is_state=True)
        parsed = self._ticker_of(await self._recent_ticker(name))
        book, trade = feed.stream.books[name], feed.latest(TradeMessage)
        for side, levels in (("bid", book.bids(1)), ("ask", book.asks(1))):
            price, size = levels[0] if levels else (None, None)
            parsed |= {side: self.parse_number(price), f"{side}Volume": self.parse_number(size)}
        if isinstance(trade, TradeMessage):
            parsed["last"] = parsed["close"] = self.parse_number(trade.data[-1].price)
        return parsed

    _tickers: dict[str, tuple[float, figures.Ticker]]

    async def _recent_ticker(self, name: str) -> figures.Ticker:
        asked, ticker = self._tickers.get(name, (0.0, None))
        if ticker is None or time.monotonic() - asked > TICKER_SECONDS:
            asked = time.monotonic()
            ticker = await self._ask(self.client.ticker(name))
            self._tickers[name] = (asked, ticker)
        return ticker

    async def watch_mark_price(self, symbol: str, params: Json | None = None) -> Json:
        """A ticker with `markPrice` and `indexPrice`: the present ones, then each that differs."""
        await self.load_markets()
        feed = self._feed(f"market.{self.market_id(symbol)}.markPrice")
        await self._hear(feed, "mark", MarkPriceMessage, is_state=True)
        message = feed.latest(MarkPriceMessage)
        assert isinstance(message, MarkPriceMessage)
        parsed: Json = self.safe_ticker(
            {
                "symbol": self.symbol(symbol),
                "timestamp": message.time,
                "datetime": self.iso8601(message.time),
                "markPrice": message.data.mark_price,
                "indexPrice": message.data.index_price,
                "info": plain(message),
            }
        )
        return parsed

    # Account ----------------------------------------------------------------------------------------------------------

    async def _own(self) -> Feed:
        await self.load_markets()
        if not self.client.is_known:
            await self._ask(self.client.session())
        return self._feed(self.client.trader_channel)

    async def watch_orders(
        self, symbol: str | None = None, since: int | None = None, limit: int | None = None, params: Json | None = None
    ) -> list[Json]:
        """The next changes of orders, one after the other. After a gap: what is open."""
        feed = await self._own()
        while True:
            changes: list[Json] = []
            for message in await self._hear(feed, "orders", OrderMessage, TraderSnapshot):
                if isinstance(message, OrderMessage):
                    changes.append(self._order_change_of(message.data))
                elif message.resync:
                    changes += [self._order_change_of(each) for each in message.data.orders]
            wanted = None if symbol is None else self.symbol(symbol)
            found: list[Json] = self.filter_by_symbol_since_limit(changes, wanted, since, limit, True)
            if found:
                return found

    async def watch_my_trades(
        self, symbol: str | None = None, since: int | None = None, limit: int | None = None, params: Json | None = None
    ) -> list[Json]:
        """The next fills, as `fetch_my_trades` has them."""
        feed = await self._own()
        while True:
            fills = [self._fill_of(message.data) for message in await self._hear(feed, "fills", FillMessage)]
            wanted = None if symbol is None else self.symbol(symbol)
            found: list[Json] = self.filter_by_symbol_since_limit(fills, wanted, since, limit, True)
            if found:
                return found

    async def watch_balance(self, params: Json | None = None) -> Json:
        """All balances: the present ones, then whenever one has changed."""
        feed = await self._own()
        await self._hear(feed, "balance", TraderSnapshot, BalanceMessage, is_state=True)
        return self._balances_of(feed.balances)

    async def watch_positions(
        self,
        symbols: list[str] | None = None,
        since: int | None = None,
        limit: int | None = None,
        params: Json | None = None,
    ) -> list[Json]:
        """The present positions, then those that have changed: `contracts`, `side`, `entryPrice` and `realizedPnl` of
        these. One that was closed has 0 contracts."""
        feed = await self._own()
        while True:
            changed: list[str] = []
            for message in await self._hear(feed, "positions", TraderSnapshot, PositionMessage, is_state=True):
                changed += [message.data.market] if isinstance(message, PositionMessage) else list(feed.positions)
            parsed = [self._position_of(feed.positions[name]) for name in dict.fromkeys(changed)]
            found: list[Json] = self.filter_by_array_positions(parsed, "symbol", self.market_symbols(symbols), False)
            if found:
                return found
