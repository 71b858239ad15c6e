"""Fixtures of the Vault's tests.

`vault` has plain accounts as Engine, queue, Clearinghouse and OrderControl, to call as these do; `custody` is wired to
the real contracts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ape.api import AccountAPI, ReceiptAPI
from ape.contracts import ContractInstance
from ape.managers import ChainManager
from ape.managers.project import ProjectManager

from tests.utils.contracts import deploy_behind_proxy
from tests.utils.custody import Custody, deploy_custody, entry


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


@pytest.fixture(scope="session")
def clearinghouse(accounts: list[AccountAPI]) -> AccountAPI:
    return accounts[7]


@pytest.fixture(scope="session")
def order_control(accounts: list[AccountAPI]) -> AccountAPI:
    return accounts[8]


@pytest.fixture
def usdc(project: ProjectManager, owner: AccountAPI) -> ContractInstance:
    return owner.deploy(project.MockUSDC)


@pytest.fixture
def create_token(project: ProjectManager, owner: AccountAPI) -> Callable[[str], ContractInstance]:
    """Deploy a mock token by name."""
    return lambda name: owner.deploy(project.get_contract(name))


@pytest.fixture
def create_vault(
    project: ProjectManager,
    owner: AccountAPI,
    engine: AccountAPI,
    queue: AccountAPI,
    clearinghouse: AccountAPI,
    order_control: AccountAPI,
) -> Callable[..., ContractInstance]:
    """Deploy a Vault over `asset` behind its proxy and connect it."""

    def create(asset: ContractInstance, connected: bool = True) -> ContractInstance:
        vault = deploy_behind_proxy(owner, project.Vault, project.UpgradeableProxy, (asset.address,), (owner.address,))
        if connected:
            vault.connect(engine, queue, clearinghouse, order_control, sender=owner)
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


@pytest.fixture
def settle(vault: ContractInstance, engine: AccountAPI) -> Callable[..., ReceiptAPI]:
    """Settle rows (account, epoch, delta) or (account, epoch, delta, fees)."""

    def run(*rows: tuple[Any, ...], sender: AccountAPI = engine) -> ReceiptAPI:
        entries = [entry(account, epoch, *fees) for account, epoch, _, *fees in rows]
        return vault.settle(entries, [row[2] for row in rows], sender=sender)

    return run


@pytest.fixture(scope="module")
def custody(
    project: ProjectManager,
    owner: AccountAPI,
    operator: AccountAPI,
    guardian: AccountAPI,
    clearinghouse: AccountAPI,
    order_control: AccountAPI,
) -> Custody:
    return deploy_custody(project, owner, operator, guardian, [clearinghouse, order_control])


@pytest.fixture
def set_next_time(chain: ChainManager) -> Callable[[int], None]:
    """Give the next block this time (Unix seconds)."""

    def run(time: int) -> None:
        chain.provider.make_request("evm_setNextBlockTimestamp", [time])

    return run
