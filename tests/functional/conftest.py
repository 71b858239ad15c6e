"""Roles of the on-chain tests, and the chain that each of them finds.

Ape's own isolation is switched off (pyproject.toml): when a module asks for another fixture halfway, it puts the chain
back to before the module's contracts were deployed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from ape.api import AccountAPI
from ape.managers import ChainManager

from tests.utils.isolation import isolated

# -- isolation: pytest sets up these before the other fixtures of their scope ------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def chain_of_module(chain: ChainManager) -> Iterator[None]:
    """What a module deploys is gone after it."""
    with isolated(chain):
        # After an undo Anvil's clock goes on from the block that it went back to.
        chain.mine(timestamp=max(int(time.time()), chain.blocks.head.timestamp + 1))
        yield


@pytest.fixture(autouse=True)
def chain_of_test(chain: ChainManager) -> Iterator[None]:
    """What a test does is gone after it."""
    with isolated(chain):
        yield


# -- roles -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def owner(accounts: list[AccountAPI]) -> AccountAPI:
    return accounts[0]


@pytest.fixture(scope="session")
def operator(accounts: list[AccountAPI]) -> AccountAPI:
    return accounts[1]


@pytest.fixture(scope="session")
def guardian(accounts: list[AccountAPI]) -> AccountAPI:
    return accounts[2]


@pytest.fixture(scope="session")
def stranger(accounts: list[AccountAPI]) -> AccountAPI:
    """An account without a role or a balance in the exchange."""
    return accounts[9]
