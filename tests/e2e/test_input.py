"""Bad orders over HTTP to a running exchange: each is refused by name, and the account is as before.

The complete list of refusals is in tests/unit/api; here are those that need a real signature, chain or state.
"""

from __future__ import annotations

import time

import msgspec
import pytest

from offchain.client.signing import Signer
from tests.e2e.exchange import PRICE, SYMBOL, create_order, create_signer, post

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

OPENING_KEY = 1
OPENING_SEQUENCE = 5


@pytest.fixture(scope="module")
def exchange(local_upstream, tmp_path_factory):
    """One running exchange for the whole module: refused orders leave nothing behind."""
    folder = tmp_path_factory.mktemp("input") / "service"
    with local_upstream.fork(folder) as exchange, exchange.running():
        yield exchange


@pytest.fixture
async def signer(exchange):
    return await create_signer(exchange, exchange.roles.maker)


@pytest.fixture
async def opening(exchange, signer):
    """An order that rests while others are refused."""
    body = create_order(signer, "buy", 60_000, "0.1", key=OPENING_KEY, sequence=OPENING_SEQUENCE)
    answer = await post(exchange, body)
    assert answer.body["status"] == "open"
    return body


@pytest.fixture
def is_refused(exchange):
    """Post, and check the refusal and that the account's balances and open orders do not change."""

    async def check(raw, status, code, param, detail):
        async with exchange.clients() as (maker, _):
            await exchange.until_indexed(maker)
            before = await maker.balances(), await maker.orders(status=("open",))
            answer = await post(exchange, raw)
            assert (answer.status, answer.body.get("code"), answer.body.get("param")) == (status, code, param), answer
            assert detail in answer.body["detail"]
            assert answer.body["requestId"]
            assert (await maker.balances(), await maker.orders(status=("open",))) == before
        return answer

    return check


def changed(body, **fields):
    return msgspec.structs.replace(body, **fields)


def as_json(body, **fields):
    """The body with raw values in the place of some."""
    return msgspec.json.encode(msgspec.json.decode(msgspec.json.encode(body)) | fields)


# ---------------------------------------------------------------------------------------------------------------------
# Form
# ---------------------------------------------------------------------------------------------------------------------


async def test_malformed_json(is_refused):
    await is_refused(b'{"account": ', 400, "malformedJson", None, "the body is not JSON")


async def test_unknown_field(signer, is_refused):
    raw = as_json(create_order(signer, "buy", 60_000, "0.1", key=9), leverage="10")
    await is_refused(raw, 400, "unknownField", "leverage", "leverage is not a field")


async def test_float_price(signer, is_refused):
    raw = as_json(create_order(signer, "buy", 60_000, "0.1", key=9), price=60000.0)
    await is_refused(raw, 400, "invalidType", "price", "price must be a string")


async def test_exponent(signer, is_refused):
    raw = as_json(create_order(signer, "buy", 60_000, "0.1", key=9), price="6e4")
    await is_refused(raw, 400, "invalidNumber", "price", "price")


async def test_body_too_large(signer, is_refused):
    raw = as_json(create_order(signer, "buy", 60_000, "0.1", key=9), clientOrderId="x" * 20_000)
    await is_refused(raw, 413, "bodyTooLarge", None, "16384")


async def test_price_off_the_tick(signer, is_refused):
    raw = as_json(create_order(signer, "buy", 60_000, "0.1", key=9), price="60000.05")
    await is_refused(raw, 422, "invalidPrice", "price", "tick 0.1")


async def test_quantity_off_the_lot(signer, is_refused):
    raw = as_json(create_order(signer, "buy", 60_000, "0.1", key=9), quantity="0.100001")
    await is_refused(raw, 422, "invalidQuantity", "quantity", "lot 0.00001")


async def test_unknown_market(signer, is_refused):
    body = changed(create_order(signer, "buy", 60_000, "0.1", key=9), market="DOGE-USDC")
    await is_refused(body, 404, "unknownMarket", "market", "there is no market 'DOGE-USDC'")


async def test_expired(signer, is_refused):
    body = create_order(signer, "buy", 60_000, "0.1", key=9, time_in_force="GTD", expiry=int(time.time()) - 5)
    await is_refused(body, 422, "orderExpired", "expiry", "the order expired at")


# ---------------------------------------------------------------------------------------------------------------------
# Signature
# ---------------------------------------------------------------------------------------------------------------------


async def test_signature_for_another_chain(exchange, is_refused):
    async with exchange.clients() as (maker, _):
        markets = await maker.markets()
    other = msgspec.structs.replace(markets, domain=msgspec.structs.replace(markets.domain, chain_id=1))
    body = create_order(Signer(bytes(exchange.roles.maker.key), other), "buy", 60_000, "0.1", key=9)
    await is_refused(body, 403, "signerMismatch", "signature", "for chain id 31337")


async def test_signature_by_somebody_else(exchange, signer, is_refused):
    own = create_order(signer, "buy", 60_000, "0.1", key=9)
    forged = create_order(await create_signer(exchange, exchange.roles.taker), "buy", 60_000, "0.1", key=9)
    await is_refused(changed(forged, account=own.account), 403, "signerMismatch", "signature", "the signer is")


async def test_high_s(signer, is_refused):
    body = create_order(signer, "buy", 60_000, "0.1", key=9)
    compact = bytes.fromhex(body.signature[2:])
    word = int.from_bytes(compact[32:], "big")
    parity, low = word >> 255, word & ((1 << 255) - 1)
    mirrored = compact[:32] + (CURVE_ORDER - low).to_bytes(32, "big") + bytes([27 + (1 - parity)])
    body = changed(body, signature="0x" + mirrored.hex())
    await is_refused(body, 400, "invalidSignature", "signature", "its s must be low")


# ---------------------------------------------------------------------------------------------------------------------
# Against the account's state
# ---------------------------------------------------------------------------------------------------------------------


async def test_stale_sequence(signer, opening, is_refused):
    body = create_order(signer, "buy", 59_000, "0.1", key=OPENING_KEY, sequence=OPENING_SEQUENCE - 1)
    await is_refused(body, 409, "staleNonce", "nonce", "")


async def test_same_nonce_with_other_contents(signer, opening, is_refused):
    body = create_order(signer, "buy", 59_000, "0.1", key=OPENING_KEY, sequence=OPENING_SEQUENCE)
    await is_refused(body, 409, "nonceReused", "nonce", "")


async def test_same_order_again_gets_the_same_answer(exchange, opening):
    first, again = await post(exchange, opening), await post(exchange, opening)
    assert (first.status, again) == (200, first)
    async with exchange.clients() as (maker, _):
        assert [order.order_id for order in (await maker.orders(status=("open",))).orders] == [first.body["orderId"]]


async def test_fee_cap_too_low(signer, opening, is_refused):
    body = create_order(signer, "buy", 60_000, "0.1", key=10, max_fee_bps=49)
    await is_refused(body, 422, "feeAboveCap", "maxFeeBps", "50")


async def test_insufficient_balance_and_the_same_refusal_again(signer, opening, is_refused):
    body = create_order(signer, "sell", PRICE, 1_000, key=11)
    first = await is_refused(body, 422, "insufficientBalance", "quantity", "are needed")
    again = await is_refused(body, 422, "insufficientBalance", "quantity", "are needed")
    assert first.body["orderId"] == again.body["orderId"]


async def test_paused_market(exchange, signer, opening, is_refused):
    chain, roles = exchange.chain, exchange.roles
    chain.send(roles.guardian, chain.registry.functions.setStatus(chain.market, 2))
    try:
        body = create_order(signer, "buy", 60_000, "0.1", key=12)
        await is_refused(body, 409, "marketNotActive", "market", SYMBOL)
    finally:
        chain.send(roles.owner, chain.registry.functions.setStatus(chain.market, 1))
