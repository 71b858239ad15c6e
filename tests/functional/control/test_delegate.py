"""Naming, prolonging, shortening and revoking delegates, by the account itself or with its signature."""

from dataclasses import replace

import pytest

from tests.functional.control.conftest import DAY
from tests.utils.controls import sign_delegate

WINDOW = 3_600
ZERO = "0x" + "00" * 20


@pytest.fixture
def until_of(exchange, taker, delegate):
    return lambda: exchange.control.delegateUntil(taker.address, delegate.address)


@pytest.fixture
def set_delegate(exchange, accounts, delegate):
    return lambda until: exchange.control.setDelegate(delegate.address, until, sender=accounts[4])


def test_delegate_is_named_at_once(exchange, taker, delegate, set_delegate, until_of):
    receipt = set_delegate(2**64 - 1)
    assert until_of() == 2**64 - 1
    assert [(e.account, e.delegate, e.validUntil) for e in receipt.decode_logs(exchange.control.DelegateSet)] == [
        (taker.address, delegate.address, 2**64 - 1)
    ]


def test_delegate_is_prolonged_at_once(exchange, set_delegate, until_of):
    until = exchange.now + DAY
    set_delegate(exchange.now + 100)
    set_delegate(until)
    assert until_of() == until


def test_revoking_takes_a_window(exchange, set_delegate, until_of):
    set_delegate(exchange.now + DAY)
    receipt = set_delegate(0)
    assert until_of() == exchange.now + WINDOW
    assert [e.validUntil for e in receipt.decode_logs(exchange.control.DelegateSet)] == [exchange.now + WINDOW]


def test_shortening_takes_a_window(exchange, set_delegate, until_of):
    set_delegate(exchange.now + DAY)
    set_delegate(exchange.now + WINDOW // 2)
    assert until_of() == exchange.now + WINDOW
    set_delegate(exchange.now + 2 * DAY)
    target = exchange.now + 3 * WINDOW
    set_delegate(target)
    assert until_of() == target


def test_shortening_never_prolongs(exchange, set_delegate, until_of):
    """Less than a window is left: revoking leaves it as it is."""
    until = exchange.now + 100
    set_delegate(until)
    set_delegate(0)
    assert until_of() == until
    set_delegate(until - 50)
    assert until_of() == until


def test_revoking_twice_does_not_put_it_off(exchange, set_delegate, until_of, pass_time):
    set_delegate(exchange.now + DAY)
    set_delegate(0)
    until = until_of()
    pass_time(1_000)
    set_delegate(0)
    assert until_of() == until


def test_zero_address_is_no_delegate(refuse, accounts):
    """It is the signer of every malformed signature."""
    refuse(accounts[4], "setDelegate", (ZERO, 2**64 - 1), "ZeroAddress")


# ---- with a signature


@pytest.fixture
def signed(exchange, taker, delegate):
    """Arguments of setDelegateBySig."""

    def create(until, number=0, signer=taker, domain=None, account=taker.address, to=delegate.address):
        signature = sign_delegate(domain or exchange.domain, account, to, until, number, signer)
        return account, to, until, number, *signature

    return create


def test_anyone_submits_what_the_account_signed(exchange, stranger, signed, until_of):
    until = exchange.now + DAY
    exchange.control.setDelegateBySig(*signed(until), sender=stranger)
    assert until_of() == until
    exchange.control.setDelegateBySig(*signed(0, number=1), sender=stranger)
    assert until_of() == exchange.now + WINDOW


def test_replayed_delegate_message_is_refused(exchange, stranger, signed, refuse):
    arguments = signed(exchange.now + DAY)
    exchange.control.setDelegateBySig(*arguments, sender=stranger)
    refuse(stranger, "setDelegateBySig", arguments, "WrongNonce", 1, 0)


def test_message_of_the_future_is_refused(exchange, stranger, signed, refuse):
    refuse(stranger, "setDelegateBySig", signed(exchange.now + DAY, number=1), "WrongNonce", 0, 1)


def test_own_transaction_outdates_signed_messages(exchange, stranger, signed, set_delegate, refuse, taker):
    """Who revokes a delegate must not see it come back by a message that was signed before."""
    arguments = signed(exchange.now + DAY)
    set_delegate(0)
    assert exchange.control.delegateNonce(taker.address) == 1
    refuse(stranger, "setDelegateBySig", arguments, "WrongNonce", 1, 0)


def test_delegate_cannot_add_delegates(exchange, stranger, delegate, third, signed, set_delegate, refuse):
    set_delegate(exchange.now + DAY)
    arguments = signed(exchange.now + DAY, number=1, signer=delegate, to=third.address)
    refuse(stranger, "setDelegateBySig", arguments, "InvalidSignature")


def test_delegate_cannot_prolong_itself(exchange, stranger, delegate, signed, set_delegate, refuse):
    set_delegate(exchange.now + 100)
    refuse(stranger, "setDelegateBySig", signed(2**64 - 1, number=1, signer=delegate), "InvalidSignature")


@pytest.mark.parametrize("field", ["account", "delegate", "until"])
def test_signature_covers_every_field(exchange, stranger, taker, maker, delegate, third, signed, refuse, field):
    until = exchange.now + DAY
    account, to, _until, number, r, vs = signed(until)
    changed = {
        "account": (maker.address, to, until),
        "delegate": (account, third.address, until),
        "until": (account, to, until + 1),
    }
    refuse(stranger, "setDelegateBySig", (*changed[field], number, r, vs), "InvalidSignature")


@pytest.mark.parametrize("field", ["chain", "contract"])
def test_replay_from_another_exchange_is_refused(exchange, stranger, taker, signed, refuse, field):
    domain = exchange.domain
    other = replace(domain, chain_id=2) if field == "chain" else replace(domain, engine=exchange.control.address)
    refuse(stranger, "setDelegateBySig", signed(exchange.now + DAY, domain=other), "InvalidSignature")


def test_zero_account_cannot_name_delegates_with_a_malformed_signature(exchange, stranger, delegate, refuse):
    arguments = (ZERO, delegate.address, 2**64 - 1, 0, bytes(32), bytes(32))
    refuse(stranger, "setDelegateBySig", arguments, "ZeroAddress")


# ---- what a delegate cannot do


def test_delegate_cannot_withdraw(exchange, accounts, taker, maker, delegate, set_delegate):
    """A withdrawal is a transaction of the account, which the delegate's key cannot send."""
    set_delegate(exchange.now + DAY)
    account = accounts[8]  # stands for the delegate: whoever calls withdraws for itself only
    exchange.control.setDelegate(account, exchange.now + DAY, sender=accounts[4])
    before = exchange.usdc_of(taker)
    exchange.vault.withdraw(before, False, sender=account)
    request = exchange.queue.requestOf(taker.address, 0, 0)
    assert request.amount == 0
    assert exchange.queue.requestOf(account, 0, 0).amount == before
    assert exchange.usdc_of(taker) == before
