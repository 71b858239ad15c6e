"""Fixtures of the queue's tests: the custody contracts on chain, with the real Engine."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ape.api import AccountAPI
from ape.contracts import ContractInstance
from ape.managers import ChainManager
from ape.managers.project import ProjectManager

from tests.utils.custody import CXPT_REDEEM, INSTRUMENT, USDC, USDC_AS_CXPT, Custody, deploy_custody

__all__ = ["CXPT_REDEEM", "INSTRUMENT", "USDC", "USDC_AS_CXPT"]


@pytest.fixture
def maker(accounts: list[AccountAPI]) -> AccountAPI:
    return accounts[3]


@pytest.fixture
def taker(accounts: list[AccountAPI]) -> AccountAPI:
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
def queue(system: Custody) -> ContractInstance:
    return system.queue


@pytest.fixture
def cxpt(system: Custody) -> ContractInstance:
    return system.cxpt


@pytest.fixture
def asset_of(system: Custody) -> Callable[[int], tuple[int, int]]:
    """The (kind, instrument) of a withdrawal of this kind."""
    return lambda kind: (kind, system.instrument if kind == INSTRUMENT else 0)


@pytest.fixture
def deposit(system: Custody) -> Callable[..., None]:
    """Give an account what a withdrawal of this kind takes."""

    def run(account: AccountAPI, kind: int, amount: int) -> None:
        if kind == INSTRUMENT:
            system.deposit_synth(account, amount)
        elif kind == CXPT_REDEEM:
            system.give_cxpt(account, amount)
        else:
            system.deposit_usdc(account, amount)

    return run


@pytest.fixture
def balance_of(system: Custody) -> Callable[[AccountAPI, int], int]:
    """What the exchange owes the account."""

    def read(account: AccountAPI, kind: int) -> int:
        if kind == INSTRUMENT:
            return int(system.engine.balanceOf(account, system.instrument))
        return int(system.vault.sharesOf(account))

    return read


@pytest.fixture
def wallet_of(system: Custody) -> Callable[[AccountAPI, int], int]:
    """What the account has outside the exchange of the token in which this kind is paid."""

    def read(account: AccountAPI, kind: int) -> int:
        tokens = {USDC_AS_CXPT: system.cxpt, INSTRUMENT: system.synth}
        return int(tokens.get(kind, system.usdc).balanceOf(account))

    return read


@pytest.fixture
def set_next_time(chain: ChainManager) -> Callable[[int], None]:
    """Give the next block this time (Unix seconds)."""

    def run(time: int) -> None:
        chain.provider.make_request("evm_setNextBlockTimestamp", [time])

    return run
