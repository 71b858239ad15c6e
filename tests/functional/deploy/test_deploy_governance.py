"""Governance owns everything after a deployment with it, and the deployer keeps nothing, interrupted or not."""

import json

import pytest
from ape import accounts

from scripts._lib.deployment import deploy_all, plan_all
from scripts._lib.governance import ROLES
from scripts._lib.settings import DeploymentError, DeploySettings, GovernanceSettings, Listing
from scripts._lib.steps import Action
from tests.utils.contracts import contract_at
from tests.utils.markets import ZERO
from tests.utils.reverts import reverts

OWNED = ("MarketRegistry", "Vault", "Engine", "Clearinghouse")
GOVERNED = (
    "CXPT",
    "setCxpt(Vault)",
    "setCxpt(MarketRegistry)",
    "registerAsset(CXPT)",
    "createMarket(CXPT-USDC)",
    "Timelock",
    "Governor",
    "grantRole(PROPOSER)",
    "grantRole(EXECUTOR)",
    "renounceRole(ADMIN)",
    "transferOwnership(Engine)",
    "acceptOwnership(Engine)",
    "transferOwnership(Clearinghouse)",
    "acceptOwnership(Clearinghouse)",
)


@pytest.fixture
def owned(project):
    """The four contracts that have an owner."""

    def find(deployment):
        addresses = (deployment.registry, deployment.vault, deployment.engine, deployment.clearinghouse)
        return [contract_at(project.get_contract(n), a) for n, a in zip(OWNED, addresses, strict=True)]

    return find


def test_timelock_owns_every_contract(govern, owned):
    deployment = govern()
    for contract in owned(deployment):
        assert (contract.owner(), contract.pendingOwner()) == (deployment.timelock, ZERO)
    assert deployment.to_accept == ()


def test_deployer_keeps_no_role(project, govern, owned, deployer, guardian, operator):
    deployment = govern()
    timelock = contract_at(project.CrosspointTimelock, deployment.timelock)
    holders = {
        name: [account for account in everybody(deployment, deployer, guardian) if timelock.hasRole(role, account)]
        for name, role in ROLES.items()
    }
    assert holders == {
        "admin": [deployment.timelock],
        "proposer": [deployment.governor],
        "executor": [deployment.governor],
        "canceller": [guardian.address],
    }
    engine = contract_at(project.Engine, deployment.engine)
    assert (engine.operator(), engine.guardian()) == (operator, guardian)
    for contract in owned(deployment):
        with reverts("OwnableUnauthorizedAccount", account=deployer.address):
            contract.transferOwnership(deployer, sender=deployer)


def everybody(deployment, deployer, guardian):
    return [deployment.timelock, deployment.governor, guardian.address, deployer.address, ZERO]


def test_nobody_can_schedule_or_execute_in_the_timelocks_name(project, govern, deployer, guardian, operator):
    deployment = govern()
    timelock = contract_at(project.CrosspointTimelock, deployment.timelock)
    call = (deployment.engine, 0, b"", bytes(32), bytes(32))
    for account in (deployer, guardian, operator):
        with reverts("AccessControlUnauthorizedAccount", account=account.address, neededRole=ROLES["proposer"]):
            timelock.schedule(*call, 72 * 3600, sender=account)
        with reverts("AccessControlUnauthorizedAccount", account=account.address, neededRole=ROLES["executor"]):
            timelock.execute(*call, sender=account)


def test_cxpt_is_wired_and_listed(project, govern):
    deployment = govern()
    registry = contract_at(project.MarketRegistry, deployment.registry)
    vault = contract_at(project.Vault, deployment.vault)
    assert registry.cxpt() == vault.cxpt() == deployment.cxpt
    assert deployment.assets["CXPT"] == {"id": 3, "synth": deployment.cxpt, "underlying": None, "decimals": 6}
    market = deployment.markets["CXPT-USDC"]
    assert registry.market(market["id"])[0][:4] == ("CXPT-USDC", 0, 3, 0)
    governor = contract_at(project.CrosspointGovernor, deployment.governor)
    assert (governor.token(), governor.timelock()) == (deployment.cxpt, deployment.timelock)
    assert (governor.proposalThreshold(), governor.quorum(1)) == (10_000 * 10**6, 100_000 * 10**6)


def test_thresholds_can_be_chosen(project, govern):
    deployment = govern(governance=GovernanceSettings(5, 7))
    governor = contract_at(project.CrosspointGovernor, deployment.governor)
    assert (governor.proposalThreshold(), governor.quorumFloor()) == (5, 7)


def test_without_governance_cxpt_is_not_listed(deploy):
    deployment = deploy()
    assert "CXPT-USDC" not in deployment.markets
    assert "CXPT" not in deployment.assets
    assert (deployment.cxpt, deployment.timelock, deployment.governor) == (None, None, None)


def test_second_run_sends_nothing(govern, deployer):
    first = govern()
    content, nonce = first.path.read_bytes(), deployer.nonce
    reports = []
    assert govern(into=reports) == first
    assert {report.action for report in reports} == {Action.KEEP}
    assert (first.path.read_bytes(), deployer.nonce) == (content, nonce)


def test_dry_run_predicts_every_address(govern, deployer, create_settings):
    settings = create_settings(owner=None, governance=GovernanceSettings())
    plan = plan_all(deployer, settings, echo=lambda _: None)
    reports = []
    govern(into=reports)
    assert [(report.name, report.action) for report in plan] == [(report.name, report.action) for report in reports]
    for planned, report in zip(plan, reports, strict=True):
        if planned.action is Action.DEPLOY:
            assert planned.detail.split()[0] == report.detail.split()[0]


class KilledError(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("step", GOVERNED)
def test_interrupted_handover_is_completed(govern, create_settings, deployer, owned, step):
    def echo(report):
        if report.name == step:
            raise KilledError

    settings = create_settings(owner=None, governance=GovernanceSettings())
    nonce = deployer.nonce
    with pytest.raises(KilledError):
        deploy_all(deployer, settings, echo=echo)
    sent = deployer.nonce - nonce
    reports = []
    deployment = govern(into=reports)
    assert sum(report.action is not Action.KEEP for report in reports) == deployer.nonce - nonce - sent
    assert all(contract.owner() == deployment.timelock for contract in owned(deployment))
    assert json.loads(deployment.path.read_text())["intents"] == []


@pytest.mark.parametrize("role", ["operator", "guardian"])
def test_a_role_of_the_deployer_is_refused(govern, deployer, role):
    nonce = deployer.nonce
    for account in (None, deployer.address):
        with pytest.raises(DeploymentError, match=f"{role}: governance leaves no role with the deployer"):
            govern(**{role: account})
    assert deployer.nonce == nonce


def test_settings_that_contradict_governance_are_refused(owner, create_settings):
    with pytest.raises(DeploymentError, match="owner: with governance, the timelock is the owner"):
        create_settings(governance=GovernanceSettings())
    with pytest.raises(DeploymentError, match="markets: governance needs a market with base CXPT"):
        DeploySettings(governance=GovernanceSettings(), listing=Listing((), ()))
    for threshold, floor in ((0, 1), (2, 1)):
        with pytest.raises(DeploymentError, match="proposal-threshold"):
            GovernanceSettings(threshold, floor)


def test_check_finds_a_privilege_that_was_left(project, govern, deployer, chain):
    """As if the deployer had given itself a role before it renounced: such a timelock must not pass."""
    deployment = govern()
    chain.provider.make_request("anvil_setBalance", [deployment.timelock, hex(10**18)])
    timelock = contract_at(project.CrosspointTimelock, deployment.timelock)
    chain.provider.make_request("anvil_impersonateAccount", [deployment.timelock])
    account = accounts.test_accounts.impersonate_account(deployment.timelock)
    timelock.grantRole(ROLES["proposer"], deployer, sender=account)
    with pytest.raises(
        DeploymentError, match=r"roles of the deployer in the Timelock: expected \[\], found \['proposer'\]"
    ):
        govern()
