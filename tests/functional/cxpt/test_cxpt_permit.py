"""CXPT goes into custody under a permit, each of which counts once."""

from eth_account import Account
from eth_account.messages import encode_typed_data

from tests.utils.reverts import reverts

PERMIT = [
    {"name": "owner", "type": "address"},
    {"name": "spender", "type": "address"},
    {"name": "value", "type": "uint256"},
    {"name": "nonce", "type": "uint256"},
    {"name": "deadline", "type": "uint256"},
]


def test_a_permit_lets_the_engine_take_cxpt_once(system, chain, cxpt, funded, other):
    domain = {"name": cxpt.name(), "version": "1", "chainId": chain.chain_id, "verifyingContract": cxpt.address}
    values = (funded.address, system.engine.address, 60, cxpt.nonces(funded), 2**48)
    message = dict(zip([member["name"] for member in PERMIT], values, strict=True))
    signature = Account.sign_message(encode_typed_data(domain, {"Permit": PERMIT}, message), funded.private_key)
    parts = signature.v, signature.r.to_bytes(32, "big"), signature.s.to_bytes(32, "big")
    cxpt.permit(funded, system.engine, 60, 2**48, *parts, sender=other)
    assert cxpt.nonces(funded) == 1
    system.engine.deposit(system.cxpt_instrument, 60, sender=funded)
    assert system.engine.balanceOf(funded, system.cxpt_instrument) == 60
    again = {**message, "nonce": 1}
    signable = encode_typed_data(domain, {"Permit": PERMIT}, again)
    signer = Account.recover_message(signable, vrs=(parts[0], *parts[1:]))
    with reverts("ERC2612InvalidSigner", signer=signer, owner=funded.address):
        cxpt.permit(funded, system.engine, 60, 2**48, *parts, sender=other)
