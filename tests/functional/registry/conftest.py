"""Fixtures of the registry's tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ape.api import AccountAPI
from ape.contracts import ContractInstance
from ape.managers.project import ProjectManager

from tests.utils.contracts import deploy_create2


@pytest.fixture(scope="session")
def maker(accounts: list[AccountAPI]) -> AccountAPI:
    return accounts[3]


@pytest.fixture
def create_token(project: ProjectManager, owner: AccountAPI) -> Callable[..., ContractInstance]:
    """Deploy a mock token of some decimals."""
    return lambda decimals=8: owner.deploy(project.MockToken, "Token", "TKN", decimals)


@pytest.fixture
def create_synth(
    project: ProjectManager, owner: AccountAPI, create_token: Callable[..., ContractInstance]
) -> Callable[..., ContractInstance]:
    """Deploy the synth over a new token of some decimals."""
    return lambda decimals=8: deploy_create2(owner, project.SynthERC20, create_token(decimals).address)


@pytest.fixture
def registry(project: ProjectManager, owner: AccountAPI, guardian: AccountAPI) -> ContractInstance:
    return owner.deploy(project.MarketRegistry, owner, guardian)


@pytest.fixture
def create_asset(
    registry: ContractInstance, owner: AccountAPI, create_synth: Callable[..., ContractInstance]
) -> Callable[..., int]:
    """Register a new synth of some decimals and return its asset id."""

    def create(decimals: int = 8) -> int:
        synth = create_synth(decimals)
        registry.registerAsset(synth, sender=owner)
        return int(registry.assetId(synth))

    return create


@pytest.fixture
def create_params() -> Callable[..., dict[str, Any]]:
    """BTC-USDC with 0.1 USDC ticks and lots of 0.00001; every field can be replaced."""

    def create(**changes: Any) -> dict[str, Any]:
        params = {
            "symbol": "BTC-USDC",
            "kind": 0,
            "base": 1,
            "quote": 0,
            "tickSize": 100_000,
            "lotSize": 1_000,
            "maxPrice": 10**13,
            "maxQuantity": 10**9,
        }
        assert changes.keys() <= params.keys()
        return params | changes

    return create


@pytest.fixture
def create_market(
    registry: ContractInstance, owner: AccountAPI, create_asset: Callable[..., int], create_params: Callable[..., Any]
) -> Callable[..., int]:
    """Create a market over a new asset and return its id."""

    def create(decimals: int = 8, **changes: Any) -> int:
        base = create_asset(decimals)
        params = create_params(**({"base": base} | changes))
        registry.createMarket(params, sender=owner)
        return int(registry.marketId(params["symbol"]))

    return create
