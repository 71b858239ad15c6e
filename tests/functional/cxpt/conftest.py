"""Fixtures of CXPT's tests: the custody contracts on chain, with the real Engine and queue."""

from __future__ import annotations

import pytest
from ape.api import AccountAPI
from ape.contracts import ContractInstance
from ape.managers.project import ProjectManager

from tests.utils.custody import Custody, deploy_custody


@pytest.fixture(scope="session")
def holder(accounts: list[AccountAPI]) -> AccountAPI:
    return accounts[3]


@pytest.fixture(scope="session")
def other(accounts: list[AccountAPI]) -> AccountAPI:
    """Another holder."""
    return accounts[4]


@pytest.fixture(scope="module")
def system(
    project: ProjectManager,
    owner: AccountAPI,
    operator: AccountAPI,
    guardian: AccountAPI,
    accounts: list[AccountAPI],
) -> Custody:
    return deploy_custody(project, owner, operator, guardian, accounts[7:9])


@pytest.fixture
def cxpt(system: Custody) -> ContractInstance:
    return system.cxpt


@pytest.fixture
def funded(system: Custody, holder: AccountAPI) -> AccountAPI:
    """The holder with 100 quanta of CXPT in the wallet."""
    system.give_cxpt(holder, 100)
    return holder
