from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from offchain.client import Client
from tests.unit.api.conftest import Api, api, create_api, create_exchange, exchange, provider
from tests.unit.api.exchange import Trader

__all__ = ["api", "create_api", "create_exchange", "exchange", "provider"]  # fixtures of the interface's tests

CreateClient = Callable[..., Awaitable[Client]]


@pytest.fixture
async def create_client(api: Api) -> AsyncIterator[CreateClient]:
    """Clients of the running exchange."""
    clients: list[Client] = []

    async def create(trader: Trader | None = None, **more: Any) -> Client:
        client = Client(str(api.make_url("")), trader.key if trader else None, **more)
        clients.append(client)
        return client

    yield create
    for client in clients:
        await client.close()
