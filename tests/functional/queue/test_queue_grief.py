"""Attempts to make withdrawals of others late, dear or impossible."""

import pytest

from tests.functional.queue.conftest import CXPT_REDEEM, INSTRUMENT, USDC, USDC_AS_CXPT
from tests.utils.custody import WINDOW
from tests.utils.isolation import isolated
from tests.utils.reverts import reverts


@pytest.fixture
def gas_of_settling(system, queue, chain, maker):
    """Gas of the maker's settlement, measured on a copy of the chain."""

    def measure():
        with isolated(chain):
            chain.mine(deltatime=WINDOW)
            return queue.settle(maker, USDC, 0, sender=maker).gas_used

    return measure


def test_dust_spam_costs_others_nothing(queue, deposit, gas_of_settling, accounts, maker):
    """Requests of others, opened, replaced and canceled many times, do not change what a settlement costs."""
    deposit(maker, USDC, 100)
    queue.request(USDC, 0, 50, sender=maker)
    before = gas_of_settling()
    for spammer in accounts[4:7]:
        deposit(spammer, USDC, 3)
        for amount in range(1, 9):
            queue.request(USDC, 0, amount, sender=spammer)
            queue.request(USDC_AS_CXPT, 0, amount, sender=spammer)
        queue.cancel(USDC_AS_CXPT, 0, sender=spammer)
    assert gas_of_settling() == before


def test_nobody_replaces_the_request_of_another(system, queue, deposit, maker, stranger):
    """Only the account, its signature and the Vault for its caller reach a request, so nobody restarts its clock."""
    deposit(maker, USDC, 100)
    queue.request(USDC, 0, 100, sender=maker)
    before = tuple(queue.requestOf(maker, USDC, 0))
    queue.request(USDC, 0, 1, sender=stranger)
    system.vault.withdraw(1, False, sender=stranger)
    with reverts("NotVault", caller=stranger.address):
        queue.requestFor(maker, 1, False, sender=stranger)
    with reverts("InvalidSignature"):
        queue.requestBySig(maker, USDC, 0, 1, 0, 2**64 - 1, b"\1" * 32, b"\1" * 32, sender=stranger)
    assert tuple(queue.requestOf(maker, USDC, 0)) == before


def test_nobody_cancels_for_another(queue, maker, stranger):
    queue.request(USDC, 0, 100, sender=maker)
    with reverts("NoRequest", account=stranger.address, kind=USDC, instrument=0):
        queue.cancel(USDC, 0, sender=stranger)


def test_donation_to_the_vault_pays_no_request(system, queue, chain, deposit, maker, stranger):
    deposit(maker, USDC, 10)
    queue.request(USDC, 0, 1_000, sender=maker)
    system.usdc.mint(system.vault, 1_000, sender=stranger)
    chain.mine(deltatime=WINDOW)
    assert queue.settle(maker, USDC, 0, sender=stranger).return_value == 10


def test_two_kinds_do_not_pay_one_balance_twice(system, queue, chain, deposit, cxpt, maker, taker):
    """USDC and USDC as CXPT draw on one balance."""
    deposit(maker, USDC, 100)
    deposit(taker, USDC, 500)
    for kind in (USDC, USDC_AS_CXPT):
        queue.request(kind, 0, 80, sender=maker)
    chain.mine(deltatime=WINDOW)
    assert queue.settle(maker, USDC_AS_CXPT, 0, sender=maker).return_value == 80
    assert queue.settle(maker, USDC, 0, sender=maker).return_value == 20
    assert (system.usdc.balanceOf(maker), cxpt.balanceOf(maker)) == (20, 80)
    assert system.vault.solvency() == (580, 580)


def test_request_of_more_than_the_balance_waits_for_no_deposit(queue, chain, deposit, maker):
    """A request larger than the balance pays the balance and is closed; it does not catch a later deposit."""
    deposit(maker, USDC, 10)
    queue.request(USDC, 0, 2**128 - 1, sender=maker)
    chain.mine(deltatime=WINDOW)
    assert queue.settle(maker, USDC, 0, sender=maker).return_value == 10
    deposit(maker, USDC, 90)
    with reverts("NoRequest", account=maker.address, kind=USDC, instrument=0):
        queue.settle(maker, USDC, 0, sender=maker)


def test_reentrant_token_settles_once(system, queue, chain, deposit, maker):
    """The underlying calls back in the middle of the synth's withdrawal and finds the request closed."""
    deposit(maker, INSTRUMENT, 100)
    queue.request(INSTRUMENT, system.instrument, 60, sender=maker)
    chain.mine(deltatime=WINDOW)
    queue.settle(maker, INSTRUMENT, system.instrument, sender=maker)
    call = queue.settle.encode_input(maker, INSTRUMENT, system.instrument)
    system.token.arm(queue, call, sender=maker)
    with reverts("NoRequest", account=maker.address, kind=INSTRUMENT, instrument=system.instrument):
        system.synth.withdrawTo(maker, 60, sender=maker)


def test_fake_cxpt_reaches_nobody(project, system, queue, owner, maker, stranger):
    """The queue asks the Vault for the token, which has named it once."""
    system.give_cxpt(maker, 100)
    fake = owner.deploy(project.CXPT, system.vault)
    with reverts("CxptAlreadySet"):
        system.vault.setCxpt(fake, sender=owner)
    with reverts("NotVault", caller=stranger.address):
        fake.mint(stranger, 100, sender=stranger)
    with reverts("ERC20InsufficientBalance", sender=stranger.address, balance=0, needed=100):
        queue.request(CXPT_REDEEM, 0, 100, sender=stranger)


def test_blacklisted_fee_account_stops_no_settlement(system, queue, chain, deposit, owner, maker, taker):
    """Fees move in shares: with the Engine and the collector on USDC's blacklist all but its payout goes on."""
    deposit(maker, USDC, 500)
    for account in (system.engine, owner):
        system.usdc.setBlacklisted(account, True, sender=maker)
    system.charge_fees(maker, 40)
    system.engine.collectFees(owner, sender=owner)
    for account in (maker, owner):
        queue.request(USDC, 0, 500, sender=account)
    chain.mine(deltatime=WINDOW)
    with reverts("Blacklisted", account=owner.address):
        queue.settle(owner, USDC, 0, sender=taker)
    assert queue.settle(maker, USDC, 0, sender=taker).return_value == 500
    assert system.vault.sharesOf(owner) == 40
