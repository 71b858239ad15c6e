"""What brings CXPT into being and ends it, and the reserve behind it."""

import pytest

from tests.utils.custody import CXPT_REDEEM, REDEEM_DELAY, USDC_AS_CXPT, WINDOW, ZERO, deploy_custody
from tests.utils.reverts import assert_creation_reverts, reverts


def test_withdrawal_as_cxpt_mints_one_for_one(system, cxpt, holder, operator):
    system.deposit_usdc(holder, 100)
    system.vault.withdraw(60, True, sender=holder)
    receipt = system.queue.release(holder, USDC_AS_CXPT, 0, 60, sender=operator)
    assert system.vault.PaidOutAsCxpt(account=holder, assets=60) in receipt.events
    assert (cxpt.balanceOf(holder), system.vault.sharesOf(holder), system.usdc.balanceOf(holder)) == (60, 40, 0)
    assert system.vault.sharesOf(cxpt) == cxpt.totalSupply() == 60
    assert system.vault.solvency() == (100, 100)


def test_anyone_settles_a_withdrawal_as_cxpt_after_the_window(system, cxpt, chain, holder, stranger):
    system.deposit_usdc(holder, 100)
    system.vault.withdraw(1_000, True, sender=holder)
    chain.mine(deltatime=WINDOW)
    assert system.queue.settle(holder, USDC_AS_CXPT, 0, sender=stranger).return_value == 100
    assert (cxpt.balanceOf(holder), cxpt.balanceOf(stranger)) == (100, 0)


def test_withdrawal_of_nothing_mints_nothing(system, cxpt, holder, operator):
    system.vault.withdraw(5, True, sender=holder)
    assert system.queue.release(holder, USDC_AS_CXPT, 0, 5, sender=operator).return_value == 0
    assert cxpt.totalSupply() == 0


def test_blacklisted_wallet_still_receives_cxpt(system, cxpt, holder, operator):
    """No USDC moves, so USDC's issuer has no say."""
    system.deposit_usdc(holder, 100)
    system.usdc.setBlacklisted(holder, True, sender=holder)
    system.vault.withdraw(100, True, sender=holder)
    system.queue.release(holder, USDC_AS_CXPT, 0, 100, sender=operator)
    assert cxpt.balanceOf(holder) == 100


def test_unauthorised_mint(system, cxpt, owner, operator, holder):
    for caller in (owner, operator, holder, system.clearinghouse):
        with reverts("NotVault", caller=caller.address):
            cxpt.mint(holder, 1, sender=caller)
        with reverts("NotQueue", caller=caller.address):
            system.vault.payOutAsCxpt(holder, 1, sender=caller)


def test_unauthorised_burn(system, cxpt, owner, operator, funded):
    system.queue.request(CXPT_REDEEM, 0, 50, sender=funded)
    for caller in (owner, operator, funded):
        with reverts("NotVault", caller=caller.address):
            cxpt.burn(1, sender=caller)


def test_reserve_cannot_be_withdrawn_or_settled_away(system, cxpt, funded, other):
    """The token's Vault account has no key: it signs nothing and asks for nothing."""
    with reverts("NotVault", caller=other.address):
        system.queue.requestFor(cxpt, 100, False, sender=other)
    with reverts("InvalidSignature"):
        system.queue.requestBySig(cxpt, 0, 0, 100, 0, 2**64 - 1, b"\1" * 32, b"\1" * 32, sender=other)


def test_reserve_grows_by_a_gift_and_never_falls_below_the_supply(system, cxpt, chain, funded, other):
    system.usdc.mint(other, 7, sender=other)
    system.usdc.approve(system.vault, 7, sender=other)
    system.vault.deposit(7, cxpt, sender=other)
    assert cxpt.reserve() == (107, 100)
    system.queue.request(CXPT_REDEEM, 0, 100, sender=funded)
    chain.mine(deltatime=REDEEM_DELAY)
    system.queue.settle(funded, CXPT_REDEEM, 0, sender=funded)
    assert cxpt.reserve() == (7, 0)


def test_solvency_counts_cxpt_without_a_reserve(system, chain, project, cxpt, funded):
    """If the reserve were gone, the Vault would owe it still."""
    entries = [int(cxpt.address, 16) << 96 | (2**32 - 1) << 64, int(funded.address, 16) << 96 | (2**32 - 1) << 64]
    system.vault.settle(entries, [-30, 30], sender=system.clearinghouse)
    assert system.vault.solvency() == (100, 130)


def test_decimals_and_names(cxpt):
    assert (cxpt.decimals(), cxpt.symbol(), cxpt.name()) == (6, "CXPT", "Crosspoint")


def test_wiring(project, system, cxpt, owner):
    assert (cxpt.vault(), cxpt.engine(), cxpt.queue()) == (system.vault, system.engine, system.queue)
    assert_creation_reverts(owner, project.CXPT, [ZERO], "ZeroAddress()")
    implementation = owner.deploy(project.Vault, system.usdc)
    assert_creation_reverts(owner, project.CXPT, [implementation], "NotConnected()")


@pytest.fixture
def unfinished(project, owner, operator, guardian, accounts):
    """A system whose Vault does not know its token yet."""
    return deploy_custody(project, owner, operator, guardian, accounts[7:9], with_cxpt=False)


def test_the_vault_learns_of_its_token_once(project, unfinished, owner, holder):
    vault, token = unfinished.vault, unfinished.cxpt
    with reverts("OwnableUnauthorizedAccount", account=holder.address):
        vault.setCxpt(token, sender=holder)
    receipt = vault.setCxpt(token, sender=owner)
    assert receipt.events == [vault.CxptSet(cxpt=token)]
    assert vault.cxpt() == token
    with reverts("CxptAlreadySet"):
        vault.setCxpt(owner.deploy(project.CXPT, vault), sender=owner)


def test_the_vault_refuses_a_token_of_another_exchange(system, unfinished, owner):
    with reverts("CxptMismatch", cxpt=system.cxpt.address):
        unfinished.vault.setCxpt(system.cxpt, sender=owner)


def test_no_supply_before_the_vault_knows_the_token(unfinished, holder):
    """Only the Vault mints, and it mints no token that it does not know."""
    with reverts("NotVault", caller=holder.address):
        unfinished.cxpt.mint(holder, 1, sender=holder)
    with reverts("CxptUnavailable"):
        unfinished.vault.withdraw(1, True, sender=holder)
