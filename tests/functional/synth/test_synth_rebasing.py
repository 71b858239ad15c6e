"""An underlying that changes balances by itself: a loss is shared, and nobody's gain."""

import pytest

from tests.utils.reverts import reverts

ONE = 10**18


@pytest.fixture
def token(create_token):
    return create_token("MockRebasingToken")


@pytest.fixture
def deposit(token, synth):
    """Deposit whole units for an account."""

    def run(account, units):
        token.mint(account, units * ONE, sender=account)
        token.approve(synth, units * ONE, sender=account)
        return synth.depositFor(account, units * ONE, sender=account).return_value

    return run


@pytest.fixture
def shared(deposit, maker, taker):
    """The maker has three units, the taker one."""
    deposit(maker, 3)
    deposit(taker, 1)


def test_deposit_after_a_rebase_credits_what_arrived(token, synth, deposit, maker):
    token.rebase(3 * ONE, sender=maker)
    minted = deposit(maker, 1)
    assert minted == ONE - 1  # the token's own rounding keeps a quantum
    assert synth.totalSupply() == minted == token.balanceOf(synth)


def test_first_to_leave_after_a_fall_cannot_take_what_belongs_to_others(token, synth, shared, maker, taker):
    token.rebase(ONE // 2, sender=maker)
    for holder, amount in ((maker, 2 * ONE), (taker, 1)):
        with reverts("Underbacked", reserve=2 * ONE, supply=4 * ONE):
            synth.withdrawTo(holder, amount, sender=holder)


def test_everybody_leaves_with_their_share_of_what_is_left(token, synth, shared, maker, taker):
    token.rebase(ONE // 2, sender=maker)
    receipt = synth.withdrawShareTo(taker, ONE, sender=taker)
    paid = ONE // 2
    assert receipt.return_value == paid
    assert receipt.events[-1] == synth.SynthShareWithdrawn(sender=taker, account=taker, amount=ONE, paid=paid)
    assert synth.withdrawShareTo(maker, 3 * ONE, sender=maker).return_value == 3 * ONE // 2
    assert (token.balanceOf(taker), token.balanceOf(maker)) == (ONE // 2, 3 * ONE // 2)
    assert (synth.totalSupply(), token.balanceOf(synth)) == (0, 0)


def test_a_share_rounds_in_favour_of_those_who_stay(token, synth, shared, maker, taker):
    token.rebase(ONE // 3, sender=maker)
    reserve, supply = token.balanceOf(synth), synth.totalSupply()
    paid = synth.withdrawShareTo(taker, 1_000_000_007, sender=taker).return_value
    assert paid <= 1_000_000_007 * reserve // supply
    assert token.balanceOf(synth) * supply >= reserve * synth.totalSupply()


def test_deposit_into_a_short_reserve_cannot_pay_the_loss_of_others(token, synth, shared, deposit, maker, taker):
    token.rebase(ONE // 2, sender=maker)
    with reverts("Underbacked", reserve=2 * ONE, supply=4 * ONE):
        deposit(taker, 1)


def test_rise_belongs_to_nobody_and_covers_a_later_fall(token, synth, shared, maker, taker):
    token.rebase(2 * ONE, sender=maker)
    assert synth.withdrawShareTo(taker, ONE, sender=taker).return_value == ONE
    assert token.balanceOf(synth) == 7 * ONE
    token.rebase(ONE, sender=maker)
    synth.withdrawTo(maker, 3 * ONE, sender=maker)
    assert token.balanceOf(maker) == 3 * ONE


def test_withdrawal_at_par_works_again_once_the_reserve_is_filled(token, synth, shared, maker, taker):
    token.rebase(ONE // 2, sender=maker)
    token.mint(synth, 2 * ONE, sender=maker)
    synth.withdrawTo(taker, ONE, sender=taker)
    assert token.balanceOf(taker) == ONE


def test_a_share_of_nothing_is_refused(token, synth, shared, maker, taker):
    with reverts("ZeroAmount"):
        synth.withdrawShareTo(taker, 0, sender=taker)
    token.rebase(1, sender=maker)
    with reverts("ZeroAmount"):
        synth.withdrawShareTo(taker, 1, sender=taker)
    assert synth.balanceOf(taker) == ONE


def test_a_share_is_only_the_holders(synth, shared, maker, taker, stranger):
    with reverts("ERC20InsufficientBalance", sender=taker.address, balance=ONE, needed=ONE + 1):
        synth.withdrawShareTo(taker, ONE + 1, sender=taker)
    with reverts("ERC20InsufficientBalance", sender=stranger.address, balance=0, needed=1):
        synth.withdrawShareTo(taker, 1, sender=stranger)
    with reverts("ERC20InvalidReceiver", receiver=synth.address):
        synth.withdrawShareTo(synth, 1, sender=taker)


def test_fee_on_top_of_a_share_cannot_eat_the_backing_of_others(create_token, create_synth, fund, maker):
    token = create_token("MockFeeToken")
    synth = create_synth(token)
    fund(token, synth, 1_000)
    synth.depositFor(maker, 1_000, sender=maker)
    token.setFeeOnTop(True, sender=maker)
    with reverts("BackingMismatch", expected=500, actual=505):
        synth.withdrawShareTo(maker, 500, sender=maker)


def test_callback_in_a_share_withdrawal_cannot_be_used(create_token, create_synth, fund, maker):
    token = create_token("MockCallbackToken")
    synth = create_synth(token)
    fund(token, synth, 100)
    synth.depositFor(maker, 100, sender=maker)
    token.arm(synth, synth.withdrawShareTo.encode_input(maker, 1), sender=maker)
    with reverts("ReentrancyGuardReentrantCall"):
        synth.withdrawShareTo(maker, 50, sender=maker)
