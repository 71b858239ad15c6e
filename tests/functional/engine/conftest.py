"""Fixtures of the Engine's tests: the whole system on chain and traders with balances in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ape.api import AccountAPI
from ape.managers import ChainManager
from ape.managers.project import ProjectManager
from eth_account import Account
from eth_account.signers.local import LocalAccount

from tests.functional.engine.exchange import BTC_PARAMS, ETH_PARAMS, Exchange, create_market
from tests.utils.batches import BUY, SELL, Batch, Group
from tests.utils.contracts import deploy_behind_proxy, deploy_create2

USDC_BALANCE = 10**12  # a million USDC
BTC_BALANCE = 10**10  # 100 BTC
ETH_BALANCE = 10**21  # 1,000 ETH


@pytest.fixture(scope="module")
def exchange(
    project: ProjectManager, chain: ChainManager, owner: AccountAPI, operator: AccountAPI, guardian: AccountAPI
) -> Exchange:
    usdc = owner.deploy(project.MockUSDC)
    wbtc = owner.deploy(project.MockWBTC)
    weth = owner.deploy(project.MockToken, "Wrapped Ether", "WETH", 18)
    btc_synth = deploy_create2(owner, project.SynthERC20, wbtc.address)
    eth_synth = deploy_create2(owner, project.SynthERC20, weth.address)
    registry = owner.deploy(project.MarketRegistry, owner, guardian)
    vault = deploy_behind_proxy(owner, project.Vault, project.UpgradeableProxy, (usdc.address,), (owner.address,))
    packer = owner.deploy(project.BatchPacker)
    roles = (owner.address, operator.address, guardian.address, 50)
    engine = deploy_behind_proxy(
        owner, project.Engine, project.UpgradeableProxy, (vault.address, registry.address, packer.address), roles
    )
    queue = owner.deploy(project.WithdrawalQueue, vault, engine, registry)
    control = owner.deploy(project.OrderControl, engine, vault)
    clearinghouse = owner.deploy(project.MockClearinghouse)
    vault.connect(engine, queue, clearinghouse, control, sender=owner)
    engine.connect(queue, control, clearinghouse, sender=owner)

    ids = []
    for synth in (btc_synth, eth_synth):
        registry.registerAsset(synth, sender=owner)
        ids.append(registry.lastId())
    for symbol, base, numbers in (("BTC-USDC", ids[0], BTC_PARAMS), ("ETH-USDC", ids[1], ETH_PARAMS)):
        ids.append(create_market(registry, owner, symbol, base, numbers))
    parts = (usdc, btc_synth, eth_synth, registry, vault, packer, engine, queue, control, clearinghouse)
    return Exchange(chain.provider, operator, *parts, *ids)


@pytest.fixture(scope="module")
def fund(exchange: Exchange, project: ProjectManager) -> Callable[..., None]:
    """Give an account balances in the exchange, through real deposits."""

    def run(account: AccountAPI, usdc: int = 0, btc: int = 0, eth: int = 0) -> None:
        if usdc:
            exchange.usdc.mint(account, usdc, sender=account)
            exchange.usdc.approve(exchange.vault, usdc, sender=account)
            exchange.vault.deposit(usdc, account, sender=account)
        for instrument, synth, amount in (
            (exchange.btc, exchange.btc_synth, btc),
            (exchange.eth, exchange.eth_synth, eth),
        ):
            if not amount:
                continue
            token = project.MockToken.at(synth.underlying())
            token.mint(account, amount, sender=account)
            token.approve(synth, amount, sender=account)
            synth.depositFor(account, amount, sender=account)
            synth.approve(exchange.engine, amount, sender=account)
            exchange.engine.deposit(instrument, amount, sender=account)

    return run


@pytest.fixture(scope="module")
def create_trader(fund: Callable[..., None]) -> Callable[..., LocalAccount]:
    """Fund a test account and return its key, which signs orders."""

    def create(account: AccountAPI, usdc: int = USDC_BALANCE, btc: int = BTC_BALANCE, eth: int = 0) -> LocalAccount:
        fund(account, usdc, btc, eth)
        trader: LocalAccount = Account.from_key(account.private_key)  # type: ignore[attr-defined]
        return trader

    return create


@pytest.fixture(scope="module")
def maker(create_trader: Callable[..., LocalAccount], accounts: list[AccountAPI]) -> LocalAccount:
    return create_trader(accounts[3], eth=ETH_BALANCE)


@pytest.fixture(scope="module")
def taker(create_trader: Callable[..., LocalAccount], accounts: list[AccountAPI]) -> LocalAccount:
    return create_trader(accounts[4], eth=ETH_BALANCE)


@pytest.fixture(scope="module")
def third(create_trader: Callable[..., LocalAccount], accounts: list[AccountAPI]) -> LocalAccount:
    """Another funded trader."""
    return create_trader(accounts[5])


@pytest.fixture(scope="module")
def pauper(create_trader: Callable[..., LocalAccount], accounts: list[AccountAPI]) -> LocalAccount:
    """A trader without balances."""
    return create_trader(accounts[6], usdc=0, btc=0)


@pytest.fixture
def pass_time(exchange: Exchange) -> Callable[[int], int]:
    """Mine a block `seconds` after the latest and return its time."""

    def run(seconds: int) -> int:
        time = exchange.now + seconds
        exchange.provider.make_request("evm_setNextBlockTimestamp", [time])
        exchange.provider.make_request("evm_mine", [])
        return time

    return run


@pytest.fixture
def batch(exchange: Exchange, maker: LocalAccount, taker: LocalAccount, third: LocalAccount) -> Batch:
    """Three accounts, two markets, four orders, two fills; it settles."""
    eth = {"market": exchange.eth_market, "instrument": exchange.eth, "price": 3_000_000}
    return exchange.batch(
        [
            (exchange.order(maker, SELL), exchange.order(taker, BUY), 10),
            (exchange.order(taker, SELL, **eth), exchange.order(maker, BUY, **eth), 5),
            (exchange.order(maker, SELL), exchange.order(third, BUY), 10),
        ]
    )


@pytest.fixture
def resign(
    exchange: Exchange, batch: Batch, maker: LocalAccount, taker: LocalAccount, third: LocalAccount
) -> Callable[..., None]:
    """Change an order of the batch and sign it again, so that nothing but the change is wrong."""
    signers = {signer.address: signer for signer in (maker, taker, third)}

    def run(index: int, **changes: Any) -> None:
        entry = batch.orders[index]
        account_index, instrument = batch.positions[entry.position]
        account, epoch = batch.accounts[account_index]
        batch.edit_order(index, **changes)
        entry = batch.orders[index]
        order = exchange.order(
            signers[account],
            entry.side,
            market=batch.markets[entry.market],
            instrument=instrument,
            price=entry.price,
            quantity=entry.quantity,
            nonce=entry.nonce,
            time_in_force=entry.time_in_force,
            reduce_only=entry.reduce_only,
            epoch=epoch,
            expiry=entry.expiry,
            max_fee_bps=entry.max_fee_bps,
            conversion_limit=entry.conversion_limit,
        )
        batch.groups[entry.group] = Group(*order.sign(exchange.domain))

    return run
