"""Balances, positions, fills, deposits and withdrawals in CCXT's words."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import ccxt

from offchain.client.ccxt_structures import Structures
from offchain.client.ccxt_terms import Json, plain


class Accounts(Structures):
    """To be mixed into a class of CCXT."""

    client: Any
    load_markets: Any
    market_symbols: Any
    sort_by: Any
    filter_by_array_positions: Any
    filter_by_symbol_since_limit: Any
    _ask: Any

    async def fetch_balance(self, params: Json | None = None) -> Json:
        await self.load_markets()
        return self._balances_of(await self._ask(self.client.balances()))

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
