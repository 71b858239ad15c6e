"""Release by the operator, settlement by anyone after the window, and what each pays."""

import pytest

from tests.functional.queue.conftest import INSTRUMENT, USDC, USDC_AS_CXPT
from tests.utils.reverts import reverts

WINDOW = 3600

kinds = pytest.mark.parametrize("kind", [USDC, USDC_AS_CXPT, INSTRUMENT])


@pytest.fixture
def request_at(queue, asset_of):
    """Open a request and return its time."""

    def run(account, kind, amount):
        return queue.request(*asset_of(kind), amount, sender=account).timestamp

    return run


@kinds
def test_anyone_settles_once_the_window_has_passed(
    queue, deposit, asset_of, balance_of, wallet_of, request_at, set_next_time, maker, taker, kind
):
    deposit(maker, kind, 100)
    requested_at = request_at(maker, kind, 70)
    set_next_time(requested_at + WINDOW - 1)
    with reverts("WindowOpen", readyAt=requested_at + WINDOW):
        queue.settle(maker, *asset_of(kind), sender=taker)
    set_next_time(requested_at + WINDOW)
    receipt = queue.settle(maker, *asset_of(kind), sender=taker)
    assert receipt.return_value == 70
    assert receipt.events[-1] == queue.WithdrawalSettled(
        account=maker, kind=kind, instrument=asset_of(kind)[1], requested=70, paid=70, released=False
    )
    assert (balance_of(maker, kind), wallet_of(maker, kind), wallet_of(taker, kind)) == (30, 70, 0)


@kinds
def test_operator_releases_at_once(queue, deposit, asset_of, balance_of, wallet_of, request_at, operator, maker, kind):
    deposit(maker, kind, 100)
    request_at(maker, kind, 70)
    receipt = queue.release(maker, *asset_of(kind), 70, sender=operator)
    assert receipt.events[-1] == queue.WithdrawalSettled(
        account=maker, kind=kind, instrument=asset_of(kind)[1], requested=70, paid=70, released=True
    )
    assert (balance_of(maker, kind), wallet_of(maker, kind)) == (30, 70)


@kinds
@pytest.mark.parametrize("balance", [0, 1, 69, 70])
def test_pays_the_lesser_of_request_and_balance(
    queue, chain, deposit, asset_of, balance_of, wallet_of, request_at, maker, taker, kind, balance
):
    if balance:
        deposit(maker, kind, balance)
    deposit(taker, kind, 1_000)
    request_at(maker, kind, 70)
    chain.mine(deltatime=WINDOW)
    assert queue.settle(maker, *asset_of(kind), sender=maker).return_value == balance
    assert (balance_of(maker, kind), wallet_of(maker, kind)) == (0, balance)
    assert balance_of(taker, kind) == 1_000


@kinds
def test_pays_once(queue, chain, deposit, asset_of, request_at, operator, maker, kind):
    deposit(maker, kind, 100)
    request_at(maker, kind, 40)
    queue.release(maker, *asset_of(kind), 40, sender=operator)
    chain.mine(deltatime=WINDOW)
    gone = {"account": maker.address, "kind": kind, "instrument": asset_of(kind)[1]}
    with reverts("NoRequest", **gone):
        queue.settle(maker, *asset_of(kind), sender=maker)
    with reverts("NoRequest", **gone):
        queue.release(maker, *asset_of(kind), 40, sender=operator)


def test_release_is_the_operators(queue, deposit, request_at, owner, guardian, maker):
    deposit(maker, USDC, 100)
    request_at(maker, USDC, 70)
    for caller in (owner, guardian, maker):
        with reverts("NotOperator", caller=caller.address):
            queue.release(maker, USDC, 0, 70, sender=caller)


def test_release_binds_to_the_amount_that_the_operator_saw(queue, deposit, balance_of, request_at, operator, maker):
    """A request replaced by a larger one may not take funds of matches that are not settled yet."""
    deposit(maker, USDC, 100)
    request_at(maker, USDC, 10)
    request_at(maker, USDC, 100)
    with reverts("RequestChanged", expected=10, actual=100):
        queue.release(maker, USDC, 0, 10, sender=operator)
    assert balance_of(maker, USDC) == 100


def test_a_replaced_request_waits_a_whole_window_again(queue, deposit, request_at, set_next_time, maker):
    deposit(maker, USDC, 100)
    first = request_at(maker, USDC, 10)
    set_next_time(first + WINDOW - 5)
    second = request_at(maker, USDC, 11)
    set_next_time(first + WINDOW)
    with reverts("WindowOpen", readyAt=second + WINDOW):
        queue.settle(maker, USDC, 0, sender=maker)


def test_a_halt_stops_the_clock(system, queue, deposit, request_at, set_next_time, guardian, maker, taker):
    deposit(maker, USDC, 100)
    requested_at = request_at(maker, USDC, 70)
    set_next_time(requested_at + 1_000)
    system.engine.halt(sender=guardian)
    halt_end = requested_at + 1_000 + 24 * 3600
    set_next_time(halt_end)
    with reverts("WindowOpen", readyAt=requested_at + WINDOW):
        queue.settle(maker, USDC, 0, sender=taker)
    set_next_time(halt_end + 2_599)
    with reverts("WindowOpen", readyAt=requested_at + WINDOW):
        queue.settle(maker, USDC, 0, sender=taker)
    set_next_time(halt_end + 2_600)
    assert queue.settle(maker, USDC, 0, sender=taker).return_value == 70


def test_a_halt_that_ends_early_stops_the_clock_only_so_long(
    system, queue, deposit, request_at, set_next_time, guardian, maker
):
    deposit(maker, USDC, 100)
    requested_at = request_at(maker, USDC, 70)
    set_next_time(requested_at + 100)
    system.engine.halt(sender=guardian)
    set_next_time(requested_at + 600)
    system.engine.endHalt(sender=guardian)
    set_next_time(requested_at + 500 + WINDOW - 1)
    with reverts("WindowOpen", readyAt=requested_at + WINDOW):
        queue.settle(maker, USDC, 0, sender=maker)
    set_next_time(requested_at + 500 + WINDOW)
    assert queue.settle(maker, USDC, 0, sender=maker).return_value == 70


@kinds
def test_a_ready_request_is_paid_during_a_halt(
    system, queue, chain, deposit, asset_of, request_at, set_next_time, guardian, maker, taker, kind
):
    deposit(maker, kind, 100)
    requested_at = request_at(maker, kind, 70)
    set_next_time(requested_at + WINDOW)
    system.engine.halt(sender=guardian)
    chain.mine(deltatime=50)
    assert queue.settle(maker, *asset_of(kind), sender=taker).return_value == 70


def test_operator_releases_during_a_halt(system, queue, deposit, request_at, operator, guardian, maker):
    deposit(maker, USDC, 100)
    request_at(maker, USDC, 70)
    system.engine.halt(sender=guardian)
    assert queue.release(maker, USDC, 0, 70, sender=operator).return_value == 70


def test_a_request_made_during_a_halt_waits_a_window_after_it(
    system, queue, chain, deposit, set_next_time, guardian, maker
):
    deposit(maker, USDC, 100)
    halted_at = system.engine.halt(sender=guardian).timestamp
    chain.mine(deltatime=1_000)
    queue.request(USDC, 0, 70, sender=maker)
    assert queue.requestOf(maker, USDC, 0).requestedAt == halted_at
    set_next_time(halted_at + 24 * 3600 + WINDOW - 1)
    with reverts("WindowOpen", readyAt=halted_at + WINDOW):
        queue.settle(maker, USDC, 0, sender=maker)
    set_next_time(halted_at + 24 * 3600 + WINDOW)
    assert queue.settle(maker, USDC, 0, sender=maker).return_value == 70


def test_a_blacklisted_receiver_blocks_only_itself(
    system, queue, chain, deposit, balance_of, wallet_of, request_at, operator, maker, taker
):
    for account in (maker, taker):
        deposit(account, USDC, 100)
        request_at(account, USDC, 70)
    before = tuple(queue.requestOf(maker, USDC, 0))
    chain.mine(deltatime=WINDOW)
    system.usdc.setBlacklisted(maker, True, sender=maker)
    with reverts("Blacklisted", account=maker.address):
        queue.settle(maker, USDC, 0, sender=maker)
    with reverts("Blacklisted", account=maker.address):
        queue.release(maker, USDC, 0, 70, sender=operator)
    assert queue.settle(taker, USDC, 0, sender=taker).return_value == 70

    assert tuple(queue.requestOf(maker, USDC, 0)) == before
    assert balance_of(maker, USDC) == 100
    system.usdc.setBlacklisted(maker, False, sender=maker)
    queue.settle(maker, USDC, 0, sender=maker)
    assert wallet_of(maker, USDC) == 70


def test_only_the_queue_pays_out(system, operator, owner, maker):
    for caller in (operator, owner, maker):
        with reverts("NotQueue", caller=caller.address):
            system.vault.payOut(maker, 1, sender=caller)
        with reverts("NotQueue", caller=caller.address):
            system.engine.payOut(maker, system.instrument, 1, sender=caller)


def test_solvency_holds_through_deposits_and_withdrawals(system, queue, deposit, request_at, operator, maker, taker):
    deposit(maker, USDC, 100)
    deposit(taker, USDC, 11)
    request_at(maker, USDC, 1_000)
    queue.release(maker, USDC, 0, 1_000, sender=operator)
    assert system.vault.solvency() == (11, 11)
    deposit(maker, INSTRUMENT, 9)
    request_at(maker, INSTRUMENT, 4)
    queue.release(maker, INSTRUMENT, system.instrument, 4, sender=operator)
    held = system.synth.balanceOf(system.engine)
    assert held == system.engine.balanceOf(maker, system.instrument) == 5
    assert system.synth.totalSupply() == system.token.balanceOf(system.synth) == 9
