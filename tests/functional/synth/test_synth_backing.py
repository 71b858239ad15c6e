"""Deposits and withdrawals: the supply never exceeds what the synth holds."""

import pytest

from scripts._lib.addresses import create2_address
from tests.utils.contracts import create2_init_code, deploy_create2
from tests.utils.reverts import reverts


def assert_backed(token, synth):
    assert synth.totalSupply() <= token.balanceOf(synth)


@pytest.mark.parametrize("decimals", [6, 8, 18])
def test_round_trip_is_exact(create_token, create_synth, fund, maker, taker, decimals):
    token = create_token(decimals=decimals)
    synth = create_synth(token)
    amount = 3 * 10**decimals + 1
    fund(token, synth, amount)

    receipt = synth.depositFor(taker, amount, sender=maker)
    assert receipt.events[-1] == synth.SynthDeposited(sender=maker, account=taker, amount=amount)
    assert (synth.balanceOf(taker), synth.totalSupply(), token.balanceOf(synth)) == (amount, amount, amount)

    receipt = synth.withdrawTo(maker, amount - 1, sender=taker)
    assert receipt.events[-1] == synth.SynthWithdrawn(sender=taker, account=maker, amount=amount - 1)
    assert (synth.balanceOf(taker), synth.totalSupply(), token.balanceOf(synth)) == (1, 1, 1)
    assert token.balanceOf(maker) == amount - 1


def test_fee_on_transfer_mints_what_arrived(create_token, create_synth, fund, maker):
    token = create_token("MockFeeToken")
    synth = create_synth(token)
    fund(token, synth, 1_000)
    assert synth.depositFor(maker, 1_000, sender=maker).return_value == 990
    assert (synth.balanceOf(maker), token.balanceOf(synth)) == (990, 990)
    synth.withdrawTo(maker, 990, sender=maker)
    assert (synth.totalSupply(), token.balanceOf(synth)) == (0, 0)


def test_fee_on_top_of_a_withdrawal_cannot_eat_the_backing_of_others(create_token, create_synth, fund, maker):
    token = create_token("MockFeeToken")
    synth = create_synth(token)
    fund(token, synth, 1_000)
    synth.depositFor(maker, 1_000, sender=maker)
    token.setFeeOnTop(True, sender=maker)
    with reverts("BackingMismatch", expected=500, actual=505):
        synth.withdrawTo(maker, 500, sender=maker)
    assert_backed(token, synth)


def test_token_without_return_values_works(create_token, create_synth, fund, maker):
    token = create_token("MockSilentToken")
    synth = create_synth(token)
    fund(token, synth, 50)
    synth.depositFor(maker, 50, sender=maker)
    synth.withdrawTo(maker, 20, sender=maker)
    assert (synth.balanceOf(maker), token.balanceOf(maker)) == (30, 20)


def test_token_that_answers_false_mints_nothing(create_token, create_synth, maker):
    token = create_token("MockFalseToken")
    synth = create_synth(token)
    with reverts("SafeERC20FailedOperation", token=token.address):
        synth.depositFor(maker, 50, sender=maker)
    assert synth.totalSupply() == 0


def test_donation_mints_nothing(token, synth, fund, maker):
    token.mint(synth, 500, sender=maker)
    fund(token, synth, 100)
    assert synth.depositFor(maker, 100, sender=maker).return_value == 100
    assert synth.totalSupply() == 100
    assert token.balanceOf(synth) == 600


def test_donation_before_the_synth_exists_mints_nothing(project, create_token, fund, owner, maker):
    token = create_token()
    address = create2_address(create2_init_code(project.SynthERC20, token.address))
    token.mint(address, 500, sender=maker)
    owner.transfer(address, 10**15)
    synth = deploy_create2(owner, project.SynthERC20, token.address)
    assert synth.address == address
    assert synth.totalSupply() == 0
    fund(token, synth, 100)
    synth.depositFor(maker, 100, sender=maker)
    assert (synth.totalSupply(), token.balanceOf(synth)) == (100, 600)


def test_callback_in_a_deposit_cannot_count_one_arrival_twice(create_token, create_synth, fund, maker):
    token = create_token("MockCallbackToken")
    synth = create_synth(token)
    fund(token, synth, 100)
    token.mint(token, 100, sender=maker)
    token.approveFor(synth, 100, sender=maker)
    token.arm(synth, synth.depositFor.encode_input(maker, 100), sender=maker)
    with reverts("ReentrancyGuardReentrantCall"):
        synth.depositFor(maker, 100, sender=maker)
    token.arm(synth, synth.withdrawTo.encode_input(maker, 100), sender=maker)
    with reverts("ReentrancyGuardReentrantCall"):
        synth.depositFor(maker, 100, sender=maker)
    assert synth.totalSupply() == 0


@pytest.mark.parametrize("method", ["depositFor", "withdrawTo"])
def test_zero_is_refused(synth, maker, method):
    with reverts("ZeroAmount"):
        getattr(synth, method)(maker, 0, sender=maker)


def test_mint_to_the_synth_itself_is_refused(token, synth, fund, maker):
    fund(token, synth, 10)
    with reverts("ERC20InvalidReceiver", receiver=synth.address):
        synth.depositFor(synth, 10, sender=maker)


def test_withdrawal_to_the_synth_itself_is_refused(token, synth, fund, maker):
    fund(token, synth, 10)
    synth.depositFor(maker, 10, sender=maker)
    with reverts("BackingMismatch", expected=10, actual=0):
        synth.withdrawTo(synth, 10, sender=maker)


def test_more_than_the_balance_cannot_be_withdrawn(token, synth, fund, maker, taker):
    fund(token, synth, 10)
    synth.depositFor(maker, 10, sender=maker)
    with reverts("ERC20InsufficientBalance", sender=taker.address, balance=0, needed=1):
        synth.withdrawTo(taker, 1, sender=taker)
    assert_backed(token, synth)
