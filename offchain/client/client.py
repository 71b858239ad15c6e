"""The client: one account's view of one exchange."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import aiohttp

from offchain.api.schemas.http import BatchEntry
from offchain.api.schemas.stream import OrderMessage
from offchain.chain import eip712
from offchain.client.auth import Authenticator
from offchain.client.carrier import HttpCarrier
from offchain.client.desk import ENDED, OrderDesk
from offchain.client.identity import Identified, address_from
from offchain.client.nonces import NonceKeys
from offchain.client.onchain import OnChain
from offchain.client.orders import NewOrder
from offchain.client.ordersocket import OrderSocket
from offchain.client.reading import Reading
from offchain.client.stream import Message, Stream
from offchain.client.trading import Trading
from offchain.client.transport import Transport


class Client(Trading, Reading, Identified, OnChain):
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
        self._of = address_from(account) if account is not None else eip712.address_of(key) if key is not None else None
        self._http = Transport(url, session, timeout, retries)
        self._auth = Authenticator(self._http, url, key, api_key, self._of, sign_in_domain)
        self._timeout, self._retries = timeout, retries
        self._orders = HttpCarrier(self._http, self._auth)
        self._carrier = self._orders
        self._desk = OrderDesk(self, key, self._of, NonceKeys(lambda: int(time.time())))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.close()

    async def place_batch(self, orders: Sequence[NewOrder]) -> list[BatchEntry]:
        """Place up to fifty orders, each decided on by itself, in their order. One result each: `order` or `problem`.

        Raises ApiError for what refuses all of them, ValueError and TypeError as `place_limit`.
        """
        drafts = await self._desk.drafts(orders)

        async def send() -> list[BatchEntry]:
            return await self._orders.place_batch([await self._desk.signed(draft) for draft in drafts])

        return await self._settle(drafts, send)

    def order_socket(self, *, cancel_on_disconnect: bool = False) -> OrderSocket:
        """Orders over a WebSocket: `async with client.order_socket() as socket: await socket.place_limit(...)`.

        `cancel_on_disconnect` has all orders of the account canceled when the socket is gone, also by leaving the
        block.
        """
        return OrderSocket(
            self._desk,
            self._http,
            self._auth,
            cancel_on_disconnect=cancel_on_disconnect,
            timeout=self._timeout,
            retries=self._retries,
        )

    def subscribe(self, *channels: str) -> Stream:
        """Messages of `channels`, across lost connections: `async for message in client.subscribe(...)`."""
        return Stream(self._http, self._auth, channels, self._observe)

    def _observe(self, message: Message) -> None:
        if isinstance(message, OrderMessage) and message.data.status in ENDED:
            self._desk.nonces.ended(message.data.order_id)
