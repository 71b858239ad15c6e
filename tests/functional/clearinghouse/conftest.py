"""Fixtures of the Clearinghouse's tests: role-named traders and a house with one perpetual."""

from __future__ import annotations

import pytest
from ape.api import AccountAPI
from ape.contracts import ContractContainer, ContractInstance
from ape.managers import ChainManager
from ape.managers.project import ProjectManager

from tests.functional.clearinghouse.house import FUND, PERP, House
from tests.utils.contracts import deploy_behind_proxy

RICHES = 10**12
"""micro-USDC that each trader has in the Vault"""


@pytest.fixture(scope="session")
def maker(accounts: list[AccountAPI]) -> AccountAPI:
    return accounts[3]


@pytest.fixture(scope="session")
def taker(accounts: list[AccountAPI]) -> AccountAPI:
    return accounts[4]


@pytest.fixture(scope="session")
def rescuer(accounts: list[AccountAPI]) -> AccountAPI:
    """A trader with deep pockets, on the other side of forced fills."""
    return accounts[5]


def _decoding(instance: ContractInstance, *callees: ContractContainer) -> ContractInstance:
    """Teach Ape, which decodes errors by the called contract's ABI, those of the contracts that it calls."""
    own = instance.contract_type
    errors = [item for callee in callees for item in callee.contract_type.abi if item.type == "error"]
    known = {item.selector for item in own.errors}
    extended = own.model_copy(update={"abi": [*own.abi, *(item for item in errors if item.selector not in known)]})
    del instance.chain_manager.contracts[instance.address]
    instance.chain_manager.contracts[instance.address] = extended
    return ContractInstance(instance.address, extended)


@pytest.fixture(scope="module")
def empty_house(project: ProjectManager, chain: ChainManager, owner: AccountAPI, operator: AccountAPI) -> House:
    """The contracts, without a market."""
    proxy = project.UpgradeableProxy
    usdc = owner.deploy(project.MockUSDC)
    registry = owner.deploy(project.MockMarkets)
    engine = owner.deploy(project.MockEngine, operator)
    vault = deploy_behind_proxy(owner, project.Vault, proxy, (usdc.address,), (owner.address,))
    arguments = (engine.address, vault.address, registry.address)
    clearing = deploy_behind_proxy(owner, project.Clearinghouse, proxy, arguments, (owner.address,))
    vault.connect(engine, owner, clearing, owner, sender=owner)
    engine.connect(vault, clearing, registry, sender=owner)
    callees = (project.Vault, project.MockOracle)
    engine = _decoding(engine, project.Clearinghouse, *callees)
    clearing = _decoding(clearing, *callees)
    usdc.mint(owner, 10**30, sender=owner)
    usdc.approve(vault, 2**256 - 1, sender=owner)
    return House(chain, project, owner, operator, usdc, registry, engine, vault, clearing)


@pytest.fixture(scope="module")
def house(empty_house: House, maker: AccountAPI, taker: AccountAPI, rescuer: AccountAPI, stranger: AccountAPI) -> House:
    """A perpetual at an index of 100 USDC per lot, traders and a fund with money."""
    empty_house.create_market(PERP)
    for account in (maker, taker, rescuer, FUND):
        empty_house.deposit(account, RICHES)
    return empty_house
