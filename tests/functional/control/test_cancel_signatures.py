"""Cancels that a trader or its delegate signed and the operator submits: immediate."""

from dataclasses import replace

import pytest

from tests.functional.control.conftest import DAY
from tests.functional.engine.exchange import create_perpetual
from tests.utils.batches import BUY, RESERVED_KEY, SELL, nonce
from tests.utils.controls import sign_cancel, sign_cancel_all


@pytest.fixture
def buy(exchange, taker):
    return exchange.order(taker, BUY, nonce=nonce(4, 7))


@pytest.fixture
def cancel(exchange, operator):
    """Submit a signed cancel."""

    def run(order, signer):
        signature = sign_cancel(exchange.domain, order, signer)
        return exchange.control.cancelBySig(order.fields(), *signature, sender=operator)

    return run


def test_cancel_is_immediate(exchange, maker, taker, buy, cancel):
    exchange.settle_fills((exchange.order(maker, SELL), buy, 5))
    receipt = cancel(buy, taker)
    assert exchange.state_of(buy) == (8, 0)
    logs = receipt.decode_logs(exchange.control.OrderCanceled)
    assert [(e.account, e.orderHash) for e in logs] == [(taker.address, buy.hash(exchange.domain))]
    logs = receipt.decode_logs(exchange.control.CancelApplied)
    assert [(e.account, e.instrument, e.key, e.sequence) for e in logs] == [(taker.address, exchange.btc, 4, 7)]


def test_fill_after_cancel_is_refused(exchange, maker, taker, buy, cancel):
    cancel(buy, taker)
    batch = exchange.batch([(exchange.order(maker, SELL), buy, 5)])
    exchange.refuse(batch, "StaleNonce", batch.fills[0][1])


def test_cancel_replay_does_not_end_newer_orders(exchange, maker, taker, buy, cancel):
    cancel(buy, taker)
    newer = replace(buy, nonce=nonce(4, 20))
    exchange.settle_fills((exchange.order(maker, SELL), newer, 5))
    cancel(buy, taker)
    assert exchange.state_of(newer) == (20, 5)
    exchange.settle_fills((exchange.order(maker, SELL, nonce=nonce(0, 2)), newer, 5))
    assert exchange.state_of(newer) == (20, 10)


def test_only_the_operator_cancels_at_once(exchange, taker, buy, stranger, accounts, refuse):
    arguments = (buy.fields(), *sign_cancel(exchange.domain, buy, taker))
    for caller in (stranger, accounts[4]):
        refuse(caller, "cancelBySig", arguments, "NotOperator", caller.address)


def test_operator_cannot_cancel_without_a_signature(exchange, operator, taker, maker, buy, refuse):
    for signer in (maker,):
        arguments = (buy.fields(), *sign_cancel(exchange.domain, buy, signer))
        refuse(operator, "cancelBySig", arguments, "InvalidSignature")
    refuse(operator, "cancelBySig", (buy.fields(), *buy.sign(exchange.domain)), "InvalidSignature")
    refuse(operator, "cancelBySig", (buy.fields(), bytes(32), bytes(32)), "InvalidSignature")


def test_cancel_is_of_one_order(exchange, operator, taker, buy, refuse):
    signature = sign_cancel(exchange.domain, buy, taker)
    other = replace(buy, nonce=nonce(4, 8))
    refuse(operator, "cancelBySig", (other.fields(), *signature), "InvalidSignature")


@pytest.mark.parametrize("field", ["chain", "contract"])
def test_cancel_replay_from_another_exchange_is_refused(exchange, operator, taker, buy, refuse, field):
    domain = exchange.domain
    other = replace(domain, chain_id=2) if field == "chain" else replace(domain, engine=exchange.control.address)
    refuse(operator, "cancelBySig", (buy.fields(), *sign_cancel(other, buy, taker)), "InvalidSignature")


def test_delegate_cancels(exchange, accounts, delegate, buy, cancel):
    exchange.control.setDelegate(delegate.address, exchange.now + DAY, sender=accounts[4])
    cancel(buy, delegate)
    assert exchange.state_of(buy) == (8, 0)


def test_expired_delegate_does_not_cancel(exchange, operator, accounts, delegate, buy, refuse, pass_time):
    exchange.control.setDelegate(delegate.address, exchange.now + 100, sender=accounts[4])
    pass_time(200)
    arguments = (buy.fields(), *sign_cancel(exchange.domain, buy, delegate))
    refuse(operator, "cancelBySig", arguments, "InvalidSignature")


def test_delegate_of_another_account_does_not_cancel(exchange, operator, accounts, delegate, buy, refuse):
    exchange.control.setDelegate(delegate.address, exchange.now + DAY, sender=accounts[3])
    arguments = (buy.fields(), *sign_cancel(exchange.domain, buy, delegate))
    refuse(operator, "cancelBySig", arguments, "InvalidSignature")


def test_market_of_the_order_must_exist(exchange, operator, taker, buy, refuse):
    unknown = replace(buy, market=99)
    arguments = (unknown.fields(), *sign_cancel(exchange.domain, unknown, taker))
    refuse(operator, "cancelBySig", arguments, "UnknownMarket", 99)


def test_highest_sequence_cannot_be_cancelled(exchange, operator, taker, buy, refuse):
    last = replace(buy, nonce=nonce(4, 2**32 - 1))
    arguments = (last.fields(), *sign_cancel(exchange.domain, last, taker))
    refuse(operator, "cancelBySig", arguments, "SequenceExhausted")


def test_operator_cannot_help_a_trader_out_of_its_liquidations(exchange, project, owner, operator, taker, buy, refuse):
    market = create_perpetual(exchange, project, owner)
    order = replace(buy, market=market, instrument=market, nonce=nonce(RESERVED_KEY, 2**32 - 2))
    arguments = (order.fields(), *sign_cancel(exchange.domain, order, taker))
    refuse(operator, "cancelBySig", arguments, "ReservedKey")


# ---- everything at once


def test_epoch_bump_ends_every_order(exchange, operator, maker, taker, buy):
    signature = sign_cancel_all(exchange.domain, taker.address, 0, taker)
    receipt = exchange.control.cancelAllBySig(taker.address, 0, *signature, sender=operator)
    assert exchange.vault.epochOf(taker.address) == 1
    logs = receipt.decode_logs(exchange.control.AllCanceled)
    assert [(e.account, e.epoch) for e in logs] == [(taker.address, 0)]
    batch = exchange.batch([(exchange.order(maker, SELL), buy, 5)])
    exchange.refuse(batch, "StaleEpoch", [account for account, _ in batch.accounts].index(taker.address))
    exchange.accept(exchange.batch([(exchange.order(maker, SELL), replace(buy, epoch=1), 5)]))


def test_cancel_all_replay_is_refused(exchange, operator, taker, refuse):
    arguments = (taker.address, 0, *sign_cancel_all(exchange.domain, taker.address, 0, taker))
    exchange.control.cancelAllBySig(*arguments, sender=operator)
    refuse(operator, "cancelAllBySig", arguments, "WrongEpoch", 1, 0)


def test_only_the_operator_cancels_all_at_once(exchange, stranger, taker, refuse):
    arguments = (taker.address, 0, *sign_cancel_all(exchange.domain, taker.address, 0, taker))
    refuse(stranger, "cancelAllBySig", arguments, "NotOperator", stranger.address)


def test_operator_cannot_cancel_all_without_a_signature(exchange, operator, maker, taker, refuse):
    for arguments in (
        (taker.address, 0, *sign_cancel_all(exchange.domain, taker.address, 0, maker)),
        (taker.address, 0, *sign_cancel_all(exchange.domain, taker.address, 1, taker)),
        (taker.address, 0, bytes(32), bytes(32)),
        ("0x" + "00" * 20, 0, bytes(32), bytes(32)),
    ):
        refuse(operator, "cancelAllBySig", arguments, "InvalidSignature")


def test_delegate_cancels_all(exchange, operator, accounts, taker, delegate):
    exchange.control.setDelegate(delegate.address, exchange.now + DAY, sender=accounts[4])
    signature = sign_cancel_all(exchange.domain, taker.address, 0, delegate)
    exchange.control.cancelAllBySig(taker.address, 0, *signature, sender=operator)
    assert exchange.vault.epochOf(taker.address) == 1
