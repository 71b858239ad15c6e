"""Fees: floor of the notional's part, for each side and each fill, never above what the trader signed."""

import pytest

from tests.functional.engine.conftest import USDC_BALANCE
from tests.utils.batches import BUY, SELL


@pytest.mark.parametrize(
    ("price", "lots", "fee"),
    [
        (199, 1, 0),
        (200, 1, 1),
        (399, 1, 1),
        (400, 1, 2),
        (1, 199, 0),
        (1, 200, 1),
        (600_000, 1, 3_000),
        (333_333, 7, 11_666),
    ],
)
def test_fee_is_rounded_down_for_each_side(exchange, maker, taker, price, lots, fee):
    sell = exchange.order(maker, SELL, price=price, quantity=10**6)
    buy = exchange.order(taker, BUY, price=price, quantity=10**6)
    exchange.settle_fills((sell, buy, lots))
    assert exchange.usdc_of(maker) == USDC_BALANCE + price * lots - fee
    assert exchange.usdc_of(taker) == USDC_BALANCE - price * lots - fee
    assert exchange.usdc_of(exchange.engine) == 2 * fee


def test_fee_is_rounded_for_each_fill_not_for_their_sum(exchange, maker, taker):
    sell, buy = exchange.order(maker, SELL, price=399), exchange.order(taker, BUY, price=399)
    exchange.settle_fills((sell, buy, 1), (sell, buy, 1), (sell, buy, 1))
    assert exchange.usdc_of(exchange.engine) == 6
    assert exchange.usdc_of(maker) == USDC_BALANCE + 3 * 399 - 3


def test_largest_fill_is_exact(exchange, fund, accounts, maker, taker):
    """The highest price and a thousand BTC: no product is cut."""
    lots, price = 10**7, 10**8
    notional = lots * price
    fund(accounts[3], btc=lots * 1_000)
    fund(accounts[4], usdc=2 * notional)
    before = exchange.usdc_of(maker), exchange.usdc_of(taker)
    sell = exchange.order(maker, SELL, price=price, quantity=lots)
    exchange.settle_fills((sell, exchange.order(taker, BUY, price=price, quantity=lots), lots))
    fee = notional * 50 // 10_000
    assert (exchange.usdc_of(maker), exchange.usdc_of(taker)) == (
        before[0] + notional - fee,
        before[1] - notional - fee,
    )


@pytest.mark.parametrize("cap", [0, 49])
def test_signed_fee_cap_holds(exchange, maker, taker, cap):
    sell, buy = exchange.order(maker, SELL), exchange.order(taker, BUY, max_fee_bps=cap)
    batch = exchange.batch([(sell, buy, 1)])
    exchange.refuse(batch, "FeeAboveCap", batch.fills[0][1])


def test_buyer_must_afford_the_fee_too(exchange, fund, accounts, maker, pauper):
    notional = 10 * 600_000
    fee = notional * 50 // 10_000
    fund(accounts[6], usdc=notional + fee - 1)
    sell, buy = exchange.order(maker, SELL), exchange.order(pauper, BUY)
    batch = exchange.batch([(sell, buy, 10)])
    exchange.refuse(batch, "InsufficientBalance", [account for account, _ in batch.accounts].index(pauper.address))
    fund(accounts[6], usdc=1)
    exchange.settle_fills((sell, buy, 10))
    assert exchange.usdc_of(pauper) == 0


def test_owner_collects_the_fees_into_a_vault_account(exchange, owner, maker, taker, stranger):
    exchange.settle_fills((exchange.order(maker, SELL), exchange.order(taker, BUY), 10))
    fees = exchange.usdc_of(exchange.engine)
    assert fees == 2 * 30_000
    collect = bytes(exchange.engine.collectFees.encode_input(stranger))
    exchange.expect(collect, "OwnableUnauthorizedAccount", exchange.operator.address)
    receipt = exchange.engine.collectFees(stranger, sender=owner)
    assert [(e.recipient, e.amount) for e in receipt.decode_logs(exchange.engine.FeesCollected)] == [
        (stranger.address, fees)
    ]
    assert (exchange.usdc_of(exchange.engine), exchange.usdc_of(stranger)) == (0, fees)
    exchange.expect(collect, "ZeroAmount", sender=owner)
    nowhere = bytes(exchange.engine.collectFees.encode_input("0x" + "00" * 20))
    exchange.expect(nowhere, "ZeroAddress", sender=owner)
