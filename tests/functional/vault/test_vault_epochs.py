"""Epoch bumps: one window after the account asked, or at once through OrderControl."""

import pytest

from tests.utils.custody import WINDOW
from tests.utils.reverts import reverts


@pytest.fixture
def vault(custody):
    return custody.vault


def test_anyone_applies_a_requested_bump_after_the_window(vault, set_next_time, maker, stranger):
    requested_at = vault.requestEpochBump(sender=maker).timestamp
    ready_at = requested_at + WINDOW
    assert vault.epochBumpAt(maker) == ready_at
    set_next_time(ready_at - 1)
    with reverts("WindowOpen", readyAt=ready_at):
        vault.applyEpochBump(maker, sender=stranger)
    set_next_time(ready_at)
    receipt = vault.applyEpochBump(maker, sender=stranger)
    assert receipt.events == [vault.EpochBumped(account=maker, epoch=1)]
    assert (vault.epochOf(maker), vault.epochBumpAt(maker)) == (1, 0)


def test_request_tells_when_it_is_ready(vault, maker):
    receipt = vault.requestEpochBump(sender=maker)
    ready_at = receipt.timestamp + WINDOW
    assert receipt.events == [vault.EpochBumpRequested(account=maker, readyAt=ready_at)]


def test_a_bump_is_applied_once(vault, chain, maker, stranger):
    vault.requestEpochBump(sender=maker)
    chain.mine(deltatime=WINDOW)
    vault.applyEpochBump(maker, sender=stranger)
    with reverts("NoBumpRequested", account=maker.address):
        vault.applyEpochBump(maker, sender=stranger)


def test_nobody_bumps_who_did_not_ask(vault, taker, stranger):
    with reverts("NoBumpRequested", account=taker.address):
        vault.applyEpochBump(taker, sender=stranger)


def test_a_second_request_does_not_restart_the_clock(vault, chain, maker):
    ready_at = vault.requestEpochBump(sender=maker).timestamp + WINDOW
    chain.mine(deltatime=100)
    with reverts("BumpPending", readyAt=ready_at):
        vault.requestEpochBump(sender=maker)
    assert vault.epochBumpAt(maker) == ready_at


def test_a_halt_stops_the_clock(custody, vault, set_next_time, guardian, maker, stranger):
    ready_at = vault.requestEpochBump(sender=maker).timestamp + WINDOW
    set_next_time(ready_at - 100)
    custody.engine.halt(sender=guardian)
    set_next_time(ready_at + 24 * 3600 - 1)
    with reverts("WindowOpen", readyAt=ready_at):
        vault.applyEpochBump(maker, sender=stranger)
    set_next_time(ready_at + 24 * 3600)
    vault.applyEpochBump(maker, sender=stranger)


def test_bump_keeps_shares_and_fees(custody, vault, chain, maker):
    custody.deposit_usdc(maker, 77)
    custody.charge_fees(maker, 5)
    vault.requestEpochBump(sender=maker)
    chain.mine(deltatime=WINDOW)
    vault.applyEpochBump(maker, sender=maker)
    assert (vault.sharesOf(maker), vault.feesPaidOf(maker)) == (77, 5)


def test_order_control_bumps_at_once(vault, order_control, maker):
    receipt = vault.bumpEpoch(maker, 0, sender=order_control)
    assert receipt.events == [vault.EpochBumped(account=maker, epoch=1)]
    assert vault.epochOf(maker) == 1


@pytest.mark.parametrize("epoch", [0, 2])
def test_order_control_names_the_stored_epoch(vault, order_control, maker, epoch):
    """A signed cancel of all orders acts once."""
    vault.bumpEpoch(maker, 0, sender=order_control)
    with reverts("WrongEpoch", expected=1, actual=epoch):
        vault.bumpEpoch(maker, epoch, sender=order_control)


def test_an_immediate_bump_ends_a_requested_one(vault, chain, order_control, maker, stranger):
    """Else the request would cancel the orders of the new epoch."""
    vault.requestEpochBump(sender=maker)
    vault.bumpEpoch(maker, 0, sender=order_control)
    chain.mine(deltatime=WINDOW)
    with reverts("NoBumpRequested", account=maker.address):
        vault.applyEpochBump(maker, sender=stranger)
    assert vault.epochOf(maker) == 1


def test_only_order_control_bumps_at_once(custody, vault, owner, operator, maker):
    for caller in (owner, operator, custody.clearinghouse, maker):
        with reverts("NotOrderControl", caller=caller.address):
            vault.bumpEpoch(maker, 0, sender=caller)


def test_a_request_needs_a_clock(create_vault, usdc, maker):
    with reverts("NotConnected"):
        create_vault(usdc, connected=False).requestEpochBump(sender=maker)
