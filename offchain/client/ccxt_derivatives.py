"""Funding, open interest, options and marks in CCXT's words."""

from __future__ import annotations

from typing import Any

import ccxt

from offchain.api.schemas import derivatives, figures
from offchain.client.ccxt_structures import Structures
from offchain.client.ccxt_terms import Json, number, plain

FUNDING_INTERVAL = "1h"


class Derivatives(Structures):
    """To be mixed into a class of CCXT. Volatilities are parts of one per year: 0.5 is 50 %."""

    client: Any
    load_markets: Any
    market: Any
    market_id: Any
    markets_by_id: Any
    safe_open_interest: Any
    filter_by_array: Any
    filter_by_since_limit: Any
    _ask: Any

    # Funding ----------------------------------------------------------------------------------------------------------

    async def fetch_funding_rates(self, symbols: list[str] | None = None, params: Json | None = None) -> Json:
        """`fundingRate` is what the present hour makes so far, due at `fundingTimestamp`."""
        await self.load_markets()
        tickers = await self._ask(self.client.tickers())
        rates = [self._funding_rate_of(each) for each in tickers if each.funding_rate is not None]
        filtered: Json = self.filter_by_array(rates, "symbol", symbols)
        return filtered

    async def fetch_funding_rate(self, symbol: str, params: Json | None = None) -> Json:
        """Beside what `fetch_funding_rates` has: the last accrual."""
        await self.load_markets()
        found = await self._ask(self.client.funding(self._perpetual(symbol), limit=1))
        rate = self._funding_rate(found.market, found.time, found.mark_price, found.index_price)
        return rate | {
            "fundingRate": float(found.rate),
            "fundingTimestamp": found.next_funding,
            "fundingDatetime": self.iso8601(found.next_funding),
            "previousFundingRate": number(found.last_rate),
            "previousFundingTimestamp": found.last_funding,
            "previousFundingDatetime": self.iso8601(found.last_funding),
            "info": plain(found),
        }

    async def fetch_funding_rate_history(
        self, symbol: str | None = None, since: int | None = None, limit: int | None = None, params: Json | None = None
    ) -> list[Json]:
        """What was accrued on chain, oldest first."""
        if symbol is None:
            raise ccxt.ArgumentsRequired("crosspoint has a history of funding by symbol")
        await self.load_markets()
        found = await self._ask(self.client.funding(self._perpetual(symbol), since=since, limit=limit))
        rates = [
            {
                "symbol": self.symbol(symbol),
                "fundingRate": float(each.rate),
                "timestamp": each.time,
                "datetime": self.iso8601(each.time),
                "info": plain(each),
            }
            for each in found.history
        ]
        parsed: list[Json] = self.filter_by_since_limit(rates, since, limit)
        return parsed

    def _perpetual(self, symbol: str) -> str:
        market = self.market(symbol)
        if not market["swap"]:
            raise ccxt.BadSymbol(f"crosspoint: {symbol} has no funding; perpetuals have")
        return str(market["id"])

    def _funding_rate_of(self, ticker: figures.Ticker) -> Json:
        rate = self._funding_rate(ticker.market, ticker.time, ticker.mark_price, ticker.index_price)
        return rate | {
            "fundingRate": number(ticker.funding_rate),
            "fundingTimestamp": ticker.next_funding,
            "fundingDatetime": self.iso8601(ticker.next_funding),
            "info": plain(ticker),
        }

    def _funding_rate(self, market: str, time: int, mark: str | None, index: str | None) -> Json:
        unknown = ("interestRate", "estimatedSettlePrice", "nextFundingRate", "nextFundingTimestamp")
        more = ("nextFundingDatetime", "previousFundingRate", "previousFundingTimestamp", "previousFundingDatetime")
        return dict.fromkeys((*unknown, *more)) | {
            "symbol": self.safe_symbol(market),
            "markPrice": number(mark),
            "indexPrice": number(index),
            "timestamp": time,
            "datetime": self.iso8601(time),
            "interval": FUNDING_INTERVAL,
        }

    # Open interest ----------------------------------------------------------------------------------------------------

    async def fetch_open_interest(self, symbol: str, params: Json | None = None) -> Json:
        await self.load_markets()
        market = self.market(symbol)
        if market["spot"]:
            raise ccxt.BadSymbol(f"crosspoint: {symbol} has no open interest; derivatives have")
        found = await self._ask(self.client.open_interest(market=market["id"]))
        return self._open_interest_of(found.markets[0], found.time)

    async def fetch_open_interests(self, symbols: list[str] | None = None, params: Json | None = None) -> Json:
        await self.load_markets()
        found = await self._ask(self.client.open_interest())
        rows = [self._open_interest_of(each, found.time) for each in found.markets if each.market in self.markets_by_id]
        filtered: Json = self.filter_by_array(rows, "symbol", symbols)
        return filtered

    def _open_interest_of(self, interest: derivatives.MarketInterest, time: int) -> Json:
        parsed: Json = self.safe_open_interest(
            {
                "symbol": self.safe_symbol(interest.market),
                "openInterestAmount": interest.open_interest,
                "openInterestValue": interest.open_interest_value,
                "timestamp": time,
                "datetime": self.iso8601(time),
                "info": plain(interest),
            }
        )
        return parsed

    # Options ----------------------------------------------------------------------------------------------------------

    async def fetch_option_chain(self, code: str, params: Json | None = None) -> Json:
        """By symbol: every option on `code` that has not expired."""
        await self.load_markets()
        chain = await self._ask(self.client.options(code))
        quotes = [quote for quote in _quotes(chain) if quote.market in self.markets_by_id]
        return {self.safe_symbol(quote.market): self._option_of(chain, quote) for quote in quotes}

    async def fetch_option(self, symbol: str, params: Json | None = None) -> Json:
        chain, quote = await self._quote(symbol)
        return self._option_of(chain, quote)

    async def fetch_greeks(self, symbol: str, params: Json | None = None) -> Json:
        """Vega and rho are per percentage point, theta per day."""
        chain, quote = await self._quote(symbol)
        return {
            "symbol": self.safe_symbol(quote.market),
            "timestamp": chain.time,
            "datetime": self.iso8601(chain.time),
            **{name: number(getattr(quote, name)) for name in ("delta", "gamma", "theta", "vega", "rho")},
            "vanna": None,
            "volga": None,
            "charm": None,
            "bidSize": number(quote.bid_size),
            "askSize": number(quote.ask_size),
            "bidImpliedVolatility": number(quote.bid_iv),
            "askImpliedVolatility": number(quote.ask_iv),
            "markImpliedVolatility": number(quote.mark_iv),
            "bidPrice": number(quote.bid),
            "askPrice": number(quote.ask),
            "markPrice": number(quote.mark_price),
            "lastPrice": number(quote.last),
            "underlyingPrice": number(chain.index_price),
            "info": plain(quote),
        }

    async def _quote(self, symbol: str) -> tuple[derivatives.OptionChain, derivatives.OptionQuote]:
        await self.load_markets()
        market = self.market(symbol)
        if not market["option"]:
            raise ccxt.BadSymbol(f"crosspoint: {symbol} is no option")
        chain = await self._ask(self.client.options(market["base"], expiry=market["expiry"]))
        for quote in _quotes(chain):
            if quote.market == market["id"]:
                return chain, quote
        raise ccxt.BadSymbol(f"crosspoint: {symbol} has expired")

    def _option_of(self, chain: derivatives.OptionChain, quote: derivatives.OptionQuote) -> Json:
        bid, ask = number(quote.bid), number(quote.ask)
        return {
            "currency": chain.underlying,
            "symbol": self.safe_symbol(quote.market),
            "timestamp": chain.time,
            "datetime": self.iso8601(chain.time),
            "impliedVolatility": number(quote.mark_iv),
            "openInterest": number(quote.open_interest),
            "bidPrice": bid,
            "askPrice": ask,
            "midPrice": None if bid is None or ask is None else (bid + ask) / 2,
            "markPrice": number(quote.mark_price),
            "lastPrice": number(quote.last),
            "underlyingPrice": number(chain.index_price),
            "change": None,
            "percentage": None,
            "baseVolume": number(quote.volume),
            "quoteVolume": None,
            "info": plain(quote),
        }


def _quotes(chain: derivatives.OptionChain) -> list[derivatives.OptionQuote]:
    strikes = [strike for expiry in chain.expiries for strike in expiry.strikes]
    return [quote for strike in strikes for quote in (*strike.calls, *strike.puts)]
