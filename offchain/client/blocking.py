"""The client for programs that block."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from offchain.client.client import Client
from offchain.client.stream import Message

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(
    method: Callable[Concatenate[Client, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[BlockingClient, P], T]:
    def call(self: BlockingClient, /, *arguments: P.args, **named: P.kwargs) -> T:
        return self._runner.run(method(self._client, *arguments, **named))

    call.__name__, call.__doc__ = method.__name__, method.__doc__
    return call


class BlockingClient:
    """`Client` with methods that return when the exchange has answered. Not to be used within a running event loop, and
    by one thread at a time."""

    def __init__(
        self,
        url: str,
        private_key: bytes | str | None = None,
        *,
        api_key: str | None = None,
        account: str | None = None,
        sign_in_domain: str | None = None,
        timeout: float = 10.0,
        retries: int = 3,
    ) -> None:
        """As `Client`."""
        self._client = Client(
            url,
            private_key,
            api_key=api_key,
            account=account,
            sign_in_domain=sign_in_domain,
            timeout=timeout,
            retries=retries,
        )
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._runner.run(self._client.close())
        self._runner.close()

    @property
    def account(self) -> str:
        """The account's address. Raises MissingKey where it is not known: with an API key alone, `session` asks."""
        return self._client.account

    @property
    def trader_channel(self) -> str:
        """The channel of this client's account."""
        return self._client.trader_channel

    def is_open(self, order_id: str) -> bool:
        """Whether an order of this client is open, as far as answers and subscriptions have told."""
        return self._client.is_open(order_id)

    def subscribe(self, *channels: str) -> Iterator[Message]:
        """Messages of `channels`, across lost connections; leave the loop, and the subscription ends."""
        stream = self._client.subscribe(*channels)
        messages = aiter(stream)

        async def following() -> Message:
            return await anext(messages)

        try:
            while True:
                yield self._runner.run(following())
        finally:
            self._runner.run(stream.close())

    session = _blocking(Client.session)
    sign_out = _blocking(Client.sign_out)
    create_key = _blocking(Client.create_key)
    keys = _blocking(Client.keys)
    revoke_key = _blocking(Client.revoke_key)
    place_limit = _blocking(Client.place_limit)
    place_market = _blocking(Client.place_market)
    place = _blocking(Client.place)
    place_batch = _blocking(Client.place_batch)
    place_array = _blocking(Client.place_array)
    replace = _blocking(Client.replace)
    amend = _blocking(Client.amend)
    cancel = _blocking(Client.cancel)
    cancel_if_open = _blocking(Client.cancel_if_open)
    cancel_all = _blocking(Client.cancel_all)
    cancel_after = _blocking(Client.cancel_after)
    withdraw = _blocking(Client.withdraw)
    set_delegate = _blocking(Client.set_delegate)
    cancel_on_chain = _blocking(Client.cancel_on_chain)
    cancel_all_on_chain = _blocking(Client.cancel_all_on_chain)
    action = _blocking(Client.action)
    actions = _blocking(Client.actions)
    order = _blocking(Client.order)
    orders = _blocking(Client.orders)
    positions = _blocking(Client.positions)
    fills = _blocking(Client.fills)
    account_state = _blocking(Client.account_state)
    balances = _blocking(Client.balances)
    deposits = _blocking(Client.deposits)
    withdrawals = _blocking(Client.withdrawals)
    markets = _blocking(Client.markets)
    orderbook = _blocking(Client.orderbook)
    trades = _blocking(Client.trades)
    candles = _blocking(Client.candles)
    tickers = _blocking(Client.tickers)
    ticker = _blocking(Client.ticker)
    statistics = _blocking(Client.statistics)
    fees = _blocking(Client.fees)
    funding = _blocking(Client.funding)
    open_interest = _blocking(Client.open_interest)
    options = _blocking(Client.options)
    prices = _blocking(Client.prices)
    server_time = _blocking(Client.server_time)
    status = _blocking(Client.status)
