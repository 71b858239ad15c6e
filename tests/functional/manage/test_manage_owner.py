"""The owner's, guardian's and operator's actions, where the owner is an account."""

import json
from dataclasses import replace

import pytest

from scripts._lib import actions
from scripts._lib.desk import Desk
from scripts._lib.fields import DeploymentError
from scripts._lib.listing import Listing

ACTIVE, PAUSED, CLOSED = 1, 2, 3
HOUR = 3_600


@pytest.fixture
def engine(owned, at):
    return at("Engine", owned.engine)


@pytest.fixture
def registry(owned, at):
    return at("MarketRegistry", owned.registry)


@pytest.fixture
def status_of(registry):
    return lambda symbol: registry.market(registry.marketId(symbol))[1]


@pytest.fixture
def desk(owned, sit):
    """The desk of an account, which sends."""
    return lambda account, **options: sit(owned, account, **options)


# -- dry runs --------------------------------------------------------------------------------------------------------


def test_without_send_nothing_is_sent(owned, desk, status_of, guardian, lines):
    nonce = guardian.nonce
    actions.set_status(desk(guardian, send=False), "BTC-USDC", PAUSED)
    assert (guardian.nonce, status_of("BTC-USDC")) == (nonce, ACTIVE)
    assert lines == [f"would send MarketRegistry.setStatus(3, 2) at {owned.registry} by {guardian.address}"]


def test_action_that_would_revert_is_not_sent(desk, stranger):
    nonce = stranger.nonce
    with pytest.raises(
        DeploymentError, match=rf"Engine.halt\(\) would revert: NotGuardian\(caller={stranger.address}\)"
    ):
        actions.halt(desk(stranger))
    assert stranger.nonce == nonce


def test_deployments_file_is_never_written(owned, desk, guardian):
    content = owned.path.read_bytes()
    actions.halt(desk(guardian))
    assert owned.path.read_bytes() == content


def test_folder_without_a_deployment_is_refused(tmp_path, owner):
    with pytest.raises(DeploymentError, match=r"31337.json: names no contracts; deploy with `ape run deploy` first"):
        Desk(owner, tmp_path, send=False, echo=print)


# -- markets ---------------------------------------------------------------------------------------------------------


def test_guardian_pauses_and_owner_resumes_and_closes(desk, status_of, owner, guardian, lines):
    actions.set_status(desk(guardian), "BTC-USDC", PAUSED)
    assert status_of("BTC-USDC") == PAUSED
    actions.set_status(desk(owner), "BTC-USDC", ACTIVE)
    assert status_of("BTC-USDC") == ACTIVE
    actions.set_status(desk(owner), "BTC-USDC", PAUSED)
    actions.set_status(desk(owner), "BTC-USDC", CLOSED)
    assert status_of("BTC-USDC") == CLOSED
    assert lines[0].startswith("sent MarketRegistry.setStatus(3, 2)")


@pytest.mark.parametrize("status", [ACTIVE, CLOSED])
def test_guardian_does_nothing_but_pause(desk, owner, guardian, status):
    with pytest.raises(DeploymentError, match=f"owner: {owner.address} can do this, not {guardian.address}"):
        actions.set_status(desk(guardian), "BTC-USDC", status)


def test_unknown_market_is_named(desk, guardian):
    with pytest.raises(DeploymentError, match="DOGE-USDC: the registry has no such market"):
        actions.set_status(desk(guardian), "DOGE-USDC", PAUSED)


def test_new_asset_oracle_and_market_are_listed(
    project, desk, registry, owner, stranger, listing, tmp_path, lines, chain
):
    token = owner.deploy(project.MockToken, "Solana", "SOL", 9)
    feed = owner.deploy(project.MockAggregator, 8, 150 * 10**8)
    bounds = {"maxAge": 3_600, "minPrice": "1", "maxPrice": "10000"}
    market = {"symbol": "SOL-PERP", "kind": "perp", "base": "SOL", "oracle": "SOL", "tickSize": "0.01"}
    market |= {"lotSize": "0.01", "maxPrice": "10000", "maxQuantity": "10000", "fundingCap": 100, "fundingPeriod": 3600}
    market |= {"initialMarginBps": 1000, "maintenanceMarginBps": 500, "bandBps": 200}
    market |= {"liquidationFeeBps": 100, "exitPenaltyBps": 100}
    path = tmp_path / "sol.json"
    data = {"assets": [{"name": "SOL", "token": token.address, "decimals": 9}], "markets": [market]}
    path.write_text(json.dumps(data | {"oracles": [{"name": "SOL", "feed": feed.address, **bounds}]}))
    new = Listing.load(path)

    with pytest.raises(DeploymentError, match="SOL: is not registered; `ape run manage register-asset SOL` first"):
        actions.list_market(desk(owner), new, "SOL-PERP", None)
    actions.register_asset(desk(owner), new, "SOL")
    assert registry.assetId(registry.predictSynth(token)) == registry.lastId()
    with pytest.raises(DeploymentError, match="oracle: SOL was not deployed with the exchange; pass --oracle"):
        actions.list_market(desk(owner), new, "SOL-PERP", None)
    actions.deploy_oracle(desk(stranger), new, "SOL")
    oracle = lines[-1].split()[-1]
    actions.list_market(desk(owner), new, "SOL-PERP", oracle)
    listed = registry.marketId("SOL-PERP")
    assert registry.oracleOf(listed) == oracle
    assert tuple(registry.market(listed)[0][-1][4:]) == (1000, 500, 200, 100, 100, 100, 3600)


def test_new_market_over_what_is_listed(desk, registry, owner, listing):
    """An option of another strike, over the asset and oracle that the exchange was deployed with."""
    terms = {"symbol": "BTC-30D-60000-P", "strike": 60_000 * 10**6, "cap": 0, "is_put": True}
    extended = replace(listing, markets=(replace(listing.market("BTC-30D-70000-C"), **terms),))
    actions.list_market(desk(owner), extended, "BTC-30D-60000-P", None)
    assert registry.marketId("BTC-30D-60000-P") == registry.lastId()


def test_market_that_the_registry_refuses_is_named(desk, owner, listing):
    with pytest.raises(DeploymentError, match=r"would revert: InvalidParameter\(field=symbol\)"):
        actions.list_market(desk(owner), listing, "BTC-PERP", None)


@pytest.mark.parametrize(
    ("act", "arguments", "reason"),
    [
        (actions.register_asset, ("DOGE",), "assets: DOGE is not in the listing"),
        (actions.register_asset, ("WBTC",), r"assets.WBTC.token: .* is not an address"),
        (actions.deploy_oracle, ("DOGE",), "oracles: DOGE is not in the listing"),
        (actions.deploy_oracle, ("BTC",), r"oracles.BTC: a mock feed is deployed by `ape run deploy` only"),
        (actions.list_market, ("DOGE-USDC", None), "markets: DOGE-USDC is not among"),
        (actions.list_market, ("BTC-USDC", "0x1"), "oracle: BTC-USDC has none"),
        (actions.list_market, ("BTC-PERP", "0x1"), "oracle: '0x1' is not an address"),
        (actions.list_market, ("CXPT-USDC", None), "CXPT: is not part of the deployment"),
    ],
)
def test_what_is_not_there_is_named(desk, owner, listing, act, arguments, reason):
    with pytest.raises(DeploymentError, match=reason):
        act(desk(owner), listing, *arguments)


# -- the Engine ------------------------------------------------------------------------------------------------------


def test_guardian_halts_and_ends_the_halt(desk, engine, guardian, chain):
    actions.halt(desk(guardian))
    assert engine.lastHalt()[1] > chain.blocks.head.timestamp
    actions.end_halt(desk(guardian))
    assert engine.lastHalt()[1] <= chain.blocks.head.timestamp


def test_owner_schedules_a_fee(desk, engine, owner, chain):
    at = chain.blocks.head.timestamp + 2 * HOUR
    actions.schedule_fee(desk(owner), 40, at)
    assert tuple(engine.feeSchedule()) == (50, 40, at)


def test_fee_change_within_the_window_is_refused(desk, owner, chain):
    at = chain.blocks.head.timestamp + HOUR - 1
    with pytest.raises(DeploymentError, match=rf"at: {at} leaves no time for the settlement window; {at + 1} is"):
        actions.schedule_fee(desk(owner), 40, at)


def test_owner_names_operator_and_guardian(desk, engine, registry, owner, stranger):
    actions.set_operator(desk(owner), stranger.address)
    actions.set_guardian(desk(owner), stranger.address)
    assert {engine.operator(), engine.guardian(), registry.guardian()} == {stranger.address}


def test_owner_collects_fees(owned, desk, at, owner, stranger):
    """What the Engine's account has beyond rebates; here, what somebody deposited to it."""
    usdc, vault = at("MockUSDC", owned.usdc), at("Vault", owned.vault)
    usdc.mint(stranger, 500, sender=stranger)
    usdc.approve(vault, 500, sender=stranger)
    vault.deposit(500, owned.engine, sender=stranger)
    actions.collect_fees(desk(owner), stranger.address)
    assert vault.sharesOf(stranger) == 500


def test_others_are_told_who_may(desk, owner, stranger):
    for act in (lambda d: actions.set_operator(d, stranger.address), lambda d: actions.collect_fees(d, owner.address)):
        with pytest.raises(DeploymentError, match=f"owner: {owner.address} can do this, not {stranger.address}"):
            act(desk(stranger))


def test_addresses_are_checked(desk, owner):
    with pytest.raises(DeploymentError, match="operator: '0x12' is not an address"):
        actions.set_operator(desk(owner), "0x12")


def test_status_shows_roles_fee_and_markets(owned, desk, owner, operator, guardian, lines, chain):
    actions.schedule_fee(desk(owner), 40, chain.blocks.head.timestamp + 2 * HOUR)
    actions.set_status(desk(guardian), "BTC-PERP", PAUSED)
    actions.halt(desk(guardian))
    lines.clear()
    actions.show_status(desk(owner, send=False))
    text = "\n".join(lines)
    assert text.count(f"owner {owner.address}") == 4
    for part in (operator.address, guardian.address, "50 bps, 40 bps from", "until", "last batch       none"):
        assert part in text
    for part in ("market 3, active", "market 6, paused since", "perpetual", "expires"):
        assert part in text
