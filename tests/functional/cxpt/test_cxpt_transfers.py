"""CXPT moves between a wallet and the exchange's custody, by the custodian's hand, and nowhere else."""

import pytest

from tests.utils.custody import CXPT_REDEEM
from tests.utils.reverts import reverts


def test_transfer_between_wallets(cxpt, funded, other):
    with reverts("NotCustody", caller=funded.address):
        cxpt.transfer(other, 1, sender=funded)


def test_transfer_between_wallets_by_allowance(cxpt, funded, other, stranger):
    cxpt.approve(stranger, 100, sender=funded)
    with reverts("NotCustody", caller=stranger.address):
        cxpt.transferFrom(funded, other, 1, sender=stranger)


@pytest.mark.parametrize("custodian", ["engine", "queue", "vault", "cxpt"])
def test_transfer_to_a_contract_strands_nothing(system, cxpt, funded, custodian):
    """Custody takes CXPT itself and credits it; a transfer past it would credit nobody."""
    with reverts("NotCustody", caller=funded.address):
        cxpt.transfer(getattr(system, custodian), 1, sender=funded)


def test_transfer_of_nothing_is_none_either(cxpt, funded, other):
    with reverts("NotCustody", caller=funded.address):
        cxpt.transfer(other, 0, sender=funded)


def test_custodian_moves_nothing_between_wallets(system, cxpt, funded, other, provider_send):
    """An allowance to the Engine does not make it a courier between wallets."""
    cxpt.approve(system.engine, 100, sender=funded)
    with reverts("NotCustody", caller=system.engine.address):
        provider_send(system.engine.address, cxpt.transferFrom, funded, other, 1)
    with reverts("NotCustody", caller=system.queue.address):
        provider_send(system.queue.address, cxpt.transferFrom, funded, system.engine, 1)


def test_queue_needs_no_allowance_and_takes_on_request_only(system, cxpt, funded, other):
    assert cxpt.allowance(funded, system.queue) == 0
    system.queue.request(CXPT_REDEEM, 0, 40, sender=funded)
    assert (cxpt.balanceOf(funded), cxpt.balanceOf(system.queue)) == (60, 40)
    with reverts("ERC20InsufficientBalance", sender=other.address, balance=0, needed=40):
        system.queue.request(CXPT_REDEEM, 0, 40, sender=other)


def test_engine_needs_an_allowance(system, cxpt, funded, provider_send):
    with reverts("ERC20InsufficientAllowance", spender=system.engine.address, allowance=0, needed=1):
        provider_send(system.engine.address, cxpt.transferFrom, funded, system.engine, 1)


@pytest.fixture
def provider_send(accounts):
    """Call a contract in the name of another contract."""

    def send(sender, method, *arguments):
        impersonated = accounts.impersonate_account(sender)
        impersonated.balance = 10**20
        return method(*arguments, sender=impersonated)

    return send
