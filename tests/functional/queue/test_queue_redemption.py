"""Redemption of CXPT: locked at the request, paid after 48 hours of plain time, never before."""

import pytest

from tests.functional.queue.conftest import CXPT_REDEEM, USDC
from tests.utils.custody import REDEEM_DELAY
from tests.utils.reverts import reverts


@pytest.fixture
def redeem(queue):
    """Open a redemption request and return its time."""

    def run(account, amount):
        return queue.request(CXPT_REDEEM, 0, amount, sender=account).timestamp

    return run


def test_paid_in_usdc_after_the_delay(system, queue, cxpt, redeem, set_next_time, maker, stranger):
    system.give_cxpt(maker, 100)
    ready_at = redeem(maker, 70) + REDEEM_DELAY
    assert (cxpt.balanceOf(maker), cxpt.balanceOf(queue)) == (30, 70)
    set_next_time(ready_at)
    receipt = queue.settle(maker, CXPT_REDEEM, 0, sender=stranger)
    assert receipt.return_value == 70
    assert receipt.events[-1] == queue.WithdrawalSettled(
        account=maker, kind=CXPT_REDEEM, instrument=0, requested=70, paid=70, released=False
    )
    assert system.vault.CxptRedeemed(account=maker, assets=70) in receipt.events
    assert (system.usdc.balanceOf(maker), cxpt.balanceOf(maker), cxpt.totalSupply()) == (70, 30, 30)
    assert cxpt.reserve() == (30, 30)
    assert system.vault.solvency() == (30, 30)


def test_early_settlement(system, queue, redeem, set_next_time, maker):
    system.give_cxpt(maker, 100)
    ready_at = redeem(maker, 70) + REDEEM_DELAY
    set_next_time(ready_at - 1)
    with reverts("WindowOpen", readyAt=ready_at):
        queue.settle(maker, CXPT_REDEEM, 0, sender=maker)


def test_early_release(system, queue, redeem, operator, maker):
    """Not even the operator shortens the delay."""
    system.give_cxpt(maker, 100)
    redeem(maker, 70)
    with reverts("NotReleasable"):
        queue.release(maker, CXPT_REDEEM, 0, 70, sender=operator)


def test_settlement_twice(system, queue, redeem, chain, maker, taker):
    for account in (maker, taker):
        system.give_cxpt(account, 100)
        redeem(account, 70)
    chain.mine(deltatime=REDEEM_DELAY)
    queue.settle(maker, CXPT_REDEEM, 0, sender=maker)
    with reverts("NoRequest", account=maker.address, kind=CXPT_REDEEM, instrument=0):
        queue.settle(maker, CXPT_REDEEM, 0, sender=maker)
    assert queue.settle(taker, CXPT_REDEEM, 0, sender=maker).return_value == 70


def test_settlement_for_another_pays_the_owner(system, queue, redeem, chain, maker, stranger):
    system.give_cxpt(maker, 100)
    redeem(maker, 100)
    chain.mine(deltatime=REDEEM_DELAY)
    queue.settle(maker, CXPT_REDEEM, 0, sender=stranger)
    assert (system.usdc.balanceOf(maker), system.usdc.balanceOf(stranger)) == (100, 0)


def test_cancel_gives_the_cxpt_back(system, queue, cxpt, redeem, maker):
    system.give_cxpt(maker, 100)
    redeem(maker, 70)
    queue.cancel(CXPT_REDEEM, 0, sender=maker)
    assert (cxpt.balanceOf(maker), cxpt.balanceOf(queue)) == (100, 0)
    with reverts("NoRequest", account=maker.address, kind=CXPT_REDEEM, instrument=0):
        queue.cancel(CXPT_REDEEM, 0, sender=maker)


@pytest.mark.parametrize("amount", [1, 69, 70, 71, 100])
def test_replacement_locks_the_new_amount(system, queue, cxpt, redeem, set_next_time, maker, taker, amount):
    system.give_cxpt(maker, 100)
    system.give_cxpt(taker, 50)
    redeem(taker, 50)
    first = redeem(maker, 70)
    set_next_time(first + REDEEM_DELAY - 1)
    second = redeem(maker, amount)
    assert (cxpt.balanceOf(maker), cxpt.balanceOf(queue)) == (100 - amount, 50 + amount)
    with reverts("WindowOpen", readyAt=second + REDEEM_DELAY):
        queue.settle(maker, CXPT_REDEEM, 0, sender=maker)


def test_request_beyond_the_wallet(system, queue, cxpt, redeem, maker, taker):
    """What others have locked in the queue is no source."""
    system.give_cxpt(maker, 100)
    system.give_cxpt(taker, 100)
    redeem(taker, 100)
    with reverts("ERC20InsufficientBalance", sender=maker.address, balance=100, needed=101):
        redeem(maker, 101)
    redeem(maker, 60)
    with reverts("ERC20InsufficientBalance", sender=maker.address, balance=40, needed=50):
        redeem(maker, 110)
    assert cxpt.balanceOf(queue) == 160


def test_a_halt_does_not_stop_redemption(system, queue, redeem, set_next_time, guardian, maker):
    system.give_cxpt(maker, 100)
    ready_at = redeem(maker, 70) + REDEEM_DELAY
    system.engine.halt(sender=guardian)
    set_next_time(ready_at)
    assert queue.settle(maker, CXPT_REDEEM, 0, sender=maker).return_value == 70


def test_blacklisted_receiver_keeps_the_request_and_can_cancel(system, queue, cxpt, redeem, chain, maker, taker):
    for account in (maker, taker):
        system.give_cxpt(account, 100)
        redeem(account, 70)
    chain.mine(deltatime=REDEEM_DELAY)
    system.usdc.setBlacklisted(maker, True, sender=maker)
    with reverts("Blacklisted", account=maker.address):
        queue.settle(maker, CXPT_REDEEM, 0, sender=maker)
    assert queue.settle(taker, CXPT_REDEEM, 0, sender=taker).return_value == 70
    assert queue.requestOf(maker, CXPT_REDEEM, 0).amount == 70
    queue.cancel(CXPT_REDEEM, 0, sender=maker)
    assert cxpt.balanceOf(maker) == 100


def test_redemption_and_withdrawal_are_separate(system, queue, redeem, chain, maker):
    system.give_cxpt(maker, 100)
    system.deposit_usdc(maker, 40)
    redeem(maker, 100)
    queue.request(USDC, 0, 1_000, sender=maker)
    chain.mine(deltatime=REDEEM_DELAY)
    assert queue.settle(maker, USDC, 0, sender=maker).return_value == 40
    assert queue.settle(maker, CXPT_REDEEM, 0, sender=maker).return_value == 100
    assert system.usdc.balanceOf(maker) == 140


def test_only_the_queue_redeems(system, operator, owner, maker):
    system.give_cxpt(maker, 100)
    for caller in (operator, owner, maker):
        with reverts("NotQueue", caller=caller.address):
            system.vault.redeemCxpt(maker, 1, sender=caller)
