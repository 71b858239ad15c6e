"""Deposits by permit, also when somebody else sent the permit ahead."""

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from tests.utils.reverts import reverts

PERMIT = [
    {"name": "owner", "type": "address"},
    {"name": "spender", "type": "address"},
    {"name": "value", "type": "uint256"},
    {"name": "nonce", "type": "uint256"},
    {"name": "deadline", "type": "uint256"},
]


@pytest.fixture
def sign_permit(chain, usdc, vault):
    """Sign a permit of USDC for the Vault; returns (deadline, v, r, s)."""

    def sign(account, value, nonce=0, deadline=2**48):
        domain = {"name": "USD Coin", "version": "1", "chainId": chain.chain_id, "verifyingContract": usdc.address}
        values = (account.address, vault.address, value, nonce, deadline)
        message = dict(zip([member["name"] for member in PERMIT], values, strict=True))
        signature = Account.sign_message(encode_typed_data(domain, {"Permit": PERMIT}, message), account.private_key)
        return deadline, signature.v, signature.r.to_bytes(32, "big"), signature.s.to_bytes(32, "big")

    return sign


def test_permit_and_deposit_in_one_call(vault, usdc, sign_permit, maker, taker):
    usdc.mint(maker, 100, sender=maker)
    receipt = vault.depositWithPermit(60, taker, *sign_permit(maker, 60), sender=maker)
    assert receipt.return_value == 60
    assert receipt.events[-1] == vault.Deposited(sender=maker, account=taker, assets=60)
    assert (vault.sharesOf(taker), usdc.balanceOf(maker), usdc.allowance(maker, vault)) == (60, 40, 0)


def test_front_run_permit_does_not_block_the_deposit(vault, usdc, sign_permit, maker, stranger):
    usdc.mint(maker, 100, sender=maker)
    permit = sign_permit(maker, 100)
    usdc.permit(maker, vault, 100, *permit, sender=stranger)
    vault.depositWithPermit(100, maker, *permit, sender=maker)
    assert vault.sharesOf(maker) == 100


def test_invalid_permit_without_an_allowance_deposits_nothing(vault, usdc, sign_permit, maker):
    usdc.mint(maker, 100, sender=maker)
    permit = sign_permit(maker, 99)
    with reverts("ERC20InsufficientAllowance", spender=vault.address, allowance=0, needed=100):
        vault.depositWithPermit(100, maker, *permit, sender=maker)


def test_nobody_deposits_with_the_permit_of_another(vault, usdc, sign_permit, maker, stranger):
    """The permit is that of the caller, so what is taken is the caller's too."""
    usdc.mint(maker, 100, sender=maker)
    with reverts("ERC20InsufficientAllowance", spender=vault.address, allowance=0, needed=100):
        vault.depositWithPermit(100, stranger, *sign_permit(maker, 100), sender=stranger)


def test_token_without_permit_takes_the_allowance(create_vault, create_token, maker):
    token = create_token("MockSilentToken")
    vault = create_vault(token)
    token.mint(maker, 10, sender=maker)
    token.approve(vault, 10, sender=maker)
    vault.depositWithPermit(10, maker, 0, 27, b"\0" * 32, b"\0" * 32, sender=maker)
    assert vault.sharesOf(maker) == 10
