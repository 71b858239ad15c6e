"""What stops a deployment before anything is sent, and what its final check finds."""

import json
from dataclasses import replace

import pytest

from scripts._lib import node as node_module
from scripts._lib import settings as settings_module
from scripts._lib.checks import INITIALIZABLE_SLOT
from scripts._lib.deployment import plan_all
from scripts._lib.listing import Expiry, Listing
from scripts._lib.node import IMPLEMENTATION_SLOT, Node
from scripts._lib.settings import DeploymentError, DeploySettings
from tests.utils.contracts import contract_at
from tests.utils.isolation import isolated

OTHER = "0x00000000000000000000000000000000DeaDBeef"


@pytest.fixture
def as_public_chain(monkeypatch):
    """Let the test chain count as one that is not thrown away."""

    def switch():
        monkeypatch.setattr(node_module, "DEV_CHAINS", frozenset())
        monkeypatch.setattr(settings_module, "DEV_CHAINS", frozenset())

    return switch


def test_refuses_a_chain_that_is_not_expected(deploy, deployer):
    nonce = deployer.nonce
    with pytest.raises(DeploymentError, match="expected chain 1, connected is chain 31337"):
        deploy(chain_id=1)
    assert deployer.nonce == nonce


def test_refuses_the_file_of_another_chain(deploy, deployer):
    deployment = deploy()
    data = json.loads(deployment.path.read_text())
    deployment.path.write_text(json.dumps(data | {"chainId": 1}))
    nonce = deployer.nonce
    with pytest.raises(DeploymentError, match="belongs to chain 1, connected is chain 31337"):
        deploy()
    assert deployer.nonce == nonce


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"chainId": 31337}'])
def test_refuses_a_file_that_it_cannot_read(deploy, tmp_path, content):
    (tmp_path / "31337.json").write_text(content)
    with pytest.raises(DeploymentError, match="is not a deployments file"):
        deploy()


def test_starts_over_when_a_local_chain_is_new(chain, deploy, deployer):
    with isolated(chain):
        first = deploy()
    deployer.transfer(deployer, 0)  # so that addresses differ
    reports = []
    second = deploy(into=reports)
    assert first.engine != second.engine
    assert "has no code; starting over, as chain 31337 is a local one" in str(reports[0])


def test_starts_over_when_other_code_is_at_a_recorded_address(project, chain, deploy, deployer):
    with isolated(chain):
        deploy()
    deployer.deploy(project.MockWBTC)  # where MockUSDC was
    reports = []
    deploy(into=reports)
    assert "which has other code; starting over" in str(reports[0])


def test_does_not_start_over_elsewhere(chain, deploy, as_public_chain):
    with isolated(chain):
        deploy()
    as_public_chain()
    with pytest.raises(DeploymentError, match="which has no code"):
        deploy(mocks=True)


def test_local_chain_starts_over_when_arguments_change(project, deploy):
    first = deploy()
    reports = []
    second = deploy(into=reports, operator=OTHER)
    assert "was deployed from other code or with other arguments" in str(reports[0])
    assert not {first.vault, first.registry, first.engine} & {second.vault, second.registry, second.engine}
    assert contract_at(project.Engine, second.engine).operator() == OTHER


def test_public_chain_refuses_other_arguments(deploy, deployer, as_public_chain):
    as_public_chain()
    deploy(mocks=True)
    nonce = deployer.nonce
    with pytest.raises(DeploymentError, match=r"Engine: 0x.* was deployed from other code or with other arguments"):
        deploy(mocks=True, operator=OTHER)
    assert deployer.nonce == nonce


def test_mocks_need_permission_on_a_public_chain(deploy, as_public_chain):
    as_public_chain()
    with pytest.raises(
        DeploymentError, match=r"markets: asset WBTC, .*only for test networks; chain 31337 is one by --mocks"
    ):
        deploy()


def test_usdc_must_be_known_or_given(create_settings):
    settings = create_settings()
    no_mocks = replace(settings, listing=Listing((), ()))
    assert no_mocks.usdc_on(1) == "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
    assert no_mocks.usdc_on(31337) is None
    with pytest.raises(DeploymentError, match="usdc: no USDC is known for chain 5"):
        no_mocks.usdc_on(5)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("owner", "0x1234", "owner: '0x1234' is not an address"),
        ("operator", "0x" + "0" * 40, "operator: .* is not an address"),
        ("usdc", "USDC", "usdc: 'USDC' is not an address"),
        ("guardian", "0x00000000000000000000000000000000deaDBeef", "guardian: .* has a wrong checksum"),
        ("fee_bps", 51, "fee-bps: 51 is not between 0 and 50"),
        ("fee_bps", -1, "fee-bps: -1 is not between 0 and 50"),
        ("confirmations", -1, "confirmations: -1 is negative"),
    ],
)
def test_settings_name_what_is_wrong(field, value, reason):
    with pytest.raises(DeploymentError, match=reason):
        DeploySettings(**{field: value})


def test_addresses_may_be_given_without_checksum(deploy, owner):
    deployment = deploy(owner=owner.address.lower())
    assert deployment.to_accept == ("MarketRegistry", "Vault", "Engine", "Clearinghouse")
    assert deploy(owner=owner.address.lower()) == deployment


def test_another_deployer_starts_over_locally_and_is_refused_elsewhere(
    deploy, create_settings, guardian, as_public_chain
):
    deploy()
    reports = []
    plan_all(guardian, create_settings(), echo=reports.append)
    assert "was written by deployer" in str(reports[0])
    as_public_chain()
    with pytest.raises(DeploymentError, match="was written by deployer"):
        plan_all(guardian, create_settings(mocks=True), echo=reports.append)


def test_node_that_ape_takes_for_another_chain_is_refused(monkeypatch, deployer, chain):
    monkeypatch.setattr(type(chain.provider), "chain_id", 1337)
    with pytest.raises(DeploymentError, match="the node is on chain 31337, but Ape takes it for chain 1337"):
        Node(deployer, confirmations=None)


def test_other_code_at_the_create2_deployer_is_refused(deploy, chain):
    with isolated(chain):
        chain.provider.make_request("anvil_setCode", ["0x4e59b44847b379578588920cA78FbF26c0B4956C", "0x00"])
        with pytest.raises(DeploymentError, match="Create2Deployer: other code"):
            deploy()


def word(address):
    return f"0x{int(address, 16):064x}"


@pytest.fixture
def tamper(project, chain, deployer):
    """Change something behind the deployment's back, by name."""

    def set_storage(address, slot, value):
        chain.provider.make_request("anvil_setStorageAt", [address, f"0x{slot:064x}", value])

    def storage(address, slot):
        return int.from_bytes(chain.provider.get_storage(address, slot), "big")

    engine_slot = 0x9F1B5E2CA104415BFDC6E210BB3398404BF08BCD8AFB5FB88A80699712E07B00
    vault_slot = 0xD50F58E43FCF4BF3257CFFBCCCDC0CD749EF4A9D733F0A026365EC6511BB9400

    def change(what, deployment):
        data = json.loads(deployment.path.read_text())["contracts"]
        if what == "Engine.operator":
            old = storage(deployment.engine, engine_slot)
            set_storage(deployment.engine, engine_slot, f"0x{old >> 160 << 160 | int(OTHER, 16):064x}")
        elif what == "Vault.engine":
            set_storage(deployment.vault, vault_slot, word(OTHER))
        elif what == "Vault.clearinghouse":
            set_storage(deployment.vault, vault_slot + 4, word(OTHER))
        elif what == "Engine.orderControl":
            set_storage(deployment.engine, engine_slot + 5, word(OTHER))
        elif what == "Engine's implementation":
            other = deployer.deploy(
                project.Engine, deployment.vault, deployment.registry, data["BatchPacker"]["address"]
            )
            set_storage(deployment.engine, IMPLEMENTATION_SLOT, word(other.address))
        elif what == "VaultImplementation's initialisers":
            set_storage(data["VaultImplementation"]["address"], INITIALIZABLE_SLOT, word("0x0"))
        elif what == "MarketRegistry.guardian":
            contract_at(project.MarketRegistry, deployment.registry).setGuardian(OTHER, sender=deployer)
        elif what == "Vault.owner or pendingOwner":
            contract_at(project.Vault, deployment.vault).transferOwnership(OTHER, sender=deployer)

    return change


@pytest.mark.parametrize(
    "what",
    [
        "Engine.operator",
        "Vault.engine",
        "Vault.clearinghouse",
        "Engine.orderControl",
        "Engine's implementation",
        "VaultImplementation's initialisers",
        "MarketRegistry.guardian",
    ],
)
def test_check_finds_tampered_wiring(deploy, tamper, what):
    deployment = deploy()
    tamper(what, deployment)
    with pytest.raises(DeploymentError, match=f"does not pass its checks:\n- {what}: expected .*, found "):
        deploy()


def test_check_finds_an_owner_that_took_over(project, deploy, deployer, owner, guardian):
    deployment = deploy()
    vault = contract_at(project.Vault, deployment.vault)
    vault.acceptOwnership(sender=owner)
    vault.transferOwnership(guardian, sender=owner)
    vault.acceptOwnership(sender=guardian)
    with pytest.raises(DeploymentError, match=r"transferOwnership\(Vault\)"):
        deploy()


def test_check_finds_a_market_that_is_not_the_listed_one(deploy, create_settings):
    deploy()
    listing = create_settings().listing
    market = replace(listing.markets[0], max_quantity=7)
    with pytest.raises(DeploymentError, match=r"BTC-USDC's word: expected .*, found "):
        deploy(listing=replace(listing, markets=(market,)))


def test_check_finds_another_term_of_a_derivative(deploy, create_settings):
    deploy()
    listing = create_settings().listing
    market = replace(listing.market("BTC-PERP"), funding=(49_999, 28_800))
    with pytest.raises(DeploymentError, match=r"BTC-PERP's derivative word: expected .*, found "):
        deploy(listing=replace(listing, markets=(market,)))


def test_check_finds_an_absolute_expiry_that_is_not_the_listed_one(deploy, create_settings):
    deployment = deploy()
    listing = create_settings().listing
    expiry = deployment.markets["BTC-30D"]["expiry"]
    for at in (expiry, expiry + 1):
        market = replace(listing.market("BTC-30D"), expiry=Expiry(at=at))
        if at == expiry:
            deploy(listing=replace(listing, markets=(market,)))
            continue
        with pytest.raises(DeploymentError, match=r"BTC-30D's parameters: expected .*, found "):
            deploy(listing=replace(listing, markets=(market,)))


def test_check_ignores_the_status_of_a_market(project, deploy, guardian):
    deployment = deploy()
    contract_at(project.MarketRegistry, deployment.registry).setStatus(3, 2, sender=guardian)
    deploy()
