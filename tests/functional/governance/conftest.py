"""Fixtures of governance: the protocol, owned by the timelock, and holders of CXPT with votes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from ape.api import AccountAPI, ReceiptAPI
from ape.contracts import ContractInstance
from ape.managers import ChainManager
from ape.managers.project import ProjectManager
from eth_utils import keccak

from tests.utils.custody import Custody, delegate, deploy_custody

DAY = 24 * 3600
THRESHOLD = 10_000
QUORUM_FLOOR = 50_000
AGAINST, FOR, ABSTAIN = range(3)
PENDING, ACTIVE, CANCELED, DEFEATED, SUCCEEDED, QUEUED, EXPIRED, EXECUTED = range(8)

# What an operation must be to be executed, as the timelock's set of states.
READY = (1 << 2).to_bytes(32, "big")

Call = tuple[ContractInstance, bytes]


@dataclass(frozen=True)
class Governance:
    chain: ChainManager
    custody: Custody
    timelock: ContractInstance
    governor: ContractInstance

    def arguments(self, calls: Sequence[Call], description: str) -> tuple[Any, ...]:
        return [target.address for target, _ in calls], [0] * len(calls), [data for _, data in calls], description

    def hashed(self, calls: Sequence[Call], description: str) -> tuple[Any, ...]:
        return (*self.arguments(calls, description)[:3], keccak(text=description))

    def propose(self, proposer: AccountAPI, *calls: Call, description: str = "proposal") -> int:
        receipt = self.governor.propose(*self.arguments(calls, description), sender=proposer)
        return int(receipt.return_value)

    def queue(self, *calls: Call, sender: AccountAPI, description: str = "proposal") -> ReceiptAPI:
        return self.governor.queue(*self.hashed(calls, description), sender=sender)

    def execute(self, *calls: Call, sender: AccountAPI, description: str = "proposal") -> ReceiptAPI:
        return self.governor.execute(*self.hashed(calls, description), sender=sender)

    def operation(self, *calls: Call, description: str = "proposal") -> bytes:
        """The timelock's id of a queued proposal."""
        *arguments, hashed = self.hashed(calls, description)
        governor = bytes.fromhex(self.governor.address[2:]).ljust(32, b"\0")
        salt = bytes(a ^ b for a, b in zip(governor, hashed, strict=True))
        return bytes(self.timelock.hashOperationBatch(*arguments, b"\0" * 32, salt))

    def wait(self, seconds: int) -> None:
        self.chain.mine(deltatime=seconds)

    def accept(self, proposer: AccountAPI, *calls: Call, description: str = "proposal") -> int:
        """Propose, vote for it with the proposer's votes and wait for the end of the vote."""
        proposal = self.propose(proposer, *calls, description=description)
        self.wait(DAY + 1)
        self.governor.castVote(proposal, FOR, sender=proposer)
        self.wait(3 * DAY)
        assert self.governor.state(proposal) == SUCCEEDED
        return proposal


@pytest.fixture(scope="session")
def holder(accounts: list[AccountAPI]) -> AccountAPI:
    """Who has enough votes to propose and to decide."""
    return accounts[3]


@pytest.fixture(scope="session")
def other(accounts: list[AccountAPI]) -> AccountAPI:
    """Another holder, with fewer votes than a proposal needs."""
    return accounts[4]


@pytest.fixture(scope="module")
def governance(
    project: ProjectManager,
    chain: ChainManager,
    owner: AccountAPI,
    operator: AccountAPI,
    guardian: AccountAPI,
    holder: AccountAPI,
    other: AccountAPI,
    accounts: list[AccountAPI],
) -> Governance:
    custody = deploy_custody(project, owner, operator, guardian, accounts[7:9])
    timelock = owner.deploy(project.CrosspointTimelock, guardian, owner)
    governor = owner.deploy(project.CrosspointGovernor, custody.cxpt, timelock, THRESHOLD, QUORUM_FLOOR)
    timelock.grantRole(timelock.PROPOSER_ROLE(), governor, sender=owner)
    timelock.grantRole(timelock.EXECUTOR_ROLE(), governor, sender=owner)
    timelock.renounceRole(timelock.DEFAULT_ADMIN_ROLE(), owner, sender=owner)
    for contract in (custody.vault, custody.engine, custody.registry):
        contract.transferOwnership(timelock, sender=owner)
        timelock.acceptOwnershipOf(contract, sender=owner)
    for account, amount in ((holder, 60_000), (other, 9_999)):
        custody.give_cxpt(account, amount)
        delegate(custody.cxpt, account, account)
    chain.mine(deltatime=10)
    return Governance(chain, custody, timelock, governor)


@pytest.fixture
def timelock(governance: Governance) -> ContractInstance:
    return governance.timelock


@pytest.fixture
def governor(governance: Governance) -> ContractInstance:
    return governance.governor


@pytest.fixture
def custody(governance: Governance) -> Custody:
    return governance.custody


@pytest.fixture
def parameter_change(custody: Custody) -> Call:
    """The owner's change of a parameter: rebates of a tenth for holders of 1,000 quanta."""
    return custody.vault, custody.vault.setRebateTiers.encode_input([(1_000, 1_000)])


@pytest.fixture
def upgrade(project: ProjectManager, custody: Custody, owner: AccountAPI) -> Call:
    implementation = owner.deploy(project.Vault, custody.usdc)
    return custody.vault, custody.vault.upgradeToAndCall.encode_input(implementation, b"")
