"""WebSockets as clients have them, and trades to see on them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import ClientWebSocketResponse
from aiohttp.test_utils import TestClient

from offchain.domain.order import Side
from tests.unit.api.exchange import MAKER, TAKER, Trader, create_body, create_order

DEPTH, TRADE = "market.BTC-USDC.depth", "market.BTC-USDC.trade"
MAKERS = f"trader.{MAKER.account}"


class Socket:
    """A WebSocket as a client has it."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self.raw = socket

    async def send(self, **operation: Any) -> None:
        await self.raw.send_json(operation)

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(5):
            message: dict[str, Any] = await self.raw.receive_json()
        return message

    async def next_of(self, kind: str) -> dict[str, Any]:
        while True:
            message = await self.next()
            if message.get("type") == kind:
                return message

    async def subscribe(self, *channels: str, **more: Any) -> dict[str, Any]:
        await self.send(op="subscribe", channels=list(channels), id=1, **more)
        answer = await self.next()
        assert answer["op"] == "subscribed"
        return answer

    async def is_silent(self) -> bool:
        try:
            async with asyncio.timeout(0.15):
                await self.raw.receive()
        except TimeoutError:
            return True
        return False


Connect = Callable[..., Awaitable[Socket]]


async def place(api: TestClient, trader: Trader, key: int = 1, **changes: Any) -> dict[str, Any]:
    order = create_order(trader, **{"nonce": key << 32} | changes)
    response = await api.post("/v1/orders", json=create_body(trader, order))
    assert response.status == 201
    answer: dict[str, Any] = await response.json()
    return answer


async def trade(api: TestClient, key: int = 1, quantity: int = 10_000) -> dict[str, Any]:
    """The taker buys from the maker; the taker's answer."""
    await place(api, MAKER, key, side=Side.SELL, quantity=quantity)
    return await place(api, TAKER, key, quantity=quantity)
