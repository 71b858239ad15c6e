"""Fixtures of the synth's tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ape.api import AccountAPI
from ape.contracts import ContractInstance
from ape.managers.project import ProjectManager

from tests.utils.contracts import deploy_create2


@pytest.fixture(scope="session")
def maker(accounts: list[AccountAPI]) -> AccountAPI:
    return accounts[3]


@pytest.fixture(scope="session")
def taker(accounts: list[AccountAPI]) -> AccountAPI:
    return accounts[4]


@pytest.fixture
def create_token(project: ProjectManager, owner: AccountAPI) -> Callable[..., ContractInstance]:
    """Deploy a mock by name; `MockToken` takes its decimals."""

    def create(name: str = "MockToken", decimals: int = 8) -> ContractInstance:
        arguments = ("Token", "TKN", decimals) if name == "MockToken" else ()
        return owner.deploy(project.get_contract(name), *arguments)

    return create


@pytest.fixture
def create_synth(project: ProjectManager, owner: AccountAPI) -> Callable[[ContractInstance], ContractInstance]:
    """Deploy the synth over a token through the canonical CREATE2 deployer."""
    return lambda token: deploy_create2(owner, project.SynthERC20, token.address)


@pytest.fixture
def token(create_token: Callable[..., ContractInstance]) -> ContractInstance:
    return create_token()


@pytest.fixture
def synth(create_synth: Callable[[ContractInstance], ContractInstance], token: ContractInstance) -> ContractInstance:
    return create_synth(token)


@pytest.fixture
def fund(maker: AccountAPI) -> Callable[..., None]:
    """Mint `amount` quanta of a token to the maker and approve the synth for all of it."""

    def run(token: ContractInstance, synth: ContractInstance, amount: int) -> None:
        token.mint(maker, amount, sender=maker)
        token.approve(synth, amount, sender=maker)

    return run
