"""Requests by signature: the account's own, once, on this chain, for this exchange, before its expiry."""

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from tests.functional.queue.conftest import CXPT_REDEEM, INSTRUMENT, USDC, USDC_AS_CXPT
from tests.utils.batches import compact
from tests.utils.reverts import reverts

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
NEVER = 2**64 - 1
WITHDRAW = [
    {"name": "account", "type": "address"},
    {"name": "kind", "type": "uint8"},
    {"name": "instrument", "type": "uint32"},
    {"name": "amount", "type": "uint256"},
    {"name": "nonce", "type": "uint64"},
    {"name": "expiry", "type": "uint64"},
]


@pytest.fixture
def sign(system, chain, maker):
    """Sign a withdrawal of the maker; returns the arguments of requestBySig."""

    def run(kind=USDC, instrument=0, amount=70, nonce=0, expiry=NEVER, signer=maker, account=maker, **domain):
        values = (account.address, kind, instrument, amount, nonce, expiry)
        message = dict(zip([member["name"] for member in WITHDRAW], values, strict=True))
        defaults = {"name": "OrderBookDEX", "version": "1", "chainId": chain.chain_id}
        domain = defaults | {"verifyingContract": system.engine.address} | domain
        signable = encode_typed_data(domain, {"Withdraw": WITHDRAW}, message)
        signature = Account.sign_message(signable, signer.private_key)
        return [*values, *compact(signature.r, signature.s, signature.v)]

    return run


@pytest.mark.parametrize("kind", [USDC, USDC_AS_CXPT, INSTRUMENT])
def test_anyone_submits_a_signed_request(queue, sign, asset_of, maker, stranger, kind):
    receipt = queue.requestBySig(*sign(*asset_of(kind)), sender=stranger)
    assert tuple(queue.requestOf(maker, *asset_of(kind))) == (70, receipt.timestamp)
    assert queue.NonceUsed(account=maker, nonce=0) in receipt.events
    assert queue.nonceOf(maker) == 1


def test_signed_redemption_takes_the_cxpt(system, queue, sign, maker, stranger):
    system.give_cxpt(maker, 100)
    queue.requestBySig(*sign(CXPT_REDEEM), sender=stranger)
    assert (system.cxpt.balanceOf(maker), system.cxpt.balanceOf(queue)) == (30, 70)


def test_signature_replay(queue, sign, maker, stranger):
    """The same signature does not open the request again, not even after it was canceled."""
    arguments = sign()
    queue.requestBySig(*arguments, sender=stranger)
    queue.cancel(USDC, 0, sender=maker)
    with reverts("WrongNonce", expected=1, actual=0):
        queue.requestBySig(*arguments, sender=stranger)


def test_nonces_are_used_in_order(queue, sign, stranger):
    with reverts("WrongNonce", expected=0, actual=1):
        queue.requestBySig(*sign(nonce=1), sender=stranger)
    queue.requestBySig(*sign(nonce=0, amount=5), sender=stranger)
    queue.requestBySig(*sign(nonce=1, amount=6), sender=stranger)


def test_nonces_of_accounts_are_separate(queue, sign, maker, taker, stranger):
    queue.requestBySig(*sign(), sender=stranger)
    queue.requestBySig(*sign(signer=taker, account=taker), sender=stranger)
    assert (queue.nonceOf(maker), queue.nonceOf(taker)) == (1, 1)


def test_signature_replay_across_chains(queue, sign, chain, stranger):
    with reverts("InvalidSignature"):
        queue.requestBySig(*sign(chainId=chain.chain_id + 1), sender=stranger)


def test_signature_replay_across_contracts(system, queue, sign, stranger):
    for contract in (queue, system.vault):
        with reverts("InvalidSignature"):
            queue.requestBySig(*sign(verifyingContract=contract.address), sender=stranger)


@pytest.mark.parametrize("member", [{"name": "Crosspoint"}, {"version": "2"}])
def test_signature_of_another_domain(queue, sign, stranger, member):
    with reverts("InvalidSignature"):
        queue.requestBySig(*sign(**member), sender=stranger)


def test_expired_signature(queue, sign, set_next_time, chain, stranger):
    expiry = chain.blocks.head.timestamp + 100
    arguments = sign(expiry=expiry)
    set_next_time(expiry + 1)
    with reverts("SignatureExpired", expiry=expiry):
        queue.requestBySig(*arguments, sender=stranger)


def test_signature_counts_until_its_last_second(queue, sign, set_next_time, chain, stranger):
    expiry = chain.blocks.head.timestamp + 100
    set_next_time(expiry)
    queue.requestBySig(*sign(expiry=expiry), sender=stranger)


@pytest.mark.parametrize(
    ("index", "value"), [(1, USDC_AS_CXPT), (3, 71), (5, NEVER - 1)], ids=["kind", "amount", "expiry"]
)
def test_signature_covers_every_member(queue, sign, stranger, index, value):
    arguments = sign()
    arguments[index] = value
    with reverts("InvalidSignature"):
        queue.requestBySig(*arguments, sender=stranger)


def test_signature_covers_the_instrument(system, queue, sign, stranger):
    arguments = sign(INSTRUMENT, system.instrument + 1)
    arguments[2] = system.instrument
    with reverts("InvalidSignature"):
        queue.requestBySig(*arguments, sender=stranger)


def test_signature_of_another_account(queue, sign, taker, stranger):
    with reverts("InvalidSignature"):
        queue.requestBySig(*sign(signer=taker), sender=stranger)


def test_signature_for_another_account(queue, sign, taker, stranger):
    arguments = sign()
    arguments[0] = taker.address
    with reverts("InvalidSignature"):
        queue.requestBySig(*arguments, sender=stranger)


def test_signature_of_a_delegate(queue, sign, operator, stranger):
    """Whoever trades for an account may not withdraw for it; nor may the operator."""
    with reverts("InvalidSignature"):
        queue.requestBySig(*sign(signer=operator), sender=operator)


def test_high_s_twin(queue, sign, stranger):
    arguments = sign()
    s = int.from_bytes(arguments[-1], "big") & (2**255 - 1)
    parity = arguments[-1][0] >> 7
    arguments[-1] = compact(0, CURVE_ORDER - s, 27 + (1 - parity))[1]
    with reverts("InvalidSignature"):
        queue.requestBySig(*arguments, sender=stranger)


def test_zero_signer(queue, sign, stranger):
    """A malformed signature recovers to the zero address, which is no account."""
    arguments = sign()
    arguments[0], arguments[-2], arguments[-1] = "0x" + "00" * 20, b"\0" * 32, b"\0" * 32
    with reverts("InvalidSignature"):
        queue.requestBySig(*arguments, sender=stranger)


def test_used_nonce_revokes_what_was_signed(queue, sign, maker, stranger):
    arguments = sign()
    receipt = queue.useNonce(sender=maker)
    assert receipt.events == [queue.NonceUsed(account=maker, nonce=0)]
    with reverts("WrongNonce", expected=1, actual=0):
        queue.requestBySig(*arguments, sender=stranger)


def test_refused_request_keeps_its_nonce(queue, sign, maker, stranger):
    with reverts("ZeroAmount"):
        queue.requestBySig(*sign(amount=0), sender=stranger)
    assert queue.nonceOf(maker) == 0
