"""Replacing the operator and the guardian."""

import pytest

from tests.utils.batches import BUY, SELL

ZERO = "0x" + "00" * 20


@pytest.mark.parametrize("role", ["Operator", "Guardian"])
def test_owner_replaces_a_role(exchange, owner, stranger, role):
    receipt = getattr(exchange.engine, f"set{role}")(stranger, sender=owner)
    assert getattr(exchange.engine, role.lower())() == stranger
    logs = list(receipt.decode_logs(getattr(exchange.engine, f"{role}Changed")))
    assert [getattr(log, role.lower()) for log in logs] == [stranger.address]


@pytest.mark.parametrize("role", ["Operator", "Guardian"])
def test_nobody_else_replaces_a_role(exchange, operator, guardian, stranger, role):
    data = bytes(getattr(exchange.engine, f"set{role}").encode_input(stranger))
    for caller in (operator, guardian, stranger):
        exchange.expect(data, "OwnableUnauthorizedAccount", caller.address, sender=caller)


@pytest.mark.parametrize("role", ["Operator", "Guardian"])
def test_role_is_never_empty(exchange, owner, role):
    exchange.expect(bytes(getattr(exchange.engine, f"set{role}").encode_input(ZERO)), "ZeroAddress", sender=owner)


def test_former_operator_settles_no_more(exchange, owner, operator, stranger, maker, taker):
    batch = exchange.batch([(exchange.order(maker, SELL), exchange.order(taker, BUY), 1)])
    exchange.engine.setOperator(stranger, sender=owner)
    exchange.expect(batch.packed_calldata(), "NotOperator", operator.address)
    assert exchange.call(batch.packed_calldata(), sender=stranger) is None


def test_former_guardian_halts_no_more(exchange, owner, guardian, stranger):
    exchange.engine.setGuardian(stranger, sender=owner)
    exchange.expect(bytes(exchange.engine.halt.encode_input()), "NotGuardian", guardian.address, sender=guardian)
    exchange.engine.halt(sender=stranger)


def test_only_order_control_ends_keys(exchange, owner, operator, guardian, stranger):
    call = bytes(exchange.engine.endKey.encode_input(stranger, exchange.btc, 0, 7))
    for caller in (owner, operator, guardian, stranger):
        exchange.expect(call, "NotOrderControl", caller.address, sender=caller)


def test_new_operator_keeps_the_batch_number(exchange, owner, stranger, maker, taker):
    exchange.settle_fills((exchange.order(maker, SELL), exchange.order(taker, BUY), 1))
    before = exchange.engine.lastBatch()
    exchange.engine.setOperator(stranger, sender=owner)
    assert exchange.engine.lastBatch() == before
