"""What a settled batch does: balances, order state, fill ids, events. Both forms do the same."""

import pytest

from tests.functional.engine.conftest import BTC_BALANCE, USDC_BALANCE
from tests.functional.engine.exchange import BTC_LOT, ETH_LOT, FORMS
from tests.utils.batches import BUY, GTD, NOTHING_SIGNED, SELL, nonce


@pytest.mark.parametrize("form", FORMS)
def test_fill_moves_exactly_what_was_traded(exchange, maker, taker, form):
    sell = exchange.order(maker, SELL, price=600_000, quantity=100)
    buy = exchange.order(taker, BUY, price=600_000, quantity=100)
    batch = exchange.batch([(sell, buy, 40)])
    receipt = exchange.settle(batch, form)

    notional = 40 * 600_000
    fee = notional * 50 // 10_000
    assert exchange.usdc_of(maker) == USDC_BALANCE + notional - fee
    assert exchange.usdc_of(taker) == USDC_BALANCE - notional - fee
    assert exchange.usdc_of(exchange.engine) == 2 * fee
    assert exchange.base_of(maker) == BTC_BALANCE - 40 * BTC_LOT
    assert exchange.base_of(taker) == BTC_BALANCE + 40 * BTC_LOT
    assert exchange.state_of(sell) == exchange.state_of(buy) == (1, 40)
    assert exchange.fill_ids(receipt) == [exchange.fill_id(sell, buy)]
    assert exchange.engine.lastBatch() == (batch.number, batch.matched_at)
    settled = list(receipt.decode_logs(exchange.engine.BatchSettled))
    assert [(e.number, e.matchedAt, e.fills) for e in settled] == [(batch.number, batch.matched_at, 1)]


@pytest.mark.parametrize("form", FORMS)
def test_trade_is_at_the_makers_price(exchange, maker, taker, form):
    bid = exchange.order(maker, BUY, price=700_000)
    cheap_ask = exchange.order(taker, SELL, price=500_000)
    exchange.settle_fills((bid, cheap_ask, 10), form=form)
    notional = 10 * 700_000
    fee = notional * 50 // 10_000
    assert exchange.usdc_of(taker) == USDC_BALANCE + notional - fee
    assert exchange.usdc_of(maker) == USDC_BALANCE - notional - fee
    assert exchange.base_of(maker) == BTC_BALANCE + 10 * BTC_LOT


@pytest.mark.parametrize("form", FORMS)
def test_one_order_against_several_in_match_order(exchange, maker, taker, third, form):
    first = exchange.order(maker, SELL, price=600_000, quantity=30)
    second = exchange.order(third, SELL, price=610_000, quantity=100)
    buy = exchange.order(taker, BUY, price=620_000, quantity=90)
    receipt = exchange.settle_fills((first, buy, 30), (second, buy, 20), (second, buy, 40), form=form)
    assert exchange.fill_ids(receipt) == [
        exchange.fill_id(first, buy, 0, 0),
        exchange.fill_id(second, buy, 0, 30),
        exchange.fill_id(second, buy, 20, 50),
    ]
    notionals = [30 * 600_000, 20 * 610_000, 40 * 610_000]
    fees = [notional * 50 // 10_000 for notional in notionals]
    assert exchange.usdc_of(taker) == USDC_BALANCE - sum(notionals) - sum(fees)
    assert exchange.usdc_of(third) == USDC_BALANCE + sum(notionals[1:]) - sum(fees[1:])
    assert exchange.usdc_of(exchange.engine) == 2 * sum(fees)
    assert [exchange.state_of(order) for order in (first, second, buy)] == [(1, 30), (1, 60), (1, 90)]


def test_remainder_of_a_resting_order_goes_on_in_later_batches(exchange, maker, taker):
    sell = exchange.order(maker, SELL, quantity=100)
    buys = [exchange.order(taker, BUY, nonce=nonce(0, sequence)) for sequence in (1, 2, 3)]
    exchange.settle_fills((sell, buys[0], 60))
    receipt = exchange.settle_fills((sell, buys[1], 30))
    assert exchange.fill_ids(receipt) == [exchange.fill_id(sell, buys[1], 60, 0)]
    exchange.refuse(exchange.batch([(sell, buys[2], 11)]), "Overfill", 0, 0 if maker.address < taker.address else 1)
    exchange.settle_fills((sell, buys[2], 10))
    assert exchange.state_of(sell) == (1, 100)
    exchange.refuse(exchange.batch([(sell, buys[2], 1)]), "Overfill", 0, 0 if maker.address < taker.address else 1)


@pytest.mark.parametrize("form", FORMS)
def test_two_markets_in_one_batch(exchange, maker, taker, form):
    eth = {"market": exchange.eth_market, "instrument": exchange.eth, "price": 3_000_000}
    fills = [
        (exchange.order(maker, SELL), exchange.order(taker, BUY), 100),
        (exchange.order(taker, SELL, **eth), exchange.order(maker, BUY, **eth), 7),
    ]
    before = [exchange.base_of(account, exchange.eth) for account in (maker, taker)]
    receipt = exchange.settle_fills(*fills, form=form)
    after = [exchange.base_of(account, exchange.eth) for account in (maker, taker)]
    assert after == [before[0] + 7 * ETH_LOT, before[1] - 7 * ETH_LOT]
    assert exchange.base_of(maker) == BTC_BALANCE - 100 * BTC_LOT
    assert exchange.fill_ids(receipt) == [exchange.fill_id(*orders) for *orders, _ in fills]


def test_both_forms_leave_the_same_storage(exchange, chain, maker, taker, third):
    fills = [
        (exchange.order(maker, SELL, nonce=nonce(5, 3)), exchange.order(taker, BUY, nonce=nonce(6, 9)), 33),
        (exchange.order(third, SELL, expiry=2**40 - 1, time_in_force=GTD), exchange.order(taker, BUY), 44),
    ]
    batch = exchange.batch(fills)
    outcomes = []
    for form in FORMS:
        snapshot = chain.snapshot()
        receipt = exchange.settle(batch, form)
        traders = (maker, taker, third)
        outcomes.append(
            (
                exchange.fill_ids(receipt),
                [exchange.usdc_of(trader) for trader in traders],
                [exchange.base_of(trader) for trader in traders],
                [exchange.state_of(order) for *orders, _ in fills for order in orders],
                exchange.engine.lastBatch(),
            )
        )
        chain.restore(snapshot)
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][3] == [(3, 33), (9, 33), (1, 44), (1, 44)]


def test_balances_net_within_a_batch(exchange, pauper, maker, taker):
    """Who has nothing may buy and sell in one batch, as long as nothing is owed at its end."""
    receive = exchange.order(pauper, BUY, nonce=nonce(0, 1), price=600_000, quantity=10)
    pass_on = exchange.order(pauper, SELL, nonce=nonce(1, 1), price=700_000, quantity=10)
    exchange.settle_fills(
        (exchange.order(maker, SELL, price=600_000), receive, 10),
        (exchange.order(taker, BUY, price=700_000), pass_on, 10),
    )
    assert exchange.usdc_of(pauper) == 10 * 100_000 - 10 * 600_000 * 50 // 10_000 - 10 * 700_000 * 50 // 10_000
    assert exchange.base_of(pauper) == 0


def test_orders_without_a_fill_change_nothing(exchange, maker, taker, third):
    idle = [exchange.order(third, BUY, nonce=nonce(key, 7)) for key in (0, 3)]
    stored = exchange.order(maker, SELL, nonce=nonce(0, 1))
    newer = exchange.order(maker, SELL, nonce=nonce(0, 2))
    exchange.settle(exchange.batch([(stored, exchange.order(taker, BUY), 5)], idle=[*idle, newer]))
    assert [exchange.state_of(order) for order in idle] == [(0, 0), (0, 0)]
    assert exchange.state_of(newer) == (1, 5)
    assert (exchange.usdc_of(third), exchange.base_of(third)) == (USDC_BALANCE, BTC_BALANCE)


def test_account_that_signed_nothing_may_be_listed(exchange, maker, taker, third):
    batch = exchange.batch([(exchange.order(maker, SELL), exchange.order(taker, BUY), 5)], idle=[exchange.order(third)])
    index = [account for account, _ in batch.accounts].index(third.address)
    position = [account for account, _ in batch.positions].index(index)
    order = [entry.position for entry in batch.orders].index(position)
    batch.accounts[index] = (third.address, NOTHING_SIGNED)
    exchange.refuse(batch, "EpochExhausted", order)


def test_more_than_was_deposited_cannot_be_sold_or_spent(exchange, maker, taker, pauper):
    batch = exchange.batch([(exchange.order(pauper, SELL), exchange.order(taker, BUY), 1)])
    exchange.refuse(batch, "BalanceTooLow", [account for account, _ in batch.accounts].index(pauper.address))
    batch = exchange.batch([(exchange.order(maker, SELL), exchange.order(pauper, BUY), 1)])
    exchange.refuse(batch, "InsufficientBalance", [account for account, _ in batch.accounts].index(pauper.address))


def test_exactly_what_was_deposited_can_be_sold(exchange, maker, taker):
    lots = BTC_BALANCE // BTC_LOT
    sells = exchange.order(maker, SELL, price=1, quantity=lots + 1)
    buys = exchange.order(taker, BUY, price=1, quantity=lots + 1)
    batch = exchange.batch([(sells, buys, lots + 1)])
    exchange.refuse(batch, "BalanceTooLow", [account for account, _ in batch.accounts].index(maker.address))
    exchange.settle_fills((sells, buys, lots))
    assert exchange.base_of(maker) == 0


def test_conservation(exchange, maker, taker, third):
    traders = (maker, taker, third)
    base = sum(exchange.base_of(trader) for trader in traders)
    usdc = sum(exchange.usdc_of(trader) for trader in traders)
    orders = {
        trader.address: (
            exchange.order(trader, SELL, price=611_111 + 7 * i, nonce=nonce(2 * i, 4), quantity=1_000),
            exchange.order(trader, BUY, price=777_777, nonce=nonce(2 * i + 1, 4), quantity=1_000),
        )
        for i, trader in enumerate(traders)
    }
    fills = [
        (orders[a.address][0], orders[b.address][1], 13 + i)
        for i, (a, b) in enumerate([(maker, taker), (taker, third), (third, maker), (maker, third)])
    ]
    exchange.settle_fills(*fills)
    assert sum(exchange.base_of(trader) for trader in traders) == base
    assert sum(exchange.usdc_of(trader) for trader in (*traders, exchange.engine)) == usdc
    held, owed = exchange.vault.solvency()
    assert held >= owed
    assert exchange.btc_synth.balanceOf(exchange.engine) >= base
