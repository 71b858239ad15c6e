"""What traders sign and the service brings to the chain: they talk to the service only, and have no ether."""

from __future__ import annotations

import time

import aiohttp
import pytest
from eth_account import Account

from offchain.api.schemas.stream import ActionMessage
from offchain.chain import eip712
from offchain.client import ApiError, Client
from scripts._lib.anvil import rpc
from tests.e2e.chain import BTC, USDC
from tests.e2e.exchange import BASE, PRICE, SYMBOL, create_order, create_signer, eventually, listening, post

WINDOW = 3_600


@pytest.fixture
def exchange(create_exchange):
    return create_exchange(is_new=True)


async def until_ended(client, action_id):
    pending = ("requested", "sent")
    return await eventually(lambda: client.action(action_id), lambda action: action.status not in pending)


async def ask(exchange, path, body):
    async with aiohttp.ClientSession() as session, session.post(exchange.url + path, json=body) as response:
        return response.status, await response.json()


async def test_withdrawals_arrive(exchange):
    chain, roles = exchange.chain, exchange.roles
    rpc(chain.url, "anvil_setBalance", roles.maker.address, "0x0")
    wallet = chain.usdc.functions.balanceOf(roles.maker.address).call()
    with exchange.running():
        async with exchange.clients() as (maker, _):
            await exchange.until_indexed(maker)
            async with listening(maker, maker.trader_channel) as heard:
                usdc = await maker.withdraw("USDC", "1234.5")
                base = await maker.withdraw(BASE, "0.25")
                assert [usdc.status, base.status] == ["requested", "requested"]
                await heard.until(ActionMessage, lambda message: message.data.status == "sent")
                await heard.until(ActionMessage, lambda message: message.data.status == "settled")
            ended = [await until_ended(maker, one.action_id) for one in (usdc, base)]
            assert [(one.status, one.asset, one.amount, one.nonce) for one in ended] == [
                ("settled", "USDC", "1234.5", "0"),
                ("settled", BASE, "0.25", "1"),
            ]
            assert chain.receipt(ended[0].tx_hash)["from"] == roles.operator.address
            found = await eventually(maker.withdrawals, lambda found: {one.status for one in found} == {"settled"})
            assert {(one.asset, one.amount) for one in found} == {("USDC", "1234.5"), (BASE, "0.25")}
            assert chain.usdc.functions.balanceOf(roles.maker.address).call() - wallet == 1_234_500_000
            assert chain.synth.functions.balanceOf(roles.maker.address).call() == BTC // 4
            assert [one.action_id for one in (await maker.actions()).actions] == [base.action_id, usdc.action_id]
            assert (await maker.account_state()).withdrawal_nonce == "2"
            assert await exchange.differences() == []


async def test_usdc_arrives_as_cxpt(exchange):
    """The window passes on the chain's clock, which is set back for the request."""
    chain, roles = exchange.chain, exchange.roles
    cxpt = chain.deploy_cxpt(roles.owner)
    with exchange.running(PAYOUT_POLL_SECONDS="0.1"):
        async with exchange.clients() as (maker, _):
            await exchange.until_indexed(maker)
            chain.set_time(int(time.time()) - WINDOW - 10)
            state = await maker.withdraw("USDC", 2_000, as_cxpt=True)
            assert (await until_ended(maker, state.action_id)).status == "settled"
            await eventually(maker.balances, lambda balances: balances["USDC"].held == "2000")
            assert cxpt.functions.balanceOf(roles.maker.address).call() == 0
            chain.set_time(int(time.time()))
            found = await eventually(maker.withdrawals, lambda found: found[0].status == "settled")
            assert (found[0].as_cxpt, found[0].amount) == (True, "2000")
            assert cxpt.functions.balanceOf(roles.maker.address).call() == 2_000 * USDC
            kinds = [one.kind for one in (await maker.actions()).actions]
            assert kinds == ["settleWithdrawal", "withdrawal"]
            assert await exchange.differences() == []


async def test_a_cancel_is_seen_on_chain_when_all_fills_have_settled(exchange):
    chain, roles = exchange.chain, exchange.roles
    with exchange.running():
        async with exchange.clients() as (maker, taker):
            await exchange.until_indexed(maker)
            signer = await create_signer(exchange, roles.maker)
            order = create_order(signer, "sell", PRICE, "0.5", key=7, sequence=3)
            order_id = (await post(exchange, order)).body["orderId"]
            assert (await taker.place_market(SYMBOL, "buy", "0.2", PRICE)).status == "filled"
            state = await maker.cancel_on_chain(order_id)
            canceled = await maker.order(order_id)
            assert (canceled.status, canceled.code, canceled.filled) == ("canceled", "user", "0.2")
            assert (await until_ended(maker, state.action_id)).status == "settled"
            assert chain.engine.functions.orderState(roles.maker.address, chain.base, 7).call() == [4, 0]
            await exchange.until_settled(taker)
            (fill,) = (await taker.fills()).fills
            assert (fill.quantity, fill.settlement.state) == ("0.2", "confirmed")
            again = await maker.cancel_on_chain(order_id)
            assert (again.status, again.action_id) == ("settled", state.action_id)
            late = create_order(signer, "sell", PRICE, "0.4", key=7, sequence=2)
            assert (await post(exchange, late)).body["code"] == "staleNonce"
            fresh = create_order(signer, "sell", PRICE, "0.5", key=7, sequence=4)
            assert (await post(exchange, fresh)).status == 201
            assert (await taker.place_market(SYMBOL, "buy", "0.1", PRICE)).status == "filled"
            await exchange.until_settled(taker)
            assert await exchange.differences() == []


async def test_the_end_of_an_epoch(exchange):
    chain, roles = exchange.chain, exchange.roles
    with exchange.running():
        async with exchange.clients() as (maker, taker):
            await exchange.until_indexed(maker)
            resting = [await maker.place_limit(SYMBOL, "sell", PRICE + number, "0.5") for number in range(2)]
            assert (await taker.place_market(SYMBOL, "buy", "0.1", PRICE)).status == "filled"
            state = await maker.cancel_all_on_chain()
            assert [(await maker.order(one.order_id)).status for one in resting] == ["canceled", "canceled"]
            assert (await until_ended(maker, state.action_id)).status == "settled"
            account = await eventually(maker.account_state, lambda account: not account.epoch_bump_pending)
            assert account.epoch == chain.vault.functions.epochOf(roles.maker.address).call() == 1
            assert (await maker.place_limit(SYMBOL, "sell", PRICE, "0.5")).status == "open"
            assert (await taker.place_market(SYMBOL, "buy", "0.5", PRICE)).status == "filled"
            await exchange.until_settled(taker)
            assert await exchange.differences() == []


async def test_a_delegate_set_by_signature_trades(exchange):
    chain, roles = exchange.chain, exchange.roles
    delegate = Account.create()
    with exchange.running():
        async with exchange.clients() as (maker, taker):
            await exchange.until_indexed(maker)
            until = int(time.time()) + 86_400
            state = await maker.set_delegate(delegate.address, until)
            assert (await until_ended(maker, state.action_id)).status == "settled"
            assert chain.control.functions.delegateUntil(roles.maker.address, delegate.address).call() == until
            signer = await create_signer(exchange, delegate)
            signer.account = bytes.fromhex(roles.maker.address[2:])
            order = create_order(signer, "sell", PRICE, "0.5", key=7)
            await eventually(lambda: post(exchange, order), lambda answer: answer.status == 201)
            assert (await taker.place_market(SYMBOL, "buy", "0.5", PRICE)).status == "filled"
            await exchange.until_settled(taker)
            assert chain.last_batch() == 1
            assert (await maker.account_state()).delegate_nonce == "1"
            assert await exchange.differences() == []


async def test_a_worker_that_is_killed_between_sending_and_receipt(exchange):
    chain, roles = exchange.chain, exchange.roles
    with exchange.running() as service:
        async with exchange.clients() as (maker, _):
            await exchange.until_indexed(maker)
            before = int(rpc(chain.url, "eth_getTransactionCount", roles.operator.address, "latest"), 16)
            chain.hold_transactions()
            state = await maker.withdraw("USDC", "100")
            sent = await eventually(lambda: maker.action(state.action_id), lambda one: one.status == "sent")
            service.kill_and_wait("worker")
            assert (await maker.action(state.action_id)).tx_hash == sent.tx_hash
            chain.release_transactions()
            ended = await until_ended(maker, state.action_id)
            assert (ended.status, ended.tx_hash) == ("settled", sent.tx_hash)
            await eventually(maker.withdrawals, lambda found: found and found[0].status == "settled")
            # The request and its release.
            after = int(rpc(chain.url, "eth_getTransactionCount", roles.operator.address, "latest"), 16)
            assert after - before == 2
            assert await exchange.differences() == []


async def test_what_is_wrong_gets_its_documented_answer(exchange):
    roles = exchange.roles
    with exchange.running():
        async with exchange.clients() as (maker, taker):
            await exchange.until_indexed(maker)
            signer, other = [await create_signer(exchange, one) for one in (roles.maker, roles.taker)]
            usdc = (await maker.markets()).assets[0]
            later = int(time.time()) + WINDOW

            def body(of=signer, nonce=0, expiry=later, **changes):
                signed = of.withdrawal(usdc, "10", as_cxpt=False, nonce=nonce, expiry=expiry)
                return (
                    {"account": signer_address, "asset": "USDC", "amount": "10"}
                    | {
                        "nonce": str(nonce),
                        "expiry": expiry,
                        "signature": signed.signature,
                    }
                    | changes
                )

            signer_address = "0x" + signer.account.hex()

            async def refusal(request):
                status, problem = await ask(exchange, "/v1/vault/withdraw", request)
                return status, problem["code"], problem["param"]

            assert await refusal(body(signature="0x" + "11" * 64)) in (
                (400, "invalidSignature", "signature"),
                (403, "signerMismatch", "signature"),
            )
            assert await refusal(body(other)) == (403, "signerMismatch", "signature")
            assert await refusal(body(expiry=int(time.time()) - 1)) == (422, "actionExpired", "expiry")
            assert await refusal(body(nonce=1)) == (422, "invalidNonce", "nonce")
            status, state = await ask(exchange, "/v1/vault/withdraw", body())
            assert status == 202
            assert (await until_ended(maker, state["actionId"])).status == "settled"
            assert await ask(exchange, "/v1/vault/withdraw", body()) == (
                200,
                state | {"status": "settled", "txHash": (await maker.action(state["actionId"])).tx_hash},
            )
            used = body() | {"amount": "10.0"}
            assert (await ask(exchange, "/v1/vault/withdraw", used))[0] == 200
            assert await refusal(body(expiry=later + 1)) == (409, "staleNonce", "nonce")
            with pytest.raises(ApiError, match="unknownAction"):
                await taker.action("0x" + "11" * 32)
            stranger = Account.create()
            async with Client(exchange.url, bytes(stranger.key)) as newcomer:
                with pytest.raises(ApiError, match="accountNotFunded"):
                    await newcomer.withdraw("USDC", 1)


async def test_what_the_contract_refuses_ends_with_its_error(exchange):
    """Somebody else brings the signature to the chain first."""
    chain, roles = exchange.chain, exchange.roles
    with exchange.running(STUCK_SECONDS="1"):
        async with exchange.clients() as (maker, _):
            await exchange.until_indexed(maker)
            signer = await create_signer(exchange, roles.maker)
            terms = (0, 0, 7 * USDC, 0, int(time.time()) + WINDOW)
            digest = eip712.withdraw_digest(signer.domain, signer.account, *terms)
            signature = eip712.sign(digest, bytes(roles.maker.key))
            chain.hold_transactions()
            state = await maker.withdraw("USDC", "5")
            sent = await eventually(lambda: maker.action(state.action_id), lambda one: one.status == "sent")
            rpc(chain.url, "anvil_dropTransaction", sent.tx_hash)
            chain.release_transactions()
            request = chain.queue.functions.requestBySig(roles.maker.address, *terms, signature[:32], signature[32:])
            chain.send(roles.taker, request)
            ended = await eventually(
                lambda: maker.action(state.action_id), lambda one: one.status not in ("requested", "sent")
            )
            assert (ended.status, ended.reason) == ("refused", "WrongNonce(1, 0)")
            assert (await maker.account_state()).withdrawal_nonce == "1"
