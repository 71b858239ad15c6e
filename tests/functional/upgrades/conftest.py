"""Fixtures of upgrades: the custody contracts with balances, orders and requests in them."""

from __future__ import annotations

import pytest
from ape.api import AccountAPI
from ape.managers.project import ProjectManager

from tests.utils.custody import Custody, deploy_custody

# Slot of the implementation, ERC-1967; `proxiableUUID` answers it.
IMPLEMENTATION_SLOT = 0x360894A13BA1A3210667C828492DB98DCA3E2076CC3735A920A3CA505D382BBC


@pytest.fixture(scope="session")
def maker(accounts: list[AccountAPI]) -> AccountAPI:
    return accounts[3]


@pytest.fixture(scope="module")
def system(
    project: ProjectManager,
    owner: AccountAPI,
    operator: AccountAPI,
    guardian: AccountAPI,
    maker: AccountAPI,
    accounts: list[AccountAPI],
) -> Custody:
    custody = deploy_custody(project, owner, operator, guardian, accounts[7:9])
    custody.deposit_usdc(maker, 1_000)
    custody.deposit_synth(maker, 500)
    custody.give_cxpt(maker, 300)
    custody.charge_fees(maker, 20)
    custody.vault.setRebateTiers([(100, 5_000)], sender=owner)
    custody.vault.bumpEpoch(maker, 0, sender=custody.order_control)
    custody.vault.requestEpochBump(sender=maker)
    return custody
