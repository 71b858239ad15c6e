"""Fixtures of the Vault's tests. Plain accounts are connected as Engine and queue, to call as these do."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ape.api import AccountAPI
from ape.contracts import ContractInstance
from ape.managers.project import ProjectManager

from tests.utils.contracts import deploy_behind_proxy


@pytest.fixture(scope="session")
def engine(accounts: list[AccountAPI]) -> AccountAPI:
    return accounts[1]


@pytest.fixture(scope="session")
def queue(accounts: list[AccountAPI]) -> AccountAPI:
    return accounts[2]


@pytest.fixture(scope="session")
def maker(accounts: list[AccountAPI]) -> AccountAPI:
    return accounts[3]


@pytest.fixture(scope="session")
def taker(accounts: list[AccountAPI]) -> AccountAPI:
    return accounts[4]


@pytest.fixture
def usdc(project: ProjectManager, owner: AccountAPI) -> ContractInstance:
    return owner.deploy(project.MockUSDC)


@pytest.fixture
def create_token(project: ProjectManager, owner: AccountAPI) -> Callable[[str], ContractInstance]:
    """Deploy a mock token by name."""
    return lambda name: owner.deploy(project.get_contract(name))


@pytest.fixture
def create_vault(
    project: ProjectManager, owner: AccountAPI, engine: AccountAPI, queue: AccountAPI
) -> Callable[..., ContractInstance]:
    """Deploy a Vault over `asset` behind its proxy and connect it."""

    def create(asset: ContractInstance, connected: bool = True) -> ContractInstance:
        vault = deploy_behind_proxy(owner, project.Vault, project.UpgradeableProxy, (asset.address,), (owner.address,))
        if connected:
            vault.connect(engine, queue, sender=owner)
        return vault

    return create


@pytest.fixture
def vault(create_vault: Callable[..., ContractInstance], usdc: ContractInstance) -> ContractInstance:
    return create_vault(usdc)


@pytest.fixture
def deposit() -> Callable[..., None]:
    """Mint `assets` of the Vault's token to an account and deposit them for itself."""

    def run(vault: ContractInstance, token: ContractInstance, account: AccountAPI, assets: int) -> None:
        token.mint(account, assets, sender=account)
        token.approve(vault, assets, sender=account)
        vault.deposit(assets, account, sender=account)

    return run
