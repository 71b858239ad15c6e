"""Fixtures of the registry's tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ape.api import AccountAPI
from ape.contracts import ContractInstance
from ape.managers.chain import ChainManager
from ape.managers.project import ProjectManager

from tests.utils.contracts import deploy_create2
from tests.utils.markets import FUNDING, FUTURE, MARGINS, NO_DERIVATIVE, OPTION, PERP, SPOT, ZERO

DAY = 86_400


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
    """BTC-USDC with 0.1 USDC ticks and lots of 0.00001; every field can be replaced, derivative terms too."""

    def create(**changes: Any) -> dict[str, Any]:
        terms = {name: changes.pop(name) for name in [*changes] if name in NO_DERIVATIVE}
        params = {
            "symbol": "BTC-USDC",
            "kind": SPOT,
            "base": 1,
            "quote": 0,
            "tickSize": 100_000,
            "lotSize": 1_000,
            "maxPrice": 10**13,
            "maxQuantity": 10**9,
            "oracle": ZERO,
            "derivative": NO_DERIVATIVE | terms,
        }
        assert changes.keys() <= params.keys()
        return params | changes

    return create


@pytest.fixture
def aggregator(project: ProjectManager, owner: AccountAPI) -> ContractInstance:
    """A feed of 8 decimals at 65,000 USD."""
    return owner.deploy(project.MockAggregator, 8, 65_000 * 10**8)


@pytest.fixture
def oracle(project: ProjectManager, owner: AccountAPI, aggregator: ContractInstance) -> ContractInstance:
    return owner.deploy(project.ChainlinkOracle, aggregator, 86_400, 1, 2**128 - 1, ZERO, 0)


@pytest.fixture
def create_perp(create_params: Callable[..., Any], oracle: ContractInstance) -> Callable[..., dict[str, Any]]:
    """BTC-PERP: 10 % initial and 5 % maintenance margin."""
    return lambda **changes: create_params(
        **({"symbol": "BTC-PERP", "kind": PERP, "oracle": oracle.address} | MARGINS | FUNDING | changes)
    )


@pytest.fixture
def create_future(
    create_params: Callable[..., Any], oracle: ContractInstance, chain: ChainManager
) -> Callable[..., dict[str, Any]]:
    """A future that expires in 30 days."""

    def create(**changes: Any) -> dict[str, Any]:
        expiry = chain.pending_timestamp + 30 * DAY
        base = {"symbol": "BTC-FUT", "kind": FUTURE, "oracle": oracle.address, "expiry": expiry}
        return create_params(**(base | MARGINS | changes))

    return create


@pytest.fixture
def create_option(
    create_params: Callable[..., Any], oracle: ContractInstance, chain: ChainManager
) -> Callable[..., dict[str, Any]]:
    """A call at 70,000 that pays up to 100,000; `isPut` makes it the put at the same strike."""

    def create(**changes: Any) -> dict[str, Any]:
        terms = {"expiry": chain.pending_timestamp + 30 * DAY, "strike": 70_000 * 10**6, "isPut": False}
        terms |= {"cap": 0 if changes.get("isPut") else 100_000 * 10**6}
        return create_params(**({"symbol": "BTC-CALL", "kind": OPTION, "oracle": oracle.address} | terms | changes))

    return create


@pytest.fixture
def list_market(registry: ContractInstance, owner: AccountAPI) -> Callable[[dict[str, Any]], int]:
    """Create the market with these parameters and return its id."""

    def create(params: dict[str, Any]) -> int:
        registry.createMarket(params, sender=owner)
        return int(registry.marketId(params["symbol"]))

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
