"""Deposits and payouts: one share is one micro-USDC, and what is held covers what is owed."""

import pytest

from tests.utils.reverts import reverts

MAX_SHARES = 2**128 - 1


def test_deposit_credits_the_named_account(vault, usdc, maker, taker):
    usdc.mint(maker, 500, sender=maker)
    usdc.approve(vault, 500, sender=maker)
    receipt = vault.deposit(300, taker, sender=maker)
    assert receipt.return_value == 300
    assert receipt.events[-1] == vault.Deposited(sender=maker, account=taker, assets=300)
    assert (vault.sharesOf(taker), vault.sharesOf(maker), vault.totalAssets()) == (300, 0, 300)
    assert vault.solvency() == (300, 300)


def test_fee_on_transfer_is_credited_at_what_arrived(create_vault, create_token, maker):
    token = create_token("MockFeeToken")
    vault = create_vault(token)
    token.mint(maker, 1_000, sender=maker)
    token.approve(vault, 1_000, sender=maker)
    assert vault.deposit(1_000, maker, sender=maker).return_value == 990
    assert vault.solvency() == (990, 990)


def test_fee_on_transfer_in_a_payout_is_the_receivers(create_vault, create_token, queue, maker, taker):
    """USDC that began to charge for transfers would cost who withdraws, nobody else."""
    token = create_token("MockFeeToken")
    vault = create_vault(token)
    token.mint(maker, 2_000, sender=maker)
    token.approve(vault, 2_000, sender=maker)
    for account in (maker, taker):
        vault.deposit(1_000, account, sender=maker)
    vault.payOut(taker, 990, sender=queue)
    assert token.balanceOf(taker) == 981
    assert vault.solvency() == (990, 990)


def test_fee_on_top_of_a_payout_is_refused(create_vault, create_token, queue, maker, taker):
    """It would be paid with what the others own."""
    token = create_token("MockFeeToken")
    vault = create_vault(token)
    token.mint(maker, 2_000, sender=maker)
    token.approve(vault, 2_000, sender=maker)
    for account in (maker, taker):
        vault.deposit(1_000, account, sender=maker)
    token.setFeeOnTop(True, sender=maker)
    with reverts("AssetMismatch", expected=900, paid=909):
        vault.payOut(taker, 900, sender=queue)
    assert vault.sharesOf(taker) == 990


def test_donation_changes_nothing(vault, usdc, deposit, maker):
    usdc.mint(vault, 77, sender=maker)
    deposit(vault, usdc, maker, 100)
    assert (vault.sharesOf(maker), vault.totalAssets()) == (100, 100)
    assert vault.solvency() == (177, 100)


def test_token_without_return_values_works(create_vault, create_token, deposit, queue, maker):
    token = create_token("MockSilentToken")
    vault = create_vault(token)
    deposit(vault, token, maker, 40)
    vault.payOut(maker, 40, sender=queue)
    assert token.balanceOf(maker) == 40


def test_token_that_answers_false_credits_nothing(create_vault, create_token, maker):
    token = create_token("MockFalseToken")
    vault = create_vault(token)
    with reverts("SafeERC20FailedOperation", token=token.address):
        vault.deposit(40, maker, sender=maker)
    assert vault.totalAssets() == 0


def test_callback_in_a_deposit_cannot_count_one_arrival_twice(create_vault, create_token, maker):
    token = create_token("MockCallbackToken")
    vault = create_vault(token)
    token.mint(maker, 100, sender=maker)
    token.approve(vault, 100, sender=maker)
    token.mint(token, 100, sender=maker)
    token.approveFor(vault, 100, sender=maker)
    token.arm(vault, vault.deposit.encode_input(100, maker), sender=maker)
    with reverts("ReentrancyGuardReentrantCall"):
        vault.deposit(100, maker, sender=maker)


def test_callback_in_a_payout_cannot_deposit(create_vault, create_token, deposit, queue, maker):
    token = create_token("MockCallbackToken")
    vault = create_vault(token)
    deposit(vault, token, maker, 100)
    token.arm(vault, vault.deposit.encode_input(1, maker), sender=maker)
    with reverts("ReentrancyGuardReentrantCall"):
        vault.payOut(maker, 100, sender=queue)


def test_deposit_refuses_nothing_and_nobody(vault, maker):
    with reverts("ZeroAmount"):
        vault.deposit(0, maker, sender=maker)
    with reverts("ZeroAddress"):
        vault.deposit(1, "0x" + "00" * 20, sender=maker)


def test_deposit_stops_at_128_bits(vault, usdc, deposit, maker):
    deposit(vault, usdc, maker, MAX_SHARES)
    usdc.mint(maker, 1, sender=maker)
    usdc.approve(vault, 1, sender=maker)
    with reverts("SharesOverflow", account=maker.address):
        vault.deposit(1, maker, sender=maker)
    assert vault.sharesOf(maker) == MAX_SHARES


@pytest.mark.parametrize(("asked", "paid"), [(40, 40), (100, 100), (101, 100), (2**256 - 1, 100)])
def test_payout_is_the_lesser_of_request_and_balance(vault, usdc, deposit, queue, maker, taker, asked, paid):
    deposit(vault, usdc, maker, 100)
    deposit(vault, usdc, taker, 5)
    receipt = vault.payOut(maker, asked, sender=queue)
    assert receipt.return_value == paid
    assert vault.PaidOut(account=maker, assets=paid) in receipt.events
    assert (vault.sharesOf(maker), usdc.balanceOf(maker)) == (100 - paid, paid)
    assert vault.solvency() == (105 - paid, 105 - paid)


def test_payout_of_nothing_moves_nothing(vault, queue, maker):
    receipt = vault.payOut(maker, 50, sender=queue)
    assert receipt.return_value == 0
    assert receipt.events == []


def test_payout_to_a_blacklisted_account_changes_nothing(vault, usdc, deposit, queue, maker):
    deposit(vault, usdc, maker, 100)
    usdc.setBlacklisted(maker, True, sender=maker)
    with reverts("Blacklisted", account=maker.address):
        vault.payOut(maker, 100, sender=queue)
    assert vault.sharesOf(maker) == 100


def test_only_the_queue_pays_out(vault, engine, owner, maker):
    for caller in (engine, owner, maker):
        with reverts("NotQueue", caller=caller.address):
            vault.payOut(maker, 1, sender=caller)


def test_payout_as_cxpt_waits_for_the_token(vault, usdc, deposit, queue, maker):
    deposit(vault, usdc, maker, 10)
    with reverts("CxptUnavailable"):
        vault.payOutAsCxpt(maker, 1, sender=queue)


def test_false_return_in_a_payout_keeps_the_balance(chain, create_vault, create_token, queue, maker):
    """A token that turns to answering false cannot make a payout vanish."""
    token = create_token("MockSilentToken")
    vault = create_vault(token)
    token.mint(maker, 40, sender=maker)
    token.approve(vault, 40, sender=maker)
    vault.deposit(40, maker, sender=maker)
    code = chain.provider.get_code(create_token("MockFalseToken").address)
    chain.provider.set_code(token.address, code)
    with reverts("SafeERC20FailedOperation", token=token.address):
        vault.payOut(maker, 40, sender=queue)
    assert vault.sharesOf(maker) == 40


def test_callback_in_a_payout_cannot_claim_twice(create_vault, create_token, deposit, queue, maker):
    """The balance is gone before the token is called, so a second payout in the callback has nothing to pay."""
    token = create_token("MockCallbackToken")
    vault = create_vault(token)
    deposit(vault, token, maker, 100)
    token.arm(vault, vault.payOut.encode_input(maker, 100), sender=maker)
    with reverts("NotQueue", caller=token.address):
        vault.payOut(maker, 100, sender=queue)
    assert vault.sharesOf(maker) == 100
