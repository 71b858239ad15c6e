"""Only the one synth of an underlying is accepted as an asset."""

import pytest
from eth_utils import keccak, to_checksum_address

from scripts._lib.addresses import CREATE2_DEPLOYER, SALT, create2_address
from tests.utils.contracts import create2_init_code, deploy_create2
from tests.utils.reverts import reverts

ZERO = "0x" + "00" * 20


@pytest.mark.parametrize("decimals", [0, 6, 8, 18, 24])
def test_registers_a_synth(registry, create_synth, owner, decimals):
    synth = create_synth(decimals)
    receipt = registry.registerAsset(synth, sender=owner)
    assert receipt.return_value == 1
    asset = registry.asset(1)
    assert (asset.synth, asset.underlying, asset.decimals) == (synth, synth.underlying(), decimals)
    assert (registry.assetId(synth), registry.lastId()) == (1, 1)
    assert receipt.events == [
        registry.AssetRegistered(id=1, synth=synth, underlying=synth.underlying(), decimals=decimals, symbol="xTKN")
    ]


def test_predicts_the_address_of_every_synth(project, registry, create_token, owner):
    token = create_token()
    predicted = registry.predictSynth(token)
    assert predicted == create2_address(create2_init_code(project.SynthERC20, token.address))
    assert deploy_create2(owner, project.SynthERC20, token.address).address == predicted


def test_refuses_the_same_code_elsewhere(project, registry, create_token, owner):
    token = create_token()
    squatter = owner.deploy(project.SynthERC20, token)
    with reverts("ForeignSynth", token=squatter.address, expected=registry.predictSynth(token)):
        registry.registerAsset(squatter, sender=owner)


def test_refuses_what_is_no_synth(registry, create_token, owner, maker):
    for address in (create_token().address, maker.address, ZERO, registry.address):
        with reverts("ForeignSynth", token=address, expected=ZERO):
            registry.registerAsset(address, sender=owner)


def test_refuses_a_synth_that_is_not_deployed_yet(registry, create_token, owner):
    predicted = registry.predictSynth(create_token())
    with reverts("ForeignSynth", token=predicted, expected=ZERO):
        registry.registerAsset(predicted, sender=owner)


def test_an_address_that_was_paid_in_advance_is_still_the_synths(project, registry, create_token, owner, maker):
    token = create_token()
    predicted = registry.predictSynth(token)
    token.mint(predicted, 10**9, sender=maker)
    maker.transfer(predicted, 1)
    deploy_create2(maker, project.SynthERC20, token.address)  # anybody may deploy it
    registry.registerAsset(predicted, sender=owner)
    assert registry.assetId(predicted) == 1


def test_refuses_a_second_registration(registry, create_synth, owner):
    synth = create_synth()
    registry.registerAsset(synth, sender=owner)
    with reverts("AssetExists", synth=synth.address):
        registry.registerAsset(synth, sender=owner)


def test_refuses_more_decimals_than_balances_can_hold(registry, create_synth, owner):
    with reverts("InvalidParameter", field="decimals"):
        registry.registerAsset(create_synth(25), sender=owner)


def test_only_the_owner_registers(registry, create_synth, guardian, maker):
    synth = create_synth()
    for caller in (guardian, maker):
        with reverts("OwnableUnauthorizedAccount", account=caller.address):
            registry.registerAsset(synth, sender=caller)


def test_unknown_assets_are_empty(registry, create_market):
    market = create_market()
    for unknown in (0, market, market + 1, 2**32 - 1):
        assert tuple(registry.asset(unknown)) == (ZERO, ZERO, 0)


def test_create2_squatter_cannot_take_a_synths_address(project, registry, create_token, owner, maker):
    """Other code or other arguments under the same salt end up elsewhere, and the real synth is still deployable."""
    token, other = create_token(), create_token()
    predicted = registry.predictSynth(token)
    false_code = create2_init_code(project.MockToken, "Crosspoint Token", "xTKN", 8)
    squatted = [deploy_create2(maker, project.SynthERC20, other.address).address, create2_address(false_code)]
    maker.transfer(CREATE2_DEPLOYER, 0, data=SALT + false_code)
    assert predicted not in squatted
    with reverts("ForeignSynth", token=squatted[1], expected=ZERO):
        registry.registerAsset(squatted[1], sender=owner)
    deploy_create2(owner, project.SynthERC20, token.address)
    registry.registerAsset(predicted, sender=owner)


def test_create2_squatter_with_another_salt_is_refused(project, registry, create_token, owner, maker):
    token = create_token()
    code = create2_init_code(project.SynthERC20, token.address)
    salt = (1).to_bytes(32, "big")
    maker.transfer(CREATE2_DEPLOYER, 0, data=salt + code)
    packed = b"\xff" + bytes.fromhex(CREATE2_DEPLOYER[2:]) + salt + keccak(code)
    squatted = to_checksum_address(keccak(packed)[12:])
    assert project.SynthERC20.at(squatted).underlying() == token
    with reverts("ForeignSynth", token=squatted, expected=registry.predictSynth(token)):
        registry.registerAsset(squatted, sender=owner)


def test_foreign_contract_that_claims_anothers_underlying_is_refused(project, registry, create_synth, owner, maker):
    """A contract that answers `underlying()` like a synth is not at the synth's address."""
    synth = create_synth()
    impostor = maker.deploy(project.MockImpostorSynth, synth.underlying())
    with reverts("ForeignSynth", token=impostor.address, expected=synth.address):
        registry.registerAsset(impostor, sender=owner)
    for answer in ("setAnswer", "setSilent"):
        getattr(impostor, answer)(sender=maker)
        with reverts("ForeignSynth", token=impostor.address, expected=ZERO):
            registry.registerAsset(impostor, sender=owner)


def test_foreign_code_at_a_predicted_address_cannot_be_registered(registry, chain, create_token, owner):
    """Only a change of the chain itself could put it there; even then it would have to name its underlying."""
    predicted = registry.predictSynth(create_token())
    chain.provider.make_request("anvil_setCode", [predicted, "0x60006000f3"])
    with reverts("ForeignSynth", token=predicted, expected=ZERO):
        registry.registerAsset(predicted, sender=owner)


def test_donation_sent_in_advance_changes_no_supply(project, registry, create_token, owner, maker):
    token = create_token()
    predicted = registry.predictSynth(token)
    token.mint(predicted, 10**9, sender=maker)
    synth = deploy_create2(maker, project.SynthERC20, token.address)
    registry.registerAsset(synth, sender=owner)
    assert (synth.totalSupply(), token.balanceOf(synth)) == (0, 10**9)


def test_two_tokens_of_one_symbol_are_two_assets(registry, create_synth, owner):
    first, second = create_synth(), create_synth()
    for synth in (first, second):
        registry.registerAsset(synth, sender=owner)
    assert (registry.assetId(first), registry.assetId(second)) == (1, 2)
    assert first.symbol() == second.symbol()


def test_cxpt_is_the_one_asset_that_is_no_synth(registry, create_token, owner):
    cxpt = create_token(6)
    receipt = registry.setCxpt(cxpt, sender=owner)
    assert receipt.events == [registry.CxptSet(cxpt=cxpt)]
    assert registry.cxpt() == cxpt
    receipt = registry.registerAsset(cxpt, sender=owner)
    assert tuple(registry.asset(1)) == (cxpt, ZERO, 6)
    assert receipt.events == [registry.AssetRegistered(id=1, synth=cxpt, underlying=ZERO, decimals=6, symbol="TKN")]
    with reverts("AssetExists", synth=cxpt.address):
        registry.registerAsset(cxpt, sender=owner)


def test_cxpt_is_named_once_by_the_owner(registry, create_token, owner, guardian, maker):
    cxpt, other = create_token(6), create_token(6)
    for caller in (guardian, maker):
        with reverts("OwnableUnauthorizedAccount", account=caller.address):
            registry.setCxpt(cxpt, sender=caller)
    with reverts("ZeroAddress"):
        registry.setCxpt(ZERO, sender=owner)
    with reverts("ForeignSynth", token=cxpt.address, expected=ZERO):
        registry.registerAsset(cxpt, sender=owner)
    registry.setCxpt(cxpt, sender=owner)
    for again in (cxpt, other):
        with reverts("CxptExists", cxpt=cxpt.address):
            registry.setCxpt(again, sender=owner)


def test_no_asset_is_registered_at_address_zero(registry, owner):
    """While CXPT is not named, its zero address must not pass for it."""
    with reverts("ForeignSynth", token=ZERO, expected=ZERO):
        registry.registerAsset(ZERO, sender=owner)
