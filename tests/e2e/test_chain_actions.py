"""What traders and the owner do on chain alone: the service reacts before it takes effect there.

The chain's clock is set back for a request and forward again, so that its window has passed while ours has not.
"""

from __future__ import annotations

import time

import pytest
from eth_account import Account

from offchain.client import ApiError
from tests.e2e.chain import USDC
from tests.e2e.exchange import PRICE, SYMBOL, create_order, create_signer, eventually, post

WINDOW = 3_600
CXPT_REDEEM, USDC_AS_CXPT = 3, 1
"""IWithdrawalQueue.Kind"""


@pytest.fixture
def exchange(create_exchange):
    return create_exchange(is_new=True)


def set_back(chain):
    """One window and a bit ago."""
    chain.set_time(int(time.time()) - WINDOW - 10)


def set_forward(chain):
    chain.set_time(int(time.time()))


async def trade(maker, taker, quantity="0.1"):
    assert (await maker.place_limit(SYMBOL, "sell", PRICE, quantity)).status == "open"
    assert (await taker.place_market(SYMBOL, "buy", quantity, PRICE)).status == "filled"


async def test_cancel_of_a_nonce_key(exchange):
    chain, roles = exchange.chain, exchange.roles
    with exchange.running():
        async with exchange.clients() as (maker, taker):
            await exchange.until_indexed(maker)
            signer = await create_signer(exchange, roles.maker)
            placed = await post(exchange, create_order(signer, "sell", PRICE, "0.5", key=7, sequence=3))
            assert placed.status == 201
            set_back(chain)
            chain.send(roles.maker, chain.control.functions.requestCancel(chain.base, 7, 3))
            await exchange.until_indexed(maker)
            order = await maker.order(placed.body["orderId"])
            assert (order.status, order.code) == ("canceled", "canceledOnChain")
            refused = await post(exchange, create_order(signer, "sell", PRICE, "0.4", key=7, sequence=3))
            assert (refused.status, refused.body["code"]) == (409, "nonceReused")
            refused = await post(exchange, create_order(signer, "sell", PRICE, "0.4", key=7, sequence=2))
            assert (refused.status, refused.body["code"]) == (409, "staleNonce")

            set_forward(chain)
            chain.send(roles.taker, chain.control.functions.applyCancel(roles.maker.address, chain.base, 7))
            assert chain.engine.functions.orderState(roles.maker.address, chain.base, 7).call() == [4, 0]
            fresh = await post(exchange, create_order(signer, "sell", PRICE, "0.5", key=7, sequence=4))
            assert fresh.status == 201
            assert (await taker.place_market(SYMBOL, "buy", "0.2", PRICE)).status == "filled"
            await exchange.until_settled(taker)
            assert chain.last_batch() == 1
            assert await exchange.differences() == []


async def test_end_of_an_epoch(exchange):
    chain, roles = exchange.chain, exchange.roles
    with exchange.running():
        async with exchange.clients() as (maker, taker):
            await exchange.until_indexed(maker)
            resting = await maker.place_limit(SYMBOL, "sell", PRICE, "0.5")
            set_back(chain)
            chain.send(roles.maker, chain.vault.functions.requestEpochBump())
            await exchange.until_indexed(maker)
            order = await maker.order(resting.order_id)
            assert (order.status, order.code) == ("canceled", "canceledOnChain")
            assert (await maker.account_state()).epoch_bump_pending
            with pytest.raises(ApiError, match="epochBumpPending"):
                await maker.place_limit(SYMBOL, "sell", PRICE, "0.5")

            set_forward(chain)
            chain.send(roles.taker, chain.vault.functions.applyEpochBump(roles.maker.address))
            state = await eventually(maker.account_state, lambda state: not state.epoch_bump_pending)
            assert state.epoch == chain.vault.functions.epochOf(roles.maker.address).call() == 1
            await trade(maker, taker)
            await exchange.until_settled(taker)
            assert chain.last_batch() == 1
            assert await exchange.differences() == []


async def test_delegate_trades_until_its_time_ends(exchange):
    chain, roles = exchange.chain, exchange.roles
    delegate = Account.create()
    with exchange.running():
        async with exchange.clients() as (maker, taker):
            await exchange.until_indexed(maker)
            signer = await create_signer(exchange, delegate)
            signer.account = bytes.fromhex(roles.maker.address[2:])
            orders = [create_order(signer, "sell", PRICE, "0.5", key=7, sequence=number) for number in (1, 2)]
            refused = await post(exchange, orders[0])
            assert (refused.status, refused.body["code"]) == (403, "signerMismatch")

            until = int(time.time()) + 8
            chain.send(roles.maker, chain.control.functions.setDelegate(delegate.address, until))
            state = await eventually(maker.account_state, lambda state: state.delegates)
            assert [(one.delegate, one.valid_until) for one in state.delegates] == [(delegate.address.lower(), until)]
            placed = await eventually(lambda: post(exchange, orders[0]), lambda answer: answer.status == 201)
            assert (await taker.place_market(SYMBOL, "buy", "0.2", PRICE)).status == "filled"
            order_id = placed.body["orderId"]
            ended = await eventually(lambda: maker.order(order_id), lambda order: order.status == "canceled")
            assert (ended.code, ended.filled) == ("delegateEnded", "0.2")
            assert time.time() > until
            refused = await post(exchange, orders[1])
            assert (refused.status, refused.body["code"]) == (403, "signerMismatch")
            await exchange.until_settled(taker)
            assert chain.last_batch() == 1
            assert await exchange.differences() == []


async def test_change_of_the_fee(exchange):
    chain, roles = exchange.chain, exchange.roles
    set_back(chain)
    change = int(time.time()) + 12
    chain.set_time(change - WINDOW - 2)
    chain.send(roles.owner, chain.engine.functions.scheduleFee(10, change))
    set_forward(chain)
    with exchange.running(BATCH_SECONDS="30"):
        async with exchange.clients() as (maker, taker):
            await exchange.until_indexed(maker)
            announced = (await maker.markets(refresh=True)).fee_change
            assert announced is not None
            assert (announced.fee_bps, announced.at) == (10, change * 1000)
            await trade(maker, taker)
            await eventually(lambda: maker.markets(refresh=True), lambda markets: markets.fee_bps == 10)
            await trade(maker, taker)
            before, after = reversed((await taker.fills()).fills)
            assert (before.fee, after.fee) == ("32", "6.4")
            await eventually(lambda: seen(chain), lambda number: number >= 1)
    # A stop settles the rest at once: the fills around the change are two batches.
    assert chain.last_batch() == 2
    assert chain.engine.functions.lastBatch().call()[1] >= change
    with exchange.running():
        async with exchange.clients() as (maker, _):
            await exchange.until_indexed(maker)
            assert (await maker.markets()).fee_bps == 10
            assert await exchange.differences() == []


async def seen(chain):
    return chain.last_batch()


async def test_usdc_becomes_cxpt_and_fees_come_back(exchange):
    chain, roles = exchange.chain, exchange.roles
    cxpt = chain.deploy_cxpt(roles.owner)
    maker_address = roles.maker.address
    chain.send(roles.owner, chain.vault.functions.setRebateTiers([(1_000 * USDC, 2_500)]))
    with exchange.running():
        async with exchange.clients() as (maker, taker):
            await exchange.until_indexed(maker)
            await trade(maker, taker)
            await exchange.until_settled(taker)
            set_back(chain)
            chain.send(roles.maker, chain.vault.functions.withdraw(2_000 * USDC, True))
            await exchange.until_indexed(maker)
            assert (await maker.balances())["USDC"].held == "2000"
            set_forward(chain)
            settle = chain.queue.functions.settle(maker_address, USDC_AS_CXPT, 0)
            chain.send(roles.taker, settle)
            assert cxpt.functions.balanceOf(maker_address).call() == 2_000 * USDC

            fees = chain.vault.functions.feesPaidOf(maker_address).call()
            assert fees == 32 * USDC
            chain.send(roles.maker, chain.vault.functions.claimRebate(maker_address))
            deposits = await eventually(maker.deposits, lambda deposits: deposits[0].amount == "8")
            assert deposits[0].status == "credited"

            chain.send(roles.maker, cxpt.functions.approve(chain.engine.address, 500 * USDC))
            instrument = chain.registry.functions.assetId(cxpt.address).call()
            chain.send(roles.maker, chain.engine.functions.deposit(instrument, 500 * USDC))
            chain.send(roles.maker, chain.queue.functions.request(CXPT_REDEEM, 0, 1_000 * USDC))
            await exchange.until_indexed(maker)
            balances = await maker.balances()
            assert (balances["CXPT"].available, balances["USDC"].held) == ("500", "0")
            assert balances["USDC"].settled == str(chain.shares_of(roles.maker) / USDC).removesuffix(".0")
            assert await exchange.differences() == []


async def test_deposit_with_permit_and_signed_withdrawal(exchange):
    chain = exchange.chain
    trader, sponsor = chain.create_account("trader"), exchange.roles.taker
    chain.give(trader, usdc=500 * USDC)
    with exchange.running():
        async with exchange.clients(trader) as (client,):
            await exchange.until_indexed(client)
            permit = sign_permit(chain, trader, 500 * USDC)
            chain.send(trader, chain.vault.functions.depositWithPermit(500 * USDC, trader.address, *permit))
            await eventually(client.balances, lambda balances: "USDC" in balances)
            assert (await client.balances())["USDC"].available == "500"

            request = sign_withdrawal(chain, trader, 200 * USDC)
            chain.send(sponsor, chain.queue.functions.requestBySig(trader.address, *request))
            await eventually(client.withdrawals, lambda withdrawals: withdrawals and withdrawals[0].status == "settled")
            assert (await client.balances())["USDC"].available == "300"
            assert chain.usdc.functions.balanceOf(trader.address).call() == 200 * USDC
            assert await exchange.differences(trader) == []


def sign_permit(chain, trader, amount):
    deadline = 2**40
    domain = {
        "name": chain.usdc.functions.name().call(),
        "version": chain.usdc.functions.eip712Domain().call()[2],
        "chainId": 31337,
        "verifyingContract": chain.usdc.address,
    }
    fields = ("owner address", "spender address", "value uint256", "nonce uint256", "deadline uint256")
    values = (trader.address, chain.vault.address, amount, chain.usdc.functions.nonces(trader.address).call(), deadline)
    signed = sign(trader, domain, "Permit", fields, values)
    return deadline, signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")


def sign_withdrawal(chain, trader, amount):
    """What follows the account in requestBySig."""
    domain = {"name": "OrderBookDEX", "version": "1", "chainId": 31337, "verifyingContract": chain.engine.address}
    fields = ("account address", "kind uint8", "instrument uint32", "amount uint256", "nonce uint64", "expiry uint64")
    values = (0, 0, amount, 0, 2**40)
    signed = sign(trader, domain, "Withdraw", fields, (trader.address, *values))
    vs = signed.s | (signed.v - 27) << 255
    return *values, signed.r.to_bytes(32, "big"), vs.to_bytes(32, "big")


def sign(trader, domain, name, fields, values):
    types = [dict(zip(("name", "type"), field.split(), strict=True)) for field in fields]
    message = {field["name"]: value for field, value in zip(types, values, strict=True)}
    return trader.sign_typed_data(domain, {name: types}, message)
