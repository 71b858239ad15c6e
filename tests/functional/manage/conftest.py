"""Fixtures of the management's tests: a deployment, and desks of everybody who acts on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ape.api import AccountAPI
from ape.contracts import ContractInstance
from ape.managers.project import ProjectManager

from scripts._lib.deployment import Deployment, deploy_all
from scripts._lib.desk import Desk
from scripts._lib.listing import LOCAL_MARKETS, Listing
from scripts._lib.settings import DeploySettings, GovernanceSettings
from tests.utils.contracts import contract_at

CXPT = 10**6
THRESHOLD, QUORUM = 100 * CXPT, 1_000 * CXPT


@pytest.fixture(scope="session")
def holder(accounts: list[AccountAPI]) -> AccountAPI:
    """Who holds enough CXPT to propose and to decide."""
    return accounts[3]


@pytest.fixture(scope="session")
def maker(accounts: list[AccountAPI]) -> AccountAPI:
    return accounts[4]


@pytest.fixture(scope="session")
def taker(accounts: list[AccountAPI]) -> AccountAPI:
    return accounts[5]


@pytest.fixture(scope="session")
def listing() -> Listing:
    return Listing.load(LOCAL_MARKETS)


def _settings(folder: Any, operator: AccountAPI, guardian: AccountAPI, **changes: Any) -> DeploySettings:
    return DeploySettings(operator=operator.address, guardian=guardian.address, folder=folder, **changes)


@pytest.fixture(scope="module")
def owned(
    owner: AccountAPI, operator: AccountAPI, guardian: AccountAPI, tmp_path_factory: pytest.TempPathFactory
) -> Deployment:
    """A deployment that its deployer owns."""
    settings = _settings(tmp_path_factory.mktemp("owned"), operator, guardian)
    return deploy_all(owner, settings, echo=lambda _: None)


@pytest.fixture(scope="module")
def governed(
    owner: AccountAPI, operator: AccountAPI, guardian: AccountAPI, tmp_path_factory: pytest.TempPathFactory
) -> Deployment:
    """A deployment that holders of CXPT own."""
    settings = _settings(
        tmp_path_factory.mktemp("governed"), operator, guardian, governance=GovernanceSettings(THRESHOLD, QUORUM)
    )
    return deploy_all(owner, settings, echo=lambda _: None)


@pytest.fixture
def lines() -> list[str]:
    """What was shown."""
    return []


@pytest.fixture
def sit(lines: list[str]) -> Callable[..., Desk]:
    """Sit an account at the desk of a deployment; it sends, unless told not to."""

    def run(deployment: Deployment, account: AccountAPI, send: bool = True) -> Desk:
        return Desk(account, deployment.path.parent, send=send, echo=lines.append)

    return run


@pytest.fixture
def at(project: ProjectManager) -> Callable[[str, str], ContractInstance]:
    """A contract by name and address."""
    return lambda name, address: contract_at(project.get_contract(name), address)
