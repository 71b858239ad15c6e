"""The client that blocks, in a thread, as a program without an event loop would use it."""

from __future__ import annotations

import asyncio
import inspect

import pytest

from offchain.api.schemas.stream import OrderMessage, TraderSnapshot
from offchain.client import ApiError, BlockingClient, Client
from tests.unit.api.conftest import Api
from tests.unit.api.exchange import MAKER


def test_it_has_every_method_of_the_client() -> None:
    methods = {name for name, _ in inspect.getmembers(Client, inspect.iscoroutinefunction) if not name.startswith("_")}
    assert methods - {"close"} <= set(vars(BlockingClient))
    for name in methods - {"close"}:
        assert getattr(BlockingClient, name).__doc__ == getattr(Client, name).__doc__


async def test_order_is_placed_heard_of_and_canceled(api: Api) -> None:
    def trade() -> list[str]:
        with BlockingClient(str(api.make_url("")), MAKER.key) as client:
            placed = client.place_limit("BTC-USDC", "buy", "95000.1", "0.5")
            heard = []
            for message in client.subscribe(client.trader_channel):
                if isinstance(message, TraderSnapshot):
                    heard += [order.status for order in message.data.orders]
                    client.cancel(placed.order_id)
                if isinstance(message, OrderMessage):
                    heard.append(message.data.status)
                    break
            assert client.order(placed.order_id).status == "canceled"
            return heard

    assert await asyncio.to_thread(trade) == ["open", "canceled"]


async def test_refusals_are_raised(api: Api) -> None:
    def ask() -> None:
        with BlockingClient(str(api.make_url(""))) as client, pytest.raises(ApiError, match="unknownMarket"):
            client.ticker("DOGE-USDC")

    await asyncio.to_thread(ask)
