"""Attacks on the price of a share: it has none to move."""

import pytest

from tests.utils.custody import NOTHING_SIGNED


@pytest.mark.parametrize("donation", [1, 10**6, 10**18])
def test_share_inflation_by_the_first_depositor(vault, usdc, deposit, queue, maker, taker, donation):
    """The attacker deposits one unit and donates before the victim's deposit; the victim loses nothing by it."""
    deposit(vault, usdc, taker, 1)
    usdc.mint(taker, donation, sender=taker)
    usdc.transfer(vault, donation, sender=taker)
    deposit(vault, usdc, maker, 10**6)
    assert vault.payOut(maker, 2**256 - 1, sender=queue).return_value == 10**6
    assert vault.payOut(taker, 2**256 - 1, sender=queue).return_value == 1


def test_donation_is_nobodys(vault, usdc, deposit, queue, settle, maker, taker):
    """A donation can neither be withdrawn nor settled to an account."""
    deposit(vault, usdc, maker, 10)
    usdc.mint(vault, 1_000, sender=maker)
    settle((maker, NOTHING_SIGNED, -10), (taker, NOTHING_SIGNED, 10))
    assert vault.payOut(taker, 1_010, sender=queue).return_value == 10
    assert vault.solvency() == (1_000, 0)


def test_dust_deposits_round_to_no_ones_favour(vault, usdc, deposit, queue, maker):
    """Many smallest deposits and payouts neither gain nor lose a unit."""
    for _ in range(7):
        deposit(vault, usdc, maker, 1)
    for _ in range(7):
        assert vault.payOut(maker, 1, sender=queue).return_value == 1
    assert (vault.sharesOf(maker), usdc.balanceOf(maker)) == (0, 7)
    assert vault.solvency() == (0, 0)


def test_donation_in_the_middle_of_a_deposit_is_not_credited_twice(create_vault, create_token, maker):
    """A token that pushes more than was asked credits once what arrived."""
    token = create_token("MockCallbackToken")
    vault = create_vault(token)
    token.mint(maker, 100, sender=maker)
    token.approve(vault, 100, sender=maker)
    token.arm(token, token.mint.encode_input(vault, 50), sender=maker)
    assert vault.deposit(100, maker, sender=maker).return_value == 150
    assert vault.solvency() == (150, 150)
