"""A deployment from nothing: what is deployed, recorded and handed over, and what a second run does."""

import json

import pytest
from web3 import Web3

from scripts._lib import node as node_module
from scripts._lib.addresses import CREATE2_DEPLOYER
from scripts._lib.deployment import plan_all
from scripts._lib.listing import AssetSpec, Listing
from scripts._lib.node import Node
from scripts._lib.settings import DeploymentError
from scripts._lib.steps import Action
from tests.utils.contracts import contract_at
from tests.utils.markets import NO_DERIVATIVE, ZERO

OWNED = ("MarketRegistry", "Vault", "Engine", "Clearinghouse")
SYMBOLS = ("BTC-USDC", "ETH-USDC", "ETH-BTC", "BTC-PERP", "BTC-30D", "BTC-30D-70000-C")
DAY = 86_400


def test_deploys_the_whole_system(project, deploy, deployer, owner, operator, guardian, chain):
    deployment = deploy()
    engine, vault = contract_at(project.Engine, deployment.engine), contract_at(project.Vault, deployment.vault)
    registry, queue = (
        contract_at(project.MarketRegistry, deployment.registry),
        contract_at(project.WithdrawalQueue, deployment.queue),
    )
    assert (engine.operator(), engine.guardian(), registry.guardian()) == (operator, guardian, guardian)
    assert (engine.vault(), engine.registry(), engine.queue()) == (vault, registry, queue)
    assert (vault.asset(), vault.engine(), vault.queue()) == (deployment.usdc, engine, queue)
    assert (queue.vault(), queue.engine(), queue.registry()) == (vault, engine, registry)
    assert engine.feeBps() == 50

    asset = deployment.assets["WBTC"]
    assert asset["synth"] == registry.predictSynth(asset["underlying"])
    assert registry.assetId(asset["synth"]) == asset["id"] == 1
    assert deployment.chain_id == chain.chain_id
    assert 0 < deployment.start_block <= chain.blocks.head.number


def test_connects_every_contract_with_every_other(project, deploy):
    deployment = deploy()
    engine, vault = contract_at(project.Engine, deployment.engine), contract_at(project.Vault, deployment.vault)
    control = contract_at(project.OrderControl, deployment.order_control)
    clearinghouse = contract_at(project.Clearinghouse, deployment.clearinghouse)
    assert (engine.orderControl(), engine.clearinghouse()) == (control, clearinghouse)
    assert (vault.orderControl(), vault.clearinghouse()) == (control, clearinghouse)
    assert (control.engine(), control.vault()) == (engine, vault)
    assert (clearinghouse.engine(), clearinghouse.vault()) == (engine, vault)
    assert clearinghouse.registry() == deployment.registry
    assert engine.packer() == json.loads(deployment.path.read_text())["contracts"]["BatchPacker"]["address"]


def test_lists_every_kind_of_market(project, deploy, chain):
    deployment = deploy()
    registry = contract_at(project.MarketRegistry, deployment.registry)
    assert tuple(deployment.markets) == SYMBOLS
    assert [market["id"] for market in deployment.markets.values()] == list(range(3, 9))
    assert [market["kind"] for market in deployment.markets.values()] == [*["spot"] * 3, "perp", "future", "option"]
    params, status, _ = registry.market(3)
    assert tuple(params[:-1]) == ("BTC-USDC", 0, 1, 0, 100_000, 1_000, 10**13, 10**9, ZERO)
    assert (status, tuple(params[-1])) == (1, tuple(NO_DERIVATIVE.values()))

    oracle = json.loads(deployment.path.read_text())["contracts"]["OracleBTC"]["address"]
    words, oracles = registry.derivatives(list(range(3, 9)))
    assert oracles == [ZERO, ZERO, oracle, oracle, oracle, oracle]
    assert [word != 0 for word in words] == [False, False, False, True, True, True]
    assert contract_at(project.ChainlinkOracle, oracle).latest()[1] == 64_000 * 10**18


def test_days_ahead_become_an_expiry_once(project, deploy, chain):
    deployment = deploy()
    expiry = deployment.markets["BTC-30D"]["expiry"]
    assert 29 * DAY < expiry - chain.blocks.head.timestamp <= 30 * DAY
    assert expiry % 3600 == 0
    registry = contract_at(project.MarketRegistry, deployment.registry)
    assert registry.market(deployment.markets["BTC-30D"]["id"])[0][-1][0] == expiry
    chain.mine(deltatime=2 * DAY)
    assert deploy().markets == deployment.markets


def test_new_owner_accepts_in_a_second_step(project, deploy, deployer, owner):
    deployment = deploy()
    assert deployment.to_accept == OWNED
    addresses = (deployment.registry, deployment.vault, deployment.engine, deployment.clearinghouse)
    for name, address in zip(OWNED, addresses, strict=True):
        contract = contract_at(project.get_contract(name), address)
        assert (contract.owner(), contract.pendingOwner()) == (deployer, owner)
        contract.acceptOwnership(sender=owner)
    nonce = deployer.nonce
    assert deploy().to_accept == ()
    assert deployer.nonce == nonce


def test_deployer_keeps_every_role_by_default(project, deploy, deployer):
    deployment = deploy(owner=None, operator=None, guardian=None)
    engine = contract_at(project.Engine, deployment.engine)
    assert {engine.owner(), engine.operator(), engine.guardian()} == {deployer.address}
    assert deployment.to_accept == ()


def test_file_records_every_step(deploy, chain):
    deployment = deploy()
    data = json.loads(deployment.path.read_text())
    assert (data["chainId"], data["usdc"], data["intents"]) == (chain.chain_id, deployment.usdc, [])
    assert data["contracts"]["Engine"]["address"] == deployment.engine
    assert data["contracts"]["WithdrawalQueue"]["arguments"] == [
        deployment.vault,
        deployment.engine,
        deployment.registry,
    ]
    synths = [entry["address"] for name, entry in data["contracts"].items() if name.startswith("Synth")]
    for entry in [*data["contracts"].values(), *data["calls"].values()]:
        receipt = chain.provider.web3.eth.get_transaction_receipt(entry["transaction"])
        assert receipt["blockNumber"] == entry["block"]
        assert entry.get("address") in (receipt["contractAddress"], *synths, None)


def test_second_run_sends_nothing(deploy, deployer):
    first = deploy()
    content, nonce = first.path.read_bytes(), deployer.nonce
    reports = []
    assert deploy(into=reports) == first
    assert {report.action for report in reports} == {Action.KEEP}
    assert (first.path.read_bytes(), deployer.nonce) == (content, nonce)


def test_reports_count_to_the_total(deploy):
    reports = []
    deploy(into=reports)
    assert [report.index for report in reports] == list(range(1, len(reports) + 1))
    assert {report.total for report in reports} == {len(reports)}
    assert str(reports[0]).startswith(f"[1/{len(reports)}] deploy USDC")


def test_dry_run_predicts_everything_and_sends_nothing(deploy, deployer, create_settings, tmp_path, chain):
    before = (deployer.nonce, chain.blocks.head.number)
    plan = plan_all(deployer, create_settings(), echo=lambda _: None)
    assert (deployer.nonce, chain.blocks.head.number) == before
    assert list(tmp_path.iterdir()) == []

    reports = []
    deploy(into=reports)
    assert [(report.name, report.action) for report in plan] == [(report.name, report.action) for report in reports]
    for planned, report in zip(plan, reports, strict=True):
        if planned.action is Action.DEPLOY:
            assert planned.detail.split()[0] == report.detail.split()[0]


def test_dry_run_of_a_finished_deployment_has_nothing_to_do(deploy, deployer, create_settings):
    deployment = deploy()
    content = deployment.path.read_bytes()
    plan = plan_all(deployer, create_settings(), echo=lambda _: None)
    assert {report.action for report in plan} == {Action.KEEP}
    assert deployment.path.read_bytes() == content


def test_waits_for_confirmations_on_public_nodes_only(monkeypatch, deployer, chain):
    assert Node(deployer, confirmations=None).confirmations == 0
    monkeypatch.setattr(node_module, "DEV_CHAINS", frozenset())
    monkeypatch.setattr(type(chain.provider.network), "is_dev", False)
    assert Node(deployer, confirmations=None).confirmations == 0  # an Anvil, whatever its chain
    monkeypatch.setattr(Web3, "client_version", "Geth/v1.16.7-stable")
    assert Node(deployer, confirmations=None).confirmations == 2
    assert Node(deployer, confirmations=5).confirmations == 5


def test_uses_given_tokens(project, deploy, deployer, tmp_path):
    usdc = deployer.deploy(project.MockUSDC)
    token = deployer.deploy(project.MockToken, "Ether", "WETH", 18)
    listing = tmp_path / "markets.json"
    market = {"symbol": "ETH-USDC", "base": "WETH", "tickSize": "0.01", "lotSize": "0.0001"}
    market |= {"maxPrice": "100000", "maxQuantity": "100000"}
    asset = {"name": "WETH", "token": token.address, "decimals": 18}
    listing.write_text(json.dumps({"assets": [asset], "markets": [market]}))
    deployment = deploy(usdc=usdc.address, listing=Listing.load(listing))
    assert deployment.usdc == usdc
    assert deployment.assets["WETH"]["underlying"] == token
    assert "USDC" not in json.loads(deployment.path.read_text())["contracts"]


def test_tokens_must_be_what_is_said_of_them(project, deploy, deployer, owner):
    token = deployer.deploy(project.MockToken, "Dollar", "USD", 18)
    with pytest.raises(DeploymentError, match=r"usdc: .* has 18 decimals, expected 6"):
        deploy(usdc=token.address)
    with pytest.raises(DeploymentError, match=f"{owner.address}: does not answer decimals"):
        deploy(usdc=owner.address)


def test_synth_that_somebody_else_deployed_is_used(project, deploy, deployer, guardian, create_settings):
    token = deployer.deploy(project.MockWBTC)
    code = project.SynthERC20.constructor.serialize_transaction(token).data
    guardian.transfer(CREATE2_DEPLOYER, 0, data=bytes(32) + bytes(code))
    listing = create_settings().listing
    asset = AssetSpec("WBTC", token.address, 8)
    deployment = deploy(listing=Listing((asset,), listing.markets[:1]))
    entry = json.loads(deployment.path.read_text())["contracts"]["SynthWBTC"]
    assert (entry["block"], entry["transaction"]) == (None, None)
    assert entry["address"] == deployment.assets["WBTC"]["synth"]
