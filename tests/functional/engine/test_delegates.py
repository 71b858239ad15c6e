"""Orders that a delegate signed, and what a delegate cannot do."""

from dataclasses import replace

import pytest
from eth_account import Account
from eth_utils import keccak

from tests.utils.batches import BUY, SELL, nonce

DAY = 86_400


@pytest.fixture(scope="module")
def delegate():
    """A key without an account in the exchange."""
    return Account.from_key(keccak(text="delegate"))


@pytest.fixture
def name_delegate(exchange, accounts, delegate):
    """Let the delegate sign for an account until a time and return that time."""

    def run(account, until):
        owner = next(known for known in accounts if known.address == account.address)
        exchange.control.setDelegate(delegate.address, until, sender=owner)
        return until

    return run


@pytest.fixture
def delegated(exchange, maker, taker, delegate):
    """A batch of one fill whose taker order is signed by the delegate, and its group."""

    def create(**tables):
        order = exchange.order(taker, BUY, delegate=delegate)
        batch = exchange.batch([(exchange.order(maker, SELL), order, 5)], **tables)
        return batch, batch.orders[batch.fills[0][1]].group

    return create


def test_delegate_signs_orders(exchange, taker, delegated, name_delegate):
    name_delegate(taker, exchange.now + DAY)
    batch, _group = delegated()
    exchange.accept(batch)
    exchange.settle(batch)
    assert exchange.state_of(exchange.order(taker, BUY)) == (1, 5)


def test_delegate_signs_arrays(exchange, maker, taker, delegate, name_delegate):
    name_delegate(taker, exchange.now + DAY)
    array = [exchange.order(taker, BUY, delegate=delegate, nonce=nonce(key, 1)) for key in range(3)]
    batch = exchange.batch([(exchange.order(maker, SELL), array[1], 5)], arrays=[array])
    exchange.accept(batch)


def test_account_still_signs_itself(exchange, maker, taker, name_delegate):
    name_delegate(taker, exchange.now + DAY)
    exchange.accept(exchange.batch([(exchange.order(maker, SELL), exchange.order(taker, BUY), 5)]))


def test_unknown_delegate_is_refused(exchange, delegated):
    batch, group = delegated()
    exchange.refuse(batch, "InvalidSignature", group)


def test_delegate_is_valid_until_the_match(exchange, taker, delegated, name_delegate, pass_time):
    """The last second counts, and what counts is when it was matched, not when it settles."""
    until = name_delegate(taker, exchange.now + 100)
    pass_time(300)
    batch, group = delegated(matched_at=until)
    exchange.accept(batch)
    batch, group = delegated(matched_at=until + 1)
    exchange.refuse(batch, "InvalidSignature", group)


def test_revoked_delegate_signs_for_one_more_window(exchange, taker, delegated, name_delegate, pass_time):
    name_delegate(taker, exchange.now + DAY)
    name_delegate(taker, 0)
    revoked = exchange.now
    pass_time(3_600)
    batch, group = delegated(matched_at=revoked + 3_600)
    exchange.accept(batch)
    pass_time(1)
    batch, group = delegated(matched_at=revoked + 3_601)
    exchange.refuse(batch, "InvalidSignature", group)


def test_delegate_of_another_account_is_refused(exchange, maker, delegated, name_delegate):
    name_delegate(maker, exchange.now + DAY)
    batch, group = delegated()
    exchange.refuse(batch, "InvalidSignature", group)


def test_counterparty_is_no_delegate(exchange, maker, taker):
    order = exchange.order(taker, BUY, delegate=maker)
    batch = exchange.batch([(exchange.order(maker, SELL), order, 5)])
    exchange.refuse(batch, "InvalidSignature", batch.orders[batch.fills[0][1]].group)


def test_delegate_of_a_delegate_is_refused(exchange, accounts, maker, taker, third, delegate):
    """taker -> third -> delegate: a delegate's delegate is not the account's."""
    exchange.control.setDelegate(third.address, exchange.now + DAY, sender=accounts[4])
    exchange.control.setDelegate(delegate.address, exchange.now + DAY, sender=accounts[5])
    order = exchange.order(taker, BUY, delegate=delegate)
    batch = exchange.batch([(exchange.order(maker, SELL), order, 5)])
    exchange.refuse(batch, "InvalidSignature", batch.orders[batch.fills[0][1]].group)
    exchange.accept(exchange.batch([(exchange.order(maker, SELL), replace(order, delegate=third), 5)]))


def test_bump_of_the_epoch_ends_what_a_delegate_signed(exchange, taker, delegated, name_delegate):
    name_delegate(taker, exchange.now + DAY)
    batch, _group = delegated()
    index = [account for account, _ in batch.accounts].index(taker.address)
    batch.accounts[index] = (taker.address, 1)
    refusal = exchange.call(batch.packed_calldata())
    assert refusal is not None  # the order signs another epoch


def test_account_without_a_key_trades_through_a_delegate(exchange, project, owner, maker, fund, delegate):
    """A contract cannot sign; no code of it runs in a batch."""
    wallet = owner.deploy(project.MockWallet)
    until = exchange.now + DAY
    wallet.call(exchange.control, exchange.control.setDelegate.encode_input(delegate.address, until), sender=owner)
    exchange.usdc.mint(owner, 10**9, sender=owner)
    exchange.usdc.approve(exchange.vault, 10**9, sender=owner)
    exchange.vault.deposit(10**9, wallet, sender=owner)
    order = exchange.order(wallet, BUY, delegate=delegate)
    exchange.settle_fills((exchange.order(maker, SELL), order, 5))
    assert exchange.state_of(order) == (1, 5)
