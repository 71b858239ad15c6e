"""Instruments of 6, 8 and 18 decimals: what goes in comes out, to the last quantum."""

import pytest

from tests.utils.contracts import deploy_create2
from tests.utils.custody import INSTRUMENT, WINDOW

AMOUNTS = {6: 1_234_567, 8: 21 * 10**14 + 1, 18: 10**26 + 1}


@pytest.fixture
def deposit_new(project, system, owner):
    """Register a new token's synth and put `amount` of it into the exchange; returns (instrument, synth)."""

    def run(account, decimals, amount):
        token = owner.deploy(project.MockToken, "Token", "TKN", decimals)
        synth = deploy_create2(owner, project.SynthERC20, token.address)
        system.registry.registerAsset(synth, sender=owner)
        instrument = system.registry.assetId(synth)
        token.mint(account, amount, sender=account)
        token.approve(synth, amount, sender=account)
        synth.depositFor(account, amount, sender=account)
        synth.approve(system.engine, amount, sender=account)
        system.engine.deposit(instrument, amount, sender=account)
        return instrument, synth

    return run


@pytest.mark.parametrize("decimals", AMOUNTS)
@pytest.mark.parametrize("left", [0, 1])
def test_withdrawal_is_exact(system, queue, deposit_new, chain, maker, decimals, left):
    amount = AMOUNTS[decimals]
    instrument, synth = deposit_new(maker, decimals, amount)
    assert synth.decimals() == decimals
    queue.request(INSTRUMENT, instrument, amount - left, sender=maker)
    chain.mine(deltatime=WINDOW)
    assert queue.settle(maker, INSTRUMENT, instrument, sender=maker).return_value == amount - left
    assert (synth.balanceOf(maker), system.engine.balanceOf(maker, instrument)) == (amount - left, left)


@pytest.mark.parametrize("decimals", AMOUNTS)
def test_one_quantum(system, queue, deposit_new, operator, maker, decimals):
    instrument, synth = deposit_new(maker, decimals, 1)
    queue.request(INSTRUMENT, instrument, 1, sender=maker)
    assert queue.release(maker, INSTRUMENT, instrument, 1, sender=operator).return_value == 1
    assert (synth.balanceOf(maker), system.engine.balanceOf(maker, instrument)) == (1, 0)
