"""Only the one synth of an underlying is accepted as an asset."""

import pytest

from scripts._lib.addresses import create2_address
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
