"""Roles of the on-chain tests."""

from __future__ import annotations

import pytest
from ape.api import AccountAPI


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
