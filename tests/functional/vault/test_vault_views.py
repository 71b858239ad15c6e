"""ERC-4626 views: the identity, whatever was deposited or donated."""

import pytest

MAX_SHARES = 2**128 - 1
IDENTITIES = (
    "convertToShares",
    "convertToAssets",
    "previewDeposit",
    "previewMint",
    "previewWithdraw",
    "previewRedeem",
)


@pytest.fixture
def uneven(vault, usdc, deposit, maker, taker):
    """A Vault with deposits and a donation that would make any ratio uneven."""
    deposit(vault, usdc, maker, 1_000_003)
    deposit(vault, usdc, taker, 7)
    usdc.mint(vault, 999_983, sender=maker)
    return vault


@pytest.mark.parametrize("view", IDENTITIES)
@pytest.mark.parametrize("amount", [0, 1, 3, 10**6 + 1, 2**256 - 1])
def test_rounding_in_every_direction_is_exact(uneven, view, amount):
    assert getattr(uneven, view)(amount) == amount


def test_totals_leave_donations_out(uneven):
    assert (uneven.totalAssets(), uneven.totalSupply()) == (1_000_010, 1_000_010)


def test_balance_is_the_accounts_shares(uneven, maker, stranger):
    assert uneven.balanceOf(maker) == uneven.sharesOf(maker) == 1_000_003
    assert uneven.balanceOf(stranger) == 0


def test_limits(uneven, maker, stranger):
    for view in (uneven.maxDeposit, uneven.maxMint):
        assert (view(maker), view(stranger)) == (MAX_SHARES - 1_000_003, MAX_SHARES)
    for view in (uneven.maxWithdraw, uneven.maxRedeem):
        assert (view(maker), view(stranger)) == (1_000_003, 0)
