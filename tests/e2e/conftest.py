"""An exchange with a history, deployed once; every test works on a fork of its chain and a copy of its data."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import ape
import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from scripts._demo.setting import connected
from scripts._lib.anvil import anvil
from scripts._lib.deployment import Deployment, deploy_all
from scripts._lib.service import Service
from scripts._lib.settings import KNOWN_USDC, DeploySettings
from tests.e2e.chain import BTC, USDC, Chain, read_abis
from tests.e2e.exchange import PRICE, SYMBOL, Exchange, Roles, Upstream
from tests.e2e.trader import Both, signed_in

USDC_EACH = 1_000_000 * USDC
BASE_EACH = 20 * BTC

CreateExchange = Callable[..., Exchange]


def _deploy(url: str, folder: Path, usdc: str | None) -> tuple[Deployment, Roles]:
    with connected(url):
        owner, operator, guardian, maker, taker = (ape.accounts.test_accounts[index] for index in range(5))
        settings = DeploySettings(
            owner=str(owner.address),
            operator=str(operator.address),
            guardian=str(guardian.address),
            usdc=usdc,
            folder=folder,
        )
        deployment = deploy_all(owner, settings, echo=lambda report: None)
        keys = [account.private_key for account in (owner, operator, guardian, maker, taker)]
    return deployment, Roles(*(_local(key) for key in keys))


def _local(key: str) -> LocalAccount:
    account: LocalAccount = Account.from_key(key)
    return account


async def _trade(exchange: Exchange) -> None:
    """One fill that settles."""
    async with exchange.clients() as (maker, taker):
        await exchange.until_indexed(maker)
        resting = await maker.place_limit(SYMBOL, "sell", PRICE, "0.25")
        assert resting.status == "open"
        assert (await taker.place_market(SYMBOL, "buy", "0.25", PRICE)).status == "filled"
        await exchange.until_settled(taker)


@contextlib.contextmanager
def _create_upstream(folder: Path, fork_url: str | None = None, usdc: str | None = None) -> Iterator[Upstream]:
    with anvil(fork_url=fork_url, log=folder / "anvil.log") as url:
        deployment, roles = _deploy(url, folder, usdc)
        abis = read_abis()
        chain = Chain(url, deployment, abis, is_usdc_real=usdc is not None)
        for trader in (roles.maker, roles.taker):
            chain.give(trader, usdc=USDC_EACH, base=BASE_EACH)
            chain.deposit_usdc(trader, USDC_EACH)
            chain.deposit_base(trader, BASE_EACH)
        data, block = folder / "service", chain.head()
        exchange = Exchange(chain, roles, data)
        with exchange.running():
            asyncio.run(_trade(exchange))
        assert chain.last_batch() == 1
        yield Upstream(url, chain, abis, roles, data, block, usdc is not None)


@pytest.fixture(scope="session")
def local_upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    """A chain of our own with mock tokens."""
    with _create_upstream(tmp_path_factory.mktemp("local")) as upstream:
        yield upstream


@pytest.fixture(scope="session")
def mainnet_upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    """A fork of the chain at ETH_RPC_URL with the real USDC."""
    with _create_upstream(tmp_path_factory.mktemp("mainnet"), os.environ["ETH_RPC_URL"], KNOWN_USDC[1]) as upstream:
        yield upstream


@pytest.fixture
def upstream(local_upstream: Upstream) -> Upstream:
    return local_upstream


@pytest.fixture
def create_exchange(upstream: Upstream, tmp_path: Path) -> Iterator[CreateExchange]:
    """Fork the chain; further arguments are settings as in the environment, without their prefix."""
    with contextlib.ExitStack() as stack:

        def create(*, is_new: bool = False, **settings: str) -> Exchange:
            return stack.enter_context(upstream.fork(tmp_path / "service", is_new=is_new, **settings))

        yield create


# ---------------------------------------------------------------------------------------------------------------------
# One exchange for all tests of a module, which leave no open order
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared(local_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Exchange, Service]]:
    settings = {"BATCH_SECONDS": "0.2", "LIMIT_ADDRESS_SIGN_INS": "0"}
    folder = tmp_path_factory.mktemp("shared") / "service"
    with local_upstream.fork(folder, **settings) as exchange, exchange.running() as service:
        yield exchange, service


@pytest.fixture
def shared_exchange(shared: tuple[Exchange, Service]) -> Exchange:
    return shared[0]


@pytest.fixture
def shared_service(shared: tuple[Exchange, Service]) -> Service:
    return shared[1]


@pytest.fixture
async def traders(shared_exchange: Exchange) -> AsyncIterator[Both]:
    """Maker and taker, signed in."""
    async with signed_in(shared_exchange) as both:
        yield both
