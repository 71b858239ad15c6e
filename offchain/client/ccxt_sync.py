"""Crosspoint as a class of `ccxt`, for programs that block."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import ccxt

from offchain.client.ccxt_account import Accounts
from offchain.client.ccxt_crosspoint import crosspoint as asynchronous
from offchain.client.ccxt_derivatives import Derivatives
from offchain.client.ccxt_orders import Orders
from offchain.client.ccxt_terms import Json, describe


class crosspoint(ccxt.Exchange):  # type: ignore[misc]  # noqa: N801
    """What it is asked for, the asynchronous class asks on a loop of its own."""

    _runner: asyncio.Runner | None = None

    def __init__(self, config: Json | None = None) -> None:
        super().__init__(config or {})
        self._inner = asynchronous(config or {})
        self._runner = asyncio.Runner()

    def describe(self) -> Json:
        merged: Json = self.deep_extend(super().describe(), describe())
        merged["has"] |= {name: False for name in merged["has"] if name.startswith("watch")}
        return merged

    def close(self) -> None:
        """CCXT closes again when the object goes."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            runner.run(self._inner.close())
            runner.close()
        super().close()

    def _wait(self, call: Coroutine[Any, Any, Any]) -> Any:
        if self._runner is None:
            call.close()
            raise ccxt.ExchangeClosedByUser("crosspoint is closed")
        return self._runner.run(call)


def _blocking(name: str) -> Any:
    def call(self: crosspoint, *arguments: Any, **named: Any) -> Any:
        return self._wait(getattr(self._inner, name)(*arguments, **named))

    call.__name__ = name
    call.__doc__ = getattr(asynchronous, name).__doc__
    return call


for _name in (*vars(Orders), *vars(Accounts), *vars(Derivatives), *vars(asynchronous)):
    if _name.startswith(("fetch_", "create_", "edit_", "cancel_", "withdraw")):
        setattr(crosspoint, _name, _blocking(_name))
