from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from offchain.batching import BatchLimits
from offchain.domain.market import USDC
from offchain.settler import Settler, SettlerSettings
from tests.utils.fakechain import FakeChain
from tests.utils.service import BTC, DOMAIN, MARKET, Service
from tests.utils.signing import Trader

CreateSettler = Callable[..., Settler]


@pytest.fixture
def maker() -> Trader:
    return Trader.named("maker")


@pytest.fixture
def taker() -> Trader:
    return Trader.named("taker")


@pytest.fixture
def chain() -> FakeChain:
    return FakeChain(DOMAIN)


@pytest_asyncio.fixture
async def service(tmp_path: Path, chain: FakeChain, maker: Trader, taker: Trader) -> AsyncIterator[Service]:
    """BTC-USDC, a maker and a taker with a million USDC and 100 BTC each."""
    service = Service(tmp_path, chain)
    await service.configure()
    chain.list_market(MARKET)
    for trader in (maker, taker):
        chain.deposit(trader.address, USDC, 10**12)
        chain.deposit(trader.address, BTC, 100 * 10**8)
    chain.mine()
    await service.sync()
    yield service
    await service.views.close()


@pytest.fixture
def create_settler(chain: FakeChain, service: Service) -> CreateSettler:
    """Settlers with short pauses; keywords change the settings, `fills` the size of a batch, the others the ports."""

    def create(*, fills: int = 500, ports: dict[str, object] | None = None, **settings: object) -> Settler:
        defaults: dict[str, object] = {"poll_seconds": 0.001, "retry_seconds": 0.001, "view_timeout_seconds": 2}
        chosen = SettlerSettings(limits=BatchLimits(fills=fills), **(defaults | settings))  # type: ignore[arg-type]
        adapters = {"chain": chain, "views": service.views, "ingress": service} | (ports or {})
        return Settler(**adapters, catalogue=service.catalogue, clock=service, settings=chosen)  # type: ignore[arg-type]

    return create
