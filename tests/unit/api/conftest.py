from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from offchain.api.state import ApiSettings
from tests.unit.api.exchange import Exchange, Trader, bearer
from tests.unit.api.sockets import Connect, Socket
from tests.utils.identity import Provider, create_settings

Api = TestClient
CreateExchange = Callable[..., Awaitable[Exchange]]


@pytest.fixture(scope="session")
def provider() -> Provider:
    """Whose tokens are administrators' here; it is never rotated."""
    return Provider()


@pytest.fixture
async def create_exchange(tmp_path: Path, provider: Provider) -> AsyncIterator[CreateExchange]:
    """Starts an exchange; `opened=False` leaves it without configuration and markets, `administered=False` without
    administrators."""
    running: list[Exchange] = []
    keys = tmp_path / "jwks.json"
    keys.write_bytes(provider.jwks())

    async def create(
        settings: ApiSettings | None = None, *, opened: bool = True, administered: bool = True
    ) -> Exchange:
        admin = create_settings(keys) if administered else None
        exchange = Exchange(tmp_path / str(len(running)), settings or ApiSettings(), admin)
        running.append(exchange)
        await exchange.start()
        if opened:
            await exchange.open()
        return exchange

    yield create
    for exchange in running:
        await exchange.stop()


@pytest.fixture
async def create_api(create_exchange: CreateExchange) -> AsyncIterator[Callable[[Exchange], Awaitable[Api]]]:
    """Serves an exchange over HTTP."""
    clients: list[Api] = []

    async def create(exchange: Exchange) -> Api:
        client: Api = TestClient(TestServer(exchange.app))
        clients.append(client)
        await client.start_server()
        return client

    yield create
    for client in clients:
        await client.close()


@pytest.fixture
async def exchange(create_exchange: CreateExchange) -> Exchange:
    return await create_exchange()


@pytest.fixture
async def api(exchange: Exchange, create_api: Callable[[Exchange], Awaitable[Api]]) -> Api:
    return await create_api(exchange)


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Grows with every turn that a long list leaves to others; here after each of its items."""
    left: list[float] = []

    class Turns:
        @staticmethod
        async def sleep(seconds: float) -> None:
            left.append(seconds)

    monkeypatch.setattr("offchain.api.patience.SLICE_SECONDS", 0)
    monkeypatch.setattr("offchain.api.patience.asyncio", Turns)
    return left


@pytest.fixture
async def connect(api: Api) -> AsyncIterator[Connect]:
    """Opens a socket, signed in if a trader is given."""
    sockets: list[Socket] = []

    async def create(trader: Trader | None = None) -> Socket:
        headers = bearer(api, trader) if trader is not None else {}
        sockets.append(Socket(await api.ws_connect("/v1/ws", headers=headers)))
        return sockets[-1]

    yield create
    for socket in sockets:
        await socket.raw.close()
