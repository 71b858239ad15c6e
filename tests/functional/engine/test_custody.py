"""Custody of synths: deposit, and payment to the withdrawal queue's requests."""

import pytest

from tests.functional.engine.conftest import BTC_BALANCE
from tests.utils.batches import BUY, SELL

INSTRUMENT = 2  # IWithdrawalQueue.Kind


def test_deposit_takes_the_synth_and_credits_the_caller(exchange, project, accounts, stranger):
    account = stranger
    token = project.MockToken.at(exchange.btc_synth.underlying())
    token.mint(account, 500, sender=account)
    token.approve(exchange.btc_synth, 500, sender=account)
    exchange.btc_synth.depositFor(account, 500, sender=account)
    exchange.btc_synth.approve(exchange.engine, 500, sender=account)
    held = exchange.btc_synth.balanceOf(exchange.engine)
    receipt = exchange.engine.deposit(exchange.btc, 300, sender=account)
    events = list(receipt.decode_logs(exchange.engine.Deposited))
    assert [(e.account, e.instrument, e.amount) for e in events] == [(account.address, exchange.btc, 300)]
    exchange.engine.deposit(exchange.btc, 200, sender=account)
    assert exchange.base_of(account) == 500
    assert exchange.btc_synth.balanceOf(exchange.engine) == held + 500
    assert exchange.btc_synth.balanceOf(account) == 0


def test_deposit_keeps_the_state_of_nonce_key_0(exchange, fund, accounts, maker, taker):
    sell = exchange.order(maker, SELL)
    exchange.settle_fills((sell, exchange.order(taker, BUY), 7))
    balance = exchange.base_of(maker)
    fund(accounts[3], btc=1_000)
    assert exchange.state_of(sell) == (1, 7)
    assert exchange.base_of(maker) == balance + 1_000


@pytest.mark.parametrize("instrument", [0, 3, 99])
def test_deposit_of_what_is_no_asset_is_refused(exchange, stranger, instrument):
    deposit = bytes(exchange.engine.deposit.encode_input(instrument, 1))
    exchange.expect(deposit, "UnknownInstrument", instrument, sender=stranger)


def test_deposit_of_nothing_is_refused(exchange, stranger):
    exchange.expect(bytes(exchange.engine.deposit.encode_input(exchange.btc, 0)), "ZeroAmount", sender=stranger)


def test_deposit_without_the_synth_credits_nothing(exchange, stranger):
    exchange.btc_synth.approve(exchange.engine, 10, sender=stranger)
    deposit = bytes(exchange.engine.deposit.encode_input(exchange.btc, 10))
    exchange.expect(deposit, "ERC20InsufficientBalance", stranger.address, 0, 10, sender=stranger)


def test_deposit_beyond_128_bits_is_refused(exchange, stranger):
    deposit = bytes(exchange.engine.deposit.encode_input(exchange.btc, 2**128))
    exchange.expect(deposit, "SafeCastOverflowedUintDowncast", 128, 2**128, sender=stranger)


def test_only_the_queue_is_paid(exchange, operator, owner, maker):
    pay_out = bytes(exchange.engine.payOut.encode_input(maker.address, exchange.btc, 1))
    for caller in (operator, owner):
        exchange.expect(pay_out, "NotQueue", caller.address, sender=caller)


@pytest.mark.parametrize(("requested", "paid"), [(10, 10), (BTC_BALANCE, BTC_BALANCE), (BTC_BALANCE + 1, BTC_BALANCE)])
def test_withdrawal_pays_what_is_asked_or_what_is_there(exchange, accounts, maker, taker, requested, paid):
    account = accounts[3]
    exchange.queue.request(INSTRUMENT, exchange.btc, requested, sender=account)
    receipt = exchange.queue.release(account, INSTRUMENT, exchange.btc, requested, sender=exchange.operator)
    assert exchange.base_of(maker) == BTC_BALANCE - paid
    assert exchange.btc_synth.balanceOf(account) == paid
    events = list(receipt.decode_logs(exchange.engine.PaidOut))
    assert [(e.account, e.instrument, e.amount) for e in events] == [(account.address, exchange.btc, paid)]


def test_withdrawal_keeps_the_state_of_nonce_key_0(exchange, accounts, maker, taker):
    sell = exchange.order(maker, SELL)
    exchange.settle_fills((sell, exchange.order(taker, BUY), 7))
    exchange.queue.request(INSTRUMENT, exchange.btc, 2 * BTC_BALANCE, sender=accounts[3])
    exchange.queue.release(accounts[3], INSTRUMENT, exchange.btc, 2 * BTC_BALANCE, sender=exchange.operator)
    assert exchange.base_of(maker) == 0
    assert exchange.state_of(sell) == (1, 7)


def test_empty_balance_pays_nothing(exchange, accounts, pauper):
    exchange.queue.request(INSTRUMENT, exchange.btc, 5, sender=accounts[6])
    receipt = exchange.queue.release(accounts[6], INSTRUMENT, exchange.btc, 5, sender=exchange.operator)
    assert list(receipt.decode_logs(exchange.engine.PaidOut)) == []
    assert exchange.btc_synth.balanceOf(accounts[6]) == 0
