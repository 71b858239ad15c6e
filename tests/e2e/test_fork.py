"""The whole path on a fork: deposit, orders, messages, settlement, withdrawal, each witnessed by service and chain."""

from __future__ import annotations

import os
from decimal import Decimal

import pytest
import web3
from web3.exceptions import ContractCustomError

from offchain.api.schemas.stream import (
    BalanceMessage,
    DepositMessage,
    DepthSnapshot,
    DepthUpdate,
    FillMessage,
    OrderMessage,
    SettlementMessage,
    TradeMessage,
    WithdrawalMessage,
)
from offchain.client import ApiError
from tests.e2e.chain import BTC, INSTRUMENT, USDC
from tests.e2e.exchange import BASE, PRICE, SYMBOL, Upstream, eventually, listening

UPSTREAMS = ["local_upstream"] + (["mainnet_upstream"] if os.environ.get("ETH_RPC_URL") else [])

WINDOW = 3600


@pytest.fixture(params=UPSTREAMS)
def upstream(request: pytest.FixtureRequest) -> Upstream:
    found: Upstream = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def exchange(create_exchange):
    return create_exchange()


@pytest.fixture
def maker(exchange):
    """New on the fork, with 2 BTC in the wallet."""
    account = exchange.chain.create_account("maker")
    exchange.chain.give(account, base=2 * BTC)
    return account


@pytest.fixture
def taker(exchange):
    """New on the fork, with 100,000 USDC in the wallet."""
    account = exchange.chain.create_account("taker")
    exchange.chain.give(account, usdc=100_000 * USDC)
    return account


async def test_deposits_are_seen_and_credited(exchange, maker, taker):
    with exchange.running():
        async with exchange.clients(maker, taker) as (seller, buyer), listening(buyer, buyer.trader_channel) as heard:
            receipt = exchange.chain.deposit_usdc(taker, 100_000 * USDC)
            exchange.chain.deposit_base(maker, 2 * BTC)
            (deposit,) = await eventually(buyer.deposits, lambda found: found and found[0].status == "credited")
            assert (deposit.asset, deposit.amount, deposit.block) == ("USDC", "100000", receipt["blockNumber"])
            assert deposit.tx_hash == receipt["transactionHash"].to_0x_hex()
            assert (await buyer.balances())["USDC"].available == "100000"
            held = await eventually(seller.balances, lambda found: BASE in found and found[BASE].available == "2")
            assert held[BASE].settled == "2"
            told = await heard.until(DepositMessage, lambda message: message.data.status == "credited")
            assert told.data == deposit
            balance = await heard.until(BalanceMessage, lambda message: message.data.asset == "USDC")
            assert balance.data.available == "100000"
        assert await exchange.differences(maker, taker) == []


async def test_orders_are_matched_published_and_settled(exchange, maker, taker):
    chain = exchange.chain
    chain.deposit_base(maker, 2 * BTC)
    chain.deposit_usdc(taker, 100_000 * USDC)
    with exchange.running():
        async with exchange.clients(maker, taker) as (seller, buyer):
            await exchange.until_indexed(seller)
            depth, trade = f"market.{SYMBOL}.depth", f"market.{SYMBOL}.trade"
            async with listening(seller, trade, depth, seller.trader_channel) as heard:
                resting = await seller.place_limit(SYMBOL, "sell", PRICE, 1)
                other = await seller.place_limit(SYMBOL, "sell", PRICE + 500, "0.2")
                assert (resting.status, other.status) == ("open", "open")
                offered = [("64000", "1"), ("64500", "0.2")]
                await eventually(lambda: buyer.orderbook(SYMBOL), lambda book: book.asks == offered)
                assert (await seller.cancel(other.order_id)).status == "canceled"

                limit = await buyer.place_limit(SYMBOL, "buy", PRICE + 100, "0.4", time_in_force="IOC")
                market = await buyer.place_market(SYMBOL, "buy", "0.1", PRICE + 100)
                ids = [fill.trade_id for fill in (*limit.fills, *market.fills)]
                assert (limit.status, market.status, len(ids)) == ("filled", "filled", 2)
                assert {fill.price for fill in (*limit.fills, *market.fills)} == {"64000"}

                await _check_messages(heard, seller, resting.order_id, other.order_id, ids)
                number = await _check_settlement(exchange, buyer, ids)
                settled = await heard.until(SettlementMessage, lambda message: message.data.state == "settled")
                assert settled.data.batch == 2
                assert number >= 2
        # 0.5 BTC at 64,000 with 50 basis points on each side.
        assert chain.shares_of(maker) == (32_000 - 160) * USDC
        assert chain.shares_of(taker) == (100_000 - 32_000 - 160) * USDC
        assert (chain.balance_of(maker), chain.balance_of(taker)) == (BTC * 3 // 2, BTC // 2)
        assert await exchange.differences(maker, taker) == []


async def _check_messages(heard, seller, resting, canceled, ids):
    trades = [await heard.until(TradeMessage, lambda m, i=i: i in {t.trade_id for t in m.data}) for i in ids]
    assert {trade.side for message in trades for trade in message.data} == {"buy"}
    fills = [await heard.until(FillMessage, lambda m, i=i: m.data.trade_id == i) for i in ids]
    assert [(fill.data.role, fill.data.quantity, fill.data.fee) for fill in fills] == [
        ("maker", "0.4", "128"),
        ("maker", "0.1", "32"),
    ]
    ended = await heard.until(OrderMessage, lambda m: m.data.order_id == canceled and m.data.status == "canceled")
    assert ended.data.filled == "0"
    last = await heard.until(OrderMessage, lambda m: m.data.order_id == resting and m.data.filled == "0.5")
    assert (last.data.status, last.data.remaining) == ("partiallyFilled", "0.5")
    balance = await heard.until(BalanceMessage, lambda m: m.data.asset == BASE and m.data.reserved == "0.5")
    assert Decimal(balance.data.settled) + Decimal(balance.data.unsettled) == Decimal("1.5")
    assert heard.of(DepthSnapshot)
    # The client checks every checksum; a message that does not fit would have led to another snapshot.
    assert len(heard.of(DepthSnapshot)) == 1
    update = await heard.until(DepthUpdate, lambda m: ("64000", "0.5") in m.data.asks)
    book = await seller.orderbook(SYMBOL)
    assert (book.asks, book.checksum) == ([("64000", "0.5")], update.data.checksum)


async def _check_settlement(exchange, buyer, ids):
    """The fills are on chain, in order, in the transactions that the service names; the first batch's number."""
    page = await eventually(
        buyer.fills, lambda found: {fill.settlement.state for fill in found.fills} <= {"settled", "confirmed"}
    )
    fills = {fill.trade_id: fill.settlement for fill in page.fills}
    assert list(reversed(fills)) == ids
    receipts = [exchange.chain.receipt(tx_hash) for tx_hash in dict.fromkeys(fills[i].tx_hash for i in ids)]
    assert all(receipt["status"] == 1 for receipt in receipts)
    assert {receipt["to"] for receipt in receipts} == {exchange.chain.engine.address}
    assert [fill for receipt in receipts for fill in exchange.chain.fills_in(receipt)] == ids
    return fills[ids[0]].batch


async def test_withdrawals_are_released_by_the_operator(exchange, maker, taker):
    chain = exchange.chain
    chain.deposit_base(maker, 2 * BTC)
    chain.deposit_usdc(taker, 100_000 * USDC)
    with exchange.running() as service:
        async with exchange.clients(maker, taker) as (seller, buyer):
            await exchange.until_indexed(buyer)
            order = await buyer.place_limit(SYMBOL, "buy", 60_000, 1)
            async with listening(buyer, buyer.trader_channel) as heard:
                with service.paused("worker"):
                    chain.send(taker, chain.vault.functions.withdraw(50_000 * USDC, False))
                    chain.send(maker, chain.queue.functions.request(INSTRUMENT, chain.base, BTC // 2))
                states = ("requested", "releasing", "settled")
                told = [await heard.until(WithdrawalMessage, lambda m, s=s: m.data.status == s) for s in states]
                assert [message.data.amount for message in told] == ["50000"] * 3
                held = await heard.until(BalanceMessage, lambda m: m.data.held == "50000")
                assert held.data.settled == "100000"
                ended = await heard.until(OrderMessage, lambda m: m.data.order_id == order.order_id)
                assert (ended.data.status, ended.data.code) == ("canceled", "withdrawal")
            (withdrawal,) = await eventually(
                buyer.withdrawals, lambda found: [one.status for one in found] == ["settled"]
            )
            receipt = chain.receipt(withdrawal.tx_hash)
            assert (receipt["status"], receipt["from"]) == (1, exchange.roles.operator.address)
            await eventually(seller.withdrawals, lambda found: [one.status for one in found] == ["settled"])
            assert chain.usdc.functions.balanceOf(taker.address).call() == 50_000 * USDC
            assert chain.synth.functions.balanceOf(maker.address).call() == BTC // 2
            assert (await buyer.balances())["USDC"].available == "50000"
            assert (await seller.balances())[BASE].available == "1.5"
        assert await exchange.differences(maker, taker) == []


async def test_withdrawal_is_settled_by_anyone_once_the_window_has_passed(exchange, taker):
    chain = exchange.chain
    stranger = chain.create_account("stranger")
    chain.deposit_usdc(taker, 100_000 * USDC)
    settle = chain.queue.functions.settle(taker.address, 0, 0)
    with exchange.running() as service:
        async with exchange.clients(taker) as (buyer,):
            await exchange.until_indexed(buyer)
            with service.paused("worker"):
                chain.send(taker, chain.vault.functions.withdraw(30_000 * USDC, False))
                chain.pass_time(WINDOW - 10)
                with pytest.raises(ContractCustomError) as refused:
                    settle.call()
                assert str(refused.value.data).startswith(web3.Web3.keccak(text="WindowOpen(uint40)")[:4].to_0x_hex())
                chain.pass_time(10)
                receipt = chain.send(stranger, settle)
                assert chain.usdc.functions.balanceOf(taker.address).call() == 30_000 * USDC
                assert (await buyer.balances())["USDC"].available == "100000", "nobody has told the core"
            (withdrawal,) = await eventually(
                buyer.withdrawals, lambda found: [one.status for one in found] == ["settled"]
            )
            assert (withdrawal.amount, withdrawal.tx_hash) == ("30000", receipt["transactionHash"].to_0x_hex())
            assert (await buyer.balances())["USDC"].available == "70000"
            with pytest.raises(ApiError, match="insufficientBalance"):
                await buyer.place_limit(SYMBOL, "buy", 60_000, 2)
        assert await exchange.differences(taker) == []
