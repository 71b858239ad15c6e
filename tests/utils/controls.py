"""What traders sign beside orders, for tests: cancels and delegates, after IOrderControl."""

from __future__ import annotations

from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount

from tests.utils.batches import Domain, Order, sign

CANCEL_TYPE = [{"name": "account", "type": "address"}, {"name": "orderHash", "type": "bytes32"}]
CANCEL_ALL_TYPE = [{"name": "account", "type": "address"}, {"name": "epoch", "type": "uint32"}]
DELEGATE_TYPE = [
    {"name": "account", "type": "address"},
    {"name": "delegate", "type": "address"},
    {"name": "validUntil", "type": "uint64"},
    {"name": "nonce", "type": "uint64"},
]


def sign_cancel(domain: Domain, order: Order, signer: LocalAccount) -> tuple[bytes, bytes]:
    """r and vs of a compact signature, as of all the following."""
    message = {"account": order.account, "orderHash": order.hash(domain)}
    return sign(encode_typed_data(domain.data, {"Cancel": CANCEL_TYPE}, message), signer)


def sign_cancel_all(domain: Domain, account: str, epoch: int, signer: LocalAccount) -> tuple[bytes, bytes]:
    message = {"account": account, "epoch": epoch}
    return sign(encode_typed_data(domain.data, {"CancelAll": CANCEL_ALL_TYPE}, message), signer)


def sign_delegate(
    domain: Domain, account: str, delegate: str, valid_until: int, number: int, signer: LocalAccount
) -> tuple[bytes, bytes]:
    message = {"account": account, "delegate": delegate, "validUntil": valid_until, "nonce": number}
    return sign(encode_typed_data(domain.data, {"Delegate": DELEGATE_TYPE}, message), signer)
