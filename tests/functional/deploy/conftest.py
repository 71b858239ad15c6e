"""Fixtures of the deployment's tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ape.api import AccountAPI

from scripts._lib.deployment import Deployment, deploy_all
from scripts._lib.settings import DeploySettings, GovernanceSettings
from scripts._lib.steps import Report


@pytest.fixture
def deployer(accounts: list[AccountAPI]) -> AccountAPI:
    return accounts[0]


@pytest.fixture
def operator(accounts: list[AccountAPI]) -> AccountAPI:
    return accounts[1]


@pytest.fixture
def guardian(accounts: list[AccountAPI]) -> AccountAPI:
    return accounts[2]


@pytest.fixture
def owner(accounts: list[AccountAPI]) -> AccountAPI:
    return accounts[3]


@pytest.fixture
def create_settings(
    tmp_path: Path, owner: AccountAPI, operator: AccountAPI, guardian: AccountAPI
) -> Callable[..., DeploySettings]:
    """Settings with an account for every role, and a folder of the test's own."""

    def create(**changes: Any) -> DeploySettings:
        roles = {"owner": owner.address, "operator": operator.address, "guardian": guardian.address}
        return DeploySettings(**({"folder": tmp_path} | roles | changes))

    return create


@pytest.fixture
def govern(deploy: Callable[..., Deployment]) -> Callable[..., Deployment]:
    """Deploy with governance."""
    return lambda **changes: deploy(**({"owner": None, "governance": GovernanceSettings()} | changes))


@pytest.fixture
def deploy(deployer: AccountAPI, create_settings: Callable[..., DeploySettings]) -> Callable[..., Deployment]:
    """Deploy with the settings' changes given; reports go into `into`."""

    def run(into: list[Report] | None = None, **changes: Any) -> Deployment:
        reports: list[Report] = [] if into is None else into
        return deploy_all(deployer, create_settings(**changes), echo=reports.append)

    return run
