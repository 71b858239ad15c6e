"""Fixtures of the queue's tests: the whole system on chain, with the real Engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from ape.api import AccountAPI
from ape.contracts import ContractInstance
from ape.managers import ChainManager
from ape.managers.project import ProjectManager

from tests.utils.contracts import deploy_behind_proxy, deploy_create2

USDC, USDC_AS_CXPT, INSTRUMENT = range(3)


@dataclass(frozen=True)
class System:
    usdc: ContractInstance
    token: ContractInstance
    synth: ContractInstance
    registry: ContractInstance
    vault: ContractInstance
    engine: ContractInstance
    queue: ContractInstance
    instrument: int


@pytest.fixture
def maker(accounts: list[AccountAPI]) -> AccountAPI:
    return accounts[3]


@pytest.fixture
def taker(accounts: list[AccountAPI]) -> AccountAPI:
    return accounts[4]


@pytest.fixture(scope="module")
def system(project: ProjectManager, owner: AccountAPI, operator: AccountAPI, guardian: AccountAPI) -> System:
    usdc = owner.deploy(project.MockUSDC)
    token = owner.deploy(project.MockCallbackToken)
    synth = deploy_create2(owner, project.SynthERC20, token.address)
    registry = owner.deploy(project.MarketRegistry, owner, guardian)
    proxy = project.UpgradeableProxy
    vault = deploy_behind_proxy(owner, project.Vault, proxy, (usdc.address,), (owner.address,))
    roles = (owner.address, operator.address, guardian.address, 50)
    engine = deploy_behind_proxy(owner, project.Engine, proxy, (vault.address, registry.address), roles)
    queue = owner.deploy(project.WithdrawalQueue, vault, engine, registry)
    vault.connect(engine, queue, sender=owner)
    engine.connect(queue, sender=owner)
    registry.registerAsset(synth, sender=owner)
    return System(usdc, token, synth, registry, vault, engine, queue, registry.assetId(synth))


@pytest.fixture
def queue(system: System) -> ContractInstance:
    return system.queue


@pytest.fixture
def asset_of(system: System) -> Callable[[int], tuple[int, int]]:
    """The (kind, instrument) of a withdrawal of this kind."""
    return lambda kind: (kind, system.instrument if kind == INSTRUMENT else 0)


@pytest.fixture
def deposit(system: System) -> Callable[..., None]:
    """Give an account a balance of USDC or of the synth."""

    def run(account: AccountAPI, kind: int, amount: int) -> None:
        if kind == USDC:
            system.usdc.mint(account, amount, sender=account)
            system.usdc.approve(system.vault, amount, sender=account)
            system.vault.deposit(amount, account, sender=account)
            return
        system.token.mint(account, amount, sender=account)
        system.token.approve(system.synth, amount, sender=account)
        system.synth.depositFor(account, amount, sender=account)
        system.synth.approve(system.engine, amount, sender=account)
        system.engine.deposit(system.instrument, amount, sender=account)

    return run


@pytest.fixture
def balance_of(system: System) -> Callable[[AccountAPI, int], int]:
    """What the exchange owes the account."""

    def read(account: AccountAPI, kind: int) -> int:
        if kind == USDC:
            return int(system.vault.sharesOf(account))
        return int(system.engine.balanceOf(account, system.instrument))

    return read


@pytest.fixture
def wallet_of(system: System) -> Callable[[AccountAPI, int], int]:
    """What the account has outside the exchange."""
    return lambda account, kind: int((system.usdc if kind == USDC else system.synth).balanceOf(account))


@pytest.fixture
def set_next_time(chain: ChainManager) -> Callable[[int], None]:
    """Give the next block this time (Unix seconds)."""

    def run(time: int) -> None:
        chain.provider.make_request("evm_setNextBlockTimestamp", [time])

    return run
